"""A block of labels as a user hands it over -> pieces of tiles, checked and clipped."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qpmask.errors import MaskError, OptionsError
from qpmask.maskwriter.writerplan import WriterPlan
from qpmask.ometiff.labelcount import constant_label
from qpmask.options import pixel_type

Rule = Literal["replace", "max", "keep"]
RULES: tuple[Rule, ...] = get_args(Rule)

Bits = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Block:
    """A block that may be written: clipped to the image, of a pixel type that holds it.

    Parameters
    ----------
    x_px, y_px : int
        Its top left pixel in the mask.
    pixels : ndarray of uint8, uint16 or uint32, shape (rows, columns)
        Its labels, in the smallest type that holds them.
    where : ndarray of bool, optional
        Which of them are written; the others are 0.
    rule : {"replace", "max", "keep"}
        What happens to the pixels that are there.
    largest : int
        The greatest label that may be written by it.
    """

    x_px: int
    y_px: int
    pixels: NDArray[Any]
    where: Bits | None
    rule: Rule
    largest: int


@dataclass(frozen=True, eq=False)
class Piece:
    """The part of a block that lies in one tile, or a part of that.

    Parameters
    ----------
    row, col : int
        The tile.
    y_px, x_px, height_px, width_px : int
        The part of the tile, in its own pixels.
    label : int, optional
        Its label, if it has only one.
    pixels : ndarray, optional
        Else its pixels, shape (height_px, width_px), a view of the block.
    where : ndarray of bool, optional
        Which of them are written; None for all.
    """

    row: int
    col: int
    y_px: int
    x_px: int
    height_px: int
    width_px: int
    label: int | None
    pixels: NDArray[Any] | None
    where: Bits | None


def take_block(
    plan: WriterPlan,
    x: Any,
    y: Any,
    block: ArrayLike,
    rule: str,
    where: ArrayLike | None,
    *,
    clip: bool,
) -> Block | None:
    """Check a block and cut off what reaches beyond the image.

    With `clip` there may be labels beyond; without, background alone.

    Returns
    -------
    Block or None
        None if there is nothing to write: no pixels, or `where` is nowhere true.

    Raises
    ------
    OptionsError
        If position or rule make no sense, the block lies wholly outside the image, or what would
        be cut off has labels.
    MaskError
        If the block is no array of labels, or has labels that may not be written.
    """
    x_px, y_px = _coordinate("x", x), _coordinate("y", y)
    if rule not in RULES:
        raise OptionsError(f"There is no rule {rule!r}.", hint=f"Use one of: {', '.join(RULES)}.")
    place = f"The block at x = {x_px:,}, y = {y_px:,}"
    if isinstance(block, np.ma.MaskedArray):
        # What is masked is not there; under the mask there may be anything.
        there = ~np.ma.getmaskarray(block)
        where = there if where is None else there & _bits(where, there.shape, place)
        block = block.filled(0)
    pixels = _labels(block, place)
    chosen = None if where is None else _bits(where, pixels.shape, place)
    if pixels.size == 0:
        return None
    height_px, width_px = pixels.shape
    left, right = max(0, x_px), min(plan.size.width_px, x_px + width_px)
    top, bottom = max(0, y_px), min(plan.size.height_px, y_px + height_px)
    if left >= right or top >= bottom:
        raise OptionsError(
            f"{place}, {width_px:,} x {height_px:,} pixels, lies wholly outside the mask of "
            f"{plan.size} pixels.",
            hint="Are x and y swapped, or in pixels of another level?",
        )
    inside = np.s_[top - y_px : bottom - y_px, left - x_px : right - x_px]
    if not clip and (right - left, bottom - top) != (width_px, height_px):
        _check_beyond(plan, pixels, chosen, inside, place)
    pixels = pixels[inside]
    if chosen is not None:
        chosen = chosen[inside]
        if not chosen.any():
            return None
        # What is not written may be anything, an "ignore" label for instance.
        pixels = np.where(chosen, pixels, pixels.dtype.type(0))
    largest = int(pixels.max())
    if largest > plan.all_labels_up_to or (pixels.dtype.kind == "i" and int(pixels.min()) < 0):
        _check_labels(plan, pixels, left, top, place)
    narrow = pixels.astype(pixel_type(largest), copy=False)
    assert rule == "replace" or rule == "max" or rule == "keep"
    return Block(left, top, narrow, chosen, rule, largest)


def _check_beyond(
    plan: WriterPlan,
    pixels: NDArray[Any],
    chosen: Bits | None,
    inside: tuple[slice, slice],
    place: str,
) -> None:
    """Raise :class:`OptionsError` if labels lie beyond the mask."""
    beyond = pixels != 0
    if chosen is not None:
        beyond &= chosen
    beyond[inside] = False
    n_beyond = int(np.count_nonzero(beyond))
    if n_beyond:
        height_px, width_px = pixels.shape
        raise OptionsError(
            f"{place}, {width_px:,} x {height_px:,} pixels, has {n_beyond:,} pixel"
            f"{'' if n_beyond == 1 else 's'} with labels beyond the mask of {plan.size} pixels.",
            hint="If that is padding, clip=True cuts it off; else, are x and y swapped, or in "
            "pixels of another level?",
        )


def pieces_of(block: Block, tile_px: int) -> Iterator[Piece]:
    """Cut a block along the tiles."""
    height_px, width_px = block.pixels.shape
    for row in range(block.y_px // tile_px, (block.y_px + height_px - 1) // tile_px + 1):
        y_px = max(0, block.y_px - row * tile_px)
        top = row * tile_px + y_px - block.y_px
        bottom = min(height_px, (row + 1) * tile_px - block.y_px)
        for col in range(block.x_px // tile_px, (block.x_px + width_px - 1) // tile_px + 1):
            x_px = max(0, block.x_px - col * tile_px)
            left = col * tile_px + x_px - block.x_px
            right = min(width_px, (col + 1) * tile_px - block.x_px)
            where = None
            if block.where is not None:
                where = block.where[top:bottom, left:right]
                if not where.any():
                    continue
                if where.all():
                    where = None
            pixels = block.pixels[top:bottom, left:right]
            label = constant_label(pixels if where is None else pixels[where])
            if label == 0 and block.rule != "replace":
                continue  # background is neither greater than anything nor drawn over nothing
            yield Piece(
                row, col, y_px, x_px, bottom - top, right - left,
                label, pixels if label is None else None, where,
            )  # fmt: skip


def _coordinate(name: str, value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError as error:
        raise OptionsError(
            f"{name} is {value!r}; it must be a whole number of pixels of the mask.",
            hint="Round it yourself, so that it is rounded as you mean it.",
        ) from error


def _as_array(values: ArrayLike, place: str) -> NDArray[Any]:
    try:
        return np.asarray(values)
    except Exception as error:  # whatever another library's array raises
        raise MaskError(
            f"{place} cannot be turned into a NumPy array: {error}",
            hint="A tensor on a GPU must be copied first: block.cpu().numpy().",
        ) from error


def _labels(block: ArrayLike, place: str) -> NDArray[Any]:
    pixels = _as_array(block, place)
    if pixels.ndim != 2:
        raise MaskError(
            f"{place} has the shape {pixels.shape}; it must be (rows, columns).",
            hint="Of scores by class take the label first, as in scores.argmax(axis=0).",
        )
    if pixels.dtype.kind == "b":
        return pixels.view(np.uint8)
    if pixels.dtype.kind not in "ui":
        raise MaskError(
            f"{place} has pixels of type {pixels.dtype}; labels are whole numbers.",
            hint="Turn scores into labels first, as in scores.argmax(axis=0) or scores > 0.5.",
        )
    return pixels


def _bits(where: ArrayLike, shape: tuple[int, ...], place: str) -> Bits:
    bits = _as_array(where, f"where of {place.replace('The', 'the')}")
    if bits.dtype.kind != "b" or bits.shape != shape:
        raise MaskError(
            f"{place} has the shape {shape} and a where of type {bits.dtype} and shape "
            f"{bits.shape}; it must be bool and of the same shape."
        )
    return bits


def _check_labels(plan: WriterPlan, pixels: NDArray[Any], left: int, top: int, place: str) -> None:
    """Raise if there is a label that may not be written, and say which and where."""
    if plan.labels is None:
        bad = (pixels < 0) | (pixels > plan.max_label)
    else:
        bad = ~np.isin(pixels, plan.labels)
    if not bad.any():
        return
    row, col = np.unravel_index(int(bad.argmax()), bad.shape)
    labels = [int(label) for label in np.unique(pixels[bad])]
    shown = ", ".join(map(str, labels[:5])) + (", ..." if len(labels) > 5 else "")
    what = f"{place} has the label{'s' if len(labels) > 1 else ''} {shown} in {bad.sum():,} pixels"
    first = f"the first at x = {left + int(col):,}, y = {top + int(row):,}"
    if labels[0] < 0 or labels[-1] > plan.max_label:
        kind = "1 bit" if plan.one_bit else plan.dtype or "uint32"
        raise MaskError(
            f"{what}, {first}; a mask of {kind} holds 0 to {plan.max_label:,}.",
            hint="To leave pixels as they are, pass where=block != LABEL.",
        )
    raise MaskError(
        f"{what}, {first}; the class table does not have them.",
        hint="Add them to classes, or to leave these pixels as they are, pass "
        "where=block != LABEL.",
    )
