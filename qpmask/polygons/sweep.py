"""Kernel: sweeps over the rows of a mask and traces the regions of each label.

A region is what hangs together by the sides of pixels (4-connected). Its boundary runs along the
sides of pixels, with the region on the right of who walks it, seen with y down: outer rings have a
positive area, holes a negative one. Only corners become vertices.

Two rows of runs are known at a time. The sides of a run are where chains of vertices end: its right
side is walked downwards and ends a chain, its left side is walked upwards and starts one. Where two
rows meet, chains go on, begin (a run without one above it, or the gap between two runs below one
run), or are joined (a run without one below it, or the gap between two runs above one run). A
chain that is joined to itself is a ring. So only chains that are open are kept: memory goes with
the longest front, not with the pixels.

Where a region touches itself across a corner, pixels of it upper left and lower right and others
elsewhere, its ring comes by twice; :mod:`.rings` cuts it there into a ring and a hole (or two
holes) that touch in a point. So rings never touch themselves, and polygons are valid for JTS and
GEOS.
"""

from __future__ import annotations

import numpy as np

from qpmask import jit
from qpmask.jit import kernel
from qpmask.ometiff.runs import RunStrip
from qpmask.polygons.library import (
    COMPONENTS,
    CORNERS,
    END_FREE,
    ENDS_MADE,
    I32,
    I64,
    LIBRARY,
    N_ABOVE,
    NODE_FREE,
    NODES_MADE,
    NODES_USED,
    RINGS,
    ROOM_FOR,
    ROW,
    SIDE,
    VERTICES,
    Sweep,
    Y,
)
from qpmask.polygons.rings import give_ring

_LEFT, _RIGHT = 1, 2


@LIBRARY.entry
def sweep(runs: RunStrip, widths: jit.I64_1D, n_rows: int, s: Sweep) -> int:
    """Sweep over a strip of tiles as wide as the mask; 0, or 1 where more room is wanted.

    Parameters
    ----------
    runs : RunStrip
        Its tiles, all readable.
    widths : ndarray of int64, shape (n_tiles,)
        Their widths.
    n_rows : int
        Their height.
    s : Sweep
        What is known so far. ``counts[ROW]`` is where to go on in the strip, and for the first row
        of a strip ``cursor[0]`` are the starts of the tiles.
    """
    counts = s.counts
    while counts[ROW] < n_rows:
        side = 1 - counts[SIDE]
        n_below = _read_row(runs, widths, counts[ROW], s.cursor, s.x_end[side], s.label[side])
        if not _is_same(s, n_below):
            if not _has_room(s, n_below):
                return 1
            _meet(s, counts[N_ABOVE], n_below, counts[Y])
            counts[SIDE] = side
            counts[N_ABOVE] = n_below
        for k in range(len(widths)):
            s.cursor[0, k] = s.cursor[1, k]
        counts[ROW] += 1
        counts[Y] += 1
    return 0


@kernel
def _read_row(runs: RunStrip, widths: I64, row: int, cursor: I64, x_end: I64, label: I64) -> int:
    """Runs of one row across all tiles; how many."""
    n, x = 0, 0
    for k in range(len(widths)):
        width = widths[k]
        i = cursor[0, k]
        at, stop = row * width, (row + 1) * width
        while at < stop:
            end = np.int64(runs.ends[i])
            value = np.int64(runs.values[i])
            if end <= stop:
                i += 1
            else:
                end = stop
            x += end - at
            at = end
            if n > 0 and label[n - 1] == value:
                x_end[n - 1] = x
            else:
                label[n] = value
                x_end[n] = x
                n += 1
        cursor[1, k] = i
    return n


@kernel
def _is_same(s: Sweep, n_below: int) -> bool:
    """Whether a row is the one above it once more."""
    if s.counts[N_ABOVE] != n_below:
        return False
    for i in range(n_below):
        if s.x_end[0, i] != s.x_end[1, i] or s.label[0, i] != s.label[1, i]:
            return False
    return True


@kernel
def _has_room(s: Sweep, n_below: int) -> bool:
    """Whether all arrays are long enough for what may come of the next row."""
    counts = s.counts
    n_runs = counts[N_ABOVE] + n_below
    # Two vertices at most for each place where runs meet, end or begin.
    new = 4 * n_runs
    most = counts[NODES_USED] + new
    counts[ROOM_FOR] = most
    return bool(
        most <= len(s.node_x)
        and counts[ENDS_MADE] + 2 * n_runs <= len(s.end_node)
        and counts[COMPONENTS] + n_below <= len(s.parent)
        and counts[VERTICES] + 2 * most <= len(s.xy) // 2
        and counts[RINGS] + most // 2 <= len(s.ring_end)
        and most <= len(s.stack) // 2
        and 2 * (counts[CORNERS] + new) <= s.seen.shape[1]
    )


@kernel
def _meet(s: Sweep, n_above: int, n_below: int, y: int) -> None:
    """Bring the chains of the row above to the row below it."""
    up = s.counts[SIDE]
    low = 1 - up
    for i in range(n_above):
        s.partner[up, i] = -1
        s.across[up, i] = 0
    for j in range(n_below):
        s.partner[low, j] = -1
        s.across[low, j] = 0
    i, j = 0, 0
    while i < n_above and j < n_below:
        label = s.label[up, i]
        if label != 0 and label == s.label[low, j]:
            _touch(s, up, i, j, y)
        end = s.x_end[up, i] - s.x_end[low, j]
        if end == 0 and i + 1 < n_above and j + 1 < n_below:
            if label != 0 and label == s.label[low, j + 1]:
                s.across[up, i] |= _RIGHT
                s.across[low, j + 1] |= _LEFT
            label = s.label[up, i + 1]
            if label != 0 and label == s.label[low, j]:
                s.across[low, j] |= _RIGHT
                s.across[up, i + 1] |= _LEFT
        if end <= 0:
            i += 1
        if end >= 0:
            j += 1
    for i in range(n_above):
        if s.label[up, i] != 0 and s.partner[up, i] < 0:  # it ends here
            right, left = s.right[up, i], s.left[up, i]
            _add_right(s, right, up, i, y)
            _add_left(s, left, up, i, y)
            _join(s, right, left, s.component[up, i])
    for j in range(n_below):
        if s.label[low, j] == 0:
            continue
        i = s.partner[low, j]
        if i < 0:  # it begins here
            s.component[low, j] = _new_component(s, s.label[low, j])
            _begin(s, low, j, j, y)
        elif s.partner[up, i] == j:  # the last of both: their right sides are one
            right = s.right[up, i]
            if s.x_end[up, i] != s.x_end[low, j]:
                _add_right(s, right, up, i, y)
                _add_right(s, right, low, j, y)
            s.right[low, j] = right


@kernel
def _touch(s: Sweep, up: int, i: int, j: int, y: int) -> None:
    """A run of the row above and one below it overlap and have one label."""
    low = 1 - up
    before_i, before_j = s.partner[low, j], s.partner[up, i]
    if before_i < 0 and before_j < 0:  # their left sides are one
        left = s.left[up, i]
        if _start(s, up, i) != _start(s, low, j):
            _add_left(s, left, up, i, y)
            _add_left(s, left, low, j, y)
        s.left[low, j] = left
        s.component[low, j] = s.component[up, i]
    elif before_i >= 0:  # a gap above ends here
        component = _united(s, s.component[up, before_i], s.component[up, i])
        s.component[low, j] = component
        right, left = s.right[up, before_i], s.left[up, i]
        _add_right(s, right, up, before_i, y)
        _add_left(s, left, up, i, y)
        _join(s, right, left, component)
    else:  # a gap begins below
        s.component[low, j] = s.component[up, i]
        _begin(s, low, j, before_j, y)
    s.partner[up, i] = j
    s.partner[low, j] = i


@kernel
def _begin(s: Sweep, low: int, j_left: int, j_right: int, y: int) -> None:
    """Begin a chain: up the left side of one run, down the right side of the other (or same)."""
    first = _new_node(s, _start(s, low, j_left), y, s.across[low, j_left] & _LEFT)
    last = _new_node(s, s.x_end[low, j_right], y, s.across[low, j_right] & _RIGHT)
    s.node_next[first] = last
    left, right = _new_end(s, first), _new_end(s, last)
    s.end_other[left], s.end_other[right] = right, left
    s.left[low, j_left] = left
    s.right[low, j_right] = right


@kernel
def _start(s: Sweep, side: int, i: int) -> int:
    return int(np.int64(0) if i == 0 else s.x_end[side, i - 1])


@kernel
def _add_right(s: Sweep, end: int, side: int, i: int, y: int) -> None:
    """Let a chain that comes down go on over the right corner of a run."""
    node = _new_node(s, s.x_end[side, i], y, s.across[side, i] & _RIGHT)
    s.node_next[s.end_node[end]] = node
    s.end_node[end] = node


@kernel
def _add_left(s: Sweep, end: int, side: int, i: int, y: int) -> None:
    """Let a chain that goes up start at the left corner of a run."""
    node = _new_node(s, _start(s, side, i), y, s.across[side, i] & _LEFT)
    s.node_next[node] = s.end_node[end]
    s.end_node[end] = node


@kernel
def _join(s: Sweep, right: int, left: int, component: int) -> None:
    """Join the end of one chain to the start of another, or of the same: a ring."""
    last, first = s.end_node[right], s.end_node[left]
    s.node_next[last] = first
    if s.end_other[right] == left:
        give_ring(s, first, last, component)
        _free_nodes(s, first, last)
    else:
        start, end = s.end_other[right], s.end_other[left]
        s.end_other[start], s.end_other[end] = end, start
    _free_end(s, right)
    _free_end(s, left)


@kernel
def _new_node(s: Sweep, x: int, y: int, across: int) -> int:
    counts = s.counts
    node = counts[NODE_FREE]
    if node >= 0:
        counts[NODE_FREE] = s.node_next[node]
    else:
        node = counts[NODES_MADE]
        counts[NODES_MADE] += 1
    counts[NODES_USED] += 1
    s.node_x[node] = x
    if across:
        s.node_x[node] = ~x
        counts[CORNERS] += 1
    s.node_y[node] = y
    s.node_next[node] = -1
    return int(node)


@kernel
def _free_nodes(s: Sweep, first: int, last: int) -> None:
    """Free a whole ring."""
    counts = s.counts
    node = np.int64(first)
    while True:
        counts[NODES_USED] -= 1
        if s.node_x[node] < 0:
            counts[CORNERS] -= 1
        if node == last:
            break
        node = np.int64(s.node_next[node])
    s.node_next[last] = counts[NODE_FREE]
    counts[NODE_FREE] = first


@kernel
def _new_end(s: Sweep, node: int) -> int:
    counts = s.counts
    end = counts[END_FREE]
    if end >= 0:
        counts[END_FREE] = s.end_other[end]
    else:
        end = counts[ENDS_MADE]
        counts[ENDS_MADE] += 1
    s.end_node[end] = node
    return int(end)


@kernel
def _free_end(s: Sweep, end: int) -> None:
    s.end_other[end] = s.counts[END_FREE]
    s.counts[END_FREE] = end


@kernel
def _new_component(s: Sweep, label: int) -> int:
    number = s.counts[COMPONENTS]
    s.counts[COMPONENTS] += 1
    s.parent[number] = number
    s.of_label[number] = label
    return int(number)


@kernel
def _united(s: Sweep, one: int, other: int) -> int:
    """Make two components one; the older one stands for both."""
    one, other = _root(s.parent, one), _root(s.parent, other)
    root, child = min(one, other), max(one, other)
    s.parent[child] = root
    return root


@kernel
def _root(parent: I32, component: int) -> int:
    at = np.int64(component)
    while parent[at] != at:
        parent[at] = parent[parent[at]]
        at = np.int64(parent[at])
    return int(at)
