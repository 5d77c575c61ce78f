"""Reads a data file: by the compiled parser, or, what that does not know, in plain Python.

In: a path or bytes. Out: :class:`~qpmask.qpdata.model.ImageObjects`. Both readers give the same;
the plain one also says what is wrong with a file that cannot be read.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from qpmask.common.machine import give_memory_back
from qpmask.errors import DataFileError, DataFileMissingError
from qpmask.qpdata.model import ImageObjects
from qpmask.qpdata.outlines import Wanted
from qpmask.qpdata.parser import NotKnownError, Parser
from qpmask.qpdata.plain.file import read_file, read_start
from qpmask.qpdata.plain.javastream import JavaStream

#: What QuPath adds to the name of the file that it last replaced.
BACKUP_SUFFIX: Final = ".bkp"

_HEAD_BYTES: Final = 16 << 20  # more than any server needs: hundreds of channels in JSON

_LARGE_BYTES: Final = 16 << 20  # of a file whose reading leaves memory worth giving back

#: Of a longer file it is not told what it ends inside: that takes many times its memory.
_LONG_BYTES: Final = 64 << 20

_NO_BACKUP_HINT: Final = (
    "Open the image in QuPath, check its objects and save it, or restore the file from a backup."
)


def read_qpdata(
    path: str | os.PathLike[str], *, details: bool = False, outlines: Wanted | None = None
) -> ImageObjects:
    """Read a ``data.qpdata`` file.

    Parameters
    ----------
    path : path-like
        The file. It is read at once and closed.
    details : bool
        Whether colours, measurements and metadata are read too; masks need none of them.
    outlines : callable, optional
        Which ROIs' rings and vertices are needed (:data:`~.outlines.Wanted`); others may be left
        out, which saves most of the memory. All by default.

    Returns
    -------
    ImageObjects
        All its objects.

    Raises
    ------
    DataFileMissingError
        The file is not there or cannot be opened.
    TruncatedDataError
        It ends before its content does.
    CorruptDataError
        Its bytes contradict the format.
    UnsupportedDataError
        It is of a version, or holds a class, that is not known.
    """
    path = Path(path)
    hint = _hint(path)
    try:
        # Not mapped into memory: QuPath may replace or cut the file meanwhile.
        with path.open("rb", buffering=0) as file:
            try:
                size = os.fstat(file.fileno()).st_size
                if size < _LARGE_BYTES:
                    return Parser(file, size, details=details, outlines=outlines).read()
                give_memory_back()
                objects = Parser(file, size, details=details, outlines=outlines).read()
                give_memory_back()
                return objects
            except NotKnownError:
                file.seek(0)
            return _read(file.readall(), details, source=str(path), hint=hint)
    except DataFileError:
        raise
    except FileNotFoundError:
        raise DataFileMissingError(f"{path} does not exist.", hint=hint) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DataFileMissingError(f"{path} cannot be opened: {reason}.", hint=hint) from error


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
            head = file.read(_HEAD_BYTES)
        stream = JavaStream(head, source=str(path))
        return read_start(stream)[1]
    except (OSError, ValueError):
        return None


def read_qpdata_bytes(data: bytes, *, source: str = "the data file") -> ImageObjects:
    """Read the content of a ``data.qpdata`` file.

    Parameters
    ----------
    data : bytes
        The whole content.
    source : str
        What to call it in messages.

    Returns
    -------
    ImageObjects
        All its objects.

    Raises
    ------
    TruncatedDataError, CorruptDataError, UnsupportedDataError
        As :func:`read_qpdata`.
    """
    return _read(bytes(data), False, source=source, hint=_NO_BACKUP_HINT)


def _read(data: bytes, details: bool, *, source: str, hint: str) -> ImageObjects:
    stream = JavaStream(data, source=source, hint=hint)
    try:
        return Parser(None, len(data), data, details=details).read()
    except NotKnownError as error:
        if error.short_at is not None and len(data) > _LONG_BYTES:
            stream.pos = error.short_at
            raise stream.truncated("something") from None
    return read_file(stream, details=details)


def _hint(path: Path) -> str:
    """Say what to do about a file that cannot be read."""
    backup = path.with_name(path.name + BACKUP_SUFFIX) if path.name else path
    try:
        has_backup = backup != path and backup.is_file()
    except (OSError, ValueError):
        has_backup = False
    if has_backup:
        return (
            f"QuPath's backup of it lies beside it: {backup}. --use-backup reads it instead; or "
            "open the image in QuPath and check its objects."
        )
    return _NO_BACKUP_HINT
