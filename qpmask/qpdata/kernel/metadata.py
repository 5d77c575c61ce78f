"""What comes before the children of an object, compiled: its id, and what is passed over."""

from __future__ import annotations

from typing import Final

import numpy as np

from qpmask.jit import kernel
from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.kernel.library import U8, Columns, Stream
from qpmask.qpdata.kernel.stream import (
    i4,
    is_text,
    lacking,
    new_handle,
    read_array,
    read_class,
    read_text,
    reference,
    skip_value,
    text_end,
    text_start,
)

ID_BYTES: Final = 36


@kernel
def _put_id(data: U8, start: int, size: int, columns: Columns, number: int) -> bool:
    """Put an id in lower case; False if it is not written as Java writes a UUID."""
    if size != ID_BYTES:
        return False
    for i in range(ID_BYTES):
        char = np.int64(data[start + i])
        if 0x41 <= char <= 0x46:
            char += 0x20
        if i == 8 or i == 13 or i == 18 or i == 23:
            if char != 0x2D:
                return False
        elif not (0x30 <= char <= 0x39 or 0x61 <= char <= 0x66):
            return False
        columns.ids[ID_BYTES * number + i] = char
    return True


@kernel
def _read_id(stream: Stream, columns: Columns, pos: int, number: int) -> int:
    """Read the id of an object: a text, or a reference to one."""
    data, n = stream.data, stream.n
    if pos >= len(data):
        return lacking(stream, pos + 1)
    after = pos + 5
    at = pos
    if data[pos] == k.TC_REFERENCE:
        entry = reference(stream, pos + 1)
        if entry < 0:
            return entry
        if not is_text(entry) or entry & 15 == k.POOLED or entry >> 4 == 0:
            return k.UNKNOWN
        at = (entry >> 4) - n[k.BASE]
        if at < 0:
            return k.BACK
    elif data[pos] == k.TC_STRING:
        after = read_text(stream, pos)
        if after < 0:
            return after
    else:
        return k.UNKNOWN
    end = text_end(stream, at)
    if end < 0:
        return end
    start = text_start(stream, at)
    return after if _put_id(data, start, end - start, columns, number) else k.UNKNOWN


@kernel
def _metadata(stream: Stream, columns: Columns, pos: int, number: int) -> int:
    """Read a version, an array of keys, an array of values, and the end; behind the head."""
    data, n, items = stream.data, stream.n, stream.frames[0]
    if pos < len(data) and data[pos] == k.TC_ARRAY:
        return k.UNKNOWN
    if pos + 5 <= len(data) and data[pos] == k.TC_REFERENCE:
        entry = reference(stream, pos + 1)
        if entry < 0 or entry & 15 == k.OBJECT_ARRAY:
            return k.UNKNOWN
    pos = skip_value(stream, pos)
    n_entries = np.int64(-1)
    which = np.int64(-1)
    for array in range(2):
        if pos < 0:
            return pos
        if pos >= len(data):
            return lacking(stream, pos + 1)
        if data[pos] != k.TC_ARRAY:
            return k.UNKNOWN
        pos = read_array(stream, pos, items)
        if pos < 0:
            return pos
        if stream.classes[n[k.ROW], k.ITEM_BYTES] != 0 or (array and items[1] != n_entries):
            return k.UNKNOWN
        n_entries = items[1]
        for i in range(n_entries):
            if array == 1 and i == which:
                pos = _read_id(stream, columns, pos, number)
            elif array == 1:
                pos = skip_value(stream, pos)
            else:
                at, handle = pos, n[k.HANDLES]
                pos = skip_value(stream, pos)
                if pos >= 0 and _is_id_key_at(stream, at, handle):
                    if which >= 0:
                        return k.UNKNOWN
                    which = i
            if pos < 0:
                return pos
    if pos >= len(data):
        return lacking(stream, pos + 1)
    return pos + 1 if data[pos] == k.TC_ENDBLOCKDATA else k.UNKNOWN


@kernel
def _is_id_key_at(stream: Stream, pos: int, handle: int) -> bool:
    """Whether the value at ``pos``, which was passed over, is the key of the id."""
    code = stream.data[pos]
    if code == k.TC_REFERENCE:
        return reference(stream, pos + 1) & 15 == k.ID_KEY
    is_inside = code in (k.TC_STRING, k.TC_LONGSTRING)
    return is_inside and stream.handles[handle] & 15 == k.ID_KEY


@kernel
def _uuid(stream: Stream, columns: Columns, pos: int, row: int, number: int) -> int:
    """Read an id of version 4, behind the head; then a number of fields, and as many fields."""
    data, classes = stream.data, stream.classes
    if pos + classes[row, k.N_BYTES] + 6 > len(data):
        return lacking(stream, pos + classes[row, k.N_BYTES] + 6)
    to = ID_BYTES * number
    for half in range(2):
        at = pos + classes[row, k.PLACES + half]
        for i in range(16):
            digit = np.int64(data[at + (i >> 1)]) >> (0 if i & 1 else 4) & 15
            if (half == 0 and (i == 8 or i == 12)) or (half == 1 and (i == 0 or i == 4)):
                columns.ids[to] = 0x2D
                to += 1
            columns.ids[to] = digit + (0x30 if digit < 10 else 0x57)
            to += 1
    pos += classes[row, k.N_BYTES]
    if data[pos] != k.TC_BLOCKDATA or data[pos + 1] != 4:
        return k.UNKNOWN
    n_fields = i4(data, pos + 2)
    pos += 6
    for _ in range(n_fields):
        if pos >= len(data):
            return lacking(stream, pos + 1)
        if data[pos] == k.TC_BLOCKDATA:
            break  # QuPath counts an empty map that it does not write
        pos = skip_value(stream, pos)
        if pos < 0:
            return pos
    return pos


@kernel
def read_fields(stream: Stream, columns: Columns, pos: int, number: int) -> int:
    """Read metadata and measurements."""
    data, n, classes = stream.data, stream.n, stream.classes
    if pos >= len(data):
        return lacking(stream, pos + 1)
    if data[pos] == k.TC_OBJECT:
        n_handles = n[k.HANDLES]
        inside = read_class(stream, pos + 1)
        if inside < 0:
            return inside
        row = n[k.ROW]
        form = classes[row, k.FORM]
        if form == k.ODD:
            return k.UNKNOWN
        if form in (k.A_METADATA, k.A_UUID):
            handle = new_handle(stream, k.OBJECT_OF | row << 4)
            if handle < 0:
                return handle
            if form == k.A_UUID:
                return _uuid(stream, columns, inside, row, number)
            pos = _metadata(stream, columns, inside, number)
            if pos < 0:
                return pos
        else:
            n[k.HANDLES] = n_handles
    elif data[pos] == k.TC_REFERENCE:
        entry = reference(stream, pos + 1)
        if entry < 0:
            return entry
        if entry & 15 == k.OBJECT_OF:
            form = classes[entry >> 4, k.FORM]
            if form in (k.A_METADATA, k.A_UUID, k.ODD):
                return k.UNKNOWN
    return skip_value(stream, pos)
