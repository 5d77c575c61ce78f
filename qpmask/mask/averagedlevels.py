"""Whether the smaller levels of a mask hold labels, or averages of labels.

Programs that make pyramids for photographs average four pixels into one. Of labels 0 and 4 that
makes 1, 2 and 3: classes that are not there. Nothing in such a file says so, but its pixels do: at
edges a level has labels that level 0 lacks at that place. There may be few of them: straight edges
along the blocks have none, however many there are. So every pixel of a level is looked at, once;
where the level above is known to hold labels of level 0 only, against that one, which is smaller.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qpmask.errors import TileError
from qpmask.geometry.pyramids import level_scales
from qpmask.ometiff.reader import MaskFile
from qpmask.ometiff.threads import in_threads

_WINDOW_PX = 1024  # side of what is looked at in one go, in pixels of the larger level
_WINDOW_AREA_PX = 2**22  # of wide tiles, such as strips, unless one tile has more
# Levels that were drawn anew, as QuPath draws them, may differ at an edge, but seldom do. Of those
# the share is judged, by a few windows.
_MAX_SHARE_DRAWN = 0.05
_MAX_WINDOWS_DRAWN = 8


def is_averaged(file: MaskFile, plane: int, level: int, threads: int = 1) -> bool:
    """Whether a level has labels that level 0 does not have at that place.

    Parameters
    ----------
    file : MaskFile
        An open mask.
    plane, level : int
        Which plane, and which level from 1. Those between it and level 0 are known to be sound.
    threads : int
        Threads that read and compare.

    Returns
    -------
    bool
        True where a single pixel has a label that its block of level 0 lacks; in files of
        Bio-Formats (QuPath), whose levels are drawn anew, where more than a twentieth of the mixed
        blocks that were looked at have. What cannot be read is passed over: whoever reads it then
        gets the error.

    Notes
    -----
    Level 1 costs about as much as to read it and level 0, smaller ones a quarter of the one before.
    It ends at the first such pixel. Memory: a few windows of four million pixels, or of one tile.
    """
    scales = level_scales([each.size for each in file.levels], [each.tile for each in file.levels])
    rows, cols = _blocks(file, level, scales)
    if file.structure.writer == "Bio-Formats":
        return _is_averaged_drawn(file, plane, level, (rows, cols))
    above = level - 1
    rows_above, cols_above = _blocks(file, above, scales)
    pairs = rows.within(rows_above), cols.within(cols_above)
    if pairs[0] is None or pairs[1] is None:  # scales of no common measure
        above, pairs = 0, (rows, cols)
    fine_rows, fine_cols = pairs
    assert fine_rows is not None and fine_cols is not None

    def look(place: tuple[slice, slice]) -> bool:
        y, x = place
        try:
            at = _strange(file, plane, (level, above), fine_rows[y], fine_cols[x])
            if above == 0 or not len(at[0]):
                return bool(len(at[0]))
            return _is_strange_to_level_0(file, plane, level, (rows[y], cols[x]), at)
        except TileError:
            return False

    return any(in_threads(look, _windows(file, above, fine_rows, fine_cols), threads))


def _is_strange_to_level_0(
    file: MaskFile,
    plane: int,
    level: int,
    blocks: tuple[_Blocks, _Blocks],
    at: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> bool:
    """Whether any of these pixels has a label that its block of level 0 lacks."""
    rows, cols = blocks
    step_y, step_x = rows.step(_WINDOW_PX), cols.step(_WINDOW_PX)
    parts = np.unique(np.stack([at[0] // step_y, at[1] // step_x], axis=1), axis=0)
    for row, col in parts.tolist():
        y = slice(row * step_y, (row + 1) * step_y)
        x = slice(col * step_x, (col + 1) * step_x)
        if len(_strange(file, plane, (level, 0), rows[y], cols[x])[0]):
            return True
    return False


@dataclass(frozen=True)
class _Blocks:
    """Along one axis: the pixels of a larger level that each pixel of a level stands for.

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
        if limit_px % n and abs(limit_px - scale * n) < scale:  # rounded, not padded
            ways.append(ratio)
        for way in ways:
            starts.append(np.floor(at * way * (1 + 1e-12)))
            stops.append(np.ceil((at + 1) * way * (1 - 1e-12)))
        start = np.min(starts, axis=0).astype(np.int64)
        stop = np.minimum(np.max(stops, axis=0).astype(np.int64), limit_px)
        inside = start < limit_px  # what lies behind it is padding
        return cls(start[inside], np.maximum(stop[inside], start[inside] + 1))

    def within(self, above: _Blocks) -> _Blocks | None:
        """The same in pixels of another level: those whose blocks lie in these blocks.

        Both have blocks of level 0. None where a block holds no pixel of that level.
        """
        start = np.searchsorted(above.start, self.start, "left")
        stop = np.searchsorted(above.stop, self.stop, "right")
        return _Blocks(start, stop, self.first) if (stop > start).all() else None

    def __len__(self) -> int:
        return len(self.start)

    def __getitem__(self, part: slice) -> _Blocks:
        return _Blocks(self.start[part], self.stop[part], self.first + part.start)

    @property
    def longest(self) -> int:
        """Length of the longest block."""
        return int((self.stop - self.start).max(initial=1))

    def step(self, length_px: int) -> int:
        """How many pixels have blocks that together are at most about so long; at least one."""
        return max(1, length_px // self.longest)

    @property
    def corners(self) -> slice | NDArray[np.int64]:
        """The first pixel of each block, counted from the first one."""
        at: NDArray[np.int64] = self.start - self.start[0]
        if len(at) > 1 and at[1] > 0 and np.array_equal(at, np.arange(len(at)) * at[1]):
            return slice(0, int(at[-1]) + 1, int(at[1]))  # a view, where it can be one
        return at


def _blocks(
    file: MaskFile, level: int, scales: tuple[tuple[float, float], ...]
) -> tuple[_Blocks, _Blocks]:
    """Blocks of level 0 that the rows and the columns of a level stand for."""
    size, base = file.levels[level].size, file.levels[0].size
    scale_x, scale_y = scales[level]
    return (
        _Blocks.of(size.height_px, base.height_px, scale_y),
        _Blocks.of(size.width_px, base.width_px, scale_x),
    )


def _windows(
    file: MaskFile, above: int, rows: _Blocks, cols: _Blocks
) -> Iterator[tuple[slice, slice]]:
    """All of a level, in pieces that cover whole tiles of the level above where they can."""
    tile = file.levels[above].tile
    width_px = max(_WINDOW_PX, tile.width_px)
    height_px = max(tile.height_px, min(_WINDOW_PX, _WINDOW_AREA_PX // width_px))
    step_y, step_x = rows.step(height_px), cols.step(width_px)
    for y in range(0, len(rows), step_y):
        for x in range(0, len(cols), step_x):
            yield slice(y, y + step_y), slice(x, x + step_x)


def _read(
    file: MaskFile, plane: int, levels: tuple[int, int], rows: _Blocks, cols: _Blocks
) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    """Pixels of a level, and all pixels of a larger one that they stand for."""
    y, x = rows.first, cols.first
    pixels = file.read(levels[0], plane, y, y + len(rows), x, x + len(cols))
    top, left = int(rows.start[0]), int(cols.start[0])
    source = file.read(levels[1], plane, top, int(rows.stop.max()), left, int(cols.stop.max()))
    return pixels, source


def _strange(
    file: MaskFile, plane: int, levels: tuple[int, int], rows: _Blocks, cols: _Blocks
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of pixels whose label is not in their block, counted from the first."""
    pixels, source = _read(file, plane, levels, rows, cols)
    top, left = rows.start[0], cols.start[0]
    # Most are as the first pixel of their block.
    y, x = np.nonzero(pixels != source[rows.corners][:, cols.corners])
    for dy in range(rows.longest):
        for dx in range(cols.longest):
            if not len(y):
                return y, x
            at_y = np.minimum(rows.start[y] + dy, rows.stop[y] - 1) - top
            at_x = np.minimum(cols.start[x] + dx, cols.stop[x] - 1) - left
            is_lacking = source[at_y, at_x] != pixels[y, x]
            y, x = y[is_lacking], x[is_lacking]
    return y, x


# -- levels that were drawn anew ----------------------------------------------------------------


def _is_averaged_drawn(
    file: MaskFile, plane: int, level: int, blocks: tuple[_Blocks, _Blocks]
) -> bool:
    """Whether more than a few of the mixed blocks lack the label that their pixel has."""
    n_mixed = n_strange = 0
    for y, x in _samples(file, plane, level, blocks):
        rows, cols = blocks[0][y], blocks[1][x]
        try:
            pixels, source = _read(file, plane, (level, 0), rows, cols)
        except TileError:
            continue
        is_there = np.zeros(pixels.shape, np.bool_)
        is_mixed = np.zeros(pixels.shape, np.bool_)
        first = source[rows.corners][:, cols.corners]
        for dy in range(rows.longest):
            at_y = np.minimum(rows.start + dy, rows.stop - 1) - rows.start[0]
            for dx in range(cols.longest):
                at_x = np.minimum(cols.start + dx, cols.stop - 1) - cols.start[0]
                label = source[np.ix_(at_y, at_x)]
                is_there |= label == pixels
                is_mixed |= label != first
        n_mixed += int(np.count_nonzero(is_mixed))
        n_strange += int(np.count_nonzero(is_mixed & ~is_there))
    return n_strange > _MAX_SHARE_DRAWN * n_mixed


def _samples(
    file: MaskFile, plane: int, level: int, blocks: tuple[_Blocks, _Blocks]
) -> Iterator[tuple[slice, slice]]:
    """Some windows of a level: the middle of those tiles that have the most bytes."""
    rows, cols = blocks
    step_y, step_x = rows.step(_WINDOW_PX), cols.step(_WINDOW_PX)
    places = [(y, x) for y in range(0, len(rows), step_y) for x in range(0, len(cols), step_x)]
    if len(places) > _MAX_WINDOWS_DRAWN:
        first, _ = file.distinct_tiles(level, plane)  # each kind of tile once
        _, n_bytes = file.segments(level, plane)
        by_bytes = first[np.argsort(n_bytes[first], kind="stable")[::-1]]
        if len(np.unique(n_bytes[first])) == 1:  # not compressed: some from everywhere
            by_bytes = first[np.linspace(0, len(first) - 1, min(64, len(first))).astype(np.int64)]
        tile, n_cols = file.levels[level].tile, file.levels[level].n_cols
        found: dict[tuple[int, int], None] = {}
        for index in by_bytes.tolist():
            row, col = divmod(index, n_cols)
            y = row * tile.height_px + max(0, tile.height_px - step_y) // 2
            x = col * tile.width_px + max(0, tile.width_px - step_x) // 2
            found[min(y, max(0, len(rows) - step_y)), min(x, max(0, len(cols) - step_x))] = None
            if len(found) == _MAX_WINDOWS_DRAWN:
                break
        places = list(found)
    for y, x in places:
        yield slice(y, y + step_y), slice(x, x + step_x)
