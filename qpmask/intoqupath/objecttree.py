"""Objects below objects: the order in which Java writes them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def in_tree_order(parent: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Objects in the order in which Java writes them: each before its children, those in order.

    Gives the numbers of the objects, and the place at which all that is below each has ended.
    """
    n = len(parent)
    if (parent < 0).all():
        return np.arange(n), np.arange(1, n + 1)
    size = np.ones(n, np.int64)
    for i in np.flatnonzero(parent >= 0)[::-1].tolist():  # children come after their parents
        size[parent[i]] += size[i]
    place = np.zeros(n, np.int64)
    free = {-1: 0}
    for i, (p, own) in enumerate(zip(parent.tolist(), size.tolist(), strict=True)):
        at = free[p]
        free[p] = at + own
        free[i] = at + 1
        place[i] = at
    order = np.empty(n, np.int64)
    order[place] = np.arange(n)
    return order, (place + size)[order]


def nested(
    heads: list[bytes], tails: list[bytes], ends: NDArray[np.int64]
) -> tuple[int, list[bytes]]:
    """Number of the objects without a parent, and all bytes in their order."""
    n_top, pieces = 0, []
    open_until: list[tuple[int, bytes]] = []
    for i, end in enumerate(ends.tolist()):
        while open_until and open_until[-1][0] <= i:
            pieces.append(open_until.pop()[1])
        n_top += not open_until
        pieces.append(heads[i])
        open_until.append((end, tails[i]))
    return n_top, pieces + [tail for _, tail in reversed(open_until)]
