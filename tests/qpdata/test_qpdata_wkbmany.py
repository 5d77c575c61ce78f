"""Geometries that are read together: as :func:`read_wkb` reads each of them, or not at all."""

from __future__ import annotations

import random
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpmask.qpdata.lanedata import LaneData
from qpmask.qpdata.wkb import WkbError, read_wkb
from qpmask.qpdata.wkbmany import MAX_RINGS, read_polygons


def polygon(rings: list[int]) -> bytes:
    """A polygon whose rings have so many vertices."""
    out = struct.pack(">BII", 0, 3, len(rings))
    for i, n_points in enumerate(rings):
        out += struct.pack(f">I{2 * n_points}d", n_points, *(i + np.arange(2 * n_points) / 4))
    return out


def multi_polygon(polygons: list[list[int]]) -> bytes:
    return struct.pack(">BII", 0, 6, len(polygons)) + b"".join(map(polygon, polygons))


def read_all(geometries: list[bytes]) -> list[tuple[object, ...] | None]:
    """What each geometry holds, None for those that are left to others; they follow one another."""
    data = b"head" + b"".join(geometries) + bytes(32)
    sizes = np.array([len(geometry) for geometry in geometries], np.int64)
    starts = 4 + np.cumsum(sizes) - sizes
    found = read_polygons(LaneData(data), starts, sizes)
    out: list[tuple[object, ...] | None] = [None] * len(geometries)
    ends = np.cumsum(found.n_rings)
    numbers = np.flatnonzero(found.good).tolist()
    for number, kind, n, end in zip(
        numbers, found.geometry_types.tolist(), found.n_rings.tolist(), ends.tolist(), strict=True
    ):
        rings = slice(end - n, end)
        places, counts = found.places[rings].tolist(), found.sizes[rings].tolist()
        xy = [data[at : at + 16 * size] for at, size in zip(places, counts, strict=True)]
        out[number] = kind, counts, found.parts[rings].tolist(), found.holes[rings].tolist(), xy
    return out


def expected(geometry: bytes) -> tuple[object, ...] | None:
    try:
        rings = read_wkb(geometry)
    except WkbError:
        return None
    return rings.geometry_type, rings.sizes, rings.parts, rings.holes, rings.xy


ring_lists = st.lists(st.integers(0, 5), max_size=4)
geometries = st.one_of(
    st.builds(polygon, ring_lists), st.builds(multi_polygon, st.lists(ring_lists, max_size=4))
)


@given(st.lists(geometries, max_size=8))
def test_polygons(items: list[bytes]) -> None:
    assert read_all(items) == [expected(item) for item in items]


def test_rings_and_parts() -> None:
    (found,) = read_all([multi_polygon([[4, 3], [], [5]])])
    assert found is not None
    assert found[:4] == (6, [4, 3, 5], [0, 0, 2], [False, True, False])


@pytest.mark.parametrize(
    "geometry",
    [
        b"",
        b"\0\0\0\0\3",
        b"\1" + polygon([4])[1:],
        struct.pack(">BI2d", 0, 1, 1, 2),
        struct.pack(">BII", 0, 3, 2**32 - 1),
        struct.pack(">BIII", 0, 3, 1, 2**31) + bytes(40),
        struct.pack(">BII", 0, 6, 2**31) + polygon([4]),
        struct.pack(">BII", 0, 1003, 0),
        polygon([4]) + b"\0",
        polygon([4])[:-1],
        multi_polygon([[4], [3]])[:-60],
        polygon([1] * (MAX_RINGS + 1)),
    ],
)
def test_others_are_left(geometry: bytes) -> None:
    good = polygon([4, 3])
    assert read_all([good, geometry, good]) == [expected(good), None, expected(good)]


def test_damage() -> None:
    rng = random.Random(5)
    items = []
    for _ in range(3000):
        shape = [[rng.randrange(6) for _ in range(rng.randrange(4))] for _ in range(3)]
        out = bytearray(multi_polygon(shape) if rng.random() < 0.7 else polygon(shape[0]))
        for _ in range(rng.randrange(3)):
            out[rng.randrange(min(len(out), 90))] = rng.choice((0, 1, 2, 3, 6, 255, 128))
        items.append(bytes(out[: len(out) - (rng.random() < 0.1)]))
    found = read_all(items)
    assert 500 < sum(item is not None for item in found) < 2900
    for item, item_found in zip(items, found, strict=True):
        if item_found is not None:
            assert item_found == expected(item)
