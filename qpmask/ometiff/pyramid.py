"""A pyramid built while its base streams by, by subsampling: labels are never averaged.

Pixel (x, y) of level k + 1 is pixel (2 x, 2 y) of level k. Two neighbouring strips of two tile rows
make one strip of the next level (:class:`Above`), which is complete as soon as they have been
there, in any order. Tiles of one label stay a number all the way up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.geometry import Size
from qpmask.ometiff.backend import Backend, new_pixels
from qpmask.ometiff.strips import MIXED, UNKNOWN, StripGrid, TileStrip, strip_tiles


@dataclass(eq=False)
class Above:
    """A strip of the next level while its quarters come in.

    Attributes
    ----------
    level, row, number : int
        Where it belongs: number ``number`` of the strips of a tile row.
    tiles : TileStrip
        Its tiles; they count from :meth:`settle` on.
    quarters : ndarray of int64, shape (n_tiles, 4)
        States of the upper left, upper right, lower left and lower right quarter of each tile.
    n_missing : int
        Strips that have not been there yet.
    """

    level: int
    row: int
    number: int
    tiles: TileStrip
    quarters: NDArray[np.int64]
    n_missing: int

    def take(self, backend: Backend, below: TileStrip, row: int, number: int) -> None:
        """Subsample strip ``number`` of tile row ``row`` of the level below.

        Safe from several threads, as each strip has pixels of its own here.
        """
        shape = self.tiles.shape
        first = number % 2 * (strip_tiles(Size(shape.tile_width, shape.tile_height)) // 2)
        backend.halve(
            below.pixels,
            below.labels,
            below.shape,
            self.tiles.pixels,
            self.quarters,
            shape,
            first,
            row % 2,
        )

    @property
    def is_plain(self) -> bool:
        """Whether no quarter is mixed, so that little is left to do."""
        return not (self.quarters == MIXED).any()

    def settle(self, backend: Backend) -> None:
        """Make the tiles of their quarters, when all have been there."""
        tiles = self.tiles
        backend.settle(tiles.pixels, self.quarters, tiles.labels, tiles.shape)


class Pyramid:
    """Strips of levels under way.

    Parameters
    ----------
    grids : tuple of StripGrid
        Of all levels; each size half of the one before, rounded up; the same square tiles, of even
        edge.
    dtype : numpy.dtype
        Type of the pixels.
    """

    def __init__(self, grids: tuple[StripGrid, ...], dtype: np.dtype[Any]) -> None:
        self._grids = grids
        self._dtype = dtype
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
            found = self._waiting[key] = self._new(*key)
        return found

    def arrived(self, above: Above) -> bool:
        """Note that one strip more has been there; whether that was the last one."""
        above.n_missing -= 1
        if above.n_missing:
            return False
        del self._waiting[above.level, above.row, above.number]
        return True

    def _new(self, level: int, row: int, number: int) -> Above:
        grid, below = self._grids[level], self._grids[level - 1]
        shape = grid.shape(row, number)
        n_rows = min(2, below.n_rows - 2 * row)
        n_strips = min(2, below.n_strips - 2 * number)
        return Above(
            level=level,
            row=row,
            number=number,
            tiles=TileStrip(
                shape=shape,
                labels=np.full(shape.n_tiles, UNKNOWN, np.int64),
                pixels=new_pixels(shape.n_tiles, grid.tile.area_px, self._dtype),
            ),
            quarters=np.full((shape.n_tiles, 4), UNKNOWN, np.int64),
            n_missing=n_rows * n_strips,
        )
