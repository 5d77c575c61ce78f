"""Class descriptors of a Java stream, compiled: each becomes a row of ``classes``."""

from __future__ import annotations

from qpmask.jit import kernel
from qpmask.qpdata.kernel import faults
from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.kernel import stream as s
from qpmask.qpdata.kernel.library import Stream


@kernel
def _keep_of_class(stream: Stream, pos: int, before: int, behind: int) -> int:
    """Add a text of a class descriptor, its length and bytes on either side to ``stream.key``."""
    data, at = stream.data, stream.n[k.KEY_END]
    if pos + before + 2 > len(data):
        return s.lacking(stream, pos + before + 2, faults.A_CLASS)
    size = before + 2 + s.u2(data, pos + before) + behind
    if pos + size > len(data):
        return s.lacking(stream, pos + size, faults.A_CLASS)
    if at + size > len(stream.key):
        return faults.LONG_CLASS
    if not s.is_modified_utf8(data, pos + before + 2, pos + size - behind):
        return faults.BAD_TEXT
    for i in range(size):
        stream.key[at + i] = data[pos + i]
    stream.n[k.KEY_END] = at + size
    return pos + size


@kernel
def _read_level(stream: Stream, pos: int) -> int:
    """Read what a descriptor says of one class, up to its super class."""
    data, n = stream.data, stream.n
    n[k.KEY_START] = n[k.KEY_END]
    handle = s.new_handle(stream, k.OTHER)
    if handle < 0:
        return handle
    pos = _keep_of_class(stream, pos, 1, 11)  # code; version, flags, number of fields
    if pos < 0:
        return pos
    for _ in range(s.u2(data, pos - 2)):
        at = pos
        pos = _keep_of_class(stream, pos, 1, 0)
        if pos >= 0 and data[at] in (0x4C, 0x5B):  # L, [: the type of a field of objects
            pos = s.skip_text(stream, pos, faults.NO_TYPE)
        elif pos >= 0 and data[at] not in (0x42, 0x43, 0x44, 0x46, 0x49, 0x4A, 0x53, 0x5A):
            return faults.UNKNOWN_TYPE
        if pos < 0:
            return pos
    if pos >= len(data):
        return s.lacking(stream, pos + 1, faults.A_CLASS)
    return pos + 1 if data[pos] == k.TC_ENDBLOCKDATA else faults.ANNOTATED


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
def read_class(stream: Stream, pos: int) -> int:
    """Read a class descriptor, with those of its super classes, or a reference to one.

    Its row is ``n[ROW]``; -1 for null.
    """
    data, n = stream.data, stream.n
    n[k.KEY_END] = 0
    n[k.ABOUT] = -1
    depth = 0
    while pos < len(data) and data[pos] == k.TC_CLASSDESC:
        if depth >= k.MAX_SUPER_CLASSES:
            return faults.MANY_SUPER_CLASSES
        level = stream.frames[n[k.DEPTH] + depth]
        level[0], level[1] = n[k.HANDLES], n[k.KEY_END]
        pos = _read_level(stream, pos)
        if pos < 0:
            return pos
        depth += 1
    if pos >= len(data):
        return s.lacking(stream, pos + 1, faults.A_CLASS)
    n[k.ROW] = -1
    if data[pos] == k.TC_REFERENCE:
        entry = s.reference(stream, pos)
        if entry < 0 or entry & 15 != k.CLASS_ROW:
            return entry if entry < 0 else faults.NOT_A_CLASS
        n[k.ROW] = entry >> 4
        pos += 5
    elif data[pos] == k.TC_NULL:
        pos += 1
    else:
        return faults.PROXY if data[pos] == k.TC_PROXYCLASSDESC else faults.CLASS_EXPECTED
    end = n[k.KEY_END]
    while depth > 0:
        depth -= 1
        level = stream.frames[n[k.DEPTH] + depth]
        row = _row_of(stream, level[1], end, n[k.ROW])
        if row < 0:
            return row
        stream.handles[level[0]] = k.CLASS_ROW | row << 4
        n[k.ROW] = row
        end = level[1]
    return pos
