"""Shapes sorted for drawing: which shape, and which of its edges, concern which row of tiles.

In: :class:`~.shapes.Shapes` and a tile grid. Out: :class:`Scene`, the arrays that the kernels
read. An *entry* is a shape in one row of tiles; its *runs* are stretches of consecutive edges (or
points) that come near that row. Runs cost little memory, since neighbouring edges lie close.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qpmask import jit
from qpmask.engines.native.crossings import F64, I32, I64, MOST_CROSSINGS
from qpmask.engines.native.library import LIBRARY
from qpmask.engines.native.shapes import Kind, Shapes
from qpmask.jit import kernel

POLYLINE = int(Kind.POLYLINE)
POINTS = int(Kind.POINTS)


class Grid(NamedTuple):
    """Frame of a plane, as kernels need it: mask size, tile side, downsample, pen."""

    width: int
    height: int
    tile: int
    downsample: float
    scaled: bool
    thin: bool
    margin: float
    background: int
    boundary: int


class Part(NamedTuple):
    """Tiles ``first`` to ``last`` of a tile row, in a chunk that starts at ``col0``."""

    row: int
    col0: int
    first: int
    last: int


class Room(NamedTuple):
    """Arrays that drawing a chunk works in, as it finds them; one thread uses them at a time.

    Attributes
    ----------
    edges, crossers : int64 arrays (n, 4) and (n, 5)
        One row for each edge of a shape in a tile row, at least. An ellipse may need more
        crossers: then ``lacking[0]`` is set, and what was drawn is void.
    keys : int64 array (n,)
        One for each crosser of a row of pixels, and at least ``MOST_CROSSINGS``.
    crossing, ending : int64 arrays
        Rows of ``edges``, by tile.
    starts : int64 array (tiles of a chunk + 2, 2)
    rows : int64 array (4, tile + 2)
        Numbers for the pixel rows of a tile.
    curves : float32 array (64, 8)
    steps : int64 array (7, 2)
    levels : int64 array (16,)
    lacking : int64 array (2,)
        The second number is the state of a tile that a shape is looked for in.
    spot : int64 array (2,)
        A tile of the chunk and a pixel of it that the shape was just drawn upon; the tile is -1
        where that is not known.
    spots : int64 array (most shapes of a tile row, 2)
        The same of all shapes of the row.
    pieces : int32 array (tiles of a chunk + 1, 8 * tile, 4)
    about : int64 array (tiles of a chunk, 2)
        See :class:`~.tilecanvas.Canvas`.
    line : int32 array (tile + 1, 4)
        Pieces of a row.
    """

    edges: jit.I64_2D
    crossers: jit.I64_2D
    keys: jit.I64_1D
    crossing: jit.I64_1D
    ending: jit.I64_1D
    starts: jit.I64_2D
    rows: jit.I64_2D
    curves: jit.F32_2D
    steps: jit.I64_2D
    levels: jit.I64_1D
    lacking: jit.I64_1D
    spot: jit.I64_1D
    spots: jit.I64_2D
    pieces: jit.I32_3D
    about: jit.I64_2D
    line: jit.I32_2D


class Rings(NamedTuple):
    """The edges of a shape in a tile row."""

    xy: NDArray[np.float32]
    vertex_start: I64
    runs: I32


class Scene(NamedTuple):
    """The columns that kernels read; shapes are in draw order.

    ``tiles`` is first and last tile column, first and last tile row of each shape (inclusive,
    with a margin). Entries of shape i are ``entry_start[i]`` and on, one for each tile row.
    ``row_entries`` lists the entries of each tile row in draw order; ``runs`` are (first edge,
    end, ring) or, for points, (first point, end, 0).
    """

    kind: jit.U8_1D
    label: jit.I32_1D
    box: jit.F64_2D
    bounds: jit.F64_2D
    tiles: jit.I32_2D
    vertex_start: jit.I64_1D
    xy: jit.F32_2D
    points: jit.F64_2D
    row_start: jit.I64_1D
    row_entries: jit.I32_1D
    row_shapes: jit.I32_1D
    run_start: jit.I64_1D
    runs: jit.I32_2D


def new_room(scene: Scene, grid: Grid, chunk_tiles: int, more: int = 1) -> Room:
    """Room to draw chunks of so many tiles in, ``more`` times what seems enough.

    Memory that is never used is never touched, and so costs nothing.
    """
    n_edges = np.diff(
        np.concatenate([[0], np.cumsum(scene.runs[:, 1] - scene.runs[:, 0])])[scene.run_start]
    )
    most = int(n_edges.max(initial=0))
    n_crossers = more * max(most, 1 << 14)
    return Room(
        edges=np.empty((most, 4), np.int64),
        crossers=np.empty((n_crossers, 5), np.int64),
        keys=np.empty(max(MOST_CROSSINGS, n_crossers), np.int64),
        crossing=np.empty(max(1 << 16, 4 * most), np.int64),
        ending=np.empty(most, np.int64),
        starts=np.empty((chunk_tiles + 2, 2), np.int64),
        rows=np.empty((4, grid.tile + 2), np.int64),
        curves=np.empty((64, 8), np.float32),
        steps=np.empty((7, 2), np.int64),
        levels=np.empty(16, np.int64),
        lacking=np.zeros(2, np.int64),
        spot=np.empty(2, np.int64),
        spots=np.empty((int(np.diff(scene.row_start).max(initial=0)), 2), np.int64),
        pieces=np.empty((chunk_tiles + 1, 8 * grid.tile, 4), np.int32),
        about=np.empty((chunk_tiles, 2), np.int64),
        line=np.empty((grid.tile + 1, 4), np.int32),
    )


@kernel
def origin(tile: int, side: int, downsample: float) -> int:
    """Full-resolution coordinate at which a tile column (or row) starts."""
    return int(np.floor(tile * side * downsample + 0.5))


@kernel
def tile_near(value: float, scale: float, side: int, n: int) -> int:
    """Tile column (or row) of a coordinate, -1 and n standing for all that lies outside."""
    return int(np.floor(min(max(value * scale / side, -1.0), float(n))))


@kernel
def tile_size(grid: Grid, row: int, col: int) -> tuple[int, int]:
    """Width and height of the part of a tile that lies inside the mask."""
    width = min(grid.tile, grid.width - col * grid.tile)
    return width, min(grid.tile, grid.height - row * grid.tile)


@kernel
def takes_part(bounds: F64, grid: Grid, row: int, col: int) -> bool:
    """Whether QuPath considers the object for a tile: its bounds touch the tile's region.

    The region is in whole full-resolution pixels, rounded twice, and may be smaller than what
    the tile's pixels cover.
    """
    width, height = tile_size(grid, row, col)
    x0 = origin(col, grid.tile, grid.downsample)
    y0 = origin(row, grid.tile, grid.downsample)
    x1 = x0 + np.floor((col * grid.tile + width) * grid.downsample - x0 + 0.5)
    y1 = y0 + np.floor((row * grid.tile + height) * grid.downsample - y0 + 0.5)
    return bool(bounds[0] <= x1 and bounds[2] >= x0 and bounds[1] <= y1 and bounds[3] >= y0)


@kernel
def shift_of(grid: Grid, tile: int) -> float:
    """What is added to coordinates to make them device coordinates of a tile column or row."""
    start = -float(origin(tile, grid.tile, grid.downsample))
    return start * (1.0 / grid.downsample) if grid.scaled else start


def build(shapes: Shapes, grid: Grid) -> tuple[Scene, I64]:
    """Sort shapes for drawing; those that cannot touch the mask are dropped.

    Returns
    -------
    Scene
    int64 array
        Which of the shapes are in it, in its order.
    """
    bounds = shapes.bounds()
    n_cols = -(-grid.width // grid.tile)
    n_rows = -(-grid.height // grid.tile)
    margin = grid.margin * grid.downsample
    side = grid.tile * grid.downsample

    tiles = np.empty((len(bounds), 4), np.int32)
    for i, (column, away, least, most) in enumerate((
        (0, -margin, 0, n_cols), (2, margin, -1, n_cols - 1),
        (1, -margin, 0, n_rows), (3, margin, -1, n_rows - 1),
    )):  # fmt: skip
        at = (bounds[:, column] + away) / side
        np.floor(at, out=at)
        np.fmax(at, least, out=at)  # shapes without vertices, whose bounds are NaN, go below
        tiles[:, i] = np.minimum(at, most, out=at)
    taken = (tiles[:, 0] <= tiles[:, 1]) & (tiles[:, 2] <= tiles[:, 3])
    taken &= ~np.isnan(bounds[:, 0] + bounds[:, 1])
    pick = np.flatnonzero(taken)
    order = shapes.order[pick]
    if (order[1:] < order[:-1]).any():
        pick = pick[np.argsort(order, kind="stable")]
    kind, tiles, bounds = shapes.kind[pick], tiles[pick], bounds[pick]
    # The box is looked at of few kinds; of others it would be the bounds once more.
    has_box = np.isin(kind, (Kind.RECTANGLE, Kind.ELLIPSE, Kind.LINE)).any()
    box = shapes.box[pick] if has_box else bounds

    spans = tiles[:, 3] - tiles[:, 2] + 1
    entry_start = np.concatenate([[0], np.cumsum(spans, dtype=np.int64)])
    entry_shape = np.repeat(np.arange(len(pick), dtype=np.int32), spans)
    entry_row = np.arange(entry_start[-1], dtype=np.int32)
    entry_row -= np.repeat((entry_start[:-1] - tiles[:, 2]).astype(np.int32), spans)
    row_entries = np.argsort(entry_row, kind="stable").astype(np.int32)
    row_start = np.searchsorted(entry_row[row_entries], np.arange(n_rows + 1)).astype(np.int64)

    arguments = (
        pick,
        kind,
        tiles,
        entry_start,
        shapes.ring_start,
        shapes.vertex_start,
        shapes.xy,
        shapes.point_start,
        shapes.points,
        Near(grid.margin, 1 / grid.downsample, grid.tile, n_rows),
        np.empty((2, int(spans.max(initial=1))), np.int64),
    )
    none = np.empty((0, 3), np.int32)
    run_start = np.zeros(entry_start[-1] + 1, np.int64)
    find_runs(*arguments, run_start, none, False)
    np.cumsum(run_start, out=run_start)
    runs = np.empty((run_start[-1], 3), np.int32)
    find_runs(*arguments, run_start, runs, True)
    scene = Scene(
        kind=kind,
        label=shapes.label[pick],
        box=box,
        bounds=bounds,
        tiles=tiles,
        vertex_start=shapes.vertex_start,
        xy=shapes.xy,
        points=shapes.points,
        row_start=row_start,
        row_entries=row_entries,
        row_shapes=entry_shape[row_entries],
        run_start=run_start,
        runs=runs,
    )
    return scene, pick


class Near(NamedTuple):
    """What :func:`_rows_near` needs: margin, mask pixels per px0, tile side, number of rows."""

    margin: float
    scale: float
    side: int
    n_rows: int


@LIBRARY.entry
def find_runs(
    pick: jit.I64_1D,
    kind: jit.U8_1D,
    tiles: jit.I32_2D,
    entry_start: jit.I64_1D,
    ring_start: jit.I64_1D,
    vertex_start: jit.I64_1D,
    xy: jit.F32_2D,
    point_start: jit.I64_1D,
    points: jit.F64_2D,
    near: Near,
    rows: jit.I64_2D,
    run_start: jit.I64_1D,
    runs: jit.I32_2D,
    write: bool,
) -> None:
    """Count the runs of each entry (into ``run_start[entry + 1]``), or write them.

    ``rows`` is room to work in, shape (2, most tile rows of a shape).
    """
    last_end, used = rows[0], rows[1]
    for i in range(len(pick)):
        shape = pick[i]
        first_row = np.int64(tiles[i, 2])
        n_rows = tiles[i, 3] - first_row + 1
        for row in range(n_rows):
            used[row] = 0
        entry = entry_start[i]
        rings = 1
        if kind[i] != POINTS:
            rings = ring_start[shape + 1] - ring_start[shape]
        for r in range(rings):
            if kind[i] == POINTS:
                ring = np.int64(0)
                start, end = point_start[shape], point_start[shape + 1]
                n_edges = end - start
            else:
                ring = ring_start[shape] + r
                start, end = vertex_start[ring], vertex_start[ring + 1]
                n_edges = end - start
                if kind[i] == POLYLINE:
                    n_edges -= 1
            if n_rows == 1:  # as of most shapes: all of its edges, which need no looking at
                if n_edges > 0:
                    if write:
                        at = run_start[entry] + used[0]
                        runs[at, 0], runs[at, 1], runs[at, 2] = start, start + n_edges, ring
                    used[0] += 1
                continue
            for row in range(n_rows):
                last_end[row] = -1
            for edge in range(start, start + n_edges):
                if kind[i] == POINTS:
                    y1 = y2 = points[edge, 1]
                else:
                    y1 = np.float64(xy[edge, 1])
                    y2 = np.float64(xy[edge + 1 if edge + 1 < end else start, 1])
                row0, row1 = _rows_near(min(y1, y2), max(y1, y2), near)
                for row in range(max(row0 - first_row, 0), min(row1 - first_row + 1, n_rows)):
                    at = run_start[entry + row] + used[row]
                    if last_end[row] == edge and edge > start:
                        if write:
                            runs[at - 1, 1] = edge + 1
                    else:
                        used[row] += 1
                        if write:
                            runs[at, 0], runs[at, 1], runs[at, 2] = edge, edge + 1, ring
                    last_end[row] = edge + 1
        if not write:
            for row in range(n_rows):
                run_start[entry + row + 1] = used[row]


@kernel
def _rows_near(low: float, high: float, near: Near) -> tuple[int, int]:
    far = near.margin / near.scale
    row0 = tile_near(low - far, near.scale, near.side, near.n_rows)
    return row0, tile_near(high + far, near.scale, near.side, near.n_rows)
