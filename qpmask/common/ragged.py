"""Ragged arrays: lists of different lengths, one behind the other in one array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def offsets_of(sizes: Sequence[int] | NDArray[Any]) -> Ints:
    """Where each list begins, and where the last one ends, by their sizes; shape (lists + 1,)."""
    offsets = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=offsets[1:])
    return offsets


def items_at(first: NDArray[Any] | int, sizes: NDArray[Any]) -> Ints:
    """Where the items of lists are that begin at ``first`` and have ``sizes``, list by list.

    With 0 as ``first`` it is the number of each item in its list.
    """
    offsets = offsets_of(sizes)
    items = np.arange(offsets[-1])
    items += np.repeat(np.asarray(first, np.int64) - offsets[:-1], sizes)
    return items


def items_of(offsets: Ints, chosen: NDArray[Any]) -> Ints:
    """Where the items of the chosen lists are, list by list."""
    return items_at(offsets[chosen], offsets[chosen + 1] - offsets[chosen])
