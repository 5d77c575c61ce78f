"""Sizes, pyramids and tile grids."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpmask.geometry import PixelSize, Size, TileGrid, pyramid_sizes

lengths = st.integers(1, 200_000)
sizes = st.builds(Size, lengths, lengths)


@pytest.mark.parametrize(
    ("size", "downsample", "expected"),
    [
        ((100, 60), 1, (100, 60)),
        ((101, 59), 2, (50, 29)),  # what is left over at the edge is cut, as QuPath does
        ((101, 59), 2.5, (40, 23)),
        ((10, 1000), 100, (1, 10)),  # a narrow image keeps a pixel
        ((3, 3), 1.0000001, (2, 2)),
    ],
)
def test_downsampling_rounds_down_and_keeps_a_pixel(
    size: tuple[int, int], downsample: float, expected: tuple[int, int]
) -> None:
    assert Size(*size).downsampled(downsample) == Size(*expected)


def test_areas_and_words() -> None:
    assert Size(120_000, 90_000).area_px == 10_800_000_000
    assert str(Size(120_000, 90_000)) == "120,000 x 90,000"


def test_pixel_sizes_scale_and_have_areas() -> None:
    pixel = PixelSize(0.25, 0.5)
    assert pixel.mean_um == 0.375
    assert pixel.area_um2 == 0.125
    assert pixel.scaled(4) == PixelSize(1.0, 2.0)


def test_a_pyramid_by_hand() -> None:
    assert pyramid_sizes(Size(1100, 513), 512) == (
        Size(1100, 513), Size(550, 257), Size(275, 129),
    )  # fmt: skip
    assert pyramid_sizes(Size(512, 512), 512) == (Size(512, 512),)
    assert pyramid_sizes(Size(1, 1), 16) == (Size(1, 1),)


@given(sizes, st.sampled_from([16, 48, 256, 512, 8192]))
def test_every_level_holds_each_second_pixel_of_the_one_below(size: Size, tile_px: int) -> None:
    levels = pyramid_sizes(size, tile_px)
    for k, level in enumerate(levels):
        # The pixels 0, 2**k, 2 * 2**k, ... of level 0: none is lost at the right and lower edge.
        assert level.width_px == len(range(0, size.width_px, 2**k))
        assert level.height_px == len(range(0, size.height_px, 2**k))
        fits = max(level.width_px, level.height_px) <= tile_px
        assert fits == (k == len(levels) - 1)


def test_a_tile_grid_by_hand() -> None:
    grid = TileGrid(Size(40, 20), 16)
    assert (grid.n_cols, grid.n_rows, grid.n_tiles) == (3, 2, 6)
    assert list(grid) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert [grid.shape(row, col) for row, col in grid] == [
        (16, 16), (16, 16), (16, 8), (4, 16), (4, 16), (4, 8),
    ]  # fmt: skip


@given(st.builds(Size, st.integers(1, 90), st.integers(1, 90)), st.integers(1, 40))
def test_tiles_cover_an_image_once(size: Size, tile_px: int) -> None:
    grid = TileGrid(size, tile_px)
    tiles = list(grid)
    assert len(tiles) == grid.n_tiles
    shapes = [grid.shape(*tile) for tile in tiles]
    assert all(1 <= h <= tile_px and 1 <= w <= tile_px for h, w in shapes)
    assert sum(h * w for h, w in shapes) == size.area_px
    assert sum(w for (row, _), (_, w) in zip(tiles, shapes, strict=True) if row == 0) == (
        size.width_px
    )


@given(sizes, st.floats(1, 1000))
def test_a_downsampled_image_is_never_larger(size: Size, downsample: float) -> None:
    small = size.downsampled(downsample)
    assert 1 <= small.width_px <= size.width_px
    assert small.width_px == max(1, math.floor(size.width_px / downsample))
