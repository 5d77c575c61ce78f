"""Measurements of objects, compiled: lists of names, which many objects share, and numbers.

As ``qupath.lib.measurements`` stores them: ``NumericMeasurementList$FloatList`` and ``DoubleList``
with a list of names and an array of numbers, which may be longer; ``DefaultMeasurementList`` with
a list of measurements, each a name and a number. Lists are any of Java's that write their items, or
hold another list or an array in a field.
"""

from __future__ import annotations

from qpmask.javastream import reading as s
from qpmask.jit import kernel
from qpmask.jit.growing import full
from qpmask.qpdata.kernel import faults
from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.kernel.library import I64, Columns, Stream
from qpmask.qpdata.kernel.texts import keep_text


@kernel
def add_name(stream: Stream, columns: Columns) -> int:
    """Add the text that was read to the list of names; ``n[TEXT]`` is -1 if it is none."""
    n = stream.n
    if n[k.LIST_NAMES] >= len(columns.list_names):
        return full(n, k.LIST_NAMES, 1)
    status = keep_text(stream, columns, n[k.ENTRY], n[s.HANDLE], 0)
    if status >= 0 and n[k.TEXT] >= 0:
        columns.list_names[n[k.LIST_NAMES]] = n[k.TEXT]
        n[k.LIST_NAMES] += 1
    return status


@kernel
def add_pair(stream: Stream, columns: Columns, bits: int) -> int:
    """Add a measurement, whose name was read."""
    n = stream.n
    if n[k.VALUES] >= len(columns.values):
        return full(n, k.VALUES, 1)
    status = add_name(stream, columns)
    if status >= 0 and n[k.TEXT] >= 0:
        columns.values[n[k.VALUES]] = bits
        n[k.VALUES] += 1
    return status


@kernel
def finish_list(stream: Stream, columns: Columns, frame: I64) -> int:
    """Number a list of names; of names with values the object has it."""
    n, out = stream.n, frame[k.OUT]
    if frame[k.EXTRA] < 0 and (frame[k.IN_FORM] == k.NAMES_LIST or columns.name_list[out] < 0):
        number = n[k.NAME_LISTS]
        if number >= len(columns.list_first):
            return full(n, k.NAME_LISTS, 1)
        columns.list_first[number] = frame[k.FIRST]
        columns.list_size[number] = n[k.LIST_NAMES] - frame[k.FIRST]
        n[k.NAME_LISTS] = number + 1
        frame[k.EXTRA] = number
        if frame[k.IN_FORM] == k.PAIRS_LIST:
            columns.name_list[out], columns.single[out] = number, 0
    if frame[k.IN_FORM] == k.NAMES_LIST:
        stream.handles[frame[k.OWN]] = k.NAME_LIST | frame[k.EXTRA] << 4
    return 0


@kernel
def add_values(stream: Stream, columns: Columns, number: int) -> int:
    """Take an array of numbers, one for each name and perhaps more."""
    n, data, entry = stream.n, stream.data, stream.n[k.ENTRY]
    kind = entry & 15
    if kind not in (k.FLOATS_AT, k.DOUBLES_AT) or columns.name_list[number] < 0:
        return faults.ODD_DETAILS
    pos = (entry >> 4) - n[s.BASE]
    if pos < 0:
        return s.BACK
    size, at = columns.list_size[columns.name_list[number]], n[k.VALUES]
    if s.u4(data, pos) < size:
        return faults.ODD_DETAILS
    if at + size > len(columns.values):
        return full(n, k.VALUES, size)
    columns.single[number] = 1 if kind == k.FLOATS_AT else 0
    pos += 4
    for i in range(size):
        is_single = kind == k.FLOATS_AT
        columns.values[at + i] = s.u4(data, pos + 4 * i) if is_single else s.i8(data, pos + 8 * i)
    n[k.VALUES] = at + size
    return 0
