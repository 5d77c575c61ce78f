"""What a mask file says about itself, in the words of a user: pixel size, classes, planes.

Pure functions of the file's structure; no pixel is read.
"""

from __future__ import annotations

import hashlib
import json
import operator
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from qpmask.classes.names import nearest, same_class
from qpmask.errors import NoSuchClassError, OptionsError
from qpmask.geometry import PixelSize
from qpmask.geometry.frames import FRAME_KEY, Frame, frame_from_json
from qpmask.geometry.units import um_per_unit
from qpmask.ometiff.omexml import ClassRow, MaskMetadata
from qpmask.ometiff.reader import MaskFile

BACKGROUND = "(background)"
_UM_PER_UNIT = {2: 25_400.0, 3: 10_000.0}
# Whole dots per inch are a printer's or a screen's, and so is whatever is as coarse.
_FINEST_DPI = 2400
_COARSEST_UM = 80.0
_CLASSES = "Classes of this file"


def pixel_size_of(file: MaskFile) -> PixelSize | None:
    """Size of a pixel of level 0: from the OME-XML, else from the TIFF's resolution.

    ImageJ gives the resolution in a unit that its description names (``unit=micron``).
    """
    if file.metadata is not None and file.metadata.pixel_size is not None:
        return file.metadata.pixel_size
    resolution = file.structure.images[0][0].resolution
    unit = file.structure.imagej_unit
    if resolution is not None and unit is not None and min(resolution[:2]) > 0:
        factor = um_per_unit(unit)
        return PixelSize(*(factor / n for n in resolution[:2])) if factor is not None else None
    if resolution is None or resolution[2] not in _UM_PER_UNIT or min(resolution[:2]) <= 0:
        return None
    if resolution[2] == 2 and all(n == int(n) <= _FINEST_DPI for n in resolution[:2]):
        return None
    width_um, height_um = (_UM_PER_UNIT[resolution[2]] / per_unit for per_unit in resolution[:2])
    return PixelSize(width_um, height_um) if max(width_um, height_um) < _COARSEST_UM else None


def frame_of(metadata: MaskMetadata | None) -> Frame | None:
    """Where a mask lies in the slide's file; None where it does not say."""
    text = metadata.extra.get(FRAME_KEY) if metadata is not None else None
    if text is None:
        return None
    try:
        found = frame_from_json(json.loads(text))
    except (ValueError, RecursionError):
        found = None
    return found or Frame(None, unknown="what the mask says of it cannot be read")


def classes_of(metadata: MaskMetadata | None, plane: int) -> dict[int, ClassRow]:
    """The class table of one plane, by label. Empty where the file has none."""
    if metadata is None:
        return {}
    if metadata.classes or metadata.extra.get("kind") != "multichannel":
        return {row.label: row for row in metadata.classes}
    # One class a plane: its pixels are 255 wherever the class is.
    c = plane % metadata.size_c
    if c >= len(metadata.channel_names):
        return {}
    color = metadata.channel_colors[c] if metadata.channel_colors else None
    return {255: ClassRow(255, metadata.channel_names[c], color)}


def name_of(label: int, classes: Mapping[int, ClassRow]) -> str:
    """Name of a label's class, or words that say that it has none."""
    if label in classes:
        return classes[label].name
    return BACKGROUND if label == 0 else f"label {label} (no class)"


def find_labels(
    wanted: Iterable[str | int], classes: Mapping[int, ClassRow], dtype: np.dtype[Any], what: str
) -> tuple[int, ...]:
    """Labels of classes that are given by name or label, each once.

    Parameters
    ----------
    wanted : iterable of str or int
        Names from the class table, in any spelling that QuPath takes for the same, or labels
        that need not be in it.
    classes : mapping of int to ClassRow
        The class table.
    dtype : numpy.dtype
        The mask's pixel type.
    what : str
        What messages call the mask.

    Raises
    ------
    NoSuchClassError
        If a name is not in the table, or pixels cannot have a label.
    OptionsError
        If nothing is wanted, or something that is neither.
    """
    labels: list[int] = []
    for one in wanted:
        if isinstance(one, str):
            found = [row.label for row in classes.values() if same_class(row.name, one)]
            if not found:
                raise NoSuchClassError(
                    f"{what} has no class {one!r}.",
                    hint=nearest_hint(one, [row.name for row in classes.values()], _CLASSES),
                )
            labels += found
            continue
        try:
            label = operator.index(one)
        except TypeError as error:
            raise OptionsError(f"A class is a name or a label, not {one!r}.") from error
        if not 0 <= label <= np.iinfo(dtype).max:
            raise NoSuchClassError(f"A mask of type {dtype} has no label {label}.")
        labels.append(label)
    if not labels:
        raise OptionsError("No class is given.", hint="Give names or labels.")
    return tuple(dict.fromkeys(labels))


def nearest_hint(wanted: str, names: list[str], what: str) -> str:
    """A hint that gives the names nearest to a wrong one, or else all."""
    if hits := nearest(wanted, names):
        return f"Did you mean {' or '.join(map(repr, hits))}?"
    return f"{what}: {', '.join(map(repr, names)) or 'none'}."


def fingerprint(file: MaskFile) -> str:
    """What tells a file from most others, without reading its pixels: where all its tiles are."""
    digest = hashlib.blake2b(file.structure.file_bytes.to_bytes(8, "little"), digest_size=16)
    for plane in range(file.n_planes):
        for places in file.segments(0, plane):
            digest.update(places.tobytes())
    return digest.hexdigest()
