"""Measurements of objects, compiled: lists of names, which many objects share, and numbers.

As ``qupath.lib.measurements`` stores them: ``NumericMeasurementList$FloatList`` and ``DoubleList``
with a list of names and an array of numbers, which may be longer; ``DefaultMeasurementList`` with
a list of measurements, each a name and a number. Lists are Java's ``ArrayList`` and ``List.of``, or
an unmodifiable view of one.
"""

from __future__ import annotations

from qpmask.jit import kernel
from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.kernel.library import Columns, Stream
from qpmask.qpdata.kernel.stream import full, i8, lacking, u4
from qpmask.qpdata.kernel.texts import keep_text
from qpmask.qpdata.kernel.values import (
    form_at,
    open_object,
    read_array,
    read_entry,
    skip_block,
    skip_value,
)

_FLOAT, _DOUBLE = 0x46, 0x44


@kernel
def read_measured(stream: Stream, columns: Columns, pos: int, number: int) -> int:
    """Read the measurements of an object, or null."""
    data, n, classes = stream.data, stream.n, stream.classes
    if pos >= len(data):
        return lacking(stream, pos + 1)
    if data[pos] == k.TC_NULL:
        return pos + 1
    pos = open_object(stream, pos, k.MEASURED)
    if pos < 0:
        return pos
    row = n[k.ROW]
    pos += classes[row, k.N_BYTES]
    roles = classes[row, k.FIELDS]
    for _ in range(classes[row, k.N_FIELDS]):
        role = roles & 15
        roles >>= 4
        if role == k.FIELD_NAMES:
            pos = _names(stream, columns, pos)
            columns.name_list[number] = n[k.NAMES]
        elif role == k.FIELD_VALUES:
            pos = _values(stream, columns, pos, number)
        elif role == k.FIELD_PAIRS:
            columns.single[number] = 0
            columns.name_list[number] = n[k.NAME_LISTS]
            pos = _list(stream, columns, pos, True)
        else:
            pos = skip_value(stream, pos)
        if pos < 0:
            return pos
    return pos


@kernel
def _names(stream: Stream, columns: Columns, pos: int) -> int:
    """Read a list of names, a view of one, or a reference to either: ``n[NAMES]``."""
    n = stream.n
    form = form_at(stream, pos)
    if form < 0:
        return form
    if form == k.A_LIST:
        n[k.NAMES] = n[k.NAME_LISTS]
        return _list(stream, columns, pos, False)
    if form != k.A_WRAPPED_LIST:
        return _known_names(stream, pos)
    pos = open_object(stream, pos, form)
    if pos < 0:
        return pos
    view = n[k.HANDLES] - 1
    n[k.NAMES] = n[k.NAME_LISTS]
    form = form_at(stream, pos)
    if form < 0:
        return form
    if form == k.A_LIST:
        pos = _list(stream, columns, pos, False)
    else:
        pos = _known_names(stream, pos)
    if pos < 0:
        return pos
    names = n[k.NAMES]
    pos = _known_names(stream, pos)
    if pos >= 0 and n[k.NAMES] != names:
        return k.UNKNOWN
    stream.handles[view] = k.NAME_LIST | names << 4
    return pos


@kernel
def _known_names(stream: Stream, pos: int) -> int:
    """Read a reference to a list of names."""
    pos = read_entry(stream, pos)
    if pos < 0:
        return pos
    stream.n[k.NAMES] = stream.n[k.ENTRY] >> 4
    return pos if stream.n[k.ENTRY] & 15 == k.NAME_LIST else k.UNKNOWN


@kernel
def _list(stream: Stream, columns: Columns, pos: int, with_values: bool) -> int:
    """Read a list of names, or of names with values; it gets the next number of lists."""
    data, n = stream.data, stream.n
    pos = open_object(stream, pos, k.A_LIST)
    if pos < 0:
        return pos
    number = n[k.NAME_LISTS]
    if number >= len(columns.list_first):
        return full(n, k.NAME_LISTS, 1)
    if not with_values:
        stream.handles[n[k.HANDLES] - 1] = k.NAME_LIST | number << 4
    pos += stream.classes[n[k.ROW], k.N_BYTES]
    first = n[k.LIST_NAMES]
    while True:
        if pos >= len(data):
            return lacking(stream, pos + 1)
        code = data[pos]
        if code == k.TC_ENDBLOCKDATA:
            break
        if code == k.TC_BLOCKDATA or code == k.TC_BLOCKDATALONG:
            pos = skip_block(stream, pos)
        elif with_values:
            pos = _measurement(stream, columns, pos)
        else:
            pos = _name(stream, columns, pos)
        if pos < 0:
            return pos
    columns.list_first[number] = first
    columns.list_size[number] = n[k.LIST_NAMES] - first
    n[k.NAME_LISTS] = number + 1
    return pos + 1


@kernel
def _name(stream: Stream, columns: Columns, pos: int) -> int:
    """Read a name into a list."""
    n = stream.n
    pos = keep_text(stream, columns, pos)
    if pos < 0:
        return pos
    if n[k.TEXT] < 0:
        return k.UNKNOWN
    if n[k.LIST_NAMES] >= len(columns.list_names):
        return full(n, k.LIST_NAMES, 1)
    columns.list_names[n[k.LIST_NAMES]] = n[k.TEXT]
    n[k.LIST_NAMES] += 1
    return pos


@kernel
def _measurement(stream: Stream, columns: Columns, pos: int) -> int:
    """Read a name with its value."""
    data, n = stream.data, stream.n
    pos = open_object(stream, pos, k.A_MEASUREMENT)
    if pos < 0:
        return pos
    if pos + 8 > len(data):
        return lacking(stream, pos + 8)
    at = n[k.VALUES]
    if at >= len(columns.values):
        return full(n, k.VALUES, 1)
    columns.values[at] = i8(data, pos)
    n[k.VALUES] = at + 1
    return _name(stream, columns, pos + 8)


@kernel
def _values(stream: Stream, columns: Columns, pos: int, number: int) -> int:
    """Read an array of numbers, one for each name and perhaps more."""
    data, n = stream.data, stream.n
    items = stream.frames[0]
    pos = read_array(stream, pos, items)
    if pos < 0:
        return pos
    code = stream.classes[n[k.ROW], k.ITEM_CODE]
    size = columns.list_size[columns.name_list[number]]
    if code not in (_FLOAT, _DOUBLE) or items[1] < size:
        return k.UNKNOWN
    at = n[k.VALUES]
    if at + size > len(columns.values):
        return full(n, k.VALUES, size)
    columns.single[number] = 1 if code == _FLOAT else 0
    for i in range(size):
        columns.values[at + i] = u4(data, pos + 4 * i) if code == _FLOAT else i8(data, pos + 8 * i)
    n[k.VALUES] = at + size
    pos += items[1] * (4 if code == _FLOAT else 8)
    return pos
