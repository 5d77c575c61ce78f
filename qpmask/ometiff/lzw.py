"""LZW as TIFF has it (codes start with their high bits, width grows one code early).

Tiles are packed by an encoder that knows runs of one label only: masks are runs, and looking for
nothing else makes it a hundred times faster than a general encoder for less than a percent more
bytes. Tiles that it does not suit go to ``imagecodecs``. Every LZW decoder reads both. Decoding is
safe: a damaged segment is an error and not the end of the process.
"""

from __future__ import annotations

import functools
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from qpmask.ometiff import kernels
from qpmask.ometiff.pixelpool import give_back, new_pixels
from qpmask.ometiff.runs import TileRuns
from qpmask.ometiff.strips import MIXED, StripShape

# Widths of the codes since the table was cleared, the first bit of each, and the greatest code that
# may stand there: the entry that it makes itself. The first code must be a byte.
_WIDTHS = np.repeat(np.array([9, 10, 11, 12]), [254, 512, 1024, 2400])
_FIRST_BITS = np.cumsum(_WIDTHS) - _WIDTHS
_LAST_BITS = np.cumsum(_WIDTHS)
_MASKS = ((1 << _WIDTHS) - 1).astype(np.uint32)
_GREATEST = np.append(257, 257 + np.arange(1, len(_WIDTHS))).astype(np.uint32)
_CLEAR, _END = 256, 257


def encode_lzw(tile: NDArray[Any]) -> bytes:
    """Compress a tile with TIFF's LZW.

    Parameters
    ----------
    tile : ndarray of uint8, uint16 or uint32, two-dimensional
        The full tile. Its pixels go in as their little-endian bytes.

    Returns
    -------
    bytes
        One LZW segment, decodable by any TIFF reader.
    """
    native = tile.dtype.newbyteorder("=")
    height, width = tile.shape
    if tile.size == 0 or (tile == tile.flat[0]).all():
        return _encode_general(tile)
    shape = StripShape(1, width, height, width, height)
    pixels = new_pixels(1, tile.size, native)
    pixels[0, : tile.size].reshape(tile.shape)[:] = tile
    runs = kernels.runs_of(pixels, np.array([MIXED]), shape)
    give_back(pixels)
    return encode_strip(TileRuns(shape, runs, native))[0]


def encode_strip(strip: TileRuns) -> tuple[bytes, NDArray[np.int64]]:
    """Compress the tiles of a strip that have more than one run, padded with 0.

    Parameters
    ----------
    strip : TileRuns
        The tiles.

    Returns
    -------
    packed : bytes
        One LZW segment a mixed tile, one behind the other.
    n_bytes : ndarray of int64, shape (n_tiles,)
        Their lengths; 0 for tiles that are not mixed.
    """
    shape, dtype = strip.shape, strip.dtype
    if not strip.runs.has_mixed:
        return b"", np.zeros(shape.n_tiles, np.int64)
    packed, n_bytes = kernels.pack_runs(strip.runs, dtype.itemsize, shape)
    tile_bytes = shape.tile_width * shape.tile_height * dtype.itemsize
    if not (n_bytes * 4 > tile_bytes).any():
        return packed.tobytes(), n_bytes
    # A tile that is not like a mask: a general encoder may well be better at it.
    parts = []
    ends = np.cumsum(n_bytes).tolist()
    for k, (n, end) in enumerate(zip(n_bytes.tolist(), ends, strict=True)):
        data = packed[end - n : end].tobytes()
        if n * 4 > tile_bytes:
            tile = np.empty(shape.tile_width * shape.tile_height, dtype)
            kernels.paint(strip.runs, k, shape, tile)
            data = min(data, _encode_general(tile), key=len)
        parts.append(data)
    return b"".join(parts), np.array([len(data) for data in parts], np.int64)


def _encode_general(tile: NDArray[Any]) -> bytes:
    little = np.ascontiguousarray(tile, dtype=tile.dtype.newbyteorder("<"))
    return bytes(imagecodecs.lzw_encode(little.tobytes()))


def decode_lzw(data: bytes | NDArray[np.uint8], *, out: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Decode a segment of TIFF's LZW that should fill ``out``; what was filled of it.

    Raises
    ------
    ValueError
        If a code is greater than any that can stand in its place. ``imagecodecs`` is not asked
        then: 2026.3.6 can crash on damaged data, with all of Python.
    """
    _check_codes(bytes(data))
    filled: NDArray[np.uint8] = imagecodecs.lzw_decode(data, out=out)
    return filled


def _check_codes(data: bytes) -> None:
    """Raise ValueError if a code is greater than it can be."""
    if len(data) > 1 and data[0] == 0 and data[1] & 1:
        raise ValueError("it is LZW with the low bits first, as before TIFF 5.0")
    words = np.ndarray((len(data) + 1,), ">u4", data + bytes(4), 0, (1,))  # from each byte on four
    n_bits = 8 * len(data)
    start = 9 if data[:1] == b"\x80" and data[1:2] < b"\x80" else 0  # mostly it clears the table
    while start < n_bits:
        n_codes = int(np.searchsorted(_LAST_BITS, n_bits - start, side="right"))
        whole_bytes, shifts = _places(start & 7)
        codes = words[start >> 3 :].take(whole_bytes[:n_codes]).astype(np.uint32)
        codes >>= shifts[:n_codes]
        codes &= _MASKS[:n_codes]
        stops = np.flatnonzero((codes | 1) == _END)
        n_codes = int(stops[0]) if len(stops) else n_codes
        if (codes[:n_codes] > _GREATEST[:n_codes]).any():
            raise ValueError("a code stands for a phrase that was never made")
        if not len(stops) and n_codes == len(_WIDTHS):
            raise ValueError("its table of phrases is full and goes on")
        if not len(stops) or codes[n_codes] == _END:
            return
        start += int(_LAST_BITS[n_codes])


@functools.cache
def _places(phase: int) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """In which byte each code starts, and how far to shift, from bit ``phase`` of a byte on."""
    first = _FIRST_BITS + phase
    return first >> 3, (32 - (first & 7) - _WIDTHS).astype(np.uint32)
