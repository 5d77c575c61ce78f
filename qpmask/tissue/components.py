"""Connected parts of a map of true and false, found by its runs.

Without SciPy, whose import alone takes longer than all of the search for tissue.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qpmask.common.ragged import items_at


def drop_small(found: NDArray[np.bool_], min_px: float) -> NDArray[np.bool_]:
    """The map without parts of fewer pixels; diagonal neighbours are connected.

    Parameters
    ----------
    found : ndarray of bool, shape (rows, columns)
        The map.
    min_px : float
        Pixels of the smallest part that stays.
    """
    runs = _Runs(found, reach=1)
    return runs.drawn(runs.area()[runs.part] >= min_px)


def fill_small_holes(found: NDArray[np.bool_], max_px: float) -> NDArray[np.bool_]:
    """The map with holes of at most so many pixels filled; what touches the edge is no hole."""
    runs = _Runs(~found, reach=0)
    rows, cols = found.shape
    at_edge = (runs.row == 0) | (runs.row == rows - 1) | (runs.start == 0) | (runs.stop == cols)
    is_open = np.zeros(len(runs.row), np.bool_)
    is_open[runs.part[at_edge]] = True
    small = (runs.area()[runs.part] <= max_px) & ~is_open[runs.part]
    return found | runs.drawn(small)


class _Runs:
    """The runs of true pixels of each row, and which part each belongs to.

    Parameters
    ----------
    found : ndarray of bool, shape (rows, columns)
        The map.
    reach : int
        1 if pixels that touch at a corner are connected, else 0.
    """

    def __init__(self, found: NDArray[np.bool_], reach: int) -> None:
        self._shape = found.shape
        self._stride = found.shape[1] + 3
        rows, cols = found.shape
        changes = np.zeros((rows, cols + 1), np.bool_)
        changes[:, :-1] = found
        changes[:, 1:] ^= found
        # Within a row a run begins at every other change, and ends at the next one.
        places = np.flatnonzero(changes)
        self.row = places[0::2] // (cols + 1)
        self.start = places[0::2] - self.row * (cols + 1)
        self.stop = places[1::2] - self.row * (cols + 1)
        self.part = self._joined(reach)

    def area(self) -> NDArray[np.float64]:
        """Pixels of each part, by its number."""
        lengths = (self.stop - self.start).astype(np.float64)
        return np.bincount(self.part, lengths, minlength=len(self.row)).astype(np.float64)

    def drawn(self, kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A map of some of the runs."""
        rows, cols = self._shape
        steps = np.zeros((rows, cols + 1), np.int8)
        steps[self.row[kept], self.start[kept]] += 1
        steps[self.row[kept], self.stop[kept]] -= 1
        return np.cumsum(steps, axis=1, dtype=np.int8)[:, :-1].astype(np.bool_)

    def _joined(self, reach: int) -> NDArray[np.int64]:
        """A number for each run, the same for runs that are connected."""
        n = len(self.row)
        below = (self.row + 1) * self._stride + 1
        at = self.row * self._stride + 1
        first = np.searchsorted(at + self.stop, below + self.start - reach, side="right")
        last = np.searchsorted(at + self.start, below + self.stop + reach, side="left")
        count = np.maximum(last - first, 0)
        upper = np.repeat(np.arange(n), count)
        lower = items_at(first, count)
        part: NDArray[np.int64] = np.arange(n, dtype=np.int64)
        while True:
            one, other = part[upper], part[lower]
            differ = one != other
            if not differ.any():
                return part
            one, other = one[differ], other[differ]
            np.minimum.at(part, np.maximum(one, other), np.minimum(one, other))
            while True:  # each run knows the first of its part
                further = part[part]
                if (further == part).all():
                    break
                part = further
