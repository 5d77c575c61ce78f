"""Chunks as bytes and back, in Zarr 3's own codecs: blosc or zstd, and a CRC-32C at the end.

A mask that has an array of its own is 0 and one label: bit-shuffled, its pixels are one plane of
bits, which is what makes it small. Where several masks share an array, zstd alone is smaller.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import google_crc32c
import imagecodecs
import numpy as np
from numpy.typing import NDArray

from qpmask.errors import MaskError

_MISSING = 2**64 - 1
_CRC_BYTES = 4
_BLOSC_HEADER = struct.Struct("<4B3I")
_BLOSC_FLAGS = 0x94  # zstd, bits shuffled, one stream a block
_BLOCK_AT = 20  # behind the header and the place of the only block
_PLANE_LEVEL = 10
_LEAST_BYTES = 4096  # below this, frames cost more than they save
MAX_CHUNK_BYTES = 2**30
"""A chunk that says it holds more is no chunk."""

Json = dict[str, Any]


class CodecError(MaskError):
    """The bytes of a chunk are not what they should be."""


@dataclass(frozen=True)
class ChunkCodec:
    """How the chunks of an array are stored.

    Parameters
    ----------
    kind : str
        "blosc", "zstd", "gzip" or "none".
    level : int
        How hard to try.
    has_crc : bool
        Whether a CRC-32C follows.
    is_big : bool
        Whether numbers are big-endian (of other programs).
    shuffle : str
        Of blosc: "bitshuffle", "shuffle" or "noshuffle".
    """

    kind: str = "zstd"
    level: int = 13
    has_crc: bool = True
    is_big: bool = False
    shuffle: str = "bitshuffle"

    def encode(self, pixels: NDArray[Any]) -> bytes:
        """A whole chunk as bytes."""
        raw = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<")).tobytes()
        if self.kind == "blosc":
            data = _two_valued(pixels) or bytes(
                imagecodecs.blosc_encode(
                    raw, level=self.level, compressor="zstd", shuffle=2,
                    typesize=pixels.dtype.itemsize, blocksize=len(raw), numthreads=1,
                )
            )  # fmt: skip
        else:
            data = bytes(imagecodecs.zstd_encode(raw, self.level))
        return data + checksum(data)

    def decode(self, data: bytes, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """A whole chunk from its bytes.

        Raises
        ------
        CodecError
            They are damaged.
        """
        if self.has_crc:
            data = without_checksum(data)
        n_bytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        stored = dtype.newbyteorder(">" if self.is_big else "<")
        try:
            raw = _decoders[self.kind](data, n_bytes)
        except CodecError:
            raise
        except Exception as error:  # whatever a decoder makes of damaged bytes
            raise CodecError(f"it cannot be decompressed ({error})") from error
        if len(raw) != n_bytes:
            raise CodecError(f"it holds {len(raw):,} bytes instead of {n_bytes:,}")
        return np.frombuffer(raw, stored).reshape(shape).astype(dtype, copy=False)

    def to_json(self, dtype: np.dtype[Any], n_bytes: int) -> list[Json]:
        """The codecs of an array's metadata."""
        first: Json = {"name": "bytes"}
        if dtype.itemsize > 1:
            first["configuration"] = {"endian": "little"}
        second: Json = {"name": "zstd", "configuration": {"level": self.level, "checksum": False}}
        if self.kind == "blosc":
            second = {
                "name": "blosc",
                "configuration": {
                    "cname": "zstd", "clevel": self.level, "shuffle": "bitshuffle",
                    "typesize": dtype.itemsize, "blocksize": n_bytes,
                },
            }  # fmt: skip
        return [first, second, {"name": "crc32c"}]


def of_own(n_axes: int) -> ChunkCodec:
    """For arrays of a single mask."""
    return ChunkCodec("blosc", 7 if n_axes == 2 else 5)


def of_many(n_axes: int) -> ChunkCodec:
    """For arrays of several masks. Volumes are small, and worth the time."""
    return ChunkCodec("zstd", 13 if n_axes == 2 else 17)


def codec_from_json(codecs: Any) -> ChunkCodec:
    """What an array's metadata says; ValueError for what is not known here."""
    names = [c.get("name") if isinstance(c, dict) else c for c in codecs]
    has_crc = names[-1:] == ["crc32c"]
    body = names[: len(names) - has_crc]
    if not body or body[0] != "bytes" or len(body) > 2:
        raise ValueError(f"the codecs {', '.join(map(str, names))} are not known")
    settings = codecs[0].get("configuration", {}) if isinstance(codecs[0], dict) else {}
    kind = body[1] if len(body) == 2 else "none"
    if kind not in _decoders:
        raise ValueError(f"the codec {kind} is not known")
    more = codecs[1].get("configuration", {}) if len(body) == 2 else {}
    level = more.get("clevel", more.get("level", 0))
    return ChunkCodec(
        kind,
        level if isinstance(level, int) else 0,
        has_crc,
        settings.get("endian") == "big",
        str(more.get("shuffle", "")),
    )


def checksum(data: bytes) -> bytes:
    """CRC-32C of bytes, as Zarr appends it."""
    return struct.pack("<I", google_crc32c.value(data))


def without_checksum(data: bytes) -> bytes:
    """Bytes without the CRC-32C at their end, which must be right."""
    body, found = data[:-_CRC_BYTES], data[-_CRC_BYTES:]
    if len(found) != _CRC_BYTES or checksum(body) != found:
        raise CodecError("its checksum does not fit its bytes")
    return body


def pack_shard(blobs: list[bytes | None]) -> bytes:
    """Chunks in the order of the index, as one shard: their bytes, the index, its CRC-32C."""
    index = np.full((len(blobs), 2), _MISSING, "<u8")
    at = 0
    for number, blob in enumerate(blobs):
        if blob is not None:
            index[number] = at, len(blob)
            at += len(blob)
    table = index.tobytes()
    return b"".join([*(b for b in blobs if b is not None), table, checksum(table)])


def index_bytes(n_chunks: int, has_crc: bool = True) -> int:
    """Length of a shard's index."""
    return 16 * n_chunks + _CRC_BYTES * has_crc


def read_index(data: bytes, shard_bytes: int, has_crc: bool = True) -> list[tuple[int, int] | None]:
    """Where the chunks of a shard are: offset and length, None where there is none.

    Raises
    ------
    CodecError
        The index is damaged.
    """
    table = np.frombuffer(without_checksum(data) if has_crc else data, "<u8").reshape(-1, 2)
    places: list[tuple[int, int] | None] = []
    for offset, length in table.tolist():
        if offset == length == _MISSING:
            places.append(None)
        elif offset + length <= shard_bytes and length:
            places.append((offset, length))
        else:
            raise CodecError("a chunk of it lies beyond its end")
    return places


def _two_valued(pixels: NDArray[Any]) -> bytes | None:
    """A blosc frame of pixels that are 0 or one label; None where blosc has to make it.

    Bit-shuffled, they are the same plane of bits for each bit of the label, and zeros for the
    others. Only the planes from the first to the last bit go to zstd, which takes a tenth of the
    time and a little less room: zstd's settings for small inputs suit them better. A block may be
    several zstd frames, one after the other.
    """
    if pixels.dtype.itemsize > 1 or pixels.size < _LEAST_BYTES or pixels.size % 8:
        return None
    label = int(pixels.max(initial=0))
    plane = np.packbits(pixels != 0, bitorder="little").tobytes()
    bits = [label >> k & 1 for k in range(8)]
    if not label:
        return None
    first, last = bits.index(1), 7 - bits[::-1].index(1)
    middle = b"".join(plane if bit else bytes(len(plane)) for bit in bits[first : last + 1])
    block = (
        _zeros(first * len(plane))
        + bytes(imagecodecs.zstd_encode(middle, _PLANE_LEVEL if len(middle) <= 2**18 else 11))
        + _zeros((7 - last) * len(plane))
    )
    n_bytes = pixels.size
    head = _BLOSC_HEADER.pack(2, 1, _BLOSC_FLAGS, 1, n_bytes, n_bytes, _BLOCK_AT + 4 + len(block))
    return head + struct.pack("<II", _BLOCK_AT, len(block)) + block


@functools.cache
def _zeros(n: int) -> bytes:
    return bytes(imagecodecs.zstd_encode(bytes(n), 3)) if n else b""


def _blosc(data: bytes, n_bytes: int) -> bytes:
    if len(data) < _BLOSC_HEADER.size:
        raise CodecError("it ends too early")
    *_, says, _, length = _BLOSC_HEADER.unpack_from(data)
    if says != n_bytes or length != len(data):  # before a decoder makes room for what it says
        raise CodecError(f"it says that it holds {says:,} bytes instead of {n_bytes:,}")
    return bytes(imagecodecs.blosc_decode(data, numthreads=1))


def _zstd(data: bytes, n_bytes: int) -> bytes:
    return bytes(imagecodecs.zstd_decode(data, out=n_bytes))


def _gzip(data: bytes, n_bytes: int) -> bytes:
    import zlib

    return zlib.decompressobj(wbits=31).decompress(data, n_bytes)


_decoders: dict[str, Callable[[bytes, int], bytes]] = {
    "blosc": _blosc,
    "zstd": _zstd,
    "gzip": _gzip,
    "none": lambda data, n_bytes: data,
}
