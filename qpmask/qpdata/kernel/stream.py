"""What a Java Object Serialization stream is made of, compiled: numbers, handles, texts.

https://docs.oracle.com/en/java/javase/21/docs/specs/serialization/protocol.html. A kernel is handed
a place in the window and gives the place after what it read, or one of the negative numbers of
:mod:`.library`. Every place is compared with the end of the window before it is looked at.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from qpmask.jit import kernel
from qpmask.qpdata.kernel import faults
from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.kernel.library import I64, U8, Columns, Stream

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
def signed(value: int) -> int:
    """32 bits as a number with a sign."""
    return value - ((value & 0x80000000) << 1)


@kernel
def i8(data: U8, pos: int) -> int:
    """Eight bytes as a number with a sign, or the bits of a double."""
    return u4(data, pos) << 32 | u4(data, pos + 4)


@kernel
def lacking(stream: Stream, end: int, what: int) -> int:
    """What to give where something ends behind the window: MORE, or SHORT if behind the file."""
    stream.n[k.WHAT] = what
    return k.MORE if stream.n[k.BASE] + end <= stream.n[k.SIZE] else k.SHORT


@kernel
def length(stream: Stream, size: int, what: int) -> int:
    """A length that was read, unless it is negative or more than the whole file."""
    stream.n[k.WHAT] = what
    if size < 0:
        return faults.NEGATIVE
    return size if size <= stream.n[k.SIZE] else k.SHORT


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
    """What the reference at ``pos`` stands for; it has five bytes, its handle is ``n[HANDLE]``."""
    if pos + 5 > len(stream.data):
        return lacking(stream, pos + 5, faults.A_REFERENCE)
    handle = u4(stream.data, pos + 1) - k.FIRST_REFERENCE
    if handle < 0 or handle >= stream.n[k.HANDLES]:
        return faults.NOTHING_THERE
    n = stream.n
    n[k.HANDLE] = handle
    if n[k.CHILDREN_END]:
        if n[k.REFERENCES] < len(stream.references):
            stream.references[n[k.REFERENCES]] = n[k.BASE] + pos
        n[k.REFERENCES] += 1
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
    at = start
    while at < end:
        lead = np.int64(data[at])
        size = 1 if lead < 0x80 else 2 if 0xC0 <= lead < 0xE0 else 3 if 0xE0 <= lead < 0xF0 else 0
        if size == 0 or at + size > end:
            return False
        for i in range(at + 1, at + size):
            if data[i] & 0xC0 != 0x80:
                return False
        first = u2(data, at) if size > 1 else 0xC080
        if (first < 0xC280 and first != 0xC080) or 0xE000 <= first < 0xE0A0:  # longer than need be
            return False
        at += size
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
        return lacking(stream, start, faults.A_TEXT)
    size = u2(data, pos + 1) if data[pos] == k.TC_STRING else i8(data, pos + 1)
    size = length(stream, size, faults.A_TEXT)
    if size < 0:
        return size
    if start + size > len(data):
        return lacking(stream, start + size, faults.A_TEXT)
    return start + size if is_modified_utf8(data, start, start + size) else faults.BAD_TEXT


@kernel
def read_text(stream: Stream, pos: int) -> int:
    """Read the text at ``pos``, which takes a handle: ``n[HANDLE]``."""
    end = text_end(stream, pos)
    if end < 0:
        return end
    data, start = stream.data, text_start(stream, pos)
    is_key = end - start == 9 and i8(data, start) == _ID_KEY_TEXT and data[start + 8] == 0x44
    entry = (k.ID_KEY if is_key else k.TEXT_AT) | (stream.n[k.BASE] + pos) << 4
    handle = new_handle(stream, entry)
    stream.n[k.HANDLE] = handle
    return handle if handle < 0 else end


@kernel
def skip_text(stream: Stream, pos: int, missing: int) -> int:
    """Read a text or a reference to one: ``n[HANDLE]``; or give ``missing``."""
    if pos >= len(stream.data):
        return lacking(stream, pos + 1, faults.A_TEXT)
    code = stream.data[pos]
    if code == k.TC_STRING or code == k.TC_LONGSTRING:
        return read_text(stream, pos)
    if code != k.TC_REFERENCE:
        return missing
    entry = reference(stream, pos)
    return entry if entry < 0 else pos + 5 if is_text(entry) else missing


@kernel
def is_text(entry: int) -> bool:
    """Whether a handle stands for a text."""
    return k.TEXT_AT <= entry & 15 <= k.POOLED


@kernel
def pool_text(stream: Stream, columns: Columns, start: int, end: int) -> int:
    """Keep a text; give its number."""
    n = stream.n
    text: int = n[k.TEXTS]
    at = n[k.TEXT_BYTES]
    if text >= len(columns.text_ends):
        return full(n, k.TEXTS, 1)
    if at + end - start > len(columns.text_bytes):
        return full(n, k.TEXT_BYTES, end - start)
    for i in range(end - start):
        columns.text_bytes[at + i] = stream.data[start + i]
    n[k.TEXTS] = text + 1
    n[k.TEXT_BYTES] = columns.text_ends[text] = at + end - start
    return text


@kernel
def keep_text(stream: Stream, columns: Columns, entry: int, handle: int, missing: int) -> int:
    """Keep the text of a handle, once: ``n[TEXT]``, -1 for null; ``missing`` for what is none."""
    n = stream.n
    n[k.TEXT] = -1
    if entry == k.NULL:
        return 0
    if entry & 15 == k.POOLED:
        n[k.TEXT] = entry >> 4
        return 0
    if not is_text(entry):
        return missing
    at = (entry >> 4) - n[k.BASE]
    if at < 0:
        return k.BACK
    end = text_end(stream, at)
    if end < 0:
        return end
    text = pool_text(stream, columns, text_start(stream, at), end)
    if text < 0:
        return text
    n[k.TEXT] = text
    if entry & 15 == k.TEXT_AT:
        stream.handles[handle] = k.POOLED | text << 4
    return 0
