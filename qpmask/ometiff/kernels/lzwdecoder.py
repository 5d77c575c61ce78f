"""LZW to runs, or to pixels where a segment holds more than runs, compiled."""

from __future__ import annotations

import numpy as np

from qpmask import jit
from qpmask.jit import kernel
from qpmask.ometiff.kernels.levels import add, recut
from qpmask.ometiff.kernels.library import I32, I64, LIBRARY, U8, U32
from qpmask.ometiff.runs import RunStrip
from qpmask.ometiff.strips import StripShape


@LIBRARY.entry
def unpack_runs(
    data: jit.U8_1D,
    starts: jit.I64_1D,
    n_bytes: jit.I64_1D,
    tiles: jit.I64_1D,
    period: int,
    shape: StripShape,
    labels: jit.I64_1D,
    out: RunStrip,
    whole: RunStrip,
    phrases: jit.I64_2D,
) -> None:
    """See :func:`.calls.unpack_runs`.

    ``out`` has room for two runs for each byte, and each row of each tile and eight more; so has
    ``whole``, room to work in, with two numbers in ``start``. ``phrases``: shape (2, 4096).
    """
    area = np.int64(shape.tile_width * shape.tile_height)
    values, ends, start = out.values, out.ends, out.start
    n_runs = 0
    i = 0
    for k in range(shape.n_tiles):
        width = shape.last_width if k == shape.n_tiles - 1 else shape.tile_width
        if i < len(tiles) and tiles[i] == k:
            # No code, which is more than a byte, gives more than two runs.
            packed = data[starts[i] : starts[i] + n_bytes[i]]
            is_full = width == shape.tile_width and shape.height == shape.tile_height
            if is_full and period == 1:
                found = _decode_runs(packed, area, values[n_runs:], ends[n_runs:], phrases)
            elif is_full:
                found = _decode_wide_runs(
                    packed, period, area, values[n_runs:], ends[n_runs:], phrases
                )
            else:
                if period == 1:
                    found = _decode_runs(packed, area, whole.values, whole.ends, phrases)
                else:
                    found = _decode_wide_runs(
                        packed, period, area, whole.values, whole.ends, phrases
                    )
                whole.start[0], whole.start[1] = 0, found
                if found > 0:
                    found = recut(
                        whole, 0, shape.tile_width, width, shape.height,
                        values[n_runs:], ends[n_runs:],
                    )  # fmt: skip
            n_runs += found
            i += 1
        elif labels[k] >= 0:
            values[n_runs] = labels[k]
            ends[n_runs] = width * shape.height
            n_runs += 1
        start[k + 1] = n_runs


@kernel
def _next_code(
    packed: U8, at: int, buffer: np.uint64, n_bits: int, width: int
) -> tuple[int, int, np.uint64, int]:
    """Take the next code, -1 at the end; where to read on, bits that were read and not taken."""
    if n_bits < width and at + 4 <= len(packed):
        word = np.uint64(0)
        for i in range(4):
            word = word << np.uint64(8) | np.uint64(packed[at + i])
        buffer = buffer << np.uint64(32) | word
        at += 4
        n_bits += 32
    while n_bits < width:
        if at == len(packed):
            return -1, at, buffer, n_bits
        buffer = buffer << np.uint64(8) | np.uint64(packed[at])
        at += 1
        n_bits += 8
    n_bits -= width
    code = np.int64(buffer >> np.uint64(n_bits) & np.uint64((1 << width) - 1))
    return code, at, buffer, n_bits


@kernel
def _decode_runs(packed: U8, area: int, values: U32, ends: I32, phrases: I64) -> int:
    """Decode an LZW segment of one byte a pixel to runs; how many, or 0 if that cannot be done.

    It can while no code stands for a phrase of two labels, as is so in a file that was packed by
    runs. Whatever is wrong with the segment, 0 leaves it to the general decoder to say.
    """
    phrase_label, phrase_bytes = phrases[0], phrases[1]
    buffer = np.uint64(0)
    n_bits = 0
    width = 9
    next_code = 258
    at = 0
    done = 0
    n_runs = 0
    before_label = -1  # none: right after the table was cleared
    before_bytes = 0
    last_label = -1
    while True:
        code, at, buffer, n_bits = _next_code(packed, at, buffer, n_bits, width)
        if code < 0:
            return 0
        if code == 257:
            return n_runs if done == area else 0
        if code == 256:
            width = 9
            next_code = 258
            before_label = -1
            continue
        if code < 256:
            label, n = code, 1
        elif code < next_code:
            label, n = phrase_label[code], phrase_bytes[code]
        elif code == next_code and before_label >= 0:
            label, n = before_label, before_bytes + 1
        else:
            return 0
        if label < 0 or n > area - done:
            return 0
        if before_label >= 0:
            if next_code >= 4096:
                return 0
            phrase_label[next_code] = label if label == before_label else -1
            phrase_bytes[next_code] = before_bytes + 1
            next_code += 1
        done += n
        if label == last_label:
            ends[n_runs - 1] = done
        else:
            values[n_runs] = label
            ends[n_runs] = done
            n_runs += 1
            last_label = label
        before_label, before_bytes = label, n
        # The code that is read next may be the entry that is made with it.
        if next_code + 1 >= 1 << width and width < 12:
            width += 1


@kernel
def _decode_wide_runs(
    packed: U8, period: int, area: int, values: U32, ends: I32, phrases: I64
) -> int:
    """The same of 2 or 4 bytes a pixel (``period``), in half again of the time a code.

    A phrase is kept as its first bytes, ``period`` at most, which the others repeat; of one whose
    others do not, the number of bytes is -1.
    """
    phrase_head, phrase_bytes = phrases[0], phrases[1]
    last_byte = period - 1
    shift = 0 if period == 1 else 1 if period == 2 else 2
    whole = np.int64(0xFFFFFFFF) if period == 4 else np.int64((1 << 8 * period) - 1)
    buffer = np.uint64(0)
    n_bits = 0
    width = 9
    next_code = 258
    at = 0
    left = area * period  # bytes
    done = 0  # whole pixels
    pixel = np.int64(0)  # the one that is not whole yet, and its bytes
    filled = 0
    n_runs = 0
    before_head = np.int64(0)
    before_bytes = np.int64(0)  # none: right after the table was cleared
    while True:
        code, at, buffer, n_bits = _next_code(packed, at, buffer, n_bits, width)
        if code < 0:
            return 0
        if code == 257:
            return n_runs if left == 0 else 0
        if code == 256:
            width = 9
            next_code = 258
            before_bytes = np.int64(0)
            continue
        if code < 256:
            head, n = code, np.int64(1)
        elif code < next_code:
            head, n = phrase_head[code], phrase_bytes[code]
        elif code == next_code and before_bytes > 0:
            head, n = _longer(before_head, before_bytes, before_head & 255, period)
        else:
            return 0
        if n <= 0 or n > left:
            return 0
        if before_bytes > 0:
            if next_code >= 4096:
                return 0
            longer = _longer(before_head, before_bytes, head & 255, period)
            phrase_head[next_code], phrase_bytes[next_code] = longer
            next_code += 1
        left -= n
        before_head, before_bytes = head, n
        # The code that is read next may be the entry that is made with it.
        if next_code + 1 >= 1 << width and width < 12:
            width += 1

        if filled > 0:
            k = min(n, period - filled)
            pixel |= (head & ((1 << 8 * k) - 1)) << 8 * filled
            filled += k
            n -= k
            head = (head >> 8 * k | head << 8 * (period - k)) & whole
            if filled < period:
                continue
            done += 1
            n_runs = add(values, ends, 0, n_runs, pixel, done)
        n_pixels = n >> shift
        if n_pixels > 0:
            done += n_pixels
            n_runs = add(values, ends, 0, n_runs, head, done)
        filled = n & last_byte
        pixel = head & ((1 << 8 * filled) - 1)


@kernel
def _longer(head: int, n_bytes: int, byte: int, period: int) -> tuple[int, int]:
    """A phrase and a byte more: its first bytes, its bytes; -1 where this byte repeats none."""
    if n_bytes < period:
        return head | byte << 8 * n_bytes, n_bytes + 1
    repeated = head >> 8 * (n_bytes & (period - 1)) & 255
    return head, n_bytes + 1 if repeated == byte else -1


@LIBRARY.entry
def unpack_pixels(
    data: jit.U8_1D,
    starts: jit.I64_1D,
    n_bytes: jit.I64_1D,
    tiles: jit.I64_1D,
    out: jit.U8_2D,
    failed: jit.U8_1D,
    phrases: jit.I64_2D,
) -> None:
    """See :func:`.calls.unpack_pixels`; ``phrases`` is room to work in, shape (2, 4096)."""
    for i in range(len(tiles)):
        packed = data[starts[i] : starts[i] + n_bytes[i]]
        is_sound = _decode_tile(packed, out[tiles[i]], phrases[0], phrases[1])
        failed[i] = 0 if is_sound else 1


@kernel
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
        code, at, buffer, n_bits = _next_code(packed, at, buffer, n_bits, width)
        if code < 0:
            return False
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


@kernel
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
