"""Well-known binary (WKB), compiled: the vertices of a geometry, ring by ring, into columns.

Either byte order, at every level. Third and fourth ordinates (Z, M) are dropped, in the numbering
of ISO (1001 ... 3007) as well as in PostGIS's flags. Nothing is rounded and no ring is closed.
The format: https://www.ogc.org/standard/sfa/ part 1, section 8.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from qpmask import jit
from qpmask.imageobjects.kinds import GeometryType
from qpmask.imageobjects.roicolumns import VERTICES64, RoiColumns, new_ring
from qpmask.jit import kernel

MAX_COLLECTIONS: Final = 32
"""Levels of collections of geometries inside collections."""

WRONG_SIZE, UNKNOWN_TYPE, WRONG_MEMBER, TOO_DEEP = range(-6, -2)
FAULTS: Final = {
    WRONG_SIZE: "it does not end where what it holds does",
    UNKNOWN_TYPE: "it holds a geometry of an unknown type or byte order",
    WRONG_MEMBER: "it holds a geometry of a type that may not be there",
    TOO_DEEP: f"it holds collections inside collections, {MAX_COLLECTIONS} deep",
}
"""What may be wrong with it, in words."""

# Without a sign: a compiled index that may be negative costs a comparison.
_1, _2, _3 = np.uint64(1), np.uint64(2), np.uint64(3)


@kernel
def _number(data: jit.U8_1D, pos: int, order: int) -> int:
    """Four bytes as a number; ``order`` is 1 where the last one counts most."""
    at = np.uint64(pos)
    a, b = np.int64(data[at]), np.int64(data[at + _1])
    c, d = np.int64(data[at + _2]), np.int64(data[at + _3])
    value: int = d << 24 | c << 16 | b << 8 | a if order else a << 24 | b << 16 | c << 8 | d
    return value


@kernel
def _bits(data: jit.U8_1D, pos: int, order: int) -> int:
    """The bits of a double."""
    first, second = _number(data, pos, order), _number(data, pos + 4, order)
    return second << 32 | first if order else first << 32 | second


@kernel
def _head(data: jit.U8_1D, pos: int, end: int, found: jit.I64_1D) -> int:
    """Read order, type and bytes of a vertex into ``found``."""
    if pos + 5 > end:
        return WRONG_SIZE
    order = np.int64(data[pos])
    if order > 1:
        return UNKNOWN_TYPE
    code = _number(data, pos + 1, order)
    pos += 5
    n_ordinates = 2 + (code >> 31 & 1) + (code >> 30 & 1)
    if code & 0x20000000:
        pos += 4  # the number of a coordinate system
    code &= 0x1FFFFFFF
    kind, extra = code % 1000, code // 1000
    if kind < GeometryType.POINT or kind > GeometryType.COLLECTION or extra > 3:
        return UNKNOWN_TYPE
    if extra:
        n_ordinates = max(n_ordinates, 4 if extra == 3 else 3)
    found[0], found[1], found[2] = order, kind, 8 * n_ordinates
    return pos


@kernel
def _rings_of(
    data: jit.U8_1D, pos: int, end: int, to: RoiColumns, head: jit.I64_1D, part: int
) -> int:
    """Read what follows the head of a point, a line, a polygon or some points."""
    order, kind, step = head[0], head[1], head[2]
    n_rings = 1
    if kind == GeometryType.POLYGON:
        if pos + 4 > end:
            return WRONG_SIZE
        n_rings = _number(data, pos, order)
        pos += 4
    for i in range(n_rings):
        n_points = 1
        if kind != GeometryType.POINT:
            if pos + 4 > end:
                return WRONG_SIZE
            n_points = _number(data, pos, order)
            pos += 4
        if pos + n_points * (21 if kind == GeometryType.MULTI_POINT else step) > end:
            return WRONG_SIZE
        ring_kind = GeometryType.POINT if kind == GeometryType.MULTI_POINT else kind
        ring = new_ring(to, VERTICES64, ring_kind, part, n_points)
        if ring < 0:
            return ring
        to.ring_is_hole[ring] = 1 if i > 0 else 0
        for _ in range(n_points):
            if kind == GeometryType.MULTI_POINT:
                pos = _head(data, pos, end, head)
                if pos < 0:
                    return pos
                if head[1] != GeometryType.POINT:
                    return WRONG_MEMBER
                order, step = head[0], head[2]
                if pos + step > end:
                    return WRONG_SIZE
            for axis in range(2):
                to.vertices64[2 * to.n[VERTICES64] + axis] = _bits(data, pos + 8 * axis, order)
            to.n[VERTICES64] += 1
            pos += step
    return pos


@kernel
def read_wkb(data: jit.U8_1D, pos: int, end: int, to: RoiColumns, collections: jit.I64_2D) -> int:
    """Read the geometry from ``pos`` to ``end`` as the rings of the last ROI.

    Gives its type, or a negative number: one of :data:`FAULTS`, or that there is no room.
    ``collections`` is room for ``MAX_COLLECTIONS + 1`` rows of three.
    """
    head = collections[MAX_COLLECTIONS]
    pos = _head(data, pos, end, head)
    if pos < 0:
        return pos
    whole = head[1]
    depth = 0
    part = 0
    while True:
        kind = head[1]
        if kind <= GeometryType.MULTI_POINT:
            pos = _rings_of(data, pos, end, to, head, part)
            part += 1
        elif depth >= MAX_COLLECTIONS:
            return TOO_DEEP
        elif pos + 4 > end:
            return WRONG_SIZE
        else:
            collections[depth, 0] = kind
            collections[depth, 1] = _number(data, pos, head[0])
            pos += 4
            if collections[depth, 1] * 5 > end - pos:
                return WRONG_SIZE
            depth += 1
        if pos < 0:
            return pos
        while depth > 0 and collections[depth - 1, 1] == 0:
            depth -= 1
        if depth == 0:
            return whole if pos == end else WRONG_SIZE
        collections[depth - 1, 1] -= 1
        pos = _head(data, pos, end, head)
        if pos < 0:
            return pos
        parent = collections[depth - 1, 0]
        # A MultiLineString holds lines, a MultiPolygon polygons, a collection anything.
        if parent != GeometryType.COLLECTION and head[1] != parent - 3:
            return WRONG_MEMBER
