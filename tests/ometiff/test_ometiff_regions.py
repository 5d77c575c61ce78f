from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpmask.ometiff.regions import Positions, as_range, cut_axis

N = 100
AXIS = np.arange(N) * 7 % 256


def collected(positions: Positions, tile_px: int) -> np.ndarray:
    """The axis put together from its tiles, which know nothing of one another."""
    out = np.full(len(positions), -1)
    for cut in cut_axis(positions, tile_px):
        tile = AXIS[cut.tile * tile_px : (cut.tile + 1) * tile_px]
        assert (out[cut.out] == -1).all()
        out[cut.out] = tile[cut.inside]
    return out


slices = st.slices(N)


@given(slices, st.integers(1, 130))
def test_any_range(part: slice, tile_px: int) -> None:
    assert np.array_equal(collected(range(N)[part], tile_px), AXIS[part])


@given(st.lists(st.integers(0, N - 1)).map(sorted), st.integers(1, 130))
def test_any_positions_that_never_fall(places: list[int], tile_px: int) -> None:
    positions = np.array(places, np.int64)
    assert np.array_equal(collected(positions, tile_px), AXIS[positions])
    assert np.array_equal(collected(as_range(positions), tile_px), AXIS[positions])


@given(slices, st.integers(1, 130))
def test_a_cut_a_tile_and_none_between(part: slice, tile_px: int) -> None:
    positions = range(N)[part]
    tiles = [cut.tile for cut in cut_axis(positions, tile_px)]
    assert tiles == sorted({position // tile_px for position in positions})


@pytest.mark.parametrize(
    ("places", "expected"),
    [([], range(0)), ([5], range(5, 6)), ([5, 7, 9], range(5, 11, 2)), ([0, 1], range(2))],
)
def test_even_spacing_becomes_a_range(places: list[int], expected: range) -> None:
    assert as_range(np.array(places, np.int64)) == expected


@pytest.mark.parametrize("places", [[1, 1], [1, 2, 4], [0, 2, 3]])
def test_other_spacing_stays_an_array(places: list[int]) -> None:
    positions = np.array(places, np.int64)
    assert as_range(positions) is positions
