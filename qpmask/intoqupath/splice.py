"""Objects put into a data file without Java, where none go: all else stays byte for byte.

A data file is one stream of Java's, in which the root object says how many children it has, then
holds them. New ones go behind the last, their number into its place. What follows, a few bytes, may
refer to what was numbered after the objects: these references are counted on. Whatever is not quite
as expected is left to QuPath.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from qpmask.errors import DataFileError
from qpmask.imageobjects import ObjectTable
from qpmask.intoqupath.insertion import insertion
from qpmask.intoqupath.objectforms import HIERARCHY_FIELDS
from qpmask.javastream.codes import FIRST_HANDLE, STREAM_HEAD
from qpmask.javastream.writing import (
    END,
    EXTERNALIZABLE,
    NULL,
    class_description,
    string,
)
from qpmask.outputs import read_json
from qpmask.project import ImageEntry, Project
from qpmask.qpdata.parser import Parser

_HIERARCHY: Final = "qupath.lib.objects.hierarchy.PathObjectHierarchy"
_FIRST_LINE: Final = b"Data file version 3"

#: Larger files are left to QuPath.
MOST_BYTES: Final = 8 << 20


def splice(
    data: bytes, table: ObjectTable, ids: NDArray[np.bytes_], marks: Mapping[str, str]
) -> bytes | None:
    """A data file with more objects; None where QuPath should do it.

    Parameters
    ----------
    data : bytes
        A data file of version 3, by QuPath 0.4 or later.
    table, ids, marks
        As :func:`qpmask.intoqupath.javaobjects.object_streams` takes them.
    """
    if len(data) > MOST_BYTES or data[8 : 8 + len(_FIRST_LINE)] != _FIRST_LINE:
        return None
    if not len(table):
        return data
    parser = Parser(None, len(data), data)
    try:
        parser.read()
    except DataFileError:
        return None
    place = parser.children()
    if place is None:
        return None
    (n_children,) = struct.unpack_from(">i", data, place.count_at)
    new = insertion(table, ids, marks, place.n_handles)
    head = bytearray(data[: place.end])
    struct.pack_into(">i", head, place.count_at, n_children + new.n_top)
    tail = bytearray(data[place.end :])
    for pos in place.references:
        (handle,) = struct.unpack_from(">i", data, pos + 1)
        if handle - FIRST_HANDLE >= place.n_handles:
            struct.pack_into(">i", tail, pos + 1 - place.end, handle + new.n_handles)
    return b"".join((head, new.data, tail))


def can_hold(version: str) -> bool:
    """Whether the QuPath that saved a project reads what is put into its data files: 0.4 does."""
    found = re.match(r"v?(\d+)\.(\d+)", version)
    return found is not None and (int(found[1]), int(found[2])) >= (0, 4)


def server_of(project: Project, entry: ImageEntry) -> Any:
    """How QuPath opens an image, as the project's JSON has it; None where it does not."""
    for item in (read_json(project.path) or {}).get("images", ()):
        if isinstance(item, dict) and str(item.get("entryID")) == entry.id:
            return item.get("serverBuilder")
    return None


def new_data_file(server: Any, version: str, path: str) -> bytes:
    """A data file without objects, for an image that was never saved.

    Parameters
    ----------
    server : object
        How the image is opened, as the project's JSON has it (``serverBuilder``).
    version : str
        The QuPath that saved the project.
    path : str
        Where the file will be.
    """
    wrapper = {"dataVersion": 3, "qupathVersion": version, "server": server, "id": path}
    text = string(json.dumps(wrapper, ensure_ascii=False, separators=(",", ":")))
    first = struct.pack(">BBH", 0x77, 2 + len(_FIRST_LINE), len(_FIRST_LINE)) + _FIRST_LINE
    # No locale, image type, stains and history; then the hierarchy, with a root without children.
    objects = "qupath.lib.objects."
    hierarchy = class_description(_HIERARCHY, fields=HIERARCHY_FIELDS) + NULL
    root = class_description(objects + "PathRootObject", EXTERNALIZABLE)
    root += class_description(objects + "PathObject", EXTERNALIZABLE) + NULL
    root += NULL * 3 + b"w\x04" + struct.pack(">i", 0) + END
    return b"".join(
        (STREAM_HEAD, first, text, NULL * 4, b"s", hierarchy, b"s", root, NULL, string("EOF"))
    )
