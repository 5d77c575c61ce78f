"""A whole data file in plain Python, from its first line to its last.

The sequence is that of QuPath's ``PathIO``: a line with the version, how to open the image, then
objects until the text ``EOF``, one of which is the hierarchy. A file that does not come to this
end is an error: QuPath itself takes such a file for an image without objects.
"""

from __future__ import annotations

import numpy as np

from qpmask.qpdata.columns import image_objects, named_classes
from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.model import ImageObjects
from qpmask.qpdata.names import HIERARCHY, IMAGE_TYPE, VERSIONS, version_of
from qpmask.qpdata.plain.hierarchy import Hierarchy
from qpmask.qpdata.plain.javastream import JavaStream
from qpmask.qpdata.plain.values import (
    FLAG_WRITE_METHOD,
    Block,
    EnumConstant,
    JavaObject,
    Mark,
)


def read_file(stream: JavaStream, *, details: bool = False) -> ImageObjects:
    """Read a data file; with colours, measurements and metadata if ``details`` are wanted.

    Raises
    ------
    TruncatedDataError, CorruptDataError, UnsupportedDataError
        As :func:`qpmask.qpdata.read_qpdata`.
    """
    version, server = read_start(stream)
    hierarchy: Hierarchy | None = None
    image_type: str | None = None
    while True:
        code = stream.peek()
        if code == k.TC_RESET:
            stream.pos += 1
            stream.handles = []
            continue
        if code == k.TC_OBJECT:
            stream.pos += 1
            value = stream.begin_object()
            if value.desc.name == HIERARCHY:
                if hierarchy is not None:
                    raise stream.corrupt("it holds two hierarchies")
                hierarchy = Hierarchy(stream, details=details)
                _read_hierarchy(stream, value, hierarchy)
            else:
                stream.finish_object(value)
            continue
        entry = stream.read_value()
        if entry == "EOF":
            break
        if entry is Mark.END or isinstance(entry, Block):
            raise stream.corrupt("raw data was found where an object was expected")
        if isinstance(entry, EnumConstant) and entry.desc.name == IMAGE_TYPE:
            image_type = entry.name
        if isinstance(entry, JavaObject) and entry.desc.name == HIERARCHY:
            raise stream.corrupt("it refers to a hierarchy instead of holding it")
    if hierarchy is None:
        raise stream.corrupt("it ends without a hierarchy of objects")
    if stream.pos != stream.size:
        raise stream.corrupt(f"{stream.size - stream.pos:,} bytes follow after its end")
    found = hierarchy.objects
    used = hierarchy.used_classes
    classes, numbers = named_classes(used, hierarchy.stored_class, stream.corrupt)
    columns = hierarchy.columns()
    columns["class_index"] = np.array(
        [-1 if item.path_class is None else numbers[item.path_class] for item in found], np.int32
    )
    return image_objects(
        columns,
        version=version,
        server=server or "",
        image_type=image_type,
        names=tuple(item.name for item in found),
        classes=classes,
        details=hierarchy.details,
    )


def read_start(stream: JavaStream) -> tuple[int, str | None]:
    """Read the version, and how the image is opened."""
    stream.read_header()
    stream.open_block()
    end = stream.pos + stream.block_left
    line = stream.text("its first line")
    if stream.pos != end:
        raise stream.corrupt("its first line does not fill its block")
    stream.block_left = 0
    version = version_of(line)
    if version is None:
        raise stream.corrupt("its first line does not name a version")
    if version not in VERSIONS:
        raise stream.unsupported(
            f"it is of version {version}; known are {', '.join(map(str, VERSIONS))}, "
            "which QuPath 0.2 to 0.7 write"
        )
    server = stream.read_value()
    if server is not None and not isinstance(server, str):
        raise stream.corrupt("how to open the image is no text")
    return version, server


def _read_hierarchy(stream: JavaStream, value: JavaObject, hierarchy: Hierarchy) -> None:
    """Read the fields of the hierarchy: the root with all objects, and the grid of TMA cores."""
    has_root = False
    for level in value.desc.levels:
        stream.read_primitives(value, level)
        for field in level.object_fields:
            if field == "rootObject" and not has_root:
                has_root = True
                if stream.peek() == k.TC_REFERENCE:
                    raise stream.corrupt("the hierarchy refers to a root instead of holding it")
                hierarchy.read_tree()
            elif stream.read_value() is Mark.END:
                raise stream.corrupt("a field of the hierarchy is missing")
        if level.flags & FLAG_WRITE_METHOD:
            stream.skip_contents()
    if not has_root:
        raise stream.corrupt("the hierarchy has no root")
