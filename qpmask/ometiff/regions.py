"""Puts a region together from tiles: rows and columns are cut by tiles, then pixels are put there.

A selection along one axis goes in, one :class:`Cut` per tile that holds some of it comes out
(:func:`cut_axis`). Tiles between two selected pixels do not occur, so that a step larger than a
tile skips tiles. :func:`put_together` fills an array with what the cuts of both axes say.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qpmask.ometiff.threads import in_threads

_WORTH_THREADS = 16  # tiles to decode; for fewer, starting threads takes longer than they save

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


def put_together(
    out: NDArray[Any],
    cuts: tuple[Sequence[Cut], Sequence[Cut]],
    tile: Callable[[int, int], int | NDArray[Any]],
    known: Callable[[int, int], int | None],
    threads: int = 1,
) -> None:
    """Fill an array with pixels of tiles.

    Parameters
    ----------
    out : ndarray, shape (rows, columns)
        Where they go, all of it.
    cuts : (sequence of Cut, sequence of Cut)
        The rows and the columns that it shows.
    tile : callable
        Pixels of the tile at a row and column; a number where all have one label.
    known : callable
        That number where it is known without reading, else None.
    threads : int
        Threads that decode where there are many tiles to decode.
    """

    def put(place: tuple[Cut, Cut]) -> None:
        y, x = place
        pixels = tile(y.tile, x.tile)
        if isinstance(pixels, int):
            out[y.out, x.out] = pixels
        elif isinstance(y.inside, slice):
            out[y.out, x.out] = pixels[y.inside, x.inside]
        else:
            out[y.out, x.out] = pixels[y.inside][:, x.inside]

    places = list(itertools.product(*cuts))
    if threads > 1 and len(places) >= _WORTH_THREADS:
        unknown = []
        for y, x in places:
            if known(y.tile, x.tile) is None:
                unknown.append((y, x))
            else:
                put((y, x))
        places = unknown
    if threads > 1 and len(places) >= _WORTH_THREADS:
        for _ in in_threads(put, places, threads):
            pass
    else:
        for place in places:
            put(place)


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
