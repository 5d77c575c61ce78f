"""A pyramid built while its base streams by, by subsampling: labels are never averaged.

Pixel (x, y) of level k + 1 is pixel (2 x, 2 y) of level k. Two neighbouring strips of two tile rows
make one strip of the next level (:class:`Above`), which is complete as soon as they have been
there, in any order.
"""

from __future__ import annotations

import threading

from qpmask.ometiff import kernels
from qpmask.ometiff.runs import TileRuns, no_runs
from qpmask.ometiff.strips import StripGrid, StripShape


class Above:
    """A strip of the next level while those that it is made of come in.

    Parameters
    ----------
    level, row, number : int
        Where it belongs: number ``number`` of the strips of a tile row.
    shape : StripShape
        Sizes of its tiles.
    n_below : int
        Strips of the level below that it is made of.
    last_width : int
        Width of the last tile of a row of these, in pixels.

    Attributes
    ----------
    n_missing : int
        Strips of the level below that were not there yet, for whoever gives them in order.
    tiles : TileRuns
        The strip: every second pixel of those below, once all were given to it.
    """

    tiles: TileRuns

    def __init__(
        self, level: int, row: int, number: int, shape: StripShape, n_below: int, last_width: int
    ) -> None:
        self.level, self.row, self.number = level, row, number
        self.n_missing = n_below
        self._shape = shape
        self._last_width = last_width
        self._below = [no_runs()] * 4
        self._n_not_given = n_below
        self._lock = threading.Lock()

    def take(self, below: TileRuns, row: int, number: int) -> None:
        """Take strip ``number`` of tile row ``row`` of the level below; from any thread.

        With the last one the strip is put together at once: it takes less memory than they do.
        """
        self._below[2 * (row % 2) + number % 2] = below.runs
        with self._lock:
            self._n_not_given -= 1
            if self._n_not_given:
                return
        runs = kernels.assemble(self._below, self._last_width, self._shape)
        self._below.clear()
        self.tiles = TileRuns(self._shape, runs, below.dtype)


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
            found = Above(*key, grid.shape(*key[1:]), n_rows * n_strips, last_width)
            self._waiting[key] = found
        return found

    def arrived(self, above: Above) -> bool:
        """Note that one strip more has been there; whether that was the last one."""
        above.n_missing -= 1
        if above.n_missing:
            return False
        del self._waiting[above.level, above.row, above.number]
        return True
