"""A pyramid built while its base streams by, by subsampling: labels are never averaged.

Pixel (x, y) of level k + 1 is pixel (2 x, 2 y) of level k. Tiles of a level go in, in any order;
tiles of the next level come out as soon as all their quarters are there. A quarter of one label is
kept as a number, so memory holds little more than the mixed tiles of one row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.geometry import Size, TileGrid

Pixels = int | NDArray[Any]


def subsample(tile: Pixels) -> Pixels:
    """Every second pixel of every second row, starting with the first, as a copy."""
    return tile if isinstance(tile, int) else tile[::2, ::2].copy()


class PyramidBuilder:
    """Puts quarters together to tiles of the next level.

    Parameters
    ----------
    sizes : tuple of Size
        Sizes of all levels, each half of the one before, rounded up.
    tile_px : int
        Edge of a tile, even.
    dtype : numpy.dtype
        Type of the pixels.
    """

    def __init__(self, sizes: tuple[Size, ...], tile_px: int, dtype: np.dtype[Any]) -> None:
        self._grids = tuple(TileGrid(size, tile_px) for size in sizes)
        self._tile_px = tile_px
        self._dtype = dtype
        self._waiting: dict[tuple[int, int, int], list[tuple[int, int, Pixels]]] = {}

    @property
    def n_waiting(self) -> int:
        """Number of tiles that still lack a quarter."""
        return len(self._waiting)

    def wants(self, level: int) -> bool:
        """Whether there is a level above this one."""
        return level + 1 < len(self._grids)

    def add(self, level: int, row: int, col: int, quarter: Pixels) -> Pixels | None:
        """Take the subsampled tile (row, col) of a level.

        Parameters
        ----------
        level, row, col : int
            Where the tile lies that was subsampled.
        quarter : int or ndarray
            Its subsampled pixels, cropped to the image.

        Returns
        -------
        int or ndarray or None
            Tile (row // 2, col // 2) of the next level if it is complete now. A number means that
            all its pixels have this label.
        """
        grid = self._grids[level]
        key = (level, row // 2, col // 2)
        quarters = self._waiting.setdefault(key, [])
        quarters.append((row % 2, col % 2, quarter))
        n_rows = min(2, grid.n_rows - row // 2 * 2)
        n_cols = min(2, grid.n_cols - col // 2 * 2)
        if len(quarters) < n_rows * n_cols:
            return None
        del self._waiting[key]
        if isinstance(quarter, int) and all(
            isinstance(other, int) and other == quarter for _, _, other in quarters
        ):
            return quarter
        half_px = self._tile_px // 2
        tile = np.empty(self._grids[level + 1].shape(row // 2, col // 2), self._dtype)
        for down, right, pixels in quarters:
            y_px, x_px = down * half_px, right * half_px
            tile[y_px : y_px + half_px, x_px : x_px + half_px] = pixels
        return tile
