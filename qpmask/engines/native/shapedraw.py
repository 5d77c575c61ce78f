"""Kernels that draw one shape, or its outline, in a few neighbouring tiles of a row."""

from __future__ import annotations

import numpy as np

from qpmask.engines.native import ellipses, thinrule
from qpmask.engines.native.crossings import (
    EVEN_ODD,
    F64,
    I32,
    NON_ZERO,
    clear,
    point_pixel,
    rectangle_side,
    to_device,
)
from qpmask.engines.native.polygonfill import fill_rings, fill_tile
from qpmask.engines.native.shapes import Kind
from qpmask.engines.native.tilecanvas import Canvas, fill_box, open_tile
from qpmask.engines.native.tilerows import (
    Grid,
    Part,
    Rings,
    Room,
    Scene,
    origin,
    shift_of,
    takes_part,
    tile_near,
    tile_size,
)
from qpmask.jit import kernel

POLYGON = int(Kind.POLYGON)
GEOMETRY = int(Kind.GEOMETRY)
RECTANGLE = int(Kind.RECTANGLE)
ELLIPSE = int(Kind.ELLIPSE)
LINE = int(Kind.LINE)
POLYLINE = int(Kind.POLYLINE)
POINTS = int(Kind.POINTS)


@kernel
def draw_shape(
    scene: Scene,
    grid: Grid,
    at: int,
    label: int,
    outline: bool,
    part: Part,
    room: Room,
    canvas: Canvas,
) -> None:
    """Draw a shape or its outline with a label."""
    shape = np.int64(scene.row_shapes[at])
    entry = np.int64(scene.row_entries[at])
    runs = scene.runs[scene.run_start[entry] : scene.run_start[entry + 1]]
    rings = Rings(scene.xy, scene.vertex_start, runs)
    kind = np.int64(scene.kind[shape])
    bounds, box = scene.bounds[shape], scene.box[shape]
    is_rings = kind in (POLYGON, GEOMETRY)
    if is_rings and not outline:
        rule = EVEN_ODD if kind == GEOMETRY else NON_ZERO
        fill_rings(rings, bounds, label, np.int64(rule), grid, part, room, canvas)
    elif (is_rings and outline) or kind == POLYLINE:
        _segments(rings, bounds, label, grid, part, canvas)
    elif kind == POINTS:
        _points(scene.points, bounds, label, grid, part, runs, canvas)
    else:
        _box(kind, box, bounds, label, outline, grid, part, room, canvas)


@kernel
def _box(
    kind: int,
    box: F64,
    bounds: F64,
    label: int,
    outline: bool,
    grid: Grid,
    part: Part,
    room: Room,
    canvas: Canvas,
) -> None:
    """Draw a rectangle, ellipse or line, or the outline of one, tile by tile."""
    if kind == RECTANGLE and not outline and not (box[2] > box[0] and box[3] > box[1]):
        return
    for col in range(part.first, part.last + 1):
        k = col - part.col0
        if not _changes(canvas, k, label, bounds, grid, part.row, col):
            continue
        width, height = tile_size(grid, part.row, col)
        if kind == ELLIPSE:
            _ellipse(box, label, outline, grid, part, col, room, canvas)
            continue
        scale = 1.0 / grid.downsample
        shift_x, shift_y = shift_of(grid, col), shift_of(grid, part.row)
        if kind == LINE:
            open_tile(canvas, k, width, height)
            x1, x2 = _line_end(grid, box[0], shift_x), _line_end(grid, box[2], shift_x)
            y1, y2 = _line_end(grid, box[1], shift_y), _line_end(grid, box[3], shift_y)
            thinrule.draw_line(canvas.pixels[k], width, height, x1, y1, x2, y2, label)
            continue
        x0, x1 = rectangle_side(box[0], box[2], scale, shift_x)
        y0, y1 = rectangle_side(box[1], box[3], scale, shift_y)
        if outline:
            # One pixel wide, and through the end column and row too.
            fill_box(canvas, k, width, height, x0, x1 + 1, y0, y0 + 1, label)
            fill_box(canvas, k, width, height, x0, x1 + 1, y1, y1 + 1, label)
            fill_box(canvas, k, width, height, x0, x0 + 1, y0, y1 + 1, label)
            fill_box(canvas, k, width, height, x1, x1 + 1, y0, y1 + 1, label)
        elif x0 <= 0 and x1 >= width and y0 <= 0 and y1 >= height:
            canvas.state[k] = label
            room.spot[0], room.spot[1] = k, 0
        elif max(x0, 0) < min(x1, width) and max(y0, 0) < min(y1, height):
            fill_box(canvas, k, width, height, x0, x1, y0, y1, label)
            room.spot[0], room.spot[1] = k, max(y0, 0) * width + max(x0, 0)


@kernel
def _line_end(grid: Grid, value: float, shift: float) -> int:
    """Pixel column (or row) of an end of a thin LineROI, in float64.

    Without a scale, Java takes the translation back before it floors, and adds it as an integer.
    """
    if grid.scaled:
        return int(np.floor(value * (1.0 / grid.downsample) + shift))
    return int(np.floor(value + shift - shift)) + int(shift)


@kernel
def _ellipse(
    box: F64,
    label: int,
    outline: bool,
    grid: Grid,
    part: Part,
    col: int,
    room: Room,
    canvas: Canvas,
) -> None:
    """Draw an ellipse or its outline in one tile."""
    width, height = tile_size(grid, part.row, col)
    points, stack = room.curves[:13], room.curves[13:]
    ellipses.ellipse_points(
        box,
        grid.scaled,
        1.0 / grid.downsample,
        shift_of(grid, col),
        shift_of(grid, part.row),
        points,
    )
    left, crossers = room.rows[0], room.crossers
    clear(left, np.int64(0), height + 1)
    if grid.thin:
        n = ellipses.thin_lines(points, stack, width, height, outline, left, room)
        if outline:
            k = col - part.col0
            if n > 0:
                open_tile(canvas, k, width, height)
                ellipses.draw_lines(canvas.pixels[k], width, height, crossers, n, label)
            return
        n = ellipses.cut_lines(crossers, n, width, height, left)
    else:
        n = ellipses.wide_edges(points, stack, width, height, left, room)
    if room.lacking[0] != 0:
        return
    zero = np.int64(0)
    rule = np.int64(NON_ZERO)
    fill_tile(label, rule, grid, part, col, zero, height, left, n, room, canvas)


@kernel
def _changes(
    canvas: Canvas, k: int, label: int, bounds: F64, grid: Grid, row: int, col: int
) -> bool:
    """Whether a shape may change a tile: it has other labels, and QuPath looks at the shape."""
    return bool(canvas.state[k] != label and takes_part(bounds, grid, row, col))


@kernel
def _columns_near(low: float, high: float, grid: Grid, part: Part) -> tuple[int, int]:
    """First and last of the tile columns that something between two coordinates comes near."""
    scale, reach = 1.0 / grid.downsample, grid.margin * grid.downsample
    first = tile_near(low - reach, scale, grid.tile, part.last + 1)
    last = tile_near(high + reach, scale, grid.tile, part.last + 1)
    return max(first, part.first), min(last, part.last)


@kernel
def _segments(
    rings: Rings, bounds: F64, label: int, grid: Grid, part: Part, canvas: Canvas
) -> None:
    """Draw a polyline, or the outline of a polygon or geometry."""
    xy, runs = rings.xy, rings.runs
    scale = 1.0 / grid.downsample
    shift_y = shift_of(grid, part.row)
    for r in range(len(runs)):
        ring_start = rings.vertex_start[runs[r, 2]]
        ring_end = rings.vertex_start[runs[r, 2] + 1]
        for edge in range(np.int64(runs[r, 0]), np.int64(runs[r, 1])):
            closing = edge + 1 == ring_end
            other = ring_start if closing else edge + 1
            x_edge, x_other = np.float64(xy[edge, 0]), np.float64(xy[other, 0])
            first, last = _columns_near(min(x_edge, x_other), max(x_edge, x_other), grid, part)
            for col in range(first, last + 1):
                k = col - part.col0
                if not _changes(canvas, k, label, bounds, grid, part.row, col):
                    continue
                width, height = tile_size(grid, part.row, col)
                shift_x = shift_of(grid, col)
                x1 = to_device(xy[edge, 0], grid.scaled, scale, shift_x)
                y1 = to_device(xy[edge, 1], grid.scaled, scale, shift_y)
                x2 = to_device(xy[other, 0], grid.scaled, scale, shift_x)
                y2 = to_device(xy[other, 1], grid.scaled, scale, shift_y)
                # A path that is closed already gets no further segment, not even a point.
                if closing and x1 == x2 and y1 == y2:
                    continue
                open_tile(canvas, k, width, height)
                thinrule.draw_segment(canvas.pixels[k], width, height, x1, y1, x2, y2, label)


@kernel
def _points(
    points: F64, bounds: F64, label: int, grid: Grid, part: Part, runs: I32, canvas: Canvas
) -> None:
    """Set the pixel of each point; one just left of or above a tile also counts as inside."""
    origin_y = origin(part.row, grid.tile, grid.downsample)
    for r in range(len(runs)):
        for i in range(np.int64(runs[r, 0]), np.int64(runs[r, 1])):
            px, py = points[i, 0], points[i, 1]
            first, last = _columns_near(px, px, grid, part)
            for col in range(first, last + 1):
                k = col - part.col0
                if not _changes(canvas, k, label, bounds, grid, part.row, col):
                    continue
                width, height = tile_size(grid, part.row, col)
                x = point_pixel(px, origin(col, grid.tile, grid.downsample), grid.downsample)
                y = point_pixel(py, origin_y, grid.downsample)
                if 0 <= x < width and 0 <= y < height:
                    open_tile(canvas, k, width, height)
                    canvas.pixels[k, y * width + x] = label
