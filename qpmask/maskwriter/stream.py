"""Tiles that come in the order of the file: their places, shapes and labels are checked."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qpmask.common.arguments import check_callable, check_kind, path_of
from qpmask.errors import MaskError, OptionsError
from qpmask.geometry import PixelSize
from qpmask.maskwriter.blocks import take_block
from qpmask.maskwriter.finish import OnTile, publish
from qpmask.maskwriter.packedwrites import Pixels
from qpmask.maskwriter.place import lock, make_room
from qpmask.maskwriter.writerplan import Classes, MaskOptions, WriterPlan, check_threads
from qpmask.ometiff.layout import WriteResult

_END = object()

Order = Literal["rows"]
ORDERS: tuple[Order, ...] = get_args(Order)

OrderedItem: TypeAlias = "tuple[int, int, ArrayLike] | NDArray[Any] | int"


def from_tiles(
    path: Path | str,
    width: int,
    height: int,
    tiles: Iterable[OrderedItem],
    *,
    order: Order | None = None,
    classes: Classes | None = None,
    mpp: float | tuple[float, float] | PixelSize | None = None,
    tile_size: int = 512,
    dtype: str = "uint8",
    compression: str = "lzw",
    pyramid: bool = True,
    bits: bool = False,
    name: str | None = None,
    extra: Mapping[str, str] | None = None,
    on_tile: OnTile | None = None,
    threads: int | None = None,
) -> WriteResult:
    """Make a mask of tiles that come in the order of the file, with nothing kept aside.

    Parameters
    ----------
    path, width, height
        As for :class:`qpmask.MaskWriter`, and so are all options that are not explained here.
    tiles : iterable
        All tiles, row by row from the top left: ``(x, y, tile)`` with the place of the tile in
        pixels, which is checked, or, with `order`, the tile alone. A tile is an array of shape
        ``(tile_size, tile_size)`` (at the right and lower edge also cropped to the mask; of a whole
        one, what lies beyond is cut off), or a number where all pixels have one label.
    order : {"rows"}, optional
        The order of tiles that do not say their place: ``"rows"`` is row by row from the top left.
        It must be stated since it cannot be checked: tiles that come column by column fill a square
        mask too, and transpose it.
    dtype : {"uint8", "uint16", "uint32"}
        Pixel type, which must be known from the start here.
    on_tile : callable, optional
        Called with the number of tiles finished so far.

    Returns
    -------
    WriteResult
        Pixels by label, sizes.

    Raises
    ------
    MaskError
        If a tile has another place, shape, type or labels than it should, or there are too few
        or too many. No file is left, and an older one of that name stays.
    OptionsError
        If a tile does not say its place and there is no `order`, and as for
        :class:`qpmask.MaskWriter`.
    OutputError
        As for :class:`qpmask.MaskWriter`.
    """
    path = path_of(path, "path")
    check_threads(threads)
    check_callable(on_tile, "on_tile", "a function that takes a number")
    check_kind(tiles, Iterable, "tiles", "tiles in the order of the file")
    if order not in (None, *ORDERS):
        raise OptionsError(
            f"order is {order!r}; it must be one of {', '.join(ORDERS)}.",
            hint="For tiles in any other order use MaskWriter.write, which takes their places.",
        )
    options = MaskOptions(classes, mpp, tile_size, dtype, compression, pyramid, bits, name, extra)
    plan = options.plan(path, width, height)
    release = lock(path)
    try:
        make_room(path, discard=None)
        stream = in_order(plan, tiles, tile_size, order)
        return publish(path, plan.layout(), plan.metadata(), stream, on_tile, threads)
    finally:
        release()


def in_order(
    plan: WriterPlan, tiles: Iterable[OrderedItem], padded_px: int, order: Order | None
) -> Iterator[Pixels]:
    """The tiles as the file's writer takes them.

    Parameters
    ----------
    plan : WriterPlan
        The mask; its pixel type must be known.
    tiles : iterable
        See :meth:`qpmask.MaskWriter.from_tiles`.
    padded_px : int
        Edge of tiles that are not cropped: the tile size that was asked for.
    order : {"rows"}, optional
        The order of tiles that do not say their place.

    Raises
    ------
    MaskError
        If a tile is not what it should be.
    OptionsError
        If a tile does not say its place, and there is no `order`.
    """
    dtype = plan.layout().pixel_dtype
    grid = plan.grid
    stream = iter(tiles)
    for number, (row, col) in enumerate(grid):
        try:
            item = next(stream)
        except StopIteration:
            raise MaskError(
                f"The tiles ended after {number:,} of {grid.n_tiles:,}.",
                hint="For tiles in another order, or with gaps, use MaskWriter.write.",
            ) from None
        x_px, y_px = col * plan.tile_px, row * plan.tile_px
        tile = _at(item, x_px, y_px, number, order)
        height_px, width_px = grid.shape(row, col)
        shapes = {(height_px, width_px), (padded_px, padded_px)}
        # What is masked is not there, here as in MaskWriter.write.
        array = tile if isinstance(tile, np.ma.MaskedArray) else np.asarray(tile)
        if array.ndim == 0 and array.dtype.kind in "uib":
            # Checked as a block of one pixel; all others have the same label.
            array = array.reshape(1, 1)
        elif array.shape not in shapes:
            raise MaskError(
                f"Tile {number:,} (x = {x_px:,}, y = {y_px:,}) has the shape {array.shape}; "
                f"expected {(height_px, width_px)} (rows, columns)."
            )
        block = take_block(plan, x_px, y_px, array, "replace", None, clip=True)
        if block is None:  # all of it is masked
            yield 0
            continue
        is_constant = array.shape == (1, 1) and (height_px, width_px) != (1, 1)
        yield int(block.pixels[0, 0]) if is_constant else block.pixels.astype(dtype, copy=False)
    if next(stream, _END) is not _END:
        raise MaskError(f"There are more tiles than the {grid.n_tiles:,} of {plan.size} pixels.")


def _at(item: OrderedItem, x_px: int, y_px: int, number: int, order: Order | None) -> Any:
    """The tile of an item that says its place, or none."""
    if not (isinstance(item, tuple) and len(item) == 3):
        if order is None:
            raise OptionsError(
                f"Tile {number:,} does not say its place, and the order of the tiles is not given.",
                hint="Give each tile as (x, y, tile), and its place is checked; or say "
                "order='rows' where they certainly come row by row from the top left.",
            )
        return item
    try:
        place = operator.index(item[0]), operator.index(item[1])
    except TypeError as error:
        raise MaskError(
            f"Tile {number:,} has the place {item[:2]!r}; it must be two whole numbers, x and y."
        ) from error
    if place != (x_px, y_px):
        raise MaskError(
            f"Tile {number:,} is at x = {place[0]:,}, y = {place[1]:,}; the next one in the "
            f"file's order is at x = {x_px:,}, y = {y_px:,}.",
            hint="Tiles go row by row from the top left; for any other order use MaskWriter.write.",
        )
    return item[2]
