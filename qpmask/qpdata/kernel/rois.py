"""ROIs, compiled: from the stand-ins that QuPath stores into columns.

QuPath stores a ROI as ``<class>$SerializationProxy``, with the plane and the coordinates as fields
(``writeReplace`` in ``qupath.lib.roi``).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from qpmask.imageobjects.kinds import RingKind, RoiKind
from qpmask.jit import kernel
from qpmask.qpdata.kernel import faults
from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.kernel.library import I64, Columns, Stream
from qpmask.qpdata.kernel.stream import full, i8, signed, u4
from qpmask.qpdata.kernel.wkb import geometry, new_ring

ALL_READ: Final = 3
"""Both axes, or all there is: in ``EXTRA`` of a ROI."""


@kernel
def new_roi(stream: Stream, columns: Columns, pos: int, row: int) -> int:
    """Begin a ROI with its plane, and its box if it is one; give its number."""
    data, n, places = stream.data, stream.n, stream.classes[row, k.PLACES :]
    roi: int = n[k.ROIS]
    if roi + 2 > len(columns.ring_offsets):
        return full(n, k.ROIS, 2)
    if min(places[0], places[1], places[2]) < 0:
        return faults.NO_PLANE
    columns.roi_kind[roi] = stream.classes[row, k.KIND]
    columns.c[roi] = signed(u4(data, pos + places[0]))
    columns.z[roi] = signed(u4(data, pos + places[1]))
    columns.t[roi] = signed(u4(data, pos + places[2]))
    if RoiKind.RECTANGLE <= columns.roi_kind[roi] <= RoiKind.LINE:
        box = n[k.BOXES]
        if min(places[3], places[4], places[5], places[6]) < 0:
            return faults.NO_BOX
        if 4 * box >= len(columns.boxes):
            return full(n, k.BOXES, 1)
        for i in range(4):  # stored as x, x2, y, y2
            columns.boxes[4 * box + (i >> 1) + 2 * (i & 1)] = i8(data, pos + places[3 + i])
        n[k.BOXES] = box + 1
    columns.geometry_type[roi] = 0
    columns.ring_offsets[roi] = columns.ring_offsets[roi + 1] = n[k.RINGS]
    n[k.ROIS] = roi + 1
    n[k.IN_ROI] = 1
    return roi


@kernel
def finish_roi(n: I64, columns: Columns, roi: int) -> None:
    """Tell whether it is empty: no x is a number, or no y."""
    columns.ring_offsets[roi + 1] = n[k.RINGS]
    n[k.IN_ROI] = 0
    seen = 0
    for ring in range(columns.ring_offsets[roi], n[k.RINGS]):
        first = 2 * columns.ring_first[ring]
        for i in range(first, first + 2 * columns.ring_size[ring]):
            if columns.roi_kind[roi] == RoiKind.GEOMETRY:
                is_nan = columns.vertices64[i] & 0x7FFFFFFFFFFFFFFF > 0x7FF0000000000000
            else:
                is_nan = columns.vertices32[i] & 0x7FFFFFFF > 0x7F800000
            seen |= 0 if is_nan else 1 + (i & 1)
            if seen == ALL_READ:
                break
        if seen == ALL_READ:
            break
    columns.is_empty[roi] = 0 if seen == ALL_READ else 1


@kernel
def was_dropped(columns: Columns, roi: int) -> bool:
    """Whether the rings of a ROI were let go of."""
    if columns.is_empty[roi] or RoiKind.RECTANGLE <= columns.roi_kind[roi] <= RoiKind.LINE:
        return False
    return bool(columns.ring_offsets[roi + 1] == columns.ring_offsets[roi])


@kernel
def drop_last_outline(n: I64, columns: Columns) -> None:
    """Let go of the rings of the ROI that was read last."""
    roi = n[k.ROIS] - 1
    ring = columns.ring_offsets[roi]
    if ring < n[k.RINGS]:
        in_64 = columns.roi_kind[roi] == RoiKind.GEOMETRY
        n[k.VERTICES64 if in_64 else k.VERTICES32] = columns.ring_first[ring]
        n[k.RINGS] = columns.ring_offsets[roi + 1] = ring


@kernel
def add_axis(stream: Stream, columns: Columns, axis: int, roi: int, part: int) -> int:
    """Take x or y of a ring from an array that was read; x says how many vertices there are."""
    n, entry = stream.n, stream.n[k.ENTRY]
    if entry & 15 != k.FLOATS_AT:
        return faults.NO_COORDINATES
    pos = (entry >> 4) - n[k.BASE]
    if pos < 0:
        return k.BACK
    n_items = u4(stream.data, pos)
    if axis == 0:
        kind = columns.roi_kind[roi]
        ring_kind = RingKind.POLYGON
        if kind == RoiKind.POLYLINE:
            ring_kind = RingKind.LINE
        elif kind == RoiKind.POINTS:
            ring_kind = RingKind.POINT
        ring = new_ring(n, columns, k.VERTICES32, ring_kind, part, n_items)
        if ring < 0:
            return ring
        n[k.VERTICES32] += n_items
    else:
        ring = columns.ring_offsets[roi] + part
        if ring >= n[k.RINGS] or columns.ring_size[ring] != n_items:
            return faults.UNEQUAL_AXES
    at = np.uint64(2 * columns.ring_first[ring] + axis)
    for _ in range(n_items):
        pos += 4
        columns.vertices32[at] = u4(stream.data, pos)
        at += np.uint64(2)
    return _reuse(n)


@kernel
def add_geometry(stream: Stream, columns: Columns, roi: int) -> int:
    """Take the geometry in an array of bytes that was read."""
    n, entry = stream.n, stream.n[k.ENTRY]
    if entry & 15 != k.BYTES_AT:
        return faults.NO_COORDINATES
    pos = (entry >> 4) - n[k.BASE]
    if pos < 0:
        return k.BACK
    n_rings, n_vertices = n[k.RINGS], n[k.VERTICES64]
    found = geometry(stream, columns, pos + 4, pos + 4 + u4(stream.data, pos))
    if found < 0:
        n[k.RINGS], n[k.VERTICES64] = n_rings, n_vertices
        return found
    columns.geometry_type[roi] = found
    return _reuse(n)


@kernel
def _reuse(n: I64) -> int:
    """Coordinates that are referred to again and again could fill the memory."""
    n_bytes = 8 * n[k.VERTICES32] + 16 * (n[k.VERTICES64] + n[k.RINGS])
    return 0 if n_bytes <= k.MAX_REUSE * n[k.SIZE] + (1 << 20) else faults.SAME_COORDINATES
