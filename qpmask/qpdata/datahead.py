"""The head of a data file: the stream's header, the line that names the version, the server."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from qpmask.errors import CorruptDataError, DataFileError, TruncatedDataError, UnsupportedDataError
from qpmask.javastream.codes import STREAM_HEAD, TC_BLOCKDATA, TC_LONGSTRING, TC_STRING
from qpmask.javastream.texts import decode_text

LINE_BYTES: Final = 6 + 255
"""The header and the line, at most: it is a block, whose length is a byte."""
_SERVER_BYTES: Final = 16 << 20  # more than any server needs: hundreds of channels in JSON

_TEXTS: Final = (TC_STRING, TC_LONGSTRING)
_LINE: Final = re.compile(r"Data file version (\d{1,4})(?:\.0)?")
_VERSIONS: Final = (2, 3, 4)  # by QuPath 0.2, by 0.3 to 0.7, prepared in the code of 0.4


class HeadError(Exception):
    """Something is wrong at this byte; private to this package."""

    def __init__(self, kind: type[DataFileError], what: str, at: int) -> None:
        super().__init__(what)
        self.kind, self.at = kind, at


def read_first_line(head: bytes) -> tuple[int, int]:
    """Read the header and the first line, in the first :data:`LINE_BYTES` of a file or more.

    Returns
    -------
    (int, int)
        The version of the file, and where the line ends.

    Raises
    ------
    HeadError
        It ends too early, is none of a data file, or of a version that is not known.
    """
    if head[:4] != STREAM_HEAD:
        if STREAM_HEAD.startswith(head):
            raise HeadError(TruncatedDataError, "its first four bytes", 0)
        raise HeadError(CorruptDataError, "it does not begin like a QuPath data file", 0)
    end = 6 + head[5] if len(head) >= 8 else LINE_BYTES
    if head[4:5] not in (b"", bytes([TC_BLOCKDATA])):
        raise HeadError(CorruptDataError, "its first line does not fill its block", 4)
    if end > len(head):
        raise HeadError(TruncatedDataError, "a block", 4)
    if int.from_bytes(head[6:8], "big") != end - 8:
        raise HeadError(CorruptDataError, "its first line does not fill its block", 4)
    match = _LINE.fullmatch(head[8:end].decode("utf-8", "replace").strip())
    if match is None:
        raise HeadError(CorruptDataError, "its first line does not name a version", end)
    version = int(match[1])
    if version not in _VERSIONS:
        known = ", ".join(map(str, _VERSIONS))
        what = f"it is of version {version}; known are {known}, which QuPath 0.2 to 0.7 write"
        raise HeadError(UnsupportedDataError, what, end)
    return version, end


def read_server(path: Path) -> str | None:
    """How the image is opened, as a data file says near its start; no object is read.

    Returns
    -------
    str or None
        JSON (QuPath 0.3 and later) or ``Image path: ...``; None if there is no such file or its
        start cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_SERVER_BYTES)
        _, at = read_first_line(head)
        start = at + (9 if head[at] == TC_LONGSTRING else 3)
        end = start + int.from_bytes(head[at + 1 : start], "big")
        return decode_text(head[start:end]) if head[at] in _TEXTS and end <= len(head) else None
    except (OSError, ValueError, IndexError, HeadError):
        return None
