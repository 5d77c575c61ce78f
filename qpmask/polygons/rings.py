"""Kernel: gives out a ring that was traced, cut where it touches itself."""

from __future__ import annotations

import numpy as np

from qpmask.jit import kernel
from qpmask.polygons.library import I64, RINGS, VERTICES, Sweep


@kernel
def give_ring(s: Sweep, first: int, last: int, component: int) -> None:
    """Write the vertices of a closed chain to ``xy``, as one ring or as several.

    A ring comes by a vertex twice where its region touches itself across it (see :mod:`.sweep`).
    What it walks in between is a ring of its own. Rings do not cross themselves, so what is cut
    off lies on top of the stack; and what it comes by within it, it comes by both times there.
    """
    n_across = 0
    node = np.int64(first)
    while True:
        if s.node_x[node] < 0:
            n_across += 1
        if node == last:
            break
        node = np.int64(s.node_next[node])

    n = 0
    node = np.int64(first)
    while True:
        x, y = np.int64(s.node_x[node]), np.int64(s.node_y[node])
        across = x < 0
        if across:
            x = ~x
        if across and n_across > 1:
            slot = _find(s.seen, x, y, n_across)
            at = s.seen[1, slot]
            if s.seen[0, slot] != 0:
                _put(s, at, n, component)
                n = at
            else:
                s.seen[0, slot] = _key(x, y)
                s.seen[1, slot] = n
        s.stack[2 * n] = x
        s.stack[2 * n + 1] = y
        n += 1
        if node == last:
            break
        node = np.int64(s.node_next[node])
    _put(s, np.int64(0), n, component)
    if n_across > 1:
        for slot in range(_table_size(n_across)):
            s.seen[0, slot] = 0


@kernel
def _put(s: Sweep, start: int, end: int, component: int) -> None:
    """Write vertices of the stack as a ring, closed."""
    counts = s.counts
    to = counts[VERTICES]
    area2 = np.int64(0)
    x0, y0 = np.int64(s.stack[2 * end - 2]), np.int64(s.stack[2 * end - 1])
    for i in range(start, end):
        x, y = np.int64(s.stack[2 * i]), np.int64(s.stack[2 * i + 1])
        area2 += x0 * y - x * y0
        s.xy[2 * to] = x
        s.xy[2 * to + 1] = y
        to += 1
        x0, y0 = x, y
    s.xy[2 * to] = s.stack[2 * start]
    s.xy[2 * to + 1] = s.stack[2 * start + 1]
    to += 1
    counts[VERTICES] = to
    ring = counts[RINGS]
    s.ring_end[ring] = to
    s.ring_component[ring] = component
    s.ring_area2[ring] = area2
    counts[RINGS] = ring + 1


@kernel
def _key(x: int, y: int) -> int:
    return ((y << 31) | x) + 1


@kernel
def _table_size(n: int) -> int:
    """Slots for a number of vertices: a power of two, twice as many or more."""
    size = 4
    while size < 2 * n:
        size *= 2
    return size


@kernel
def _find(seen: I64, x: int, y: int, n: int) -> int:
    """The slot of a vertex in the table, or the one where it belongs."""
    mask = _table_size(n) - 1
    key = _key(x, y)
    mixed = x * 73856093 ^ y * 19349663
    slot = (mixed ^ mixed >> 15) & mask
    while seen[0, slot] != 0 and seen[0, slot] != key:
        slot = (slot + 1) & mask
    return slot
