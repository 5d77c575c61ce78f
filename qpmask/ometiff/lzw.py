"""LZW as TIFF has it (codes start with their high bits, width grows one code early).

With Numba, tiles are packed by an encoder that knows runs of one label only: masks are runs, and
looking for nothing else makes it some forty times faster than a general encoder for less than a
percent more bytes. Tiles that it does not suit, and all tiles without Numba, go to ``imagecodecs``.
Every LZW decoder reads both.
"""

from __future__ import annotations

import threading
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from qpmask.ometiff.backend import Backend, backend_for, new_pixels
from qpmask.ometiff.plain import padded
from qpmask.ometiff.strips import MIXED, StripShape, TileStrip

_room = threading.local()  # each thread's output, which is large and used again


def encode_lzw(tile: NDArray[Any]) -> bytes:
    """Compress a tile with TIFF's LZW.

    Parameters
    ----------
    tile : ndarray of uint8 or uint16, two-dimensional
        The full tile. uint16 goes in as its little-endian bytes.

    Returns
    -------
    bytes
        One LZW segment, decodable by any TIFF reader.
    """
    native = tile.dtype.newbyteorder("=")
    height, width = tile.shape
    if tile.size == 0 or native.itemsize > 2:
        return _encode_general(tile)
    strip = TileStrip(
        StripShape(1, width, height, width, height),
        np.array([MIXED]),
        new_pixels(1, tile.size, native),
    )
    strip.tile(0)[:] = tile
    return encode_strip(strip, backend_for(native))[0]


def encode_strip(strip: TileStrip, backend: Backend) -> tuple[bytes, NDArray[np.int64]]:
    """Compress the mixed tiles of a strip, padded with 0.

    Returns
    -------
    packed : bytes
        One LZW segment a mixed tile, one behind the other.
    n_bytes : ndarray of int64, shape (n_tiles,)
        Their lengths; 0 for tiles that are not mixed.
    """
    shape, n_mixed = strip.shape, int(np.count_nonzero(strip.labels == MIXED))
    tile_bytes = shape.tile_width * shape.tile_height * strip.pixels.itemsize
    # 12 bits for each byte at worst, and now and then a code that clears the table.
    room = n_mixed * (tile_bytes * 3 // 2 + tile_bytes // 64 + 64)
    out = getattr(_room, "out", None)
    if out is None or out.size < room:
        out = _room.out = np.empty(room, np.uint8)
    n_bytes = np.zeros(shape.n_tiles, np.int64)
    backend.encode_lzw(strip.pixels, strip.labels, shape, out, n_bytes)
    packed: bytes = out[: int(n_bytes.sum())].tobytes()
    if (n_bytes * 4 > tile_bytes).any():
        return _shortest(strip, packed, n_bytes)
    return packed, n_bytes


def _shortest(
    strip: TileStrip, packed: bytes, n_bytes: NDArray[np.int64]
) -> tuple[bytes, NDArray[np.int64]]:
    """Where a tile is not like a mask, a general encoder may well be better at it."""
    parts = []
    ends = np.cumsum(n_bytes).tolist()
    tile_bytes = strip.shape.tile_width * strip.shape.tile_height * strip.pixels.itemsize
    for k, (n, end) in enumerate(zip(n_bytes.tolist(), ends, strict=True)):
        data = packed[end - n : end]
        if n * 4 > tile_bytes:
            data = min(data, _encode_general(padded(strip.pixels, strip.shape, k)), key=len)
        parts.append(data)
    return b"".join(parts), np.array([len(data) for data in parts], np.int64)


def _encode_general(tile: NDArray[Any]) -> bytes:
    little = np.ascontiguousarray(tile, dtype=tile.dtype.newbyteorder("<"))
    return bytes(imagecodecs.lzw_encode(little.tobytes()))
