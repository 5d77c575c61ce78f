"""A whole data file, compiled: units that follow one another.

A data file is a line with the version, how to open the image, and values until the text ``EOF``,
one of which is the hierarchy. A unit is one of these, or a head or a tail of an object: whatever
stops the parser inside a unit, it goes on at its beginning.
"""

from __future__ import annotations

import numpy as np

from qpmask.jit import kernel
from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.kernel.library import LIBRARY, Columns, Stream
from qpmask.qpdata.kernel.objects import read_head, read_tail
from qpmask.qpdata.kernel.stream import is_modified_utf8, lacking, text_end, text_start, u2
from qpmask.qpdata.kernel.texts import keep_text, pool_handle, pool_text
from qpmask.qpdata.kernel.values import form_at, open_object, read_enum, skip_value

FIRST_LINE, SERVER_TEXT, ENTRIES, TREE, AFTER_ROOT = range(5)
"""Phases."""


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
    text = pool_text(stream, columns, pos + 4, end)
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
        form = form_at(stream, pos)
        if form < 0:
            return form
        if form == k.ODD:
            return k.UNKNOWN
        if form == k.A_HIERARCHY and code == k.TC_OBJECT:
            return _open_hierarchy(stream, pos)
        if form == k.AN_IMAGE_TYPE and code == k.TC_ENUM:
            pos = read_enum(stream, pos)
            if pos >= 0:
                pos = keep_text(stream, columns, pos)
            if pos >= 0:
                n[k.IMAGE_TYPE] = n[k.TEXT]
            return pos if pos < 0 or n[k.TEXT] >= 0 else k.UNKNOWN
        return skip_value(stream, pos)
    return skip_value(stream, pos) if code in (k.TC_NULL, k.TC_ARRAY) else k.UNKNOWN


@kernel
def _open_hierarchy(stream: Stream, pos: int) -> int:
    """Read the hierarchy up to its root."""
    n = stream.n
    if n[k.HAS_HIERARCHY]:
        return k.UNKNOWN
    pos = open_object(stream, pos, k.A_HIERARCHY)
    if pos < 0:
        return pos
    row = n[k.ROW]
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
            return read_head(stream, columns, pos)
        pos = read_tail(stream, columns, pos)
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
    pos = keep_text(stream, columns, pos)
    if pos >= 0:
        n[k.SERVER] = n[k.TEXT]
        n[k.PHASE] = ENTRIES
    return pos


@LIBRARY.entry
def parse(stream: Stream, columns: Columns) -> int:
    """Read on until the end, or until something is missing; see :mod:`.library`."""
    n = stream.n
    while True:
        for i in range(k.N_COUNTS):
            n[k.KEPT + i] = n[i]
        pos = _unit(stream, columns, n[k.POS])
        if pos >= 0:
            n[k.POS] = pos
            continue
        if pos != k.END:
            for i in range(k.N_COUNTS):
                n[i] = n[k.KEPT + i]
        if pos == k.POOL:
            pos = pool_handle(stream, columns, n[k.WANTED])
        if pos < 0:
            return pos
