"""A mask's share of a chunk as bits: packed, measured, compressed, picked from.

Bits are a flat array of uint8, eight pixels a byte in the order of the chunk, the first in the
lowest bit. A chunk is a multiple of 64 pixels.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from qpmask.collection import bitkernels, runkernels
from qpmask.collection.blosc import CodecError

Bits = NDArray[np.uint8]
Block = tuple[tuple[int, int], ...]

_RECORD = 8
_MARGIN = 1024
_rooms = threading.local()


def pack(pixels: NDArray[Any], chunk: tuple[int, ...]) -> Bits:
    """Pixels that are not 0, of a chunk that may be cropped at its ends."""
    *before, width = chunk
    packed = np.packbits(pixels, axis=-1, bitorder="little")
    if width % 8 == 0:
        full = (*before, width // 8)
        if packed.shape == full:
            return packed.reshape(-1)
        bits = np.zeros(full, np.uint8)
        bits[tuple(slice(0, n) for n in packed.shape)] = packed
        return bits.reshape(-1)
    whole = np.zeros(chunk, bool)
    whole[tuple(slice(0, n) for n in pixels.shape)] = pixels
    return np.packbits(whole, bitorder="little")


class Measured(NamedTuple):
    """A mask's share of a chunk.

    Parameters
    ----------
    bits : ndarray of uint8
        Which pixels are set; it lasts until this thread measures again.
    n_pixels : int
        How many are.
    extent : tuple of (int, int)
        Their bounding box in the chunk.
    """

    bits: Bits
    n_pixels: int
    extent: Block


def measured(
    pixels: NDArray[np.bool_], box: Sequence[slice], chunk: tuple[int, ...]
) -> list[Measured | None]:
    """A box of pixels as the beginning of chunks side by side along the last axis.

    Parameters
    ----------
    pixels : ndarray of bool
        An array that holds the box.
    box : sequence of slice
        Which of its pixels, along each axis; no more than a chunk of all but the last.
    chunk : tuple of int
        Shape of a chunk.

    Returns
    -------
    list of Measured or None
        Chunk by chunk; None of one that has no pixel set.
    """
    *before, across = box
    plain = _plain(pixels, across)
    if plain is None or chunk[-1] % 8:
        found: list[Measured | None] = []
        for start in range(across.start, across.stop, chunk[-1]):
            where = (*before, slice(start, min(across.stop, start + chunk[-1])))
            bits = pack(pixels[where], chunk)
            n = count(bits)
            found.append(Measured(bits, n, extent(bits, chunk)) if n else None)
        return found
    n_chunks, n_rows = -(-(across.stop - across.start) // chunk[-1]), chunk[-2]
    packed = _packed(n_chunks, math.prod(chunk[:-1]), chunk[-1] // 8)
    ends = [0, 1] * (3 - len(box)) + [n for part in box for n in (part.start, part.stop)]
    bitkernels.pack(plain, np.array(ends, np.int64), n_rows, packed)
    found = []
    for bits, columns, (n, *places) in zip(
        packed.bits, packed.columns, packed.found.tolist(), strict=True
    ):
        if not n:
            found.append(None)
            continue
        ends_of = ((places[0], places[1]), (places[2], places[3]))[3 - len(box) :]
        last = _ends_of(np.unpackbits(columns, bitorder="little"))
        found.append(Measured(bits.reshape(-1), n, (*ends_of, last)))
    return found


def unpack(bits: Bits, chunk: tuple[int, ...]) -> NDArray[np.bool_]:
    """The chunk, true where the mask is."""
    return np.unpackbits(bits, bitorder="little").view(bool).reshape(chunk)


def mark(
    bits: Bits,
    chunk: tuple[int, ...],
    box: Sequence[range],
    out: NDArray[np.bool_],
    at: Sequence[int],
) -> None:
    """Set pixels where a box of a chunk is set.

    Parameters
    ----------
    bits : ndarray of uint8
        The chunk.
    chunk : tuple of int
        Its shape.
    box : sequence of range
        Pixels of the chunk, along each axis.
    out : ndarray of bool
        Gets the pixels; C-contiguous.
    at : tuple of int
        Where in `out` the first of them goes.
    """
    *before, width = chunk
    if width % 64:
        pixels = unpack(bits, chunk)[tuple(slice(r.start, r.stop) for r in box)]
        out[tuple(slice(a, a + len(r)) for a, r in zip(at, box, strict=True))] |= pixels
        return
    words = bits.view(np.uint64).reshape(math.prod(before), width // 64)
    first = np.array((0,) * (3 - len(at)) + tuple(at), np.int64)
    bitkernels.mark(words, _shape(chunk), _ends(box), _three(out).view(np.uint8), first)


def part(bits: Bits, chunk: tuple[int, ...], box: Sequence[range]) -> NDArray[np.bool_]:
    """Some of a chunk."""
    out = np.zeros(tuple(map(len, box)), bool)
    mark(bits, chunk, box, out, (0,) * len(chunk))
    return out


def picked(bits: Bits, chunk: tuple[int, ...], step: int) -> NDArray[np.bool_]:
    """Every n-th pixel along each axis, the first one included."""
    *before, width = chunk
    if step % 8 or width % 8:
        return unpack(bits, chunk)[(slice(None, None, step),) * len(chunk)]
    each = (*(slice(None, None, step) for _ in before), slice(None, None, step // 8))
    found: NDArray[np.bool_] = (bits.reshape(*before, width // 8)[each] & 1).view(bool)
    return found


def count(bits: Bits) -> int:
    """How many pixels there are."""
    if hasattr(np, "bitwise_count"):  # NumPy 2
        return int(np.bitwise_count(bits.view(np.uint64)).sum(dtype=np.int64))
    return int(_ONES[bits].sum(dtype=np.int64))


def extent(bits: Bits, chunk: tuple[int, ...]) -> Block:
    """First pixel and the one after the last, along each axis; there is at least one."""
    *before, width = chunk
    if width % 8:
        return extent_of(unpack(bits, chunk))
    cells = bits.reshape(*before, width // 8)
    found = []
    while cells.ndim > 1:
        rest = cells.reshape(len(cells), -1)
        found.append(_ends_of(rest.any(axis=1)))
        cells = np.bitwise_or.reduce(cells, axis=0)
    return (*found, _ends_of(np.unpackbits(cells, bitorder="little")))


def extent_of(pixels: NDArray[Any]) -> Block:
    """First pixel that is not 0 and the one after the last, along each axis."""
    found = []
    for axis in range(pixels.ndim):
        others = tuple(a for a in range(pixels.ndim) if a != axis)
        found.append(_ends_of(pixels.any(axis=others)))
    return tuple(found)


def paint(labels: NDArray[Any], bits: Bits, label: int) -> None:
    """Give the pixels of a chunk that the mask has its label."""
    bitkernels.paint(labels.reshape(-1), bits.view(np.uint64), label)


def to_block(bits: Bits) -> bytes:
    """Bits as a block, to be kept a while."""
    block = runs_block(bits.reshape(1, -1), [0], _RECORD)
    return bytes(imagecodecs.lz4_encode(bits.tobytes())) if block is None else block


def from_block(block: bytes | memoryview, n_bytes: int) -> Bits:
    """Bits from a block.

    Raises
    ------
    CodecError
        The block is damaged.
    """
    bits = np.empty(n_bytes, np.uint8)
    if runkernels.decode(np.frombuffer(block, np.uint8), 0, bits) < 0:
        raw = imagecodecs.lz4_decode(bytes(block), out=n_bytes)
        if len(raw) != n_bytes:
            raise CodecError(f"it holds {len(raw):,} bytes instead of {n_bytes:,}")
        return np.frombuffer(raw, np.uint8)
    return bits


def plane_of(block: memoryview, plane: int, n_bytes: int) -> Bits | None:
    """One plane of bits of a block that holds several; None where that is another kind of block."""
    bits = np.empty(n_bytes, np.uint8)
    found = runkernels.decode(np.frombuffer(block, np.uint8), plane * n_bytes, bits)
    return None if found < 0 else bits


def runs_block(planes: NDArray[np.uint8], chosen: Sequence[int], record: int) -> bytes | None:
    """Planes of bytes as an LZ4 block, see :func:`.runkernels.encode`; None if it saves nothing."""
    n_bytes = planes.shape[1]
    room = getattr(_rooms, "out", None)
    if room is None or len(room) < n_bytes + _MARGIN:
        room = _rooms.out = np.empty(n_bytes + _MARGIN, np.uint8)
    n = runkernels.encode(planes, planes.view(np.uint64), np.array(chosen, np.int64), record, room)
    return None if n < 0 or n >= n_bytes else room[:n].tobytes()


def _ends_of(line: Any) -> tuple[int, int]:
    at = np.flatnonzero(line)
    return int(at[0]), int(at[-1]) + 1


def _plain(pixels: NDArray[Any], across: slice) -> bitkernels.Plain | None:
    """Pixels as the kernel takes them; None where they do not lie so in memory."""
    if not pixels.flags.c_contiguous or not pixels.size:
        return None
    whole = _three(pixels).view(np.uint8)
    ends = pixels.shape[-1], pixels.ctypes.data, across.start, across.stop
    if all(n % 8 == 0 for n in ends):
        nothing = np.empty(0, np.uint64)
        return bitkernels.Plain(whole, whole.view(np.uint64), nothing.view(np.uint8), nothing)
    row = np.empty(-(-(across.stop - across.start) // 8), np.uint64)
    return bitkernels.Plain(whole, np.empty((0, 0, 0), np.uint64), row.view(np.uint8), row)


def _packed(n_chunks: int, n_rows: int, n_bytes: int) -> bitkernels.Packed:
    """Room for chunks, this thread's."""
    size = n_chunks * n_rows * n_bytes
    room = getattr(_rooms, "bits", None)
    if room is None or len(room) < size:
        room = _rooms.bits = np.empty(size, np.uint8)
    return bitkernels.Packed(
        room[:size].reshape(n_chunks, n_rows, n_bytes),
        np.empty((n_chunks, n_bytes), np.uint8),
        np.empty((n_chunks, 5), np.int64),
    )


def _three(pixels: NDArray[Any]) -> NDArray[Any]:
    return pixels.reshape((1,) * (3 - pixels.ndim) + pixels.shape)


def _shape(chunk: tuple[int, ...]) -> NDArray[np.int64]:
    return np.array((1,) * (3 - len(chunk)) + tuple(chunk), np.int64)


def _ends(box: Sequence[range]) -> NDArray[np.int64]:
    """First pixel and the one after the last, along three axes."""
    pairs = [(0, 1)] * (3 - len(box)) + [(r.start, r.stop) for r in box]
    return np.array(pairs, np.int64).reshape(-1)


_ONES = np.array([bin(n).count("1") for n in range(256)], np.uint8)
