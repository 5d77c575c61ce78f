"""Reads well-known binary (WKB): the vertices of a geometry, ring by ring.

Either byte order, at every level. Third and fourth ordinates (Z, M) are dropped, in the numbering
of ISO (1001 ... 3007) as well as in PostGIS's flags. Nothing is rounded and no ring is closed.
The format: https://www.ogc.org/standard/sfa/ part 1, section 8.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

import numpy as np

POINT: Final = 1
LINE_STRING: Final = 2
POLYGON: Final = 3
MULTI_POINT: Final = 4
MULTI_LINE_STRING: Final = 5
MULTI_POLYGON: Final = 6
GEOMETRY_COLLECTION: Final = 7

#: What the members of a collection must be.
_MEMBERS: Final = {
    MULTI_LINE_STRING: frozenset({LINE_STRING}),
    MULTI_POLYGON: frozenset({POLYGON}),
    GEOMETRY_COLLECTION: frozenset(range(POINT, GEOMETRY_COLLECTION + 1)),
}
#: Levels of collections inside collections.
MAX_DEPTH: Final = 32

#: Unpack a number, by byte order.
_NUMBERS: Final = (struct.Struct(">I").unpack_from, struct.Struct("<I").unpack_from)
#: Numbers of ordinates in the numbering of ISO: plain, Z, M, ZM.
_ORDINATES: Final = (2, 3, 3, 4)
#: Byte order, type and number of ordinates of all heads without flags.
_HEADS: Final = {
    bytes([order]) + (1000 * extra + kind).to_bytes(4, "little" if order else "big"): (
        order,
        kind,
        n_ordinates,
    )
    for order in (0, 1)
    for kind in range(POINT, GEOMETRY_COLLECTION + 1)
    for extra, n_ordinates in enumerate(_ORDINATES)
}


class WkbError(ValueError):
    """The bytes are no geometry; private to this package."""


@dataclass(slots=True)
class WkbRings:
    """The rings of a geometry.

    Attributes
    ----------
    geometry_type : int
        Type of the whole, 1 (Point) to 7 (GeometryCollection).
    types : list of int
        Type of the part of each ring: POINT, LINE_STRING or POLYGON.
    parts : list of int
        Number of the part of each ring, counted from 0: the rings of one polygon share it.
    holes : list of bool
        Whether the ring is a hole of its polygon.
    sizes : list of int
        Number of vertices of each ring. All the points of a MultiPoint are one ring.
    xy : list of bytes
        The vertices of each ring: x, y as big-endian float64.
    """

    geometry_type: int
    types: list[int] = field(default_factory=list)
    parts: list[int] = field(default_factory=list)
    holes: list[bool] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    xy: list[bytes] = field(default_factory=list)

    def add(self, ring_type: int, part: int, hole: bool, xy: bytes) -> None:
        """Add a ring."""
        self.types.append(ring_type)
        self.parts.append(part)
        self.holes.append(hole)
        self.sizes.append(len(xy) // 16)
        self.xy.append(xy)


class _Reader:
    """Where we are in the bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)
        self.pos = 0

    def head(self) -> tuple[int, int, int]:
        """Read byte order (1 little-endian), type and number of ordinates."""
        found = _HEADS.get(self.data[self.pos : self.pos + 5])
        if found is not None:
            self.pos += 5
            return found
        return self._other_head()

    def _other_head(self) -> tuple[int, int, int]:
        """Read a head with flags, or say what is wrong with it."""
        if self.pos + 5 > self.size:
            raise WkbError("it ends inside the head of a geometry")
        order = self.data[self.pos]
        if order > 1:
            raise WkbError(f"it has an unknown byte order ({order})")
        code: int = _NUMBERS[order](self.data, self.pos + 1)[0]
        self.pos += 5
        n_ordinates = 2 + bool(code & 0x80000000) + bool(code & 0x40000000)
        if code & 0x20000000:
            self.pos += 4  # the number of a coordinate system
        code &= 0x1FFFFFFF
        kind, extra = code % 1000, code // 1000
        if not POINT <= kind <= GEOMETRY_COLLECTION or extra > 3:
            raise WkbError(f"it holds a geometry of unknown type {code}")
        return order, kind, max(n_ordinates, _ORDINATES[extra])

    def count(self, order: int, item_bytes: int) -> int:
        """Read a number of items and check that so many can follow."""
        pos = self.pos + 4
        if pos > self.size:
            raise WkbError("it ends inside a number")
        n_items: int = _NUMBERS[order](self.data, pos - 4)[0]
        self.pos = pos
        if n_items * item_bytes > self.size - pos:
            raise WkbError("it ends before its items do")
        return n_items

    def vertices(self, order: int, n_ordinates: int, n_points: int) -> bytes:
        """Read vertices, of which there are so many, as x, y in big-endian float64."""
        end = self.pos + n_points * n_ordinates * 8
        if end > self.size:
            raise WkbError("it ends before its vertices do")
        raw = self.data[self.pos : end]
        self.pos = end
        return raw if n_ordinates == 2 and order == 0 else _xy_of(raw, order, n_ordinates)

    def polygon(self, order: int, n_ordinates: int, part: int, rings: WkbRings) -> None:
        """Read the rings of a polygon; in one function, since there are so many of them."""
        n_rings = self.count(order, 4)
        if not n_rings:
            return
        data, number = self.data, _NUMBERS[order]
        vertex_bytes = 8 * n_ordinates
        plain = n_ordinates == 2 and order == 0
        end = self.pos
        for _ in range(n_rings):
            start = end + 4
            if start > self.size:
                raise WkbError("it ends inside a number")
            n_points: int = number(data, end)[0]
            end = start + n_points * vertex_bytes
            if end > self.size:
                raise WkbError("it ends before its vertices do")
            raw = data[start:end]
            rings.xy.append(raw if plain else _xy_of(raw, order, n_ordinates))
            rings.sizes.append(n_points)
        self.pos = end
        rings.types += [POLYGON] * n_rings
        rings.parts += [part] * n_rings
        rings.holes.append(False)
        rings.holes += [True] * (n_rings - 1)


def _xy_of(raw: bytes, order: int, n_ordinates: int) -> bytes:
    """Make x, y in big-endian float64 of other vertices."""
    values = np.frombuffer(raw, "<f8" if order else ">f8").reshape(-1, n_ordinates)
    return values[:, :2].astype(">f8").tobytes()


def read_wkb(data: bytes) -> WkbRings:
    """Read a geometry.

    Parameters
    ----------
    data : bytes
        All of it.

    Returns
    -------
    WkbRings
        Its rings, in order.

    Raises
    ------
    WkbError
        Where the bytes are no geometry of a known type.
    """
    reader = _Reader(data)
    order, kind, n_ordinates = reader.head()
    rings = WkbRings(kind)
    n_parts = 0
    # Collections that are open: type and number of members that are still to come.
    collections: list[list[int]] = []
    while True:
        if kind == POLYGON:
            reader.polygon(order, n_ordinates, n_parts, rings)
            n_parts += 1
        elif kind == LINE_STRING:
            n_points = reader.count(order, 8 * n_ordinates)
            rings.add(LINE_STRING, n_parts, False, reader.vertices(order, n_ordinates, n_points))
            n_parts += 1
        elif kind == POINT:
            rings.add(POINT, n_parts, False, reader.vertices(order, n_ordinates, 1))
            n_parts += 1
        elif kind == MULTI_POINT:
            rings.add(POINT, n_parts, False, _read_points(reader, reader.count(order, 21)))
            n_parts += 1
        elif len(collections) >= MAX_DEPTH:
            raise WkbError(f"it holds collections inside collections, {MAX_DEPTH} deep")
        else:
            collections.append([kind, reader.count(order, 5)])
        while collections and not collections[-1][1]:
            collections.pop()
        if not collections:
            break
        collections[-1][1] -= 1
        order, kind, n_ordinates = reader.head()
        if kind not in _MEMBERS[collections[-1][0]]:
            raise WkbError(f"it holds a geometry of type {kind} where it may not")
    if reader.pos != len(data):
        raise WkbError("it goes on after its end")
    return rings


def _read_points(reader: _Reader, n_points: int) -> bytes:
    """Read the points of a MultiPoint: at once where all heads are the same, as they always are."""
    if not n_points:
        return b""
    start = reader.pos
    head_bytes = reader.data[start : start + 5]
    order, kind, n_ordinates = reader.head()
    size = 5 + 8 * n_ordinates
    raw = reader.data[start : start + n_points * size]
    if kind == POINT and reader.pos == start + 5 and len(raw) == n_points * size:
        items = np.frombuffer(raw, np.uint8).reshape(n_points, size)
        if bool((items[:, :5] == np.frombuffer(head_bytes, np.uint8)).all()):
            reader.pos = start + len(raw)
            values = items[:, 5:21].copy().view("<f8" if order else ">f8")
            return bytes(values.astype(">f8").tobytes())
    reader.pos = start
    points = []
    for _ in range(n_points):
        order, kind, n_ordinates = reader.head()
        if kind != POINT:
            raise WkbError(f"it holds a geometry of type {kind} where a point belongs")
        points.append(reader.vertices(order, n_ordinates, 1))
    return b"".join(points)
