"""Kernels: pixels to bits, and pixels set or given a label where bits are set.

Words are 64-bit numbers: eight pixels, or 64 bits, the first in the lowest.
"""

from __future__ import annotations

from typing import Annotated, Final

import numpy as np
from numpy.typing import NDArray

from qpmask import jit
from qpmask.collection.runkernels import LIBRARY
from qpmask.jit import kernel
from qpmask.jit.arguments import Array

_FULL: Final = 0xFFFFFFFFFFFFFFFF

U8 = NDArray[np.uint8]
U64 = NDArray[np.uint64]
U8_3D = Annotated[NDArray[np.uint8], Array((np.dtype(np.uint8),), 3)]


@LIBRARY.entry
def pack(
    words: jit.U64_2D, top: int, left: int, bits: jit.U8_2D, columns: jit.U8_1D, found: jit.I64_1D
) -> int:
    """Bring pixels of a plane into bits.

    Parameters
    ----------
    words : ndarray of uint64, shape (rows, columns / 8)
        The plane, a byte a pixel, not 0 where the mask is.
    top, left : int
        First row, and first column as a word of it.
    bits : ndarray of uint8, shape (rows, columns / 8)
        Holds zeros, and gets the bits of as many pixels as there are from there.
    columns : ndarray of uint8, shape (columns / 8,)
        Holds zeros, and gets the bits of all rows together.
    found : ndarray of int64, shape (2,)
        Gets the first row of `bits` that has any, and the one after the last.

    Returns
    -------
    int
        How many pixels are set; `found` means nothing where that is 0.
    """
    ones, most = np.uint64(0x0101010101010101), np.uint64(0x7F7F7F7F7F7F7F7F)
    total = 0
    found[0], found[1] = -1, -1
    n_words = min(len(columns), words.shape[1] - left)
    for y in range(min(bits.shape[0], words.shape[0] - top)):
        row, into, before, at = words[top + y], bits[y], total, 0
        some = row[left : left + n_words]
        while at < n_words:
            if at + 8 <= n_words:
                any_set = np.uint64(0)
                for i in range(8):
                    any_set |= some[at + i]
                if any_set == 0:
                    at += 8
                    continue
            for i in range(at, min(at + 8, n_words)):
                word = some[i]
                if word != 0:  # each byte becomes 0 or 1, and eight of them one byte
                    word = (((word & most) + most) | word) >> np.uint64(7) & ones
                    byte = np.uint8((word * np.uint64(0x0102040810204080)) >> np.uint64(56))
                    into[i] = byte
                    columns[i] |= byte
                    total += np.int64((word * ones) >> np.uint64(56))
            at += 8
        if total > before:
            if found[0] < 0:
                found[0] = y
            found[1] = y + 1
    return total


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
