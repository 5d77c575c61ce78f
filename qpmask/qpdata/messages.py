"""What the parser finds wrong with a file, in words."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from qpmask.errors import CorruptDataError, DataFileError, TruncatedDataError, UnsupportedDataError
from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.kernel.wkb import MAX_DEPTH

THINGS: Final = {
    k.A_VALUE: "a value", k.A_TEXT: "a text", k.A_CLASS: "a class", k.AN_ARRAY: "an array",
    k.A_BLOCK: "a block", k.A_REFERENCE: "a reference", k.AN_OBJECT: "an object of a class",
    k.CHILDREN: "the children of an object", k.FIRST_BYTES: "its first four bytes",
}  # fmt: skip

UNSUPPORTED: Final = {
    k.PROXY: "it holds a dynamic proxy class",
    k.ANNOTATED: "the class {name} has annotations",
    k.OLD_WAY: "the class {name} is stored in an old way",
    k.NOT_AN_OBJECT: "the hierarchy holds something else: {name}",
    k.MANY_LEVELS: f"objects are nested {k.MAX_LEVELS} levels deep",
    k.SHARED_FIELD: "two objects share their metadata or measurements",
    k.UNKNOWN_ROI: "it holds a ROI of the unknown class {name}",
}

_GEOMETRY: Final = "a geometry makes no sense: "
CORRUPT: Final = {
    k.NEGATIVE: "{what} has a negative length",
    k.NOTHING_THERE: "a reference points at nothing",
    k.BAD_TEXT: "a text is not valid (modified UTF-8)",
    k.NO_TEXT: "an enum has no name",
    k.NO_CLASS: "an object has no class",
    k.CLASS_EXPECTED: "a class description was expected",
    k.NOT_A_CLASS: "a class refers to something that is no class",
    k.NO_TYPE: "a field of the class {name} has no type",
    k.UNKNOWN_TYPE: "a field of the class {name} is of no known type",
    k.MANY_SUPER_CLASSES: "a class has too many super classes",
    k.LONG_CLASS: "the description of a class is too long",
    k.NO_ARRAY: "an array has a class that is no array",
    k.DEEP: f"it holds objects inside objects, {k.MAX_DEPTH} deep",
    k.WRITER_FAILED: "the program that wrote it failed while doing so",
    k.RESET_INSIDE: "a reset was found inside an object",
    k.UNKNOWN_CODE: "an unknown code (0x{about:02X}) was found",
    k.NO_FIELD: "a field of an object is missing",
    k.NO_ITEM: "an item of an array is missing",
    k.RAW_FOUND: "raw data was found where an object was expected",
    k.NO_NUMBER: "a number is missing: an object was found instead",
    k.EARLY_END: "an object ends too early",
    k.MORE_THAN_SAID: "an object holds more than it says",
    k.NO_FIRST_LINE: "its first line does not fill its block",
    k.NO_SERVER: "how to open the image is no text",
    k.MORE_BEHIND: "{left:,} bytes follow after its end",
    k.NO_HIERARCHY: "it ends without a hierarchy of objects",
    k.TWO_HIERARCHIES: "it holds two hierarchies",
    k.ROOTLESS: "the hierarchy has no root",
    k.ROOT_REFERENCE: "the hierarchy refers to a root instead of holding it",
    k.NO_OBJECT: "an object of the hierarchy is missing",
    k.TWICE: "the same object is in the hierarchy twice",
    k.WRONG_ROOT: "the hierarchy has no root, or a second one",
    k.NEGATIVE_CHILDREN: "an object has a negative number of children",
    k.NO_NAME: "the name of an object is no text",
    k.NOT_A_PATH_CLASS: "an object has something else for a class",
    k.NO_CLASS_NAME: "a class has no name",
    k.NOT_A_PARENT: "a class is derived from something else",
    k.NO_ID: "an id has no value",
    k.ODD_METADATA: "the metadata of an object make no sense",
    k.ODD_MEASURED: "the measurements of an object make no sense",
    k.NOT_A_ROI: "an object has something else for a ROI",
    k.NO_PLANE: "a ROI has no plane",
    k.NO_BOX: "a ROI has no box",
    k.NO_COORDINATES: "a ROI has no coordinates",
    k.UNEQUAL_AXES: "a ROI has not as many x as y",
    k.SAME_COORDINATES: "many ROIs refer to the same coordinates",
    k.WKB_ENDS: _GEOMETRY + "it ends before what it holds does",
    k.WKB_ORDER: _GEOMETRY + "it has an unknown byte order",
    k.WKB_TYPE: _GEOMETRY + "it holds a geometry of an unknown type",
    k.WKB_MEMBER: _GEOMETRY + "it holds a geometry of a type that may not be there",
    k.WKB_DEEP: _GEOMETRY + f"it holds collections inside collections, {MAX_DEPTH} deep",
    k.WKB_GOES_ON: _GEOMETRY + "it goes on after its end",
}


class Faults:
    """Makes the errors of one file.

    Parameters
    ----------
    source : str
        What to call the file in messages.
    hint : str, optional
        What to do about it; the end of every message.
    n : ndarray of int64
        The parser's counts: the size of the file, and where the parser is.
    """

    def __init__(self, source: str, hint: str | None, n: npt.NDArray[np.int64]) -> None:
        self._source, self._hint, self._n = source, hint, n

    def _place(self) -> tuple[int, int]:
        return int(self._n[k.BASE] + self._n[k.POS]), int(self._n[k.SIZE])

    def truncated(self, what: int) -> DataFileError:
        """The file ends inside something that starts where the parser is, or behind it."""
        pos, size = self._place()
        return TruncatedDataError(
            f"{self._source} ends too early: it has {size:,} bytes and stops inside "
            f"{THINGS[what]} that starts at or after byte {min(pos, size):,}.",
            hint=self._hint,
        )

    def corrupt(self, what: str) -> DataFileError:
        """The file contradicts its format."""
        pos, size = self._place()
        text = f"{self._source} is damaged: {what} (near byte {pos:,} of {size:,})."
        return CorruptDataError(text, hint=self._hint)

    def unsupported(self, what: str) -> DataFileError:
        """The file is of a kind that is not read."""
        pos, size = self._place()
        text = f"{self._source} cannot be read: {what} (near byte {pos:,} of {size:,})."
        return UnsupportedDataError(text, hint=self._hint)

    def found(self, status: int, class_name: str) -> DataFileError:
        """What the parser stopped for, with the class that it is about."""
        n, (pos, size) = self._n, self._place()
        if status == k.SHORT:
            return self.truncated(int(n[k.WHAT]))
        words = {"what": THINGS[int(n[k.WHAT])], "about": int(n[k.ABOUT]), "left": size - pos}
        if status in UNSUPPORTED:
            return self.unsupported(UNSUPPORTED[status].format(name=class_name, **words))
        return self.corrupt(CORRUPT[status].format(name=class_name, **words))
