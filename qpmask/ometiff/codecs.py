"""Compressing and decompressing one tile, strictly: a wrong length is an error, never padding."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, cast

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from qpmask.errors import MaskError
from qpmask.ometiff.lzw import decode_lzw, encode_lzw

COMPRESSION_NAMES = {
    1: "none",
    5: "lzw",
    8: "zlib",
    32773: "packbits",
    32946: "zlib",
    34926: "zstd",  # as older libtiff wrote it
    34933: "png",
    50000: "zstd",
}


def encode_tile(tile: NDArray[Any], compression: str, *, one_bit: bool = False) -> bytes:
    """Compress a full tile, little-endian.

    Parameters
    ----------
    tile : ndarray of uint8, uint16 or uint32, shape (tile_px, tile_px)
        The padded tile.
    compression : {"lzw", "zlib", "zstd", "packbits", "png", "none"}
        How.
    one_bit : bool
        Whether eight pixels of a row go into a byte, the first one into its highest bit.

    Raises
    ------
    MaskError
        If a pixel does not fit into its one bit.
    """
    if one_bit:
        if int(tile.max(initial=0)) > 1:
            raise MaskError(
                f"A tile has the label {int(tile.max())}; a mask of 1 bit has 0 and 1 only.",
                hint="Write it with 8 bits (bits=False).",
            )
        tile = np.packbits(tile.astype(bool), axis=1)
    if compression == "lzw":
        return encode_lzw(tile)
    if compression == "png":
        # What fits runs of equal pixels: run lengths (3) and no filter (8); a third of the time.
        pixels = np.ascontiguousarray(tile)
        return bytes(imagecodecs.png_encode(pixels, level=1, strategy=3, filter=8))
    little = np.ascontiguousarray(tile, dtype=tile.dtype.newbyteorder("<"))
    if compression == "packbits":
        # TIFF has each row packed by itself; of an array imagecodecs packs along the last axis.
        return bytes(imagecodecs.packbits_encode(little.view(np.uint8)))
    raw = little.reshape(-1).view(np.uint8)
    if compression == "zlib":
        # libdeflate takes a third of the time, and its data are shorter.
        has_deflate = imagecodecs.DEFLATE.available
        encode = imagecodecs.deflate_encode if has_deflate else imagecodecs.zlib_encode
        return bytes(encode(raw))
    if compression == "zstd":
        return bytes(imagecodecs.zstd_encode(raw))
    return raw.tobytes()


def decode_segment(data: bytes, compression: str, n_bytes: int) -> NDArray[np.uint8]:
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
    # Not the decoders' own bytes: memory of NumPy's is used again, theirs comes from the system.
    out = np.empty(n_bytes, np.uint8)
    decode_into(data, compression, out)
    return out


def decode_into(data: bytes | NDArray[np.uint8], compression: str, out: NDArray[np.uint8]) -> None:
    """Decompress a segment to where it belongs.

    Parameters
    ----------
    data : bytes, or ndarray of uint8, shape (m,)
        The segment.
    compression : str
        A value of `COMPRESSION_NAMES`.
    out : ndarray of uint8, shape (n,)
        It must give exactly as many bytes; if it does not, these are rubbish.

    Raises
    ------
    ValueError
        As :func:`decode_segment`.
    """
    if compression == "none":
        n_bytes = len(data)
        if n_bytes == len(out):
            out[:] = np.frombuffer(data, np.uint8)
    else:
        why = None
        try:
            n_bytes = len(_decoder(compression)(data, out=out)) if len(data) else 0
        except (RuntimeError, ValueError, TypeError, IndexError, struct.error) as error:
            why = str(error)
        # Not from that error: where Dask is in use, errors take what they come from along to other
        # processes, and those of imagecodecs cannot be pickled.
        if why is not None:
            raise ValueError(f"its {compression} data do not decode ({why})")
    if n_bytes != len(out):
        raise ValueError(f"it holds {n_bytes:,} bytes and should hold {len(out):,}")


def _decoder(compression: str) -> Callable[..., Any]:
    """What decodes it; imagecodecs loads a library for each compression when it is asked for."""
    if compression == "lzw":
        return decode_lzw
    if compression == "png":
        return _decode_png
    if compression == "zlib" and imagecodecs.DEFLATE.available:
        decoder = imagecodecs.deflate_decode  # libdeflate takes half the time
    else:
        decoder = getattr(imagecodecs, f"{compression}_decode")
    return cast(Callable[..., Any], decoder)


def _decode_png(data: bytes | NDArray[np.uint8], *, out: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pixels of a grayscale PNG in the machine's byte order; its size is checked first."""
    width, height, n_bits, color_type = struct.unpack(">LLBB", bytes(data[16:26]))
    if color_type != 0 or n_bits not in (8, 16) or width * height * n_bits // 8 != len(out):
        raise ValueError(f"a PNG of {width:,} x {height:,} pixels, {n_bits} bits")
    out[:] = np.ascontiguousarray(imagecodecs.png_decode(data)).reshape(-1).view(np.uint8)
    return out
