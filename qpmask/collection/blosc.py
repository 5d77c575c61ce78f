"""Blosc frames around blocks that were compressed here, and back.

A frame of one block, as c-blosc writes it: any Blosc decoder reads it.
"""

from __future__ import annotations

import struct
from typing import Final

import imagecodecs

from qpmask.errors import MaskError

LZ4: Final = 0x20
ZSTD: Final = 0x80
BYTES_SHUFFLED: Final = 0x01
BITS_SHUFFLED: Final = 0x04
_ONE_STREAM: Final = 0x10
_HEADER = struct.Struct("<4B3I")  # versions, flags, bytes of a number; bytes, of a block, of all
_PLACE = struct.Struct("<2I")  # where the only block is, and its length
_BLOCK_AT = 20
_AT: Final = _HEADER.size + _PLACE.size
_VERSIONS = 2, 1


class CodecError(MaskError):
    """The bytes of a chunk are not what they should be."""


def frame(block: bytes, flags: int, typesize: int, n_bytes: int) -> bytes:
    """A frame around a block.

    Parameters
    ----------
    block : bytes
        Compressed; shorter than what it holds.
    flags : int
        Which compressor, and which shuffle.
    typesize : int
        Bytes of a number, for the shuffle.
    n_bytes : int
        How many it holds.
    """
    head = _HEADER.pack(
        *_VERSIONS, flags | _ONE_STREAM, typesize, n_bytes, n_bytes, _AT + len(block)
    )
    return b"".join((head, _PLACE.pack(_BLOCK_AT, len(block)), block))


def block_of(data: bytes, flags: int, typesize: int, n_bytes: int) -> memoryview | None:
    """The block of a frame that :func:`frame` could have made; None of any other."""
    if len(data) < _AT:
        return None
    expected = *_VERSIONS, flags | _ONE_STREAM, typesize, n_bytes, n_bytes, len(data)
    if _HEADER.unpack_from(data) != expected:
        return None
    if _PLACE.unpack_from(data, _HEADER.size) != (_BLOCK_AT, len(data) - _AT):
        return None
    return memoryview(data)[_AT:]


def decompress(data: bytes, least: int, most: int) -> bytes:
    """What a frame holds.

    Raises
    ------
    CodecError
        It says that it holds fewer bytes than `least`, or more than `most`; or is cut off.
    """
    if len(data) < _HEADER.size:
        raise CodecError("it ends too early")
    *_, says, _, length = _HEADER.unpack_from(data)
    if not least <= says <= most or length != len(data):  # before a decoder makes room for it
        wanted = f"{least:,}" if least == most else f"at most {most:,}"
        raise CodecError(f"it says that it holds {says:,} bytes instead of {wanted}")
    return bytes(imagecodecs.blosc_decode(data, numthreads=1))
