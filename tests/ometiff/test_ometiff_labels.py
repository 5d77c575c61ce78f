from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from ometiff.mask_samples import histogram

from qpmask.geometry import Size, TileGrid, pyramid_sizes
from qpmask.ometiff.labels import constant_label, count_labels
from qpmask.ometiff.pyramid import PyramidBuilder, subsample

DTYPES = st.sampled_from([np.uint8, np.uint16, np.uint32])
ARRAYS = DTYPES.flatmap(
    lambda dtype: hnp.arrays(
        dtype,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=20),
        elements=st.integers(0, 4) | hnp.from_dtype(np.dtype(dtype)),
    )
)


@settings(deadline=None)
@given(ARRAYS, st.lists(st.integers(0, 300), max_size=12))
def test_counts_are_those_of_numpy(tile: np.ndarray, expected: list[int]) -> None:
    counts = count_labels(tile, expected)
    assert counts == histogram(tile)
    assert list(counts) == sorted(counts)


def test_no_pixels_no_counts() -> None:
    assert count_labels(np.zeros((0, 3), np.uint8)) == {}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [([[3]], 3), ([[3, 3], [3, 3]], 3), ([[3, 3], [3, 4]], None), ([[3, 4], [4, 3]], None)],
)
def test_constant_label(rows: list[list[int]], expected: int | None) -> None:
    assert constant_label(np.array(rows, np.uint16)) == expected


@settings(deadline=None)
@given(
    st.integers(1, 150),
    st.integers(1, 150),
    st.sampled_from([2, 16, 32]),
    st.integers(1, 4),
    st.randoms(),
)
def test_a_pyramid_is_the_subsampling_of_its_base(height, width, tile_px, n, random) -> None:
    rng = np.random.default_rng(random.getrandbits(32))
    base = np.kron(rng.integers(0, n, (height // 8 + 1, width // 8 + 1)), np.ones((8, 8)))
    base = base[:height, :width].astype(np.uint8)
    sizes = pyramid_sizes(Size(width, height), tile_px)
    builder = PyramidBuilder(sizes, tile_px, base.dtype)
    places = list(TileGrid(sizes[0], tile_px))
    random.shuffle(places)  # the order of tiles must not matter
    todo = []
    for row, col in places:
        tile = base[row * tile_px :, col * tile_px :][:tile_px, :tile_px]
        label = constant_label(tile)
        todo.append((0, row, col, tile if label is None else label))
    n_found = 0
    while todo:
        level, row, col, tile = todo.pop()
        expected = base[:: 2**level, :: 2**level][row * tile_px :, col * tile_px :]
        assert np.array_equal(
            np.broadcast_to(tile, TileGrid(sizes[level], tile_px).shape(row, col)),
            expected[:tile_px, :tile_px],
        )
        n_found += 1
        if builder.wants(level):
            above = builder.add(level, row, col, subsample(tile))
            if above is not None:
                todo.append((level + 1, row // 2, col // 2, above))
    assert n_found == sum(TileGrid(size, tile_px).n_tiles for size in sizes)
    assert builder.n_waiting == 0
