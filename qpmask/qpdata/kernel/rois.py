"""ROIs, compiled: from the stand-ins that QuPath stores into to.

QuPath stores a ROI as ``<class>$SerializationProxy``, with the plane and the coordinates as fields
(``writeReplace`` in ``qupath.lib.roi``).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from qpmask.imageobjects.kinds import RingKind, RoiKind
from qpmask.imageobjects.roicolumns import (
    BOXES,
    RINGS,
    VERTICES32,
    VERTICES64,
    RoiColumns,
    begin_roi,
    new_ring,
)
from qpmask.imageobjects.wkb import read_wkb
from qpmask.javastream import reading as s
from qpmask.jit import kernel
from qpmask.jit.growing import ROOM
from qpmask.qpdata.kernel import faults
from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.kernel.library import I64, Stream

ALL_READ: Final = 3
"""Both axes, or all there is: in ``EXTRA`` of a ROI."""


@kernel
def new_roi(stream: Stream, to: RoiColumns, pos: int, row: int) -> int:
    """Begin a ROI with its plane, and its box if it is one; give its number."""
    data, places, kind = stream.data, stream.classes[row, k.PLACES :], stream.classes[row, k.KIND]
    is_box = RoiKind.RECTANGLE <= kind <= RoiKind.LINE
    for i in range(7 if is_box else 3):
        if places[i] < 0:
            return faults.ODD_ROI
    c, z = s.signed(s.u4(data, pos + places[0])), s.signed(s.u4(data, pos + places[1]))
    roi = begin_roi(to, kind, c, z, s.signed(s.u4(data, pos + places[2])))
    if roi < 0:
        return roi
    for i in range(4 if is_box else 0):  # stored as x, x2, y, y2
        at = 4 * to.n[BOXES] - 4 + (i >> 1) + 2 * (i & 1)
        to.boxes[at] = s.i8(data, pos + places[3 + i])
    stream.n[k.IN_ROI] = 1
    return roi


@kernel
def add_axis(stream: Stream, to: RoiColumns, axis: int, roi: int, part: int) -> int:
    """Take x or y of a ring from an array that was read; x says how many vertices there are."""
    n, entry = stream.n, stream.n[k.ENTRY]
    if entry & 15 != k.FLOATS_AT:
        return faults.ODD_ROI
    pos = (entry >> 4) - n[s.BASE]
    if pos < 0:
        return s.BACK
    n_items = s.u4(stream.data, pos)
    if axis == 0:
        kind = to.roi_kind[roi]
        ring_kind = RingKind.POLYGON
        if kind == RoiKind.POLYLINE:
            ring_kind = RingKind.LINE
        elif kind == RoiKind.POINTS:
            ring_kind = RingKind.POINT
        ring = new_ring(to, VERTICES32, ring_kind, part, n_items)
        if ring < 0:
            return ring
        n[VERTICES32] += n_items
    else:
        ring = to.ring_offsets[roi] + part
        if ring >= n[RINGS] or to.ring_size[ring] != n_items:
            return faults.UNEQUAL_AXES
    at = np.uint64(2 * to.ring_first[ring] + axis)
    for _ in range(n_items):
        pos += 4
        to.vertices32[at] = s.u4(stream.data, pos)
        at += np.uint64(2)
    return _reuse(n)


@kernel
def add_geometry(stream: Stream, to: RoiColumns, roi: int) -> int:
    """Take the geometry in an array of bytes that was read."""
    n, entry = stream.n, stream.n[k.ENTRY]
    if entry & 15 != k.BYTES_AT:
        return faults.ODD_ROI
    pos = (entry >> 4) - n[s.BASE]
    if pos < 0:
        return s.BACK
    n_rings, n_vertices = n[RINGS], n[VERTICES64]
    room = stream.frames[n[k.DEPTH] :]
    found = read_wkb(stream.data, pos + 4, pos + 4 + s.u4(stream.data, pos), to, room)
    if found < 0:
        n[RINGS], n[VERTICES64], n[k.ABOUT] = n_rings, n_vertices, found
        return ROOM if found == ROOM else faults.WKB
    to.geometry_type[roi] = found
    return _reuse(n)


@kernel
def _reuse(n: I64) -> int:
    """Coordinates that are referred to again and again could fill the memory."""
    n_bytes = 8 * n[VERTICES32] + 16 * (n[VERTICES64] + n[RINGS])
    return 0 if n_bytes <= k.MAX_REUSE * n[s.SIZE] + (1 << 20) else faults.SAME_COORDINATES
