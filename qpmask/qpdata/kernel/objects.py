"""Objects of the hierarchy, compiled: from the stream into columns.

What an object writes of itself, from the outside in (``writeExternal`` in ``qupath.lib.objects``,
QuPath 0.2 to 0.7)::

    PathObject      name, colour, [metadata], measurements, int number of children, the children
    PathROIObject   [locked], class, ROI, double probability of the class
    PathCellObject  ROI of the nucleus
    TMACoreObject   boolean missing

The children are inside their parent: what comes before them is the head, what comes after the tail.
"""

from __future__ import annotations

from qpmask.jit import kernel
from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.kernel.library import Columns, Stream
from qpmask.qpdata.kernel.metadata import ID_BYTES, read_fields
from qpmask.qpdata.kernel.pathclass import read_color, read_path_class, use_class
from qpmask.qpdata.kernel.rois import read_roi
from qpmask.qpdata.kernel.stream import expect, full, i4, read_block
from qpmask.qpdata.kernel.texts import keep_text
from qpmask.qpdata.kernel.values import form_at, open_object, read_entry, skip_value


@kernel
def read_head(stream: Stream, columns: Columns, pos: int) -> int:
    """Read an object up to its children, and open it."""
    n = stream.n
    depth, number = n[k.DEPTH], n[k.OBJECTS]
    if depth > k.MAX_LEVELS:
        return k.UNKNOWN
    pos = open_object(stream, pos, k.A_PATH_OBJECT)
    if pos < 0:
        return pos
    row = n[k.ROW]
    is_root = stream.classes[row, k.FLAGS] & k.IS_ROOT != 0
    if is_root != (depth == 0):
        return k.UNKNOWN
    if number >= len(columns.kind):
        return full(n, k.OBJECTS, 1)
    details = n[k.DETAILS] != 0
    if details and number >= len(columns.color):
        return full(n, k.DETAILED, 1)
    pos = keep_text(stream, columns, pos)
    if pos < 0:
        return pos
    text = n[k.TEXT]
    if details:
        pos = read_color(stream, pos)
        color = n[k.TEXT]
        columns.color[number] = k.NO_COLOR if color < 0 else color - ((color & 0x80000000) << 1)
        columns.name_list[number] = -1
    else:
        pos = skip_value(stream, pos)
    if pos < 0:
        return pos
    n_values, n_metadata = n[k.VALUES], n[k.METADATA]
    for i in range(ID_BYTES):
        columns.ids[ID_BYTES * number + i] = 0
    pos = read_fields(stream, columns, pos, number)
    if pos >= 0:
        pos = read_block(stream, pos, 4)
    if pos < 0:
        return pos
    n_children = i4(stream.data, pos - 4)
    if n_children < 0 or n_children > n[k.SIZE] - n[k.BASE] - pos:
        return k.UNKNOWN
    opened = columns.open_objects[depth]
    opened[0], opened[1], opened[2] = row, number, n_children
    if is_root:
        opened[1] = -1
        n[k.VALUES], n[k.METADATA] = n_values, n_metadata
    else:
        columns.open_objects[depth - 1, 2] -= 1
        columns.kind[number] = stream.classes[row, k.KIND]
        columns.parent[number] = columns.open_objects[depth - 1, 1]
        columns.name[number] = text
        columns.class_index[number] = -1
        columns.locked[number] = 0
        columns.missing[number] = 0
        columns.roi[number] = -1
        columns.nucleus_roi[number] = -1
        n[k.OBJECTS] = number + 1
        if details:
            n[k.DETAILED] = number + 1
    n[k.DEPTH] = depth + 1
    return pos


@kernel
def _lock_or_class(stream: Stream, columns: Columns, pos: int, number: int, is_first: bool) -> int:
    """Read a lock (the first time) or a class; ``n[ROW]`` is -2 after a lock."""
    n = stream.n
    form = form_at(stream, pos)
    if form < 0:
        return form
    if form == k.A_PATH_CLASS:
        return read_path_class(stream, columns, pos)
    pos = read_entry(stream, pos)
    if pos < 0:
        return pos
    kind, payload = n[k.ENTRY] & 15, n[k.ENTRY] >> 4
    if kind == k.PATH_CLASS:
        n[k.ROW] = payload
    elif kind == k.NULL:
        n[k.ROW] = -1
    elif is_first and kind == k.TRUE_OR_FALSE:
        columns.locked[number] = payload
        n[k.ROW] = -2
    else:
        return k.UNKNOWN
    return pos


@kernel
def read_tail(stream: Stream, columns: Columns, pos: int) -> int:
    """Read what comes after an object's children, and close it."""
    n = stream.n
    opened = columns.open_objects[n[k.DEPTH] - 1]
    flags, number = stream.classes[opened[0], k.FLAGS], opened[1]
    if flags & k.HAS_ROI:
        pos = _lock_or_class(stream, columns, pos, number, True)
        if pos >= 0 and n[k.ROW] == -2:
            pos = _lock_or_class(stream, columns, pos, number, False)
        if pos < 0:
            return pos
        if n[k.ROW] >= 0:
            path_class = n[k.ROW]
            columns.class_index[number] = path_class
            status = use_class(stream, columns, path_class)
            if status < 0:
                return status
        pos = read_roi(stream, columns, pos)
        columns.roi[number] = n[k.ROI]
        size = 9 if flags & (k.IS_CORE | k.IS_CELL) == k.IS_CORE else 8
        if pos >= 0:
            pos = read_block(stream, pos, size)
        if pos < 0:
            return pos
        if size == 9:
            columns.missing[number] = 1 if stream.data[pos - 1] else 0
        if flags & k.IS_CELL:
            pos = read_roi(stream, columns, pos)
            if pos < 0:
                return pos
            columns.nucleus_roi[number] = n[k.ROI]
    pos = expect(stream, pos, k.TC_ENDBLOCKDATA)
    if pos >= 0:
        n[k.DEPTH] -= 1
    return pos
