"""What a Java stream is made of, read by kernels: numbers, handles, texts, references to classes.

A kernel is handed a place in the window and gives the place after what it read, or a negative
number. Every place is compared with the end of the window before it is looked at. The window, what
each handle stands for and the counts are a :class:`JavaStream`.
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np

from qpmask.javastream import codes
from qpmask.jit import I64_1D, U8_1D, kernel
from qpmask.jit.growing import full

MORE, SHORT, BACK, CLASS = range(-6, -2)
"""The window ends inside what is being read; the file does, inside ``n[WHAT]``; something is needed
that is no longer in the window; at ``n[CLASS_AT]`` a class is described (:mod:`.descriptors`)."""
NEGATIVE, NOTHING_THERE, BAD_TEXT, NOT_A_CLASS = range(-10, -6)
FAULTS: Final = {
    NEGATIVE: "{what} has a negative length",
    NOTHING_THERE: "a reference points at nothing",
    BAD_TEXT: "a text is not valid (modified UTF-8)",
    NOT_A_CLASS: "a class refers to something that is no class",
}
"""What may be wrong, in words."""
THINGS: Final = (
    "a value", "a text", "a class", "an array", "a block", "a reference", "an object of a class",
)  # fmt: skip
A_VALUE, A_TEXT, A_CLASS, AN_ARRAY, A_BLOCK, A_REFERENCE, AN_OBJECT = range(7)
"""``n[WHAT]``: what the file ends inside, or has a negative length."""

HANDLES, POS, BASE, SIZE, WHAT, HANDLE, ROW, REFERENCES = range(8, 16)
"""Places in ``n``: handles that were given, place in the window, offsets of the window and of the
end of the file; second results: a handle, the row of a class (-1 for null); references that were
noted, -1 to note none."""
CLASS_AT, CLASS_END, CLASS_ROW_THERE = range(16, 19)
"""Offsets of the class that is described, and of its end, and its row, once they are known."""

OTHER, TEXT_AT, KEY_AT, POOLED, CLASS_ROW = range(5)
"""What a handle stands for is one of these or of the caller's, and 16 times: nothing; the offset of
a text's code (of one that the caller looks for); what the caller made of a text; a class's row."""

# Without a sign: a compiled index that may be negative costs a comparison.
_1, _2, _3 = np.uint64(1), np.uint64(2), np.uint64(3)


class JavaStream(Protocol):
    """A window of a stream, ``data``; what each handle stands for; the counts.

    ``references`` are offsets of references, perhaps twice; not all, if it is full.
    """

    @property
    def data(self) -> U8_1D: ...  # noqa: D102
    @property
    def n(self) -> I64_1D: ...  # noqa: D102
    @property
    def handles(self) -> I64_1D: ...  # noqa: D102
    @property
    def references(self) -> I64_1D: ...  # noqa: D102


@kernel
def u2(data: U8_1D, pos: int) -> int:
    """Two bytes as a number."""
    at = np.uint64(pos)
    value: int = np.int64(data[at]) << 8 | np.int64(data[at + _1])
    return value


@kernel
def u4(data: U8_1D, pos: int) -> int:
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
def i8(data: U8_1D, pos: int) -> int:
    """Eight bytes as a number with a sign, or the bits of a double."""
    return u4(data, pos) << 32 | u4(data, pos + 4)


@kernel
def lacking(stream: JavaStream, end: int, what: int) -> int:
    """What to give where something ends behind the window: MORE, or SHORT if behind the file."""
    stream.n[WHAT] = what
    return MORE if stream.n[BASE] + end <= stream.n[SIZE] else SHORT


@kernel
def length(stream: JavaStream, size: int, what: int) -> int:
    """A length that was read, unless it is negative or more than the whole file."""
    stream.n[WHAT] = what
    if size < 0:
        return NEGATIVE
    return size if size <= stream.n[SIZE] else SHORT


@kernel
def new_handle(stream: JavaStream, entry: int) -> int:
    """Give the next handle."""
    handle: int = stream.n[HANDLES]
    if handle >= len(stream.handles):
        return full(stream.n, HANDLES, 1)
    stream.handles[handle] = entry
    stream.n[HANDLES] = handle + 1
    return handle


@kernel
def note_reference(stream: JavaStream, at: int) -> None:
    """Note where a reference is, if that is asked for."""
    n = stream.n
    if n[REFERENCES] >= 0:
        if n[REFERENCES] < len(stream.references):
            stream.references[n[REFERENCES]] = at
        n[REFERENCES] += 1


@kernel
def reference(stream: JavaStream, pos: int) -> int:
    """What the reference at ``pos`` stands for; it has five bytes, its handle is ``n[HANDLE]``."""
    n = stream.n
    if pos + 5 > len(stream.data):
        return lacking(stream, pos + 5, A_REFERENCE)
    handle = u4(stream.data, pos + 1) - codes.FIRST_HANDLE
    if handle < 0 or handle >= n[HANDLES]:
        return NOTHING_THERE
    n[HANDLE] = handle
    note_reference(stream, n[BASE] + pos)
    entry: int = stream.handles[handle]
    return entry


@kernel
def is_modified_utf8(data: U8_1D, start: int, end: int) -> bool:
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
def text_start(stream: JavaStream, pos: int) -> int:
    """Where the bytes of the text at ``pos`` start; they end where :func:`text_end` says."""
    return pos + (3 if stream.data[pos] == codes.TC_STRING else 9)


@kernel
def text_end(stream: JavaStream, pos: int) -> int:
    """Where the text at ``pos`` ends, which has its code and its length before it."""
    data = stream.data
    start = text_start(stream, pos)
    if start > len(data):
        return lacking(stream, start, A_TEXT)
    size = u2(data, pos + 1) if data[pos] == codes.TC_STRING else i8(data, pos + 1)
    size = length(stream, size, A_TEXT)
    if size < 0:
        return size
    if start + size > len(data):
        return lacking(stream, start + size, A_TEXT)
    return start + size if is_modified_utf8(data, start, start + size) else BAD_TEXT


@kernel
def read_text(stream: JavaStream, pos: int) -> int:
    """Read the text at ``pos``, which takes a handle: ``n[HANDLE]``."""
    end = text_end(stream, pos)
    if end < 0:
        return end
    handle = new_handle(stream, TEXT_AT | (stream.n[BASE] + pos) << 4)
    stream.n[HANDLE] = handle
    return handle if handle < 0 else end


@kernel
def skip_text(stream: JavaStream, pos: int, missing: int) -> int:
    """Read a text or a reference to one: ``n[HANDLE]``; or give ``missing``."""
    if pos >= len(stream.data):
        return lacking(stream, pos + 1, A_TEXT)
    code = stream.data[pos]
    if code == codes.TC_STRING or code == codes.TC_LONGSTRING:
        return read_text(stream, pos)
    if code != codes.TC_REFERENCE:
        return missing
    entry = reference(stream, pos)
    return entry if entry < 0 else pos + 5 if is_text(entry) else missing


@kernel
def is_text(entry: int) -> bool:
    """Whether a handle stands for a text."""
    return TEXT_AT <= entry & 15 <= POOLED


@kernel
def read_class(stream: JavaStream, pos: int) -> int:
    """Read a class: a reference to one, null, or what was found out where it is described."""
    data, n = stream.data, stream.n
    if pos >= len(data):
        return lacking(stream, pos + 1, A_CLASS)
    if data[pos] == codes.TC_REFERENCE:
        entry = reference(stream, pos)
        if entry < 0 or entry & 15 != CLASS_ROW:
            return entry if entry < 0 else NOT_A_CLASS
        n[ROW] = entry >> 4
        return pos + 5
    n[ROW] = -1
    if data[pos] == codes.TC_NULL:
        return pos + 1
    if n[CLASS_AT] != n[BASE] + pos:
        n[CLASS_AT] = n[BASE] + pos
        return CLASS
    n[ROW] = n[CLASS_ROW_THERE]
    end: int = n[CLASS_END] - n[BASE]
    return end
