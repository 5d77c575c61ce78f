"""Pieces of a tile, in the order in which they were written -> the tile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.common.machine import n_cores
from qpmask.geometry import Size
from qpmask.maskwriter.blocks import RULES, Rule
from qpmask.maskwriter.journal import Contents, JournalReader, by_tile
from qpmask.maskwriter.packedwrites import Pixels
from qpmask.ometiff import kernels
from qpmask.ometiff.pixelpool import give_back, new_pixels
from qpmask.ometiff.runs import TileRuns, joined
from qpmask.ometiff.strips import MIXED, StripGrid, StripShape, TileStrip
from qpmask.ometiff.threads import in_threads

_CHUNK_PX = 1 << 20

ReadPiece = Callable[[Any], tuple[Pixels, NDArray[np.bool_] | None]]


def replay(
    contents: Contents, reader: JournalReader, dtype: np.dtype[Any], threads: int | None = None
) -> Iterator[TileRuns]:
    """All tiles of level 0 in strips, row by row from the top left; 0 where nothing was written.

    Parameters
    ----------
    contents : Contents
        What `reader` found.
    dtype : numpy.dtype
        Pixel type of the mask.
    threads : int, optional
        Threads that put tiles together. Half as many as there are processors by default, since
        others compress what they make.

    Raises
    ------
    MaskError
        If a piece is damaged.
    """
    plan = contents.plan
    threads = threads or max(1, n_cores() // 2)
    grid = StripGrid(plan.size, Size(plan.tile_px, plan.tile_px))
    chunk = max(1, _CHUNK_PX // plan.tile_px**2)

    def strip_of(work: tuple[StripShape, dict[int, NDArray[Any]]]) -> TileRuns:
        shape, pieces = work
        # A few tiles at a time, as much as the processor keeps at hand.
        pixels = new_pixels(min(chunk, shape.n_tiles), plan.tile_px**2, dtype)
        parts = []
        for first in range(0, shape.n_tiles, len(pixels)):
            part = shape.part(first, min(first + len(pixels), shape.n_tiles))
            labels = np.zeros(part.n_tiles, np.int64)
            tiles = TileStrip(part, labels, pixels[: part.n_tiles])
            for k in range(part.n_tiles):
                if first + k in pieces:
                    label = put_together(pieces[first + k], reader.arrays, tiles.tile(k))
                    labels[k] = MIXED if label is None else label
            parts.append(kernels.runs_of(tiles.pixels, labels, part))
        give_back(pixels)
        return TileRuns(shape, joined(parts), dtype)

    yield from in_threads(strip_of, _strips(contents, grid), threads)


def _strips(
    contents: Contents, grid: StripGrid
) -> Iterator[tuple[StripShape, dict[int, NDArray[Any]]]]:
    """Sizes of the tiles of each strip, and the pieces of those that have some."""
    written = by_tile(contents.pieces, grid.n_cols)
    following = next(written, None)
    for row in range(grid.n_rows):
        for number in range(grid.n_strips):
            shape = grid.shape(row, number)
            first = row * grid.n_cols + number * grid.tiles_per_strip
            pieces = {}
            while following is not None and following[0] < first + shape.n_tiles:
                pieces[following[0] - first] = following[1]
                following = next(written, None)
            yield shape, pieces


def put_together(pieces: NDArray[Any], read: ReadPiece, tile: NDArray[Any]) -> int | None:
    """One tile.

    Parameters
    ----------
    pieces : ndarray of `PLACED`
        Those of the tile, in their order.
    read : callable
        Gives the label or the pixels of a piece, and its ``where``.
    tile : ndarray of uint8, uint16 or uint32, shape (rows, columns)
        Where the pixels of the tile go; what is in there does not matter.

    Returns
    -------
    int or None
        The label of the tile if it is known to have only one; `tile` is rubbish then.
    """
    label: int | None = 0
    for piece in pieces[_first_that_counts(pieces, tile.shape) :]:
        pixels, where = read(piece)
        rule = RULES[piece["rule"]]
        if where is None and rule == "replace" and _covers(piece, tile.shape):
            label = pixels if isinstance(pixels, int) else None
            if label is None:
                tile[...] = pixels
            continue
        if label is not None:
            if isinstance(pixels, int) and _changes_nothing(label, pixels, rule):
                continue
            tile[...] = label
            label = None
        top, left = int(piece["y_px"]), int(piece["x_px"])
        region = tile[top : top + int(piece["height_px"]), left : left + int(piece["width_px"])]
        _apply(region, pixels, where, rule)
    return label


def _first_that_counts(pieces: NDArray[Any], shape: tuple[int, ...]) -> int:
    """The last piece that covers the whole tile and asks for nothing that is there."""
    whole = (
        (pieces["where_bytes"] == 0)
        & (pieces["rule"] == RULES.index("replace"))
        & (pieces["height_px"] == shape[0])
        & (pieces["width_px"] == shape[1])
    )
    return int(np.flatnonzero(whole)[-1]) if whole.any() else 0


def _covers(piece: Any, shape: tuple[int, ...]) -> bool:
    return (int(piece["height_px"]), int(piece["width_px"])) == shape


def _changes_nothing(there: int, label: int, rule: Rule) -> bool:
    if rule == "keep" and there:
        return True
    return there >= label if rule == "max" else there == label


def _apply(
    region: NDArray[Any], pixels: Pixels, where: NDArray[np.bool_] | None, rule: Rule
) -> None:
    """Write pixels upon a region, in place."""
    if rule == "keep":
        free = region == 0
        where = free if where is None else free & where
    elif rule == "max":
        np.maximum(region, np.asarray(pixels, region.dtype), out=region, where=_all(where))
        return
    if where is None:
        region[...] = pixels
    else:
        np.copyto(region, np.asarray(pixels, region.dtype), where=where)


def _all(where: NDArray[np.bool_] | None) -> Any:
    return True if where is None else where
