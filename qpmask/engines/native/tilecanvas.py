"""Kernels on tiles while they are drawn: a label, or pieces of rows upon a label, or pixels.

Most tiles that are not all one label hold a few shapes, and a shape is a piece or two in each row
of pixels. The pieces, in the order in which they were laid, say all of such a tile; its runs are
found without painting a quarter of a million pixels and looking for runs in them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qpmask.engines.native.crossings import (
    I32,
    I64,
    MOST_CROSSINGS,
    clear,
    inside,
    paint,
    place_crossings,
    sort_crossings,
)
from qpmask.jit import kernel
from qpmask.ometiff.runs import RunStrip
from qpmask.ometiff.strips import MIXED

DRAWN = MIXED
"""State of a tile that has pixels."""

PIECED = -3
"""State of a tile that is one label, and pieces of rows upon it."""


class Canvas(NamedTuple):
    """Tiles of a chunk.

    Attributes
    ----------
    pixels : array (tiles, tile * tile)
        Those of a :data:`DRAWN` tile are its first height * width values.
    state : int64 array (tiles,)
        A label, :data:`DRAWN` or :data:`PIECED`.
    pieces : int32 array (tiles + 1, most pieces, 4)
        Of those that are pieced: row, first column, end column, label; later ones lie on top. The
        last one is room to sort them.
    about : int64 array (tiles, 2)
        Of those that are pieced: number of pieces, label beneath.
    """

    pixels: NDArray[Any]
    state: I64
    pieces: I32
    about: I64


@kernel
def open_tile(canvas: Canvas, k: int, width: int, height: int) -> None:
    """Make sure that a tile has pixels."""
    state = canvas.state[k]
    if state == DRAWN:
        return
    about, pixels = canvas.about[k], canvas.pixels[k]
    paint(pixels, np.int64(0), width * height, about[1] if state == PIECED else state)
    for i in range(about[0] if state == PIECED else 0):
        piece = canvas.pieces[k, i]
        start = np.int64(piece[0]) * width
        paint(pixels, start + piece[1], start + piece[2], np.int64(piece[3]))
    canvas.state[k] = DRAWN


@kernel
def lay(
    canvas: Canvas, k: int, width: int, height: int, row: int, first: int, end: int, label: int
) -> None:
    """Give the pixels ``first`` to ``end`` of a row a label; 0 <= first < end <= width."""
    state, about = canvas.state[k], canvas.about[k]
    if state != DRAWN:
        if state != PIECED:
            canvas.state[k], about[0], about[1] = PIECED, 0, state
        if about[0] < canvas.pieces.shape[1]:
            piece = canvas.pieces[k, about[0]]
            piece[0], piece[1], piece[2], piece[3] = row, first, end, label
            about[0] += 1
            return
        open_tile(canvas, k, width, height)
    paint(canvas.pixels[k], row * width + first, row * width + end, label)


@kernel
def fill_box(
    canvas: Canvas,
    k: int,
    width: int,
    height: int,
    x0: int,
    x1: int,
    y0: int,
    y1: int,
    label: int,
) -> None:
    """Fill columns x0 to x1 of rows y0 to y1, as far as they lie in the tile."""
    x0, x1 = max(x0, 0), min(x1, width)
    if x0 >= x1:
        return
    for row in range(max(y0, 0), min(y1, height)):
        lay(canvas, k, width, height, row, x0, x1, label)


@kernel
def fill_crossers(
    canvas: Canvas,
    k: int,
    width: int,
    height: int,
    first_row: int,
    end_row: int,
    left: I64,
    crossers: I64,
    n: int,
    shift: int,
    rule: int,
    label: int,
    rows: I64,
    keys: I64,
) -> int:
    """Fill pixel rows ``first_row`` to ``end_row`` of a tile between crossings; a pixel of these.

    It is -1 where none is filled. A run that no crossing ends reaches the right edge: what lies
    right of the tile was dropped.
    ``rows``, shape (2, at least height + 1), and ``keys``, with room for the crossings of a row or
    ``MOST_CROSSINGS``, are room to work in.
    """
    n_rows = end_row - first_row
    count, place = rows[0], rows[1]
    clear(count, np.int64(0), n_rows + 1)
    for i in range(n):
        count[crossers[i, 2] - first_row] += 1
        count[crossers[i, 3] - first_row] -= 1
    for row in range(1, n_rows):
        count[row] += count[row - 1]
    band_start = np.int64(0)
    winding = np.int64(0)
    pixel, n_filled = np.int64(-1), np.int64(0)
    while band_start < n_rows:
        band_end = band_start + 1
        total = count[band_start]
        while band_end < n_rows and total + count[band_end] <= MOST_CROSSINGS:
            total += count[band_end]
            band_end += 1
        place[band_start] = 0
        for row in range(band_start, band_end):
            place[row + 1] = place[row] + count[row]
        place_crossings(keys, place, crossers, n, first_row, band_start, band_end, shift, width)
        start = np.int64(0)
        for row in range(band_start, band_end):
            # Placing moved place[row] from the start of the row's crossings to their end.
            end = start + count[row]
            winding += left[first_row + row]
            sort_crossings(keys[start:end])
            around = winding
            column = np.int64(0)
            for i in range(start, end + 1):
                # Behind the last crossing comes the right edge.
                following = keys[i] >> 1 if i < end else np.int64(width)
                if following > column and inside(around, rule):
                    lay(canvas, k, width, height, first_row + row, column, following, label)
                    n_filled += following - column
                    pixel = (first_row + row) * width + column
                if i < end:
                    around += ((keys[i] & 1) << 1) - 1
                    column = following
            start = end
        band_start = band_end
    if n_filled == width * height:
        canvas.state[k] = label
    return int(pixel)


@kernel
def add_pieces(
    canvas: Canvas,
    k: int,
    width: int,
    height: int,
    tile: int,
    out: RunStrip,
    place: I64,
    line: I32,
) -> int:
    """Add the runs of a pieced tile, which is ``tile`` of the strip.

    The number of runs then in ``out``, or -1 where there is not room for all. ``place``, with
    ``height + 1`` items, and ``line``, with room for the pieces of a row, are room to work in.
    """
    n, beneath = canvas.about[k, 0], canvas.about[k, 1]
    pieces = canvas.pieces[_by_row(canvas, k, n, height, place)]
    n_runs = out.start[tile]
    done = np.int64(0)
    i = np.int64(0)
    while i < n:
        row = pieces[i, 0]
        end = i + 1
        while end < n and pieces[end, 0] == row:
            end += 1
        n_line = np.int64(1) if end == i + 1 else _flatten(pieces[i:end], line)
        if n_runs + 2 * n_line + 1 > len(out.values):
            return -1
        for at in range(n_line):
            piece = pieces[i] if end == i + 1 else line[at]
            start = row * width + piece[1]
            n_runs = _add_run(out, tile, n_runs, done, start, beneath)
            done = row * width + np.int64(piece[2])
            n_runs = _add_run(out, tile, n_runs, start, done, np.int64(piece[3]))
        i = end
    if n_runs == len(out.values):
        return -1
    n_runs = _add_run(out, tile, n_runs, done, width * height, beneath)
    out.start[tile + 1] = n_runs
    return int(n_runs)


@kernel
def _add_run(out: RunStrip, tile: int, n_runs: int, start: int, end: int, label: int) -> int:
    """Add the pixels of a tile from ``start`` to ``end``, or let the last run grow."""
    if start == end:
        return n_runs
    if n_runs > out.start[tile] and out.values[n_runs - 1] == label:
        out.ends[n_runs - 1] = end
        return n_runs
    out.values[n_runs] = label
    out.ends[n_runs] = end
    return n_runs + 1


@kernel
def _by_row(canvas: Canvas, k: int, n: int, height: int, place: I64) -> int:
    """Where the pieces of a tile are row by row, those of a row in the order they were laid."""
    pieces = canvas.pieces[k]
    is_sorted = True
    for i in range(1, n):
        is_sorted &= pieces[i - 1, 0] <= pieces[i, 0]
    if is_sorted:
        return k
    clear(place, np.int64(0), height + 1)
    for i in range(n):
        place[pieces[i, 0] + 1] += 1
    for row in range(height):
        place[row + 1] += place[row]
    last = len(canvas.pieces) - 1
    by_row = canvas.pieces[last]
    for i in range(n):
        row = pieces[i, 0]
        _put(by_row[place[row]], pieces[i])
        place[row] += 1
    return int(last)


@kernel
def _flatten(pieces: I32, line: I32) -> int:
    """Make pieces of one row that lie beside one another, in ``line``; how many there are."""
    n = np.int64(0)
    for i_piece in range(len(pieces)):
        piece = pieces[i_piece]
        first, end = piece[1], piece[2]
        low = np.int64(0)  # pieces low to high are those that it lies upon
        while low < n and line[low, 2] <= first:
            low += 1
        high = low
        while high < n and line[high, 1] < end:
            high += 1
        last = max(high - 1, low)
        has_left = low < high and line[low, 1] < first
        has_right = low < high and line[last, 2] > end
        rest, rest_label = line[last, 2], line[last, 3]
        at = low + 1 if has_left else low
        behind = at + 2 if has_right else at + 1
        if behind > high:
            for i in range(n - 1, high - 1, -1):
                _put(line[behind + i - high], line[i])
        elif behind < high:
            for i in range(high, n):
                _put(line[behind + i - high], line[i])
        if has_left:
            line[low, 2] = first
        _put(line[at], piece)
        if has_right:
            right = line[at + 1]
            right[0], right[1], right[2], right[3] = piece[0], end, rest, rest_label
        n += behind - high
    return int(n)


@kernel
def _put(to: I32, piece: I32) -> None:
    """Copy a piece."""
    for i in range(4):
        to[i] = piece[i]
