"""Pieces of a tile, in the order in which they were written -> the tile."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.maskwriter.blocks import RULES, Rule
from qpmask.maskwriter.journal import Contents, JournalReader, Pixels, by_tile

ReadPiece = Callable[[Any], tuple[Pixels, NDArray[np.bool_] | None]]


def replay(contents: Contents, reader: JournalReader, dtype: np.dtype[Any]) -> Iterator[Pixels]:
    """All tiles of level 0, row by row from the top left; 0 where nothing was written.

    Parameters
    ----------
    contents : Contents
        What `reader` found.
    dtype : numpy.dtype
        Pixel type of the mask.

    Raises
    ------
    MaskError
        If a piece is damaged.
    """
    # No threads: this takes a fifth of the time that compressing takes, which has some.
    grid = contents.plan.grid
    n_done = 0
    for index, pieces in by_tile(contents.pieces, grid.n_cols):
        yield from itertools.repeat(0, index - n_done)
        shape = grid.shape(*divmod(index, grid.n_cols))
        yield put_together(pieces, reader.arrays, shape, dtype)
        n_done = index + 1
    yield from itertools.repeat(0, grid.n_tiles - n_done)


def put_together(
    pieces: NDArray[Any], read: ReadPiece, shape: tuple[int, int], dtype: np.dtype[Any]
) -> Pixels:
    """One tile.

    Parameters
    ----------
    pieces : ndarray of `PLACED`
        Those of the tile, in their order.
    read : callable
        Gives the label or the pixels of a piece, and its ``where``.
    shape : tuple of int
        (rows, columns) of the tile within the image.
    dtype : numpy.dtype
        Pixel type.

    Returns
    -------
    int or ndarray of `dtype`, shape `shape`
        A number if it is known to have one label only.
    """
    tile: Pixels = 0
    for piece in pieces[_first_that_counts(pieces, shape) :]:
        pixels, where = read(piece)
        rule = RULES[piece["rule"]]
        if where is None and rule == "replace" and _covers(piece, shape):
            tile = pixels
            continue
        if (
            isinstance(tile, int)
            and isinstance(pixels, int)
            and _changes_nothing(tile, pixels, rule)
        ):
            continue
        if isinstance(tile, int):
            tile = np.full(shape, tile, dtype)
        elif tile.dtype != dtype or not tile.flags.writeable:
            tile = tile.astype(dtype)
        top, left = int(piece["y_px"]), int(piece["x_px"])
        region = tile[top : top + int(piece["height_px"]), left : left + int(piece["width_px"])]
        _apply(region, pixels, where, rule)
    return tile if isinstance(tile, int) else tile.astype(dtype, copy=False)


def _first_that_counts(pieces: NDArray[Any], shape: tuple[int, int]) -> int:
    """The last piece that covers the whole tile and asks for nothing that is there."""
    whole = (
        (pieces["where_bytes"] == 0)
        & (pieces["rule"] == RULES.index("replace"))
        & (pieces["height_px"] == shape[0])
        & (pieces["width_px"] == shape[1])
    )
    return int(np.flatnonzero(whole)[-1]) if whole.any() else 0


def _covers(piece: Any, shape: tuple[int, int]) -> bool:
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
