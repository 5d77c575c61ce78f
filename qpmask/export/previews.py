"""Pictures of the masks of a run, one a mask, and all of them on one sheet (``--previews``).

A picture says in its own metadata what it was made from (the mask's hash, the slide below), so that
the next run makes only those that are missing or no longer hold. A picture that cannot be made is a
warning with its mask, never a failure of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qpmask.geometry import Size
from qpmask.outputs import (
    CONTACT_SHEET,
    PREVIEW_FOLDER,
    OutputWriter,
    mask_stem,
    read_sidecar,
)
from qpmask.plan import ImagePlan
from qpmask.report import ImageRecord
from qpmask.viewer.contactsheet import Contact, contact_sheet
from qpmask.viewer.opening import open_scene
from qpmask.viewer.png import encode_png, page_of
from qpmask.viewer.requirements import require_view
from qpmask.viewer.viewport import picture_viewport

log = logging.getLogger(__name__)


_FORMAT = 1  # of the pictures; another number makes all of them again
_FIT_PX = 1000
_OPACITY = 0.5
_MADE_FROM, _PICTURE = "qpmask made from", "qpmask picture"  # names in the PNG's metadata


class Previews:
    """The pictures of one run.

    Raises
    ------
    MissingExtraError
        The extra ``view`` is not installed.
    """

    def __init__(self) -> None:
        require_view()
        self._contacts: list[tuple[Contact, str]] = []

    def add(self, folder: OutputWriter, image: ImagePlan, record: ImageRecord) -> ImageRecord:
        """See to the picture of one mask.

        Parameters
        ----------
        folder : OutputWriter
            Where the masks are; its lock is held.
        image : ImagePlan
            What was planned for it.
        record : ImageRecord
            What became of it.

        Returns
        -------
        ImageRecord
            The record, with a warning if there is no picture or one without the slide.
        """
        if not record.ok or record.mask is None:
            return record
        name = f"{PREVIEW_FOLDER}/{mask_stem(record.mask)}.png"
        try:
            note = _make(folder, image.slide, record.mask, name)
            size, made_from = _read_about(folder.path / name)
        except Exception as error:  # whatever a library says of a slide, the mask is there
            log.debug("while making the preview of %s", record.mask, exc_info=error)
            return _warned(record, f"There is no preview: {error}")
        if size is not None:
            contact = Contact(record.image, folder.path / name, size)
            self._contacts.append((contact, made_from))
        return _warned(record, note) if note else record

    def finish(self, folder: OutputWriter) -> list[str]:
        """Put all pictures on one sheet, unless the sheet that is there holds the same.

        Returns
        -------
        list of str
            Why there is no sheet, if it could not be made.
        """
        if not self._contacts:
            return []
        made_from = _hash([[contact.caption, known] for contact, known in self._contacts])
        if _read_about(folder.path / CONTACT_SHEET)[1] == made_from:
            return []
        try:
            sheet = contact_sheet([contact for contact, _ in self._contacts])
            folder.write_bytes(CONTACT_SHEET, encode_png(sheet, {_MADE_FROM: made_from}))
        except Exception as error:
            log.debug("while making the contact sheet", exc_info=error)
            return [f"There is no new contact sheet: {error}"]
        return []


def _make(folder: OutputWriter, slide: Path | None, mask: str, name: str) -> str | None:
    """Make a picture where there is none that holds; what to know about it, if anything."""
    sidecar = read_sidecar(folder.path / mask) or {}
    made = sidecar.get("mask")
    sha256 = made.get("sha256") if isinstance(made, dict) else None
    made_from = _hash([_FORMAT, sha256, _about(slide)])
    if _read_about(folder.path / name)[1] == made_from:
        return None
    note = None
    try:
        page, size = _draw(folder.path / mask, slide)
    except Exception as error:
        if slide is None:
            raise
        note = f"The preview is without the slide: {error}"
        page, size = _draw(folder.path / mask, None)
    about = {_MADE_FROM: made_from, _PICTURE: f"{size.width_px} {size.height_px}"}
    folder.write_bytes(name, encode_png(page, about))
    return note


def _draw(mask: Path, slide: Path | None) -> tuple[NDArray[np.uint8], Size]:
    """The page of a mask, and the size of the picture on it."""
    with open_scene(mask, slide_path=slide, opacity=None if slide is None else _OPACITY) as scene:
        return page_of(scene, picture_viewport(scene.size, fit_px=_FIT_PX))


def _warned(record: ImageRecord, text: str) -> ImageRecord:
    return replace(record, warnings=(*record.warnings, text))


def _about(slide: Path | None) -> list[object] | None:
    """What tells a slide from another one of the same name."""
    if slide is None:
        return None
    with contextlib.suppress(OSError):
        found = slide.stat()
        return [os.fspath(slide), found.st_size, found.st_mtime_ns]
    return [os.fspath(slide)]


def _hash(data: object) -> str:
    return hashlib.sha256(json.dumps(data).encode()).hexdigest()


def _read_about(path: Path) -> tuple[Size | None, str]:
    """Size of the picture in a PNG of ours, and what it was made from; neither of another file."""
    from PIL import Image

    try:
        with Image.open(path) as page:
            texts = dict(page.info)
    except (OSError, ValueError, SyntaxError):
        return None, ""
    try:
        width_px, height_px = map(int, str(texts.get(_PICTURE, "")).split())
    except ValueError:
        return None, str(texts.get(_MADE_FROM, ""))
    return Size(width_px, height_px), str(texts.get(_MADE_FROM, ""))
