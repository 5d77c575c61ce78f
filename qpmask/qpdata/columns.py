"""The last step of both readers: from what they found to :class:`~.model.ImageObjects`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from qpmask.classes.names import class_name
from qpmask.qpdata.model import ImageObjects, PathClassName, RoiKind, Rois
from qpmask.qpdata.names import MAX_CLASS_PARTS


@dataclass(frozen=True)
class StoredClass:
    """A class as it is stored: its own part of the name, and the class it is derived from."""

    name: str | None
    color_argb: int | None
    parent: Any


def named_classes(
    used: Iterable[Any],
    stored: Callable[[Any], StoredClass],
    wrong: Callable[[str], Exception],
) -> tuple[tuple[PathClassName, ...], dict[Any, int]]:
    """Give the classes in use, and the number of each.

    Parameters
    ----------
    used : iterable
        What the reader calls them, in the order in which they were found.
    stored : callable
        Gives what is stored of one of them, or of a parent.
    wrong : callable
        Makes the error for a class that makes no sense.
    """
    numbers: dict[str, int] = {}
    classes: list[PathClassName] = []
    found: dict[Any, int] = {}
    for item in used:
        parts: list[str] = []
        link: Any = item
        n_links = 0
        while link is not None:
            if n_links >= MAX_CLASS_PARTS:
                raise wrong("a class is derived from itself")
            n_links += 1
            one = stored(link)
            if one.name is not None:
                parts.append(one.name)
            elif one.parent is not None:
                raise wrong("a class has no name")
            link = one.parent
        full_name = class_name(":".join(reversed(parts)))
        if full_name is None:
            found[item] = -1
            continue
        if full_name not in numbers:
            # As in QuPath, the colour that was found first is kept.
            numbers[full_name] = len(classes)
            classes.append(PathClassName(full_name, stored(item).color_argb))
        found[item] = numbers[full_name]
    return tuple(classes), found


def corners_as_read(kind: npt.NDArray[np.uint8], box_px0: npt.NDArray[np.float64]) -> None:
    """Do to the stored corners (x, y, x2, y2) what QuPath does to them while it reads."""
    which = np.flatnonzero((kind == RoiKind.RECTANGLE) | (kind == RoiKind.ELLIPSE))
    if not len(which):
        return
    boxes = box_px0[which]
    with np.errstate(all="ignore"):
        ends = boxes[:, :2] + (boxes[:, 2:] - boxes[:, :2])
    turned = ends < boxes[:, :2]
    box_px0[which, :2] = np.where(turned, ends, boxes[:, :2])
    box_px0[which, 2:] = np.where(turned, boxes[:, :2], ends)


def image_objects(columns: dict[str, npt.NDArray[Any]], **others: Any) -> ImageObjects:
    """Make the columns; ``columns`` has those of objects, ROIs and rings by their names."""
    corners_as_read(columns["roi_kind"], columns["box_px0"])
    of_rois = {name: columns[name] for name in Rois.__dataclass_fields__ if name in columns}
    del of_rois["kind"]
    others |= {name: columns[name] for name in ImageObjects.__dataclass_fields__ if name in columns}
    return ImageObjects(rois=Rois(kind=columns["roi_kind"], **of_rois), **others)
