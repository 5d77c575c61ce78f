"""Kernels: runs of equal bytes as LZ4 blocks of records of equal length, and back.

Labels, and planes of bits, are mostly long runs of one byte. Each is written as one LZ4 sequence:
the bytes before it, its first bytes, and a match at offset 1 that repeats the last of them. As many
literals are taken as make each sequence a record of a length, or several: then bytes of one meaning
are that far apart, and the codec that follows finds them. Any LZ4 decoder reads it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from qpmask import jit
from qpmask.jit import kernel

LIBRARY = jit.Library("collection", [__name__, "qpmask.collection.bitkernels"])

_LEAST_RUN: Final = 8  # a shorter one is cheaper as literals
_LEAST_MATCH: Final = 4  # of LZ4
_LAST_START: Final = 12  # no match begins within these last bytes of a block
_LAST_END: Final = 5  # nor ends within these

U8 = NDArray[np.uint8]
U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]


@LIBRARY.entry
def encode(
    planes: jit.U8_2D, words: jit.U64_2D, chosen: jit.I64_1D, record: int, out: jit.U8_1D
) -> int:
    """Write planes of bytes as one LZ4 block.

    Parameters
    ----------
    planes : ndarray of uint8, shape (n_planes, n_bytes)
        Labels, or bits, eight a byte.
    words : ndarray of uint64, shape (n_planes, n_bytes / 8)
        The same bytes.
    chosen : ndarray of int64
        Which planes to write, one after the other; -1 is one of zeros.
    record : int
        Length of a record.
    out : ndarray of uint8
        Gets the block.

    Returns
    -------
    int
        Length of the block; -1 where there is not room for it.
    """
    n_bytes = planes.shape[1]
    total = n_bytes * len(chosen)
    written, anchor = 0, 0
    for k in range(len(chosen)):
        base, plane, at = k * n_bytes, chosen[k], 0
        while at < n_bytes:
            stop = n_bytes
            if plane >= 0:
                stop = _end_of_run(planes[plane], words[plane], at)
            end = min(base + stop, total - _LAST_END)
            if stop - at >= _LEAST_RUN and end > base + at:
                n_literals = _literals(
                    base + at - anchor, end - anchor, total - _LAST_START - anchor, record
                )
                if n_literals > 0:
                    written = _sequence(planes, chosen, anchor, n_literals, end, out, written)
                    if written < 0:
                        return -1
                    anchor = end
                    at = end - base
                    continue
            at = stop
    return _sequence(planes, chosen, anchor, total - anchor, total, out, written)


@kernel
def _end_of_run(plane: U8, words: U64, at: int) -> int:
    """Where a run of equal bytes ends."""
    value, n_bytes = plane[at], len(plane)
    at += 1
    while at < n_bytes and at % 8 != 0:
        if plane[at] != value:
            return at
        at += 1
    pattern = np.uint64(value) * np.uint64(0x0101010101010101)
    word, n_words = at // 8, n_bytes // 8
    while word + 8 <= n_words:
        different = np.uint64(0)
        for i in range(8):
            different |= words[word + i] ^ pattern
        if different != 0:
            break
        word += 8
    while word < n_words and words[word] == pattern:
        word += 1
    at = max(at, word * 8)
    while at < n_bytes and plane[at] == value:
        at += 1
    return at


@kernel
def _literals(before: int, end: int, latest: int, record: int) -> int:
    """How many literals a sequence has that covers ``before`` bytes and a run; 0 if none fits."""
    for n in range(before + 1, before + 1 + 2 * record):  # one more literal may be two bytes more
        match = end - n
        if n > latest or match < _LEAST_MATCH:
            return 0
        length = 3 + n
        if n >= 15:
            length += 1 + (n - 15) // 255
        if match >= 19:
            length += 1 + (match - 19) // 255
        if length % record == 0:
            return n
    return 0


@kernel
def _sequence(
    planes: U8, chosen: I64, start: int, n_literals: int, end: int, out: U8, at: int
) -> int:
    """Write one sequence, the last one without a match; where the next begins, -1: no room."""
    match = end - start - n_literals
    if at + n_literals + n_literals // 255 + match // 255 + 8 > len(out):
        return -1
    token = min(n_literals, 15) << 4
    if match > 0:
        token |= min(match - _LEAST_MATCH, 15)
    out[at] = token
    at += 1
    if n_literals >= 15:
        at = _length(n_literals - 15, out, at)
    n_bytes = planes.shape[1]
    k, inside = start // n_bytes, start % n_bytes
    for _ in range(n_literals):
        plane = chosen[k]
        out[at] = planes[plane, inside] if plane >= 0 else 0
        at += 1
        inside += 1
        if inside == n_bytes:
            inside = 0
            k += 1
    if match > 0:
        out[at] = 1
        out[at + 1] = 0
        at += 2
        if match >= 19:
            at = _length(match - 19, out, at)
    return at


@kernel
def _length(rest: int, out: U8, at: int) -> int:
    """Write what a length has beyond its four bits."""
    while rest >= 255:
        out[at] = 255
        at += 1
        rest -= 255
    out[at] = rest
    return at + 1


@LIBRARY.entry
def decode(block: jit.U8_1D, first: int, out: jit.U8_1D) -> int:
    """Read some bytes of an LZ4 block all of whose matches repeat a byte.

    Parameters
    ----------
    block : ndarray of uint8
        The block.
    first : int
        The first byte that is wanted of what it holds.
    out : ndarray of uint8
        Gets the bytes.

    Returns
    -------
    int
        0; -1 where the block is of another kind, or damaged: `out` is not to be used then.
    """
    n, at, place, stop = len(block), 0, 0, first + len(out)
    value = np.uint8(0)
    while at < n and place < stop:
        token = np.int64(block[at])
        at += 1
        length = token >> 4
        if length == 15:
            at, length = _read_length(block, at, length)
        if at + length > n:
            return -1
        begin, end = max(place, first), min(place + length, stop)
        if begin < end:
            some, literals = out[begin - first : end - first], block[at + begin - place :]
            for i in range(len(some)):
                some[i] = literals[i]
        at += length
        place += length
        if length > 0:
            value = block[at - 1]
        if at == n:
            break
        if at + 2 > n or place == 0 or block[at] != 1 or block[at + 1] != 0:
            return -1
        at += 2
        length = token & 15
        if length == 15:
            at, length = _read_length(block, at, length)
        length += _LEAST_MATCH
        begin, end = max(place, first), min(place + length, stop)
        if begin < end:
            some = out[begin - first : end - first]
            for i in range(len(some)):
                some[i] = value
        place += length
    return 0 if place >= stop else -1


@kernel
def _read_length(block: U8, at: int, length: int) -> tuple[int, int]:
    """What a length has beyond its four bits; where the next byte is, and the length."""
    while at < len(block):
        more = np.int64(block[at])
        at += 1
        length += more
        if more != 255:
            break
    return at, length
