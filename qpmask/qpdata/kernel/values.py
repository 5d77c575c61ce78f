"""Values of a Java stream, compiled: one is read or opened at a time, by the role that it has.

Whatever holds others is a frame: its values come one by one, nothing recurses. Of a class that is
not known all is passed over.
"""

from __future__ import annotations

import numpy as np

from qpmask.imageobjects.kinds import RoiKind
from qpmask.javastream import codes
from qpmask.javastream import reading as s
from qpmask.jit import kernel
from qpmask.jit.growing import full
from qpmask.qpdata.kernel import faults
from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.kernel.library import I64, Columns, Stream
from qpmask.qpdata.kernel.metadata import mark_id_key, put_uuid
from qpmask.qpdata.kernel.objects import add_raw, make_way_for_nucleus, new_object, new_path_class
from qpmask.qpdata.kernel.rois import ALL_READ, new_roi
from qpmask.qpdata.kernel.texts import keep_text


@kernel
def next_step(stream: Stream, frame: I64, step: int) -> None:
    """Go on to a step of a value: pass over numbers, tell the role of what comes then."""
    form, role = frame[k.IN_FORM], stream.steps[step, 1]
    stream.n[s.POS] += stream.steps[step, 0]
    frame[k.STEP] = step
    is_names, is_pairs = form == k.NAMES_LIST, form == k.PAIRS_LIST
    if role == k.CONTENTS:
        role = k.LIST_NAME if is_names else k.PAIR if is_pairs else k.SKIP
        if form == k.A_PATH_OBJECT or form == k.A_METADATA:
            role = k.NAME if form == k.A_PATH_OBJECT else k.ARRAYS
    elif role == k.LIST or role == k.WRAPPED:
        is_pairs = is_pairs or (form == k.A_MEASURED and role == k.LIST)
        role = k.NAMES if is_names else k.PAIRS if is_pairs else k.SKIP
    elif role == k.NAMES or role == k.NUMBERS:
        role = role if form == k.A_MEASURED else k.SKIP
    elif role != k.FINISHED and (form in (k.PLAIN, k.A_MEASURED) or is_names or is_pairs):
        role = k.SKIP
    frame[k.ROLE] = role


@kernel
def _open(stream: Stream, form: int, out: int, handle: int, step: int) -> I64:
    """Open a value that holds others."""
    n = stream.n
    frame: I64 = stream.frames[n[k.DEPTH]]
    n[k.DEPTH] += 1
    frame[k.IN_FORM], frame[k.OUT], frame[k.OWN] = form, out, handle
    frame[k.LEFT], frame[k.EXTRA], frame[k.FIRST] = 0, -1, n[k.LIST_NAMES]
    next_step(stream, frame, step)
    return frame


@kernel
def _done(n: I64, pos: int, handle: int, entry: int) -> int:
    """A value was read to its end."""
    n[s.POS], n[s.HANDLE], n[k.ENTRY], n[k.DONE] = pos, handle, entry, 1
    return 0


@kernel
def _begin_array(stream: Stream, parent: I64, pos: int, row: int) -> int:
    """Read an array of numbers, or open one of values, behind its class."""
    data, n = stream.data, stream.n
    item_bytes = stream.classes[row, k.ITEM_BYTES]
    if item_bytes < 0:
        return faults.NO_ARRAY
    if pos + 4 > len(data):
        return s.lacking(stream, pos + 4, s.AN_ARRAY)
    n_items = s.length(stream, s.signed(s.u4(data, pos)), s.AN_ARRAY)
    if n_items < 0:
        return n_items
    end = pos + 4 + n_items * max(item_bytes, 1)
    if end > len(data) and (item_bytes > 0 or n[s.BASE] + end > n[s.SIZE]):
        return s.lacking(stream, end, s.AN_ARRAY)
    if item_bytes > 0:
        entry = stream.classes[row, k.ITEM_KIND] | (n[s.BASE] + pos) << 4
        return _done(n, end, s.new_handle(stream, entry), entry)
    role, out, form = parent[k.ROLE], parent[k.OUT], k.PLAIN
    item_role = k.SKIP
    if role == k.ARRAYS:
        item_role = k.KEY if parent[k.EXTRA] < 0 else k.VALUE
        if item_role == k.VALUE and n_items != n[k.N_KEYS]:
            return faults.ODD_DETAILS
        parent[k.EXTRA] += 1
        n[k.N_KEYS] = n_items
        if parent[k.EXTRA] > 1:
            return faults.ODD_DETAILS
    elif role in (k.X, k.Y) and stream.classes[parent[k.FIRST], k.KIND] == RoiKind.AREA:
        item_role = k.RING_X if role == k.X else k.RING_Y
        if role == k.Y and n_items != parent[k.LEFT]:
            return faults.UNEQUAL_AXES
        parent[k.LEFT] = n_items
        parent[k.EXTRA] |= 1 if role == k.X else 2
    elif role == k.NAMES or (role == k.PAIRS and out >= 0):
        item_role = k.LIST_NAME if role == k.NAMES else k.PAIR
        form = k.NAMES_LIST if role == k.NAMES else k.PAIRS_LIST
    n[s.POS] = pos + 4
    frame = _open(stream, form, out, s.new_handle(stream, k.OBJECT_ARRAY), 0)
    frame[k.LEFT], frame[k.ROLE] = n_items, item_role if n_items else k.FINISHED
    if form == k.PLAIN:
        frame[k.FIRST] = n_items
    return 0


@kernel
def _begin(stream: Stream, columns: Columns, parent: I64, pos: int) -> int:
    """Open the object or the array at ``pos``."""
    data, n, classes, role = stream.data, stream.n, stream.classes, parent[k.ROLE]
    is_array = data[pos] == codes.TC_ARRAY
    pos = s.read_class(stream, pos + 1)
    if pos < 0:
        return pos
    row = n[k.ABOUT] = n[s.ROW]
    if row < 0:
        return faults.NO_CLASS
    if n[s.HANDLES] >= len(stream.handles):
        return full(n, s.HANDLES, 1)
    if n[k.DEPTH] - n[k.LEVELS] > k.MAX_DEPTH:
        return faults.DEEP
    if is_array:
        return _begin_array(stream, parent, pos, row)
    step, its_form, form = classes[row, k.FIRST_STEP], classes[row, k.FORM], k.PLAIN
    if role in (k.ROOT, k.CHILD) and its_form != k.A_PATH_OBJECT:
        return faults.NOT_AN_OBJECT
    if step < 0:
        return faults.OLD_WAY
    if pos + stream.steps[step, 0] > len(data):
        return s.lacking(stream, pos + stream.steps[step, 0], s.AN_OBJECT)
    out: int = parent[k.OUT]
    entry, extra = k.OBJECT_OF | row << 4, -1
    at = pos + classes[row, k.PLACES]
    if role in (k.ROOT, k.CHILD):
        if n[k.LEVELS] > k.MAX_LEVELS:
            return faults.MANY_LEVELS
        if (classes[row, k.FLAGS] & k.IS_ROOT != 0) != (role == k.ROOT):
            return faults.WRONG_ROOT
        form = k.A_PATH_OBJECT
        out = -1
        if role == k.CHILD:
            out = new_object(n, columns, classes[row, k.KIND], parent[k.OUT])
        if out < -1:
            return out
        n[k.LEVELS] += 1
    elif its_form == k.A_ROI and not n[k.IN_ROI]:
        form = its_form
        out = new_roi(stream, columns.rois, pos, row)
        entry = k.ROI_NUMBER | out << 4
        extra = ALL_READ if RoiKind.RECTANGLE <= classes[row, k.KIND] <= RoiKind.LINE else 0
    elif its_form == k.A_PATH_CLASS:
        form = its_form
        out = new_path_class(n, columns)
        entry = k.PATH_CLASS | out << 4
    elif its_form == k.A_BOOLEAN:
        entry = k.TRUE_OR_FALSE | (16 if data[at] else 0)
    elif its_form == k.AN_INTEGER:
        entry = k.INTEGER | s.u4(data, at) << 4
    elif its_form == k.A_HIERARCHY and role == k.ENTRY_VALUE:
        form = its_form
        if n[k.HAS_HIERARCHY]:
            return faults.TWO_HIERARCHIES
        n[k.HAS_HIERARCHY] = 1
    elif its_form == k.A_UUID and role == k.ID and out >= 0:
        out = put_uuid(stream, columns, pos, row, out)
    elif its_form == k.A_METADATA and out >= 0:
        if role == k.ID or (role == k.FIELD and n[k.DETAILS]):
            form = its_form
            n[k.ID_INDEX] = n[k.N_KEYS] = -1
            n[k.VALUE_ROW] = n[k.METADATA]
    elif n[k.DETAILS]:
        if role in (k.ID, k.MEASURED) or (role == k.FIELD and its_form == k.A_MEASURED):
            form = k.A_MEASURED if out < 0 or columns.name_list[out] < 0 else k.PLAIN
        elif role == k.NAMES or (role == k.PAIRS and out >= 0):
            form = k.NAMES_LIST if role == k.NAMES else k.PAIRS_LIST
        elif role == k.SKIP and its_form == k.A_LIST:
            form = k.NAMES_LIST  # measurements may refer to it
        elif role == k.PAIR and its_form == k.A_MEASUREMENT:
            form, extra = its_form, s.i8(data, at)
    if out < -1:
        return out
    n[s.POS] = pos
    frame = _open(stream, form, out, s.new_handle(stream, entry), step)
    if form != k.NAMES_LIST and form != k.PAIRS_LIST:
        frame[k.EXTRA], frame[k.FIRST] = extra, row
    return 0


@kernel
def _about_class(stream: Stream, columns: Columns, role: int, pos: int) -> int:
    """Read an enum constant, a class or its descriptor; the type of the image is kept."""
    n, code = stream.n, stream.data[pos]
    pos = s.read_class(stream, pos if code == codes.TC_CLASSDESC else pos + 1)
    if pos < 0 or code == codes.TC_CLASSDESC:
        return pos if pos < 0 else _done(n, pos, -1, s.OTHER)
    row = n[s.ROW]
    if row < 0:
        return faults.NO_CLASS
    handle = s.new_handle(stream, s.OTHER)
    if handle < 0 or code == codes.TC_CLASS:
        return handle if handle < 0 else _done(n, pos, handle, s.OTHER)
    pos = s.skip_text(stream, pos, faults.NO_TEXT)
    if pos >= 0 and role == k.ENTRY_VALUE and stream.classes[row, k.FORM] == k.AN_IMAGE_TYPE:
        entry = stream.handles[n[s.HANDLE]]
        status = keep_text(stream, columns, entry, n[s.HANDLE], faults.NO_TEXT)
        if status < 0:
            return status
        n[k.IMAGE_TYPE] = n[k.TEXT]
    return pos if pos < 0 else _done(n, pos, handle, s.OTHER)


@kernel
def _contents(stream: Stream, columns: Columns, frame: I64, pos: int) -> int:
    """Read raw data, or the end of what an object writes itself."""
    data, n, role = stream.data, stream.n, frame[k.ROLE]
    if stream.steps[frame[k.STEP], 1] != k.CONTENTS:
        return faults.NO_ITEM if stream.steps[frame[k.STEP], 1] == k.ITEM else faults.NO_FIELD
    if frame[k.IN_FORM] == k.A_FILE:
        return faults.RAW_FOUND
    is_object = frame[k.IN_FORM] == k.A_PATH_OBJECT
    if data[pos] == codes.TC_ENDBLOCKDATA:
        if is_object and role != k.OBJECT_END:
            return faults.NO_OBJECT if role == k.CHILD else faults.EARLY_END
        n[s.POS] = pos + 1
        next_step(stream, frame, frame[k.STEP] + 1)
        return 0
    start = pos + (2 if data[pos] == codes.TC_BLOCKDATA else 5)
    if start > len(data):
        return s.lacking(stream, start, s.A_BLOCK)
    size = np.int64(data[pos + 1]) if start == pos + 2 else s.signed(s.u4(data, pos + 1))
    end = s.length(stream, size, s.A_BLOCK)
    if end < 0:
        return end
    end += start
    if end > len(data):
        return s.lacking(stream, end, s.A_BLOCK)
    n[s.POS] = end
    return add_raw(stream, columns, frame, start, end) if is_object else 0


@kernel
def read_value(stream: Stream, columns: Columns) -> int:
    """Read what comes next inside the innermost open value, or open it."""
    data, n = stream.data, stream.n
    pos = n[s.POS]
    frame = stream.frames[n[k.DEPTH] - 1]
    role = frame[k.ROLE]
    if pos >= len(data):
        return s.lacking(stream, pos + 1, faults.CHILDREN if role == k.CHILD else s.A_VALUE)
    code = data[pos]
    if code in (codes.TC_ENDBLOCKDATA, codes.TC_BLOCKDATA, codes.TC_BLOCKDATALONG):
        return _contents(stream, columns, frame, pos)
    if role >= k.N_FIELDS:
        return faults.MORE_THAN_SAID if role == k.OBJECT_END else faults.EARLY_END
    if role in (k.ROOT, k.CHILD) and code != codes.TC_OBJECT:
        if code == codes.TC_REFERENCE:
            return faults.TWICE if role == k.CHILD else faults.ROOT_REFERENCE
        return faults.NO_OBJECT
    if role == k.NUCLEUS and code != codes.TC_NULL:
        make_way_for_nucleus(n, columns, frame)
    n[k.BY_REFERENCE] = 1 if code == codes.TC_REFERENCE else 0
    if code == codes.TC_OBJECT or code == codes.TC_ARRAY:
        return _begin(stream, columns, frame, pos)
    if code == codes.TC_NULL:
        return _done(n, pos + 1, -1, k.NULL)
    if code == codes.TC_REFERENCE:
        entry = s.reference(stream, pos)
        return entry if entry < 0 else _done(n, pos + 5, n[s.HANDLE], entry)
    if code == codes.TC_STRING or code == codes.TC_LONGSTRING:
        end = s.read_text(stream, pos)
        if end < 0:
            return end
        mark_id_key(stream, pos, end)
        return _done(n, end, n[s.HANDLE], stream.handles[n[s.HANDLE]])
    if code == codes.TC_ENUM or code == codes.TC_CLASS or code == codes.TC_CLASSDESC:
        return _about_class(stream, columns, role, pos)
    if code == codes.TC_RESET:
        if frame[k.IN_FORM] != k.A_FILE:
            return faults.RESET_INSIDE
        n[s.HANDLES], n[k.WAS_RESET], n[s.POS] = 0, 1, pos + 1
        return 0
    n[k.ABOUT] = code
    return faults.WRITER_FAILED if code == codes.TC_EXCEPTION else faults.UNKNOWN_CODE
