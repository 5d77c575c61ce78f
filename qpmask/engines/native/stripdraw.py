"""Kernels that draw a strip chunk by chunk: a few neighbouring tiles of a row, shape by shape.

A tile is drawn only once a shape covers part of it, and has pixels only once a second one does (see
:mod:`.tilecanvas`); a shape that covers all of it turns it back into a label.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qpmask import jit
from qpmask.engines.native import ellipses, thinrule
from qpmask.engines.native.crossings import (
    EVEN_ODD,
    F64,
    I64,
    NON_ZERO,
    Pixels,
    clear,
    fill_box,
    paint,
    point_pixel,
    rectangle_side,
    to_device,
)
from qpmask.engines.native.library import LIBRARY
from qpmask.engines.native.polygonfill import fill_rings, fill_tile
from qpmask.engines.native.shapes import NO_FILL, Kind
from qpmask.engines.native.tilecanvas import (
    DRAWN,
    SPANNED,
    Canvas,
    add_spanned,
    label_at,
    open_tile,
)
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
from qpmask.ometiff.kernels.pixels import add_runs
from qpmask.ometiff.runs import RunStrip
from qpmask.ometiff.strips import StripShape

POLYGON = int(Kind.POLYGON)
GEOMETRY = int(Kind.GEOMETRY)
RECTANGLE = int(Kind.RECTANGLE)
ELLIPSE = int(Kind.ELLIPSE)
LINE = int(Kind.LINE)
POLYLINE = int(Kind.POLYLINE)
POINTS = int(Kind.POINTS)

LACKS_RUNS = -1
LACKS_ROOM = -2


@LIBRARY.entry
def draw_strip(
    scene: Scene,
    grid: Grid,
    row: int,
    col: int,
    shape: StripShape,
    pixels: jit.CANVAS_2D,
    words: jit.U64_2D,
    state: jit.I64_1D,
    room: Room,
    out: RunStrip,
    alone: jit.U8_2D,
    found: jit.U8_2D,
) -> int:
    """Draw the tiles of a strip that starts at (row, col), and find their runs.

    A few at a time, so that their pixels are still at hand when their runs are found. Those of
    tiles that are not drawn are never touched.

    Parameters
    ----------
    pixels : uint8 or uint32 array (tiles of a chunk, tile * tile)
    words : uint64 array
        The same as 64-bit numbers.
    state : int64 array (tiles of a chunk,)
    room : Room
        To work in.
    out : RunStrip
    alone : uint8 array (1, tile * tile)
        To work in.
    found : uint8 array (shapes, 2)
        Set to 1: whether a shape has pixels, and whether one of them has its label in the end.

    Returns
    -------
    int
        The number of runs, or :data:`LACKS_RUNS` or :data:`LACKS_ROOM`: draw again, with more room
        for runs, or a larger ``room``.
    """
    first, n_runs = np.int64(0), np.int64(0)
    canvas = Canvas(pixels, state, room.spans, room.spanned)
    while first < shape.n_tiles:
        last = min(first + len(pixels), shape.n_tiles)
        if not _draw_chunk(scene, grid, row, col + first, col + last, canvas, room):
            return LACKS_ROOM
        if not _look(scene, grid, row, col + first, col + last, canvas, room, alone, found):
            return LACKS_ROOM
        for k in range(last - first):
            at = first + k
            if state[k] == SPANNED:
                width, height = tile_size(grid, row, col + at)
                n_runs = add_spanned(canvas, k, width * height, out.values, out.ends, n_runs)
                out.start[at + 1] = n_runs
            else:
                n_runs = add_runs(pixels[k:], words[k:], state[k:], shape, at, at + 1, out)
            if n_runs < 0:
                return LACKS_RUNS
        first = last
    return int(n_runs)


@kernel
def _draw_chunk(
    scene: Scene, grid: Grid, row: int, col0: int, col1: int, canvas: Canvas, room: Room
) -> bool:
    """Draw tiles (row, col0) to (row, col1 - 1); False where there was not room for that."""
    room.lacking[0] = 0
    for k in range(col1 - col0):
        canvas.state[k] = grid.background
    for turn in range(2 if grid.boundary >= 0 else 1):
        outline = turn == 1
        for at in range(scene.row_start[row], scene.row_start[row + 1]):
            shape = np.int64(scene.row_shapes[at])
            first = max(col0, scene.tiles[shape, 0])
            last = min(col1 - 1, scene.tiles[shape, 1])
            if first > last or (scene.label[shape] == NO_FILL and not outline):
                continue
            if outline and scene.kind[shape] in (LINE, POLYLINE, POINTS):
                continue
            label = np.int64(grid.boundary) if outline else np.int64(scene.label[shape])
            part = Part(row, col0, first, last)
            room.spot[0] = -1
            _draw_shape(scene, grid, at, label, outline, part, room, canvas)
            if room.lacking[0] != 0:
                return False
            if not outline:
                spot = room.spots[at - scene.row_start[row]]
                spot[0], spot[1] = room.spot[0], room.spot[1]
    for k in range(col1 - col0):
        if canvas.state[k] == DRAWN:
            _settle(grid, row, col0 + k, canvas, k)
    return True


@kernel
def _draw_shape(
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
    entry = scene.row_entries[at]
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
def _look(
    scene: Scene,
    grid: Grid,
    row: int,
    col0: int,
    col1: int,
    canvas: Canvas,
    room: Room,
    alone: NDArray[np.uint8],
    found: NDArray[np.uint8],
) -> bool:
    """Look for the shapes in the drawn tiles (row, col0) to (row, col1 - 1).

    Most have a pixel that is known from drawing them and has their label still. Any other shape is
    drawn once more by itself, in one tile after the other until a pixel of it is found that has its
    label. False as for drawing.
    """
    for at in range(scene.row_start[row], scene.row_start[row + 1]):
        shape = np.int64(scene.row_shapes[at])
        if found[shape, 1] != 0 or scene.label[shape] == NO_FILL:
            continue
        first = max(col0, scene.tiles[shape, 0])
        last = min(col1 - 1, scene.tiles[shape, 1])
        if first > last:
            continue
        label = np.int64(scene.label[shape])
        spot = room.spots[at - scene.row_start[row]]
        if spot[0] >= 0:
            found[shape, 0] = 1
            if label_at(canvas, spot[0], spot[1]) == label:
                found[shape, 1] = 1
                continue
        for col in range(first, last + 1):
            k = col - col0
            state = canvas.state[k]
            if found[shape, 0] != 0 and state >= 0 and state != label:
                continue
            if state == SPANNED:
                width, height = tile_size(grid, row, col)
                open_tile(canvas, k, width * height)
            _look_in_tile(
                scene, grid, at, col, row, canvas.pixels[k], canvas.state[k], room, alone, found
            )
            if room.lacking[0] != 0:
                return False
            if found[shape, 1] != 0:
                break
    return True


@kernel
def _look_in_tile(
    scene: Scene,
    grid: Grid,
    at: int,
    col: int,
    row: int,
    pixels: Pixels,
    state: int,
    room: Room,
    alone: NDArray[np.uint8],
    found: NDArray[np.uint8],
) -> None:
    """Note in ``found`` whether a shape has pixels in a tile, and one that has its label."""
    shape = np.int64(scene.row_shapes[at])
    bounds, label = scene.bounds[shape], np.int64(scene.label[shape])
    width, height = tile_size(grid, row, col)
    x0, x1 = _span(bounds[0], bounds[2], shift_of(grid, col), grid, width)
    y0, y1 = _span(bounds[1], bounds[3], shift_of(grid, row), grid, height)
    if x0 >= x1 or y0 >= y1:
        return
    paint(alone[0], y0 * width, y1 * width, np.int64(0))
    states = room.lacking[1:]
    states[0] = DRAWN
    part = Part(row, col, col, col)
    last = len(room.spans) - 1
    mine = Canvas(alone, states, room.spans[last:], room.spanned[last:])
    _draw_shape(scene, grid, at, np.int64(1), False, part, room, mine)
    is_full = states[0] != DRAWN
    for y in range(y0, y1):
        for i in range(y * width + x0, y * width + x1):
            if is_full or alone[0, i] != 0:
                found[shape, 0] = 1
                if (pixels[i] if state == DRAWN else state) == label:
                    found[shape, 1] = 1
                    return


@kernel
def _span(low: float, high: float, shift: float, grid: Grid, side: int) -> tuple[int, int]:
    """First and end column (or row) of a tile that a shape between two coordinates may reach."""
    scale = 1.0 / grid.downsample
    first = max(np.floor(low * scale + shift - grid.margin), 0.0)
    end = min(np.ceil(high * scale + shift + grid.margin), np.float64(side))
    return int(first), int(end)


@kernel
def _settle(grid: Grid, row: int, col: int, canvas: Canvas, k: int) -> None:
    """Turn a drawn tile whose pixels are all alike into a label."""
    width, height = tile_size(grid, row, col)
    pixels = canvas.pixels[k]
    for y in range(height):
        different = False
        for pixel in pixels[y * width : (y + 1) * width]:
            different |= pixel != pixels[0]
        if different:
            return
    canvas.state[k] = pixels[0]


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
        if canvas.state[k] == label or not takes_part(bounds, grid, part.row, col):
            continue
        width, height = tile_size(grid, part.row, col)
        if kind == ELLIPSE:
            _ellipse(box, label, outline, grid, part, col, room, canvas)
            continue
        scale = 1.0 / grid.downsample
        shift_x, shift_y = shift_of(grid, col), shift_of(grid, part.row)
        if kind == LINE:
            open_tile(canvas, k, width * height)
            x1, x2 = _line_end(grid, box[0], shift_x), _line_end(grid, box[2], shift_x)
            y1, y2 = _line_end(grid, box[1], shift_y), _line_end(grid, box[3], shift_y)
            thinrule.draw_line(canvas.pixels[k], width, height, x1, y1, x2, y2, label)
            continue
        x0, x1 = rectangle_side(box[0], box[2], scale, shift_x)
        y0, y1 = rectangle_side(box[1], box[3], scale, shift_y)
        if outline:
            open_tile(canvas, k, width * height)
            # One pixel wide, and through the end column and row too.
            pixels = canvas.pixels[k]
            fill_box(pixels, width, height, x0, x1 + 1, y0, y0 + 1, label)
            fill_box(pixels, width, height, x0, x1 + 1, y1, y1 + 1, label)
            fill_box(pixels, width, height, x0, x0 + 1, y0, y1 + 1, label)
            fill_box(pixels, width, height, x1, x1 + 1, y0, y1 + 1, label)
        elif x0 <= 0 and x1 >= width and y0 <= 0 and y1 >= height:
            canvas.state[k] = label
            room.spot[0], room.spot[1] = k, 0
        elif max(x0, 0) < min(x1, width) and max(y0, 0) < min(y1, height):
            open_tile(canvas, k, width * height)
            fill_box(canvas.pixels[k], width, height, x0, x1, y0, y1, label)
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
                open_tile(canvas, k, width * height)
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
def _segments(
    rings: Rings, bounds: F64, label: int, grid: Grid, part: Part, canvas: Canvas
) -> None:
    """Draw a polyline, or the outline of a polygon or geometry."""
    xy, runs = rings.xy, rings.runs
    scale = 1.0 / grid.downsample
    reach = grid.margin * grid.downsample
    shift_y = shift_of(grid, part.row)
    for r in range(len(runs)):
        ring_start = rings.vertex_start[runs[r, 2]]
        ring_end = rings.vertex_start[runs[r, 2] + 1]
        for edge in range(runs[r, 0], runs[r, 1]):
            closing = edge + 1 == ring_end
            other = ring_start if closing else edge + 1
            x_edge, x_other = np.float64(xy[edge, 0]), np.float64(xy[other, 0])
            near = tile_near(min(x_edge, x_other) - reach, scale, grid.tile, part.last + 1)
            far = tile_near(max(x_edge, x_other) + reach, scale, grid.tile, part.last + 1)
            for col in range(max(near, part.first), min(far, part.last) + 1):
                k = col - part.col0
                if canvas.state[k] == label:
                    continue
                if not takes_part(bounds, grid, part.row, col):
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
                open_tile(canvas, k, width * height)
                thinrule.draw_segment(canvas.pixels[k], width, height, x1, y1, x2, y2, label)


@kernel
def _points(
    points: F64, bounds: F64, label: int, grid: Grid, part: Part, runs: I64, canvas: Canvas
) -> None:
    """Set the pixel of each point; one just left of or above a tile also counts as inside."""
    scale = 1.0 / grid.downsample
    reach = grid.margin * grid.downsample
    origin_y = origin(part.row, grid.tile, grid.downsample)
    for r in range(len(runs)):
        for i in range(runs[r, 0], runs[r, 1]):
            px, py = points[i, 0], points[i, 1]
            near = tile_near(px - reach, scale, grid.tile, part.last + 1)
            far = tile_near(px + reach, scale, grid.tile, part.last + 1)
            for col in range(max(near, part.first), min(far, part.last) + 1):
                k = col - part.col0
                if canvas.state[k] == label:
                    continue
                if not takes_part(bounds, grid, part.row, col):
                    continue
                width, height = tile_size(grid, part.row, col)
                x = point_pixel(px, origin(col, grid.tile, grid.downsample), grid.downsample)
                y = point_pixel(py, origin_y, grid.downsample)
                if 0 <= x < width and 0 <= y < height:
                    open_tile(canvas, k, width * height)
                    canvas.pixels[k, y * width + x] = label
