"""Values of any kind, compiled: class descriptors, arrays, enum constants, objects."""

from __future__ import annotations

import numpy as np

from qpmask.jit import kernel
from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.kernel.library import I64, Stream
from qpmask.qpdata.kernel.stream import (
    expect,
    i4,
    lacking,
    new_handle,
    read_text,
    reference,
    skip_text,
    u2,
    u4,
)


@kernel
def _keep_of_class(stream: Stream, pos: int, before: int, behind: int) -> int:
    """Add a text of a class descriptor, its length and bytes on either side to ``stream.key``."""
    data, at = stream.data, stream.n[k.KEY_END]
    if pos + before + 2 > len(data):
        return lacking(stream, pos + before + 2)
    size = before + 2 + u2(data, pos + before) + behind
    if pos + size > len(data):
        return lacking(stream, pos + size)
    if at + size > len(stream.key):
        return k.UNKNOWN
    for i in range(size):
        stream.key[at + i] = data[pos + i]
    stream.n[k.KEY_END] = at + size
    return pos + size


@kernel
def _read_level(stream: Stream, pos: int) -> int:
    """Read what a descriptor says of one class, up to its super class."""
    handle = new_handle(stream, k.OTHER)
    if handle < 0:
        return handle
    pos = _keep_of_class(stream, pos, 1, 11)  # code; version, flags, number of fields
    if pos < 0:
        return pos
    for _ in range(u2(stream.data, pos - 2)):
        at = pos
        pos = _keep_of_class(stream, pos, 1, 0)
        if pos >= 0 and stream.data[at] in (0x4C, 0x5B):  # L, [: the type of a field of objects
            pos = skip_text(stream, pos)
        if pos < 0:
            return pos
    return expect(stream, pos, k.TC_ENDBLOCKDATA)


@kernel
def _row_of(stream: Stream, start: int, end: int, parent: int) -> int:
    """Row of the class with this part of ``stream.key``, and this super class."""
    n, classes = stream.n, stream.classes
    for row in range(len(classes)):
        at = classes[row, k.KEY_AT]
        i = start
        if classes[row, k.PARENT] == parent and classes[row, k.KEY_SIZE] == end - start:
            while i < end and stream.keys[at + i - start] == stream.key[i]:
                i += 1
            if i == end:
                return row
    n[k.KEY_START], n[k.KEY_END], n[k.ROW] = start, end, parent
    return k.CLASS


@kernel
def _class_reference(stream: Stream, pos: int) -> int:
    """Read a reference to a class, whose row is ``n[ROW]``."""
    entry = reference(stream, pos + 1)
    if entry < 0:
        return entry
    stream.n[k.ROW] = entry >> 4
    return pos + 5 if entry & 15 == k.CLASS_ROW else k.UNKNOWN


@kernel
def read_class(stream: Stream, pos: int) -> int:
    """Read a class descriptor or a reference to one; its row is ``n[ROW]``."""
    if pos >= len(stream.data):
        return lacking(stream, pos + 1)
    if stream.data[pos] == k.TC_REFERENCE:
        return _class_reference(stream, pos)
    return _descriptor(stream, pos)


@kernel
def _descriptor(stream: Stream, pos: int) -> int:
    """Read a class descriptor, with those of its super classes behind it."""
    n = stream.n
    n[k.KEY_END] = 0
    depth = 0
    while pos < len(stream.data) and stream.data[pos] == k.TC_CLASSDESC:
        if depth >= k.MAX_SUPER_CLASSES:
            return k.UNKNOWN
        level = stream.frames[k.MAX_DEPTH + 1 + depth]
        level[0], level[1] = n[k.HANDLES], n[k.KEY_END]
        pos = _read_level(stream, pos)
        if pos < 0:
            return pos
        depth += 1
    if pos < len(stream.data) and depth > 0 and stream.data[pos] == k.TC_REFERENCE:
        pos = _class_reference(stream, pos)
    else:
        pos = expect(stream, pos, k.TC_NULL) if depth > 0 else k.UNKNOWN
        n[k.ROW] = -1
    if pos < 0:
        return pos
    end = n[k.KEY_END]
    while depth > 0:
        depth -= 1
        level = stream.frames[k.MAX_DEPTH + 1 + depth]
        row = _row_of(stream, level[1], end, n[k.ROW])
        if row < 0:
            return row
        stream.handles[level[0]] = k.CLASS_ROW | row << 4
        n[k.ROW] = row
        end = level[1]
    return pos


@kernel
def read_array(stream: Stream, pos: int, items: I64) -> int:
    """Read the head of the array at ``pos``; ``items[1]`` is the number of its items.

    It ends before its first item. Its items are in the window if they are numbers.
    """
    pos = expect(stream, pos, k.TC_ARRAY)
    if pos >= 0:
        pos = read_class(stream, pos)
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
    pos = expect(stream, pos, k.TC_OBJECT)
    if pos >= 0:
        pos = read_class(stream, pos)
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
    """Pass over a value, whatever it is, with all that it holds; what it holds takes handles.

    ``n[HANDLE]`` is its own handle, or the one that it refers to; -1 for null.
    """
    data, n, steps, frames = stream.data, stream.n, stream.steps, stream.frames
    depth = 0
    whole = np.int64(-1)
    while True:
        if pos >= len(data):
            return lacking(stream, pos + 1)
        code = data[pos]
        in_contents = depth > 0 and frames[depth - 1, 1] == k.UNTIL_END
        is_first = depth == 0
        handle = np.int64(-1)
        is_done = True  # a value of the innermost object is complete
        if code == k.TC_NULL:
            pos += 1
        elif code == k.TC_REFERENCE:
            entry = reference(stream, pos + 1)
            if entry < 0:
                return entry
            handle = u4(data, pos + 1) - k.FIRST_REFERENCE
            pos += 5
        elif code in (k.TC_STRING, k.TC_LONGSTRING):
            pos = read_text(stream, pos)
            handle = n[k.HANDLES] - 1
        elif code in (k.TC_OBJECT, k.TC_ARRAY):
            if depth >= k.MAX_DEPTH:
                return k.UNKNOWN
            frame = frames[depth]
            if code == k.TC_OBJECT:
                pos = read_object(stream, pos)
                if pos < 0:
                    return pos
                step = stream.classes[n[k.ROW], k.FIRST_STEP]
                if step < 0:
                    return k.UNKNOWN
                frame[0], frame[1] = step, steps[step, 1]
                pos += steps[step, 0]
            else:
                pos = read_array(stream, pos, frame)
                if pos < 0:
                    return pos
                item_bytes = stream.classes[n[k.ROW], k.ITEM_BYTES]
                if item_bytes > 0:
                    pos += frame[1] * item_bytes
                    frame[1] = 0
            handle = n[k.HANDLES] - 1
            if frame[1] != 0:
                depth += 1
                is_done = False
        elif code == k.TC_ENUM:
            pos = read_enum(stream, pos)
            handle = n[k.HANDLES] - 1
            if pos >= 0:
                pos = skip_text(stream, pos)
        elif in_contents and code == k.TC_ENDBLOCKDATA:
            frames[depth - 1, 1] = 1
            pos += 1
        elif in_contents and (code in (k.TC_BLOCKDATA, k.TC_BLOCKDATALONG)):
            pos = skip_block(stream, pos)
        else:
            return k.UNKNOWN
        if pos < 0:
            return pos
        if is_first:
            whole = handle
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
            n[k.HANDLE] = whole
            return pos if pos <= len(data) else lacking(stream, pos)


@kernel
def read_entry(stream: Stream, pos: int) -> int:
    """Pass over a value; ``n[ENTRY]`` is what its handle stands for, NULL for null."""
    n = stream.n
    if pos < len(stream.data) and stream.data[pos] == k.TC_NULL:  # a short way for what is frequent
        n[k.HANDLE], n[k.ENTRY] = -1, k.NULL
        return pos + 1
    pos = skip_value(stream, pos)
    if pos >= 0:
        n[k.ENTRY] = k.NULL if n[k.HANDLE] < 0 else stream.handles[n[k.HANDLE]]
    return pos
