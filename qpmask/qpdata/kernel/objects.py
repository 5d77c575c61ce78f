"""The data file and QuPath's hierarchy of objects, compiled: from the stream into columns.

A data file is a line with the version, how to open the image, and values until the text ``EOF``,
one of which is the hierarchy. What an object writes of itself, from the outside in
(``writeExternal`` in ``qupath.lib.objects``, QuPath 0.2 to 0.7)::

    PathObject      name, colour, [metadata], measurements, int number of children, the children
    PathROIObject   [locked], class, ROI, double probability of the class
    PathCellObject  ROI of the nucleus
    TMACoreObject   boolean missing

The children are inside their parent: what comes before them (the head) and after them (the tail)
is read in a unit each. Whatever stops the parser inside a unit, it goes on at its beginning.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from qpmask.jit import kernel
from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.kernel.library import COLUMNS, LIBRARY, STREAM, U8, Columns, Stream
from qpmask.qpdata.kernel.rois import read_roi
from qpmask.qpdata.kernel.stream import (
    full,
    i4,
    is_modified_utf8,
    is_text,
    lacking,
    new_handle,
    read_array,
    read_class,
    read_enum,
    read_text,
    reference,
    skip_value,
    text_end,
    text_start,
    u2,
    u4,
)

FIRST_LINE, SERVER_TEXT, ENTRIES, TREE, AFTER_ROOT = 0, 1, 2, 3, 4
"""Phases."""
ID_BYTES: Final = 36


# ------------------------------------------------------------------------------- texts


@kernel
def _pool(stream: Stream, columns: Columns, start: int, end: int) -> int:
    """Keep a text; give its number."""
    n = stream.n
    text: int = n[k.TEXTS]
    at = n[k.TEXT_BYTES]
    if text >= len(columns.text_ends):
        return full(n, k.TEXTS, 1)
    if at + end - start > len(columns.text_bytes):
        return full(n, k.TEXT_BYTES, end - start)
    for i in range(end - start):
        columns.text_bytes[at + i] = stream.data[start + i]
    n[k.TEXTS] = text + 1
    n[k.TEXT_BYTES] = columns.text_ends[text] = at + end - start
    return text


@kernel
def _keep_text(stream: Stream, columns: Columns, pos: int) -> int:
    """Read a text, a reference to one, or null; its number is ``n[TEXT]``, -1 for null.

    ``n[SHARED]`` is the handle that may stand for that number from now on, or -1.
    """
    data, n = stream.data, stream.n
    n[k.TEXT] = n[k.SHARED] = -1
    if pos >= len(data):
        return lacking(stream, pos + 1)
    code = data[pos]
    if code == k.TC_NULL:
        return pos + 1
    at = pos
    after = pos + 5
    if code in (k.TC_STRING, k.TC_LONGSTRING):
        handle = n[k.HANDLES]
        after = read_text(stream, pos)
        if after < 0:
            return after
    elif code == k.TC_REFERENCE:
        entry = reference(stream, pos + 1)
        if entry < 0:
            return entry
        if entry & 15 == k.POOLED:
            n[k.TEXT] = entry >> 4
            return after
        if not is_text(entry) or entry >> 4 == 0:
            return k.UNKNOWN
        handle = u4(data, pos + 1) - k.FIRST_REFERENCE
        at = (entry >> 4) - n[k.BASE]
        if at < 0:
            return k.BACK
    else:
        return k.UNKNOWN
    if stream.handles[handle] & 15 == k.TEXT_AT:
        n[k.SHARED] = handle
    end = text_end(stream, at)
    if end < 0:
        return end
    text = _pool(stream, columns, text_start(stream, at), end)
    if text < 0:
        return text
    n[k.TEXT] = text
    return after


@kernel
def _share_text(stream: Stream) -> None:
    """Let a handle stand for the text that was kept; at the end of a unit, never inside one."""
    if stream.n[k.SHARED] >= 0:
        stream.handles[stream.n[k.SHARED]] = k.POOLED | stream.n[k.TEXT] << 4


# ------------------------------------------------------------------------------- heads


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
def _fields(stream: Stream, columns: Columns, pos: int, number: int) -> int:
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


@kernel
def _head(stream: Stream, columns: Columns, pos: int) -> int:
    """Read an object up to its children, and open it."""
    data, n = stream.data, stream.n
    depth, number = n[k.DEPTH], n[k.OBJECTS]
    if pos >= len(data):
        return lacking(stream, pos + 1)
    if data[pos] != k.TC_OBJECT or depth > k.MAX_LEVELS:
        return k.UNKNOWN
    pos = read_class(stream, pos + 1)
    if pos < 0:
        return pos
    row = n[k.ROW]
    if stream.classes[row, k.FORM] != k.A_PATH_OBJECT:
        return k.UNKNOWN
    is_root = stream.classes[row, k.FLAGS] & k.IS_ROOT != 0
    if is_root != (depth == 0):
        return k.UNKNOWN
    if number >= len(columns.kind):
        return full(n, k.OBJECTS, 1)
    handle = new_handle(stream, k.OBJECT_OF | row << 4)
    if handle < 0:
        return handle
    pos = _keep_text(stream, columns, pos)
    if pos < 0:
        return pos
    text, shared = n[k.TEXT], n[k.SHARED]
    pos = skip_value(stream, pos)  # the colour
    if pos < 0:
        return pos
    for i in range(ID_BYTES):
        columns.ids[ID_BYTES * number + i] = 0
    pos = _fields(stream, columns, pos, number)
    if pos < 0:
        return pos
    if pos + 6 > len(data):
        return lacking(stream, pos + 6)
    if data[pos] != k.TC_BLOCKDATA or data[pos + 1] != 4:
        return k.UNKNOWN
    n_children = i4(data, pos + 2)
    pos += 6
    if n_children < 0 or n_children > n[k.SIZE] - n[k.BASE] - pos:
        return k.UNKNOWN
    opened = columns.open_objects[depth]
    opened[0], opened[1], opened[2] = row, number, n_children
    if is_root:
        opened[1] = -1
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
    n[k.TEXT], n[k.SHARED] = text, shared
    _share_text(stream)
    n[k.DEPTH] = depth + 1
    return pos


# ------------------------------------------------------------------------------- tails


@kernel
def _color(stream: Stream, pos: int) -> int:
    """Read the colour of a class into ``n[TEXT]``: -1 for none, else 32 bits."""
    data, n = stream.data, stream.n
    n[k.TEXT] = -1
    if pos >= len(data):
        return lacking(stream, pos + 1)
    if data[pos] == k.TC_NULL:
        return pos + 1
    if data[pos] == k.TC_REFERENCE:
        entry = reference(stream, pos + 1)
        pos += 5
    elif data[pos] == k.TC_OBJECT:
        n_handles = n[k.HANDLES]
        inside = read_class(stream, pos + 1)
        if inside < 0:
            return inside
        if stream.classes[n[k.ROW], k.FORM] != k.AN_INTEGER:
            return k.UNKNOWN
        n[k.HANDLES] = n_handles
        pos = skip_value(stream, pos)
        if pos < 0:
            return pos
        entry = stream.handles[n[k.HANDLES] - 1]
    else:
        return k.UNKNOWN
    if entry < 0:
        return entry
    if entry & 15 != k.INTEGER:
        return k.UNKNOWN
    n[k.TEXT] = entry >> 4
    return pos


@kernel
def _path_class(stream: Stream, columns: Columns, pos: int) -> int:
    """Read the class at ``pos``, behind the code of an object, and those that it is derived from.

    ``n[ROW]`` is its number, ``USED_CLASSES`` not yet told.
    """
    data, n, classes = stream.data, stream.n, stream.classes
    first = n[k.PATH_CLASSES]
    child = np.int64(-1)
    while True:
        pos = read_class(stream, pos)
        if pos < 0:
            return pos
        row = n[k.ROW]
        if classes[row, k.FORM] != k.A_PATH_CLASS:
            return k.UNKNOWN
        number = n[k.PATH_CLASSES]
        if number >= len(columns.path_classes) // 4:
            return full(n, k.PATH_CLASSES, 1)
        handle = new_handle(stream, k.PATH_CLASS | number << 4)
        if handle < 0:
            return handle
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
                pos = _color(stream, pos)
                columns.path_classes[to + 1] = n[k.TEXT]
            elif role == k.FIELD_NAME:
                pos = _keep_text(stream, columns, pos)
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
            pos += 1
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
def _use_class(stream: Stream, columns: Columns, number: int) -> int:
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


@kernel
def _lock_or_class(stream: Stream, columns: Columns, pos: int, number: int, is_first: bool) -> int:
    """Read a lock (the first time) or a class; ``n[ROW]`` is -2 after a lock."""
    data, n = stream.data, stream.n
    if pos >= len(data):
        return lacking(stream, pos + 1)
    code = data[pos]
    if code == k.TC_NULL:
        n[k.ROW] = -1
        return pos + 1
    if code == k.TC_REFERENCE:
        entry = reference(stream, pos + 1)
        if entry < 0:
            return entry
        pos += 5
        if entry & 15 == k.PATH_CLASS:
            n[k.ROW] = entry >> 4
            return pos
        if not is_first or entry & 15 != k.TRUE_OR_FALSE:
            return k.UNKNOWN
        columns.locked[number] = entry >> 4
        n[k.ROW] = -2
        return pos
    if code != k.TC_OBJECT:
        return k.UNKNOWN
    n_handles = n[k.HANDLES]
    inside = read_class(stream, pos + 1)
    if inside < 0:
        return inside
    form = stream.classes[n[k.ROW], k.FORM]
    n[k.HANDLES] = n_handles
    if form == k.A_PATH_CLASS:
        return _path_class(stream, columns, pos + 1)
    if not is_first or form != k.A_BOOLEAN:
        return k.UNKNOWN
    pos = skip_value(stream, pos)
    if pos < 0:
        return pos
    columns.locked[number] = stream.handles[n[k.HANDLES] - 1] >> 4
    n[k.ROW] = -2
    return pos


@kernel
def _tail(stream: Stream, columns: Columns, pos: int) -> int:
    """Read what comes after an object's children, and close it."""
    data, n = stream.data, stream.n
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
            status = _use_class(stream, columns, path_class)
            if status < 0:
                return status
        pos = read_roi(stream, columns, pos)
        if pos < 0:
            return pos
        columns.roi[number] = n[k.ROI]
        size = 9 if flags & (k.IS_CORE | k.IS_CELL) == k.IS_CORE else 8
        if pos + 2 + size > len(data):
            return lacking(stream, pos + 2 + size)
        if data[pos] != k.TC_BLOCKDATA or data[pos + 1] != size:
            return k.UNKNOWN
        pos += 2 + size
        if size == 9:
            columns.missing[number] = 1 if data[pos - 1] else 0
        if flags & k.IS_CELL:
            pos = read_roi(stream, columns, pos)
            if pos < 0:
                return pos
            columns.nucleus_roi[number] = n[k.ROI]
    if pos >= len(data):
        return lacking(stream, pos + 1)
    if data[pos] != k.TC_ENDBLOCKDATA:
        return k.UNKNOWN
    n[k.DEPTH] -= 1
    return pos + 1


# ------------------------------------------------------------------------------- the file


@kernel
def _first_line(stream: Stream, columns: Columns, pos: int) -> int:
    """Read the block that holds the version as a text."""
    data = stream.data
    if pos + 4 > len(data):
        return lacking(stream, pos + 4)
    size = np.int64(data[pos + 1])
    if data[pos] != k.TC_BLOCKDATA or size < 2 or u2(data, pos + 2) != size - 2:
        return k.UNKNOWN
    end = pos + 2 + size
    if end > len(data):
        return lacking(stream, end)
    if not is_modified_utf8(data, pos + 4, end):
        return k.UNKNOWN
    text = _pool(stream, columns, pos + 4, end)
    return text if text < 0 else end


@kernel
def _entry(stream: Stream, columns: Columns, pos: int) -> int:
    """Read one of the values that follow the server."""
    data, n = stream.data, stream.n
    if pos >= len(data):
        return lacking(stream, pos + 1)
    code = data[pos]
    if code == k.TC_RESET:
        n[k.HANDLES] = 0
        return pos + 1
    if code in (k.TC_STRING, k.TC_LONGSTRING):
        end = text_end(stream, pos)
        if end < 0:
            return end
        start = text_start(stream, pos)
        if end - start == 3 and data[start] == 0x45 and u2(data, start + 1) == 0x4F46:
            return k.END if n[k.BASE] + end == n[k.SIZE] and n[k.HAS_HIERARCHY] else k.UNKNOWN
        return skip_value(stream, pos)
    if code in (k.TC_OBJECT, k.TC_ENUM):
        n_handles = n[k.HANDLES]
        inside = read_class(stream, pos + 1)
        if inside < 0:
            return inside
        form = stream.classes[n[k.ROW], k.FORM]
        row = n[k.ROW]
        n[k.HANDLES] = n_handles
        if form == k.ODD:
            return k.UNKNOWN
        if form == k.A_HIERARCHY and code == k.TC_OBJECT:
            return _open_hierarchy(stream, pos, row)
        if form == k.AN_IMAGE_TYPE and code == k.TC_ENUM:
            pos = read_enum(stream, pos)
            if pos >= 0 and pos < len(data) and data[pos] == k.TC_NULL:
                return k.UNKNOWN
            if pos >= 0:
                pos = _keep_text(stream, columns, pos)
            if pos >= 0:
                n[k.IMAGE_TYPE] = n[k.TEXT]
            return pos
        return skip_value(stream, pos)
    return skip_value(stream, pos) if code in (k.TC_NULL, k.TC_ARRAY) else k.UNKNOWN


@kernel
def _open_hierarchy(stream: Stream, pos: int, row: int) -> int:
    """Read the hierarchy up to its root."""
    n = stream.n
    if n[k.HAS_HIERARCHY]:
        return k.UNKNOWN
    pos = read_class(stream, pos + 1)
    handle = new_handle(stream, k.OBJECT_OF | row << 4)
    if handle < 0:
        return handle
    pos += stream.classes[row, k.N_BYTES]
    roles = stream.classes[row, k.FIELDS]
    while roles & 15 != k.FIELD_ROOT:
        pos = skip_value(stream, pos)
        if pos < 0:
            return pos
        roles >>= 4
    n[k.HAS_HIERARCHY] = 1
    n[k.HIERARCHY_ROW] = row
    n[k.PHASE] = TREE
    return pos


@kernel
def _after_root(stream: Stream, pos: int) -> int:
    """Read the other fields of the hierarchy, such as the grid of TMA cores."""
    n = stream.n
    row = n[k.HIERARCHY_ROW]
    roles = stream.classes[row, k.FIELDS]
    is_behind = False
    for _ in range(stream.classes[row, k.N_FIELDS]):
        if is_behind:
            pos = skip_value(stream, pos)
            if pos < 0:
                return pos
        is_behind = is_behind or roles & 15 == k.FIELD_ROOT
        roles >>= 4
    n[k.PHASE] = ENTRIES
    return pos


@kernel
def _unit(stream: Stream, columns: Columns, pos: int) -> int:
    """Read what comes next."""
    n = stream.n
    phase = n[k.PHASE]
    if phase == TREE:
        depth = n[k.DEPTH]
        if depth == 0 or columns.open_objects[depth - 1, 2] > 0:
            return _head(stream, columns, pos)
        pos = _tail(stream, columns, pos)
        if pos >= 0 and n[k.DEPTH] == 0:
            n[k.PHASE] = AFTER_ROOT
        return pos
    if phase == ENTRIES:
        return _entry(stream, columns, pos)
    if phase == AFTER_ROOT:
        return _after_root(stream, pos)
    if phase == FIRST_LINE:
        pos = _first_line(stream, columns, pos)
        if pos >= 0:
            n[k.PHASE] = SERVER_TEXT
        return pos
    pos = _keep_text(stream, columns, pos)
    if pos >= 0:
        n[k.SERVER] = n[k.TEXT]
        _share_text(stream)
        n[k.PHASE] = ENTRIES
    return pos


@LIBRARY.entry(STREAM, COLUMNS)
def parse(stream: Stream, columns: Columns) -> int:
    """Read on until the end, or until something is missing; see :mod:`.library`."""
    n = stream.n
    while True:
        for i in range(k.N_COUNTS):
            n[k.KEPT + i] = n[i]
        pos = _unit(stream, columns, n[k.POS])
        if pos < 0:
            if pos != k.END:
                for i in range(k.N_COUNTS):
                    n[i] = n[k.KEPT + i]
            return pos
        n[k.POS] = pos
