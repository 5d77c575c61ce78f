"""Kernels for ellipses: four cubic curves, flattened by either rule as Java flattens them.

An ellipse's quarters rise or fall all the way in x and in y, and rounding keeps that, so the
search for extrema that Java makes for other curves never finds one and is left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qpmask.engines.native import thinrule, widerule
from qpmask.engines.native.crossings import F32, F64, I64, Pixels, to_device
from qpmask.engines.native.tilerows import Room
from qpmask.jit import kernel

FAR = 0.5 + 0.5 * 0.5522847498307933
NEAR = 1 - FAR

CONTROLS = np.array(
    [
        (1, 0.5),
        *[(1, FAR), (FAR, 1), (0.5, 1)],
        *[(NEAR, 1), (0, FAR), (0, 0.5)],
        *[(0, NEAR), (NEAR, 0), (0.5, 0)],
        *[(FAR, 0), (1, NEAR), (1, 0.5)],
    ]
)
"""Points of the four cubics as fractions of the box; each starts where the last ended."""

MOST_PIXELS = 256
"""A thin curve whose control points lie further apart is halved first."""

MOST_HALVINGS = 10
"""Levels of halving of a wide curve."""


@kernel
def ellipse_points(
    box: F64, scaled: bool, scale: float, shift_x: float, shift_y: float, points: F32
) -> None:
    """The 13 control points in device coordinates: float64, float32, then the transform."""
    for i in range(13):
        x = np.float32(box[0] + CONTROLS[i, 0] * (box[2] - box[0]))
        y = np.float32(box[1] + CONTROLS[i, 1] * (box[3] - box[1]))
        points[i, 0] = to_device(x, scaled, scale, shift_x)
        points[i, 1] = to_device(y, scaled, scale, shift_y)


@kernel
def halve(stack: F32, top: int) -> None:
    """Replace the curve at ``top`` of the stack by its second half, and push its first half."""
    two = np.float32(2.0)
    for axis in range(2):
        p0, p1, p2, p3 = (
            stack[top, axis],
            stack[top, 2 + axis],
            stack[top, 4 + axis],
            stack[top, 6 + axis],
        )
        middle = np.float32(np.float32(p1 + p2) / two)
        a1 = np.float32(np.float32(p0 + p1) / two)
        b2 = np.float32(np.float32(p2 + p3) / two)
        a2 = np.float32(np.float32(a1 + middle) / two)
        b1 = np.float32(np.float32(middle + b2) / two)
        joint = np.float32(np.float32(a2 + b1) / two)
        stack[top + 1, axis], stack[top + 1, 2 + axis] = p0, a1
        stack[top + 1, 4 + axis], stack[top + 1, 6 + axis] = a2, joint
        stack[top, axis], stack[top, 2 + axis] = joint, b1
        stack[top, 4 + axis], stack[top, 6 + axis] = b2, p3


@kernel
def extent(curve: F32) -> Any:
    """Least and greatest x, least and greatest y of a curve's four points."""
    min_x = max_x = curve[0]
    min_y = max_y = curve[1]
    for i in range(2, 8, 2):
        min_x, max_x = min(min_x, curve[i]), max(max_x, curve[i])
        min_y, max_y = min(min_y, curve[i + 1]), max(max_y, curve[i + 1])
    return min_x, max_x, min_y, max_y


@kernel
def thin_lines(
    points: F32, stack: F32, width: int, height: int, outline: bool, left: I64, room: Room
) -> int:
    """Flatten an ellipse by the THIN rule into lines (x1, y1, x2, y2, clip) in fixed point.

    They are written to ``room.crossers``; returns how many. ``stack`` is room for 48 curves. For a
    fill (not ``outline``), parts left of the tile go straight into ``left``.
    """
    n = np.int64(0)
    low, high_x, high_y = (
        thinrule.low_bound(),
        thinrule.high_bound(width),
        thinrule.high_bound(height),
    )
    for quarter in range(4):
        for i in range(8):
            stack[0, i] = points[3 * quarter + i // 2, i % 2]
        top = np.int64(0)
        while top >= 0:
            curve = stack[top]
            min_x, max_x, min_y, max_y = extent(curve)
            if high_x < min_x or high_y < min_y or low > max_y or (outline and low > max_x):
                top -= 1
                continue
            if low > max_x:
                thinrule.add_left(curve[1], curve[7], height, left)
                top -= 1
                continue
            is_large = max_x - min_x > MOST_PIXELS or max_y - min_y > MOST_PIXELS
            if is_large and top + 1 < len(stack):
                halve(stack, top)
                top += 1
                continue
            clip = low > min_x or high_x < max_x or low > min_y or high_y < max_y
            n = _difference(curve, clip, n, room)
            top -= 1
    return int(n)


@kernel
def _difference(curve: F32, clip: bool, n: int, room: Room) -> int:
    """Flatten a small curve by integer forward differences with an adaptive step."""
    lines, work = room.crossers, room.steps
    start, end, whole, at = work[0], work[1], work[2], work[3]
    d1, d2, d3 = work[4], work[5], work[6]
    three, six = np.float32(3.0), np.float32(6.0)
    for axis in range(2):
        p0, p1, p2, p3 = curve[axis], curve[2 + axis], curve[4 + axis], curve[6 + axis]
        a = np.float32(
            np.float32(
                np.float32(np.float32(-p0 + np.float32(three * p1))) - np.float32(three * p2)
            )
            + p3
        )
        b = np.float32(
            np.float32(np.float32(three * p0) - np.float32(six * p1)) + np.float32(three * p2)
        )
        c = np.float32(np.float32(-three * p0) + np.float32(three * p1))
        ia = np.int64(np.float32(a * np.float32(128.0)))
        ib = np.int64(np.float32(b * np.float32(2048.0)))
        ic = np.int64(np.float32(c * np.float32(8192.0)))
        start[axis], end[axis] = thinrule.fixed(p0), thinrule.fixed(p3)
        whole[axis] = (start[axis] >> 10) << 10
        at[axis] = (start[axis] - whole[axis]) << 6
        d3[axis] = 6 * ia
        d2[axis] = d3[axis] + ib
        d1[axis] = ia + (ib >> 1) + ic
    finer = np.int64(1) << 18
    coarser = np.int64(1) << 15
    shift = 6
    count = 8
    x, y = start[0], start[1]
    while count > 0:
        while abs(d2[0]) > finer or abs(d2[1]) > finer:
            for axis in range(2):
                d2[axis] = 2 * d2[axis] - d3[axis]
                d1[axis] = 4 * d1[axis] - (d2[axis] >> 1)
                at[axis] <<= 3
            count *= 2
            finer <<= 3
            coarser <<= 3
            shift += 3
        while count % 2 == 0 and shift > 6 and abs(d1[0]) <= coarser and abs(d1[1]) <= coarser:
            for axis in range(2):
                d1[axis] = (d1[axis] >> 2) + (d2[axis] >> 3)
                d2[axis] = (d2[axis] + d3[axis]) >> 1
                at[axis] >>= 3
            count //= 2
            finer >>= 3
            coarser >>= 3
            shift -= 3
        count -= 1
        next_x, next_y = end[0], end[1]
        if count > 0:
            for axis in range(2):
                at[axis] += d1[axis]
                d1[axis] += d2[axis]
                d2[axis] += d3[axis]
            next_x = _not_past(whole[0] + (at[0] >> shift), start[0], end[0])
            next_y = _not_past(whole[1] + (at[1] >> shift), start[1], end[1])
        if n == len(lines):
            room.lacking[0] = 1
            return n
        lines[n, 0], lines[n, 1], lines[n, 2], lines[n, 3] = x, y, next_x, next_y
        lines[n, 4] = clip
        n += 1
        x, y = next_x, next_y
    return n


@kernel
def _not_past(value: int, start: int, end: int) -> int:
    """The value, or the curve's end where the value lies beyond it."""
    return end if ((end - value) ^ (end - start)) < 0 else value


@kernel
def _meet(a1: int, b1: int, a2: int, b2: int, at: int) -> int:
    """As thinrule.meet, on fixed point."""
    along = float(at - a1) * float(b2 - b1)
    return int(float(b1) + along / float(a2 - a1))


@kernel
def _clip_fixed(x1: int, y1: int, x2: int, y2: int, low: int, high: int) -> Any:
    """As thinrule.clip_rows, on fixed point."""
    if (y1 < low and y2 < low) or (y1 > high and y2 > high):
        return False, x1, y1, x2, y2
    if y1 < low:
        x1, y1 = _meet(y1, x1, y2, x2, low), low
    elif y1 > high:
        x1, y1 = _meet(y1, x1, y2, x2, high), high
    if y2 < low:
        x2, y2 = _meet(y2, x2, y1, x1, low), low
    elif y2 > high:
        x2, y2 = _meet(y2, x2, y1, x1, high), high
    return True, x1, y1, x2, y2


@kernel
def cut_fixed(
    x1: int, y1: int, x2: int, y2: int, width: int, height: int, left: I64, crossers: I64, n: int
) -> int:
    """As thinrule.cut_edge, on fixed point."""
    low = thinrule.fixed(thinrule.low_bound())
    seen, x1, y1, x2, y2 = _clip_fixed(
        x1, y1, x2, y2, low, thinrule.fixed(thinrule.high_bound(height))
    )
    high = thinrule.fixed(thinrule.high_bound(width))
    if not seen or (x1 > high and x2 > high):
        return n
    if x1 < low and x2 < low:
        return thinrule.add_edge(low, y1, low, y2, left, crossers, n)
    if x1 < low:
        outer = y1
        x1, y1 = low, _meet(x1, y1, x2, y2, low)
        n = thinrule.add_edge(low, outer, low, y1, left, crossers, n)
    elif x1 > high:
        x1, y1 = high, _meet(x1, y1, x2, y2, high)
    outer = y2
    if x2 < low:
        x2, y2 = low, _meet(x2, y2, x1, y1, low)
        n = thinrule.add_edge(low, y2, low, outer, left, crossers, n)
    elif x2 > high:
        x2, y2 = high, _meet(x2, y2, x1, y1, high)
    return thinrule.add_edge(x1, y1, x2, y2, left, crossers, n)


@kernel
def cut_lines(crossers: I64, n_lines: int, width: int, height: int, left: I64) -> int:
    """Turn the lines of a filled ellipse into crossers, in place; returns how many there are.

    A line makes one at most.
    """
    lines = crossers
    n = np.int64(0)
    for i in range(n_lines):
        x1, y1, x2, y2 = lines[i, 0], lines[i, 1], lines[i, 2], lines[i, 3]
        if lines[i, 4] != 0:
            n = cut_fixed(x1, y1, x2, y2, width, height, left, crossers, n)
        else:
            n = thinrule.add_edge(x1, y1, x2, y2, left, crossers, n)
    return int(n)


@kernel
def draw_lines(
    pixels: Pixels, width: int, height: int, lines: I64, n_lines: int, label: int
) -> None:
    """Draw the lines of an ellipse's outline."""
    for i in range(n_lines):
        x1, y1, x2, y2 = lines[i, 0], lines[i, 1], lines[i, 2], lines[i, 3]
        thinrule.draw_fixed(pixels, width, height, x1, y1, x2, y2, lines[i, 4] != 0, label)


@kernel
def wide_edges(points: F32, stack: F32, width: int, height: int, left: I64, room: Room) -> int:
    """Flatten an ellipse by the WIDE rule into ``room.crossers``; returns how many there are.

    ``stack`` is room for ``MOST_HALVINGS + 15`` curves.
    """
    crossers, level = room.crossers, room.levels
    n = np.int64(0)
    moved = stack[MOST_HALVINGS + 2 :]
    for axis in range(2):
        for i in range(0, 13, 3):
            moved[i, axis] = widerule.snap(points[i, axis])
            by = np.float32(moved[i, axis] - points[i, axis])
            if i > 0:
                moved[i - 1, axis] = np.float32(points[i - 1, axis] + by)
            if i < 12:
                moved[i + 1, axis] = np.float32(points[i + 1, axis] + by)
    zero = np.float32(0.0)
    for quarter in range(4):
        for i in range(8):
            stack[0, i] = moved[3 * quarter + i // 2, i % 2]
        level[0] = 0
        top = np.int64(0)
        while top >= 0:
            curve = stack[top]
            min_x, max_x, min_y, max_y = extent(curve)
            if max_y <= zero or min_y >= np.float32(height) or min_x >= np.float32(width):
                top -= 1
                continue
            if max_x <= zero:
                widerule.add_left(curve[1], curve[7], height, left)
                top -= 1
                continue
            if level[top] < MOST_HALVINGS and not _flat(curve):
                halve(stack, top)
                level[top] += 1
                level[top + 1] = level[top]
                top += 1
                continue
            if n == len(crossers):
                room.lacking[0] = 1
                return int(n)
            n = widerule.cut_edge(
                curve[0], curve[1], curve[6], curve[7], width, height, left, crossers, n
            )
            top -= 1
    return int(n)


@kernel
def _flat(curve: F32) -> bool:
    """Whether both control points lie within one pixel of the chord."""
    one = np.float32(1.0)
    return bool(
        _distance_squared(curve[2], curve[3], curve) <= one
        and _distance_squared(curve[4], curve[5], curve) <= one
    )


@kernel
def _distance_squared(x: Any, y: Any, curve: F32) -> Any:
    """Squared distance of a control point from the chord, in float32 throughout."""
    chord_x = np.float32(curve[6] - curve[0])
    chord_y = np.float32(curve[7] - curve[1])
    x = np.float32(x - curve[0])
    y = np.float32(y - curve[1])
    zero = np.float32(0.0)
    along = np.float32(np.float32(x * chord_x) + np.float32(y * chord_y))
    projected = zero
    if along > zero:
        # Seen from the other end, so that the foot of the perpendicular is known to lie between.
        x = np.float32(chord_x - x)
        y = np.float32(chord_y - y)
        along = np.float32(np.float32(x * chord_x) + np.float32(y * chord_y))
        if along > zero:
            square = np.float32(np.float32(chord_x * chord_x) + np.float32(chord_y * chord_y))
            projected = np.float32(np.float32(along * along) / square)
    return max(np.float32(np.float32(np.float32(x * x) + np.float32(y * y)) - projected), zero)
