"""Masks of a project's images that nobody exported: drawn natively when they are looked at.

They go to a temporary folder that ends with the server. The project is not written to.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

from qpmask.errors import OptionsError, QpmaskError
from qpmask.export.run import export_masks
from qpmask.options import export_options
from qpmask.web.catalog import MaskFileShown, Shown, totals_of
from qpmask.web.turns import Turns


class Drawer:
    """Draws masks into a folder of its own; safe to share between threads.

    Parameters
    ----------
    turns : Turns
        Given away while another thread draws of the same project.
    """

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._closed = threading.Event()
        self._folder: Path | None = None
        self._locks: dict[Path, threading.Lock] = {}
        # Its mask, why there is none, or None where nothing is annotated.
        self._drawn: dict[tuple[Path, str], MaskFileShown | str | None] = {}
        self._lock = threading.Lock()

    def with_mask(self, image: Shown) -> tuple[Shown, str | None]:
        """The image with a mask of what is annotated in it, and what people should know of that.

        An image that has a mask, or is of no project, stays as it is; so does one whose mask cannot
        be drawn, with the reason.
        """
        if image.masks or image.project is None or image.entry is None:
            return image, None
        key = image.project.path, image.entry.id
        with self._lock:
            lock = self._locks.setdefault(image.project.path, threading.Lock())
        with self._turns.waiting_for(lock):  # an output folder has one run at a time
            if key not in self._drawn:
                try:
                    self._drawn[key] = self._draw(image)
                except QpmaskError as error:  # as often as a tile is asked for, said again
                    self._drawn[key] = str(error)
            mask = self._drawn[key]
        if isinstance(mask, str):
            return image, f"Its annotations are not shown: {mask}"
        if mask is None:
            return image, "Nothing is annotated in it."
        return replace(image, masks=(mask,)), "The mask was drawn for this page; it is not saved."

    def close(self) -> None:
        """Remove what was drawn; what is being drawn ends first, at its next tile."""
        self._closed.set()
        with self._lock:
            locks = list(self._locks.values())
        for lock in locks:
            with lock:
                pass
        with self._lock:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _draw(self, image: Shown) -> MaskFileShown | None:
        assert image.project is not None and image.entry is not None
        with self._lock:
            if self._closed.is_set():
                raise OptionsError("the server was closed.")
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="qpmask-serve-"))
            # In the order in which projects were first looked at.
            out = self._folder / str(list(self._locks).index(image.project.path))
        options = export_options(images=(image.entry.id,), engine="native", unknown="ignore")
        report = export_masks(image.project, out, None, options, stop=self._closed)
        record = next((r for r in report if r.entry_id == image.entry.id), None)
        if record is None or not record.ok:
            raise OptionsError(record.error if record and record.error else "it was not drawn.")
        if record.mask is None:
            return None
        path = out / record.mask
        return MaskFileShown(path, "annotations", totals_of(path))
