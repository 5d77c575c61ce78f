"""Compressing and decompressing one tile, strictly: a wrong length is an error, never padding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from qpmask.ometiff.lzw import encode_lzw

COMPRESSION_NAMES = {
    1: "none",
    5: "lzw",
    8: "zlib",
    32773: "packbits",
    32946: "zlib",
    50000: "zstd",
}


def encode_tile(tile: NDArray[Any], compression: str) -> bytes:
    """Compress a full tile, little-endian.

    Parameters
    ----------
    tile : ndarray of uint8 or uint16, shape (tile_px, tile_px)
        The padded tile.
    compression : {"lzw", "zlib", "zstd", "none"}
        How.
    """
    if compression == "lzw":
        return encode_lzw(tile)
    raw = np.ascontiguousarray(tile, dtype=tile.dtype.newbyteorder("<")).tobytes()
    if compression == "zlib":
        # libdeflate, where imagecodecs has it: a third of the time and shorter.
        fast = imagecodecs.DEFLATE.available
        return bytes(imagecodecs.deflate_encode(raw) if fast else imagecodecs.zlib_encode(raw))
    if compression == "zstd":
        return bytes(imagecodecs.zstd_encode(raw))
    return raw


def decode_segment(data: bytes, compression: str, n_bytes: int) -> bytes:
    """Decompress a segment that must give exactly ``n_bytes``.

    Parameters
    ----------
    data : bytes
        The segment.
    compression : str
        A value of `COMPRESSION_NAMES`.
    n_bytes : int
        Length of the uncompressed segment.

    Raises
    ------
    ValueError
        If it does not decode to this length. (The caller knows where, and says it to people.)
    """
    if compression == "none":
        raw = data
    else:
        decoders: dict[str, Callable[..., Any]] = {
            "lzw": imagecodecs.lzw_decode,
            "zlib": imagecodecs.zlib_decode,
            "zstd": imagecodecs.zstd_decode,
            "packbits": imagecodecs.packbits_decode,
        }
        try:
            raw = decoders[compression](data, out=n_bytes) if data else b""
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise ValueError(f"its {compression} data do not decode ({error})") from error
    if len(raw) != n_bytes:
        raise ValueError(f"it holds {len(raw):,} bytes and should hold {n_bytes:,}")
    return bytes(raw)
