"""Kernels that draw a strip chunk by chunk: a few neighbouring tiles of a row, shape by shape.

A tile is drawn only once a shape covers part of it (see :mod:`.tilecanvas`); a shape that covers
all of it turns it back into a label. What shapes left is looked up in the runs of the tiles.
"""

from __future__ import annotations

import numpy as np

from qpmask import jit
from qpmask.engines.native.crossings import Pixels, paint
from qpmask.engines.native.library import LIBRARY
from qpmask.engines.native.shapedraw import LINE, POINTS, POLYLINE, draw_shape
from qpmask.engines.native.shapes import NO_FILL
from qpmask.engines.native.tilecanvas import DRAWN, PIECED, Canvas, add_pieces
from qpmask.engines.native.tilerows import Grid, Part, Room, Scene, shift_of, tile_size
from qpmask.jit import kernel
from qpmask.ometiff.kernels.pixels import add_runs
from qpmask.ometiff.runs import RunStrip
from qpmask.ometiff.strips import StripShape

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
    canvas = Canvas(pixels, state, room.pieces, room.about)
    first, n_runs = np.int64(0), np.int64(0)
    while first < shape.n_tiles:
        last = min(first + len(pixels), shape.n_tiles)
        if not _draw_chunk(scene, grid, row, col + first, col + last, canvas, room):
            return LACKS_ROOM
        for at in range(first, last):
            k = at - first
            if state[k] == PIECED:
                width, height = tile_size(grid, row, col + at)
                n_runs = add_pieces(canvas, k, width, height, at, out, room.rows[0], room.line)
            else:
                n_runs = add_runs(pixels[k:], words[k:], state[k:], shape, at, at + 1, out)
            if n_runs < 0:
                return LACKS_RUNS
        if not _look(scene, grid, row, col, first, last, out, room, alone, found):
            return LACKS_ROOM
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
            first = max(col0, np.int64(scene.tiles[shape, 0]))
            last = min(col1 - 1, np.int64(scene.tiles[shape, 1]))
            if first > last or (scene.label[shape] == NO_FILL and not outline):
                continue
            if outline and scene.kind[shape] in (LINE, POLYLINE, POINTS):
                continue
            label = np.int64(grid.boundary) if outline else np.int64(scene.label[shape])
            part = Part(row, col0, first, last)
            room.spot[0] = -1
            draw_shape(scene, grid, at, label, outline, part, room, canvas)
            if room.lacking[0] != 0:
                return False
            if not outline:
                spot = room.spots[at - scene.row_start[row]]
                spot[0], spot[1] = room.spot[0], room.spot[1]
    return True


@kernel
def _look(
    scene: Scene,
    grid: Grid,
    row: int,
    col: int,
    start: int,
    end: int,
    out: RunStrip,
    room: Room,
    alone: Pixels,
    found: Pixels,
) -> bool:
    """Look for the shapes in tiles ``start`` to ``end - 1`` of a strip that starts at (row, col).

    Most have a pixel that is known from drawing them and has their label still. Any other shape is
    drawn once more by itself, in one tile after the other until a pixel of it is found that has its
    label. False as for drawing.
    """
    for at in range(scene.row_start[row], scene.row_start[row + 1]):
        shape = np.int64(scene.row_shapes[at])
        if found[shape, 1] != 0 or scene.label[shape] == NO_FILL:
            continue
        first = max(start, np.int64(scene.tiles[shape, 0]) - col)
        last = min(end - 1, np.int64(scene.tiles[shape, 1]) - col)
        if first > last:
            continue
        label = np.int64(scene.label[shape])
        spot = room.spots[at - scene.row_start[row]]
        if spot[0] >= 0:
            found[shape, 0] = 1
            run = _run_at(out, start + spot[0], spot[1])
            if out.values[run] == label:
                found[shape, 1] = 1
                continue
        for tile in range(first, last + 1):
            run = out.start[tile]
            is_constant = run + 1 == out.start[tile + 1]
            if found[shape, 0] != 0 and is_constant and out.values[run] != label:
                continue
            _look_in_tile(scene, grid, at, row, col + tile, tile, out, room, alone, found)
            if room.lacking[0] != 0:
                return False
            if found[shape, 1] != 0:
                break
    return True


@kernel
def _run_at(out: RunStrip, tile: int, pixel: int) -> int:
    """The run that a pixel of a tile belongs to."""
    low, high = out.start[tile], out.start[tile + 1]  # runs before low end at the pixel or before
    while low < high:
        middle = (low + high) // 2
        if out.ends[middle] <= pixel:
            low = middle + 1
        else:
            high = middle
    return int(low)


@kernel
def _look_in_tile(
    scene: Scene,
    grid: Grid,
    at: int,
    row: int,
    col: int,
    tile: int,
    out: RunStrip,
    room: Room,
    alone: Pixels,
    found: Pixels,
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
    mine = Canvas(alone, states, room.pieces, room.about)
    draw_shape(scene, grid, at, np.int64(1), False, Part(row, col, col, col), room, mine)
    is_full = states[0] != DRAWN
    run = out.start[tile]
    for y in range(y0, y1):
        for i in range(y * width + x0, y * width + x1):
            if is_full or alone[0, i] != 0:
                found[shape, 0] = 1
                while out.ends[run] <= i:
                    run += 1
                if out.values[run] == label:
                    found[shape, 1] = 1
                    return


@kernel
def _span(low: float, high: float, shift: float, grid: Grid, side: int) -> tuple[int, int]:
    """First and end column (or row) of a tile that a shape between two coordinates may reach."""
    scale = 1.0 / grid.downsample
    first = max(np.floor(low * scale + shift - grid.margin), 0.0)
    end = min(np.ceil(high * scale + shift + grid.margin), np.float64(side))
    return int(first), int(end)
