"""The small files that QuPath wrote, the ways to read one, and what is compared."""

from __future__ import annotations

import sys
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from qpdata.qpdata_by_hand import File, numbers

from qpmask.imageobjects import NO_COLOR, ImageObjects, Outlines
from qpmask.jit.arguments import Packed
from qpmask.qpdata import parser
from qpmask.qpdata.kernel.datafile import parse
from qpmask.qpdata.parser import Parser, TooFarBackError

FOLDER = Path(__file__).parent / "data"
SAMPLES = tuple(sorted(FOLDER.glob("objects-*.qpdata")))
VARIED = tuple(sorted(FOLDER.glob("varied-*.qpdata")))
EMPTY = tuple(sorted(FOLDER.glob("empty-*.qpdata")))


def parsed(data: bytes, *, details: bool = False) -> ImageObjects:
    """Read with the compiled parser, all at once."""
    return Parser(None, len(data), data, details=details).read()


def parsed_in_pieces(data: bytes, window: int = 97, *, details: bool = False) -> ImageObjects:
    """Read with the compiled parser, which gets little of the file and little room at a time."""
    with (
        patch.object(parser, "WINDOW_BYTES", window),
        patch.object(parser, "_FIRST_ROOM", 1),
    ):
        file: Any = BytesIO(data)
        return Parser(file, len(data), details=details).read()


class Checked(np.ndarray):
    """An array that refuses places outside it, those counted from its end too."""

    def __getitem__(self, key: Any) -> Any:
        self._check(key)
        return super().__getitem__(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._check(key)
        super().__setitem__(key, value)

    def _check(self, key: Any) -> None:
        for one in key if isinstance(key, tuple) else (key,):
            if not isinstance(one, slice) and one < 0:
                raise IndexError(f"{one} is outside")


def checked(
    data: bytes, *, details: bool = False, outlines: Outlines | None = None
) -> ImageObjects:
    """Read with the parser as plain Python, which raises where an index is outside an array."""

    def viewed(part: Any) -> Any:
        return (
            part.view(Checked) if isinstance(part, np.ndarray) else type(part)(*map(viewed, part))
        )

    def run(stream: Packed, columns: Packed) -> int:
        return int(parse.function(*map(viewed, (stream.value, columns.value))))  # type: ignore[attr-defined]

    with patch.object(parser, "parse", run):
        return Parser(None, len(data), data, details=details, outlines=outlines).read()


def roi_record(objects: ImageObjects, number: int) -> tuple[object, ...] | None:
    if number < 0:
        return None
    rois = objects.rois
    rings = slice(rois.ring_offsets[number], rois.ring_offsets[number + 1])
    return (
        int(rois.kind[number]),
        (int(rois.c[number]), int(rois.z[number]), int(rois.t[number])),
        numbers(rois.box_px0[number]),
        int(rois.geometry_type[number]),
        [(ring.dtype.name, ring.tobytes()) for ring in rois.rings(number)],
        rois.ring_kind[rings].tolist(),
        rois.ring_part[rings].tolist(),
        rois.ring_is_hole[rings].tolist(),
        numbers(rois.bounds_px0[number]),
    )


def records(objects: ImageObjects) -> list[tuple[object, ...]]:
    """One comparable record per object: the numbers of ROIs and classes do not matter."""
    return [
        (
            int(objects.kind[i]),
            int(objects.parent[i]),
            objects.class_of(i),
            bool(objects.locked[i]),
            bool(objects.missing[i]),
            objects.names[i],
            objects.id_of(i),
            roi_record(objects, int(objects.roi[i])),
            roi_record(objects, int(objects.nucleus_roi[i])),
        )
        for i in range(len(objects))
    ]


def columns(objects: ImageObjects) -> dict[str, object]:
    """All columns, byte for byte."""
    found: dict[str, object] = {}
    for part in (objects, objects.rois):
        for name in part.__dataclass_fields__:
            value = getattr(part, name)
            if isinstance(value, np.ndarray):
                raw = numbers(value) if name == "boxes_px0" else value.tobytes()
                value = (value.dtype.str, value.shape, raw)
            found[f"{type(part).__name__}.{name}"] = value
    del found["ImageObjects.rois"]
    if (details := objects.details) is not None:
        found["ImageObjects.details"] = (
            details.color_argb.tobytes(),
            details.measurements.offsets.tolist(),
            [details.measurements.names[i] for i in details.measurements.name.tolist()],
            details.measurements.value.tobytes(),
            details.metadata,
        )
    return found


def by_hand(data: bytes) -> object:
    """What a file holds by the simple reader of the tests; None if it is damaged."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        file = File(data)
    except Exception:
        return None
    finally:
        sys.setrecursionlimit(limit)
    items = [repr(item) for item in (*map(tuple, file.objects), *file.details)]
    return file.version, file.server, file.image_type, items


def told(objects: ImageObjects) -> object:
    """The same of what was read with details."""
    items, details = [], objects.details
    for kind, parent, path_class, *others, roi, nucleus in records(objects):
        name = path_class and (path_class.name, path_class.color_argb)  # type: ignore[attr-defined]
        rois = [item and item[:-1] for item in (roi, nucleus)]  # type: ignore[index]
        items.append(repr((kind, parent, name, *others, *rois)))
    assert details is not None
    for i, color in enumerate(details.color_argb.tolist()):
        measured = details.measurements
        which = slice(*measured.offsets[i : i + 2])
        names = [measured.names[j] for j in measured.name[which]]
        pairs = list(zip(names, measured.value[which].tolist(), strict=True))
        argb = None if color == NO_COLOR else color
        items.append(repr((argb, pairs, details.metadata.get(i, {}))))
    return objects.version, objects.server, objects.image_type, items


def check_agreement(data: bytes, n_objects: int | None = None) -> None:
    """All ways to read a file give the same, and what the simple reader of the tests does."""
    assert told(parsed(data, details=True)) == by_hand(data)
    for details in (True, False):
        found = parsed(data, details=details)
        assert n_objects is None or len(found) == n_objects
        if details:
            assert columns(checked(data, details=True)) == columns(found)
        with suppress(TooFarBackError):  # then it is read all at once
            assert columns(parsed_in_pieces(data, details=details)) == columns(found)
