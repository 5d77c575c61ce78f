"""The last step: from the arrays that the parser filled to :mod:`qpmask.imageobjects`."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from qpmask.classes.names import class_name
from qpmask.common.ragged import items_at, offsets_of
from qpmask.imageobjects import (
    BOXES,
    ImageObjects,
    Measurements,
    ObjectClass,
    ObjectDetails,
    RoiKind,
    Rois,
    stored_id,
)
from qpmask.qpdata.kernel import library as k

Arrays = dict[str, npt.NDArray[Any]]
_MAX_CLASS_PARTS: Final = 100  # levels of derived classes


def image_objects(
    arrays: Arrays, n: npt.NDArray[np.int64], texts: list[str], version: int
) -> ImageObjects:
    """Make the columns.

    Raises
    ------
    ValueError
        A class makes no sense.
    """
    classes, class_index = _classes(arrays, texts)
    ids = arrays["ids"].view("S36")
    metadata: dict[int, dict[str, str]] = {}
    for number, key, text in arrays["metadata"].reshape(-1, 3).tolist():
        if key == -1:
            ids[number] = stored_id("" if text < 0 else texts[text])
        elif key >= 0 and text >= 0:
            metadata.setdefault(number, {})[texts[key]] = texts[text]
    boxes_px0 = arrays["boxes"].view(np.float64).reshape(-1, 4)
    corners_as_read(arrays["roi_kind"], boxes_px0)
    columns = arrays | {
        "class_index": class_index,
        "ids": ids,
        "boxes_px0": boxes_px0,
        "vertices32_px0": arrays["vertices32"].view(np.float32).reshape(-1, 2),
        "vertices64_px0": arrays["vertices64"].view(np.float64).reshape(-1, 2),
        **{
            name: arrays[name].view(np.bool_)
            for name in ("locked", "missing", "ring_is_hole", "is_empty")
        },
    }
    columns["is_empty"][np.isin(arrays["roi_kind"], BOXES)] = np.isnan(boxes_px0).any(axis=1)
    of_rois = {name: columns[name] for name in Rois.__dataclass_fields__ if name in columns}
    of_rois["kind"] = columns["roi_kind"]
    others = {name: columns[name] for name in ImageObjects.__dataclass_fields__ if name in columns}
    rois = Rois(**of_rois)
    used = np.zeros(len(rois) + 1, np.bool_)  # the last one is for none
    used[others["roi"]] = used[others["nucleus_roi"]] = True
    if not used[:-1].all():  # such as those that stand in for a class that is described with them
        number = np.append(np.cumsum(used[:-1], dtype=np.int32) - 1, np.int32(-1))
        others |= {name: number[others[name]] for name in ("roi", "nucleus_roi")}
        rois = rois.only(used[:-1])
    server, image_type = int(n[k.SERVER]), int(n[k.IMAGE_TYPE])
    return ImageObjects(
        version=version,
        server="" if server < 0 else texts[server],
        image_type=None if image_type < 0 else texts[image_type],
        names=_names(arrays["name"], texts),
        classes=classes,
        rois=rois,
        details=_details(arrays, texts, metadata) if n[k.DETAILS] else None,
        **others,
    )


def _classes(
    arrays: Arrays, texts: list[str]
) -> tuple[tuple[ObjectClass, ...], npt.NDArray[np.int32]]:
    """Name the classes in use, and the class of each object."""
    stored = arrays["path_classes"].reshape(-1, 4).tolist()
    numbers: dict[str, int] = {}
    classes: list[ObjectClass] = []
    lookup = np.full(len(stored) + 1, -1, np.int32)  # the last one is for no class
    for row in arrays["used_classes"].tolist():
        parts: list[str] = []
        link = row
        while link >= 0:
            name, _, parent, _ = stored[link]
            if name >= 0:
                parts.append(texts[name])
            elif parent >= 0:
                raise ValueError("a class has no name")
            if len(parts) > _MAX_CLASS_PARTS:
                raise ValueError("a class is derived from itself")
            link = parent
        full_name = class_name(":".join(reversed(parts)))
        if full_name is None:
            continue
        if full_name not in numbers:
            # As in QuPath, the colour that was found first is kept.
            color = stored[row][1]
            argb = None if color < 0 else color - ((color & 0x80000000) << 1)
            numbers[full_name] = len(classes)
            classes.append(ObjectClass(full_name, argb))
        lookup[row] = numbers[full_name]
    return tuple(classes), lookup[arrays["class_index"]]


def corners_as_read(kind: npt.NDArray[np.uint8], boxes_px0: npt.NDArray[np.float64]) -> None:
    """Do to the stored corners (x, y, x2, y2) what QuPath does to them while it reads."""
    which = kind[np.isin(kind, BOXES)] != RoiKind.LINE
    starts, ends = boxes_px0[which, :2], boxes_px0[which, 2:]
    with np.errstate(all="ignore"):
        ends = starts + (ends - starts)
    turned = ends < starts
    boxes_px0[which] = np.hstack([np.where(turned, ends, starts), np.where(turned, starts, ends)])


def _names(name: npt.NDArray[np.int32], texts: list[str]) -> tuple[str | None, ...]:
    named = np.flatnonzero(name >= 0)
    names: list[str | None] = [None] * len(name)
    for row, text in zip(named.tolist(), name[named].tolist(), strict=True):
        names[row] = texts[text]
    return tuple(names)


def _details(
    arrays: Arrays, texts: list[str], metadata: dict[int, dict[str, str]]
) -> ObjectDetails:
    lists = arrays["name_list"]
    sizes = np.append(arrays["list_size"], 0)[lists]  # the last one is for no list
    offsets = offsets_of(sizes)
    if offsets[-1] != len(arrays["values"]):  # such as names without numbers
        raise ValueError("the measurements of objects make no sense")
    first = np.append(arrays["list_first"], 0)[lists]
    stored = arrays["list_names"][items_at(first, sizes)]
    numbers: dict[str, int] = {}
    name = np.zeros(int(stored.max(initial=-1)) + 1, np.int32)
    for text in np.flatnonzero(np.bincount(stored, minlength=len(name))).tolist():
        name[text] = numbers.setdefault(texts[text], len(numbers))
    bits = arrays["values"]
    single = np.repeat(arrays["single"] != 0, sizes)
    value = bits.view(np.float64)
    with np.errstate(invalid="ignore"):  # NaN that signal
        value[single] = bits[single].astype(np.uint32).view(np.float32)
    measurements = Measurements(tuple(numbers), offsets, name[stored], value)
    return ObjectDetails(arrays["color"], measurements, metadata)
