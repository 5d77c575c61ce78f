"""What is done with the tiles of a strip, by NumPy and imagecodecs, where there is no Numba.

:mod:`qpmask.ometiff.kernels` has the same functions, compiled; there each takes a pass over the
runs and here over the pixels. Arrays of pixels have the shape (n_tiles, tile area or more) and hold
cropped tiles (see :class:`~qpmask.ometiff.strips.TileStrip`).
"""

from __future__ import annotations

from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from qpmask.ometiff import lzw_decode
from qpmask.ometiff.runs import RunStrip, runs_of_tiles
from qpmask.ometiff.strips import MIXED, StripShape

I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
Pixels = NDArray[Any]


# --- pixels and runs ------------------------------------------------------------------------------


def runs_of(pixels: Pixels, words: Pixels, labels: I64, shape: StripShape) -> RunStrip:
    """Runs of tiles, whose states are in ``labels``; ``words`` are the pixels as 64-bit numbers."""
    tiles: list[Pixels | int | None] = []
    for k, label in enumerate(labels.tolist()):
        if label == MIXED:
            tiles.append(pixels[k, : shape.area(k)])
        else:
            tiles.append(label if label >= 0 else None)
    return runs_of_tiles(tiles, shape)


def _flat_tile(runs: RunStrip, k: int) -> Pixels | None:
    """Pixels of a tile, all in one row; None for one that cannot be read."""
    first, last = runs.start[k], runs.start[k + 1]
    if first == last:
        return None
    tile: Pixels = np.repeat(runs.values[first:last], np.diff(runs.ends[first:last], prepend=0))
    return tile


def _tile(runs: RunStrip, k: int, width: int) -> Pixels | None:
    flat = _flat_tile(runs, k)
    return None if flat is None else flat.reshape(-1, width)


def paint(runs: RunStrip, k: int, shape: StripShape, out: Pixels) -> None:
    """Pixels of tile ``k`` in full, row by row into ``out``; 0 outside the image."""
    out[:] = padded(runs, k, shape, out.dtype).ravel()


def count(runs: RunStrip, counts: I64) -> None:
    """Add the pixels of each label to ``counts``."""
    for k in range(len(runs.start) - 1):
        first, last = runs.start[k], runs.start[k + 1]
        np.add.at(counts, runs.values[first:last], np.diff(runs.ends[first:last], prepend=0))


# --- levels ---------------------------------------------------------------------------------------


def halve(runs: RunStrip, shape: StripShape) -> RunStrip:
    """Every second pixel of every second row of each tile, starting with the first."""
    tiles: list[Pixels | int | None] = []
    for k in range(shape.n_tiles):
        tile = _tile(runs, k, shape.width(k))
        tiles.append(None if tile is None else tile[::2, ::2])
    return runs_of_tiles(tiles, shape)


def assemble(
    upper_left: RunStrip,
    upper_right: RunStrip,
    lower_left: RunStrip,
    lower_right: RunStrip,
    shape: StripShape,
) -> RunStrip:
    """Make a strip of a level of four halved strips of the level below; some may have no tiles.

    Tiles 2 k and 2 k + 1 of the upper strips and those of the lower strips make tile k, of which
    ``shape`` knows the size. If one of them cannot be read, neither can it.
    """
    half_width, half_height = shape.tile_width // 2, shape.tile_height // 2
    n_left = len(upper_left.start) - 1
    tiles: list[Pixels | int | None] = []
    for k in range(shape.n_tiles):
        left_width = min(half_width, shape.width(k))
        right_width = shape.width(k) - left_width
        rows: list[list[Pixels | None]] = []
        for left, right, is_there in (
            (upper_left, upper_right, True),
            (lower_left, lower_right, shape.height > half_height),
        ):
            if is_there:
                strip, first = (left, 2 * k) if 2 * k < n_left else (right, 2 * k - n_left)
                rows.append([_tile(strip, first, left_width)])
                if right_width:
                    rows[-1].append(_tile(strip, first + 1, right_width))
        if any(quarter is None for row in rows for quarter in row):
            tiles.append(None)
        else:
            tiles.append(np.block(rows))  # type: ignore[arg-type]
    return runs_of_tiles(tiles, shape)


def compare(runs: RunStrip, expected: RunStrip, n_wrong: I64) -> None:
    """Count the pixels of each tile that differ; where either cannot be read, there are none."""
    for k in range(len(runs.start) - 1):
        a, b = _flat_tile(runs, k), _flat_tile(expected, k)
        n_wrong[k] = 0 if a is None or b is None else np.count_nonzero(a != b)


# --- LZW ------------------------------------------------------------------------------------------


def encode_lzw(runs: RunStrip, period: int, shape: StripShape) -> tuple[U8, I64]:
    """Pack the tiles of more than one run by LZW, padded with 0.

    Parameters
    ----------
    period : int
        Bytes a pixel, 1, 2 or 4; little-endian.

    Returns
    -------
    packed : ndarray of uint8
        One segment a tile, one behind the other.
    n_bytes : ndarray of int64, shape (n_tiles,)
        Their lengths, 0 for tiles of one run.
    """
    segments = []
    for k in range(shape.n_tiles):
        segment = b""
        if runs.start[k + 1] - runs.start[k] > 1:
            segment = bytes(imagecodecs.lzw_encode(padded(runs, k, shape, f"<u{period}").tobytes()))
        segments.append(segment)
    packed = np.frombuffer(b"".join(segments), np.uint8)
    return packed, np.array([len(segment) for segment in segments], np.int64)


def padded(runs: RunStrip, k: int, shape: StripShape, dtype: Any) -> Pixels:
    """A tile in full, 0 outside the image; shape (tile height, tile width)."""
    whole = np.zeros((shape.tile_height, shape.tile_width), dtype)
    tile = _tile(runs, k, shape.width(k))
    assert tile is not None
    whole[: shape.height, : shape.width(k)] = tile
    return whole


def decode_lzw_runs(
    data: U8, starts: I64, n_bytes: I64, tiles: I64, shape: StripShape, labels: I64
) -> RunStrip:
    """Decode LZW segments of one byte a pixel, without making pixels of them.

    Segment i is ``n_bytes[i]`` bytes of ``data`` from ``starts[i]`` on and holds tile ``tiles[i]``;
    ``labels`` are the states of the others. A tile has no runs if it is damaged, or if this cannot
    decode it; :func:`decode_lzw` can, or says so.
    """
    pixels = np.empty((shape.n_tiles, shape.tile_width * shape.tile_height), np.uint8)
    failed = np.zeros(len(tiles), np.bool_)
    decode_lzw(data, starts, n_bytes, tiles, pixels, failed)
    decoded: list[Pixels | int | None] = [
        label if label >= 0 else None for label in labels.tolist()
    ]
    for i, k in enumerate(tiles.tolist()):
        if not failed[i]:
            crop(pixels, shape, k)
            decoded[k] = pixels[k, : shape.area(k)]
    return runs_of_tiles(decoded, shape)


def decode_lzw(
    data: U8, starts: I64, n_bytes: I64, tiles: I64, out: U8, failed: NDArray[np.bool_]
) -> None:
    """Decode LZW segments to pixels.

    Segment i is ``n_bytes[i]`` bytes of ``data`` from ``starts[i]`` on and goes to
    ``out[tiles[i]]``, which it must fill exactly; otherwise, or if it is damaged, ``failed[i]``.
    """
    for i, tile in enumerate(tiles.tolist()):
        start = int(starts[i])
        packed = data[start : start + int(n_bytes[i])]
        try:
            filled = lzw_decode.decode_lzw(packed, out=out[tile])
        except (RuntimeError, ValueError):
            filled = out[tile, :0]
        failed[i] = len(filled) != out.shape[1]


def crop(pixels: Pixels, shape: StripShape, k: int) -> None:
    """Turn a full tile into one that is cropped to the image, in place."""
    full = pixels[k, : shape.tile_width * shape.tile_height]
    full = full.reshape(shape.tile_height, shape.tile_width)
    cropped = full[: shape.height, : shape.width(k)].copy()
    pixels[k, : cropped.size] = cropped.ravel()
