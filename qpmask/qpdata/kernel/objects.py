"""Objects of the hierarchy, compiled: from the stream into columns.

What an object writes of itself, from the outside in (``writeExternal`` in ``qupath.lib.objects``,
QuPath 0.2 to 0.7); each of these is a role, and each says which comes next::

    PathObject      name, colour, [metadata], measurements, int number of children, the children
    PathROIObject   [locked], class, ROI, double probability of the class
    PathCellObject  ROI of the nucleus
    TMACoreObject   boolean missing
"""

from __future__ import annotations

from qpmask.imageobjects.kinds import NO_COLOR
from qpmask.imageobjects.roicolumns import drop_last_outline, was_dropped
from qpmask.javastream import reading as s
from qpmask.jit import kernel
from qpmask.jit.growing import full
from qpmask.qpdata.kernel import faults
from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.kernel.library import I64, Columns, Stream
from qpmask.qpdata.kernel.metadata import ID_BYTES
from qpmask.qpdata.kernel.texts import keep_text


@kernel
def new_object(n: I64, columns: Columns, kind: int, parent: int) -> int:
    """Begin an object; give its number."""
    number: int = n[k.OBJECTS]
    if number >= len(columns.kind):
        return full(n, k.OBJECTS, 1)
    if n[k.DETAILS]:
        if number >= len(columns.color):
            return full(n, k.DETAILED, 1)
        n[k.DETAILED] = number + 1
        columns.color[number] = NO_COLOR
        columns.name_list[number] = -1
        columns.single[number] = 0
    for i in range(ID_BYTES):
        columns.ids[ID_BYTES * number + i] = 0
    columns.kind[number] = kind
    columns.parent[number] = parent
    columns.name[number] = columns.class_index[number] = -1
    columns.locked[number] = columns.missing[number] = 0
    columns.roi[number] = columns.nucleus_roi[number] = -1
    n[k.OBJECTS] = number + 1
    return number


@kernel
def new_path_class(n: I64, columns: Columns) -> int:
    """Begin a class; give its number."""
    number: int = n[k.PATH_CLASSES]
    if number >= len(columns.path_classes) // 4:
        return full(n, k.PATH_CLASSES, 1)
    for i in range(4):
        columns.path_classes[4 * number + i] = -1 if i < 3 else 0
    n[k.PATH_CLASSES] = number + 1
    return number


@kernel
def add_to_path_class(stream: Stream, columns: Columns, role: int, number: int) -> int:
    """Take its name, its colour or the class that it is derived from."""
    n, entry = stream.n, stream.n[k.ENTRY]
    if role == k.CLASS_NAME:
        status = keep_text(stream, columns, entry, n[s.HANDLE], faults.ODD_CLASS)
        columns.path_classes[4 * number] = n[k.TEXT]
        return status
    if role == k.CLASS_COLOR:
        columns.path_classes[4 * number + 1] = entry >> 4 if entry & 15 == k.INTEGER else -1
    elif entry & 15 == k.PATH_CLASS:
        columns.path_classes[4 * number + 2] = entry >> 4
    elif entry != k.NULL:
        return faults.ODD_CLASS
    return 0


@kernel
def _use_class(n: I64, columns: Columns, number: int) -> int:
    """Tell that a class is in use; the order in which that is told is that of the classes."""
    if columns.path_classes[4 * number + 3] == 0:
        if n[k.USED_CLASSES] >= len(columns.used_classes):
            return full(n, k.USED_CLASSES, 1)
        columns.used_classes[n[k.USED_CLASSES]] = number
        n[k.USED_CLASSES] += 1
        columns.path_classes[4 * number + 3] = n[k.USED_CLASSES]
    return 0


@kernel
def after_children(stream: Stream, frame: I64) -> None:
    """What comes next, behind the last child or where there is none."""
    n = stream.n
    has_roi = stream.classes[frame[k.FIRST], k.FLAGS] & k.HAS_ROI
    frame[k.ROLE] = k.LOCK_OR_CLASS if has_roi else k.OBJECT_END
    if frame[k.OUT] < 0:
        n[s.REFERENCES] = 0
        n[k.CHILDREN_END], n[k.CHILDREN_HANDLES] = n[s.BASE] + n[s.POS], n[s.HANDLES]


@kernel
def make_way_for_nucleus(n: I64, columns: Columns, frame: I64) -> None:
    """Let go of a cell's own outline, which was read last, if that of its nucleus is asked for."""
    if n[k.OUTLINES] < 0 or not n[k.OUTLINES] & k.OF_NUCLEI or frame[k.EXTRA] < 0:
        return
    if n[k.OUTLINES] >> columns.kind[frame[k.OUT]] & 1:
        drop_last_outline(columns.rois)


@kernel
def _keep_or_drop(n: I64, columns: Columns, frame: I64, is_nucleus: bool, roi: int) -> int:
    """Let go of an outline of an object that is not asked for; ``EXTRA`` is a ROI of its own."""
    is_asked_for = n[k.OUTLINES] >> columns.kind[frame[k.OUT]] & 1 != 0
    if is_nucleus and not n[k.OUTLINES] & k.OF_NUCLEI:
        is_asked_for = False
    if n[k.BY_REFERENCE]:
        return s.BACK if is_asked_for and was_dropped(columns.rois, roi) else 0
    frame[k.EXTRA] = roi
    if not is_asked_for:
        drop_last_outline(columns.rois)
    return 0


@kernel
def add_to_object(stream: Stream, columns: Columns, frame: I64, role: int) -> int:
    """Take a value of an object, which is the root if it has no number."""
    n, entry, out = stream.n, stream.n[k.ENTRY], frame[k.OUT]
    status = 0
    if role == k.CHILD:
        frame[k.LEFT] -= 1
        if frame[k.LEFT] == 0:
            after_children(stream, frame)
    elif role == k.NAME:
        status = keep_text(stream, columns, entry, n[s.HANDLE], faults.ODD_OBJECT)
        if out >= 0:
            columns.name[out] = n[k.TEXT]
        frame[k.ROLE] = k.COLOR if status >= 0 else role
    elif role == k.COLOR:
        if n[k.DETAILS] and out >= 0 and entry & 15 == k.INTEGER:
            columns.color[out] = s.signed(entry >> 4)
        frame[k.ROLE] = k.ID
    elif role <= k.FIELD:  # ID, MEASURED, FIELD
        form = stream.classes[entry >> 4, k.FORM] if entry & 15 == k.OBJECT_OF else k.PLAIN
        is_id = role == k.ID and (form == k.A_METADATA or form == k.A_UUID)
        if n[k.BY_REFERENCE] and entry & 15 == k.OBJECT_OF and (is_id or n[k.DETAILS]):
            status = faults.SHARED_FIELD
        elif is_id:
            frame[k.ROLE] = k.MEASURED if form == k.A_METADATA else k.N_FIELDS
        else:
            frame[k.LEFT] -= 1
            frame[k.ROLE] = k.FIELD if role == k.FIELD and frame[k.LEFT] > 0 else k.N_CHILDREN
    elif role == k.ROI_OF or role == k.NUCLEUS:
        if entry & 15 == k.ROI_NUMBER:
            to = columns.roi if role == k.ROI_OF else columns.nucleus_roi
            to[out] = entry >> 4
            if n[k.OUTLINES] >= 0:
                status = _keep_or_drop(n, columns, frame, role == k.NUCLEUS, entry >> 4)
        elif entry & 15 == k.OBJECT_OF:
            n[k.ABOUT], status = entry >> 4, faults.UNKNOWN_ROI
        elif entry != k.NULL:
            status = faults.ODD_OBJECT
        frame[k.ROLE] = k.PROBABILITY if role == k.ROI_OF else k.OBJECT_END
    elif role == k.LOCK_OR_CLASS and entry & 15 == k.TRUE_OR_FALSE:
        columns.locked[out] = entry >> 4
        frame[k.ROLE] = k.CLASS_OF
    else:
        if entry & 15 == k.PATH_CLASS:
            columns.class_index[out] = entry >> 4
            status = _use_class(n, columns, entry >> 4)
        elif entry != k.NULL:
            status = faults.ODD_OBJECT
        frame[k.ROLE] = k.ROI_OF if status >= 0 else role
    return status


@kernel
def add_raw(stream: Stream, columns: Columns, frame: I64, pos: int, end: int) -> int:
    """Take raw bytes of an object: numbers, one behind the other."""
    n = stream.n
    if frame[k.ROLE] == k.FIELD:
        frame[k.ROLE] = k.N_CHILDREN  # QuPath counts an empty map that it does not write
    for at in range(pos, end):
        role = frame[k.ROLE]
        if role < k.N_FIELDS or role == k.OBJECT_END:
            return faults.RAW_FOUND if role < k.N_FIELDS else faults.MORE_THAN_SAID
        n[k.RAW] = (n[k.RAW] & 0xFFFFFF) << 8 | stream.data[at]
        n[k.N_RAW] += 1
        if n[k.N_RAW] < (8 if role == k.PROBABILITY else 1 if role == k.MISSING else 4):
            continue
        n[k.N_RAW] = 0
        value = s.signed(n[k.RAW])
        if role == k.N_FIELDS:
            frame[k.LEFT] = value
            frame[k.ROLE] = k.FIELD if value > 0 else k.N_CHILDREN
        elif role == k.N_CHILDREN:
            if value < 0:
                return faults.NEGATIVE_CHILDREN
            if value > n[s.SIZE] - n[s.BASE] - end:
                n[s.WHAT] = faults.CHILDREN
                return s.SHORT
            frame[k.LEFT], frame[k.ROLE] = value, k.CHILD
            if frame[k.OUT] < 0:
                n[k.COUNT_AT] = n[s.BASE] + at - 3
            if value == 0:
                after_children(stream, frame)
        elif role == k.PROBABILITY:
            flags = stream.classes[frame[k.FIRST], k.FLAGS]
            is_core = flags & (k.IS_CORE | k.IS_CELL) == k.IS_CORE
            frame[k.ROLE] = k.NUCLEUS if flags & k.IS_CELL else k.MISSING
            if not is_core and not flags & k.IS_CELL:
                frame[k.ROLE] = k.OBJECT_END
        else:
            columns.missing[frame[k.OUT]] = 1 if value & 255 else 0
            frame[k.ROLE] = k.OBJECT_END
    return 0
