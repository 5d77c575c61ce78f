"""Reads a data file: from a path, piece by piece, or from bytes."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Final

from qpmask.common.machine import give_memory_back, keep_memory_low
from qpmask.errors import DataFileError, DataFileMissingError
from qpmask.imageobjects import ImageObjects, Outlines
from qpmask.qpdata.parser import Parser, TooFarBackError

#: What QuPath adds to the name of the file that it last replaced.
BACKUP_SUFFIX: Final = ".bkp"

_LARGE_BYTES: Final = 16 << 20  # of a file whose reading leaves memory worth giving back

_NO_BACKUP_HINT: Final = (
    "Open the image in QuPath, check its objects and save it, or restore the file from a backup."
)


def read_qpdata(
    path: str | os.PathLike[str], *, details: bool = False, outlines: Outlines | None = None
) -> ImageObjects:
    """Read a ``data.qpdata`` file.

    Parameters
    ----------
    path : path-like
        The file. It is read at once and closed.
    details : bool
        Whether colours, measurements and metadata are read too; masks need none of them.
    outlines : Outlines, optional
        Which ROIs' rings and vertices are needed; others are left out, which saves most of the
        memory. All by default.

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
            size = os.fstat(file.fileno()).st_size
            parser = partial(Parser, details=details, source=str(path), hint=hint)
            try:
                if size >= _LARGE_BYTES:
                    keep_memory_low()
                    give_memory_back()
                objects = parser(file, size, outlines=outlines).read()
                if size >= _LARGE_BYTES:
                    give_memory_back()
                return objects
            except TooFarBackError:
                file.seek(0)
            data = file.readall()
            return parser(None, len(data), data).read()
    except DataFileError:
        raise
    except FileNotFoundError:
        raise DataFileMissingError(f"{path} does not exist.", hint=hint) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DataFileMissingError(f"{path} cannot be opened: {reason}.", hint=hint) from error


def read_qpdata_bytes(data: bytes, *, source: str = "the data file") -> ImageObjects:
    """Read the whole content of a ``data.qpdata`` file, called ``source`` in messages.

    Raises
    ------
    TruncatedDataError, CorruptDataError, UnsupportedDataError
        As :func:`read_qpdata`.
    """
    data = bytes(data)
    return Parser(None, len(data), data, source=source, hint=_NO_BACKUP_HINT).read()


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
