"""The small files that QuPath wrote, and what read objects are compared as."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from qpmask.qpdata import ImageObjects, alike
from qpmask.qpdata.layouts import Layouts

FOLDER = Path(__file__).parent / "data"
SAMPLES = tuple(sorted(FOLDER.glob("objects-*.qpdata")))
EMPTY = tuple(sorted(FOLDER.glob("empty-*.qpdata")))


@contextmanager
def learning(row: int | None) -> Iterator[None]:
    """Read runs after ``row`` alike objects; None to read every object in full."""
    if row is None:
        with patch.object(Layouts, "match", lambda *_: None):
            yield
    else:
        with patch.object(alike, "ROW_FOR_RUN", row):
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
