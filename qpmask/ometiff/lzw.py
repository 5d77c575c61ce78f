"""LZW as TIFF has it (codes start with their high bits, width grows one code early).

:func:`encode_lzw` takes a tile and gives the bytes of its segment. With Numba it uses an encoder
that knows runs of one label only: masks are runs, and looking for nothing else makes it some forty
times faster than a general encoder for less than a percent more bytes. Without Numba it calls
``imagecodecs``. Every LZW decoder reads both.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
import threading
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

_compiling = threading.Lock()  # else each thread of a pool would compile for itself

_RunEncoder = Callable[[NDArray[np.uint8], NDArray[np.uint64], int, NDArray[np.uint8]], int]

_MAX_SLOTS = 256  # labels that have phrases at one time
_MAX_PHRASE = 1024  # bytes in the longest phrase: enough for a tile of 512 pixels of one label


def has_fast_lzw() -> bool:
    """Whether Numba is there for the encoder that knows runs."""
    return importlib.util.find_spec("numba") is not None


def encode_lzw(tile: NDArray[Any]) -> bytes:
    """Compress a tile with TIFF's LZW.

    Parameters
    ----------
    tile : ndarray of uint8 or uint16
        The full tile. uint16 goes in as its little-endian bytes.

    Returns
    -------
    bytes
        One LZW segment, decodable by any TIFF reader.
    """
    with _compiling:
        encode_runs = _run_encoder()
    if encode_runs is None or tile.dtype.itemsize > 2 or tile.size == 0:
        return _encode_general(tile)
    pixels = np.ascontiguousarray(tile, dtype=tile.dtype.newbyteorder("<")).reshape(-1)
    data = pixels.view(np.uint8)
    n_words = data.size // 8 if sys.byteorder == "little" else 0
    words = data[: n_words * 8].view(np.uint64)
    # 12 bits for each byte at worst, and now and then a code that clears the table.
    out = np.empty(data.size * 3 // 2 + data.size // 64 + 64, np.uint8)
    n_bytes = encode_runs(data, words, pixels.dtype.itemsize, out)
    encoded: bytes = out[:n_bytes].tobytes()
    if n_bytes * 4 > data.size:
        # Not a mask-like tile: a general encoder may well be better at it.
        general = _encode_general(tile)
        return min(encoded, general, key=len)
    return encoded


def _encode_general(tile: NDArray[Any]) -> bytes:
    little = np.ascontiguousarray(tile, dtype=tile.dtype.newbyteorder("<"))
    return bytes(imagecodecs.lzw_encode(little.tobytes()))


@functools.cache
def _run_encoder() -> _RunEncoder | None:
    """Compiled :func:`_encode_runs`, or None where there is no Numba."""
    try:
        import numba
    except ImportError:
        return None
    try:
        compiled = numba.njit(nogil=True, cache=True)(_encode_runs)
    except RuntimeError:  # Numba found no folder that it may keep compiled code in
        compiled = numba.njit(nogil=True)(_encode_runs)
    few = np.zeros(8, np.uint8)
    compiled(few, few.view(np.uint64), 1, np.empty(32, np.uint8))  # compiles, or loads
    return compiled  # type: ignore[no-any-return]


def _encode_runs(
    data: NDArray[np.uint8], words: NDArray[np.uint64], period: int, out: NDArray[np.uint8]
) -> int:
    """Encode bytes whose runs repeat every ``period`` (1 or 2) bytes; returns the encoded length.

    A phrase is the beginning of a run: of one label at one phase (which of the label's bytes comes
    first), ``length`` bytes long. Greedy LZW makes the phrases of one label and phase in the order
    of their length, so a table of codes by (label's slot, phase, length) is all the dictionary
    there is. Codes of other phrases are counted and never used. ``words`` are the same bytes eight
    at a time, for finding the end of a run; it may be shorter.
    """
    n_bytes = data.size
    codes = np.empty((_MAX_SLOTS * period, _MAX_PHRASE + 1), np.uint16)
    longest = np.ones(_MAX_SLOTS * period, np.int32)
    slot_of = np.full(256 if period == 1 else 65536, -1, np.int32)
    label_of = np.empty(_MAX_SLOTS, np.int32)
    n_slots = 0

    n_out = 0
    buffer = 256  # bits not yet written; the code that clears the table comes first
    n_bits = 9
    width = 9
    next_code = 258

    start = 0
    while start < n_bytes:
        # The run of one label that starts here; `start` is a multiple of `period`.
        first = int(data[start])
        second = int(data[start + period - 1])
        label = first if period == 1 else first | second << 8
        pattern = np.uint64(first | second << 8) * np.uint64(0x0001000100010001)
        end = start + period
        while end < n_bytes and data[end] == first and data[end + period - 1] == second:
            end += period
            if end & 7 == 0:
                while end >> 3 < words.size and words[end >> 3] == pattern:
                    end += 8

        at = start
        while at < end:
            slot = slot_of[label]
            clears = next_code == 4094 or (slot < 0 and n_slots == _MAX_SLOTS)
            length = 0
            code = 256
            key = 0
            if not clears:
                if slot < 0:
                    slot = n_slots
                    slot_of[label] = slot
                    label_of[slot] = label
                    n_slots += 1
                key = slot * period
                if first != second:
                    key += (at - start) & 1
                length = min(longest[key], end - at)
                code = int(data[at]) if length == 1 else int(codes[key, length])

            buffer = (buffer << width) | code
            n_bits += width
            while n_bits >= 8:
                n_bits -= 8
                out[n_out] = buffer >> n_bits
                n_out += 1
                buffer &= (1 << n_bits) - 1

            if clears:
                width = 9
                next_code = 258
                for i in range(n_slots):
                    slot_of[label_of[i]] = -1
                longest[:] = 1
                n_slots = 0
                continue
            # The decoder makes an entry of this phrase and the byte that follows.
            at += length
            if at < end and length < _MAX_PHRASE:
                longest[key] = length + 1
                codes[key, length + 1] = next_code
            next_code += 1
            if next_code == 512 or next_code == 1024 or next_code == 2048:
                width += 1
        start = end

    buffer = (buffer << width) | 257  # end of information
    n_bits += width
    while n_bits > 0:
        n_bits -= 8
        out[n_out] = (buffer >> n_bits if n_bits >= 0 else buffer << -n_bits) & 255
        n_out += 1
    return n_out
