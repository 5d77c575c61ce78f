"""Kernels: from crossings of edges with rows to pixels, and everything that needs no edges.

In: edges cut into crossings (by :mod:`.thinrule` or :mod:`.widerule`), rectangles, points. Out:
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

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.jit import kernel

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Pixels = NDArray[Any]

THIN_SHIFT = 10
"""Positions of thin crossings count 1/1024 pixel."""
WIDE_SHIFT = 31
"""Positions of wide crossings count 2**-31 pixel."""

NON_ZERO = -1
EVEN_ODD = 1
"""Rules: the bits of a winding number that decide."""

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
def clear(left: I64, start: int, end: int) -> None:
    """Set winding steps to zero."""
    for row in range(start, end):
        left[row] = 0


@kernel
def inside(winding: int, rule: int) -> bool:
    """Whether a winding number means inside."""
    return (winding & rule) != 0


@kernel
def paint(pixels: Pixels, start: int, end: int, label: int) -> None:
    """Set the pixels from ``start`` to ``end``; 0 <= start <= end."""
    # On a view that starts at 0, so that no index can be negative: 15 times as fast.
    run = pixels[start:end]
    for i in range(len(run)):
        run[i] = label


@kernel
def same_everywhere(left: I64, row0: int, row1: int) -> bool:
    """Whether all rows up to ``row1`` have the winding number of row ``row0``."""
    steps = np.int64(0)
    for row in range(row0 + 1, row1):
        steps |= left[row]
    return bool(steps == 0)


@kernel
def place_crossings(
    keys: I64,
    place: I64,
    crossers: I64,
    n: int,
    first_row: int,
    band_start: int,
    band_end: int,
    shift: int,
    width: int,
) -> None:
    """Write column * 2 + (1 if downward) of each crossing in the band, row by row.

    ``place`` says where the crossings of a row (counted from ``first_row``) go, and is moved on.
    """
    round_up = (np.int64(1) << shift) - 1
    for i in range(n):
        row0 = max(crossers[i, 2], first_row + band_start)
        row1 = min(crossers[i, 3], first_row + band_end)
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
def sort_crossings(keys: I64) -> None:
    """Sort the crossings of a row, Shell's way: they are few, and nearly sorted."""
    n = len(keys)
    gap = np.int64(1)
    while 3 * gap + 1 < n:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(gap, n):
            key = keys[i]
            j = i
            while j >= gap and keys[j - gap] > key:
                keys[j] = keys[j - gap]
                j -= gap
            keys[j] = key
        gap //= 3


@kernel
def rectangle_side(low: float, high: float, scale: float, shift: float) -> tuple[int, int]:
    """First and end column (or row) of a rectangle, in float64.

    The corner is moved to floor(v + .25) + .25; pixels are those whose centre lies between.
    """
    corner = low * scale + shift
    first = min(max(np.floor(corner + 0.25), -1e9), 1e9)
    end = min(max(np.floor(corner + scale * (high - low) + 0.25), -1e9), 1e9)
    return int(first), int(end)


@kernel
def point_pixel(value: float, origin: int, downsample: float) -> int:
    """Pixel of a point, truncated toward zero, so that -1 < v < 0 lands in pixel 0."""
    return int(min(max((value - float(origin)) / downsample, -1e9), 1e9))
