"""What lies upon what: pixels of two strips by both labels, against the pixels themselves."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from qpmask.engines.native.seenobjects import _joint
from qpmask.ometiff.runs import TileRuns, runs_of_tiles
from qpmask.ometiff.strips import StripShape


@given(
    n_tiles=st.integers(1, 4),
    height=st.integers(1, 6),
    last_width=st.integers(1, 7),
    seed=st.integers(0, 2**32 - 1),
    most=st.sampled_from([1, 2, 70_000]),
)
def test_pixels_by_both_labels(
    n_tiles: int, height: int, last_width: int, seed: int, most: int
) -> None:
    shape = StripShape(n_tiles, 7, 6, last_width, height)
    rng = np.random.default_rng(seed)
    expected: Counter[tuple[int, int]] = Counter()
    strips = []
    tiles = [
        [
            rng.integers(0, most, (height, shape.width(k)), np.uint32, endpoint=True)
            * rng.integers(0, 2, (height, shape.width(k)), np.uint32)
            * np.uint32(rng.integers(0, 3) > 0)
            for k in range(n_tiles)
        ]
        for _ in range(2)
    ]
    for one, other in zip(*tiles, strict=True):
        expected.update((a, b) for a, b in zip(one.flat, other.flat, strict=True) if a)
    for strip in tiles:
        given_as = [int(tile[0, 0]) if (tile == tile[0, 0]).all() else tile for tile in strip]
        strips.append(TileRuns(shape, runs_of_tiles(given_as, shape), np.dtype(np.uint32)))
    found = _joint(*strips)
    assert {(a, b): n for a, b, n in found} == dict(expected)
    assert len(found) == len(expected)
