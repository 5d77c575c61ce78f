"""What the kernels of the parser share: codes, counts, and the arrays that they work in."""

from __future__ import annotations

from typing import Annotated, Final, NamedTuple

from qpmask import jit

_MODULES = (
    "library", "faults", "stream", "classes", "wkb", "rois", "metadata", "measured", "objects",
    "values", "datafile",
)  # fmt: skip
LIBRARY = jit.Library(
    "qpdata", ["qpmask.imageobjects.kinds", *(f"{__package__}.{name}" for name in _MODULES)]
)

# --------------------------------------------------------- codes of the stream

TC_NULL, TC_REFERENCE, TC_CLASSDESC, TC_OBJECT, TC_STRING, TC_ARRAY = range(0x70, 0x76)
TC_CLASS, TC_BLOCKDATA, TC_ENDBLOCKDATA, TC_RESET, TC_BLOCKDATALONG = range(0x76, 0x7B)
TC_EXCEPTION, TC_LONGSTRING, TC_PROXYCLASSDESC, TC_ENUM = range(0x7B, 0x7F)
FIRST_REFERENCE: Final = 0x7E0000

# --------------------------------------------------------- what the parser stops for

MORE, ROOM, CLASS, BACK, END, SHORT = range(-6, 0)
"""The window ends inside what is being read; ``n[FULL]`` has room for fewer than ``n[WANTED]``; a
class that is not among ``classes``, see KEY_START; something is needed that is no longer there; the
file was read to its last byte; it ends inside ``n[WHAT]``."""

# ------------------------------------------------------- n: counts, and where the parser is

HANDLES, OBJECTS, ROIS, BOXES, RINGS, VERTICES32, VERTICES64 = range(7)
TEXTS, TEXT_BYTES, PATH_CLASSES, USED_CLASSES = range(7, 11)
METADATA, DETAILED, VALUES, NAME_LISTS, LIST_NAMES = range(11, 16)
REFERENCES, POS, BASE, SIZE, DEPTH, LEVELS = range(16, 22)
"""Place in the window; offsets of the window and of the end of the file; open values, and how many
of them are objects of the hierarchy."""
FULL, WANTED, WHAT, ABOUT, KEY_START, KEY_END = range(22, 28)
"""ABOUT: row of the class that a message names; -1 for the one at KEY_START. The last two: where in
``key`` a class descriptor is, whose super class is ``n[ROW]``."""
DONE, HANDLE, ENTRY, BY_REFERENCE, ROW, TEXT = range(28, 34)
"""A value that was read, if DONE, for the innermost open one: its handle, what that stands for,
whether it was referred to. Second results: a row of ``classes``, a text (-1 for null)."""
RAW, N_RAW, ID_INDEX, N_KEYS, VALUE_ROW, IN_ROI = range(34, 40)
"""Raw bytes so far; of the metadata being read the place of the id, the number of keys, the next
row; whether a ROI is open."""
SERVER, IMAGE_TYPE, HAS_HIERARCHY, DETAILS = range(40, 44)
"""HAS_HIERARCHY is 2 once it had a root; DETAILS is not 0 if they are wanted."""
COUNT_AT, CHILDREN_END, CHILDREN_HANDLES, WAS_RESET, OUTLINES = range(44, 49)
"""Offsets of the number of the root's children and of their end, handles until there. Whose
outlines are kept: -1 for all, else bits of kinds of objects; OF_NUCLEI for nuclei, not cells."""
N_NUMBERS: Final = 49
OF_NUCLEI: Final = 1 << 8

# ------------------------------------------------------------ handles: kind | payload << 4

OTHER, TEXT_AT, ID_KEY, POOLED, CLASS_ROW, OBJECT_OF, TRUE_OR_FALSE, INTEGER = range(8)
"""Payloads: nothing; offset of a text's code, also if it is the key of an object's id; number of a
text; row of a class; row of an object's class; the value (of two)."""
PATH_CLASS, ROI_NUMBER, OBJECT_ARRAY, NAME_LIST, NULL, FLOATS_AT, DOUBLES_AT, BYTES_AT = range(
    8, 16
)
"""Of arrays of numbers the offset of their length."""

# ------------------------------------------------------------------- columns of classes

KEY_AT, KEY_SIZE, PARENT, FORM, FIRST_STEP, ITEM_BYTES, ITEM_KIND, KIND, FLAGS, PLACES = range(10)
"""Where its descriptor is in ``keys``, its bytes, the row of its super class; what its objects are
and their first step, -1 for none; bytes of an array's item (0: values, -1: no array), kind of its
handle; kind of object or ROI; flags of an object; places of seven numbers behind the head of an
object, -1 for none."""
N_CLASS_COLUMNS: Final = 16

PLAIN, A_PATH_OBJECT, A_BOOLEAN, AN_INTEGER, A_UUID, A_METADATA, A_PATH_CLASS, A_ROI = range(8)
A_HIERARCHY, AN_IMAGE_TYPE, A_MEASURED, A_MEASUREMENT, A_LIST = range(8, 13)
NAMES_LIST, PAIRS_LIST, A_FILE = range(13, 16)
"""Forms of classes, and of values that are open: there PLAIN is what nothing is taken of."""
HAS_ROI, IS_ROOT, IS_CELL, IS_CORE = 1, 2, 4, 8
"""Flags of a class of objects."""

# --------------------------------------- columns of frames, which are the values that are open

ROLE, STEP, IN_FORM, LEFT, OUT, OWN, EXTRA, FIRST = range(8)
"""What the next value inside is for; the present step; what it is; items or children left; number
of the object, ROI or class that it fills, -1 for none; its handle; more, by its form."""
N_FRAME_COLUMNS: Final = 8

SKIP, FINISHED, CONTENTS, ITEM, SERVER_TEXT, ENTRY_VALUE, ROOT, CHILD = range(8)
NAME, COLOR, ID, MEASURED, FIELD, LOCK_OR_CLASS, CLASS_OF, ROI_OF, NUCLEUS = range(8, 17)
ARRAYS, KEY, VALUE, CLASS_COLOR, CLASS_NAME, CLASS_PARENT, X, Y, WKB, RING_X, RING_Y = range(17, 28)
NAMES, NUMBERS, LIST, WRAPPED, PAIRS, LIST_NAME, PAIR, PAIR_NAME = range(28, 36)
N_FIELDS, N_CHILDREN, PROBABILITY, MISSING, OBJECT_END = range(36, 41)
"""Roles. Nothing is taken; all was read; see ``steps``; values of a file, of an object in their
sequence, of its metadata, of classes, ROIs and measurements. The last line: raw, and the end."""

MAX_DEPTH: Final = 1000
"""Levels of objects inside objects. Java's own writer recurses and does not get this far."""
MAX_LEVELS: Final = 10_000
"""Levels of the hierarchy."""
MAX_COLLECTIONS: Final = 32
"""Levels of collections of geometries inside collections."""
MAX_SUPER_CLASSES: Final = 64
MAX_REUSE: Final = 4
"""How many times the size of the file its coordinates may take; files of QuPath stay below 1."""
KEY_BYTES: Final = 1 << 16
"""Of a class descriptor."""
N_FRAMES: Final = MAX_DEPTH + MAX_LEVELS + MAX_SUPER_CLASSES + 8

U8 = jit.U8_1D
I32 = jit.I32_1D
I64 = jit.I64_1D
U32 = jit.U32_1D


class Row(NamedTuple):
    """Of a column that grows: what counts its rows, and how many items each is."""

    counter: int
    width: int = 1


BYTES_A_ROW: Final = {
    OBJECTS: 128, ROIS: 64, BOXES: 64, RINGS: 64, VERTICES32: 8, VERTICES64: 16, TEXTS: 256,
    TEXT_BYTES: 32, PATH_CLASSES: 4096, USED_CLASSES: 4096, METADATA: 4096, DETAILED: 128, VALUES:
    32, NAME_LISTS: 1024, LIST_NAMES: 256, HANDLES: 16,
}  # fmt: skip
"""How much of a file there is for one row or more (no limit), by what counts the rows."""


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
        The classes that were described; ``keys`` holds their descriptors, ``key`` the present one.
    steps : int64 array (n, 2)
        What follows the head of an object: pass over so many bytes, then read a value of this role,
        or CONTENTS until their end; at last FINISHED. Step 0 is that of arrays, 1 of the file.
    frames : int64 array (N_FRAMES, N_FRAME_COLUMNS)
        The values that are open, and behind them room for other things.
    references : int64 array
        Offsets of references behind the root's children, perhaps twice; not all, if it is full.
    """

    data: U8
    n: I64
    handles: Annotated[I64, Row(HANDLES)]
    classes: jit.I64_2D
    keys: U8
    key: U8
    steps: jit.I64_2D
    frames: jit.I64_2D
    references: I64


class Columns(NamedTuple):
    """What is filled; see :mod:`qpmask.imageobjects`.

    ``path_classes`` holds name (a text), colour (-1 for none, else 32 bits), parent, and one more
    than its place in ``used_classes``; ``metadata`` object, key and value (texts, negative for
    none), the key -1 for an id that is not written as Java does. Details: ``color``, ``name_list``
    (-1 for no measurements) and ``single`` (whether they are of single precision, as 32 bits) of an
    object; ``list_first`` and ``list_size`` of a list of names in ``list_names`` (texts).
    """

    kind: Annotated[U8, Row(OBJECTS)]
    parent: Annotated[I32, Row(OBJECTS)]
    class_index: Annotated[I32, Row(OBJECTS)]
    locked: Annotated[U8, Row(OBJECTS)]
    roi: Annotated[I32, Row(OBJECTS)]
    nucleus_roi: Annotated[I32, Row(OBJECTS)]
    missing: Annotated[U8, Row(OBJECTS)]
    name: Annotated[I32, Row(OBJECTS)]
    ids: Annotated[U8, Row(OBJECTS, 36)]
    roi_kind: Annotated[U8, Row(ROIS)]
    c: Annotated[I32, Row(ROIS)]
    z: Annotated[I32, Row(ROIS)]
    t: Annotated[I32, Row(ROIS)]
    boxes: Annotated[I64, Row(BOXES, 4)]
    geometry_type: Annotated[U8, Row(ROIS)]
    is_empty: Annotated[U8, Row(ROIS)]
    ring_offsets: Annotated[I64, Row(ROIS)]
    ring_first: Annotated[I64, Row(RINGS)]
    ring_size: Annotated[I64, Row(RINGS)]
    ring_kind: Annotated[U8, Row(RINGS)]
    ring_part: Annotated[I32, Row(RINGS)]
    ring_is_hole: Annotated[U8, Row(RINGS)]
    vertices32: Annotated[U32, Row(VERTICES32, 2)]
    vertices64: Annotated[I64, Row(VERTICES64, 2)]
    text_ends: Annotated[I64, Row(TEXTS)]
    text_bytes: Annotated[U8, Row(TEXT_BYTES)]
    path_classes: Annotated[I64, Row(PATH_CLASSES, 4)]
    used_classes: Annotated[I64, Row(USED_CLASSES)]
    metadata: Annotated[I32, Row(METADATA, 3)]
    color: Annotated[I64, Row(DETAILED)]
    name_list: Annotated[I32, Row(DETAILED)]
    single: Annotated[U8, Row(DETAILED)]
    values: Annotated[I64, Row(VALUES)]
    list_first: Annotated[I64, Row(NAME_LISTS)]
    list_size: Annotated[I64, Row(NAME_LISTS)]
    list_names: Annotated[I32, Row(LIST_NAMES)]
