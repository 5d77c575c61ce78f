"""What the kernels of the parser share: codes, counts, and the arrays that they work in.

A kernel is handed a place in the window and gives the place after what it read, or one of the
negative numbers below.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from qpmask import jit

_MODULES = (
    "library", "stream", "values", "texts", "wkb", "rois", "metadata", "measured", "pathclass",
    "objects", "datafile",
)  # fmt: skip
LIBRARY = jit.Library("qpdata", [f"{__package__}.{name}" for name in _MODULES])

# --------------------------------------------------------- codes of the stream

TC_NULL: Final = 0x70
TC_REFERENCE: Final = 0x71
TC_CLASSDESC: Final = 0x72
TC_OBJECT: Final = 0x73
TC_STRING: Final = 0x74
TC_ARRAY: Final = 0x75
TC_CLASS: Final = 0x76
TC_BLOCKDATA: Final = 0x77
TC_ENDBLOCKDATA: Final = 0x78
TC_RESET: Final = 0x79
TC_BLOCKDATALONG: Final = 0x7A
TC_EXCEPTION: Final = 0x7B
TC_LONGSTRING: Final = 0x7C
TC_PROXYCLASSDESC: Final = 0x7D
TC_ENUM: Final = 0x7E
FIRST_REFERENCE: Final = 0x7E0000

# --------------------------------------------------------- what comes instead of a place

MORE: Final = -1
"""The window ends inside what is being read."""
ROOM: Final = -2
"""``n[FULL]`` has room for fewer than ``n[WANTED]``."""
CLASS: Final = -3
"""A class that is not among ``classes``: see KEY_START."""
BACK: Final = -4
"""A text is needed that is no longer in the window."""
UNKNOWN: Final = -5
"""Not in the grammar of the parser: the plain reader's."""
END: Final = -6
"""The file was read to its last byte."""
SHORT: Final = -7
"""The file ends inside what is being read."""
POOL: Final = -8
"""The text of handle ``n[WANTED]``, from before this unit, is to be kept; then the unit anew."""

# ------------------------------------------------------- n: counts, and where the parser is

HANDLES, OBJECTS, ROIS, RINGS, VERTICES32, VERTICES64 = range(6)
TEXTS, TEXT_BYTES, PATH_CLASSES, USED_CLASSES = range(6, 10)
METADATA, DETAILED, VALUES, NAME_LISTS, LIST_NAMES = range(10, 15)
N_COUNTS: Final = 15
"""Counts, which go back to what they were where a unit is left off."""
KEPT: Final = 15
"""Where they are kept meanwhile."""
POS, BASE, SIZE, PHASE, DEPTH, HIERARCHY_ROW = range(30, 36)
"""Place in the window; offsets of the window and of the end of the file; open objects."""
FULL, WANTED, KEY_START, KEY_END = range(36, 40)
"""The last two: where in ``key`` a class descriptor is, whose super class is ``n[ROW]``."""
HANDLE, ENTRY, ROW, TEXT, ROI, NAMES = range(40, 46)
"""Second results: a handle and what it stands for, a row of ``classes``, a text, a ROI, a list of
names."""
SERVER, IMAGE_TYPE, HAS_HIERARCHY, DETAILS = range(46, 50)
"""DETAILS is not 0 if colours, measurements and metadata are wanted."""
N_NUMBERS: Final = 50

# ------------------------------------------------------------ handles: kind | payload << 4

OTHER, TEXT_AT, ID_KEY, POOLED, CLASS_ROW, OBJECT_OF, TRUE_OR_FALSE, INTEGER = range(8)
"""Payloads: nothing; offset of a text's code, also if it is the key of an object's id; number of a
text; row of a class; row of an object's class; the value (of two)."""
PATH_CLASS, ROI_NUMBER, OBJECT_ARRAY, NAME_LIST, NULL = range(8, 13)

# ------------------------------------------------------------------- columns of classes

KEY_AT, KEY_SIZE, PARENT, FORM, FIRST_STEP, ITEM_BYTES, ITEM_CODE = range(7)
"""Where its descriptor is in ``keys``, its bytes, the row of its super class; what its objects are
and their first step, -1 for none; bytes of an array's item (0: values, -1: no array), its type."""
KIND, FLAGS, N_BYTES, FIELDS, N_FIELDS, PLACES = range(7, 13)
"""Kind of object or ROI; flags of an object; bytes of the primitive fields; a hexadecimal digit for
what each of the other fields is; four places of numbers among the primitive ones, PLACES and on."""
N_CLASS_COLUMNS: Final = 16

ODD, PLAIN, A_PATH_OBJECT, A_BOOLEAN, AN_INTEGER, A_UUID, A_METADATA = range(7)
A_PATH_CLASS, A_ROI, A_HIERARCHY, AN_IMAGE_TYPE = range(7, 11)
MEASURED, ODD_MEASURED, A_MEASUREMENT, A_LIST, A_WRAPPED_LIST = range(11, 16)
"""Forms. ODD: has the name of something that is known, but not its fields."""

HAS_ROI, IS_ROOT, IS_CELL, IS_CORE = 1, 2, 4, 8
"""Flags of a class of objects."""
SKIP, FIELD_X, FIELD_Y, FIELD_WKB = range(4)
FIELD_COLOR, FIELD_NAME, FIELD_PARENT = range(1, 4)
FIELD_ROOT: Final = 1
FIELD_NAMES, FIELD_VALUES, FIELD_PAIRS = range(1, 4)
NO_COLOR: Final = 1 << 40

UNTIL_END: Final = -1
"""In place of a number of values: all until the end of the contents."""
MAX_DEPTH: Final = 1000
"""Levels of objects inside objects. Java's own writer recurses and does not get this far."""
MAX_LEVELS: Final = 10_000
"""Levels of the hierarchy."""
MAX_SUPER_CLASSES: Final = 64
KEY_BYTES: Final = 1 << 16
"""Of a class descriptor."""
N_FRAMES: Final = MAX_DEPTH + 1 + MAX_SUPER_CLASSES

U8 = jit.U8_1D
I32 = jit.I32_1D
I64 = jit.I64_1D
U32 = jit.U32_1D


class Stream(NamedTuple):
    """A part of the file, and what was found in it.

    Attributes
    ----------
    data : uint8 array
        The window.
    n : int64 array (N_NUMBERS,)
        Counts and places, see above.
    handles : int64 array
        What each handle stands for.
    classes : int64 array (n, N_CLASS_COLUMNS)
        The classes that were described.
    steps : int64 array (n, 2)
        What follows the head of an object: pass over so many bytes, then read so many values; the
        last step reads none. Steps 0 and 1 are those of arrays.
    frames : int64 array (MAX_DEPTH + 1, 3)
        Objects inside objects that are open: step, values left; and room for other things.
    """

    data: U8
    n: I64
    handles: I64
    classes: jit.I64_2D
    keys: U8
    key: U8
    steps: jit.I64_2D
    frames: jit.I64_2D


class Columns(NamedTuple):
    """What is filled; see :mod:`qpmask.qpdata.model`.

    ``path_classes`` holds name (a text), colour (-1 for none, else 32 bits), parent, and one more
    than its place in ``used_classes``; ``open_objects`` class, number and children left;
    ``metadata`` object, key and value (texts, -1 for none), the key -1 for an id that is not
    written as Java does. Details: ``color``, ``name_list`` (-1 for no measurements) and ``single``
    (whether they are of single precision, as 32 bits) of an object; ``list_first`` and
    ``list_size`` of a list of names in ``list_names`` (texts).
    """

    open_objects: jit.I64_2D
    kind: U8
    parent: I32
    class_index: I32
    locked: U8
    roi: I32
    nucleus_roi: I32
    missing: U8
    name: I32
    ids: U8
    roi_kind: U8
    c: I32
    z: I32
    t: I32
    box: I64
    geometry_type: U8
    ring_offsets: I64
    ring_first: I64
    ring_size: I64
    ring_kind: U8
    ring_part: I32
    ring_is_hole: U8
    vertices32: U32
    vertices64: I64
    text_ends: I64
    text_bytes: U8
    path_classes: I64
    used_classes: I64
    metadata: I32
    color: I64
    name_list: I32
    single: U8
    values: I64
    list_first: I64
    list_size: I64
    list_names: I32


class Group(NamedTuple):
    """Columns that grow together: items a row of each, and their names.

    ``bytes_each`` is how much of a file there is for one row, or more; no limit.
    """

    counter: int
    bytes_each: int
    items: tuple[tuple[str, type[Any], int], ...]


GROUPS: Final = (
    Group(OBJECTS, 128, (
        ("kind", np.uint8, 1), ("parent", np.int32, 1), ("class_index", np.int32, 1),
        ("locked", np.uint8, 1), ("roi", np.int32, 1), ("nucleus_roi", np.int32, 1),
        ("missing", np.uint8, 1), ("name", np.int32, 1), ("ids", np.uint8, 36))),
    Group(ROIS, 64, (
        ("roi_kind", np.uint8, 1), ("c", np.int32, 1), ("z", np.int32, 1), ("t", np.int32, 1),
        ("box", np.int64, 4), ("geometry_type", np.uint8, 1), ("ring_offsets", np.int64, 1))),
    Group(RINGS, 64, (
        ("ring_first", np.int64, 1), ("ring_size", np.int64, 1), ("ring_kind", np.uint8, 1),
        ("ring_part", np.int32, 1), ("ring_is_hole", np.uint8, 1))),
    Group(VERTICES32, 8, (("vertices32", np.uint32, 2),)),
    Group(VERTICES64, 16, (("vertices64", np.int64, 2),)),
    Group(TEXTS, 256, (("text_ends", np.int64, 1),)),
    Group(TEXT_BYTES, 32, (("text_bytes", np.uint8, 1),)),
    Group(PATH_CLASSES, 4096, (("path_classes", np.int64, 4),)),
    Group(USED_CLASSES, 4096, (("used_classes", np.int64, 1),)),
    Group(METADATA, 4096, (("metadata", np.int32, 3),)),
    Group(DETAILED, 128, (
        ("color", np.int64, 1), ("name_list", np.int32, 1), ("single", np.uint8, 1))),
    Group(VALUES, 32, (("values", np.int64, 1),)),
    Group(NAME_LISTS, 1024, (("list_first", np.int64, 1), ("list_size", np.int64, 1))),
    Group(LIST_NAMES, 256, (("list_names", np.int32, 1),)),
    Group(HANDLES, 16, (("handles", np.int64, 1),)),
)  # fmt: skip
