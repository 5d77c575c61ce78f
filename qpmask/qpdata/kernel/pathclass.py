"""Classes of objects, compiled: each with what it is derived from."""

from __future__ import annotations

import numpy as np

from qpmask.jit import kernel
from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.kernel.library import Columns, Stream
from qpmask.qpdata.kernel.stream import form_at, full, lacking, open_object, reference, skip_value
from qpmask.qpdata.kernel.texts import keep_text


@kernel
def read_color(stream: Stream, pos: int) -> int:
    """Read a colour into ``n[TEXT]``: -1 for none, else 32 bits."""
    data, n = stream.data, stream.n
    n[k.TEXT] = -1
    if pos >= len(data):
        return lacking(stream, pos + 1)
    if data[pos] == k.TC_NULL:
        return pos + 1
    if data[pos] == k.TC_REFERENCE:
        entry = reference(stream, pos + 1)
        pos += 5
    else:
        form = form_at(stream, pos)
        if form < 0:
            return form
        if form != k.AN_INTEGER:
            return k.UNKNOWN
        pos = skip_value(stream, pos)
        if pos < 0:
            return pos
        entry = stream.handles[n[k.HANDLES] - 1]
    if entry < 0:
        return entry
    if entry & 15 != k.INTEGER:
        return k.UNKNOWN
    n[k.TEXT] = entry >> 4
    return pos


@kernel
def read_path_class(stream: Stream, columns: Columns, pos: int) -> int:
    """Read the class at ``pos``, and those that it is derived from.

    ``n[ROW]`` is its number, ``USED_CLASSES`` not yet told.
    """
    data, n, classes = stream.data, stream.n, stream.classes
    first = n[k.PATH_CLASSES]
    child = np.int64(-1)
    while True:
        pos = open_object(stream, pos, k.A_PATH_CLASS)
        if pos < 0:
            return pos
        row, number = n[k.ROW], n[k.PATH_CLASSES]
        if number >= len(columns.path_classes) // 4:
            return full(n, k.PATH_CLASSES, 1)
        stream.handles[n[k.HANDLES] - 1] = k.PATH_CLASS | number << 4
        n[k.PATH_CLASSES] = number + 1
        if child >= 0:
            columns.path_classes[4 * child + 2] = number
        to = 4 * number
        columns.path_classes[to] = columns.path_classes[to + 1] = -1
        columns.path_classes[to + 2] = -1
        columns.path_classes[to + 3] = 0
        roles = classes[row, k.FIELDS]
        for _ in range(classes[row, k.N_FIELDS] - 1):
            role = roles & 15
            roles >>= 4
            if role == k.FIELD_COLOR:
                pos = read_color(stream, pos)
                columns.path_classes[to + 1] = n[k.TEXT]
            elif role == k.FIELD_NAME:
                pos = keep_text(stream, columns, pos)
                columns.path_classes[to] = n[k.TEXT]
            else:
                pos = skip_value(stream, pos)
            if pos < 0:
                return pos
        if pos >= len(data):
            return lacking(stream, pos + 1)
        code = data[pos]
        if code == k.TC_OBJECT:
            child = number
            continue
        if code == k.TC_REFERENCE:
            entry = reference(stream, pos + 1)
            if entry < 0:
                return entry
            if entry & 15 != k.PATH_CLASS:
                return k.UNKNOWN
            columns.path_classes[to + 2] = entry >> 4
            pos += 5
        elif code == k.TC_NULL:
            pos += 1
        else:
            return k.UNKNOWN
        n[k.ROW] = first
        return pos


@kernel
def use_class(stream: Stream, columns: Columns, number: int) -> int:
    """Tell that a class is in use; the order in which that is told is that of the classes."""
    n = stream.n
    place = columns.path_classes[4 * number + 3]
    if 0 < place <= n[k.USED_CLASSES] and columns.used_classes[place - 1] == number:
        return 0
    if n[k.USED_CLASSES] >= len(columns.used_classes):
        return full(n, k.USED_CLASSES, 1)
    columns.used_classes[n[k.USED_CLASSES]] = number
    n[k.USED_CLASSES] += 1
    columns.path_classes[4 * number + 3] = n[k.USED_CLASSES]
    return 0
