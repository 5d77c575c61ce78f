"""Masks -> polygons: hand-made pixels first, then any labels at all, drawn again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from polygons.drawing import drawn

import qpmask
from qpmask.errors import OptionsError, WrongTypeError
from qpmask.geometry import Size
from qpmask.imageobjects import GeometryType, ObjectKind, ObjectTable
from qpmask.polygons import source


def rings_of(table: ObjectTable) -> list[list[list[tuple[int, int]]]]:
    """Rings of each polygon, without the closing vertex, from their first corner on."""
    shapes = []
    for i in range(len(table)):
        for part in table.geometries.rings(i):
            shapes.append([from_first_corner(ring.tolist()) for ring in part])
    return shapes


def from_first_corner(ring: list[list[int]]) -> list[tuple[int, int]]:
    corners = [tuple(p) for p in ring[:-1]]
    assert ring[0] == ring[-1]
    at = min(range(len(corners)), key=lambda i: corners[i][::-1])
    return corners[at:] + corners[:at]


def as_shapely(table: ObjectTable) -> list[Any]:
    shapes = []
    for i in range(len(table)):
        parts = [shapely.Polygon(part[0], part[1:]) for part in table.geometries.rings(i)]
        many = table.geometries.type[i] == GeometryType.MULTI_POLYGON
        shapes.append(shapely.MultiPolygon(parts) if many else parts[0])
    return shapes


class TestHandMade:
    def test_one_pixel_is_a_square(self) -> None:
        table = qpmask.trace(np.array([[0, 0, 0], [0, 7, 0]], np.uint8))

        assert rings_of(table) == [[[(1, 1), (2, 1), (2, 2), (1, 2)]]]
        assert table.classes[0].name == "Label 7"
        assert table.kind.tolist() == [ObjectKind.ANNOTATION]

    def test_outer_rings_have_a_positive_area_and_holes_a_negative_one(self) -> None:
        mask = np.ones((3, 3), np.uint8)
        mask[1, 1] = 0

        ((outer, hole),) = rings_of(qpmask.trace(mask))

        assert outer == [(0, 0), (3, 0), (3, 3), (0, 3)]
        assert hole == [(1, 1), (1, 2), (2, 2), (2, 1)]

    def test_pixels_that_touch_by_a_corner_are_two(self) -> None:
        mask = np.array([[1, 0], [0, 1]], np.uint8)

        assert rings_of(qpmask.trace(mask)) == [
            [[(0, 0), (1, 0), (1, 1), (0, 1)]],
            [[(1, 1), (2, 1), (2, 2), (1, 2)]],
        ]

    def test_a_region_that_touches_itself_by_a_corner_has_a_hole_there(self) -> None:
        mask = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0]], np.uint8)

        ((outer, hole),) = rings_of(qpmask.trace(mask))

        assert outer == [(0, 0), (3, 0), (3, 2), (2, 2), (2, 3), (0, 3)]
        assert hole == [(1, 1), (1, 2), (2, 2), (2, 1)]

    def test_holes_that_touch_by_a_corner_are_two(self) -> None:
        mask = np.ones((4, 4), np.uint8)
        mask[1, 1] = mask[2, 2] = 0

        ((_, *holes),) = rings_of(qpmask.trace(mask))

        assert sorted(holes) == [
            [(1, 1), (1, 2), (2, 2), (2, 1)],
            [(2, 2), (2, 3), (3, 3), (3, 2)],
        ]

    def test_regions_come_in_the_order_of_their_first_pixels(self) -> None:
        mask = np.array([[0, 2, 0, 1], [3, 0, 2, 1]], np.uint8)

        table = qpmask.trace(mask)

        names = [table.classes[i].name for i in table.class_index]
        assert names == ["Label 2", "Label 1", "Label 3", "Label 2"]

    def test_one_object_a_class_if_asked_for(self) -> None:
        mask = np.array([[2, 0, 1, 0, 2]], np.uint8)

        table = qpmask.trace(mask, split="class")

        assert [table.classes[i].name for i in table.class_index] == ["Label 1", "Label 2"]
        assert table.geometries.type.tolist() == [
            GeometryType.POLYGON,
            GeometryType.MULTI_POLYGON,
        ]
        assert as_shapely(table)[1].equals(shapely.box(0, 0, 1, 1) | shapely.box(4, 0, 5, 1))

    def test_instances_are_one_object_each_and_have_no_class(self) -> None:
        mask = np.array([[9, 0, 9, 500_000]], np.uint32)

        table = qpmask.trace(mask, instances=True, kind="cell")

        assert table.class_index.tolist() == [-1, -1]
        assert table.kind.tolist() == [ObjectKind.CELL] * 2
        assert [shape.area for shape in as_shapely(table)] == [2, 1]

    def test_a_blank_mask_has_no_objects(self) -> None:
        for split in ("component", "class"):
            assert len(qpmask.trace(np.zeros((5, 5), np.uint8), split=split)) == 0

    def test_only_some_labels(self) -> None:
        mask = np.array([[1, 2, 3]], np.uint8)

        table = qpmask.trace(mask, classes=[3, 1])

        assert [table.classes[i].name for i in table.class_index] == ["Label 1", "Label 3"]
        with pytest.raises(OptionsError, match="no class names"):
            qpmask.trace(mask, classes=["Tumor"])

    def test_coordinates_are_those_of_the_image(self) -> None:
        mask = np.array([[0, 1]], np.uint8)

        at_4 = qpmask.trace(mask, downsample=4).geometries.xy_px0
        at_2_5 = qpmask.trace(mask, downsample=2.5).geometries.xy_px0

        assert (at_4.min(0).tolist(), at_4.max(0).tolist()) == ([4, 0], [8, 4])
        assert (at_2_5.min(0).tolist(), at_2_5.max(0).tolist()) == ([2.5, 0], [5, 2.5])


class TestArrays:
    MASK = np.kron(np.array([[0, 1, 1], [2, 1, 0]], np.uint8), np.ones((3, 3), np.uint8))

    @pytest.mark.parametrize("dtype", ["bool", "int8", "<u2", ">u2", "i4", "u4", "i8", "u8"])
    def test_all_whole_numbers_are_labels(self, dtype: str) -> None:
        mask = self.MASK.astype(dtype)

        table = qpmask.trace(mask)

        labels = [int(table.classes[i].name.split()[1]) for i in table.class_index]
        size = Size(9, 6)
        assert (drawn(table, labels, size) == mask.astype("u4")).all()

    @pytest.mark.parametrize(
        ("mask", "error"),
        [
            (np.zeros((2, 2)), WrongTypeError),
            (np.zeros((2, 2, 2), np.uint8), WrongTypeError),
            (np.array([[-1]]), OptionsError),
            (np.array([[2**32]]), OptionsError),
            (np.zeros((0, 3), np.uint8), OptionsError),
            ("no such file.tif", qpmask.QpmaskError),
            (5, WrongTypeError),
        ],
    )
    def test_what_is_no_mask_is_refused(self, mask: Any, error: type[Exception]) -> None:
        with pytest.raises(error):
            qpmask.trace(mask)

    def test_arrays_of_dask_and_zarr_are_read_block_by_block(self) -> None:
        dask = pytest.importorskip("dask.array")
        mask = np.kron(np.arange(1, 13, dtype=np.uint16).reshape(3, 4), np.ones((5, 7), np.uint16))

        for array in (dask.from_array(mask, chunks=(4, 6)), mask[:, ::-1], np.asfortranarray(mask)):
            table = qpmask.trace(array)
            assert len(table) == 12
            assert sum(shape.area for shape in as_shapely(table)) == mask.size

    def test_an_array_in_chunks_is_read_by_rows_of_chunks(self) -> None:
        class Chunked:
            """As Zarr has it: one size of chunks for all."""

            def __init__(self, pixels: np.ndarray) -> None:
                self.shape, self.dtype, self.ndim = pixels.shape, pixels.dtype, pixels.ndim
                self.chunks, self.pixels, self.read = (4, 6), pixels, []

            def __getitem__(self, rows: slice) -> np.ndarray:
                self.read.append((rows.start, rows.stop))
                return self.pixels[rows]

        array = Chunked(np.kron(np.arange(1, 13, dtype=np.uint16).reshape(3, 4),
                                np.ones((5, 7), np.uint16)))  # fmt: skip
        assert len(qpmask.trace(array)) == 12
        assert sorted(array.read) == [(0, 4), (4, 8), (8, 12), (12, 15)]


def masks(max_side: int = 24, n_labels: int = 3, dtype: Any = np.uint16) -> st.SearchStrategy:
    sides = st.integers(1, max_side)
    return st.tuples(sides, sides).flatmap(
        lambda shape: arrays(dtype, shape, elements=st.integers(0, n_labels))
    )


@given(masks(), st.sampled_from(["component", "class"]), st.integers(1, 9))
def test_polygons_are_valid_and_give_back_every_pixel(
    mask: np.ndarray, split: Any, block_px: int
) -> None:
    before = source._BLOCK_PX
    source._BLOCK_PX = block_px * mask.shape[1]  # type: ignore[misc]
    try:
        table = qpmask.trace(mask, split=split)
    finally:
        source._BLOCK_PX = before  # type: ignore[misc]

    assert all(shapely.is_valid(as_shapely(table)))
    labels = [int(table.classes[i].name.split()[1]) for i in table.class_index]
    size = Size(mask.shape[1], mask.shape[0])
    assert (drawn(table, labels, size, tile_px=16) == mask).all()


@given(masks(n_labels=70_000, dtype=np.uint32))
@settings(max_examples=30)
def test_instances_give_back_every_pixel(mask: np.ndarray) -> None:
    table = qpmask.trace(mask, instances=True)

    labels = np.unique(mask[mask > 0])
    assert len(table) == len(labels)
    assert (drawn(table, labels, Size(mask.shape[1], mask.shape[0])) == mask).all()
