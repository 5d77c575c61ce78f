"""The errors of one data file: what the parser found wrong, in words, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from qpmask.errors import CorruptDataError, DataFileError, TruncatedDataError, UnsupportedDataError
from qpmask.imageobjects import wkb
from qpmask.javastream import reading as s
from qpmask.qpdata.kernel import faults
from qpmask.qpdata.kernel import library as k

_SENTENCES: Final[dict[type[DataFileError], str]] = {
    TruncatedDataError: "{source} ends too early: it has {size:,} bytes and stops inside {what} "
    "that starts at or after byte {pos:,}.",
    CorruptDataError: "{source} is damaged: {what} (near byte {pos:,} of {size:,}).",
    UnsupportedDataError: "{source} cannot be read: {what} (near byte {pos:,} of {size:,}).",
}


@dataclass(frozen=True, eq=False)
class DataFileErrors:
    """Makes the errors of one file.

    Attributes
    ----------
    source : str
        What to call the file.
    hint : str or None
        What to do about it; the end of every message.
    n : ndarray of int64
        The parser's counts: the size of the file, and where the parser is.
    """

    source: str
    hint: str | None
    n: npt.NDArray[np.int64]

    def error(self, kind: type[DataFileError], what: str) -> DataFileError:
        """An error of a kind: what is wrong, or what the file ends inside."""
        size = int(self.n[s.SIZE])
        pos = min(int(self.n[s.BASE] + self.n[s.POS]), size)
        text = _SENTENCES[kind].format(source=self.source, what=what, pos=pos, size=size)
        return kind(text, hint=self.hint)

    def of_status(self, status: int, class_name: str) -> DataFileError:
        """What the parser stopped for, with the class that it is about."""
        n, thing = self.n, faults.THINGS[self.n[s.WHAT]]
        if status == s.SHORT:
            return self.error(TruncatedDataError, thing)
        left = int(n[s.SIZE] - n[s.BASE] - n[s.POS])
        about = int(n[k.ABOUT])
        words = {"what": thing, "name": class_name, "about": about, "left": left}
        words["geometry"] = wkb.FAULTS.get(about, "")
        is_sound = status in faults.UNSUPPORTED
        kind = UnsupportedDataError if is_sound else CorruptDataError
        return self.error(kind, faults.WORDS[status].format(**words))
