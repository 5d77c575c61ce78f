"""Chunks as bytes and back, in Zarr 3's own codecs, and a CRC-32C at the end.

A chunk of a plane becomes runs first (:mod:`.runkernels`, LZ4 to others), which zstd then packs: of
bits where an array holds a single mask (bit-shuffled, 0 and one label are one plane of bits), of
labels where it holds several. That takes half the room and a tenth of the time of zstd alone. Rows
of volumes are too short for it.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import google_crc32c
import imagecodecs
import numpy as np
from numpy.typing import NDArray

from qpmask.collection import blosc
from qpmask.collection.blosc import CodecError
from qpmask.collection.chunkbits import Bits, plane_of, runs_block

_MISSING = 2**64 - 1
_CRC_BYTES = 4
_BITS_RECORD: Final = 6
_RUNS_RECORD: Final = 8
_PLANE_LEVEL = 10
_LEAST_BYTES = 4096  # below this, frames cost more than they save
MAX_CHUNK_BYTES = 2**30
"""A chunk that says it holds more is no chunk."""

Json = dict[str, Any]


@dataclass(frozen=True)
class ChunkCodec:
    """How the chunks of an array are stored.

    Parameters
    ----------
    kind : str
        "bits" (blosc's LZ4 with bits shuffled, then its zstd with bytes shuffled), "runs" (blosc's
        LZ4, then zstd), "blosc", "zstd", "gzip" or "none".
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
        pixels = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
        if self.kind == "bits":
            data = _bits_frames(_lz4(pixels, blosc.BITS_SHUFFLED), self.level)
        elif self.kind == "runs":
            block = _block_of_runs(pixels)
            inner = (
                _lz4(pixels, 0)
                if block is None
                else blosc.frame(block, blosc.LZ4, pixels.itemsize, pixels.nbytes)
            )
            data = bytes(imagecodecs.zstd_encode(inner, self.level))
        elif self.kind == "blosc":
            raw = pixels.tobytes()
            data = bytes(
                imagecodecs.blosc_encode(
                    raw, level=self.level, compressor="zstd", shuffle=2,
                    typesize=pixels.dtype.itemsize, blocksize=len(raw), numthreads=1,
                )
            )  # fmt: skip
        else:
            data = bytes(imagecodecs.zstd_encode(pixels.tobytes(), self.level))
        return data + checksum(data)

    def encode_mask(
        self, bits: Bits, label: int, dtype: np.dtype[Any], unpacked: Callable[[], NDArray[Any]]
    ) -> bytes:
        """A whole chunk that holds 0 and one label.

        Parameters
        ----------
        bits : ndarray of uint8
            Where the label is.
        label : int
            The label.
        dtype : dtype
            Of the array.
        unpacked : callable
            Makes the pixels, if there is no shorter way.
        """
        data = None
        if self.kind == "bits":
            n_planes = dtype.itemsize * 8
            chosen = [0 if label >> k & 1 else -1 for k in range(n_planes)]
            block = runs_block(bits.reshape(1, -1), chosen, _BITS_RECORD)
            if block is not None:
                flags = blosc.LZ4 | blosc.BITS_SHUFFLED
                inner = blosc.frame(block, flags, dtype.itemsize, len(bits) * n_planes)
                data = _bits_frames(inner, self.level)
        elif self.kind == "blosc":
            data = _two_valued(bits, label, dtype)
        return self.encode(unpacked()) if data is None else data + checksum(data)

    def decode(self, data: bytes, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """A whole chunk from its bytes.

        Raises
        ------
        CodecError
            They are damaged.
        """
        n_bytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        raw = self._decompressed(_decoders[self.kind], data, n_bytes)
        stored = dtype.newbyteorder(">" if self.is_big else "<")
        if len(raw) != n_bytes:
            raise CodecError(f"it holds {len(raw):,} bytes instead of {n_bytes:,}")
        return np.frombuffer(raw, stored).reshape(shape).astype(dtype, copy=False)

    def decode_mask(
        self, data: bytes, shape: tuple[int, ...], dtype: np.dtype[Any], label: int
    ) -> Bits:
        """Where a label is, of a chunk that holds 0 and that label.

        Raises
        ------
        CodecError
            The bytes are damaged.
        """
        n_pixels = int(np.prod(shape, dtype=np.int64))
        if self.kind == "bits" and not self.is_big and n_pixels % 8 == 0:
            n_bytes = n_pixels * dtype.itemsize
            inner = self._decompressed(_outer_blosc, data, n_bytes)
            flags = blosc.LZ4 | blosc.BITS_SHUFFLED
            block = blosc.block_of(inner, flags, dtype.itemsize, n_bytes)
            if block is not None:
                lowest = (label & -label).bit_length() - 1
                bits = plane_of(block, lowest, n_pixels // 8)
                if bits is not None:
                    return bits
        return np.packbits(self.decode(data, shape, dtype) == label, bitorder="little")

    def _decompressed(self, how: Callable[[bytes, int], bytes], data: bytes, n_bytes: int) -> bytes:
        if self.has_crc:
            data = without_checksum(data)
        try:
            return how(data, n_bytes)
        except CodecError:
            raise
        except Exception as error:  # whatever a decoder makes of damaged bytes
            raise CodecError(f"it cannot be decompressed ({error})") from error

    def to_json(self, dtype: np.dtype[Any], n_bytes: int) -> list[Json]:
        """The codecs of an array's metadata."""
        first: Json = {"name": "bytes"}
        if dtype.itemsize > 1:
            first["configuration"] = {"endian": "little"}
        zstd: Json = {"name": "zstd", "configuration": {"level": self.level, "checksum": False}}
        more = {
            "bits": [
                _blosc_json("lz4", 9, "bitshuffle", dtype.itemsize, n_bytes),
                _blosc_json("zstd", 5, "shuffle", _BITS_RECORD, 0),
            ],
            "runs": [_blosc_json("lz4", 9, "noshuffle", dtype.itemsize, n_bytes), zstd],
            "blosc": [_blosc_json("zstd", self.level, "bitshuffle", dtype.itemsize, n_bytes)],
            "zstd": [zstd],
        }
        return [first, *more[self.kind], {"name": "crc32c"}]


def of_one(n_axes: int) -> ChunkCodec:
    """For arrays of a single mask."""
    return ChunkCodec("bits", 9) if n_axes == 2 else ChunkCodec("blosc", 5)


def of_many(n_axes: int) -> ChunkCodec:
    """For arrays of several masks. Volumes are small, and worth the time."""
    return ChunkCodec("runs", 9) if n_axes == 2 else ChunkCodec("zstd", 17)


def of_picture(n_axes: int) -> ChunkCodec:
    """For a coarse picture of several masks."""
    return of_many(n_axes) if n_axes == 2 else ChunkCodec("zstd", 18)


def of_integers(n_axes: int) -> ChunkCodec:
    """For a mask of integers."""
    return ChunkCodec("zstd", 9 if n_axes == 2 else 17)


def of_added(n_axes: int, dtype: str) -> ChunkCodec | None:
    """For a mask that waits for its array; None: bits, as long as it is not known which that is.

    In planes most have an array of their own, for which this is done already then.
    """
    if dtype != "bool":
        return of_integers(n_axes)
    return of_one(n_axes) if n_axes == 2 else None


_KINDS: dict[tuple[Any, ...], str] = {
    (): "none", ("blosc",): "blosc", ("zstd",): "zstd", ("gzip",): "gzip",
    ("blosc", "zstd"): "runs", ("blosc", "blosc"): "bits",
}  # fmt: skip


def codec_from_json(codecs: Any) -> ChunkCodec:
    """What an array's metadata says; ValueError for what is not known here."""
    names = [c.get("name") if isinstance(c, dict) else c for c in codecs]
    has_crc = names[-1:] == ["crc32c"]
    body = names[: len(names) - has_crc]
    kind = _KINDS.get(tuple(body[1:]))
    if body[:1] != ["bytes"] or kind is None:
        raise ValueError(f"the codecs {', '.join(map(str, names))} are not known")
    settings = codecs[0].get("configuration", {}) if isinstance(codecs[0], dict) else {}
    more = codecs[len(body) - 1].get("configuration", {}) if len(body) > 1 else {}
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


def _blosc_json(compressor: str, level: int, shuffle: str, typesize: int, n_bytes: int) -> Json:
    return {
        "name": "blosc",
        "configuration": {
            "cname": compressor, "clevel": level, "shuffle": shuffle, "typesize": typesize,
            "blocksize": n_bytes,
        },
    }  # fmt: skip


def _lz4(pixels: NDArray[Any], shuffle: int) -> bytes:
    """A frame that c-blosc makes."""
    raw = pixels.tobytes()
    how = 2 if shuffle == blosc.BITS_SHUFFLED else 0
    return bytes(
        imagecodecs.blosc_encode(
            raw, level=9, compressor="lz4", shuffle=how, typesize=pixels.itemsize,
            blocksize=len(raw), numthreads=1,
        )
    )  # fmt: skip


def _block_of_runs(pixels: NDArray[Any]) -> bytes | None:
    if pixels.itemsize > 1 or pixels.size % 8 or pixels.size < _LEAST_BYTES:
        return None
    return runs_block(pixels.view(np.uint8).reshape(1, -1), [0], _RUNS_RECORD)


def _bits_frames(inner: bytes, level: int) -> bytes:
    """A frame within a frame: bytes a record apart are brought together, and packed by zstd."""
    whole = len(inner) // _BITS_RECORD * _BITS_RECORD
    table = np.frombuffer(inner, np.uint8)
    shuffled = table[:whole].reshape(-1, _BITS_RECORD).T.tobytes() + inner[whole:]
    block = bytes(imagecodecs.zstd_encode(shuffled, level))
    if len(block) < len(inner):
        flags = blosc.ZSTD | blosc.BYTES_SHUFFLED
        return blosc.frame(block, flags, _BITS_RECORD, len(inner))
    return bytes(
        imagecodecs.blosc_encode(
            inner, level=5, compressor="zstd", shuffle=1, typesize=_BITS_RECORD, numthreads=1
        )
    )


def _two_valued(bits: Bits, label: int, dtype: np.dtype[Any]) -> bytes | None:
    """A blosc frame of pixels that are 0 or one label; None where blosc has to make it.

    Bit-shuffled, they are the same plane of bits for each bit of the label, and zeros for the
    others. Only the planes from the first to the last bit go to zstd, which takes a tenth of the
    time and a little less room: zstd's settings for small inputs suit them better. A block may be
    several zstd frames, one after the other.
    """
    n_bytes = len(bits) * 8
    if dtype.itemsize > 1 or n_bytes < _LEAST_BYTES:
        return None
    plane = bits.tobytes()
    planes = [label >> k & 1 for k in range(8)]
    first, last = planes.index(1), 7 - planes[::-1].index(1)
    middle = b"".join(plane if bit else bytes(len(plane)) for bit in planes[first : last + 1])
    block = (
        _zeros(first * len(plane))
        + bytes(imagecodecs.zstd_encode(middle, _PLANE_LEVEL if len(middle) <= 2**18 else 11))
        + _zeros((7 - last) * len(plane))
    )
    if len(block) >= n_bytes:
        return None
    return blosc.frame(block, blosc.ZSTD | blosc.BITS_SHUFFLED, 1, n_bytes)


@functools.cache
def _zeros(n: int) -> bytes:
    return bytes(imagecodecs.zstd_encode(bytes(n), 3)) if n else b""


def _most(n_bytes: int) -> int:
    """How long a frame of so many bytes can be."""
    return n_bytes + n_bytes // 128 + 4096


def _blosc(data: bytes, n_bytes: int) -> bytes:
    return blosc.decompress(data, n_bytes, n_bytes)


def _outer_blosc(data: bytes, n_bytes: int) -> bytes:
    return blosc.decompress(data, 0, _most(n_bytes))


def _zstd(data: bytes, n_bytes: int) -> bytes:
    return bytes(imagecodecs.zstd_decode(data, out=n_bytes))


def _gzip(data: bytes, n_bytes: int) -> bytes:
    import zlib

    return zlib.decompressobj(wbits=31).decompress(data, n_bytes)


_decoders: dict[str, Callable[[bytes, int], bytes]] = {
    "bits": lambda data, n_bytes: _blosc(_outer_blosc(data, n_bytes), n_bytes),
    "runs": lambda data, n_bytes: _blosc(_zstd(data, _most(n_bytes)), n_bytes),
    "blosc": _blosc,
    "zstd": _zstd,
    "gzip": _gzip,
    "none": lambda data, n_bytes: data,
}
