"""What the kernels of the parser share: codes, counts, and the arrays that they work in."""

from __future__ import annotations

from typing import Final, NamedTuple

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
    handles: I64
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
    boxes: I64
    geometry_type: U8
    is_empty: U8
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


GROUPS: Final[tuple[tuple[int, int, dict[str, int]], ...]] = (
    (OBJECTS, 128, {
        "kind": 1, "parent": 1, "class_index": 1, "locked": 1, "roi": 1, "nucleus_roi": 1,
        "missing": 1, "name": 1, "ids": 36}),
    (ROIS, 64, {
        "roi_kind": 1, "c": 1, "z": 1, "t": 1, "geometry_type": 1, "is_empty": 1,
        "ring_offsets": 1}),
    (BOXES, 64, {"boxes": 4}),
    (RINGS, 64, {
        "ring_first": 1, "ring_size": 1, "ring_kind": 1, "ring_part": 1, "ring_is_hole": 1}),
    (VERTICES32, 8, {"vertices32": 2}),
    (VERTICES64, 16, {"vertices64": 2}),
    (TEXTS, 256, {"text_ends": 1}),
    (TEXT_BYTES, 32, {"text_bytes": 1}),
    (PATH_CLASSES, 4096, {"path_classes": 4}),
    (USED_CLASSES, 4096, {"used_classes": 1}),
    (METADATA, 4096, {"metadata": 3}),
    (DETAILED, 128, {"color": 1, "name_list": 1, "single": 1}),
    (VALUES, 32, {"values": 1}),
    (NAME_LISTS, 1024, {"list_first": 1, "list_size": 1}),
    (LIST_NAMES, 256, {"list_names": 1}),
    (HANDLES, 16, {"handles": 1}),
)  # fmt: skip
"""Columns that grow together: what counts them, how much of a file there is for one row or more (no
limit), and how many items of each are a row."""
