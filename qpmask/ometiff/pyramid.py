"""A pyramid built while its base streams by, by subsampling: labels are never averaged.

Pixel (x, y) of level k + 1 is pixel (2 x, 2 y) of level k. Two neighbouring strips of two tile rows
make one strip of the next level (:class:`Above`), which is complete as soon as they have been
there, in any order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qpmask.ometiff import kernels
from qpmask.ometiff.runs import RunStrip, TileRuns, no_runs
from qpmask.ometiff.strips import StripGrid, StripShape


@dataclass(eq=False)
class Above:
    """A strip of the next level while those that it is made of come in.

    Attributes
    ----------
    level, row, number : int
        Where it belongs: number ``number`` of the strips of a tile row.
    shape : StripShape
        Sizes of its tiles.
    last_width_below : int
        Width of the last tile of a row of those below that it is made of, in pixels.
    n_missing : int
        Strips of the level below that have not been there yet.
    """

    level: int
    row: int
    number: int
    shape: StripShape
    last_width_below: int
    n_missing: int
    _below: list[RunStrip] = field(default_factory=lambda: [no_runs()] * 4)
    _dtype: np.dtype[Any] = field(init=False)

    def take(self, below: TileRuns, row: int, number: int) -> None:
        """Take strip ``number`` of tile row ``row`` of the level below; from any thread."""
        self._below[2 * (row % 2) + number % 2] = below.runs
        self._dtype = below.dtype

    @property
    def is_plain(self) -> bool:
        """Whether all tiles below have one label each, so that putting them together is no work."""
        return not any(runs.has_mixed for runs in self._below)

    def assemble(self) -> TileRuns:
        """The strip, when all of the level below have been there: every second pixel of them."""
        runs = kernels.assemble(self._below, self.last_width_below, self.shape)
        self._below.clear()
        return TileRuns(self.shape, runs, self._dtype)


class Pyramid:
    """Strips of levels under way.

    Parameters
    ----------
    grids : tuple of StripGrid
        Of all levels; each size half of the one before, rounded up; the same square tiles, of even
        edge.
    """

    def __init__(self, grids: tuple[StripGrid, ...]) -> None:
        self._grids = grids
        self._waiting: dict[tuple[int, int, int], Above] = {}

    @property
    def n_waiting(self) -> int:
        """Number of strips that are not complete."""
        return len(self._waiting)

    def above(self, level: int, row: int, number: int) -> Above | None:
        """The strip of the next level that a strip goes into; None at the top."""
        if level + 1 >= len(self._grids):
            return None
        key = (level + 1, row // 2, number // 2)
        found = self._waiting.get(key)
        if found is None:
            grid, below = self._grids[level + 1], self._grids[level]
            n_rows = min(2, below.n_rows - 2 * key[1])
            n_strips = min(2, below.n_strips - 2 * key[2])
            last_width = below.shape(2 * key[1], 2 * key[2] + n_strips - 1).last_width
            found = Above(*key, grid.shape(*key[1:]), last_width, n_rows * n_strips)
            self._waiting[key] = found
        return found

    def arrived(self, above: Above) -> bool:
        """Note that one strip more has been there; whether that was the last one."""
        above.n_missing -= 1
        if above.n_missing:
            return False
        del self._waiting[above.level, above.row, above.number]
        return True
