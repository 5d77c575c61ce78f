"""Objects in columns -> QuPath's objects as Java serializes them: bytes that one call reads.

A call from Python to Java for each object, or QuPath's own GeoJSON reader, takes half a
millisecond an object. Java's reader takes a hundredth of that, so it is given what it reads: the
part of a data file that holds objects. An array before them holds what objects share, such as
classes, names of measurements and metadata, for them to refer to.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from qpmask.imageobjects import ObjectTable, geometries, plain_objects
from qpmask.intoqupath.objectbytes import halves, referring
from qpmask.intoqupath.objectforms import HIERARCHY, HIERARCHY_FIELDS, OBJECTS
from qpmask.intoqupath.objecttree import in_tree_order, nested
from qpmask.intoqupath.sharedparts import INT_BLOCK, SharedParts
from qpmask.javastream.codes import STREAM_HEAD
from qpmask.javastream.writing import (
    END,
    EXTERNALIZABLE,
    NULL,
    class_description,
    string,
)

#: Objects in one stream, unless one of them has more below it.
CHUNK: Final = 20_000


@dataclass(frozen=True, eq=False)
class ObjectStream:
    """A stream for Java.

    Attributes
    ----------
    data : bytes
        The part of a data file that holds objects: what ``PathIO.readHierarchy`` reads.
    n_objects : int
        Objects in it, with those that are below others.
    """

    data: bytes
    n_objects: int


def object_streams(
    table: ObjectTable, ids: NDArray[np.bytes_], marks: Mapping[str, str] | None = None
) -> Iterator[ObjectStream]:
    """Yield streams that hold all objects, those without a parent in their order.

    Parameters
    ----------
    table : ObjectTable
        The objects, in the image's frame.
    ids : ndarray of bytes (S36), shape (n,)
        Their UUIDs.
    marks : mapping of str to str, optional
        Metadata that all of them get.
    """
    order, ends = in_tree_order(table.parent)
    is_top = table.parent[order] < 0
    start = 0
    while start < len(order):
        end = min(start + CHUNK, len(order))
        while end < len(order) and not is_top[end]:
            end += 1
        yield _stream(table, ids, order[start:end], ends[start:end] - start, marks or {})
        start = end


def no_objects() -> ObjectStream:
    """A stream without any."""
    none = np.zeros(0, np.int64)
    start = np.zeros(1, np.int64)
    shapes = geometries(none.astype(np.uint8), start, start, start, np.zeros((0, 2)))
    return _stream(plain_objects(shapes), np.zeros(0, "S36"), none, none, {})


def _stream(
    table: ObjectTable,
    ids: NDArray[np.bytes_],
    chosen: NDArray[np.int64],
    ends: NDArray[np.int64],
    marks: Mapping[str, str],
) -> ObjectStream:
    """One stream of objects in tree order; ``ends`` says where what is below each ends."""
    shared = SharedParts(table, chosen, marks)
    heads, tails = halves(table, ids, chosen, shared)
    n_top, pieces = nested(heads, referring(table, chosen, shared, tails), ends)
    p = shared.preamble
    root = b"s" + class_description(OBJECTS + "PathRootObject", EXTERNALIZABLE)
    root += class_description(OBJECTS + "PathObject", EXTERNALIZABLE) + NULL
    root += NULL * 3 + INT_BLOCK + struct.pack(">i", n_top)
    first_line = b"Data file version 3"
    first = b"w" + bytes([2 + len(first_line)]) + struct.pack(">H", len(first_line)) + first_line
    head = b"s" + class_description(HIERARCHY, fields=HIERARCHY_FIELDS) + NULL
    # No description of the slide; behind the root no grid of TMA cores, and the end.
    end = END + NULL + string("EOF")
    data = b"".join([STREAM_HEAD, first, NULL, p.data(), head, root, *pieces, end])
    return ObjectStream(data, len(chosen))
