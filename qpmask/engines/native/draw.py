"""Kernels that draw a chunk: some neighbouring tiles of one row of tiles, shape by shape.

Out: ``state[k]``, the label of a tile that is all one label, or :data:`DRAWN`; only then are its
pixels in ``pixels[k]``. A tile is drawn only once a shape covers part of it; a shape that covers
all of it turns it back into a label.

The edges of a shape are looked at only by the tiles that they may cross. Edges left of a tile
decide the winding numbers at its left side; they are added up once, from left to right.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import curves, thin, wide
from ._jit import kernel
from .raster import (
    I64,
    THIN_SHIFT,
    WIDE_SHIFT,
    Pixels,
    fill_box,
    fill_crossers,
    inside,
    paint,
    point_pixel,
    rectangle_columns,
    same_everywhere,
    to_device,
)
from .scene import EVEN_ODD, Grid, Scene, origin, tile_near
from .shapes import NO_FILL, Kind

DRAWN = -1

POLYGON = int(Kind.POLYGON)
GEOMETRY = int(Kind.GEOMETRY)
RECTANGLE = int(Kind.RECTANGLE)
ELLIPSE = int(Kind.ELLIPSE)
LINE = int(Kind.LINE)
POLYLINE = int(Kind.POLYLINE)
POINTS = int(Kind.POINTS)
EVEN_ODD_KIND = int(EVEN_ODD)


@kernel
def draw_chunk(
    scene: Scene, grid: Grid, row: int, col0: int, col1: int, pixels: Pixels, state: I64
) -> None:
    """Draw tiles (row, col0) to (row, col1 - 1).

    Parameters
    ----------
    pixels : uint8 or uint16 array (col1 - col0, tile * tile)
        Drawn tiles: the first height * width values, row by row.
    state : int64 array (col1 - col0,)
    """
    state[:] = grid.background
    left = np.zeros(grid.tile + 1, np.int64)
    for outline in range(2 if grid.boundary >= 0 else 1):
        for at in range(scene.row_start[row], scene.row_start[row + 1]):
            shape = scene.row_shapes[at]
            first = max(col0, scene.tiles[shape, 0])
            last = min(col1 - 1, scene.tiles[shape, 1])
            if first > last:
                continue
            kind = scene.kind[shape]
            runs = scene.runs[
                scene.run_start[scene.row_entries[at]] : scene.run_start[scene.row_entries[at] + 1]
            ]
            span = first, last
            if outline == 1:
                if kind == RECTANGLE or kind == ELLIPSE:
                    _box(scene, grid, shape, row, col0, span, True, left, pixels, state)
                elif kind == POLYGON or kind == GEOMETRY:
                    _segments(scene, grid, shape, row, col0, span, runs, True, pixels, state)
            elif scene.label[shape] == NO_FILL:
                continue
            elif kind == POLYGON or kind == GEOMETRY:
                _fill_rings(scene, grid, shape, row, col0, span, runs, left, pixels, state)
            elif kind == RECTANGLE or kind == ELLIPSE or kind == LINE:
                _box(scene, grid, shape, row, col0, span, False, left, pixels, state)
            elif kind == POLYLINE:
                _segments(scene, grid, shape, row, col0, span, runs, False, pixels, state)
            else:
                _points(scene, grid, shape, row, col0, span, runs, pixels, state)
    for k in range(col1 - col0):
        if state[k] == DRAWN:
            width, height = tile_size(grid, row, col0 + k)
            first_pixel = pixels[k, 0]
            alike = True
            for y in range(height):
                for x in range(width):
                    alike &= pixels[k, y * width + x] == first_pixel
                if not alike:
                    break
            if alike:
                state[k] = first_pixel


@kernel
def tile_size(grid: Grid, row: int, col: int) -> tuple[int, int]:
    """Width and height of the part of a tile that lies inside the mask."""
    width = min(grid.tile, grid.width - col * grid.tile)
    return width, min(grid.tile, grid.height - row * grid.tile)


@kernel
def takes_part(scene: Scene, grid: Grid, shape: int, row: int, col: int) -> bool:
    """Whether QuPath considers the object for a tile: its bounds touch the tile's region.

    The region is in whole full-resolution pixels, rounded twice, and may be smaller than what
    the tile's pixels cover.
    """
    width, height = tile_size(grid, row, col)
    x0 = origin(col, grid.tile, grid.downsample)
    y0 = origin(row, grid.tile, grid.downsample)
    x1 = x0 + np.floor((col * grid.tile + width) * grid.downsample - x0 + 0.5)
    y1 = y0 + np.floor((row * grid.tile + height) * grid.downsample - y0 + 0.5)
    bounds = scene.bounds[shape]
    return bounds[0] <= x1 and bounds[2] >= x0 and bounds[1] <= y1 and bounds[3] >= y0


@kernel
def shift_of(grid: Grid, tile: int) -> float:
    """What is added to coordinates to make them device coordinates of a tile column or row."""
    start = -np.float64(origin(tile, grid.tile, grid.downsample))
    return start * (1.0 / grid.downsample) if grid.scaled else start


@kernel
def open_tile(pixels: Pixels, state: I64, k: int, n_pixels: int) -> None:
    """Make sure that a tile has pixels."""
    if state[k] != DRAWN:
        paint(pixels[k], 0, n_pixels, state[k])
        state[k] = DRAWN


@kernel
def _fill_rings(
    scene: Scene,
    grid: Grid,
    shape: int,
    row: int,
    col0: int,
    span: tuple[int, int],
    runs: I64,
    carried: I64,
    pixels: Pixels,
    state: I64,
) -> None:
    """Fill a polygon or geometry in the tiles ``span[0]`` to ``span[1]``."""
    first, last = span
    scale = 1.0 / grid.downsample
    _, height = tile_size(grid, row, first)
    shift_y = shift_of(grid, row)
    bounds = scene.bounds[shape]
    row0 = max(int(np.floor(max(bounds[1] * scale + shift_y - grid.margin, 0.0))), 0)
    row1 = min(int(np.ceil(min(bounds[3] * scale + shift_y + grid.margin, height))), height)
    if row0 >= row1:
        return
    carried[row0 : row1 + 1] = 0
    rows = row0, row1

    n_edges = 0
    for r in range(len(runs)):
        n_edges += runs[r, 1] - runs[r, 0]
    # Edge, next vertex, first and last tile in the span that the edge may cross.
    edges = np.empty((n_edges, 4), np.int64)
    n_tiles = last - first + 1
    starts = np.zeros(n_tiles + 1, np.int64)
    ends = np.zeros(n_tiles + 1, np.int64)
    reach = grid.margin * grid.downsample
    n = 0
    for r in range(len(runs)):
        ring_start = scene.vertex_start[runs[r, 2]]
        ring_end = scene.vertex_start[runs[r, 2] + 1]
        for edge in range(runs[r, 0], runs[r, 1]):
            other = edge + 1 if edge + 1 < ring_end else ring_start
            x1, x2 = np.float64(scene.xy[edge, 0]), np.float64(scene.xy[other, 0])
            near = tile_near(min(x1, x2) - reach, scale, grid.tile, last + 1)
            far = tile_near(max(x1, x2) + reach, scale, grid.tile, last + 1)
            if near > last:
                continue
            if far < first:
                _add_left(scene, grid, shift_y, edge, other, height, carried)
                continue
            edges[n, 0], edges[n, 1] = edge, other
            edges[n, 2], edges[n, 3] = max(near, first) - first, min(far, last) - first
            for k in range(edges[n, 2], edges[n, 3] + 1):
                starts[k + 1] += 1
            ends[edges[n, 3] + 1] += 1
            n += 1
    most = 0
    for k in range(n_tiles):
        most = max(most, starts[k + 1])
        starts[k + 1] += starts[k]
        ends[k + 1] += ends[k]
    crossing = np.empty(starts[n_tiles], np.int64)
    ending = np.empty(n, np.int64)
    for i in range(n):
        for k in range(edges[i, 2], edges[i, 3] + 1):
            crossing[starts[k]] = i
            starts[k] += 1
        ending[ends[edges[i, 3]]] = i
        ends[edges[i, 3]] += 1

    # Filling the lists moved starts[k] and ends[k] to where list k ends.
    left = np.empty(len(carried), np.int64)
    crossers = np.empty((most, 5), np.int64)
    begin_crossing = begin_ending = 0
    for k in range(n_tiles):
        col = first + k
        width, _ = tile_size(grid, row, col)
        shift_x = shift_of(grid, col)
        left[row0 : row1 + 1] = carried[row0 : row1 + 1]
        found = 0
        for i in crossing[begin_crossing : starts[k]]:
            x1 = to_device(scene.xy[edges[i, 0], 0], grid.scaled, scale, shift_x)
            y1 = to_device(scene.xy[edges[i, 0], 1], grid.scaled, scale, shift_y)
            x2 = to_device(scene.xy[edges[i, 1], 0], grid.scaled, scale, shift_x)
            y2 = to_device(scene.xy[edges[i, 1], 1], grid.scaled, scale, shift_y)
            if grid.thin:
                found = thin.cut_edge(x1, y1, x2, y2, width, height, left, crossers, found)
            else:
                x1, y1, x2, y2 = wide.snap(x1), wide.snap(y1), wide.snap(x2), wide.snap(y2)
                found = wide.cut_edge(x1, y1, x2, y2, width, height, left, crossers, found)
        begin_crossing = starts[k]
        if takes_part(scene, grid, shape, row, col):
            _fill_tile(
                scene, grid, shape, width, height, rows, left, crossers, found,
                pixels, state, col - col0,
            )  # fmt: skip
        for i in ending[begin_ending : ends[k]]:
            if k + 1 < n_tiles:
                _add_left(scene, grid, shift_y, edges[i, 0], edges[i, 1], height, carried)
        begin_ending = ends[k]


@kernel
def _add_left(
    scene: Scene, grid: Grid, shift_y: float, edge: int, other: int, height: int, left: I64
) -> None:
    """Add an edge that lies left of all tiles to come."""
    scale = 1.0 / grid.downsample
    y1 = to_device(scene.xy[edge, 1], grid.scaled, scale, shift_y)
    y2 = to_device(scene.xy[other, 1], grid.scaled, scale, shift_y)
    if grid.thin:
        thin.add_left(y1, y2, height, left)
    else:
        wide.add_left(wide.snap(y1), wide.snap(y2), height, left)


@kernel
def _fill_tile(
    scene: Scene,
    grid: Grid,
    shape: int,
    width: int,
    height: int,
    rows: tuple[int, int],
    left: I64,
    crossers: I64,
    n: int,
    pixels: Pixels,
    state: I64,
    k: int,
) -> None:
    """Fill one tile, or note that the shape covers all or nothing of it."""
    label = np.int64(scene.label[shape])
    if state[k] == label:
        return
    even_odd = scene.kind[shape] == EVEN_ODD_KIND
    if n == 0 and same_everywhere(left[rows[0] :], rows[1] - rows[0]):
        if not inside(left[rows[0]], even_odd):
            return
        if rows[0] == 0 and rows[1] == height:
            state[k] = label
            return
    open_tile(pixels, state, k, width * height)
    shift = THIN_SHIFT if grid.thin else WIDE_SHIFT
    fill_crossers(pixels[k], width, rows, left, crossers, n, shift, even_odd, label)


@kernel
def _box(
    scene: Scene,
    grid: Grid,
    shape: int,
    row: int,
    col0: int,
    span: tuple[int, int],
    outline: bool,
    left: I64,
    pixels: Pixels,
    state: I64,
) -> None:
    """Draw a rectangle, ellipse or line, or the outline of one, tile by tile."""
    scale = 1.0 / grid.downsample
    label = np.int64(grid.boundary) if outline else np.int64(scene.label[shape])
    box = scene.box[shape]
    kind = scene.kind[shape]
    shift_y = shift_of(grid, row)
    for col in range(span[0], span[1] + 1):
        k = col - col0
        if state[k] == label or not takes_part(scene, grid, shape, row, col):
            continue
        width, height = tile_size(grid, row, col)
        size = width * height
        shift_x = shift_of(grid, col)
        if kind == RECTANGLE:
            if not outline and not (box[2] - box[0] > 0 and box[3] - box[1] > 0):
                continue
            columns = rectangle_columns(box[0], box[2], scale, shift_x, outline)
            rows = rectangle_columns(box[1], box[3], scale, shift_y, outline)
            if outline:
                open_tile(pixels, state, k, size)
                _frame(pixels[k], width, height, columns, rows, label)
            elif columns[0] <= 0 and columns[1] >= width and rows[0] <= 0 and rows[1] >= height:
                state[k] = label
            elif columns[0] < width and columns[1] > 0 and rows[0] < height and rows[1] > 0:
                open_tile(pixels, state, k, size)
                fill_box(pixels[k], width, height, columns, rows, label)
        elif kind == LINE:
            open_tile(pixels, state, k, size)
            x1, y1, x2, y2 = _line_ends(grid, box, shift_x, shift_y)
            thin.draw_line(pixels[k], width, height, x1, y1, x2, y2, label)
        else:
            points = curves.ellipse_points(box, grid.scaled, scale, shift_x, shift_y)
            left[:] = 0
            crossers = np.empty((0, 5), np.int64)
            n = 0
            if grid.thin:
                lines, n_lines = curves.thin_lines(points, width, height, outline, left)
                if outline:
                    if n_lines:
                        open_tile(pixels, state, k, size)
                    for i in range(n_lines):
                        a, b, c, d = lines[i, 0], lines[i, 1], lines[i, 2], lines[i, 3]
                        if lines[i, 4]:
                            curves.draw_cut(pixels[k], width, height, a, b, c, d, label)
                        else:
                            thin.draw_fixed(pixels[k], width, height, a, b, c, d, label)
                    continue
                crossers = np.empty((n_lines, 5), np.int64)
                for i in range(n_lines):
                    a, b, c, d = lines[i, 0], lines[i, 1], lines[i, 2], lines[i, 3]
                    if lines[i, 4]:
                        n = curves.cut_fixed(a, b, c, d, width, height, left, crossers, n)
                    else:
                        n = thin.add_edge(a, b, c, d, left, crossers, n)
            else:
                crossers, n = curves.wide_edges(points, width, height, left, crossers)
            rows = 0, height
            _fill_tile(
                scene, grid, shape, width, height, rows, left, crossers, n, pixels, state, k
            )


@kernel
def _frame(
    pixels: Pixels,
    width: int,
    height: int,
    columns: tuple[int, int],
    rows: tuple[int, int],
    label: int,
) -> None:
    """Draw the outermost pixels of a box."""
    x0, x1 = columns
    y0, y1 = rows
    fill_box(pixels, width, height, (x0, x1), (y0, y0 + 1), label)
    fill_box(pixels, width, height, (x0, x1), (y1 - 1, y1), label)
    fill_box(pixels, width, height, (x0, x0 + 1), (y0, y1), label)
    fill_box(pixels, width, height, (x1 - 1, x1), (y0, y1), label)


@kernel
def _line_ends(grid: Grid, box: Any, shift_x: float, shift_y: float) -> Any:
    """Pixels of the ends of a thin LineROI: floored in float64, before the whole translation."""
    scale = 1.0 / grid.downsample
    if grid.scaled:
        return (
            int(np.floor(box[0] * scale + shift_x)),
            int(np.floor(box[1] * scale + shift_y)),
            int(np.floor(box[2] * scale + shift_x)),
            int(np.floor(box[3] * scale + shift_y)),
        )
    return (
        int(np.floor(box[0] + shift_x - shift_x)) + int(shift_x),
        int(np.floor(box[1] + shift_y - shift_y)) + int(shift_y),
        int(np.floor(box[2] + shift_x - shift_x)) + int(shift_x),
        int(np.floor(box[3] + shift_y - shift_y)) + int(shift_y),
    )


@kernel
def _segments(
    scene: Scene,
    grid: Grid,
    shape: int,
    row: int,
    col0: int,
    span: tuple[int, int],
    runs: I64,
    outline: bool,
    pixels: Pixels,
    state: I64,
) -> None:
    """Draw a polyline, or the outline of a polygon or geometry."""
    scale = 1.0 / grid.downsample
    label = np.int64(grid.boundary) if outline else np.int64(scene.label[shape])
    reach = grid.margin * grid.downsample
    shift_y = shift_of(grid, row)
    for r in range(len(runs)):
        ring_start = scene.vertex_start[runs[r, 2]]
        ring_end = scene.vertex_start[runs[r, 2] + 1]
        for edge in range(runs[r, 0], runs[r, 1]):
            closing = edge + 1 == ring_end
            other = ring_start if closing else edge + 1
            x_edge, x_other = np.float64(scene.xy[edge, 0]), np.float64(scene.xy[other, 0])
            near = tile_near(min(x_edge, x_other) - reach, scale, grid.tile, span[1] + 1)
            far = tile_near(max(x_edge, x_other) + reach, scale, grid.tile, span[1] + 1)
            for col in range(max(near, span[0]), min(far, span[1]) + 1):
                k = col - col0
                if state[k] == label or not takes_part(scene, grid, shape, row, col):
                    continue
                width, height = tile_size(grid, row, col)
                shift_x = shift_of(grid, col)
                x1 = to_device(scene.xy[edge, 0], grid.scaled, scale, shift_x)
                y1 = to_device(scene.xy[edge, 1], grid.scaled, scale, shift_y)
                x2 = to_device(scene.xy[other, 0], grid.scaled, scale, shift_x)
                y2 = to_device(scene.xy[other, 1], grid.scaled, scale, shift_y)
                # A path that is closed already gets no further segment, not even a point.
                if closing and x1 == x2 and y1 == y2:
                    continue
                open_tile(pixels, state, k, width * height)
                thin.draw_segment(pixels[k], width, height, x1, y1, x2, y2, label)


@kernel
def _points(
    scene: Scene,
    grid: Grid,
    shape: int,
    row: int,
    col0: int,
    span: tuple[int, int],
    runs: I64,
    pixels: Pixels,
    state: I64,
) -> None:
    """Set the pixel of each point; one just left of or above a tile also counts as inside."""
    scale = 1.0 / grid.downsample
    label = np.int64(scene.label[shape])
    reach = grid.margin * grid.downsample
    origin_y = np.float64(origin(row, grid.tile, grid.downsample))
    for r in range(len(runs)):
        for i in range(runs[r, 0], runs[r, 1]):
            px, py = scene.points[i, 0], scene.points[i, 1]
            near = tile_near(px - reach, scale, grid.tile, span[1] + 1)
            far = tile_near(px + reach, scale, grid.tile, span[1] + 1)
            for col in range(max(near, span[0]), min(far, span[1]) + 1):
                k = col - col0
                if state[k] == label or not takes_part(scene, grid, shape, row, col):
                    continue
                width, height = tile_size(grid, row, col)
                x = point_pixel(
                    px, np.float64(origin(col, grid.tile, grid.downsample)), grid.downsample
                )
                y = point_pixel(py, origin_y, grid.downsample)
                if 0 <= x < width and 0 <= y < height:
                    open_tile(pixels, state, k, width * height)
                    pixels[k, y * width + x] = label
