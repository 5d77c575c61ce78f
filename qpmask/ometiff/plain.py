"""What is done with the pixels of a strip, by NumPy and imagecodecs, where there is no Numba.

:mod:`qpmask.ometiff.kernels` has the same functions, compiled. ``pixels`` has shape (n_tiles, tile
area or more) and holds cropped tiles; ``labels`` the state of each: a label, `MIXED` or `UNKNOWN`
(see :mod:`qpmask.ometiff.strips`). Results go into arrays that the caller brings.
"""

from __future__ import annotations

from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from qpmask.ometiff.strips import MIXED, UNKNOWN, StripShape

I64 = NDArray[np.int64]
Pixels = NDArray[Any]


def _tile(pixels: Pixels, k: int, shape: StripShape) -> Pixels:
    width, height = shape.width(k), shape.height
    tile: Pixels = pixels[k, : width * height].reshape(height, width)
    return tile


def scan(pixels: Pixels, words: Pixels, labels: I64, shape: StripShape, counts: I64) -> None:
    """Add the pixels of each label to ``counts``; a mixed tile of one label gets that label.

    ``words`` are ``pixels`` as 64-bit numbers.
    """
    for k, label in enumerate(labels.tolist()):
        if label >= 0:
            counts[label] += shape.area(k)
        elif label == MIXED:
            found = np.bincount(_tile(pixels, k, shape).ravel())
            counts[: len(found)] += found
            if found[-1] == shape.area(k):
                labels[k] = len(found) - 1


def halve(
    pixels: Pixels,
    labels: I64,
    shape: StripShape,
    above: Pixels,
    quarters: I64,
    shape_above: StripShape,
    first: int,
    down: int,
) -> None:
    """Put every second pixel of every second row into the strip of the next level.

    The strip's tiles go to the tiles from ``first`` on of the strip above, to their upper
    (``down`` 0) or lower half. ``quarters``, shape (n_tiles above, 4), get the states; where a tile
    is not mixed, its pixels are left to :func:`settle`.
    """
    for k, label in enumerate(labels.tolist()):
        j, right = first + k // 2, k % 2
        quarters[j, 2 * down + right] = label
        if label == MIXED:
            half = _tile(pixels, k, shape)[::2, ::2]
            y, x = down * (shape.tile_height // 2), right * (shape.tile_width // 2)
            _tile(above, j, shape_above)[y : y + half.shape[0], x : x + half.shape[1]] = half


def settle(pixels: Pixels, quarters: I64, labels: I64, shape: StripShape) -> None:
    """Make tiles of a level of their quarters: ``labels``, and the pixels of quarters of one label.

    A tile is of one label if its quarters are; it is unknown if one of them is.
    """
    half_width, half_height = shape.tile_width // 2, shape.tile_height // 2
    for k in range(shape.n_tiles):
        n_right = 2 if shape.width(k) > half_width else 1
        n_down = 2 if shape.height > half_height else 1
        states = {
            (down, right): int(quarters[k, 2 * down + right])
            for down in range(n_down)
            for right in range(n_right)
        }
        different = set(states.values())
        if UNKNOWN in different:
            labels[k] = UNKNOWN
        elif len(different) == 1:
            labels[k] = different.pop()
        else:
            labels[k] = MIXED
        if labels[k] == MIXED:
            tile = _tile(pixels, k, shape)
            for (down, right), label in states.items():
                if label >= 0:
                    y, x = down * half_height, right * half_width
                    tile[y : y + half_height, x : x + half_width] = label


def compare(
    pixels: Pixels,
    labels: I64,
    expected: Pixels,
    expected_labels: I64,
    shape: StripShape,
    n_wrong: I64,
) -> None:
    """Count the pixels of each tile that differ; where either is unknown, there are none."""
    for k, (found, wanted) in enumerate(
        zip(labels.tolist(), expected_labels.tolist(), strict=True)
    ):
        n_wrong[k] = 0
        if UNKNOWN in (found, wanted):
            continue
        a = found if found >= 0 else _tile(pixels, k, shape)
        b = wanted if wanted >= 0 else _tile(expected, k, shape)
        if isinstance(a, int) and isinstance(b, int):
            n_wrong[k] = 0 if a == b else shape.area(k)
        else:
            n_wrong[k] = np.count_nonzero(a != b)


def encode_lzw(
    pixels: Pixels, labels: I64, shape: StripShape, out: NDArray[np.uint8], n_bytes: I64
) -> None:
    """Pack the mixed tiles by LZW, padded with 0, one behind the other into ``out``.

    ``n_bytes`` are their lengths, 0 for tiles that are not mixed. ``out`` needs 12 bits for each
    byte of the strip, and some for codes that clear the table.
    """
    at = 0
    for k, label in enumerate(labels.tolist()):
        n_bytes[k] = 0
        if label == MIXED:
            packed = imagecodecs.lzw_encode(padded(pixels, shape, k).tobytes())
            out[at : at + len(packed)] = np.frombuffer(packed, np.uint8)
            n_bytes[k] = len(packed)
            at += len(packed)


def padded(pixels: Pixels, shape: StripShape, k: int) -> Pixels:
    """A tile in full, 0 outside the image; shape (tile height, tile width)."""
    tile = _tile(pixels, k, shape)
    full = (shape.tile_height, shape.tile_width)
    if tile.shape == full:
        return tile
    whole = np.zeros(full, pixels.dtype)
    whole[: tile.shape[0], : tile.shape[1]] = tile
    return whole


def decode_lzw(
    data: NDArray[np.uint8],
    starts: I64,
    n_bytes: I64,
    tiles: I64,
    out: NDArray[np.uint8],
    failed: NDArray[np.bool_],
) -> None:
    """Decode LZW segments.

    Segment i is ``n_bytes[i]`` bytes of ``data`` from ``starts[i]`` on and goes to
    ``out[tiles[i]]``, which it must fill exactly; otherwise, or if it is damaged, ``failed[i]``.
    """
    for i, tile in enumerate(tiles.tolist()):
        start = int(starts[i])
        packed = data[start : start + int(n_bytes[i])].tobytes()
        try:
            raw = imagecodecs.lzw_decode(packed, out=out.shape[1])
        except (RuntimeError, ValueError):
            raw = b""
        failed[i] = len(raw) != out.shape[1]
        if not failed[i]:
            out[tile] = np.frombuffer(raw, np.uint8)


def crop(pixels: Pixels, shape: StripShape, k: int) -> None:
    """Turn a full tile into one that is cropped to the image, in place."""
    full = pixels[k, : shape.tile_width * shape.tile_height]
    full = full.reshape(shape.tile_height, shape.tile_width)
    cropped = full[: shape.height, : shape.width(k)].copy()
    pixels[k, : cropped.size] = cropped.ravel()
