"""Kernels: from crossings of edges with rows to pixels, and everything that needs no edges.

In: edges already cut into crossings (by :mod:`.thin` or :mod:`.wide`), rectangles, points. Out:
pixels in ``pixels``, a tile as one row of height * width values, rows from the top.

Terms
-----
crossing
    Where an edge meets a row of pixels: the first column to its right, and a direction (+1 where
    the edge runs down, -1 up).
left
    Crossings left of the tile, which count as column 0. They are kept as steps: ``left[r]`` is
    added to the winding number of row r and of all rows below, so that an edge costs two
    additions however many rows it spans.
crossers
    int64 rows (first position, step per row, first row, end row, direction), one for each edge
    that may cross inside the tile.

float32 values stay float32: Java rounds each of them, and so does QuPath. A Python float in an
expression would promote it, so constants are wrapped.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._jit import kernel

I64 = NDArray[np.int64]
Pixels = NDArray[Any]

THIN_SHIFT = 10
"""Positions of thin crossings count 1/1024 pixel."""
WIDE_SHIFT = 31
"""Positions of wide crossings count 2**-31 pixel."""

MOST_CROSSINGS = 1 << 18
"""Rows are filled in bands of about this many crossings, which bounds the memory."""


@kernel
def to_device(value: Any, scaled: bool, scale: float, shift: float) -> Any:
    """Device coordinate of a path's float32 px0 coordinate.

    A translation by whole pixels is one float32 addition; a scale is float64, rounded once.
    ``shift`` is -origin, times ``scale`` where scaled.
    """
    if scaled:
        return np.float32(np.float64(value) * scale + shift)
    return np.float32(value + np.float32(shift))


@kernel
def inside(winding: int, even_odd: bool) -> bool:
    """Whether a winding number means inside."""
    if even_odd:
        return (winding & 1) != 0
    return winding != 0


@kernel
def paint(pixels: Pixels, start: int, end: int, label: int) -> None:
    """Set a run of pixels."""
    for i in range(start, end):
        pixels[i] = label


@kernel
def same_everywhere(left: I64, height: int) -> bool:
    """Whether all rows have the winding number of the first."""
    steps = 0
    for row in range(1, height):
        steps |= left[row]
    return steps == 0


@kernel
def fill_crossers(
    pixels: Pixels,
    width: int,
    rows: tuple[int, int],
    left: I64,
    crossers: I64,
    n: int,
    shift: int,
    even_odd: bool,
    label: int,
) -> None:
    """Fill rows ``rows[0]`` to ``rows[1]`` of a tile between crossings.

    A run that no crossing ends reaches the right edge: what lies right of the tile was dropped.
    """
    first_row, end_row = rows
    n_rows = end_row - first_row
    count = np.zeros(n_rows + 1, np.int64)
    for i in range(n):
        count[crossers[i, 2] - first_row] += 1
        count[crossers[i, 3] - first_row] -= 1
    for row in range(1, n_rows):
        count[row] += count[row - 1]
    band_start = 0
    winding = 0
    keys = np.empty(0, np.int64)
    place = np.empty(n_rows + 1, np.int64)
    while band_start < n_rows:
        band_end = band_start + 1
        total = count[band_start]
        while band_end < n_rows and total + count[band_end] <= MOST_CROSSINGS:
            total += count[band_end]
            band_end += 1
        if total > len(keys):
            keys = np.empty(total, np.int64)
        place[band_start] = 0
        for row in range(band_start, band_end):
            place[row + 1] = place[row] + count[row]
        band = first_row + band_start, first_row + band_end
        _place_crossings(keys, place, crossers, n, first_row, band, shift, width)
        start = 0
        for row in range(band_start, band_end):
            # Placing moved place[row] from the start of the row's crossings to their end.
            end = start + count[row]
            winding += left[first_row + row]
            _fill_row(
                pixels, (first_row + row) * width, width, keys[start:end], winding, even_odd, label
            )
            start = end
        band_start = band_end


@kernel
def _place_crossings(
    keys: I64,
    place: I64,
    crossers: I64,
    n: int,
    first_row: int,
    band: tuple[int, int],
    shift: int,
    width: int,
) -> None:
    """Write column * 2 + (1 if downward) of each crossing in the band, row by row.

    ``place`` says where the crossings of a row (counted from ``first_row``) go, and is moved on.
    """
    round_up = (np.int64(1) << shift) - 1
    for i in range(n):
        row0 = max(crossers[i, 2], band[0])
        row1 = min(crossers[i, 3], band[1])
        if row0 >= row1:
            continue
        step = crossers[i, 1]
        position = crossers[i, 0] + (row0 - crossers[i, 2]) * step
        down = np.int64(crossers[i, 4] > 0)
        for row in range(row0 - first_row, row1 - first_row):
            column = min(max((position + round_up) >> shift, 0), width)
            keys[place[row]] = column * 2 + down
            place[row] += 1
            position += step


@kernel
def _fill_row(
    pixels: Pixels,
    base: int,
    width: int,
    keys: I64,
    winding: int,
    even_odd: bool,
    label: int,
) -> None:
    n = len(keys)
    if n > 24:
        keys.sort()
    else:
        for i in range(1, n):
            key = keys[i]
            j = i - 1
            while j >= 0 and keys[j] > key:
                keys[j + 1] = keys[j]
                j -= 1
            keys[j + 1] = key
    start = 0
    for i in range(n):
        column = keys[i] >> 1
        if inside(winding, even_odd):
            paint(pixels, base + start, base + column, label)
        winding += ((keys[i] & 1) << 1) - 1
        start = column
    if inside(winding, even_odd):
        paint(pixels, base + start, base + width, label)


@kernel
def rectangle_columns(
    low: float, high: float, scale: float, shift: float, outline: bool
) -> tuple[int, int]:
    """First and end column (or row) of a rectangle's side, in float64.

    The corner is moved to floor(v + .25) + .25; pixels are those whose centre lies between. The
    outline, one pixel wide, covers the end column too.
    """
    corner = low * scale + shift
    first = math.floor(corner + 0.25)
    end = math.floor(corner + scale * (high - low) + 0.25)
    if outline:
        end += 1
    limit = 1e9
    return int(min(max(first, -limit), limit)), int(min(max(end, -limit), limit))


@kernel
def fill_box(
    pixels: Pixels,
    width: int,
    height: int,
    columns: tuple[int, int],
    rows: tuple[int, int],
    label: int,
) -> None:
    """Fill a box of pixels, as far as it lies in the tile."""
    x0 = max(columns[0], 0)
    x1 = min(columns[1], width)
    for row in range(max(rows[0], 0), min(rows[1], height)):
        paint(pixels, row * width + x0, row * width + x1, label)


@kernel
def point_pixel(value: float, origin: float, downsample: float) -> int:
    """Pixel of a point, truncated toward zero, so that -1 < v < 0 lands in pixel 0."""
    return int(min(max((value - origin) / downsample, -1e9), 1e9))
