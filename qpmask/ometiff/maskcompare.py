"""Lays two masks upon one another: how many pixels have which label in both, and where they differ.

In: the tiles of two masks of one size, as runs. Out: a :class:`Comparison`. Memory stays small: a
few strips of tiles at a time. Which files go together, and how one of another resolution is brought
to the size of the other, is the business of :mod:`qpmask.agreement`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.ometiff.directories import Level
from qpmask.ometiff.layout import Tiles, single_tiles
from qpmask.ometiff.reader import MaskFile
from qpmask.ometiff.runs import RunStrip, runs_of_tiles
from qpmask.ometiff.strips import StripShape

_MAX_PLACES = 100

Pairs = dict[tuple[int, int], int]


@dataclass(frozen=True)
class Place:
    """A tile of the first mask in which the two differ.

    ``x_px``, ``y_px`` is the first pixel that differs, counted row by row; ``n_pixels`` how many.
    """

    plane: int
    row: int
    col: int
    x_px: int
    y_px: int
    n_pixels: int


@dataclass(frozen=True)
class Comparison:
    """What a comparison found.

    Attributes
    ----------
    confusion : tuple of dict
        For each plane: how many pixels have label a in the first and b in the second mask, by
        (a, b); those that agree included.
    places : tuple of Place
        The first hundred tiles that differ.
    n_tiles_different : int
        How many tiles differ.
    """

    confusion: tuple[Pairs, ...] = ()
    places: tuple[Place, ...] = ()
    n_tiles_different: int = 0

    @property
    def n_pixels(self) -> int:
        """Pixels that were compared, all planes."""
        return sum(sum(pairs.values()) for pairs in self.confusion)

    @property
    def n_different(self) -> int:
        """How many of them differ."""
        return sum(self.by_plane.values())

    @property
    def equal(self) -> bool:
        """Whether no pixel differs."""
        return self.n_different == 0

    @property
    def by_labels(self) -> Pairs:
        """Pixels that differ by (label in the first, label in the second), most frequent first."""
        total: Counter[tuple[int, int]] = Counter()
        for pairs in self.confusion:
            total.update({pair: n for pair, n in pairs.items() if pair[0] != pair[1]})
        return dict(total.most_common())

    @property
    def by_plane(self) -> dict[int, int]:
        """How many pixels differ in each plane that differs, by its number."""
        numbers = (sum(n for (a, b), n in pairs.items() if a != b) for pairs in self.confusion)
        return {plane: n for plane, n in enumerate(numbers) if n}


@dataclass(frozen=True, eq=False)
class Overlay:
    """The tiles of one strip of two masks, one upon the other.

    Parameters
    ----------
    pairs : dict
        Pixels by (label in the first, label in the second).
    n_different : ndarray of int64, shape (n_tiles,)
        Pixels of each tile that differ.
    first : ndarray of int64, shape (n_tiles,)
        The first of them, counted row by row in its tile.
    """

    pairs: Pairs
    n_different: NDArray[np.int64]
    first: NDArray[np.int64]


def overlay(first: RunStrip, second: RunStrip, shape: StripShape) -> Overlay:
    """Lay a strip of one mask upon the same strip of another one.

    Takes steps for runs, not for pixels: where either has a new run, a new piece begins.
    """
    areas = shape.areas()
    behind = np.cumsum(areas)
    ends_by_mask = [
        strip.ends + np.repeat(behind - areas, np.diff(strip.start)) for strip in (first, second)
    ]
    ends = np.union1d(*ends_by_mask)
    lengths = np.diff(ends, prepend=0)
    # Labels have 32 bits at most, so that one number stands for a pair.
    one, other = (
        strip.values[np.searchsorted(of_mask, ends)].astype(np.uint64)
        for strip, of_mask in zip((first, second), ends_by_mask, strict=True)
    )
    keys, which = np.unique(one << np.uint64(32) | other, return_inverse=True)
    numbers = np.zeros(len(keys), np.int64)
    np.add.at(numbers, which, lengths)
    pairs = {
        (key >> 32, key & 0xFFFFFFFF): n
        for key, n in zip(keys.tolist(), numbers.tolist(), strict=True)
    }
    n_different, first_px = np.zeros(shape.n_tiles, np.int64), np.zeros(shape.n_tiles, np.int64)
    differs = np.flatnonzero(one != other)
    if len(differs):
        tile = np.searchsorted(behind, ends[differs])
        np.add.at(n_different, tile, lengths[differs])
        tiles, at = np.unique(tile, return_index=True)
        first_px[tiles] = (ends - lengths)[differs[at]] - (behind - areas)[tiles]
    return Overlay(pairs, n_different, first_px)


class Tally:
    """Collects what strips of two masks have in common.

    Parameters
    ----------
    grid : Level
        The tiles, which both masks share.
    n_planes : int
        How many planes there are.
    """

    def __init__(self, grid: Level, n_planes: int) -> None:
        self._grid = grid
        self._confusion = [Counter[tuple[int, int]]() for _ in range(n_planes)]
        self._places: list[Place] = []
        self._n_tiles = 0

    def add(self, plane: int, row: int, first_col: int, found: Overlay) -> None:
        """Take a strip that begins at a tile."""
        self._confusion[plane].update(found.pairs)
        different = np.flatnonzero(found.n_different)
        self._n_tiles += len(different)
        tile = self._grid.tile
        for k in different[: _MAX_PLACES - len(self._places)].tolist():
            _, width = self._grid.shape(row, first_col + k)
            y, x = divmod(int(found.first[k]), width)
            self._places.append(
                Place(
                    plane,
                    row,
                    first_col + k,
                    (first_col + k) * tile.width_px + x,
                    row * tile.height_px + y,
                    int(found.n_different[k]),
                )
            )

    def add_tile(
        self, plane: int, row: int, col: int, one: NDArray[Any] | int, other: NDArray[Any] | int
    ) -> None:
        """Take one tile of each; an int stands for a tile that is all one label."""
        height, width = self._grid.shape(row, col)
        if isinstance(one, int) and isinstance(other, int) and one == other:
            self._confusion[plane][one, one] += height * width
            return
        shape = StripShape(1, width, height, width, height)
        mine, theirs = (runs_of_tiles([tile], shape) for tile in (one, other))
        self.add(plane, row, col, overlay(mine, theirs, shape))

    def result(self) -> Comparison:
        """What was found."""
        confusion = tuple(dict(sorted(pairs.items())) for pairs in self._confusion)
        return Comparison(confusion, tuple(self._places), self._n_tiles)


def compare_with_tiles(
    mask: Path | str,
    tiles: Iterable[Tiles],
    *,
    on_tile: Callable[[int], None] | None = None,
) -> Comparison:
    """Compare level 0 of a mask with tiles in its own order, as an engine gives them.

    Parameters
    ----------
    mask : path-like
        The file.
    tiles : iterable
        All tiles of all planes.
    on_tile : callable, optional
        Called with the number of tiles compared so far.

    Raises
    ------
    MaskError
        The file cannot be read, or a tile of it is missing.
    """
    with MaskFile(mask) as file:
        tally = Tally(file.levels[0], file.n_planes)
        others = single_tiles(tiles)
        done = 0
        for plane in range(file.n_planes):
            for row, col, mine in file.iter_tiles(0, plane):
                tally.add_tile(plane, row, col, mine, next(others))
                done += 1
                if on_tile is not None:
                    on_tile(done)
        return tally.result()
