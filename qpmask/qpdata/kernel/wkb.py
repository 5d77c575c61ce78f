"""Well-known binary (WKB), compiled: the vertices of a geometry, ring by ring.

Either byte order, at every level. Third and fourth ordinates (Z, M) are dropped, in the numbering
of ISO (1001 ... 3007) as well as in PostGIS's flags. Nothing is rounded and no ring is closed.
The format: https://www.ogc.org/standard/sfa/ part 1, section 8.
"""

from __future__ import annotations

import numpy as np

from qpmask.imageobjects.kinds import GeometryType
from qpmask.jit import kernel
from qpmask.qpdata.kernel import faults
from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.kernel.library import I64, U8, Columns, Stream
from qpmask.qpdata.kernel.stream import full, i8, u4


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
def new_ring(n: I64, columns: Columns, pool: int, kind: int, part: int, n_points: int) -> int:
    """Begin a ring of so many vertices, in the pool of this count; give its number."""
    ring: int = n[k.RINGS]
    if ring >= len(columns.ring_first):
        return full(n, k.RINGS, 1)
    out = len(columns.vertices64) if pool == k.VERTICES64 else len(columns.vertices32)
    if 2 * (n[pool] + n_points) > out:
        return full(n, pool, n_points)
    columns.ring_first[ring] = n[pool]
    columns.ring_size[ring] = n_points
    columns.ring_kind[ring] = kind
    columns.ring_part[ring] = part
    columns.ring_is_hole[ring] = 0
    n[k.RINGS] = ring + 1
    return ring


@kernel
def _head(data: U8, pos: int, end: int, found: I64) -> int:
    """Read order, type and bytes of a vertex into ``found``."""
    if pos + 5 > end:
        return faults.WKB_ENDS
    order = np.int64(data[pos])
    if order > 1:
        return faults.WKB_ORDER
    code = _number(data, pos + 1, order)
    pos += 5
    n_ordinates = 2 + (code >> 31 & 1) + (code >> 30 & 1)
    if code & 0x20000000:
        pos += 4  # the number of a coordinate system
    code &= 0x1FFFFFFF
    kind, extra = code % 1000, code // 1000
    if kind < GeometryType.POINT or kind > GeometryType.COLLECTION or extra > 3:
        return faults.WKB_TYPE
    if extra:
        n_ordinates = max(n_ordinates, 4 if extra == 3 else 3)
    found[0], found[1], found[2] = order, kind, 8 * n_ordinates
    return pos


@kernel
def _rings_of(stream: Stream, columns: Columns, pos: int, end: int, head: I64, part: int) -> int:
    """Read what follows the head of a point, a line, a polygon or some points."""
    data, n = stream.data, stream.n
    order, kind, step = head[0], head[1], head[2]
    n_rings = 1
    if kind == GeometryType.POLYGON:
        if pos + 4 > end:
            return faults.WKB_ENDS
        n_rings = _number(data, pos, order)
        pos += 4
    for i in range(n_rings):
        n_points = 1
        if kind != GeometryType.POINT:
            if pos + 4 > end:
                return faults.WKB_ENDS
            n_points = _number(data, pos, order)
            pos += 4
        if pos + n_points * (21 if kind == GeometryType.MULTI_POINT else step) > end:
            return faults.WKB_ENDS
        ring_kind = GeometryType.POINT if kind == GeometryType.MULTI_POINT else kind
        ring = new_ring(n, columns, k.VERTICES64, ring_kind, part, n_points)
        if ring < 0:
            return ring
        columns.ring_is_hole[ring] = 1 if i > 0 else 0
        for _ in range(n_points):
            if kind == GeometryType.MULTI_POINT:
                pos = _head(data, pos, end, head)
                if pos < 0:
                    return pos
                if head[1] != GeometryType.POINT:
                    return faults.WKB_MEMBER
                order, step = head[0], head[2]
                if pos + step > end:
                    return faults.WKB_ENDS
            for axis in range(2):
                at = 2 * n[k.VERTICES64] + axis
                columns.vertices64[at] = _bits(data, pos + 8 * axis, order)
            n[k.VERTICES64] += 1
            pos += step
    return pos


@kernel
def geometry(stream: Stream, columns: Columns, pos: int, end: int) -> int:
    """Read the geometry from ``pos`` to ``end``; give its type, or a negative number."""
    data, collections = stream.data, stream.frames[stream.n[k.DEPTH] :]
    head = collections[k.MAX_COLLECTIONS]
    pos = _head(data, pos, end, head)
    if pos < 0:
        return pos
    whole = head[1]
    depth = 0
    part = 0
    while True:
        kind = head[1]
        if kind <= GeometryType.MULTI_POINT:
            pos = _rings_of(stream, columns, pos, end, head, part)
            part += 1
        elif depth >= k.MAX_COLLECTIONS:
            return faults.WKB_DEEP
        elif pos + 4 > end:
            return faults.WKB_ENDS
        else:
            collections[depth, 0] = kind
            collections[depth, 1] = _number(data, pos, head[0])
            pos += 4
            if collections[depth, 1] * 5 > end - pos:
                return faults.WKB_ENDS
            depth += 1
        if pos < 0:
            return pos
        while depth > 0 and collections[depth - 1, 1] == 0:
            depth -= 1
        if depth == 0:
            return whole if pos == end else faults.WKB_GOES_ON
        collections[depth - 1, 1] -= 1
        pos = _head(data, pos, end, head)
        if pos < 0:
            return pos
        parent = collections[depth - 1, 0]
        # A MultiLineString holds lines, a MultiPolygon polygons, a collection anything.
        if parent != GeometryType.COLLECTION and head[1] != parent - 3:
            return faults.WKB_MEMBER
