"""Whether the smaller levels of a mask hold labels, or averages of labels.

Programs that make pyramids for photographs average four pixels into one. Of labels 0 and 4 that
makes 1, 2 and 3: classes that are not there. Nothing in such a file says so, but its pixels do: at
edges a level has labels that level 0 lacks at that place. Only where a block of level 0 is mixed
can that be seen; straight edges along the blocks say nothing, however many there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qpmask.errors import TileError
from qpmask.geometry.pyramids import level_scales
from qpmask.ometiff.reader import MaskFile

_WINDOW_PX0 = 1024  # side of what is looked at in one go, in pixels of level 0
_MAX_WINDOWS = 8  # of a level; a mask of so many is looked at as a whole
# Levels that were drawn anew, as QuPath draws them, may differ at an edge, but seldom do.
_MAX_SHARE_DRAWN = 0.05


def is_averaged(file: MaskFile, plane: int, level: int) -> bool:
    """Whether a level has labels that level 0 does not have at that place.

    Parameters
    ----------
    file : MaskFile
        An open mask.
    plane, level : int
        Which plane, and which level from 1.

    Returns
    -------
    bool
        True where a single pixel has a label that its mixed block of level 0 lacks; in files of
        Bio-Formats (QuPath), whose levels are drawn anew, where more than a twentieth of the mixed
        blocks have. False also where no block that was looked at is mixed, or it cannot be read:
        whoever reads it then gets the error. Masks of up to 8 million pixels are looked at as a
        whole, others where their tiles have the most bytes.
    """
    scales = level_scales([each.size for each in file.levels], [each.tile for each in file.levels])
    scale_x, scale_y = scales[level]
    size, base = file.levels[level].size, file.levels[0].size
    rows = _Blocks.of(size.height_px, base.height_px, scale_y)
    cols = _Blocks.of(size.width_px, base.width_px, scale_x)
    share = _MAX_SHARE_DRAWN if file.structure.writer == "Bio-Formats" else 0.0
    n_mixed = n_strange = 0
    for y0, x0 in _windows(file, plane, level, (rows, cols)):
        try:
            mixed, strange = _look(file, plane, level, rows.window(y0), cols.window(x0))
        except TileError:
            continue
        n_mixed += mixed
        n_strange += strange
        if share == 0 and n_strange:
            return True
    return n_strange > share * n_mixed


@dataclass(frozen=True)
class _Blocks:
    """Along one axis: the pixels of level 0 that each pixel of a level stands for.

    Where the lengths do not divide, a program may have spread the level over all of level 0; then
    both ways of counting are allowed.

    Parameters
    ----------
    start, stop : ndarray of int64
        By pixel of the level.
    first : int
        Which pixel of the level `start[0]` is of.
    """

    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    first: int = 0

    @classmethod
    def of(cls, n: int, limit_px: int, scale: float) -> _Blocks:
        at = np.arange(n)
        starts, stops = [], []
        ways = [scale]
        ratio = limit_px / n
        if limit_px % n and abs(ratio - scale) * n < scale + 1:  # rounded, not padded
            ways.append(ratio)
        for way in ways:
            starts.append(np.floor(at * way * (1 + 1e-12)))
            stops.append(np.ceil((at + 1) * way * (1 - 1e-12)))
        start = np.min(starts, axis=0).astype(np.int64)
        stop = np.minimum(np.max(stops, axis=0).astype(np.int64), limit_px)
        inside = start < limit_px  # what lies behind it is padding
        return cls(start[inside], np.maximum(stop[inside], start[inside] + 1))

    def __len__(self) -> int:
        return len(self.start)

    @property
    def step(self) -> int:
        """How many pixels of the level are looked at in one go."""
        longest = int((self.stop - self.start).max(initial=1))
        return max(1, _WINDOW_PX0 // longest)

    def window(self, first: int) -> _Blocks:
        part = slice(first, first + self.step)
        return _Blocks(self.start[part], self.stop[part], first)


def _windows(
    file: MaskFile, plane: int, level: int, blocks: tuple[_Blocks, _Blocks]
) -> Iterator[tuple[int, int]]:
    """First row and column of what is looked at, in pixels of the level."""
    rows, cols = blocks
    places = [
        (y, x) for y in range(0, len(rows), rows.step) for x in range(0, len(cols), cols.step)
    ]
    if len(places) <= _MAX_WINDOWS:
        yield from places
        return
    # The middle of those tiles that have the most bytes, each kind of tile once.
    first, _ = file.distinct_tiles(level, plane)
    _, n_bytes = file.segments(level, plane)
    by_bytes = first[np.argsort(n_bytes[first], kind="stable")[::-1]]
    if len(np.unique(n_bytes[first])) == 1:  # not compressed: some from everywhere
        by_bytes = first[np.linspace(0, len(first) - 1, min(64, len(first))).astype(np.int64)]
    tile, n_cols = file.levels[level].tile, file.levels[level].n_cols
    seen = set()
    for index in by_bytes.tolist():
        row, col = divmod(index, n_cols)
        y = row * tile.height_px + max(0, tile.height_px - rows.step) // 2
        x = col * tile.width_px + max(0, tile.width_px - cols.step) // 2
        place = min(y, max(0, len(rows) - rows.step)), min(x, max(0, len(cols) - cols.step))
        if place not in seen:
            seen.add(place)
            yield place
        if len(seen) == _MAX_WINDOWS:
            return


def _look(file: MaskFile, plane: int, level: int, rows: _Blocks, cols: _Blocks) -> tuple[int, int]:
    """Pixels whose block of level 0 is mixed, and those of them whose label is not in it."""
    pixels = file.read(
        level, plane, rows.first, rows.first + len(rows), cols.first, cols.first + len(cols)
    )
    top, left = int(rows.start[0]), int(cols.start[0])
    source = file.read(0, plane, top, int(rows.stop.max()), left, int(cols.stop.max()))
    is_there = np.zeros(pixels.shape, np.bool_)
    is_mixed = np.zeros(pixels.shape, np.bool_)
    first = source[np.ix_(rows.start - top, cols.start - left)]
    for dy in range(int((rows.stop - rows.start).max())):
        at_y = np.minimum(rows.start + dy, rows.stop - 1) - top
        for dx in range(int((cols.stop - cols.start).max())):
            at_x = np.minimum(cols.start + dx, cols.stop - 1) - left
            label = source[np.ix_(at_y, at_x)]
            is_there |= label == pixels
            is_mixed |= label != first
    return int(np.count_nonzero(is_mixed)), int(np.count_nonzero(is_mixed & ~is_there))
