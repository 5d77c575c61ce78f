"""Well-known binary, written by hand in both byte orders."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qpdata.qpdata_builder import Obj, Roi, data_file
from qpdata.qpdata_samples import checked, parsed

from qpmask.errors import CorruptDataError
from qpmask.imageobjects import ImageObjects, Rois
from qpmask.imageobjects.wkb import MAX_COLLECTIONS as MAX_DEPTH

ORDERS = (">", "<")
READERS: list[Callable[[bytes], ImageObjects]] = []


@pytest.fixture(autouse=True, scope="module", params=[parsed, checked])
def _either_way(request: pytest.FixtureRequest) -> Iterator[None]:
    """The kernel as it is, and as plain Python, which checks every index."""
    READERS[:] = [request.param]
    yield


def read_wkb(data: bytes) -> Rois:
    """The rings of a geometry, as the ROI of the only object of a data file."""
    try:
        return READERS[0](data_file([Obj(roi=Roi("GeometryROI", data))])).rois
    except CorruptDataError as error:
        assert "geometry makes no sense" in str(error)
        raise


SQUARE = [(0.0, 0.0), (9.0, 0.0), (9.0, 9.0), (0.0, 0.0)]
HOLE = [(1.0, 1.0), (2.0, 1.0), (2.0, 2.0), (1.0, 1.0)]


def head(order: str, code: int) -> bytes:
    return bytes([order == "<"]) + struct.pack(order + "I", code)


def vertices(order: str, points: Sequence[Sequence[float]]) -> bytes:
    return b"".join(struct.pack(f"{order}{len(p)}d", *p) for p in points)


def counted(order: str, points: Sequence[Sequence[float]]) -> bytes:
    return struct.pack(order + "I", len(points)) + vertices(order, points)


def point(order: str, xy: Sequence[float], code: int = 1) -> bytes:
    return head(order, code) + vertices(order, [xy])


def line(order: str, points: Sequence[Sequence[float]], code: int = 2) -> bytes:
    return head(order, code) + counted(order, points)


def polygon(order: str, rings: Sequence[Sequence[Sequence[float]]], code: int = 3) -> bytes:
    return (
        head(order, code)
        + struct.pack(order + "I", len(rings))
        + b"".join(counted(order, ring) for ring in rings)
    )


def many(order: str, code: int, members: Sequence[bytes]) -> bytes:
    return head(order, code) + struct.pack(order + "I", len(members)) + b"".join(members)


def rings_of(rois: Rois) -> list[list[tuple[float, float]]]:
    assert rois.ring_size.sum() == len(rois.vertices64_px0)
    return [[(float(x), float(y)) for x, y in ring] for ring in rois.rings(0)]


def about(rois: Rois) -> tuple[list[int], list[int], list[bool]]:
    """Types, parts and holes."""
    return rois.ring_kind.tolist(), rois.ring_part.tolist(), rois.ring_is_hole.tolist()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("other", ORDERS)
class TestTypes:
    def test_point(self, order: str, other: str) -> None:
        rings = read_wkb(point(order, (1.5, 2.5)))
        assert (rings.geometry_type[0], about(rings)[0], rings_of(rings)) == (
            1,
            [1],
            [[(1.5, 2.5)]],
        )

    def test_line(self, order: str, other: str) -> None:
        rings = read_wkb(line(order, SQUARE))
        assert (rings.geometry_type[0], about(rings)[0], rings_of(rings)) == (2, [2], [SQUARE])

    def test_polygon(self, order: str, other: str) -> None:
        rings = read_wkb(polygon(order, [SQUARE, HOLE]))
        assert rings.geometry_type[0] == 3
        assert about(rings) == ([3, 3], [0, 0], [False, True])
        assert rings_of(rings) == [SQUARE, HOLE]

    def test_multi_polygon(self, order: str, other: str) -> None:
        members = [polygon(other, [SQUARE, HOLE]), polygon(order, []), polygon(order, [HOLE])]
        rings = read_wkb(many(order, 6, members))
        assert rings.geometry_type[0] == 6
        assert about(rings)[1:] == ([0, 0, 2], [False, True, False])
        assert rings_of(rings) == [SQUARE, HOLE, HOLE]

    def test_multi_line(self, order: str, other: str) -> None:
        rings = read_wkb(many(order, 5, [line(other, SQUARE), line(order, HOLE)]))
        assert (rings.geometry_type[0], *about(rings)[:2]) == (5, [2, 2], [0, 1])
        assert rings_of(rings) == [SQUARE, HOLE]

    def test_multi_point_is_one_ring(self, order: str, other: str) -> None:
        members = [point(other, SQUARE[0]), *(point(order, xy) for xy in SQUARE[1:])]
        rings = read_wkb(many(order, 4, members))
        assert (rings.geometry_type[0], *about(rings)[:2]) == (4, [1], [0])
        assert rings_of(rings) == [SQUARE]
        assert read_wkb(many(order, 4, [])).ring_size.tolist() == [0]

    def test_collection(self, order: str, other: str) -> None:
        inner = many(other, 7, [line(order, HOLE), many(other, 4, [point(order, (7, 8))])])
        rings = read_wkb(many(order, 7, [polygon(other, [SQUARE]), inner, point(order, (1, 2))]))
        assert rings.geometry_type[0] == 7
        assert about(rings)[:2] == ([3, 2, 1, 1], [0, 1, 2, 3])
        assert rings_of(rings) == [SQUARE, HOLE, [(7, 8)], [(1, 2)]]

    @pytest.mark.parametrize(
        ("code", "n_more"),
        [(1000, 1), (2000, 1), (3000, 2), (0x80000000, 1), (0x40000000, 1), (0xC0000000, 2)],
    )
    def test_more_ordinates_are_dropped(
        self, order: str, other: str, code: int, n_more: int
    ) -> None:
        more = [77.0, 88.0][:n_more]
        ring = [(*xy, *more) for xy in SQUARE]
        assert rings_of(read_wkb(polygon(order, [ring], code + 3))) == [SQUARE]
        points = many(order, code + 4, [point(other, xy, code + 1) for xy in ring])
        assert rings_of(read_wkb(points)) == [SQUARE]

    def test_number_of_coordinate_system(self, order: str, other: str) -> None:
        data = head(order, 0x20000002) + struct.pack(order + "I", 4326) + counted(order, SQUARE)
        assert rings_of(read_wkb(data)) == [SQUARE]


def _wrap(depth: int) -> bytes:
    return (head(">", 7) + struct.pack(">I", 1)) * (depth - 1) + many(">", 7, [])


def test_depth_is_limited() -> None:
    assert len(read_wkb(_wrap(MAX_DEPTH)).ring_size) == 0
    for depth in (MAX_DEPTH + 1, 50_000):
        with pytest.raises(CorruptDataError, match="deep"):
            read_wkb(_wrap(depth))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\2\0\0\0\1" + bytes(16),
        head(">", 0),
        head(">", 8) + bytes(16),
        head(">", 17),
        head(">", 4003) + bytes(4),
        head(">", 2) + b"\xff\xff\xff\xff",
        head(">", 3) + b"\xff\xff\xff\xff",
        head(">", 4) + b"\xff\xff\xff\xff",
        head(">", 6) + b"\x7f\xff\xff\xff",
        many(">", 6, [line(">", SQUARE)]),
        many(">", 5, [polygon(">", [SQUARE])]),
        many(">", 4, [line(">", SQUARE)]),
        point(">", (1, 2)) + b"\0",
    ],
)
def test_nonsense(data: bytes) -> None:
    with pytest.raises(CorruptDataError):
        read_wkb(data)


def test_every_truncation() -> None:
    data = many(
        "<", 7, [polygon(">", [SQUARE, HOLE]), many("<", 4, [point("<", (1, 2))] * 3), _wrap(2)]
    )
    read_wkb(data)
    for n in range(len(data)):
        with pytest.raises(CorruptDataError):
            read_wkb(data[:n])


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    for start in (b"", b"\0\0\0\0\7\0\0\0\2", b"\1\6\0\0\0\3\0\0\0"):
        with suppress(CorruptDataError):
            assert isinstance(read_wkb(start + data), Rois)


coordinates = st.floats(allow_nan=False, width=64)
point_lists = st.lists(st.tuples(coordinates, coordinates), max_size=6)


@given(st.lists(st.lists(point_lists, max_size=3), max_size=4), st.sampled_from(ORDERS))
def test_coordinates_survive(parts: list[list[list[tuple[float, float]]]], order: str) -> None:
    rings = read_wkb(many(order, 6, [polygon(order, part) for part in parts]))
    assert rings_of(rings) == [ring for part in parts for ring in part]
    assert rings.ring_part.tolist() == [i for i, part in enumerate(parts) for _ in part]
