"""A whole data file, compiled: values one by one, each for the one that holds it.

Behind the line with the version a data file is how to open the image, and values until the text
``EOF``, one of which is the hierarchy. Reading a value, taking it and closing what holds it are
steps that happen or do not: wherever the parser stops, it goes on there.
"""

from __future__ import annotations

from qpmask.imageobjects.kinds import RoiKind
from qpmask.imageobjects.roicolumns import finish_roi
from qpmask.javastream import reading as s
from qpmask.jit import kernel
from qpmask.qpdata.kernel import faults
from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.kernel.library import I64, LIBRARY, Columns, Stream
from qpmask.qpdata.kernel.measured import add_name, add_pair, add_values, finish_list
from qpmask.qpdata.kernel.metadata import add_key, add_value
from qpmask.qpdata.kernel.objects import add_to_object, add_to_path_class
from qpmask.qpdata.kernel.rois import ALL_READ, add_axis, add_geometry
from qpmask.qpdata.kernel.texts import keep_text
from qpmask.qpdata.kernel.values import next_step, read_value


@kernel
def _entry(stream: Stream, columns: Columns) -> int:
    """Take one of the values of the file: the last is a text."""
    n = stream.n
    if not s.is_text(n[k.ENTRY]):
        return 0
    status = keep_text(stream, columns, n[k.ENTRY], n[s.HANDLE], 0)
    if status < 0:
        return status
    start = columns.text_ends[n[k.TEXT] - 1] if n[k.TEXT] > 0 else 0
    text = columns.text_bytes[start : columns.text_ends[n[k.TEXT]]]
    if len(text) != 3 or text[0] != 0x45 or text[1] != 0x4F or text[2] != 0x46:  # EOF
        return 0
    if n[k.HAS_HIERARCHY] == 0:
        return faults.NO_HIERARCHY
    return k.END if n[s.BASE] + n[s.POS] == n[s.SIZE] else faults.MORE_BEHIND


@kernel
def _ring(stream: Stream, columns: Columns, frame: I64, role: int) -> int:
    """Take x or y of one ring or of the ring of an area, or all of a geometry."""
    roi = frame[k.OUT]
    if role == k.RING_X or role == k.RING_Y:
        part = frame[k.FIRST] - frame[k.LEFT]
        return add_axis(stream, columns.rois, role - k.RING_X, roi, part)
    if role == k.WKB:
        frame[k.EXTRA] = ALL_READ
        return add_geometry(stream, columns.rois, roi)
    if columns.rois.roi_kind[roi] == RoiKind.AREA:  # its arrays were opened
        is_read = frame[k.EXTRA] & (1 if role == k.X else 2) and not stream.n[k.BY_REFERENCE]
        return 0 if is_read else faults.ODD_ROI
    frame[k.EXTRA] |= 1 if role == k.X else 2
    return add_axis(stream, columns.rois, role - k.X, roi, 0)


@kernel
def _take(stream: Stream, columns: Columns, frame: I64, role: int) -> int:
    """Take a value by its role."""
    n, entry = stream.n, stream.n[k.ENTRY]
    if k.CHILD <= role <= k.NUCLEUS:
        return add_to_object(stream, columns, frame, role)
    if role == k.SERVER_TEXT:
        status = keep_text(stream, columns, entry, n[s.HANDLE], faults.NO_SERVER)
        n[k.SERVER] = n[k.TEXT]
        frame[k.ROLE] = k.ENTRY_VALUE if status >= 0 else role
        return status
    if role == k.ENTRY_VALUE:
        return _entry(stream, columns)
    if role == k.ROOT:
        n[k.HAS_HIERARCHY] = 2
    elif role == k.KEY:
        return add_key(stream, columns, frame[k.OUT], frame[k.FIRST] - frame[k.LEFT])
    elif role == k.VALUE:
        return add_value(stream, columns, frame[k.OUT], frame[k.FIRST] - frame[k.LEFT])
    elif role == k.ARRAYS and n[k.BY_REFERENCE] and entry & 15 == k.OBJECT_ARRAY:
        return faults.ODD_DETAILS
    elif k.CLASS_COLOR <= role <= k.CLASS_PARENT:
        return add_to_path_class(stream, columns, role, frame[k.OUT])
    elif k.X <= role <= k.RING_Y:
        return _ring(stream, columns, frame, role)
    elif role == k.NAMES:
        if entry & 15 == k.NAME_LIST:
            if frame[k.IN_FORM] == k.NAMES_LIST:
                frame[k.EXTRA] = entry >> 4
            elif frame[k.OUT] >= 0:
                columns.name_list[frame[k.OUT]] = entry >> 4
        elif n[k.BY_REFERENCE]:
            return faults.ODD_DETAILS
    elif role == k.NUMBERS:
        return add_values(stream, columns, frame[k.OUT]) if frame[k.OUT] >= 0 else 0
    elif role == k.LIST_NAME:
        return add_name(stream, columns)
    elif role == k.PAIR_NAME:
        return add_pair(stream, columns, frame[k.EXTRA])
    return 0


@kernel
def _take_value(stream: Stream, columns: Columns) -> int:
    """Take the value that was read, and go on in the one that holds it."""
    n = stream.n
    frame = stream.frames[n[k.DEPTH] - 1]
    role = frame[k.ROLE]
    status = 0 if role == k.SKIP else _take(stream, columns, frame, role)
    if status < 0:
        return status
    n[k.DONE] = 0
    kind = stream.steps[frame[k.STEP], 1]
    if kind == k.ITEM:
        frame[k.LEFT] -= 1
        if frame[k.LEFT] == 0:
            frame[k.ROLE] = k.FINISHED
    elif kind != k.CONTENTS:
        next_step(stream, frame, frame[k.STEP] + 1)
    return 0


@kernel
def _close(stream: Stream, columns: Columns) -> int:
    """Close the innermost open value, which was read to its end."""
    n = stream.n
    frame = stream.frames[n[k.DEPTH] - 1]
    form = frame[k.IN_FORM]
    if form == k.A_ROI:
        if frame[k.EXTRA] != ALL_READ:
            return faults.ODD_ROI
        finish_roi(columns.rois, frame[k.OUT])
        n[k.IN_ROI] = 0
    elif form == k.A_PATH_OBJECT:
        n[k.LEVELS] -= 1
    elif form == k.A_METADATA and frame[k.EXTRA] != 1:
        return faults.ODD_DETAILS
    elif form == k.A_HIERARCHY and n[k.HAS_HIERARCHY] != 2:
        return faults.WRONG_ROOT
    elif form == k.NAMES_LIST or form == k.PAIRS_LIST:
        status = finish_list(stream, columns, frame)
        if status < 0:
            return status
    n[k.DEPTH] -= 1
    n[s.HANDLE] = frame[k.OWN]
    n[k.ENTRY] = stream.handles[frame[k.OWN]]
    n[k.BY_REFERENCE] = 0
    n[k.DONE] = 1
    return 0


@LIBRARY.entry
def parse(stream: Stream, columns: Columns) -> int:
    """Read on until the end, or until something is missing; see :mod:`.library`."""
    n = stream.n
    status = 0
    while status >= 0:
        if not n[k.DONE]:  # else it was read before, and there was no room to take it
            if stream.frames[n[k.DEPTH] - 1, k.ROLE] == k.FINISHED:
                status = _close(stream, columns)
            else:
                n_handles = n[s.HANDLES]
                status = read_value(stream, columns)
                if status < 0:
                    n[s.HANDLES] = n_handles
        if status >= 0 and n[k.DONE]:
            status = _take_value(stream, columns)
    return status
