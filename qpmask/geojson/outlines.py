"""Kernel: outlines of polygons as QuPath exports them, those that surely do not cross themselves.

That is told by their middle: if every vertex is seen from it further around than the one before,
and all of them go around once, sides do not meet. Cells are like that; others are left to JTS's
rules as :mod:`qpmask.annotations.rings` has them.
"""

from __future__ import annotations

import numpy as np

from qpmask import jit
from qpmask.geojson.library import LIBRARY
from qpmask.jit import kernel

F32 = jit.F32_2D
F64 = jit.F64_2D
I64 = jit.I64_1D


_ROUNDING = 2.0**-48  # more than what products and differences of doubles are off, relatively


@kernel
def _on_grid(value: float) -> float:
    """See :func:`qpmask.annotations.rings.on_grid`."""
    steps = value / 0.01
    whole = np.floor(steps)
    if steps - whole >= 0.5:
        whole += 1.0
    rounded: float = np.float64(np.float32(whole * 0.01))
    return rounded


@kernel
def _kept(xy: F32, first: int, size: int, ring: F64) -> int:
    """Put vertices on the grid, without middles of horizontal sides, then without repeats."""
    n = 0
    for i in range(size):
        y = xy[first + i, 1]
        before = xy[first + (i - 1 if i > 0 else size - 1), 1]
        after = xy[first + (i + 1 if i + 1 < size else 0), 1]
        if not (y == before and y == after):
            ring[n, 0] = _on_grid(np.float64(xy[first + i, 0]))
            ring[n, 1] = _on_grid(np.float64(y))
            n += 1
    if n == 0:
        return 0
    kept = 0
    x, y = ring[n - 1, 0], ring[n - 1, 1]  # the one before
    for i in range(n):
        x2, y2 = ring[i, 0], ring[i, 1]
        if x2 != x or y2 != y:
            ring[kept, 0], ring[kept, 1] = x2, y2
            kept += 1
        x, y = x2, y2
    return kept


@kernel
def _turn(ring: F64, n: int) -> int:
    """1 if a ring surely goes around its middle once from x to y, -1 if the other way, else 0."""
    cx = cy = 0.0
    for i in range(n):
        cx += ring[i, 0] / n
        cy += ring[i, 1] / n
    n_left = n_right = n_around = 0
    x, y = ring[n - 1, 0] - cx, ring[n - 1, 1] - cy
    for i in range(n):
        x2, y2 = ring[i, 0] - cx, ring[i, 1] - cy
        size = abs(x) + abs(y) + abs(x2) + abs(y2)
        cross = x * y2 - x2 * y
        error = _ROUNDING * (abs(cx) + abs(cy) + size) * size
        n_left += cross > error
        n_right += cross < -error
        n_around += (y < 0) != (y2 < 0)
        x, y = x2, y2
    if n_around != 2:  # it goes up once, and down once
        return 0
    if n_left == n:
        return 1
    return -1 if n_right == n else 0


@LIBRARY.entry
def normalised_outlines(first: I64, size: I64, xy: F32, ring: F64, out: F64, n_out: I64) -> int:
    """Outlines as JTS normalises them, closed, one behind the other.

    Parameters
    ----------
    first, size : ndarray of int64, shape (n,)
        Vertices of each in ``xy``.
    xy : ndarray of float32, shape (n_vertices, 2)
        As stored.
    ring : ndarray of float64, shape (largest size, 2)
        Room for one.
    out : ndarray of float64, shape (sum of the sizes + n, 2)
        What is made.
    n_out : ndarray of int64, shape (n,)
        Its vertices; 0 for one that may cross itself.

    Returns
    -------
    int
        Vertices in ``out``.
    """
    to = 0
    for i in range(len(first)):
        n = _kept(xy, first[i], size[i], ring)
        turn = _turn(ring, n) if n >= 3 else 0
        n_out[i] = 0
        if turn == 0:
            continue
        begin = 0
        for j in range(1, n):
            x, y = ring[j, 0], ring[j, 1]
            if x < ring[begin, 0] or (x == ring[begin, 0] and y < ring[begin, 1]):
                begin = j
        for _ in range(n + 1):
            out[to, 0], out[to, 1] = ring[begin, 0], ring[begin, 1]
            to += 1
            begin -= turn
            if begin < 0:
                begin = n - 1
            elif begin == n:
                begin = 0
        n_out[i] = n + 1
    return to
