"""How much of every cell has which label: counted from the runs of a mask, never pixel by pixel.

A TIFF is read once, by strips of tiles, as runs of one label; a collection chunk by chunk
(``chunkruns``). Each run is one to three rectangles; a tile of one label is one. Rectangles are cut
along the edges of the cells, and their areas summed by cell and label, exactly: all lengths are
whole pixels of level 0 (or, for a mask with a downsample, pixels of the mask cut at exact places).

Edges divide the mask into elementary rectangles, of which a cell is a block; so cells that overlap
cost no more than those that do not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qpmask.collection.flatmask import CollectionMask
from qpmask.common.ragged import items_at
from qpmask.errors import MaskError
from qpmask.ometiff.reader import MaskFile
from qpmask.ometiff.stripreader import StripRead, StripReader
from qpmask.ometiff.threads import in_threads
from qpmask.patches.chunkruns import chunk_rectangles

#: Bytes of the table of areas; a mask that needs more is counted in bands of rows.
_TABLE_BYTES = 96 << 20


@dataclass(frozen=True, eq=False)
class Axis:
    """Where the cells of a lattice lie along one axis of a mask, in pixels of the mask.

    Parameters
    ----------
    start, stop : ndarray of float64, shape (n,)
        Beginning and end of each cell; they may lie beyond the mask.
    """

    start: NDArray[np.float64]
    stop: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.start)

    def part(self, first: int, end: int) -> Axis:
        """Some of the cells."""
        return Axis(self.start[first:end], self.stop[first:end])

    def breaks(self, length_px: int) -> NDArray[np.float64]:
        """All edges within the mask, in order and each once."""
        edges = np.concatenate([self.start, self.stop])
        return np.unique(np.clip(edges, 0, length_px))


def class_areas(
    mask: MaskFile | CollectionMask,
    labels: Sequence[int] | None,
    x: Axis,
    y: Axis,
    *,
    plane: int = 0,
    threads: int = 2,
    check: Callable[[], None] = lambda: None,
) -> NDArray[np.float64]:
    """Pixels of each label in each cell.

    Parameters
    ----------
    mask : MaskFile or CollectionMask
        The mask.
    labels : sequence of int or None
        Which labels to count; None counts all but 0 together.
    x, y : Axis
        Columns and rows of the cells.
    plane : int
        Which plane of a file.
    threads : int
        Threads that read and decode.
    check : callable, optional
        Called now and then; what it raises ends the count.

    Returns
    -------
    ndarray of float64, shape (rows, columns, labels)
        In pixels of the mask; whole numbers where the cells begin and end at whole pixels.

    Raises
    ------
    MaskError
        A tile is missing or damaged.
    """
    n_labels = 1 if labels is None else len(labels)
    areas = np.zeros((len(y), len(x), n_labels))
    if areas.size == 0:
        return areas
    size = mask.levels[0].size
    x_breaks = x.breaks(size.width_px)
    per_row = max(1, len(x_breaks) * n_labels * 8)
    reader = StripReader(mask) if isinstance(mask, MaskFile) else None
    n_rows = max(1, min(len(y), _TABLE_BYTES // (2 * per_row)))
    for first in range(0, len(y), n_rows):
        band = y.part(first, first + n_rows)
        y_breaks = band.breaks(size.height_px)
        if len(x_breaks) < 2 or len(y_breaks) < 2:
            continue
        table = _Table(x_breaks, y_breaks, labels)
        if isinstance(mask, CollectionMask):
            found = _of_chunks(mask, y_breaks, threads)
        else:
            assert reader is not None
            found = _rectangles(reader, mask, plane, y_breaks, threads)
        for rectangles in found:
            check()
            table.add(rectangles)
        areas[first : first + n_rows] = table.blocks(x, band)
    return areas


@dataclass(frozen=True, eq=False)
class _Rectangles:
    """Rectangles of one label each, in pixels of the mask; all arrays have shape (n,)."""

    x0: NDArray[np.int64]
    x1: NDArray[np.int64]
    y0: NDArray[np.int64]
    y1: NDArray[np.int64]
    label: NDArray[np.int64]


class _Table:
    """Areas of labels in the elementary rectangles between breaks."""

    def __init__(
        self,
        x_breaks: NDArray[np.float64],
        y_breaks: NDArray[np.float64],
        labels: Sequence[int] | None,
    ) -> None:
        self._x, self._y = x_breaks, y_breaks
        self._labels = None if labels is None else np.array(sorted(labels), np.int64)
        # From sorted to the caller's.
        self._order = np.argsort(np.argsort(np.zeros(1) if labels is None else np.array(labels)))
        self._shape = len(y_breaks) - 1, len(x_breaks) - 1, len(self._order)
        self._areas = np.zeros(self._shape).reshape(-1)

    def add(self, found: _Rectangles) -> None:
        """Add the areas of rectangles."""
        if self._labels is None:
            which = np.zeros(len(found.label), np.int64)
            counted = np.ones(len(found.label), np.bool_)
        else:
            which = np.searchsorted(self._labels, found.label)
            which[which == len(self._labels)] = 0
            counted = self._labels[which] == found.label
        which, x0, x1, y0, y1 = (
            values[counted] for values in (which, found.x0, found.x1, found.y0, found.y1)
        )
        part, col, width = _cut(x0, x1, self._x)
        again, row, height = _cut(y0[part], y1[part], self._y)
        part, col, width = part[again], col[again], width[again]
        _, n_cols, n_labels = self._shape
        at = (row * n_cols + col) * n_labels + which[part]
        if not at.size:
            return
        # The rectangles of a row of tiles touch few rows of the table.
        first = int(at.min())
        sums = np.bincount(at - first, weights=width * height)
        self._areas[first : first + len(sums)] += sums

    def blocks(self, x: Axis, y: Axis) -> NDArray[np.float64]:
        """Areas in cells, shape (rows, columns, labels)."""
        rows, cols, n_labels = self._shape
        sums = np.zeros((rows + 1, cols + 1, n_labels))
        np.cumsum(self._areas.reshape(self._shape), axis=0, out=sums[1:, 1:])
        np.cumsum(sums[1:, 1:], axis=1, out=sums[1:, 1:])
        (left, right), (top, bottom) = _places(x, self._x), _places(y, self._y)
        found: NDArray[np.float64] = (
            sums[bottom][:, right] - sums[top][:, right]
            - sums[bottom][:, left] + sums[top][:, left]
        )  # fmt: skip
        return found[:, :, self._order]


def _places(axis: Axis, breaks: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """At which breaks cells begin and end."""
    low, high = breaks[0], breaks[-1]
    start, stop = (
        np.searchsorted(breaks, np.clip(edges, low, high)) for edges in (axis.start, axis.stop)
    )
    return start, stop


def _cut(
    start: NDArray[np.int64], stop: NDArray[np.int64], breaks: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Cut stretches at breaks.

    Returns
    -------
    which : ndarray of int64, shape (n,)
        Of which stretch each piece is.
    place : ndarray of int64, shape (n,)
        Between which breaks it lies: 0 for the first two.
    length : ndarray of float64, shape (n,)
        How long it is.
    """
    first = np.maximum(np.searchsorted(breaks, start, side="right") - 1, 0)
    last = np.minimum(np.searchsorted(breaks, stop, side="left"), len(breaks) - 1)  # exclusive
    n = np.maximum(last - first, 0)
    which = np.repeat(np.arange(len(start)), n)
    place = items_at(first, n)
    length = np.minimum(stop[which], breaks[place + 1]) - np.maximum(start[which], breaks[place])
    positive = length > 0
    return which[positive], place[positive], length[positive]


def _rectangles(
    reader: StripReader,
    mask: MaskFile,
    plane: int,
    y_breaks: NDArray[np.float64],
    threads: int,
) -> Iterator[_Rectangles]:
    """The rectangles of each row of tiles that lies between the outer breaks."""
    grid = reader.grids[0]
    tile_px = grid.tile.height_px
    first = int(y_breaks[0] // tile_px)
    end = min(grid.n_rows, int(-(-y_breaks[-1] // tile_px)))
    places = [(row, number) for row in range(first, end) for number in range(grid.n_strips)]
    parts: list[_Rectangles] = []
    for (row, number), strip in zip(
        places,
        in_threads(
            lambda at: reader.read(0, plane, *at),
            places,
            threads,
            at_once=lambda at: reader.known(0, plane, *at),
        ),
        strict=True,
    ):
        if strip.errors:
            k, why = next(iter(strip.errors.items()))
            col = number * grid.tiles_per_strip + k
            raise MaskError(
                f"The tile of {mask.path} at ({col * grid.tile.width_px}, {row * tile_px}) cannot "
                f"be read: {why}."
            )
        left = number * grid.tiles_per_strip * grid.tile.width_px
        parts += _of_strip(strip, left, row * tile_px)
        if number == grid.n_strips - 1:
            yield _Rectangles(
                *(
                    np.concatenate([getattr(part, name) for part in parts])
                    for name in ("x0", "x1", "y0", "y1", "label")
                )
            )
            parts = []


def _of_chunks(
    mask: CollectionMask, y_breaks: NDArray[np.float64], threads: int
) -> Iterator[_Rectangles]:
    """The rectangles of each chunk that lies between the outer breaks."""
    top_px, bottom_px = math.floor(y_breaks[0]), math.ceil(y_breaks[-1])
    for found in chunk_rectangles(mask, top_px, bottom_px, threads):
        yield _Rectangles(*found)


def _of_strip(strip: StripRead, left: int, top: int) -> list[_Rectangles]:
    """Rectangles of all runs of a strip whose corner is at (left, top)."""
    shape, runs = strip.tiles.shape, strip.tiles.runs
    n_runs = np.diff(runs.start)
    tile = np.repeat(np.arange(shape.n_tiles), n_runs)
    width = np.full(len(tile), shape.tile_width, np.int64)
    width[tile == shape.n_tiles - 1] = shape.last_width
    end = runs.ends.astype(np.int64)
    begin = np.empty_like(end)
    begin[1:] = end[:-1]
    begin[runs.start[:-1][n_runs > 0]] = 0
    label = runs.values.astype(np.int64)
    drawn = label != 0
    tile, width, begin, end, label = (v[drawn] for v in (tile, width, begin, end, label))
    x_tile = left + tile * shape.tile_width
    row, col = np.divmod(begin, width)
    last_row, last_col = np.divmod(end - 1, width)
    last_col += 1
    one_row = row == last_row
    # The first row of a run from where it begins; the rows that it fills; the last up to its end.
    head_is_full = (col == 0) & ~one_row
    tail_is_full = (last_col == width) & ~one_row
    body0, body1 = row + ~head_is_full, last_row + tail_is_full
    has_body = ~one_row & (body1 > body0)
    has_tail = ~one_row & ~tail_is_full
    has_head = one_row | ~head_is_full
    head_end = np.where(one_row, last_col, width)
    zero = np.zeros_like(col)
    return [
        _Rectangles(
            *(values[chosen] for values in (x_tile + a, x_tile + b, top + c, top + d, label))
        )
        for chosen, a, b, c, d in (
            (has_head, col, head_end, row, row + 1),
            (has_body, zero, width, body0, body1),
            (has_tail, zero, last_col, last_row, last_row + 1),
        )
    ]
