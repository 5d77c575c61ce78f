"""The small files that QuPath wrote, and what read objects are compared as."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from qpmask.qpdata import ImageObjects, many

FOLDER = Path(__file__).parent / "data"
SAMPLES = tuple(sorted(FOLDER.glob("objects-*.qpdata")))
VARIED = tuple(sorted(FOLDER.glob("varied-*.qpdata")))
EMPTY = tuple(sorted(FOLDER.glob("empty-*.qpdata")))


@contextmanager
def together(before: int | None) -> Iterator[None]:
    """Read many objects at once after ``before`` objects; None to read every object in full."""
    first = 10**9 if before is None else before
    with (
        patch.object(many, "OBJECTS_BEFORE", first),
        patch.object(many, "MANY", 1 if first < 10 else 12),
        patch.object(many, "FIRST_WINDOW", 1000 if first == 2 else 2**18),
    ):
        yield


def roi_record(objects: ImageObjects, number: int) -> tuple[object, ...] | None:
    if number < 0:
        return None
    rois = objects.rois
    rings = slice(rois.ring_offsets[number], rois.ring_offsets[number + 1])
    return (
        int(rois.kind[number]),
        (int(rois.c[number]), int(rois.z[number]), int(rois.t[number])),
        rois.box_px0[number].tobytes(),
        int(rois.geometry_type[number]),
        [(ring.dtype.name, ring.tobytes()) for ring in rois.rings(number)],
        rois.ring_kind[rings].tolist(),
        rois.ring_part[rings].tolist(),
        rois.ring_is_hole[rings].tolist(),
        rois.bounds_px0[number].tobytes(),
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
