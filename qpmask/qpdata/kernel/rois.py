"""ROIs, compiled: from the stand-ins that QuPath stores into columns.

QuPath stores a ROI as ``<class>$SerializationProxy``, with the plane and the coordinates as fields
(``writeReplace`` in ``qupath.lib.roi``).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from qpmask.jit import kernel
from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.kernel.library import I64, Columns, Stream
from qpmask.qpdata.kernel.stream import full, i8, signed, u4
from qpmask.qpdata.kernel.wkb import LINE_STRING, POINT, POLYGON, geometry, new_ring

ALL_READ: Final = 3
"""Both axes, or all there is: in ``EXTRA`` of a ROI."""


@kernel
def new_roi(stream: Stream, columns: Columns, pos: int, row: int) -> int:
    """Begin a ROI with its plane, and its box if it is one; give its number."""
    data, n, places = stream.data, stream.n, stream.classes[row, k.PLACES :]
    roi: int = n[k.ROIS]
    if roi + 2 > len(columns.ring_offsets):
        return full(n, k.ROIS, 2)
    if places[0] < 0:
        return k.NO_PLANE
    columns.roi_kind[roi] = stream.classes[row, k.KIND]
    columns.c[roi] = signed(u4(data, pos + places[0]))
    columns.z[roi] = signed(u4(data, pos + places[1]))
    columns.t[roi] = signed(u4(data, pos + places[2]))
    if k.RECTANGLE <= columns.roi_kind[roi] <= k.LINE:
        box = n[k.BOXES]
        if places[3] < 0:
            return k.NO_BOX
        if 4 * box >= len(columns.boxes):
            return full(n, k.BOXES, 1)
        for i in range(4):  # stored as x, x2, y, y2
            columns.boxes[4 * box + (i >> 1) + 2 * (i & 1)] = i8(data, pos + places[3] + 8 * i)
        n[k.BOXES] = box + 1
    columns.geometry_type[roi] = 0
    columns.ring_offsets[roi] = columns.ring_offsets[roi + 1] = n[k.RINGS]
    n[k.ROIS] = roi + 1
    n[k.IN_ROI] = 1
    return roi


@kernel
def add_axis(stream: Stream, columns: Columns, axis: int, roi: int, part: int) -> int:
    """Take x or y of a ring from an array that was read; x says how many vertices there are."""
    n, entry = stream.n, stream.n[k.ENTRY]
    if entry & 15 != k.FLOATS_AT:
        return k.NO_COORDINATES
    pos = (entry >> 4) - n[k.BASE]
    if pos < 0:
        return k.BACK
    n_items = u4(stream.data, pos)
    if axis == 0:
        kind = columns.roi_kind[roi]
        ring_kind = LINE_STRING if kind == k.POLYLINE else POINT if kind == k.POINTS else POLYGON
        ring = new_ring(n, columns, k.VERTICES32, ring_kind, part, n_items)
        if ring < 0:
            return ring
        n[k.VERTICES32] += n_items
    else:
        ring = columns.ring_offsets[roi] + part
        if ring >= n[k.RINGS] or columns.ring_size[ring] != n_items:
            return k.UNEQUAL_AXES
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
        return k.NO_COORDINATES
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
    return 0 if n_bytes <= k.MAX_REUSE * n[k.SIZE] + (1 << 20) else k.SAME_COORDINATES
