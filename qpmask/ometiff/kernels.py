"""What is done with the pixels of a strip, compiled by Numba.

:mod:`qpmask.ometiff.plain` does the same without Numba, and says what each function does; tests run
both. Here it is one pass each over the pixels, eight bytes at a time where a mask allows it, without
the interpreter's lock. All kernels are in this file, since Numba notices changes of a kernel's own
file alone.

``pixels`` has shape (n_tiles, tile area) and holds cropped tiles (see :class:`.strips.TileStrip`);
``words`` are the same bytes as 64-bit numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from qpmask.ometiff.strips import MIXED, UNKNOWN, StripShape

Function = TypeVar("Function", bound=Callable[..., Any])

I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U64 = NDArray[np.uint64]
Pixels = NDArray[Any]

_MAX_SLOTS = 256  # labels that have LZW phrases at one time
_MAX_PHRASE = 1024  # bytes in the longest phrase: enough for a tile of 512 pixels of one label


def _kernel(function: Function) -> Function:
    try:
        compiled = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # Numba found no folder that it may keep compiled code in
        compiled = numba.njit(nogil=True, error_model="numpy")(function)
    return cast(Function, compiled)


# --- labels ---------------------------------------------------------------------------------------


@_kernel
def scan(pixels: Pixels, words: U64, labels: I64, shape: StripShape, counts: I64) -> None:
    """See :func:`.plain.scan`."""
    per_word = 8 // pixels.itemsize
    for k in range(shape.n_tiles):
        width = shape.last_width if k == shape.n_tiles - 1 else shape.tile_width
        n_pixels = width * shape.height
        if labels[k] >= 0:
            counts[labels[k]] += n_pixels
        elif labels[k] == MIXED:
            _scan_tile(pixels[k], words[k], n_pixels, per_word, labels[k : k + 1], counts)


@_kernel
def _scan_tile(
    pixels: Pixels, words: U64, n_pixels: int, per_word: int, state: I64, counts: I64
) -> None:
    label = np.int64(pixels[0])
    n_alike = 0  # pixels of this label not yet counted
    at = 0
    while at < n_pixels:
        pattern = _pattern(label, per_word)
        word = at // per_word
        n_words = n_pixels // per_word
        if at == word * per_word:
            start = word
            while word + 8 <= n_words:
                different = np.uint64(0)
                for i in range(8):
                    different |= words[word + i] ^ pattern
                if different != 0:
                    break
                word += 8
            while word < n_words and words[word] == pattern:
                word += 1
            n_alike += (word - start) * per_word
            at = word * per_word
        end = min(n_pixels, at + per_word)
        while at < end:
            pixel = np.int64(pixels[at])
            if pixel != label:
                counts[label] += n_alike
                n_alike = 0
                label = pixel
            n_alike += 1
            at += 1
    if n_alike == n_pixels:
        state[0] = label
    counts[label] += n_alike


@_kernel
def _pattern(label: int, per_word: int) -> np.uint64:
    """A word full of one label."""
    if per_word == 8:
        return np.uint64(label) * np.uint64(0x0101010101010101)
    return np.uint64(label) * np.uint64(0x0001000100010001)


# --- levels ---------------------------------------------------------------------------------------


@_kernel
def halve(
    pixels: Pixels,
    labels: I64,
    shape: StripShape,
    above: Pixels,
    quarters: I64,
    shape_above: StripShape,
    first: int,
    down: int,
) -> None:
    """See :func:`.plain.halve`."""
    half_height = (shape.height + 1) // 2
    y0 = down * (shape.tile_height // 2)
    for k in range(shape.n_tiles):
        j, right = first + k // 2, k % 2
        quarters[j, 2 * down + right] = labels[k]
        if labels[k] != MIXED:
            continue
        width = shape.last_width if k == shape.n_tiles - 1 else shape.tile_width
        width_above = shape_above.tile_width
        if j == shape_above.n_tiles - 1:
            width_above = shape_above.last_width
        half_width = (width + 1) // 2
        x0 = right * (shape.tile_width // 2)
        for y in range(half_height):
            start = (y0 + y) * width_above + x0
            _every_second(pixels[k, 2 * y * width :], above[j, start : start + half_width])


@_kernel
def _every_second(source: Pixels, target: Pixels) -> None:
    for x in range(len(target)):
        target[x] = source[2 * x]


@_kernel
def settle(pixels: Pixels, quarters: I64, labels: I64, shape: StripShape) -> None:
    """See :func:`.plain.settle`."""
    half_width, half_height = shape.tile_width // 2, shape.tile_height // 2
    for k in range(shape.n_tiles):
        width = shape.last_width if k == shape.n_tiles - 1 else shape.tile_width
        n_right = 2 if width > half_width else 1
        n_down = 2 if shape.height > half_height else 1
        label = quarters[k, 0]
        for down in range(n_down):
            for right in range(n_right):
                other = quarters[k, 2 * down + right]
                if other == UNKNOWN or label == UNKNOWN:
                    label = UNKNOWN
                elif other != label:
                    label = MIXED
        labels[k] = label
        if label != MIXED:
            continue
        for down in range(n_down):
            y0 = down * half_height
            y1 = min(shape.height, y0 + half_height)
            for right in range(n_right):
                other = quarters[k, 2 * down + right]
                x0 = right * half_width
                x1 = min(width, x0 + half_width)
                if other >= 0:
                    for y in range(y0, y1):
                        pixels[k, y * width + x0 : y * width + x1] = other


@_kernel
def compare(
    pixels: Pixels,
    labels: I64,
    expected: Pixels,
    expected_labels: I64,
    shape: StripShape,
    n_wrong: I64,
) -> None:
    """See :func:`.plain.compare`."""
    for k in range(shape.n_tiles):
        width = shape.last_width if k == shape.n_tiles - 1 else shape.tile_width
        n_pixels = width * shape.height
        found, wanted = labels[k], expected_labels[k]
        wrong = 0
        if found == UNKNOWN or wanted == UNKNOWN:
            pass
        elif found >= 0 and wanted >= 0:
            wrong = 0 if found == wanted else n_pixels
        elif found >= 0:
            wrong = _n_other(expected[k, :n_pixels], found)
        elif wanted >= 0:
            wrong = _n_other(pixels[k, :n_pixels], wanted)
        else:
            wrong = _n_different(pixels[k, :n_pixels], expected[k, :n_pixels])
        n_wrong[k] = wrong


@_kernel
def _n_other(pixels: Pixels, label: int) -> int:
    n_pixels = 0
    for pixel in pixels:
        n_pixels += pixel != label
    return n_pixels


@_kernel
def _n_different(a: Pixels, b: Pixels) -> int:
    n_pixels = 0
    for start in range(0, len(a), 4096):
        one, other = a[start : start + 4096], b[start : start + 4096]
        different = a.dtype.type(0)
        for i in range(len(one)):
            different |= one[i] ^ other[i]
        if different:
            for i in range(len(one)):
                n_pixels += one[i] != other[i]
    return n_pixels


# --- LZW ------------------------------------------------------------------------------------------


@_kernel
def encode_lzw(pixels: Pixels, labels: I64, shape: StripShape, out: U8, n_bytes: I64) -> None:
    """See :func:`.plain.encode_lzw`."""
    period = pixels.itemsize
    area = shape.tile_width * shape.tile_height
    codes = np.empty((_MAX_SLOTS * period, _MAX_PHRASE + 1), np.uint16)
    longest = np.empty(_MAX_SLOTS * period, np.int32)
    slot_of = np.full(256 if period == 1 else 65536, -1, np.int32)
    label_of = np.empty(_MAX_SLOTS, np.int32)
    padded = np.empty(pixels.shape[1], pixels.dtype)
    at = 0
    for k in range(shape.n_tiles):
        n_bytes[k] = 0
        if labels[k] != MIXED:
            continue
        width = shape.last_width if k == shape.n_tiles - 1 else shape.tile_width
        tile = pixels[k]
        if width < shape.tile_width or shape.height < shape.tile_height:
            padded[:area] = 0
            for y in range(shape.height):
                start = y * shape.tile_width
                padded[start : start + width] = pixels[k, y * width : (y + 1) * width]
            tile = padded
        data = tile[:area].view(np.uint8)
        words = tile.view(np.uint64)[: area * period // 8]
        end = _encode_runs(data, words, period, out[at:], codes, longest, slot_of, label_of)
        n_bytes[k] = end
        at += end


@_kernel
def _encode_runs(
    data: U8,
    words: U64,
    period: int,
    out: U8,
    codes: NDArray[np.uint16],
    longest: NDArray[np.int32],
    slot_of: NDArray[np.int32],
    label_of: NDArray[np.int32],
) -> int:
    """Encode bytes whose runs repeat every ``period`` (1 or 2) bytes; returns the encoded length.

    A phrase is the beginning of a run: of one label at one phase (which of the label's bytes comes
    first), ``length`` bytes long. Greedy LZW makes the phrases of one label and phase in the order
    of their length, so a table of codes by (label's slot, phase, length) is all the dictionary
    there is. Codes of other phrases are counted and never used. ``words`` are the same bytes eight
    at a time, for finding the end of a run.

    ``codes``, ``longest``, ``slot_of`` (all -1) and ``label_of`` are room to work in; ``slot_of`` is
    left as it was.
    """
    n_bytes = data.size
    longest[:] = 1
    n_slots = 0

    n_out = 0
    buffer = np.uint64(256)  # bits not yet written; the code that clears the table comes first
    n_bits = 9
    width = 9
    next_code = 258

    start = 0
    while start < n_bytes:
        # The run of one label that starts here; `start` is a multiple of `period`.
        first = np.int64(data[start])
        second = np.int64(data[start + period - 1])
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
                length = min(np.int64(longest[key]), end - at)
                code = np.int64(data[at]) if length == 1 else np.int64(codes[key, length])

            buffer = (buffer << np.uint64(width)) | np.uint64(code)
            n_bits += width
            while n_bits >= 8:
                n_bits -= 8
                out[n_out] = np.uint8(buffer >> np.uint64(n_bits))
                n_out += 1

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

    buffer = (buffer << np.uint64(width)) | np.uint64(257)  # end of information
    n_bits += width
    while n_bits > 0:
        n_bits -= 8
        if n_bits >= 0:
            out[n_out] = np.uint8(buffer >> np.uint64(n_bits))
        else:
            out[n_out] = np.uint8(buffer << np.uint64(-n_bits))
        n_out += 1
    for i in range(n_slots):
        slot_of[label_of[i]] = -1
    return n_out


@_kernel
def decode_lzw(
    data: U8, starts: I64, n_bytes: I64, tiles: I64, out: U8, failed: NDArray[np.bool_]
) -> None:
    """See :func:`.plain.decode_lzw`."""
    phrase_start = np.empty(4096, np.int64)
    phrase_bytes = np.empty(4096, np.int64)
    for i in range(len(tiles)):
        packed = data[starts[i] : starts[i] + n_bytes[i]]
        failed[i] = not _decode_tile(packed, out[tiles[i]], phrase_start, phrase_bytes)


@_kernel
def _decode_tile(packed: U8, out: U8, phrase_start: I64, phrase_bytes: I64) -> bool:
    """Decode one LZW segment; whether it is sound and fills ``out`` exactly.

    A phrase is a piece of the output so far: the phrase before and the byte behind it.
    """
    n_out = len(out)
    buffer = np.uint64(0)
    n_bits = 0
    width = 9
    next_code = 258
    at = 0
    done = 0
    before_start = 0
    before_bytes = 0  # none: right after the table was cleared
    while True:
        while n_bits < width:
            if at == len(packed):
                return False
            buffer = buffer << np.uint64(8) | np.uint64(packed[at])
            at += 1
            n_bits += 8
        n_bits -= width
        code = np.int64(buffer >> np.uint64(n_bits) & np.uint64((1 << width) - 1))
        if code == 257:
            return done == n_out
        if code == 256:
            width = 9
            next_code = 258
            before_bytes = 0
            continue
        if before_bytes:
            if next_code >= 4096:
                return False
            phrase_start[next_code] = before_start
            phrase_bytes[next_code] = before_bytes + 1
            next_code += 1
        before_start = done
        if code < 256:
            if done == n_out:
                return False
            out[done] = code
            done += 1
            before_bytes = 1
        else:
            if code >= next_code:
                return False
            length = phrase_bytes[code]
            if length > n_out - done:
                return False
            _copy(out, phrase_start[code], done, length)
            done += length
            before_bytes = length
        # The code that is read next may be the entry that is made with it.
        if next_code + 1 >= 1 << width and width < 12:
            width += 1


@_kernel
def _copy(data: U8, source: int, target: int, n_bytes: int) -> None:
    """Copy within an array, forwards; the two may overlap by the last byte of the source.

    Where there is room, blocks of 32 bytes go beyond the end, into what is written next.
    """
    i = 0
    if target - source >= 32 and target + n_bytes + 32 <= len(data):
        while i < n_bytes:
            a = data[source + i : source + i + 32]
            b = data[target + i : target + i + 32]
            for j in range(32):
                b[j] = a[j]
            i += 32
        return
    while i < n_bytes:
        data[target + i] = data[source + i]
        i += 1


@_kernel
def crop(pixels: Pixels, shape: StripShape, k: int) -> None:
    """See :func:`.plain.crop`."""
    width = shape.last_width if k == shape.n_tiles - 1 else shape.tile_width
    for y in range(1, shape.height):
        source, target = y * shape.tile_width, y * width
        for x in range(width):
            pixels[k, target + x] = pixels[k, source + x]
