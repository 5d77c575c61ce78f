"""The grammar of a Java Object Serialization stream, compiled: values of any kind.

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
def read_class(stream: Stream, pos: int) -> int:
    """Read a class descriptor or a reference to one; its row is ``n[ROW]``."""
    n, classes = stream.n, stream.classes
    if pos >= len(stream.data):
        return lacking(stream, pos + 1)
    code = stream.data[pos]
    if code == k.TC_REFERENCE:
        entry = reference(stream, pos + 1)
        if entry < 0:
            return entry
        if entry & 15 != k.CLASS_ROW:
            return k.UNKNOWN
        n[k.ROW] = entry >> 4
        return pos + 5
    if code != k.TC_CLASSDESC:
        return k.UNKNOWN
    at = n[k.BASE] + pos
    for row in range(n[k.N_CLASSES] - 1, -1, -1):
        if classes[row, k.AT] == at and classes[row, k.FIRST_HANDLE] == n[k.HANDLES]:
            pos += classes[row, k.LENGTH]
            if pos > len(stream.data):
                return lacking(stream, pos)
            n[k.HANDLES] += classes[row, k.N_HANDLES]
            n[k.ROW] = row
            return pos
    n[k.ASK_AT] = at
    n[k.ASK_HANDLE] = n[k.HANDLES]
    return k.CLASS


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
def read_array(stream: Stream, pos: int, items: I64) -> int:
    """Read the head of the array at ``pos``; ``items[1]`` is the number of its items.

    It ends before its first item. Its items are in the window if they are numbers.
    """
    pos = read_class(stream, pos + 1)
    if pos < 0:
        return pos
    item_bytes = stream.classes[stream.n[k.ROW], k.ITEM_BYTES]
    if item_bytes < 0:
        return k.UNKNOWN
    if pos + 4 > len(stream.data):
        return lacking(stream, pos + 4)
    n_items = i4(stream.data, pos)
    pos += 4
    if n_items < 0 or stream.n[k.BASE] + pos + n_items > stream.n[k.SIZE]:
        return k.UNKNOWN
    if pos + n_items * item_bytes > len(stream.data):
        return lacking(stream, pos + n_items * item_bytes)
    handle = new_handle(stream, k.OTHER if item_bytes else k.OBJECT_ARRAY)
    if handle < 0:
        return handle
    items[0], items[1] = 0, n_items
    return pos


@kernel
def array_of(stream: Stream, pos: int, code: int, items: I64) -> int:
    """Read the head of an array of numbers of one type, or (code 0) of objects."""
    if pos >= len(stream.data):
        return lacking(stream, pos + 1)
    if stream.data[pos] != k.TC_ARRAY:
        return k.UNKNOWN
    pos = read_array(stream, pos, items)
    if pos >= 0 and stream.classes[stream.n[k.ROW], k.ITEM_CODE] != code:
        return k.UNKNOWN
    return pos


@kernel
def read_enum(stream: Stream, pos: int) -> int:
    """Read the head of the enum constant at ``pos``; its name comes next."""
    pos = read_class(stream, pos + 1)
    if pos < 0:
        return pos
    handle = new_handle(stream, k.OTHER)
    return handle if handle < 0 else pos


@kernel
def skip_enum_name(stream: Stream, pos: int) -> int:
    """Pass over the name of an enum constant."""
    if pos >= len(stream.data):
        return lacking(stream, pos + 1)
    code = stream.data[pos]
    if code in (k.TC_STRING, k.TC_LONGSTRING):
        return read_text(stream, pos)
    if code != k.TC_REFERENCE:
        return k.UNKNOWN
    entry = reference(stream, pos + 1)
    if entry < 0:
        return entry
    return pos + 5 if is_text(entry) else k.UNKNOWN


@kernel
def form_at(stream: Stream, pos: int) -> int:
    """The form of the object at ``pos``, or that is referred to there, without reading it.

    Its class is ``n[ROW]``. PLAIN for whatever else stands there.
    """
    n = stream.n
    if pos >= len(stream.data):
        return lacking(stream, pos + 1)
    code = stream.data[pos]
    if code == k.TC_REFERENCE:
        entry = reference(stream, pos + 1)
        if entry < 0:
            return entry
        if entry & 15 != k.OBJECT_OF:
            return k.PLAIN
        n[k.ROW] = entry >> 4
    elif code in (k.TC_OBJECT, k.TC_ENUM):
        n_handles = n[k.HANDLES]
        inside = read_class(stream, pos + 1)
        if inside < 0:
            return inside
        n[k.HANDLES] = n_handles
    else:
        return k.PLAIN
    form: int = stream.classes[n[k.ROW], k.FORM]
    return form


@kernel
def open_object(stream: Stream, pos: int, form: int) -> int:
    """Read the head of an object of this form; its class is ``n[ROW]``, its handle the last one."""
    n = stream.n
    if pos >= len(stream.data):
        return lacking(stream, pos + 1)
    if stream.data[pos] != k.TC_OBJECT:
        return k.UNKNOWN
    pos = read_class(stream, pos + 1)
    if pos < 0:
        return pos
    if stream.classes[n[k.ROW], k.FORM] != form:
        return k.UNKNOWN
    handle = new_handle(stream, k.OBJECT_OF | n[k.ROW] << 4)
    return handle if handle < 0 else pos


@kernel
def read_object(stream: Stream, pos: int) -> int:
    """Read the head of the object at ``pos``, whatever it is, and give it its handle."""
    pos = read_class(stream, pos + 1)
    if pos < 0:
        return pos
    row = stream.n[k.ROW]
    form = stream.classes[row, k.FORM]
    entry = k.OBJECT_OF | row << 4
    if form in (k.A_BOOLEAN, k.AN_INTEGER):
        n_bytes = 1 if form == k.A_BOOLEAN else 4
        if pos + n_bytes > len(stream.data):
            return lacking(stream, pos + n_bytes)
        if form == k.A_BOOLEAN:
            entry = k.TRUE_OR_FALSE | (16 if stream.data[pos] else 0)
        else:
            entry = k.INTEGER | u4(stream.data, pos) << 4
    handle = new_handle(stream, entry)
    return handle if handle < 0 else pos


@kernel
def skip_block(stream: Stream, pos: int) -> int:
    """Pass over the block of raw data at ``pos``."""
    start = pos + (2 if stream.data[pos] == k.TC_BLOCKDATA else 5)
    if start > len(stream.data):
        return lacking(stream, start)
    size = np.int64(stream.data[pos + 1])
    if stream.data[pos] == k.TC_BLOCKDATALONG:
        size = i4(stream.data, pos + 1)
    if size < 0:
        return k.UNKNOWN
    return start + size if start + size <= len(stream.data) else lacking(stream, start + size)


@kernel
def skip_value(stream: Stream, pos: int) -> int:
    """Pass over a value, whatever it is, with all that it holds; what it holds takes handles."""
    data, steps, frames = stream.data, stream.steps, stream.frames
    depth = 0
    while True:
        if pos >= len(data):
            return lacking(stream, pos + 1)
        code = data[pos]
        in_contents = depth > 0 and frames[depth - 1, 1] == k.UNTIL_END
        is_done = True  # a value of the innermost object is complete
        if code == k.TC_NULL:
            pos += 1
        elif code == k.TC_REFERENCE:
            entry = reference(stream, pos + 1)
            pos = entry if entry < 0 else pos + 5
        elif code in (k.TC_STRING, k.TC_LONGSTRING):
            pos = read_text(stream, pos)
        elif code in (k.TC_OBJECT, k.TC_ARRAY):
            if depth >= k.MAX_DEPTH:
                return k.UNKNOWN
            frame = frames[depth]
            if code == k.TC_OBJECT:
                pos = read_object(stream, pos)
                if pos < 0:
                    return pos
                step = stream.classes[stream.n[k.ROW], k.FIRST_STEP]
                if step < 0:
                    return k.UNKNOWN
                frame[0], frame[1] = step, steps[step, 1]
                pos += steps[step, 0]
            else:
                pos = read_array(stream, pos, frame)
                if pos < 0:
                    return pos
                item_bytes = stream.classes[stream.n[k.ROW], k.ITEM_BYTES]
                if item_bytes > 0:
                    pos += frame[1] * item_bytes
                    frame[1] = 0
            if frame[1] != 0:
                depth += 1
                is_done = False
        elif code == k.TC_ENUM:
            pos = read_enum(stream, pos)
            if pos >= 0:
                pos = skip_enum_name(stream, pos)
        elif in_contents and code == k.TC_ENDBLOCKDATA:
            frames[depth - 1, 1] = 1
            pos += 1
        elif in_contents and (code in (k.TC_BLOCKDATA, k.TC_BLOCKDATALONG)):
            pos = skip_block(stream, pos)
        else:
            return k.UNKNOWN
        if pos < 0:
            return pos
        while is_done and depth > 0:
            frame = frames[depth - 1]
            if frame[1] == k.UNTIL_END:
                break
            frame[1] -= 1
            if frame[1] > 0:
                break
            frame[0] += 1
            frame[1] = steps[frame[0], 1]
            pos += steps[frame[0], 0]
            if frame[1] != 0:
                break
            depth -= 1
        if depth == 0:
            return pos if pos <= len(data) else lacking(stream, pos)
