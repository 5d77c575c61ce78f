"""A whole plane: label tiles, row by row from the top left, exactly as QuPath draws them.

In: :class:`~.shapes.Shapes` (px0) and :class:`PlaneOptions`. Out: for each tile either an int,
where all pixels have that label, or an array of the tile's actual (cropped) size.

Only tiles that a shape covers in part are drawn. Work goes to threads in strips, neighbouring tiles
of one tile row; a few strips are under way at a time, so memory does not grow with the image.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qpmask.engines.native.shapes import AREAS, LINES, NO_FILL, Kind, Shapes
from qpmask.engines.native.stripdraw import LACKS_ROOM, LACKS_RUNS, draw_strip
from qpmask.engines.native.tilerows import Grid, Room, Scene, build, new_room
from qpmask.errors import OptionsError, UnsupportedByEngineError
from qpmask.geometry import Size, TileGrid
from qpmask.jit import CANVAS_TYPES, packed
from qpmask.ometiff.kernels.calls import Rooms, copied
from qpmask.ometiff.pixelpool import give_back, new_pixels
from qpmask.ometiff.runs import RunStrip, TileRuns, constant_runs
from qpmask.ometiff.strips import StripGrid
from qpmask.ometiff.threads import Pace, in_threads, threads_for
from qpmask.options import PIXEL_TYPES, pixel_type

LabelTile: TypeAlias = "int | NDArray[Any]"

CHUNK_PX = 2 << 20
"""Pixels of the tiles that are drawn in one go (but for a tile that has more)."""

MARGIN_PX = 3.0
"""How far from an edge a tile may be to look at it: more than rounding and the pixel rules need."""


class PlaneOptions(NamedTuple):
    """How a plane is drawn.

    Attributes
    ----------
    image : Size
        Size of the image at full resolution.
    downsample : float
        Full-resolution pixels per mask pixel.
    tile_px : int
        Side of a tile. Part of the result: QuPath's rounding starts anew in each tile.
    line_thickness : float
        Width of lines and boundaries in mask pixels. Also decides how areas are filled.
    background : int
        Label where nothing is drawn.
    boundary_label : int or None
        Outline every area with this label, over everything else.
    dtype : str or None
        ``uint8``, ``uint16`` or ``uint32``; default: the smallest one that holds all labels.
    n_threads : int or None
        Default: what the plane is worth of this process's processors. No effect on the pixels.
    """

    image: Size
    downsample: float = 1.0
    tile_px: int = 512
    line_thickness: float = 1.0
    background: int = 0
    boundary_label: int | None = None
    dtype: str | None = None
    n_threads: int | None = None

    @property
    def tile_grid(self) -> TileGrid:
        """The tiles of the mask."""
        return TileGrid(self.image.downsampled(self.downsample), self.tile_px)


class Found(NamedTuple):
    """What became of the shapes of a plane.

    Attributes
    ----------
    source : int64 array (shapes,)
        The shapes, by their ``source``.
    has_pixel : bool array (shapes,)
        Whether a shape has a pixel, were it alone.
    left : bool array (shapes,)
        Whether one of these has the shape's label when all is drawn.
    sides_px : float64 array (shapes, 2)
        Width and height of the box around a shape that has a pixel, in pixels of the mask.
    """

    source: NDArray[np.int64]
    has_pixel: NDArray[np.bool_]
    left: NDArray[np.bool_]
    sides_px: NDArray[np.float64]


def is_thin(line_thickness: float, downsample: float) -> bool:
    """Whether Java's pen is thin (at most one pixel), which decides the rule of all fills."""
    width = np.float32(np.float64(np.float32(line_thickness)) * downsample)
    if downsample == 1:
        return bool(width <= 1)
    scale = 1.0 / downsample
    return bool(scale * scale * np.float64(width * width) <= 1.000000001)


class Plane:
    """The label tiles of one plane.

    Parameters
    ----------
    shapes : Shapes
        Of this plane alone, in any order of rows.
    options : PlaneOptions
    describe : callable, optional
        Turns a shape's ``source`` into words for a message.

    Raises
    ------
    OptionsError
        A label does not fit, or the downsample is not a positive number.
    UnsupportedByEngineError
        A line or boundary is wider than a pixel: QuPath strokes those by other rules.
    """

    def __init__(
        self,
        shapes: Shapes,
        options: PlaneOptions,
        *,
        describe: Callable[[int], str] = "object {}".format,
    ) -> None:
        if not (np.isfinite(options.downsample) and options.downsample > 0):
            raise OptionsError(f"downsample is {options.downsample}; it must be a positive number.")
        if options.tile_px < 1:
            raise OptionsError(f"tile_px is {options.tile_px}; it must be 1 or more.")
        self.options = options
        self.tile_grid = options.tile_grid
        self.dtype = _dtype(shapes, options)
        thin = is_thin(options.line_thickness, options.downsample)
        if not thin:
            _refuse_strokes(shapes, options, describe)
        boundary = options.boundary_label
        size = self.tile_grid.size
        # Exact types, since the kernels are compiled for them.
        self._grid = Grid(
            width=int(size.width_px),
            height=int(size.height_px),
            tile=int(options.tile_px),
            downsample=float(options.downsample),
            scaled=bool(options.downsample != 1),
            thin=thin,
            margin=float(max(MARGIN_PX, 2 + 1 / options.downsample)),
            background=int(options.background),
            boundary=NO_FILL if boundary is None else int(boundary),
        )
        self._scene, self._shapes = build(shapes, self._grid)
        self._found = np.zeros((len(self._shapes), 2), np.uint8)
        self._source = shapes.source
        self._packed = packed(self._scene), packed(self._grid)
        self._chunk_tiles = max(1, CHUNK_PX // options.tile_px**2)
        self._room = _Room(self._scene, self._grid, self._chunk_tiles)
        tile = Size(options.tile_px, options.tile_px)
        self._strip_grid = StripGrid(size, tile)

    def strips(self) -> Iterator[TileRuns]:
        """All tiles in strips, row by row from the top left, drawn as they are asked for.

        Yields
        ------
        TileRuns
            The next strip of the plane's :class:`~qpmask.ometiff.strips.StripGrid`.
        """
        grid = self._strip_grid
        threads = self.options.n_threads or threads_for(grid.n_rows * grid.n_strips)
        places = ((row, number) for row in range(grid.n_rows) for number in range(grid.n_strips))
        if threads == 1:
            yield from (self._blank(*place) or self.strip(*place) for place in places)
            return
        pace = Pace(asked=self.options.n_threads is not None)
        strip = pace.timed(self.strip)
        yield from in_threads(
            lambda place: strip(*place),
            places,
            threads,
            ahead=threads,  # strips of many small objects take a megabyte each
            at_once=lambda place: (
                self._blank(*place) or (None if pace.is_worth_threads else strip(*place))
            ),
        )

    def tiles(self) -> Iterator[LabelTile]:
        """The same one by one.

        Yields
        ------
        int or array of the plane's type (height, width)
            The label of a tile that is all one label, or the tile's pixels.
        """
        for strip in self.strips():
            yield from strip

    def found(self) -> Found:
        """Which shapes have pixels, and which have one with their label.

        Of the strips that were drawn so far: of the whole plane once all tiles were taken.
        """
        flags = np.zeros((len(self._source), 2), np.bool_)
        flags[self._shapes] = self._found != 0
        sides = np.zeros((len(self._source), 2))
        bounds = self._scene.bounds
        for axis in range(2):  # an axis at a time takes half as long
            lengths = bounds[:, 2 + axis] - bounds[:, axis]
            sides[self._shapes, axis] = lengths / self.options.downsample
        return Found(self._source, flags[:, 0], flags[:, 1], sides)

    def busy_strips(self) -> Iterator[tuple[int, int]]:
        """Tile row and number of the strips that a shape comes near."""
        grid = self._strip_grid
        for row in range(grid.n_rows):
            if self._scene.row_start[row] < self._scene.row_start[row + 1]:
                for number in range(grid.n_strips):
                    if self._blank(row, number) is None:
                        yield row, number

    def tile(self, row: int, col: int) -> LabelTile:
        """One tile."""
        number, k = divmod(col, self._strip_grid.tiles_per_strip)
        return list(self.strip(row, number))[k]

    def _blank(self, row: int, number: int) -> TileRuns | None:
        """A strip that no shape comes near; None if one does."""
        scene, per_strip = self._scene, self._strip_grid.tiles_per_strip
        shapes = scene.row_shapes[scene.row_start[row] : scene.row_start[row + 1]]
        first_col = number * per_strip
        left, right = scene.tiles[shapes, 0], scene.tiles[shapes, 1]
        if ((left < first_col + per_strip) & (right >= first_col)).any():
            return None
        shape = self._strip_grid.shape(row, number)
        labels = np.full(shape.n_tiles, self.options.background, np.int64)
        return TileRuns(shape, constant_runs(shape, labels), self.dtype)

    def strip(self, row: int, number: int) -> TileRuns:
        """Strip ``number`` of a tile row."""
        shape = self._strip_grid.shape(row, number)
        col = number * self._strip_grid.tiles_per_strip
        room = self._room
        n_pixels = self.options.tile_px**2
        canvas = next(dtype for dtype in CANVAS_TYPES if dtype.itemsize >= self.dtype.itemsize)
        pixels = new_pixels(min(shape.n_tiles, self._chunk_tiles), n_pixels, canvas)
        words, states = pixels.view(np.uint64), np.empty(len(pixels), np.int64)
        while True:
            out = room.runs(shape.n_tiles)
            found = draw_strip(
                *self._packed, row, col, shape, pixels, words, states, room.packed, out,
                room.alone, self._found,
            )  # fmt: skip
            if found == LACKS_RUNS:
                room.n_runs *= 2
            elif found == LACKS_ROOM:
                room.enlarge()
            else:
                give_back(pixels)
                return TileRuns(shape, copied(out), self.dtype)


class _Room(threading.local):
    """What a thread works in; it grows when it turns out too small."""

    def __init__(self, scene: Scene, grid: Grid, chunk_tiles: int) -> None:
        self._of = scene, grid, chunk_tiles
        self._more = 1
        self._rooms = Rooms()
        self.n_runs = 1 << 16
        self.alone = np.empty((1, grid.tile**2), np.uint8)
        self.packed = self._new()

    def _new(self) -> Room:
        return packed(new_room(*self._of, self._more))

    def enlarge(self) -> None:
        """Make room for four times as many crossers."""
        self._more *= 4
        self.packed = self._new()

    def runs(self, n_tiles: int) -> RunStrip:
        """Room for runs."""
        return self._rooms.runs(self.n_runs, n_tiles)


def _dtype(shapes: Shapes, options: PlaneOptions) -> np.dtype[Any]:
    labels = [options.background, options.boundary_label or 0]
    if len(shapes):
        labels.append(max(0, int(shapes.label.max())))
    dtype = np.dtype(options.dtype or pixel_type(max(labels)))
    if dtype.name not in PIXEL_TYPES or max(labels) > np.iinfo(dtype).max:
        raise OptionsError(f"Label {max(labels)} does not fit into a {dtype.name} mask.")
    if min(labels) < 0 or (len(shapes) and int(shapes.label.min()) < NO_FILL):
        raise OptionsError("A label is negative; labels start at 0.")
    return dtype


def _refuse_strokes(shapes: Shapes, options: PlaneOptions, describe: Callable[[int], str]) -> None:
    """Raise if something would be stroked with a pen wider than a pixel."""
    stroked = np.isin(shapes.kind, LINES) & (shapes.label != NO_FILL)
    if options.boundary_label is not None:
        stroked |= np.isin(shapes.kind, AREAS)
    bounds = shapes.bounds()
    with np.errstate(invalid="ignore"):
        stroked &= (bounds[:, 0] <= options.image.width_px) & (bounds[:, 2] >= 0)
        stroked &= (bounds[:, 1] <= options.image.height_px) & (bounds[:, 3] >= 0)
    for i in np.flatnonzero(stroked)[:1]:
        what = "line" if shapes.kind[i] in LINES else "boundary"
        raise UnsupportedByEngineError(
            f"The {what} of {describe(int(shapes.source[i]))} ({Kind(shapes.kind[i]).name.lower()})"
            f" would be drawn {options.line_thickness:g} mask pixels wide at downsample "
            f"{options.downsample:g}; more than 1, to which rounding adds, QuPath draws with a pen "
            "that the native engine does not have.",
            hint="Let QuPath draw (--engine qupath), leave lines and boundaries out, make them "
            "thinner, or choose a downsample that is a power of two.",
        )
