"""Kernels on tiles while they are drawn: a label, or one shape upon a label, or pixels.

Most tiles that are not all one label hold the outline of a single shape. Its *spans*, the pixels
from ``spans[2 i]`` to ``spans[2 i + 1]`` counted row by row, ascending and apart from one another,
say all of such a tile, and nothing is painted or looked for in a quarter of a million pixels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qpmask.engines.native.crossings import (
    I64,
    MOST_CROSSINGS,
    Pixels,
    clear,
    inside,
    paint,
    place_crossings,
    sort_crossings,
)
from qpmask.jit import kernel
from qpmask.ometiff.strips import MIXED

DRAWN = MIXED
"""State of a tile that has pixels."""

SPANNED = -3
"""State of a tile that is one label, and spans of one shape with another label upon it."""


class Canvas(NamedTuple):
    """Tiles of a chunk.

    Attributes
    ----------
    pixels : array (tiles, tile * tile)
        Those of a :data:`DRAWN` tile are its first height * width values.
    state : int64 array (tiles,)
        A label, :data:`DRAWN` or :data:`SPANNED`.
    spans : int64 array (tiles, 2 * most spans)
        Room to work in for all tiles; of those that are spanned, the shape's.
    spanned : int64 array (tiles, 3)
        Of those that are spanned: number of spans, label beneath, label of the spans.
    """

    pixels: NDArray[Any]
    state: I64
    spans: I64
    spanned: I64


@kernel
def open_tile(canvas: Canvas, k: int, n_pixels: int) -> None:
    """Make sure that a tile has pixels."""
    state = canvas.state[k]
    if state == DRAWN:
        return
    about = canvas.spanned[k]
    paint(canvas.pixels[k], np.int64(0), n_pixels, about[1] if state == SPANNED else state)
    if state == SPANNED:
        paint_spans(canvas.pixels[k], canvas.spans[k], about[0], about[2])
    canvas.state[k] = DRAWN


@kernel
def label_at(canvas: Canvas, k: int, pixel: int) -> int:
    """Label of a pixel of a tile, whatever its state."""
    state = canvas.state[k]
    if state == DRAWN:
        return int(canvas.pixels[k, pixel])
    if state != SPANNED:
        return int(state)
    spans, about = canvas.spans[k], canvas.spanned[k]
    low, high = np.int64(0), about[0]  # spans before low start at the pixel or before it
    while low < high:
        middle = (low + high) // 2
        if spans[2 * middle] <= pixel:
            low = middle + 1
        else:
            high = middle
    is_upon = low > 0 and pixel < spans[2 * low - 1]
    return int(about[2] if is_upon else about[1])


@kernel
def paint_spans(pixels: Pixels, spans: I64, n: int, label: int) -> None:
    """Set the pixels of ``n`` spans."""
    for i in range(n):
        paint(pixels, spans[2 * i], spans[2 * i + 1], label)


@kernel
def _add_span(spans: I64, n: int, start: int, end: int) -> int:
    """Add a span behind ``n`` others; how many there are then."""
    if n > 0 and spans[2 * n - 1] == start:
        spans[2 * n - 1] = end
        return n
    spans[2 * n] = start
    spans[2 * n + 1] = end
    return n + 1


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
    if canvas.state[k] == SPANNED:
        open_tile(canvas, k, width * height)  # its spans are where those of this shape go
    spans = canvas.spans[k]
    most = len(spans) // 2
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
    n_spans = np.int64(0)
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
            base = (first_row + row) * width
            sort_crossings(keys[start:end])
            around = winding
            column = np.int64(0)
            for i in range(start, end + 1):
                # Behind the last crossing comes the right edge.
                following = keys[i] >> 1 if i < end else np.int64(width)
                if following > column and inside(around, rule):
                    if n_spans == most:
                        open_tile(canvas, k, width * height)
                        paint_spans(canvas.pixels[k], spans, n_spans, label)
                        # The last one stays: it may go on, and is known to be filled.
                        spans[0], spans[1] = spans[2 * most - 2], spans[2 * most - 1]
                        n_spans = np.int64(1)
                    n_spans = _add_span(spans, n_spans, base + column, base + following)
                if i < end:
                    around += ((keys[i] & 1) << 1) - 1
                    column = following
            start = end
        band_start = band_end
    if n_spans == 0:
        return -1
    if canvas.state[k] == DRAWN:
        paint_spans(canvas.pixels[k], spans, n_spans, label)
    elif spans[0] == 0 and spans[1] == width * height:
        canvas.state[k] = label
    else:
        about = canvas.spanned[k]
        about[0], about[1], about[2] = n_spans, canvas.state[k], label
        canvas.state[k] = SPANNED
    return int(spans[2 * n_spans - 1] - 1)


@kernel
def add_spanned(canvas: Canvas, k: int, n_pixels: int, values: Any, ends: Any, n_runs: int) -> int:
    """Add the runs of a spanned tile; how many there are then, or -1 where there is no room."""
    spans, about = canvas.spans[k], canvas.spanned[k]
    if n_runs + 2 * about[0] + 1 > len(values):
        return -1
    done = np.int64(0)
    for i in range(about[0]):
        if spans[2 * i] > done:
            values[n_runs] = about[1]
            ends[n_runs] = spans[2 * i]
            n_runs += 1
        done = spans[2 * i + 1]
        values[n_runs] = about[2]
        ends[n_runs] = done
        n_runs += 1
    if done < n_pixels:
        values[n_runs] = about[1]
        ends[n_runs] = n_pixels
        n_runs += 1
    return n_runs
