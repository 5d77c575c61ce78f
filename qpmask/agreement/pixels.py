"""One pass over the pixels of two masks: pairs of labels counted, strip by strip, on a few threads.

Where both files have the same size and tiles, both are read as runs, which costs steps for runs
rather than pixels. Where they have not, the other one is read in the tiles of the coarser.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qpmask.agreement.pairing import Pairing
from qpmask.common.machine import n_cores
from qpmask.geometry.pyramids import scale_of
from qpmask.ometiff.labelcount import constant_label
from qpmask.ometiff.maskcompare import Comparison, Overlay, Tally, overlay
from qpmask.ometiff.reader import MaskFile
from qpmask.ometiff.regions import as_range, cut_axis
from qpmask.ometiff.runs import RunStrip, runs_of_tiles
from qpmask.ometiff.stripreader import StripReader
from qpmask.ometiff.strips import StripGrid
from qpmask.ometiff.threads import in_threads

CACHE_BYTES = 64 << 20
"""What a mask that is read in tiles of another one keeps, so that no tile is decoded twice."""


class _Source(Protocol):
    """A mask as strips of a grid."""

    def runs(self, plane: int, row: int, number: int) -> RunStrip:
        """A strip; :class:`~qpmask.errors.MaskError` if a tile of it cannot be read."""


class _Own:
    """A mask in its own tiles."""

    def __init__(self, file: MaskFile) -> None:
        self._file = file
        self._reader = StripReader(file)
        self._grid = self._reader.grids[0]

    def runs(self, plane: int, row: int, number: int) -> RunStrip:
        read = self._reader.read(0, plane, row, number)
        for k in sorted(read.errors):  # says what is wrong, and where
            self._file.tile(0, plane, row, number * self._grid.tiles_per_strip + k)
        return read.tiles.runs


class _Resampled:
    """A mask in the tiles of another one, which may have fewer pixels."""

    def __init__(self, file: MaskFile, grid: StripGrid, pairing: Pairing) -> None:
        self._file = file
        self._grid = grid
        self._level = _exact_level(file, pairing)
        level = file.levels[self._level]
        step = 2**self._level
        self._cols = _positions(grid.size.width_px, pairing.scale_x / step, level.size.width_px)
        self._rows = _positions(grid.size.height_px, pairing.scale_y / step, level.size.height_px)

    def runs(self, plane: int, row: int, number: int) -> RunStrip:
        shape = self._grid.shape(row, number)
        first = number * self._grid.tiles_per_strip
        tiles = (
            self._tile(plane, row, first + k, shape.width(k), shape.height)
            for k in range(shape.n_tiles)
        )
        return runs_of_tiles(tiles, shape)

    def _tile(
        self, plane: int, row: int, col: int, width: int, height: int
    ) -> NDArray[np.uint8] | int:
        level, tile = self._file.levels[self._level], self._grid.tile
        y, x = row * tile.height_px, col * tile.width_px
        pixels = np.empty((height, width), self._file.dtype)
        self._file.gather(
            self._level,
            plane,
            cut_axis(as_range(self._rows[y : y + height]), level.tile.height_px),
            cut_axis(as_range(self._cols[x : x + width]), level.tile.width_px),
            pixels,
        )
        label = constant_label(pixels)
        return pixels if label is None else label


def compare_pixels(
    first: MaskFile,
    second: MaskFile,
    pairing: Pairing,
    *,
    on_tile: Callable[[int], None] | None = None,
    threads: int | None = None,
) -> Comparison:
    """Count the pairs of labels of two masks with the same number of planes.

    Parameters
    ----------
    first, second : MaskFile
        Open masks.
    pairing : Pairing
        How they lie upon one another. Places are counted in pixels of the coarser.
    on_tile : callable, optional
        Called with the number of tiles compared so far.
    threads : int, optional
        By default as many as there are processors, four at most.

    Raises
    ------
    MaskError
        A tile of either is missing or damaged.
    """
    coarser = second if pairing.coarser else first
    grid = StripGrid(coarser.size, coarser.levels[0].tile)
    sources: list[_Source] = [
        _Own(file)
        if file.size == grid.size and file.levels[0].tile == grid.tile
        else _Resampled(file, grid, pairing)
        for file in (first, second)
    ]

    def look(place: tuple[int, int, int]) -> tuple[tuple[int, int, int], Overlay]:
        plane, row, number = place
        one, other = (source.runs(plane, row, number) for source in sources)
        return place, overlay(one, other, grid.shape(row, number))

    places = (
        (plane, row, number)
        for plane in range(first.n_planes)
        for row in range(grid.n_rows)
        for number in range(grid.n_strips)
    )
    tally = Tally(coarser.levels[0], first.n_planes)
    n_done = 0
    n_threads = threads or min(4, n_cores())
    for (plane, row, number), found in in_threads(look, places, n_threads):
        tally.add(plane, row, number * grid.tiles_per_strip, found)
        n_done += len(found.n_different)
        if on_tile is not None:
            on_tile(n_done)
    return tally.result()


def _positions(n: int, scale: float, limit_px: int) -> NDArray[np.int64]:
    """The pixel of a level that belongs to each of `n` pixels along one axis."""
    # 4 / 1.15 * 1.15 and the like must not fall below the whole number that they are.
    at_px = np.floor(np.arange(n) * scale * (1 + 1e-12)).astype(np.int64)
    found: NDArray[np.int64] = np.minimum(at_px, limit_px - 1)
    return found


def _exact_level(file: MaskFile, pairing: Pairing) -> int:
    """The smallest level that holds the very pixels that the rule picks from level 0.

    That is certain of our own files alone, whose levels were compared with level 0.
    """
    m = file.metadata
    scale = pairing.scale_x
    if pairing.scale_x != pairing.scale_y or scale != int(scale) or m is None:
        return 0
    if not (m.classes or m.extra):
        return 0
    level = 0
    while (
        level + 1 < len(file.levels)
        and int(scale) % 2 ** (level + 1) == 0
        and scale_of(file.size, file.levels[level + 1].size) == (2.0 ** (level + 1),) * 2
    ):
        level += 1
    return level
