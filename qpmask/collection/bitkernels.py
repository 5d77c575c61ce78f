"""Kernels: pixels to bits, and pixels set or given a label where bits are set.

Words are 64-bit numbers: eight pixels, or 64 bits, the first in the lowest.
"""

from __future__ import annotations

from typing import Annotated, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qpmask import jit
from qpmask.collection.runkernels import LIBRARY
from qpmask.jit import kernel
from qpmask.jit.arguments import Array

_FULL: Final = 0xFFFFFFFFFFFFFFFF
_ONES: Final = 0x0101010101010101
_MOST: Final = 0x7F7F7F7F7F7F7F7F
_AT_ONCE: Final = 32

U8 = NDArray[np.uint8]
U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
U8_3D = Annotated[NDArray[np.uint8], Array((np.dtype(np.uint8),), 3)]
U64_3D = Annotated[NDArray[np.uint64], Array((np.dtype(np.uint64),), 3)]


class Plain(NamedTuple):
    """Pixels, a byte each, not 0 where the mask is.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (slices, rows, columns)
        They.
    words : ndarray of uint64, shape (slices, rows, columns / 8)
        The same memory; of no slices where the rows do not begin at words.
    row, row_words : ndarray of uint8 and of uint64
        Room for a row, the same memory; of no length where there are words.
    """

    pixels: U8_3D
    words: U64_3D
    row: jit.U8_1D
    row_words: jit.U64_1D


class Packed(NamedTuple):
    """Chunks side by side along the last axis, as bits.

    Parameters
    ----------
    bits : ndarray of uint8, shape (chunks, slices * rows, columns / 8)
        The bits, eight pixels a byte.
    columns : ndarray of uint8, shape (chunks, columns / 8)
        The bits of all rows of a chunk together.
    found : ndarray of int64, shape (chunks, 5)
        How many pixels are set; the first slice that has any and the one after the last, and the
        rows alike. Those mean nothing where none is.
    """

    bits: U8_3D
    columns: jit.U8_2D
    found: jit.I64_2D


@LIBRARY.entry
def pack(plain: Plain, box: jit.I64_1D, n_rows: int, packed: Packed) -> None:
    """Bring a box of pixels into bits: the beginning of chunks.

    Parameters
    ----------
    plain : Plain
        The pixels.
    box : ndarray of int64, shape (6,)
        First of them and the one after the last along each axis. Where there are words, the
        columns are whole ones.
    n_rows : int
        Rows of a slice of a chunk.
    packed : Packed
        What is packed; all of it is written to.
    """
    n_chunks, n_bytes = packed.columns.shape
    n_words = (box[5] - box[4] + 7) // 8
    packed.columns[:] = 0
    packed.found[:] = 0
    for number in range(packed.bits.shape[1]):
        z, y = number // n_rows, number % n_rows
        if z < box[1] - box[0] and y < box[3] - box[2]:
            if len(plain.words) > 0:
                line = plain.words[box[0] + z, box[2] + y]
                words = line[box[4] // 8 : box[4] // 8 + n_words]
            else:
                all_bytes = plain.pixels[box[0] + z, box[2] + y]
                some = all_bytes[box[4] : box[5]]
                plain.row_words[n_words - 1] = 0  # it may not be full
                for i in range(len(some)):
                    plain.row[i] = some[i]
                words = plain.row_words[:n_words]
            if words[0] != 0 or _end_of_equal(words, 1) < n_words:
                for k in range(n_chunks):
                    into, columns = packed.bits[k, number], packed.columns[k]
                    n = _pack_row(words[k * n_bytes : (k + 1) * n_bytes], into, columns)
                    if n > 0:
                        _note(packed.found[k], n, z, y)
                continue
        for k in range(n_chunks):
            into = packed.bits[k, number]
            for i in range(n_bytes):
                into[i] = 0


@kernel
def _note(found: I64, n: int, z: int, y: int) -> None:
    """Note that a row has pixels."""
    if found[0] == 0:
        found[1], found[3] = z, y
    found[0] += n
    found[2] = z + 1
    found[3], found[4] = min(found[3], y), max(found[4], y + 1)


@kernel
def _pack_row(words: U64, bits: U8, columns: U8) -> int:
    """Eight pixels a word to eight a byte; how many are set. What is beyond the words becomes 0."""
    total, at, n_words = 0, 0, len(words)
    while at < n_words:
        first = words[at]
        if first == 0 or first == np.uint64(_ONES):  # most are as the one before
            end = _end_of_equal(words, at + 1)
            byte = np.uint8(0) if first == 0 else np.uint8(255)
            same = bits[at:end]
            for i in range(len(same)):
                same[i] = byte
            if first != 0:
                both = columns[at:end]
                for i in range(len(both)):
                    both[i] = byte
                total += 8 * (end - at)
            at = end
        else:
            word = (((first & np.uint64(_MOST)) + np.uint64(_MOST)) | first) >> np.uint64(7)
            word &= np.uint64(_ONES)  # each byte became 0 or 1, and eight of them become one
            byte = np.uint8((word * np.uint64(0x0102040810204080)) >> np.uint64(56))
            bits[at] = byte
            columns[at] |= byte
            total += np.int64((word * np.uint64(_ONES)) >> np.uint64(56))
            at += 1
    rest = bits[n_words:]
    for i in range(len(rest)):
        rest[i] = 0
    return total


@kernel
def _end_of_equal(words: U64, at: int) -> int:
    """Where words end that are as the one before `at`."""
    value, n_words = words[at - 1], len(words)
    while at + _AT_ONCE <= n_words:
        some = words[at : at + _AT_ONCE]  # whose indices are seen not to be negative
        different = np.uint64(0)
        for i in range(_AT_ONCE):
            different |= some[i] ^ value
        if different != 0:
            break
        at += _AT_ONCE
    while at < n_words and words[at] == value:
        at += 1
    return at


@LIBRARY.entry
def mark(words: jit.U64_2D, chunk: jit.I64_1D, box: jit.I64_1D, out: U8_3D, at: jit.I64_1D) -> None:
    """Set pixels to 1 where the bits of a box of a chunk are set.

    Parameters
    ----------
    words : ndarray of uint64, shape (slices * rows, columns / 64)
        The bits of the chunk, the first pixel in the lowest.
    chunk : ndarray of int64, shape (3,)
        Its slices, rows and columns.
    box : ndarray of int64, shape (6,)
        First pixel of the chunk and the one after the last along each axis.
    out : ndarray of uint8, shape (slices, rows, columns)
        Gets the pixels.
    at : ndarray of int64, shape (3,)
        Where in `out` the first pixel of the box goes.
    """
    for z in range(box[1] - box[0]):
        for y in range(box[3] - box[2]):
            row = words[(box[0] + z) * chunk[1] + box[2] + y]
            _mark_row(row, box[4], box[5], out[at[0] + z, at[1] + y], at[2])


@kernel
def _mark_row(row: U64, first: int, end: int, out: U8, at: int) -> None:
    word, n_words = first // 64, (end + 63) // 64
    while word < n_words:
        start = word
        while word < n_words and row[word] == np.uint64(_FULL):
            word += 1
        if word > start:
            full = out[at + max(first, start * 64) - first : at + min(end, word * 64) - first]
            for i in range(len(full)):
                full[i] = 1
        elif row[word] == 0:
            word += 1
        else:
            low, high = max(first, word * 64), min(end, word * 64 + 64)
            some, bits = out[at + low - first : at + high - first], row[word]
            bits >>= np.uint64(low - word * 64)
            for i in range(len(some)):
                if bits & np.uint64(1):
                    some[i] = 1
                bits >>= np.uint64(1)
            word += 1


@LIBRARY.entry
def paint(pixels: jit.PIXELS_1D, bits: jit.U64_1D, label: int) -> None:
    """Give the pixels whose bit is set a label.

    Parameters
    ----------
    pixels : ndarray of an unsigned type
        Labels.
    bits : ndarray of uint64
        A bit a pixel, the first in the lowest.
    label : int
        The label.
    """
    for word in range(len(bits)):
        rest, at = bits[word], word * 64
        if rest == np.uint64(_FULL):
            for i in range(64):
                pixels[at + i] = label
        elif rest != 0:
            for i in range(64):
                if rest >> np.uint64(i) & np.uint64(1):
                    pixels[at + i] = label
