"""The THIN rule for one polygon in one tile, written plainly: no bins, no bands, no threads.

Slow, and separate from the kernels, so that both would have to be wrong in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

f32 = np.float32


def thin_polygon(
    ring: np.ndarray, origin: tuple[int, int], shape: tuple[int, int], *, even_odd: bool = False
) -> np.ndarray:
    """Pixels inside a float32 ring at downsample 1, as a boolean array (height, width)."""
    return thin_rings([ring], origin, shape, even_odd=even_odd)


def thin_rings(
    rings: Sequence[np.ndarray],
    origin: tuple[int, int],
    shape: tuple[int, int],
    *,
    even_odd: bool = False,
) -> np.ndarray:
    """Pixels inside several rings."""
    height, width = shape
    steps = np.zeros((height, width + 1), np.int64)
    for ring in rings:
        device = ring.astype(np.float32) + np.array([-origin[0], -origin[1]], np.float32)
        for a, b in zip(device, np.roll(device, -1, axis=0), strict=True):
            for piece in _clip(a, b, width, height):
                _crossings(piece, steps)
    winding = np.cumsum(steps, axis=1)[:, :width]
    return (winding & 1) != 0 if even_odd else winding != 0


def _meet(a1: f32, b1: f32, a2: f32, b2: f32, at: f32) -> f32:
    return f32(float(b1) + (float(at) - float(a1)) * float(f32(b2 - b1)) / float(f32(a2 - a1)))


def _clip(a: np.ndarray, b: np.ndarray, width: int, height: int) -> list[tuple[int, int, int, int]]:
    low = f32(-0.5)
    high_x = f32(width) - f32(0.5) - f32(1 / 1024)
    high_y = f32(height) - f32(0.5) - f32(1 / 1024)
    (x1, y1), (x2, y2) = a, b
    if max(y1, y2) < low or min(y1, y2) > high_y:
        return []
    if not low <= y1 <= high_y:
        at = low if y1 < low else high_y
        x1, y1 = _meet(y1, x1, y2, x2, at), at
    if not low <= y2 <= high_y:
        at = low if y2 < low else high_y
        x2, y2 = _meet(y2, x2, y1, x1, at), at
    if min(x1, x2) > high_x:
        return []
    if max(x1, x2) < low:
        return [_fix(low, y1, low, y2)]
    pieces = []
    if x1 < low:
        y = _meet(x1, y1, x2, y2, low)
        pieces.append(_fix(low, y1, low, y))
        x1, y1 = low, y
    elif x1 > high_x:
        x1, y1 = high_x, _meet(x1, y1, x2, y2, high_x)
    if x2 < low:
        y = _meet(x2, y2, x1, y1, low)
        pieces.append(_fix(low, y, low, y2))
        x2, y2 = low, y
    elif x2 > high_x:
        x2, y2 = high_x, _meet(x2, y2, x1, y1, high_x)
    pieces.append(_fix(x1, y1, x2, y2))
    return pieces


def _fix(*values: f32) -> tuple[int, int, int, int]:
    x1, y1, x2, y2 = (int(f32(v * f32(1024))) for v in values)
    return x1, y1, x2, y2


def _crossings(piece: tuple[int, int, int, int], steps: np.ndarray) -> None:
    x1, y1, x2, y2 = piece
    direction = 1
    if y1 > y2:
        x1, y1, x2, y2, direction = x2, y2, x1, y1, -1
    first, end = -(-y1 // 1024), -(-y2 // 1024)
    if first >= end:
        return
    dx, dy = x2 - x1, y2 - y1
    x = x1 + _divide(dx * (1024 * first - y1), dy)
    for row in range(first, end):
        column = -(-x // 1024)
        steps[row, min(max(column, 0), steps.shape[1] - 1)] += direction
        x += _divide(1024 * dx, dy)


def _divide(a: int, b: int) -> int:
    return a // b if a >= 0 else -(-a // b)
