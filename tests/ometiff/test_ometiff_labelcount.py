from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from ometiff.mask_samples import histogram

from qpmask.ometiff.labelcount import constant_label, count_labels

DTYPES = st.sampled_from([np.uint8, np.uint16, np.uint32])
ARRAYS = DTYPES.flatmap(
    lambda dtype: hnp.arrays(
        dtype,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=20),
        elements=st.integers(0, 4) | hnp.from_dtype(np.dtype(dtype)),
    )
)


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
