"""ROIs, compiled: from the stand-ins that QuPath stores into columns.

QuPath stores a ROI as ``<class>$SerializationProxy``, with the plane and the coordinates as fields
(``writeReplace`` in ``qupath.lib.roi``).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from qpmask.jit import kernel
from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.kernel.library import U8, U32, Columns, Stream
from qpmask.qpdata.kernel.stream import full, i4, i8, lacking, u4
from qpmask.qpdata.kernel.values import array_of, open_object, read_entry, skip_value
from qpmask.qpdata.kernel.wkb import LINE_STRING, POINT, POLYGON, Rings, geometry

RECTANGLE, LINE, POLYLINE, POINTS, AREA = 1, 3, 4, 5, 7
"""Some of :class:`~qpmask.qpdata.model.RoiKind`."""
NAN_BITS: Final = 0x7FF8000000000000
_MIN_ARRAY_BYTES: Final = 10


@kernel
def _ring_kind(roi_kind: int) -> int:
    if roi_kind == POLYLINE:
        return LINE_STRING
    return POINT if roi_kind == POINTS else POLYGON


@kernel
def _put_floats(data: U8, pos: int, n_items: int, out: U32, at: int) -> None:
    """Put numbers into every other place."""
    to = np.uint64(at)
    for _ in range(n_items):
        out[to] = u4(data, pos)
        pos += 4
        to += np.uint64(2)


@kernel
def _axis_of_ring(
    stream: Stream, columns: Columns, pos: int, axis: int, ring: int, vertex: int
) -> int:
    """Read x or y of a ring; x says how many there are."""
    items = stream.frames[0]
    pos = array_of(stream, pos, 0x46, items)
    if pos < 0:
        return pos
    n_items = items[1]
    if axis == 0:
        if 2 * (vertex + n_items) > len(columns.vertices32):
            return full(stream.n, k.VERTICES32, vertex - stream.n[k.VERTICES32] + n_items)
        columns.ring_first[ring] = vertex
        columns.ring_size[ring] = n_items
    elif columns.ring_size[ring] != n_items:
        return k.UNKNOWN
    _put_floats(stream.data, pos, n_items, columns.vertices32, 2 * vertex + axis)
    pos += 4 * n_items
    return pos


@kernel
def _axis(stream: Stream, columns: Columns, pos: int, axis: int, kind: int) -> int:
    """Read x or y of a ROI: of one ring, or of as many as an area has."""
    n = stream.n
    n_rings = 1
    if kind == AREA:
        items = stream.frames[0]
        pos = array_of(stream, pos, 0, items)
        if pos < 0:
            return pos
        n_rings = items[1]
        if n_rings * _MIN_ARRAY_BYTES > n[k.SIZE] - n[k.BASE] - pos:
            return k.UNKNOWN
    roi = n[k.ROIS]
    first = columns.ring_offsets[roi]
    if axis == 0:
        if first + n_rings > len(columns.ring_first):
            return full(n, k.RINGS, n_rings)
        n[k.RINGS] = first + n_rings
    elif n[k.RINGS] != first + n_rings:
        return k.UNKNOWN
    vertex = n[k.VERTICES32]
    for ring in range(first, first + n_rings):
        pos = _axis_of_ring(stream, columns, pos, axis, ring, vertex)
        if pos < 0:
            return pos
        vertex += columns.ring_size[ring]
        columns.ring_kind[ring] = _ring_kind(kind)
        columns.ring_part[ring] = ring - first
        columns.ring_is_hole[ring] = 0
    if axis == 1:
        n[k.VERTICES32] = vertex
    return pos


@kernel
def _geometry(stream: Stream, columns: Columns, pos: int) -> int:
    """Read a geometry, which is an array of bytes."""
    items = stream.frames[0]
    pos = array_of(stream, pos, 0x42, items)
    if pos < 0:
        return pos
    end: int = pos + items[1]
    rings = Rings(
        stream.n,
        columns.ring_first,
        columns.ring_size,
        columns.ring_kind,
        columns.ring_part,
        columns.ring_is_hole,
        columns.vertices64,
        stream.frames,
    )
    found = geometry(stream.data, pos, end, rings)
    if found < 0:
        return k.ROOM if found == k.ROOM else k.UNKNOWN
    columns.geometry_type[stream.n[k.ROIS]] = found
    return end


@kernel
def read_roi(stream: Stream, columns: Columns, pos: int) -> int:
    """Read a ROI, a reference to one or null; its number is ``n[ROI]``, -1 for none."""
    data, n, classes = stream.data, stream.n, stream.classes
    if pos >= len(data):
        return lacking(stream, pos + 1)
    if data[pos] != k.TC_OBJECT:
        pos = read_entry(stream, pos)
        n[k.ROI] = -1 if n[k.ENTRY] == k.NULL else n[k.ENTRY] >> 4
        is_roi = n[k.ROI] < 0 or n[k.ENTRY] & 15 == k.ROI_NUMBER
        return pos if pos < 0 or is_roi else k.UNKNOWN
    pos = open_object(stream, pos, k.A_ROI)
    if pos < 0:
        return pos
    row, roi = n[k.ROW], n[k.ROIS]
    if roi + 2 > len(columns.ring_offsets):
        return full(n, k.ROIS, 2)
    stream.handles[n[k.HANDLES] - 1] = k.ROI_NUMBER | roi << 4
    if pos + classes[row, k.N_BYTES] > len(data):
        return lacking(stream, pos + classes[row, k.N_BYTES])
    kind = classes[row, k.KIND]
    columns.roi_kind[roi] = kind
    columns.c[roi] = i4(data, pos + classes[row, k.PLACES])
    columns.z[roi] = i4(data, pos + classes[row, k.PLACES + 1])
    columns.t[roi] = i4(data, pos + classes[row, k.PLACES + 2])
    columns.geometry_type[roi] = 0
    has_box = RECTANGLE <= kind <= LINE
    box_at = pos + classes[row, k.PLACES + 3]
    for i in range(4):  # stored as x, x2, y, y2
        to = 4 * roi + (i >> 1) + 2 * (i & 1)
        columns.box[to] = i8(data, box_at + 8 * i) if has_box else NAN_BITS
    pos += classes[row, k.N_BYTES]
    columns.ring_offsets[roi] = n[k.RINGS]
    roles = classes[row, k.FIELDS]
    for _ in range(classes[row, k.N_FIELDS]):
        role = roles & 15
        roles >>= 4
        if role == k.SKIP:
            pos = skip_value(stream, pos)
        elif role == k.FIELD_WKB:
            pos = _geometry(stream, columns, pos)
        else:
            pos = _axis(stream, columns, pos, role - k.FIELD_X, kind)
        if pos < 0:
            return pos
    n[k.ROIS] = roi + 1
    columns.ring_offsets[roi + 1] = n[k.RINGS]
    n[k.ROI] = roi
    return pos
