"""Metadata of objects, compiled: ids, and texts by their keys.

``MetadataMap`` writes a version, an array of keys and an array of values; version 4 has the id in
front, as a ``java.util.UUID``.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from qpmask.javastream import reading as s
from qpmask.jit import kernel
from qpmask.jit.growing import full
from qpmask.qpdata.kernel import faults
from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.kernel.library import I64, U8, Columns, Stream
from qpmask.qpdata.kernel.texts import keep_text

ID_BYTES: Final = 36
_ID_KEY: Final = int.from_bytes(b"Object I", "big")  # and a D


@kernel
def mark_id_key(stream: Stream, pos: int, end: int) -> None:
    """Tell the handle of the text at ``pos`` if it is the key of an object's id."""
    data, start = stream.data, s.text_start(stream, pos)
    if end - start == 9 and s.i8(data, start) == _ID_KEY and data[start + 8] == 0x44:
        stream.handles[stream.n[s.HANDLE]] = s.KEY_AT | (stream.n[s.BASE] + pos) << 4


@kernel
def put_uuid(stream: Stream, columns: Columns, pos: int, row: int, number: int) -> int:
    """Put the id of an object that is stored as two numbers."""
    places = stream.classes[row, k.PLACES :]
    if places[0] < 0 or places[1] < 0:
        return faults.ODD_OBJECT
    to = ID_BYTES * number
    for half in range(2):
        for i in range(16):
            digit = np.int64(stream.data[pos + places[half] + (i >> 1)]) >> (0 if i & 1 else 4) & 15
            if (half == 0 and (i == 8 or i == 12)) or (half == 1 and (i == 0 or i == 4)):
                columns.ids[to] = 0x2D
                to += 1
            columns.ids[to] = digit + (0x30 if digit < 10 else 0x57)
            to += 1
    return 0


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
def _add_id(stream: Stream, columns: Columns, number: int) -> int:
    """Take the id of an object: a text as Java writes it, or one for Python to look at."""
    n, entry = stream.n, stream.n[k.ENTRY]
    at = (entry >> 4) - n[s.BASE]
    if entry & 15 == s.TEXT_AT and at >= 0:
        start, end = s.text_start(stream, at), s.text_end(stream, at)
        if _put_id(stream.data, start, end - start, columns, number):
            return 0
        for i in range(ID_BYTES):
            columns.ids[ID_BYTES * number + i] = 0
    status = keep_text(stream, columns, entry, n[s.HANDLE], 0)
    return status if status < 0 else _add_entry(n, columns, number, -1, n[k.TEXT])


@kernel
def _add_entry(n: I64, columns: Columns, number: int, key: int, value: int) -> int:
    """Add an entry of an object's metadata."""
    at = 3 * n[k.METADATA]
    if at >= len(columns.metadata):
        return full(n, k.METADATA, 1)
    columns.metadata[at], columns.metadata[at + 1], columns.metadata[at + 2] = number, key, value
    n[k.METADATA] += 1
    return 0


@kernel
def add_key(stream: Stream, columns: Columns, number: int, index: int) -> int:
    """Take a key."""
    n, entry = stream.n, stream.n[k.ENTRY]
    if entry & 15 == s.KEY_AT:
        if n[k.ID_INDEX] >= 0:
            return faults.ODD_DETAILS
        n[k.ID_INDEX] = index
    elif n[k.DETAILS]:
        status = keep_text(stream, columns, entry, n[s.HANDLE], 0)
        key = n[k.TEXT] if n[k.TEXT] >= 0 else -2
        return status if status < 0 else _add_entry(n, columns, number, key, -1)
    return 0


@kernel
def add_value(stream: Stream, columns: Columns, number: int, index: int) -> int:
    """Take a value; the id of an object that has none yet."""
    n = stream.n
    if index == n[k.ID_INDEX]:
        return 0 if columns.ids[ID_BYTES * number] else _add_id(stream, columns, number)
    if not n[k.DETAILS]:
        return 0
    status = keep_text(stream, columns, n[k.ENTRY], n[s.HANDLE], 0)
    if status >= 0:
        columns.metadata[3 * n[k.VALUE_ROW] + 2] = n[k.TEXT]
        n[k.VALUE_ROW] += 1
    return status
