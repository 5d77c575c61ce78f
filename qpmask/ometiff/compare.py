"""Compares two masks pixel by pixel: how many differ, where, and between which labels.

In: two mask files of the same size, of any tile size, compression or program. Out: a
:class:`Comparison`. Memory stays small: one row of tiles at a time.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.ometiff.layout import PackedTile, Tiles, single_tiles
from qpmask.ometiff.reader import MaskFile
from qpmask.ometiff.structure import Level

_MAX_PLACES = 100


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
    n_pixels : int
        Pixels of level 0, all planes.
    n_different : int
        How many of them differ.
    by_labels : dict
        How many pixels have label a in the first and b in the second mask, by (a, b).
    places : tuple of Place
        The first hundred tiles that differ.
    n_tiles_different : int
        How many tiles differ.
    by_plane : dict
        How many pixels differ in each plane that differs, by its number.
    reason : str or None
        Why the masks cannot be compared at all: other sizes or planes.
    """

    n_pixels: int = 0
    n_different: int = 0
    by_labels: dict[tuple[int, int], int] | None = None
    places: tuple[Place, ...] = ()
    n_tiles_different: int = 0
    by_plane: dict[int, int] | None = None
    reason: str | None = None

    @property
    def equal(self) -> bool:
        """Whether the masks have the same size and labels."""
        return self.reason is None and self.n_different == 0


class Tally:
    """Collects differences tile by tile."""

    def __init__(self) -> None:
        self._n_pixels = 0
        self._by_labels: Counter[tuple[int, int]] = Counter()
        self._places: list[Place] = []
        self._n_tiles = 0
        self._by_plane: Counter[int] = Counter()

    def add(
        self,
        plane: int,
        row: int,
        col: int,
        grid: Level,
        first: NDArray[Any] | int,
        second: NDArray[Any] | int,
    ) -> None:
        """Take two tiles of the same place; an int stands for a tile that is all one label."""
        shape = grid.shape(row, col)
        self._n_pixels += shape[0] * shape[1]
        if isinstance(first, int) and isinstance(second, int) and first == second:
            return
        if isinstance(first, int) and isinstance(second, int):
            n_different, at = shape[0] * shape[1], 0
            self._by_labels[first, second] += n_different
        else:
            a = np.broadcast_to(np.asarray(first), shape).ravel()
            b = np.broadcast_to(np.asarray(second), shape).ravel()
            different = np.flatnonzero(a != b)
            if not len(different):
                return
            n_different, at = len(different), int(different[0])
            # One number for each pair of labels, which are 32 bits at most.
            one, other = (pixels[different].astype(np.uint64) for pixels in (a, b))
            pairs = one << np.uint64(32) | other
            for pair, n in zip(*np.unique(pairs, return_counts=True), strict=True):
                self._by_labels[int(pair) >> 32, int(pair) & 0xFFFFFFFF] += int(n)
        self._n_tiles += 1
        self._by_plane[plane] += n_different
        if len(self._places) < _MAX_PLACES:
            y, x = divmod(at, shape[1])
            y_px, x_px = row * grid.tile.height_px + y, col * grid.tile.width_px + x
            self._places.append(Place(plane, row, col, x_px, y_px, n_different))

    def result(self) -> Comparison:
        """What was found."""
        return Comparison(
            n_pixels=self._n_pixels,
            n_different=sum(self._by_labels.values()),
            by_labels=dict(self._by_labels.most_common()),
            places=tuple(self._places),
            n_tiles_different=self._n_tiles,
            by_plane=dict(self._by_plane),
        )


def compare_masks(
    first: Path | str, second: Path | str, *, on_tile: Callable[[int], None] | None = None
) -> Comparison:
    """Compare level 0 of two masks.

    Parameters
    ----------
    first, second : path-like
        The files.
    on_tile : callable, optional
        Called with the number of tiles compared so far.

    Raises
    ------
    MaskError
        A file cannot be read, or a tile of it is missing.
    """
    with MaskFile(first) as a, MaskFile(second) as b:
        if a.size != b.size:
            return Comparison(reason=f"the first has {a.size} pixels, the second {b.size}")
        if a.n_planes != b.n_planes:
            return Comparison(reason=f"the first has {a.n_planes} planes, the second {b.n_planes}")
        grid = a.levels[0]
        tally = Tally()
        done = 0
        for plane in range(a.n_planes):
            others = _like(b, plane, grid)
            for (row, col, mine), other in zip(a.iter_tiles(0, plane), others, strict=True):
                tally.add(plane, row, col, grid, mine, other)
                done += 1
                if on_tile is not None:
                    on_tile(done)
        return tally.result()


def compare_with_tiles(
    mask: Path | str,
    tiles: Iterable[Tiles],
    *,
    on_tile: Callable[[int], None] | None = None,
) -> Comparison:
    """Compare level 0 of a mask with tiles in its own order, as an engine gives them.

    Raises
    ------
    MaskError
        The file cannot be read, or a tile of it is missing.
    """
    with MaskFile(mask) as file:
        grid = file.levels[0]
        tally = Tally()
        others = single_tiles(tiles)
        done = 0
        for plane in range(file.n_planes):
            for row, col, mine in file.iter_tiles(0, plane):
                other = next(others)
                pixels = other.pixels if isinstance(other, PackedTile) else other
                tally.add(plane, row, col, grid, mine, pixels)
                done += 1
                if on_tile is not None:
                    on_tile(done)
        return tally.result()


def _like(mask: MaskFile, plane: int, grid: Level) -> Iterator[NDArray[Any] | int]:
    """Tiles of a mask in the grid of another one."""
    if mask.levels[0].tile == grid.tile:
        for _, _, pixels in mask.iter_tiles(0, plane):
            yield pixels
        return
    for row, col in itertools.product(range(grid.n_rows), range(grid.n_cols)):
        height, width = grid.shape(row, col)
        y, x = row * grid.tile.height_px, col * grid.tile.width_px
        yield mask.read(level=0, plane=plane, y0=y, y1=y + height, x0=x, x1=x + width)
