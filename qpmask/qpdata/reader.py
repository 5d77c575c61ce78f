"""Reads a whole data file, from its first line to its last.

In: a path or bytes. Out: :class:`~qpmask.qpdata.model.ImageObjects`. The sequence is that of
QuPath's ``PathIO``: a line with the version, how to open the image, then objects until the text
``EOF``, one of which is the hierarchy. A file that does not come to this end is an error: QuPath
itself takes such a file for an image without objects.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from qpmask.errors import DataFileMissingError
from qpmask.qpdata.javacodes import FLAG_WRITE_METHOD, TC_OBJECT, TC_REFERENCE, TC_RESET
from qpmask.qpdata.javastream import JavaStream
from qpmask.qpdata.javavalues import Block, EnumConstant, JavaObject, Mark
from qpmask.qpdata.model import ImageObjects
from qpmask.qpdata.objects import HierarchyReader

#: Versions of the data file: 2 by QuPath 0.2, 3 by 0.3 to 0.7, 4 prepared in the code of 0.4.
VERSIONS: Final = (2, 3, 4)
#: What QuPath adds to the name of the file that it last replaced.
BACKUP_SUFFIX: Final = ".bkp"

_HEAD_BYTES: Final = 16 << 20  # more than any server needs: hundreds of channels in JSON

_HIERARCHY: Final = "qupath.lib.objects.hierarchy.PathObjectHierarchy"
_IMAGE_TYPE: Final = "qupath.lib.images.ImageData$ImageType"
_FIRST_LINE: Final = re.compile(r"Data file version (\d{1,4})(?:\.0)?")


_NO_BACKUP_HINT: Final = (
    "Open the image in QuPath, check its objects and save it, or restore the file from a backup."
)


def read_qpdata(path: str | os.PathLike[str]) -> ImageObjects:
    """Read a ``data.qpdata`` file.

    Parameters
    ----------
    path : path-like
        The file. It is read at once and closed.

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
        stream = JavaStream(path.read_bytes(), source=str(path), hint=hint)
    except FileNotFoundError:
        raise DataFileMissingError(f"{path} does not exist.", hint=hint) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DataFileMissingError(f"{path} cannot be opened: {reason}.", hint=hint) from error
    return _read(stream)


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
        stream.read_header()
        _read_version(stream)
        server = stream.read_value()
    except (OSError, ValueError):
        return None
    return server if isinstance(server, str) else None


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
    return _read(JavaStream(bytes(data), source=source, hint=_NO_BACKUP_HINT))


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


def _read(stream: JavaStream) -> ImageObjects:
    stream.read_header()
    version = _read_version(stream)
    server = stream.read_value()
    if server is not None and not isinstance(server, str):
        raise stream.corrupt("how to open the image is no text")
    hierarchy: HierarchyReader | None = None
    image_type: str | None = None
    while True:
        code = stream.peek()
        if code == TC_RESET:
            stream.pos += 1
            stream.reset_handles()
            continue
        if code == TC_OBJECT:
            stream.pos += 1
            value = stream.begin_object()
            if value.desc.name == _HIERARCHY:
                if hierarchy is not None:
                    raise stream.corrupt("it holds two hierarchies")
                hierarchy = HierarchyReader(stream)
                _read_hierarchy(stream, value, hierarchy)
                continue
            stream.finish_object(value)
            continue
        entry = stream.read_value()
        if entry == "EOF":
            break
        if entry is Mark.END or isinstance(entry, Block):
            raise stream.corrupt("raw data was found where an object was expected")
        if isinstance(entry, EnumConstant) and entry.desc.name == _IMAGE_TYPE:
            image_type = entry.name
        if isinstance(entry, JavaObject) and entry.desc.name == _HIERARCHY:
            raise stream.corrupt("it refers to a hierarchy instead of holding it")
    if hierarchy is None:
        raise stream.corrupt("it ends without a hierarchy of objects")
    if stream.pos != stream.size:
        raise stream.corrupt(f"{stream.size - stream.pos:,} bytes follow after its end")
    columns = hierarchy.columns
    del hierarchy, value
    stream.close()  # before more memory is taken for the columns
    return columns.finish(version=version, server=server or "", image_type=image_type)


def _read_version(stream: JavaStream) -> int:
    """Read the first line: a block that holds the version as a text."""
    stream.open_block()
    end = stream.pos + stream.block_left
    line = stream.text("its first line")
    if stream.pos != end:
        raise stream.corrupt("its first line does not fill its block")
    stream.block_left = 0
    match = _FIRST_LINE.fullmatch(line.strip())
    if match is None:
        raise stream.corrupt("its first line does not name a version")
    version = int(match[1])
    if version not in VERSIONS:
        raise stream.unsupported(
            f"it is of version {version}; known are {', '.join(map(str, VERSIONS))}, "
            "which QuPath 0.2 to 0.7 write"
        )
    return version


def _read_hierarchy(stream: JavaStream, value: JavaObject, hierarchy: HierarchyReader) -> None:
    """Read the fields of the hierarchy: the root with all objects, and the grid of TMA cores."""
    has_root = False
    for level in value.desc.levels:
        stream.read_primitives(value, level)
        for field in level.object_fields:
            if field == "rootObject" and not has_root:
                has_root = True
                if stream.peek() == TC_REFERENCE:
                    raise stream.corrupt("the hierarchy refers to a root instead of holding it")
                hierarchy.read_tree()
            elif stream.read_value() is Mark.END:
                raise stream.corrupt("a field of the hierarchy is missing")
        if level.flags & FLAG_WRITE_METHOD:
            stream.skip_contents()
    if not has_root:
        raise stream.corrupt("the hierarchy has no root")
