"""Ragged arrays against lists of lists."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from qpmask.common.ragged import items_at, items_of, offsets_of

SIZES = st.lists(st.integers(0, 5), max_size=20)


@given(SIZES)
def test_offsets(sizes: list[int]) -> None:
    offsets = offsets_of(sizes)
    assert offsets.dtype == np.int64
    assert offsets.tolist() == [sum(sizes[:i]) for i in range(len(sizes) + 1)]


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 5)), max_size=20), st.booleans())
def test_items_of_lists_that_begin_anywhere(lists: list[tuple[int, int]], narrow: bool) -> None:
    first, size = np.array(lists, np.int32 if narrow else np.int64).reshape(-1, 2).T
    expected = [at for begin, n in lists for at in range(begin, begin + n)]
    assert items_at(first, size).tolist() == expected
    assert items_at(0, size).tolist() == [i for _, n in lists for i in range(n)]


@given(SIZES, st.data())
def test_items_of_chosen_lists(sizes: list[int], data: st.DataObject) -> None:
    some = st.lists(st.integers(0, len(sizes) - 1), max_size=9) if sizes else st.just([])
    chosen = data.draw(some)
    items = [list(range(sum(sizes[:i]), sum(sizes[: i + 1]))) for i in range(len(sizes))]
    expected = [at for i in chosen for at in items[i]]
    assert items_of(offsets_of(sizes), np.array(chosen, np.int64)).tolist() == expected
