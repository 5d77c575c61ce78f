"""Which pixels of which tiles make up a selection of rows or columns.

A selection along one axis goes in, one :class:`Cut` per tile that holds some of it comes out. Tiles
between two selected pixels do not occur, so that a step larger than a tile skips tiles.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Positions: TypeAlias = "range | NDArray[np.int64]"
"""Pixels along one axis of a level: a range (of any step but 0), or an array that never falls."""


class Cut(NamedTuple):
    """One tile's share of a selection along one axis.

    Parameters
    ----------
    tile : int
        Row or column of the tile.
    out : slice
        Where its pixels stand in the selection.
    inside : slice or ndarray of int64
        Which of the tile's pixels they are, counted from the tile's edge.
    """

    tile: int
    out: slice
    inside: slice | NDArray[np.int64]


def cut_axis(positions: Positions, tile_px: int) -> list[Cut]:
    """Cut a selection along one axis by tiles.

    Parameters
    ----------
    positions : range or ndarray of int64
        The pixels, none of them negative.
    tile_px : int
        Length of a tile along this axis.
    """
    if not isinstance(positions, range):
        return _cut_array(positions, tile_px)
    n = len(positions)
    if positions.step > 0 or n == 0:
        return _cut_range(positions, tile_px)
    # Backwards: the same tiles as forwards, with the ends of each output slice swapped.
    return [
        Cut(cut.tile, _reversed(cut.out, n), cut.inside)
        for cut in _cut_range(positions[::-1], tile_px)
    ]


def as_range(positions: NDArray[np.int64]) -> Positions:
    """The same positions as a range where they are evenly spaced, for slices are faster."""
    if len(positions) == 0:
        return range(0)
    first = int(positions[0])
    if len(positions) == 1:
        return range(first, first + 1)
    step = int(positions[1]) - first
    if step > 0 and bool((np.diff(positions) == step).all()):
        return range(first, first + step * len(positions), step)
    return positions


def _cut_range(positions: range, tile_px: int) -> list[Cut]:
    start, step, n = positions.start, positions.step, len(positions)
    cuts = []
    i = 0
    while i < n:
        tile, first = divmod(start + i * step, tile_px)
        end = min(n, i + (tile_px - 1 - first) // step + 1)
        last = first + (end - i - 1) * step
        cuts.append(Cut(tile, slice(i, end), slice(first, last + 1, step)))
        i = end
    return cuts


def _cut_array(positions: NDArray[np.int64], tile_px: int) -> list[Cut]:
    if len(positions) == 0:
        return []
    tiles, starts = np.unique(positions // tile_px, return_index=True)
    ends = [*starts[1:].tolist(), len(positions)]
    return [
        Cut(tile, slice(start, end), positions[start:end] - tile * tile_px)
        for tile, start, end in zip(tiles.tolist(), starts.tolist(), ends, strict=True)
    ]


def _reversed(out: slice, n: int) -> slice:
    """The slice of the reversed output, running backwards."""
    first, behind = n - 1 - out.start, n - 1 - out.stop
    return slice(first, behind if behind >= 0 else None, -1)
