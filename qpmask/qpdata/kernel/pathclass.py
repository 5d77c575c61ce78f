"""Classes of objects, compiled: each with what it is derived from."""

from __future__ import annotations

import numpy as np

from qpmask.jit import kernel
from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.kernel.library import Columns, Stream
from qpmask.qpdata.kernel.stream import full, lacking
from qpmask.qpdata.kernel.texts import keep_text
from qpmask.qpdata.kernel.values import open_object, read_entry, skip_value


@kernel
def read_color(stream: Stream, pos: int) -> int:
    """Read a colour into ``n[TEXT]``: -1 for none, else 32 bits."""
    n = stream.n
    pos = read_entry(stream, pos)
    if pos < 0:
        return pos
    n[k.TEXT] = -1 if n[k.ENTRY] == k.NULL else n[k.ENTRY] >> 4
    return pos if n[k.TEXT] < 0 or n[k.ENTRY] & 15 == k.INTEGER else k.UNKNOWN


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
        if data[pos] == k.TC_OBJECT:
            child = number
            continue
        pos = read_entry(stream, pos)
        if pos >= 0 and n[k.ENTRY] & 15 == k.PATH_CLASS:
            columns.path_classes[to + 2] = n[k.ENTRY] >> 4
        elif pos >= 0 and n[k.ENTRY] != k.NULL:
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
