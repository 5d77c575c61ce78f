"""Kernels of the WIDE rule: fills sampled at pixel centres, for pens wider than one pixel.

All arithmetic on coordinates is float32. Vertices are first moved to floor(v + .25) + .25.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from qpmask.engines.native.crossings import I64
from qpmask.jit import kernel

ERROR_ONE = 2147483647.0
"""The fraction 1 in the error terms, 2**31 - 1."""


@kernel
def snap(value: Any) -> Any:
    """Move a float32 vertex coordinate to where fills put it."""
    quarter = np.float32(0.25)
    return np.float32(np.float32(math.floor(np.float32(value + quarter))) + quarter)


@kernel
def row_of(y: Any) -> int:
    """First row (or column) whose centre is at or below (right of) a float32 coordinate."""
    row: int = math.ceil(np.float32(y - np.float32(0.5)))
    return row


@kernel
def add_left(y1: Any, y2: Any, height: int, left: I64) -> None:
    """Add an edge that lies wholly left of the tile, from its snapped device rows."""
    if max(y1, y2) <= np.float32(0.0) or min(y1, y2) >= np.float32(height):
        return
    left[min(max(row_of(y1), 0), height)] += 1
    left[min(max(row_of(y2), 0), height)] -= 1


@kernel
def cut_edge(
    x1: Any, y1: Any, x2: Any, y2: Any, width: int, height: int, left: I64, crossers: I64, n: int
) -> int:
    """Add a snapped float32 edge; returns the number of crossers."""
    zero = np.float32(0.0)
    if max(y1, y2) <= zero or min(y1, y2) >= np.float32(height) or min(x1, x2) >= np.float32(width):
        return n
    if max(x1, x2) <= zero:
        add_left(y1, y2, height, left)
        return n
    if y1 < y2:
        down, top_x, top_y, end_x, end_y = 1, x1, y1, x2, y2
    else:
        down, top_x, top_y, end_x, end_y = -1, x2, y2, x1, y1
    row0 = row_of(top_y)
    row1 = min(row_of(end_y), height)
    if row0 >= row1 or row1 <= 0:
        return n
    dx = np.float32(end_x - top_x)
    dy = np.float32(end_y - top_y)
    slope = np.float32(dx / dy)
    centre = np.float32(np.float32(np.float32(row0) + np.float32(0.5)) - top_y)
    x = np.float32(top_x + np.float32(np.float32(centre * dx) / dy))
    column = row_of(x)
    whole = math.floor(slope)
    step = np.int64((np.float64(slope) - np.float64(whole)) * ERROR_ONE)
    before = np.float32(x - np.float32(np.float32(column) - np.float32(0.5)))
    error = np.int64(np.float64(before) * ERROR_ONE)
    # A position is column * 2**31 - (2**31 - 1) + error, so that rounding it up gives the column
    # while the error, which carries into the column at 2**31, adds up.
    one = np.int64(1) << 31
    step += np.int64(whole) * one
    start = np.int64(column) * one - (one - 1) + error
    if row0 < 0:
        start -= row0 * step
        row0 = 0
    crossers[n, 0] = start
    crossers[n, 1] = step
    crossers[n, 2] = row0
    crossers[n, 3] = row1
    crossers[n, 4] = down
    return n + 1
