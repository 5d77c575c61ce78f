"""What the kernels of the parser share: codes, counts, and the arrays that they work in."""

from __future__ import annotations

from typing import Annotated, Final, NamedTuple

from qpmask import jit
from qpmask.imageobjects.roicolumns import BOXES, RINGS, ROIS, VERTICES32, VERTICES64, RoiColumns
from qpmask.imageobjects.wkb import MAX_COLLECTIONS
from qpmask.javastream.reading import HANDLES
from qpmask.jit.growing import Row

_MODULES = (
    "library", "faults", "texts", "rois", "metadata", "measured", "objects", "values", "datafile",
)  # fmt: skip
LIBRARY = jit.Library(
    "qpdata",
    [
        "qpmask.jit.growing", "qpmask.imageobjects.kinds", "qpmask.imageobjects.roicolumns",
        "qpmask.imageobjects.wkb", "qpmask.javastream.codes", "qpmask.javastream.reading",
        *(f"{__package__}.{name}" for name in _MODULES),
    ],
)  # fmt: skip

END: Final = -11
"""What the parser stops for at last: the file was read to its last byte."""

# ------------------------------------------------------- n: counts, and where the parser is
# Behind those of imageobjects.roicolumns and javastream.reading.

OBJECTS, TEXTS, TEXT_BYTES, PATH_CLASSES, USED_CLASSES = range(20, 25)
METADATA, DETAILED, VALUES, NAME_LISTS, LIST_NAMES = range(25, 30)
DEPTH, LEVELS, ABOUT = range(30, 33)
"""Open values, and how many of them are objects of the hierarchy. What a message is about: row of a
class, a code, what is wrong with a geometry."""
DONE, ENTRY, BY_REFERENCE, TEXT = range(33, 37)
"""A value that was read, if DONE, for the innermost open one: what its handle stands for, whether
it was referred to. Second result: a text (-1 for null)."""
RAW, N_RAW, ID_INDEX, N_KEYS, VALUE_ROW, IN_ROI = range(37, 43)
"""Raw bytes so far; of the metadata being read the place of the id, the number of keys, the next
row; whether a ROI is open."""
SERVER, IMAGE_TYPE, HAS_HIERARCHY, DETAILS = range(43, 47)
"""HAS_HIERARCHY is 2 once it had a root; DETAILS is not 0 if they are wanted."""
COUNT_AT, CHILDREN_END, CHILDREN_HANDLES, WAS_RESET, OUTLINES = range(47, 52)
"""Offsets of the number of the root's children and of their end, handles until there. Whose
outlines are kept: -1 for all, else bits of kinds of objects; OF_NUCLEI for nuclei, not cells."""
N_NUMBERS: Final = 52
OF_NUCLEI: Final = 1 << 8

# ------------------------------------------------------------ handles: kind | payload << 4

OBJECT_OF, TRUE_OR_FALSE, INTEGER, PATH_CLASS, ROI_NUMBER, OBJECT_ARRAY, NAME_LIST = range(5, 12)
"""Row of an object's class; the value (of two); numbers of what was made of it."""
NULL, FLOATS_AT, DOUBLES_AT, BYTES_AT = range(12, 16)
"""Of arrays of numbers the offset of their length. Texts are POOLED as their number."""

# ------------------------------------------------------------------- columns of classes

FORM, FIRST_STEP, ITEM_BYTES, ITEM_KIND, KIND, FLAGS, PLACES = range(7)
"""What its objects are and their first step, -1 for none; bytes of an array's item (0: values, -1:
no array), kind of its handle; kind of object or ROI; flags of an object; places of seven numbers
behind the head of an object, -1 for none."""
N_CLASS_COLUMNS: Final = 14

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
MAX_REUSE: Final = 4
"""How many times the size of the file its coordinates may take; files of QuPath stay below 1."""
N_FRAMES: Final = MAX_DEPTH + MAX_LEVELS + MAX_COLLECTIONS + 8

U8 = jit.U8_1D
I32 = jit.I32_1D
I64 = jit.I64_1D

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
        The classes that were described.
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
    rois: RoiColumns
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
