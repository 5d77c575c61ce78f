"""Kernels of the THIN rule: fills sampled at integer coordinates, and lines one pixel wide.

QuPath draws with Java's "thin" pen when a line is at most one pixel wide after scaling, which
decides how areas are filled too. Coordinates are clipped in float32 with float64 in between, then
turned into fixed point with ten bits after the point, truncated toward zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qpmask.engines.native.crossings import I64, Pixels
from qpmask.jit import kernel

ONE = 1024
"""One pixel in fixed point."""


@kernel
def low_bound() -> Any:
    """Lower edge of the clip box, in both directions."""
    return np.float32(-0.5)


@kernel
def high_bound(size: int) -> Any:
    """Upper edge of the clip box of a tile ``size`` pixels wide or high."""
    return np.float32(np.float32(size) - np.float32(0.5) - np.float32(1.0 / 1024.0))


@kernel
def fixed(value: Any) -> int:
    """Fixed point of a float32, truncated toward zero."""
    return int(np.float32(value * np.float32(1024.0)))


@kernel
def meet(a1: Any, b1: Any, a2: Any, b2: Any, at: Any) -> Any:
    """Find b where the line (a1, b1) - (a2, b2) has a = ``at``, as Java rounds it.

    The differences of the ends are float32, the rest is float64.
    """
    along = (np.float64(at) - np.float64(a1)) * np.float64(b2 - b1)
    return np.float32(np.float64(b1) + along / np.float64(a2 - a1))


@kernel
def quotient(a: int, b: int) -> int:
    """Divide and truncate toward zero, as integers divide in Java and C."""
    q = abs(a) // abs(b)
    return q if (a < 0) == (b < 0) else -q


@kernel
def add_edge(x0: int, y0: int, x1: int, y1: int, left: I64, crossers: I64, n: int) -> int:
    """Add an edge in fixed point, wholly inside the clip box; returns the number of crossers.

    The steps from row to row are truncated and add up, which QuPath's pixels need.
    """
    if y0 < y1:
        down, top_x, top_y, end_y = 1, x0, y0, y1
    else:
        down, top_x, top_y, end_y = -1, x1, y1, y0
    row0 = (top_y + ONE - 1) >> 10
    row1 = (end_y + ONE - 1) >> 10
    if row0 >= row1:
        return n
    if x0 == x1 and x0 <= 0:
        left[row0] += down
        left[row1] -= down
        return n
    dx = (x1 - x0) * down
    dy = end_y - top_y
    crossers[n, 0] = top_x + quotient(dx * (ONE * row0 - top_y), dy)
    crossers[n, 1] = quotient(ONE * dx, dy)
    crossers[n, 2] = row0
    crossers[n, 3] = row1
    crossers[n, 4] = down
    return n + 1


@kernel
def add_left(y1: Any, y2: Any, height: int, left: I64) -> None:
    """Add an edge that lies wholly left of the tile, from its float32 device rows."""
    low = low_bound()
    high = high_bound(height)
    if (y1 < low and y2 < low) or (y1 > high and y2 > high):
        return
    row1 = (fixed(min(max(y1, low), high)) + ONE - 1) >> 10
    row2 = (fixed(min(max(y2, low), high)) + ONE - 1) >> 10
    left[row1] += 1
    left[row2] -= 1


@kernel
def clip_rows(x1: Any, y1: Any, x2: Any, y2: Any, low: Any, high: Any) -> Any:
    """Cut a segment to low <= y <= high, first end first; (seen, x1, y1, x2, y2)."""
    if (y1 < low and y2 < low) or (y1 > high and y2 > high):
        return False, x1, y1, x2, y2
    if y1 < low:
        x1, y1 = meet(y1, x1, y2, x2, low), low
    elif y1 > high:
        x1, y1 = meet(y1, x1, y2, x2, high), high
    if y2 < low:
        x2, y2 = meet(y2, x2, y1, x1, low), low
    elif y2 > high:
        x2, y2 = meet(y2, x2, y1, x1, high), high
    return True, x1, y1, x2, y2


@kernel
def cut_edge(
    x1: Any, y1: Any, x2: Any, y2: Any, width: int, height: int, left: I64, crossers: I64, n: int
) -> int:
    """Clip a float32 edge to the tile and add it; returns the number of crossers.

    What lies left of the clip box is pushed onto its left side, what lies right is dropped.
    """
    low = low_bound()
    seen, x1, y1, x2, y2 = clip_rows(x1, y1, x2, y2, low, high_bound(height))
    if not seen:
        return n
    high = high_bound(width)
    if x1 > high and x2 > high:
        return n
    edge = fixed(low)
    if x1 < low and x2 < low:
        return add_edge(edge, fixed(y1), edge, fixed(y2), left, crossers, n)
    if x1 < low:
        outer = y1
        x1, y1 = low, meet(x1, y1, x2, y2, low)
        n = add_edge(edge, fixed(outer), edge, fixed(y1), left, crossers, n)
    elif x1 > high:
        x1, y1 = high, meet(x1, y1, x2, y2, high)
    outer = y2
    if x2 < low:
        x2, y2 = low, meet(x2, y2, x1, y1, low)
        n = add_edge(edge, fixed(y2), edge, fixed(outer), left, crossers, n)
    elif x2 > high:
        x2, y2 = high, meet(x2, y2, x1, y1, high)
    return add_edge(fixed(x1), fixed(y1), fixed(x2), fixed(y2), left, crossers, n)


@kernel
def draw_line(
    pixels: Pixels, width: int, height: int, x1: int, y1: int, x2: int, y2: int, label: int
) -> None:
    """Draw a line between two pixels, ends included, by Bresenham's rule; ties step early.

    Step k along the longer direction lies floor((2 k minor + major) / (2 major)) steps along the
    shorter one. Only the steps inside the tile are visited.
    """
    dx, dy = abs(x2 - x1), abs(y2 - y1)
    if dx >= dy:
        major, minor = dx, dy
        first, last = steps_inside(x1, x2, width)
    else:
        major, minor = dy, dx
        first, last = steps_inside(y1, y2, height)
    sign_x = 1 if x2 > x1 else -1
    sign_y = 1 if y2 > y1 else -1
    for k in range(first, last + 1):
        side = (2 * k * minor + major) // (2 * major) if major > 0 else 0
        if dx >= dy:
            x, y = x1 + sign_x * k, y1 + sign_y * side
        else:
            x, y = x1 + sign_x * side, y1 + sign_y * k
        if 0 <= x < width and 0 <= y < height:
            pixels[y * width + x] = label


@kernel
def steps_inside(start: int, end: int, size: int) -> tuple[int, int]:
    """First and last step from ``start`` toward ``end`` that lies in 0 .. size - 1."""
    if end >= start:
        return max(0, -start), min(end - start, size - 1 - start)
    return max(0, start - (size - 1)), min(start - end, start)


@kernel
def draw_segment(
    pixels: Pixels, width: int, height: int, x1: Any, y1: Any, x2: Any, y2: Any, label: int
) -> None:
    """Draw one float32 segment of a polyline or boundary."""
    low = low_bound()
    high_x, high_y = high_bound(width), high_bound(height)
    clip = min(x1, x2) < low or max(x1, x2) > high_x or min(y1, y2) < low or max(y1, y2) > high_y
    seen, x1, y1, x2, y2 = clip_rows(x1, y1, x2, y2, low, high_y)
    if seen:
        seen, y1, x1, y2, x2 = clip_rows(y1, x1, y2, x2, low, high_x)
    if seen:
        draw_fixed(pixels, width, height, fixed(x1), fixed(y1), fixed(x2), fixed(y2), clip, label)


@kernel
def draw_fixed(
    pixels: Pixels,
    width: int,
    height: int,
    x1: int,
    y1: int,
    x2: int,
    y2: int,
    clip: bool,
    label: int,
) -> None:
    """Draw a segment given in fixed point; ``clip`` says that it may leave the tile.

    A cell is the square between integer coordinates. A segment inside one cell draws nothing,
    unless it is a single point; other segments start and end where they leave their cells.
    """
    half = ONE // 2
    if x1 >> 10 == x2 >> 10 and y1 >> 10 == y2 >> 10:
        if x1 == x2 and y1 == y2:
            x, y = (x1 + half) >> 10, (y1 + half) >> 10
            if 0 <= x < width and 0 <= y < height:
                pixels[y * width + x] = label
        return
    if x1 == x2 or y1 == y2:
        ax, ay, bx, by = x1 + half, y1 + half, x2 + half, y2 + half
    else:
        dx, dy = x2 - x1, y2 - y1
        ax, ay = leave_cell(x1, y1, dx, dy, x1 < x2, y1 < y2)
        bx, by = leave_cell(x2, y2, dx, dy, x1 > x2, y1 > y2)
    ax, ay, bx, by = ax >> 10, ay >> 10, bx >> 10, by >> 10
    if clip:
        seen, ax, ay, bx, by = clip_pixels(ax, ay, bx, by, height)
        if seen:
            seen, ay, ax, by, bx = clip_pixels(ay, ax, by, bx, width)
        if not seen:
            return
    draw_line(pixels, width, height, ax, ay, bx, by, label)


@kernel
def clip_pixels(x1: int, y1: int, x2: int, y2: int, size: int) -> Any:
    """Cut a line between pixels to 0 <= y < size, truncating; (seen, x1, y1, x2, y2).

    This bends the line a little, as Java does.
    """
    if (y1 < 0 and y2 < 0) or (y1 >= size and y2 >= size):
        return False, x1, y1, x2, y2
    end = size - 1.0 / ONE
    if y1 < 0:
        x1, y1 = _meet_pixels(y1, x1, y2, x2, 0.0), 0
    elif y1 >= size:
        x1, y1 = _meet_pixels(y1, x1, y2, x2, end), size - 1
    if y2 < 0:
        x2, y2 = _meet_pixels(y2, x2, y1, x1, 0.0), 0
    elif y2 >= size:
        x2, y2 = _meet_pixels(y2, x2, y1, x1, end), size - 1
    return True, x1, y1, x2, y2


@kernel
def _meet_pixels(a1: int, b1: int, a2: int, b2: int, at: float) -> int:
    return int(b1 + (at - a1) * float(b2 - b1) / float(a2 - a1))


@kernel
def leave_cell(x: int, y: int, dx: int, dy: int, right: bool, down: bool) -> tuple[int, int]:
    """Where a segment leaves the cell of one of its ends, half a pixel added for rounding.

    Java multiplies 32-bit integers here, which wrap in tiles of more than 1024 pixels.
    """
    half = ONE // 2
    cell_x, cell_y = (x >> 10) << 10, (y >> 10) << 10
    if cell_x == x or cell_y == y:
        return x + half, y + half
    side_x = cell_x + ONE if right else cell_x
    cross = y + quotient(wrap((side_x - x) * dy), dx)
    if cell_y <= cross <= cell_y + ONE:
        return side_x, cross + half
    side_y = cell_y + ONE if down else cell_y
    return x + quotient(wrap((side_y - y) * dx), dy) + half, side_y


@kernel
def wrap(value: int) -> int:
    """The value as a 32-bit integer would hold it."""
    return ((value + 0x80000000) & 0xFFFFFFFF) - 0x80000000
