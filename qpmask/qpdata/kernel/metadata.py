"""What comes before the children of an object, compiled: its id, other metadata, measurements."""

from __future__ import annotations

from typing import Final

import numpy as np

from qpmask.jit import kernel
from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.kernel.library import U8, Columns, Stream
from qpmask.qpdata.kernel.measured import read_measured
from qpmask.qpdata.kernel.stream import (
    expect,
    full,
    i4,
    is_text,
    lacking,
    read_block,
    text_end,
    text_start,
)
from qpmask.qpdata.kernel.texts import keep_text, pool_text
from qpmask.qpdata.kernel.values import array_of, form_at, open_object, read_entry, skip_value

ID_BYTES: Final = 36


@kernel
def _put_id(data: U8, start: int, size: int, columns: Columns, number: int) -> bool:
    """Put an id in lower case; False if it is not written as Java writes a UUID."""
    if size != ID_BYTES:
        return False
    at, to = np.uint64(start), np.uint64(ID_BYTES * number)
    n_digits = 0
    for i in range(ID_BYTES):  # without a way out, so that it becomes a few instructions
        char = np.int64(data[at + np.uint64(i)])
        is_letter = 0x61 <= char | 0x20 <= 0x66
        n_digits += is_letter or 0x30 <= char <= 0x39
        columns.ids[to + np.uint64(i)] = char | 0x20 if is_letter else char
    hyphens = data[at + np.uint64(8)] == 0x2D and data[at + np.uint64(13)] == 0x2D
    hyphens = hyphens and data[at + np.uint64(18)] == 0x2D and data[at + np.uint64(23)] == 0x2D
    return hyphens and n_digits == ID_BYTES - 4


@kernel
def _read_id(stream: Stream, columns: Columns, pos: int, number: int) -> int:
    """Read the id of an object."""
    n = stream.n
    pos = read_entry(stream, pos)
    if pos < 0:
        return pos
    entry = n[k.ENTRY]
    at = (entry >> 4) - n[k.BASE]
    if not is_text(entry) or entry & 15 == k.POOLED:
        return k.UNKNOWN
    if at < 0:
        return k.BACK
    start, end = text_start(stream, at), text_end(stream, at)
    if end < 0:
        return end
    if _put_id(stream.data, start, end - start, columns, number):
        return pos
    text = pool_text(stream, columns, start, end)
    if text < 0:
        return text
    row = _add_entry(stream, columns, number, -1)
    if row < 0:
        return row
    columns.metadata[3 * row + 2] = text
    return pos


@kernel
def _add_entry(stream: Stream, columns: Columns, number: int, key: int) -> int:
    """Begin an entry of an object's metadata; give its number."""
    row: int = stream.n[k.METADATA]
    if 3 * row >= len(columns.metadata):
        return full(stream.n, k.METADATA, 1)
    columns.metadata[3 * row] = number
    columns.metadata[3 * row + 1] = key
    stream.n[k.METADATA] = row + 1
    return row


@kernel
def _metadata(stream: Stream, columns: Columns, pos: int, number: int) -> int:
    """Read a version, an array of keys, an array of values, and the end; behind the head.

    ``n[NAMES]`` is which of them is the id, -1 for none.
    """
    n, items = stream.n, stream.frames[0]
    pos = read_entry(stream, pos)
    if pos >= 0 and n[k.ENTRY] & 15 == k.OBJECT_ARRAY:
        return k.UNKNOWN
    which = np.int64(-1)
    row = n[k.METADATA]
    if pos >= 0:
        pos = array_of(stream, pos, 0, items)
    if pos < 0:
        return pos
    n_entries = items[1]
    for i in range(n_entries):
        handle, at = n[k.HANDLES], pos
        pos = read_entry(stream, pos)
        if pos >= 0 and n[k.ENTRY] & 15 == k.ID_KEY:
            if which >= 0:
                return k.UNKNOWN
            which = i
        elif pos >= 0 and n[k.DETAILS]:
            n[k.HANDLES] = handle
            pos = keep_text(stream, columns, at)
            if pos >= 0 and n[k.TEXT] < 0:
                return k.UNKNOWN
            if pos >= 0 and _add_entry(stream, columns, number, n[k.TEXT]) < 0:
                return k.ROOM
        if pos < 0:
            return pos
    pos = array_of(stream, pos, 0, items)
    if pos >= 0 and items[1] != n_entries:
        return k.UNKNOWN
    for i in range(n_entries):
        if pos < 0:
            return pos
        if i == which:
            pos = _read_id(stream, columns, pos, number)
        elif n[k.DETAILS]:
            pos = keep_text(stream, columns, pos)
            columns.metadata[3 * row + 2] = n[k.TEXT]
            row += 1
        else:
            pos = skip_value(stream, pos)
    n[k.NAMES] = which
    return pos if pos < 0 else expect(stream, pos, k.TC_ENDBLOCKDATA)


@kernel
def _uuid(stream: Stream, columns: Columns, pos: int, row: int, number: int) -> int:
    """Read an id of version 4, behind the head; then a number of fields, and as many fields."""
    data, n, classes = stream.data, stream.n, stream.classes
    if pos + classes[row, k.N_BYTES] > len(data):
        return lacking(stream, pos + classes[row, k.N_BYTES])
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
    pos = read_block(stream, pos + classes[row, k.N_BYTES], 4)
    if pos < 0:
        return pos
    n_maps = 0
    for _ in range(i4(data, pos - 4)):
        if pos >= len(data):
            return lacking(stream, pos + 1)
        if data[pos] == k.TC_BLOCKDATA:
            break  # QuPath counts an empty map that it does not write
        form = form_at(stream, pos)
        is_first = n[k.DETAILS] and columns.name_list[number] < 0
        if n[k.DETAILS] and form == k.A_METADATA:
            pos = open_object(stream, pos, form)
            if pos >= 0:
                pos = _metadata(stream, columns, pos, number)
            n_maps += 1
            if pos >= 0 and (n_maps > 1 or n[k.NAMES] >= 0):
                return k.UNKNOWN  # two of them, or two ids
        elif is_first and (form == k.MEASURED or form == k.ODD_MEASURED):
            pos = read_measured(stream, columns, pos, number)
        else:
            pos = skip_value(stream, pos)
        if pos < 0:
            return pos
    return pos


@kernel
def read_fields(stream: Stream, columns: Columns, pos: int, number: int) -> int:
    """Read metadata and measurements."""
    n = stream.n
    form = form_at(stream, pos)
    if form < 0:
        return form
    if form == k.ODD:
        return k.UNKNOWN
    if form in (k.A_METADATA, k.A_UUID):
        pos = open_object(stream, pos, form)
        if pos >= 0 and form == k.A_UUID:
            return _uuid(stream, columns, pos, n[k.ROW], number)
        if pos >= 0:
            pos = _metadata(stream, columns, pos, number)
        if pos < 0:
            return pos
    if n[k.DETAILS]:
        return read_measured(stream, columns, pos, number)
    return skip_value(stream, pos)
