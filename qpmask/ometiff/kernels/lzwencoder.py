"""Runs to LZW, compiled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qpmask import jit
from qpmask.jit import kernel
from qpmask.ometiff.kernels.levels import recut
from qpmask.ometiff.kernels.library import I32, I64, LIBRARY, U8, U32
from qpmask.ometiff.runs import RunStrip
from qpmask.ometiff.strips import StripShape

MAX_SLOTS = 256  # labels that have LZW phrases at one time
MAX_PHRASE = 1024  # bytes in the longest phrase: enough for a tile of 512 pixels of one label


class EncoderRoom(NamedTuple):
    """Arrays that encoding works in.

    Attributes
    ----------
    codes : uint16 array (period * MAX_SLOTS, MAX_PHRASE + 1)
        ``period`` is the number of bytes of a pixel.
    longest : int32 array (period * MAX_SLOTS,)
    slot_of : int32 array (65536,)
        By the low 16 bits of a label; all -1 before and after.
    label_of : int64 array (MAX_SLOTS,)
    values, ends : uint32 and int32 arrays (n,)
        Room for the runs of any tile, two more for each row, and two more.
    """

    codes: jit.U16_2D
    longest: jit.I32_1D
    slot_of: jit.I32_1D
    label_of: jit.I64_1D
    values: jit.U32_1D
    ends: jit.I32_1D


@LIBRARY.entry
def pack_runs(
    runs: RunStrip,
    period: int,
    shape: StripShape,
    out: jit.U8_1D,
    n_bytes: jit.I64_1D,
    room: EncoderRoom,
) -> int:
    """See :func:`.calls.pack_runs`; the number of bytes, or -1 where there is not room for all."""
    at = 0
    for k in range(shape.n_tiles):
        n_bytes[k] = 0
        first, last = runs.start[k], runs.start[k + 1]
        if last - first < 2:
            continue
        values, ends = runs.values[first:last], runs.ends[first:last]
        width = shape.last_width if k == shape.n_tiles - 1 else shape.tile_width
        if width < shape.tile_width or shape.height < shape.tile_height:
            n = recut(runs, k, width, shape.tile_width, shape.tile_height, room.values, room.ends)
            values, ends = room.values[:n], room.ends[:n]
        n = _encode_tile(values, ends, period, out[at:], room)
        if n < 0:
            return -1
        n_bytes[k] = n
        at += n
    return at


@kernel
def _encode_tile(values: U32, ends: I32, period: int, out: U8, room: EncoderRoom) -> int:
    """Encode a tile of ``period`` (1, 2 or 4) bytes a pixel; the encoded length, -1 without room.

    A phrase is the beginning of a run: of one label at one phase (which of the label's bytes comes
    first), ``length`` bytes long. Greedy LZW makes the phrases of one label and phase in the order
    of their length, so a table of codes by (label's slot, phase, length) is all the dictionary
    there is. Codes of other phrases are counted and never used. Of labels that have their low 16
    bits in common one has phrases at a time; the table is cleared for the other.
    """
    if len(out) < 16:
        return -1
    codes, longest, slot_of, label_of = room.codes, room.longest, room.slot_of, room.label_of
    n_slots = 0
    n_out = 0
    buffer = np.uint64(256)  # bits not yet written; the code that clears the table comes first
    n_bits = 9
    width = 9
    next_code = 258
    repeats = np.int64(1)  # a 1 in each byte of a label
    if period == 2:
        repeats = np.int64(0x0101)
    elif period == 4:
        repeats = np.int64(0x01010101)

    start = 0
    for i in range(len(values)):
        label = np.int64(values[i])
        low = label & 65535
        first = label & 255
        alike = label == first * repeats  # all its bytes
        end = np.int64(ends[i]) * period
        at = start
        slot = np.int64(slot_of[low])
        clears = n_slots == MAX_SLOTS if slot < 0 else label_of[slot] != label
        while at < end:
            if n_bits >= 32:
                if n_out + 16 > len(out):
                    _free_slots(slot_of, label_of, n_slots)
                    return -1
                n_bits -= 32
                word = np.int64(buffer >> np.uint64(n_bits) & np.uint64(0xFFFFFFFF))
                out[n_out] = word >> 24 & 255
                out[n_out + 1] = word >> 16 & 255
                out[n_out + 2] = word >> 8 & 255
                out[n_out + 3] = word & 255
                n_out += 4
            if clears or next_code == 4094:
                buffer = (buffer << np.uint64(width)) | np.uint64(256)
                n_bits += width
                width = 9
                next_code = 258
                _free_slots(slot_of, label_of, n_slots)
                n_slots = 0
                slot = np.int64(-1)
                clears = False
                continue
            if slot < 0:
                slot = np.int64(n_slots)
                slot_of[low] = slot
                label_of[slot] = label
                for phase in range(period):
                    longest[slot * period + phase] = 1
                n_slots += 1
            phase = np.int64(0)
            if not alike:
                phase = (at - start) & (period - 1)
            key = slot * period + phase
            length = min(np.int64(longest[key]), end - at)
            code = label >> (8 * phase) & 255
            if length > 1:
                code = np.int64(codes[key, length])
            buffer = (buffer << np.uint64(width)) | np.uint64(code)
            n_bits += width
            # The decoder makes an entry of this phrase and the byte that follows.
            at += length
            if at < end and length < MAX_PHRASE:
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
    _free_slots(slot_of, label_of, n_slots)
    return n_out


@kernel
def _free_slots(slot_of: I32, label_of: I64, n_slots: int) -> None:
    """Forget which labels have phrases."""
    for s in range(n_slots):
        slot_of[label_of[s] & 65535] = -1
