"""Well-known binary (WKB), compiled: the vertices of a geometry, ring by ring.

Either byte order, at every level. Third and fourth ordinates (Z, M) are dropped, in the numbering
of ISO (1001 ... 3007) as well as in PostGIS's flags. Nothing is rounded and no ring is closed.
The format: https://www.ogc.org/standard/sfa/ part 1, section 8.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from qpmask import jit
from qpmask.jit import kernel
from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.kernel.library import I32, I64, LIBRARY, U8
from qpmask.qpdata.kernel.stream import full, i8, u4

POINT: Final = 1
LINE_STRING: Final = 2
POLYGON: Final = 3
MULTI_POINT: Final = 4
MULTI_LINE_STRING: Final = 5
MULTI_POLYGON: Final = 6
GEOMETRY_COLLECTION: Final = 7

#: Levels of collections inside collections.
MAX_DEPTH: Final = 32

ENDS: Final = -10
ORDER: Final = -11
TYPE: Final = -12
MEMBER: Final = -13
DEEP: Final = -14
GOES_ON: Final = -15
WRONG: Final = {
    ENDS: "it ends before what it holds does",
    ORDER: "it has an unknown byte order",
    TYPE: "it holds a geometry of an unknown type",
    MEMBER: "it holds a geometry of a type that may not be there",
    DEEP: f"it holds collections inside collections, {MAX_DEPTH} deep",
    GOES_ON: "it goes on after its end",
}
"""What :func:`geometry` finds wrong."""


class Rings(NamedTuple):
    """The rings of geometries, as in :class:`~qpmask.qpdata.model.Rois`.

    ``n[RINGS]`` rings and ``n[VERTICES64]`` vertices are in the arrays; ``open`` is room for the
    open collections, of int64 (MAX_DEPTH + 1, 3).
    """

    n: I64
    ring_first: I64
    ring_size: I64
    ring_kind: U8
    ring_part: I32
    ring_is_hole: U8
    vertices64: I64
    open: jit.I64_2D


@kernel
def _number(data: U8, pos: int, order: int) -> int:
    value = u4(data, pos)
    if order:
        value = (value & 255) << 24 | (value & 0xFF00) << 8 | value >> 8 & 0xFF00 | value >> 24
    return value


@kernel
def _bits(data: U8, pos: int, order: int) -> int:
    """The bits of a double."""
    if order:
        return _number(data, pos + 4, 1) << 32 | _number(data, pos, 1)
    return i8(data, pos)


@kernel
def _new_ring(rings: Rings, kind: int, part: int, hole: bool, n_points: int) -> int:
    """Begin a ring of so many vertices; give its number."""
    n = rings.n
    ring: int = n[k.RINGS]
    if ring >= len(rings.ring_first):
        return full(n, k.RINGS, 1)
    if 2 * (n[k.VERTICES64] + n_points) > len(rings.vertices64):
        return full(n, k.VERTICES64, n_points)
    rings.ring_first[ring] = n[k.VERTICES64]
    rings.ring_size[ring] = n_points
    rings.ring_kind[ring] = kind
    rings.ring_part[ring] = part
    rings.ring_is_hole[ring] = 1 if hole else 0
    n[k.RINGS] = ring + 1
    return ring


@kernel
def _add_vertices(data: U8, pos: int, order: int, step: int, n_points: int, rings: Rings) -> None:
    """Add vertices, one every ``step`` bytes, that :func:`_new_ring` has counted and room for."""
    out, at = rings.vertices64, 2 * rings.n[k.VERTICES64]
    for i in range(n_points):
        out[at + 2 * i] = _bits(data, pos + step * i, order)
        out[at + 2 * i + 1] = _bits(data, pos + step * i + 8, order)
    rings.n[k.VERTICES64] += n_points


@kernel
def _head(data: U8, pos: int, end: int, found: I64) -> int:
    """Read order, type and bytes of a vertex into ``found``."""
    if pos + 5 > end:
        return ENDS
    order = np.int64(data[pos])
    if order > 1:
        return ORDER
    code = _number(data, pos + 1, order)
    pos += 5
    n_ordinates = 2 + (code >> 31 & 1) + (code >> 30 & 1)
    if code & 0x20000000:
        pos += 4  # the number of a coordinate system
    code &= 0x1FFFFFFF
    kind, extra = code % 1000, code // 1000
    if kind < POINT or kind > GEOMETRY_COLLECTION or extra > 3:
        return TYPE
    if extra:
        n_ordinates = max(n_ordinates, 4 if extra == 3 else 3)
    found[0], found[1], found[2] = order, kind, 8 * n_ordinates
    return pos


@kernel
def _rings_of(data: U8, pos: int, end: int, head: I64, part: int, rings: Rings) -> int:
    """Read what follows the head of a point, a line, a polygon or some points."""
    order, kind, step = head[0], head[1], head[2]
    if kind == POINT:
        if pos + step > end:
            return ENDS
        ring = _new_ring(rings, POINT, part, False, 1)
        if ring < 0:
            return ring
        _add_vertices(data, pos, order, step, 1, rings)
        pos += step
        return pos
    n_rings = 1
    if kind == POLYGON:
        if pos + 4 > end:
            return ENDS
        n_rings = _number(data, pos, order)
        pos += 4
    for i in range(n_rings):
        if pos + 4 > end:
            return ENDS
        n_points = _number(data, pos, order)
        pos += 4
        if pos + n_points * (21 if kind == MULTI_POINT else step) > end:
            return ENDS
        ring_kind = POINT if kind == MULTI_POINT else kind
        ring = _new_ring(rings, ring_kind, part, i > 0, n_points)
        if ring < 0:
            return ring
        if kind == MULTI_POINT:
            for _ in range(n_points):
                pos = _head(data, pos, end, head)
                if pos < 0:
                    return pos
                if head[1] != POINT:
                    return MEMBER
                if pos + head[2] > end:
                    return ENDS
                _add_vertices(data, pos, head[0], head[2], 1, rings)
                pos += head[2]
        else:
            _add_vertices(data, pos, order, step, n_points, rings)
            pos += n_points * step
    return pos


@LIBRARY.entry
def read_geometry(data: U8, rings: Rings) -> int:
    """Read a geometry; see :func:`geometry`."""
    return geometry(data, 0, len(data), rings)


@kernel
def geometry(data: U8, pos: int, end: int, rings: Rings) -> int:
    """Read the geometry from ``pos`` to ``end``; give its type, ROOM, or what is in ``WRONG``."""
    collections = rings.open
    head = collections[MAX_DEPTH]
    pos = _head(data, pos, end, head)
    if pos < 0:
        return pos
    whole = head[1]
    depth = 0
    part = 0
    while True:
        kind = head[1]
        if kind <= MULTI_POINT:
            pos = _rings_of(data, pos, end, head, part, rings)
            part += 1
        elif depth >= MAX_DEPTH:
            return DEEP
        elif pos + 4 > end:
            return ENDS
        else:
            collections[depth, 0] = kind
            collections[depth, 1] = _number(data, pos, head[0])
            pos += 4
            if collections[depth, 1] * 5 > end - pos:
                return ENDS
            depth += 1
        if pos < 0:
            return pos
        while depth > 0 and collections[depth - 1, 1] == 0:
            depth -= 1
        if depth == 0:
            return whole if pos == end else GOES_ON
        collections[depth - 1, 1] -= 1
        pos = _head(data, pos, end, head)
        if pos < 0:
            return pos
        parent = collections[depth - 1, 0]
        # A MultiLineString holds lines, a MultiPolygon polygons, a collection anything.
        if parent != GEOMETRY_COLLECTION and head[1] != parent - 3:
            return MEMBER
