"""Kernels that fill polygons and geometries, tile by tile from left to right.

The edges of a shape are looked at only by the tiles that they may cross. Edges left of a tile
decide the winding numbers at its left side; they are added up once, as the tiles go by.
"""

from __future__ import annotations

import numpy as np

from qpmask.engines.native import thinrule, widerule
from qpmask.engines.native.crossings import (
    F32,
    F64,
    I64,
    THIN_SHIFT,
    WIDE_SHIFT,
    clear,
    inside,
    same_everywhere,
    to_device,
)
from qpmask.engines.native.tilecanvas import Canvas, fill_crossers
from qpmask.engines.native.tilerows import (
    Grid,
    Part,
    Rings,
    Room,
    shift_of,
    takes_part,
    tile_near,
    tile_size,
)
from qpmask.jit import kernel


@kernel
def fill_tile(
    label: int,
    rule: int,
    grid: Grid,
    part: Part,
    col: int,
    row0: int,
    row1: int,
    left: I64,
    n: int,
    room: Room,
    canvas: Canvas,
) -> None:
    """Fill pixel rows ``row0`` to ``row1`` of a tile, or note that all of it is covered."""
    k = col - part.col0
    if canvas.state[k] == label:
        return
    width, height = tile_size(grid, part.row, col)
    if n == 0 and same_everywhere(left, row0, row1):
        if not inside(left[row0], rule):
            return
        if row0 == 0 and row1 == height:
            canvas.state[k] = label
            room.spot[0], room.spot[1] = k, 0
            return
    shift = THIN_SHIFT if grid.thin else WIDE_SHIFT
    filled = fill_crossers(
        canvas, k, width, height, row0, row1, left, room.crossers, n, np.int64(shift), rule, label,
        room.rows[2:], room.keys,
    )  # fmt: skip
    if filled >= 0:
        room.spot[0], room.spot[1] = k, filled


@kernel
def _add_left(
    xy: F32, grid: Grid, shift_y: float, edge: int, other: int, height: int, left: I64
) -> None:
    """Add an edge that lies left of all tiles to come."""
    scale = 1.0 / grid.downsample
    y1 = to_device(xy[edge, 1], grid.scaled, scale, shift_y)
    y2 = to_device(xy[other, 1], grid.scaled, scale, shift_y)
    if grid.thin:
        thinrule.add_left(y1, y2, height, left)
    else:
        widerule.add_left(widerule.snap(y1), widerule.snap(y2), height, left)


@kernel
def _add_edge(
    xy: F32,
    grid: Grid,
    shift_x: float,
    shift_y: float,
    edge: int,
    other: int,
    width: int,
    height: int,
    left: I64,
    crossers: I64,
    n: int,
) -> int:
    """Add an edge that a tile may see; returns the number of crossers."""
    scale = 1.0 / grid.downsample
    x1 = to_device(xy[edge, 0], grid.scaled, scale, shift_x)
    y1 = to_device(xy[edge, 1], grid.scaled, scale, shift_y)
    x2 = to_device(xy[other, 0], grid.scaled, scale, shift_x)
    y2 = to_device(xy[other, 1], grid.scaled, scale, shift_y)
    if grid.thin:
        return thinrule.cut_edge(x1, y1, x2, y2, width, height, left, crossers, n)
    x1, y1, x2, y2 = widerule.snap(x1), widerule.snap(y1), widerule.snap(x2), widerule.snap(y2)
    return widerule.cut_edge(x1, y1, x2, y2, width, height, left, crossers, n)


@kernel
def fill_rings(
    rings: Rings,
    bounds: F64,
    label: int,
    rule: int,
    grid: Grid,
    part: Part,
    room: Room,
    canvas: Canvas,
) -> None:
    """Fill a polygon or geometry in the tiles of a part."""
    xy = rings.xy
    carried, left = room.rows[0], room.rows[1]
    scale = 1.0 / grid.downsample
    _, height = tile_size(grid, part.row, part.first)
    shift_y = shift_of(grid, part.row)
    row0 = np.int64(max(np.floor(bounds[1] * scale + shift_y - grid.margin), 0.0))
    row1 = np.int64(min(np.ceil(bounds[3] * scale + shift_y + grid.margin), np.float64(height)))
    if row0 >= row1:
        return
    clear(carried, row0, row1 + 1)

    if part.first == part.last:
        _fill_one(rings, bounds, label, rule, grid, part, row0, row1, room, canvas)
        return
    n_tiles = part.last - part.first + 1
    n = _edges_in_part(rings, grid, part, shift_y, height, carried, room.edges)
    is_listed = _lists(n, n_tiles, room)
    edges, start, crossing, ending = room.edges, room.starts, room.crossing, room.ending
    crossers = room.crossers
    for k in range(n_tiles):
        col = part.first + k
        if takes_part(bounds, grid, part.row, col):
            width, _ = tile_size(grid, part.row, col)
            shift_x = shift_of(grid, col)
            for row in range(row0, row1 + 1):
                left[row] = carried[row]
            found = np.int64(0)
            first, last = np.int64(0), n
            if is_listed:
                first, last = start[k, 0], start[k + 1, 0]
            for at in range(first, last):
                i = crossing[at] if is_listed else at
                if is_listed or edges[i, 2] <= k <= edges[i, 3]:
                    found = _add_edge(
                        xy, grid, shift_x, shift_y, edges[i, 0], edges[i, 1], width, height,
                        left, crossers, found,
                    )  # fmt: skip
            fill_tile(label, rule, grid, part, col, row0, row1, left, found, room, canvas)
        if k + 1 < n_tiles:
            for at in range(start[k, 1], start[k + 1, 1]):
                edge, other = edges[ending[at], 0], edges[ending[at], 1]
                _add_left(xy, grid, shift_y, edge, other, height, carried)


@kernel
def _fill_one(
    rings: Rings,
    bounds: F64,
    label: int,
    rule: int,
    grid: Grid,
    part: Part,
    row0: int,
    row1: int,
    room: Room,
    canvas: Canvas,
) -> None:
    """Fill a single tile, as most cells need: all edges are looked at, none is sorted."""
    left, crossers = room.rows[0], room.crossers
    if not takes_part(bounds, grid, part.row, part.first):
        return
    width, height = tile_size(grid, part.row, part.first)
    shift_x, shift_y = shift_of(grid, part.first), shift_of(grid, part.row)
    found = np.int64(0)
    for r in range(len(rings.runs)):
        ring_start = rings.vertex_start[rings.runs[r, 2]]
        ring_end = rings.vertex_start[rings.runs[r, 2] + 1]
        for edge in range(np.int64(rings.runs[r, 0]), np.int64(rings.runs[r, 1])):
            other = edge + 1 if edge + 1 < ring_end else ring_start
            found = _add_edge(
                rings.xy, grid, shift_x, shift_y, edge, other, width, height,
                left, crossers, found,
            )  # fmt: skip
    fill_tile(label, rule, grid, part, part.first, row0, row1, left, found, room, canvas)


@kernel
def _edges_in_part(
    rings: Rings, grid: Grid, part: Part, shift_y: float, height: int, carried: I64, edges: I64
) -> int:
    """List the edges that some tile of the part may see; those left of it go to ``carried``.

    A row of ``edges`` is vertex, next vertex, first and last tile counted from the part's first.
    Returns the number of rows.
    """
    xy, runs = rings.xy, rings.runs
    scale = 1.0 / grid.downsample
    reach = grid.margin * grid.downsample
    n = np.int64(0)
    for r in range(len(runs)):
        ring_start = rings.vertex_start[runs[r, 2]]
        ring_end = rings.vertex_start[runs[r, 2] + 1]
        for edge in range(np.int64(runs[r, 0]), np.int64(runs[r, 1])):
            other = edge + 1 if edge + 1 < ring_end else ring_start
            x1, x2 = np.float64(xy[edge, 0]), np.float64(xy[other, 0])
            near = tile_near(min(x1, x2) - reach, scale, grid.tile, part.last + 1)
            far = tile_near(max(x1, x2) + reach, scale, grid.tile, part.last + 1)
            if near > part.last:
                continue
            if far < part.first:
                _add_left(xy, grid, shift_y, edge, other, height, carried)
                continue
            edges[n, 0], edges[n, 1] = edge, other
            edges[n, 2] = max(near, part.first) - part.first
            edges[n, 3] = min(far, part.last) - part.first
            n += 1
    return int(n)


@kernel
def _lists(n: int, n_tiles: int, room: Room) -> bool:
    """List the edges that each tile may see, and those that no tile after it sees.

    In ``room.starts``: where the lists of tile k start in ``crossing`` and in ``ending``, which
    hold rows of ``room.edges``. False where ``crossing`` is too short for that, as when many edges
    cross many tiles; it is not filled then.
    """
    edges, start, crossing, ending = room.edges, room.starts, room.crossing, room.ending
    for k in range(n_tiles + 2):
        start[k, 0], start[k, 1] = 0, 0
    for i in range(n):
        for k in range(edges[i, 2], edges[i, 3] + 1):
            start[k + 2, 0] += 1
        start[edges[i, 3] + 2, 1] += 1
    for k in range(2, n_tiles + 2):
        start[k, 0] += start[k - 1, 0]
        start[k, 1] += start[k - 1, 1]
    fits = start[n_tiles + 1, 0] <= len(crossing)
    # Each list is filled from start[k + 1], which thereby moves to where start[k + 1] belongs.
    for i in range(n):
        if fits:
            for k in range(edges[i, 2], edges[i, 3] + 1):
                crossing[start[k + 1, 0]] = i
                start[k + 1, 0] += 1
        k = edges[i, 3]
        ending[start[k + 1, 1]] = i
        start[k + 1, 1] += 1
    return bool(fits)
