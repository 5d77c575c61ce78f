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
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from qpmask.errors import DataFileError
from qpmask.geojson.objects import ObjectTable
from qpmask.intoqupath.insertion import insertion
from qpmask.intoqupath.javabytes import (
    END,
    EXTERNALIZABLE,
    NULL,
    STREAM_HEAD,
    class_description,
    string,
)
from qpmask.intoqupath.objectforms import HIERARCHY_FIELDS
from qpmask.outputs import read_json
from qpmask.project import ImageEntry, Project
from qpmask.qpdata.plain.javastream import JavaStream
from qpmask.qpdata.plain.values import Block, JavaObject, Mark

_HIERARCHY: Final = "qupath.lib.objects.hierarchy.PathObjectHierarchy"
_FIRST_LINE: Final = b"Data file version 3"
_FIRST_HANDLE: Final = 0x7E0000
_OBJECT, _RESET = 0x73, 0x79

#: Larger files are left to QuPath: they are read value by value here.
MOST_BYTES: Final = 8 << 20


@dataclass(frozen=True)
class _Place:
    """Where new objects go.

    Attributes
    ----------
    count_at, n_children : int
        Where the number of the root's children stands, and what it is.
    at, n_handles : int
        Where they end, and how many handles were given until there.
    """

    count_at: int
    n_children: int
    at: int
    n_handles: int


class _Walk(JavaStream):
    """A stream that remembers where it refers to something."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data, source="the data file")
        self.references: list[int] = []

    def reference(self) -> object:
        self.references.append(self.pos)
        return super().reference()


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
    walk = _Walk(data)
    try:
        place = _find(walk)
    except (DataFileError, AttributeError):
        return None
    if place is None:
        return None
    new = insertion(table, ids, marks, place.n_handles)
    head = bytearray(data[: place.at])
    struct.pack_into(">i", head, place.count_at, place.n_children + new.n_top)
    tail = bytearray(data[place.at :])
    for pos in walk.references:
        if pos >= place.at:
            (handle,) = struct.unpack_from(">i", data, pos)
            if handle - _FIRST_HANDLE >= place.n_handles:
                struct.pack_into(">i", tail, pos - place.at, handle + new.n_handles)
    return b"".join((head, new.data, tail))


def _find(walk: _Walk) -> _Place | None:
    walk.read_header()
    place = None
    while walk.pos < len(walk.data):
        code = walk.peek()
        if code == _RESET:
            return None
        if code != _OBJECT:
            walk.read_value()
            continue
        walk.pos += 1
        value = walk.begin_object()
        if value.desc.name != _HIERARCHY:
            walk.finish_object(value)
            continue
        for level in value.desc.levels:
            walk.read_primitives(value, level)
            for field in level.object_fields:
                if field == "rootObject" and place is None:
                    place = _in_root(walk)
                    if place is None:
                        return None
                else:
                    walk.read_value()
    return place


def _in_root(walk: _Walk) -> _Place | None:
    """Read the root with all that is below it."""
    if walk.peek() != _OBJECT:
        return None
    walk.pos += 1
    walk.begin_object()
    is_v4 = False
    while True:
        value = walk.read_value()
        if isinstance(value, JavaObject) and value.desc.name == "java.util.UUID":
            is_v4 = True
        if isinstance(value, Block):
            if not is_v4:
                break
            is_v4 = False  # the number of fields; that of the children comes later
        if value is Mark.END:
            return None
    count_at = walk.pos - 4
    if value.end - value.start != 4:
        return None
    (n_children,) = struct.unpack_from(">i", walk.data, count_at)
    for _ in range(n_children):
        if not isinstance(walk.read_value(), JavaObject):
            return None
    place = _Place(count_at, n_children, walk.pos, len(walk.handles))
    return place if walk.read_value() is Mark.END else None


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
