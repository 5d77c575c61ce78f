"""Whether the smaller levels of a mask hold labels, or averages of labels.

Programs that make pyramids for photographs average four pixels into one. Of labels 0 and 4 that
makes 1, 2 and 3: classes that are not there. Nothing in such a file says so, but its pixels do: at
every edge a level has labels that the level below lacks at that place. A few tiles tell.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from qpmask.errors import TileError
from qpmask.mask.scaling import scale_of
from qpmask.ometiff.reader import MaskFile

_MAX_TILES = 4  # of a level, with an edge in them
_MAX_LOOKS = 16  # tiles that are looked at to find them
_MAX_SIDE_PX = 256  # of a tile, this much is looked at
# Levels that were drawn anew, as QuPath draws them, may differ at an edge, but seldom do.
_MAX_SHARE = 0.05


def is_averaged(file: MaskFile, plane: int, level: int) -> bool:
    """Whether a level has labels at edges that the level below does not have there.

    Parameters
    ----------
    file : MaskFile
        An open mask.
    plane, level : int
        Which plane, and which level from 1.

    Returns
    -------
    bool
        False also where no tile that was looked at has an edge, or it cannot be read: whoever
        reads it then gets the error.
    """
    n_edges = n_strange = n_tiles = 0
    for row, col in _likely_tiles(file, plane, level):
        try:
            edges, strange = _look(file, plane, level, row, col)
        except TileError:
            continue
        n_edges += edges
        n_strange += strange
        n_tiles += edges > 0
        if n_tiles == _MAX_TILES:
            break
    return n_strange > _MAX_SHARE * n_edges


def _likely_tiles(file: MaskFile, plane: int, level: int) -> list[tuple[int, int]]:
    """Places of tiles that probably have edges: those with the most bytes, each kind once."""
    first, _ = file.distinct_tiles(level, plane)
    _, n_bytes = file.segments(level, plane)
    if len(np.unique(n_bytes)) == 1:  # not compressed: some from everywhere
        chosen = first[np.linspace(0, len(first) - 1, min(_MAX_LOOKS, len(first))).astype(np.int64)]
    else:
        chosen = first[np.argsort(n_bytes[first], kind="stable")[::-1][:_MAX_LOOKS]]
    return [divmod(int(index), file.levels[level].n_cols) for index in chosen]


def _look(file: MaskFile, plane: int, level: int, row: int, col: int) -> tuple[int, int]:
    """Pixels of a tile at an edge of the level below, and those whose label is not there."""
    tile, size = file.levels[level].tile, file.levels[level].size
    below = file.levels[level - 1].size
    height, width = file.levels[level].shape(row, col)
    # Its middle, which is cheaper to read, and has edges as any other place.
    height_px, width_px = min(height, _MAX_SIDE_PX), min(width, _MAX_SIDE_PX)
    y0 = row * tile.height_px + (height - height_px) // 2
    x0 = col * tile.width_px + (width - width_px) // 2
    pixels = file.read(level, plane, y0, y0 + height_px, x0, x0 + width_px)
    scale_x, scale_y = scale_of(below, size)
    rows = _places(y0, height_px, scale_y, below.height_px)
    cols = _places(x0, width_px, scale_x, below.width_px)
    top, left = int(rows.min()), int(cols.min())
    source = file.read(
        level - 1, plane, top, int(rows.max()) + 1, left, int(cols.max()) + 1
    )  # fmt: skip
    is_there = np.zeros(pixels.shape, np.bool_)
    is_edge = np.zeros(pixels.shape, np.bool_)
    first = source[np.ix_(rows[0] - top, cols[0] - left)]
    for at_y in rows - top:
        for at_x in cols - left:
            seen = source[np.ix_(at_y, at_x)]
            is_there |= seen == pixels
            is_edge |= seen != first
    return int(np.count_nonzero(is_edge)), int(np.count_nonzero(~is_there))


def _places(start_px: int, n: int, scale: float, limit_px: int) -> NDArray[np.int64]:
    """Rows (or columns) of the level below under each of `n`, one more on both sides included.

    Returns
    -------
    ndarray of int64, shape (m, n)
        m of them for each.
    """
    under = np.floor((start_px + np.arange(n)) * scale).astype(np.int64)
    around = np.arange(-1, math.ceil(scale) + 1)
    places: NDArray[np.int64] = np.clip(under + around[:, None], 0, limit_px - 1)
    return places
