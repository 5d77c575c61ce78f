"""What the parser finds wrong with a file: numbers for the kernels, words for people."""

from __future__ import annotations

from typing import Final

from qpmask.javastream import reading
from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.kernel.library import END

THINGS: Final = (*reading.THINGS, "the children of an object")
CHILDREN: Final = len(reading.THINGS)
"""In ``n[WHAT]``: what the file ends inside."""

WORDS: Final = dict(reading.FAULTS)
"""What is wrong, by its number; ``{name}`` is that of the class ``n[ABOUT]``."""
UNSUPPORTED: Final[set[int]] = set()
"""Those of a file that is sound, but of a kind that is not read."""


def _corrupt(words: str) -> int:
    """Number what contradicts the format."""
    number = END - len(WORDS)
    WORDS[number] = words
    return number


def _unsupported(words: str) -> int:
    number = _corrupt(words)
    UNSUPPORTED.add(number)
    return number


NO_TEXT: Final = _corrupt("an enum has no name")
NO_CLASS: Final = _corrupt("an object has no class")
NO_ARRAY: Final = _corrupt("an array has a class that is no array")
OLD_WAY: Final = _unsupported("the class {name} is stored in an old way")
DEEP: Final = _corrupt(f"it holds objects inside objects, {k.MAX_DEPTH} deep")
WRITER_FAILED: Final = _corrupt("the program that wrote it failed while doing so")
RESET_INSIDE: Final = _corrupt("a reset was found inside an object")
UNKNOWN_CODE: Final = _corrupt("an unknown code (0x{about:02X}) was found")
NO_FIELD: Final = _corrupt("a field of an object is missing")
NO_ITEM: Final = _corrupt("an item of an array is missing")
RAW_FOUND: Final = _corrupt("raw data was found where an object was expected")
EARLY_END: Final = _corrupt("an object ends too early, or a number in it is missing")
MORE_THAN_SAID: Final = _corrupt("an object holds more than it says")
NO_SERVER: Final = _corrupt("how to open the image is no text")
MORE_BEHIND: Final = _corrupt("{left:,} bytes follow after its end")
NO_HIERARCHY: Final = _corrupt("it ends without a hierarchy of objects")
TWO_HIERARCHIES: Final = _corrupt("it holds two hierarchies")
ROOT_REFERENCE: Final = _corrupt("the hierarchy refers to a root instead of holding it")
NO_OBJECT: Final = _corrupt("an object of the hierarchy is missing")
TWICE: Final = _corrupt("the same object is in the hierarchy twice")
NOT_AN_OBJECT: Final = _unsupported("the hierarchy holds something else: {name}")
WRONG_ROOT: Final = _corrupt("the hierarchy has no root, or a second one")
MANY_LEVELS: Final = _unsupported(f"objects are nested {k.MAX_LEVELS} levels deep")
NEGATIVE_CHILDREN: Final = _corrupt("an object has a negative number of children")
ODD_OBJECT: Final = _corrupt("an object has something else for its name, id, class or ROI")
ODD_DETAILS: Final = _corrupt("the metadata or measurements of an object make no sense")
ODD_CLASS: Final = _corrupt("a class has no name, or is derived from something else")
ODD_ROI: Final = _corrupt("a ROI has no plane, no box or no coordinates")
SHARED_FIELD: Final = _unsupported("two objects share their metadata or measurements")
UNKNOWN_ROI: Final = _unsupported("it holds a ROI of the unknown class {name}")
UNEQUAL_AXES: Final = _corrupt("a ROI has not as many x as y")
SAME_COORDINATES: Final = _corrupt("many ROIs refer to the same coordinates")
WKB: Final = _corrupt("a geometry makes no sense: {geometry}")
