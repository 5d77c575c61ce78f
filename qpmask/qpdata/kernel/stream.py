"""What a Java Object Serialization stream is made of, compiled: numbers, handles, texts, blocks.

https://docs.oracle.com/en/java/javase/21/docs/specs/serialization/protocol.html. Every place is
compared with the end of the window before it is looked at.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from qpmask.jit import kernel
from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.kernel.library import I64, U8, Stream

# Without a sign: a compiled index that may be negative costs a comparison.
_1, _2, _3 = np.uint64(1), np.uint64(2), np.uint64(3)
_ID_KEY_TEXT: Final = int.from_bytes(b"Object I", "big")  # and a D


@kernel
def u2(data: U8, pos: int) -> int:
    """Two bytes as a number."""
    at = np.uint64(pos)
    value: int = np.int64(data[at]) << 8 | np.int64(data[at + _1])
    return value


@kernel
def u4(data: U8, pos: int) -> int:
    """Four bytes as a number."""
    at = np.uint64(pos)
    value: int = (
        np.int64(data[at]) << 24
        | np.int64(data[at + _1]) << 16
        | np.int64(data[at + _2]) << 8
        | np.int64(data[at + _3])
    )
    return value


@kernel
def i4(data: U8, pos: int) -> int:
    """Four bytes as a number with a sign."""
    value = u4(data, pos)
    return value - ((value & 0x80000000) << 1)


@kernel
def i8(data: U8, pos: int) -> int:
    """Eight bytes as a number with a sign, or the bits of a double."""
    return u4(data, pos) << 32 | u4(data, pos + 4)


@kernel
def lacking(stream: Stream, end: int) -> int:
    """What to give where something ends behind the window: MORE, or SHORT if behind the file."""
    return k.MORE if stream.n[k.BASE] + end <= stream.n[k.SIZE] else k.SHORT


@kernel
def full(n: I64, count: int, more: int) -> int:
    """What to give where there is no room for ``more`` of what ``n[count]`` counts."""
    n[k.FULL] = count
    n[k.WANTED] = n[count] + more
    return k.ROOM


@kernel
def new_handle(stream: Stream, entry: int) -> int:
    """Give the next handle."""
    handle: int = stream.n[k.HANDLES]
    if handle >= len(stream.handles):
        return full(stream.n, k.HANDLES, 1)
    stream.handles[handle] = entry
    stream.n[k.HANDLES] = handle + 1
    return handle


@kernel
def reference(stream: Stream, pos: int) -> int:
    """What the reference at ``pos``, behind its code, stands for; it has four bytes."""
    if pos + 4 > len(stream.data):
        return lacking(stream, pos + 4)
    handle = u4(stream.data, pos) - k.FIRST_REFERENCE
    if handle < 0 or handle >= stream.n[k.HANDLES]:
        return k.UNKNOWN
    entry: int = stream.handles[handle]
    return entry


@kernel
def is_modified_utf8(data: U8, start: int, end: int) -> bool:
    """Whether bytes are a text as Java writes it: NUL as two bytes, nothing above three."""
    seen = np.uint8(0)
    for i in range(np.uint64(start), np.uint64(end)):
        seen |= data[i]
    if seen < 0x80:
        return True
    i = start
    while i < end:
        lead = np.int64(data[i])
        if lead < 0x80:
            i += 1
        elif 0xC0 <= lead < 0xF0:
            size = 2 if lead < 0xE0 else 3
            if i + size > end:
                return False
            second = np.int64(data[i + 1])
            if second & 0xC0 != 0x80 or (size == 3 and np.int64(data[i + 2]) & 0xC0 != 0x80):
                return False
            if lead < 0xC2 and (lead, second) != (0xC0, 0x80):
                return False
            if lead == 0xE0 and second < 0xA0:
                return False
            i += size
        else:
            return False
    return True


@kernel
def text_start(stream: Stream, pos: int) -> int:
    """Where the bytes of the text at ``pos`` start; they end where :func:`text_end` says."""
    return pos + (3 if stream.data[pos] == k.TC_STRING else 9)


@kernel
def text_end(stream: Stream, pos: int) -> int:
    """Where the text at ``pos`` ends, which has its code and its length before it."""
    data = stream.data
    start = text_start(stream, pos)
    if start > len(data):
        return lacking(stream, start)
    size = u2(data, pos + 1) if data[pos] == k.TC_STRING else i8(data, pos + 1)
    if size < 0 or size > stream.n[k.SIZE]:
        return k.UNKNOWN
    if start + size > len(data):
        return lacking(stream, start + size)
    return start + size if is_modified_utf8(data, start, start + size) else k.UNKNOWN


@kernel
def is_id_key(data: U8, start: int, end: int) -> bool:
    """Whether a text is the key of an object's id."""
    return end - start == 9 and i8(data, start) == _ID_KEY_TEXT and data[start + 8] == 0x44


@kernel
def read_text(stream: Stream, pos: int) -> int:
    """Read the text at ``pos``, which takes a handle."""
    end = text_end(stream, pos)
    if end < 0:
        return end
    is_key = is_id_key(stream.data, text_start(stream, pos), end)
    entry = (k.ID_KEY if is_key else k.TEXT_AT) | (stream.n[k.BASE] + pos) << 4
    handle = new_handle(stream, entry)
    return handle if handle < 0 else end


@kernel
def is_text(entry: int) -> bool:
    """Whether a handle stands for a text."""
    kind = entry & 15
    return kind in (k.TEXT_AT, k.ID_KEY, k.POOLED)


@kernel
def skip_text(stream: Stream, pos: int) -> int:
    """Pass over a text, or a reference to one."""
    if pos >= len(stream.data):
        return lacking(stream, pos + 1)
    if stream.data[pos] == k.TC_REFERENCE:
        entry = reference(stream, pos + 1)
        if entry < 0:
            return entry
        return pos + 5 if is_text(entry) else k.UNKNOWN
    if stream.data[pos] in (k.TC_STRING, k.TC_LONGSTRING):
        return read_text(stream, pos)
    return k.UNKNOWN


@kernel
def expect(stream: Stream, pos: int, code: int) -> int:
    """Pass over a byte that must be this one."""
    if pos >= len(stream.data):
        return lacking(stream, pos + 1)
    return pos + 1 if stream.data[pos] == code else k.UNKNOWN


@kernel
def read_block(stream: Stream, pos: int, size: int) -> int:
    """Pass over a block of raw data that must be of this size."""
    end = pos + 2 + size
    if end > len(stream.data):
        return lacking(stream, end)
    if stream.data[pos] != k.TC_BLOCKDATA or stream.data[pos + 1] != size:
        return k.UNKNOWN
    return end
