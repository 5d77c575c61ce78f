"""Objects as they stand in a data file that is there already, behind those that it holds."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qpmask.imageobjects import NO_COLOR, ObjectKind, ObjectTable
from qpmask.intoqupath.objectbytes import halves, referring
from qpmask.intoqupath.objectforms import CHAINS, FORMS, OBJECTS, PATH_CLASS, UUID
from qpmask.intoqupath.objecttree import in_tree_order, nested
from qpmask.intoqupath.sharedparts import INT_BLOCK, SharedParts
from qpmask.javastream.writing import (
    EXTERNALIZABLE,
    NULL,
    class_description,
    reference,
    string,
)


@dataclass(frozen=True, eq=False)
class Insertion:
    """Objects to be put behind those that a data file holds.

    Attributes
    ----------
    data : bytes
        Their bytes.
    n_top, n_handles : int
        How many have no parent, and how many handles all of it takes.
    """

    data: bytes
    n_top: int
    n_handles: int


def insertion(
    table: ObjectTable, ids: NDArray[np.bytes_], marks: Mapping[str, str], first: int
) -> Insertion:
    """Objects as they stand in a data file, at least one, with handles from ``first`` on.

    There is no place for an array of what they share but inside an object. The first one is
    written in the form of version 4 of data files, of which QuPath (0.4 and later) passes over the
    fields that it does not know; so it carries the array. The others have the form that QuPath
    writes.
    """
    order, ends = in_tree_order(table.parent)
    one = int(order[0])
    classes = CHAINS[ObjectKind(table.kind[one])]
    name, argb = table.names[one], int(table.color_argb[one])
    has_color = argb != NO_COLOR
    # Before what it carries: classes, itself, its name, colour, id.
    n_before = len(classes) + 1 + (name is not None) + 3 * has_color + 2
    is_flat = bool((table.parent < 0).all())
    shared = SharedParts(table, order, marks, first + n_before, has_classes=not is_flat)
    heads, tails = halves(table, ids, order, shared)
    color = NULL
    if has_color:
        color = b"s" + class_description("java.lang.Integer", fields=[("I", "value")])
        color += class_description("java.lang.Number") + NULL + argb.to_bytes(4, "big", signed=True)
    own = uuid.UUID(ids[one].decode()).bytes
    measured = shared.first_measured
    entries = shared.metadata_alone(table.metadata.get(one))
    n_fields = 1 + bool(entries) + (measured != NULL)
    heads[0] = b"".join(
        (
            b"s", *(class_description(OBJECTS + c, EXTERNALIZABLE) for c in classes), NULL,
            NULL if name is None else string(name), color,
            b"s", class_description(*UUID), NULL, own[8:], own[:8],
            INT_BLOCK, struct.pack(">i", n_fields), shared.preamble.data(), entries,
            b"" if measured == NULL else measured, INT_BLOCK, heads[0][-4:],
        )
    )  # fmt: skip
    has_name = np.array([table.names[i] is not None for i in order.tolist()], np.int64)
    # Each object, its metadata with two arrays, its id; name and colour, measurements.
    head_handles = 5 + has_name + (table.color_argb[order] != NO_COLOR)
    head_handles += 2 * (np.diff(table.measurements.offsets)[order] > 0)
    head_handles[0] = 3 * bool(entries) + 2 * (measured != NULL)  # the others are before
    n_handles = shared.preamble.n_handles - first
    if is_flat:
        both = np.cumsum(head_handles + shared.tail_handles)
        begins = first + n_handles + both - shared.tail_handles
        tails, more = _spelled(table, order, shared, tails, begins)
        n_handles += more
    else:
        tails = referring(table, order, shared, tails)
    n_handles += int(head_handles.sum() + shared.tail_handles.sum())
    n_top, pieces = nested(heads, tails, ends)
    return Insertion(b"".join(pieces), n_top, n_handles)


def _spelled(
    table: ObjectTable,
    chosen: NDArray[np.int64],
    shared: SharedParts,
    tails: list[bytes],
    first: NDArray[np.int64],
) -> tuple[list[bytes], int]:
    """The same, spelled out where they come first, as QuPath does, and the handles of that.

    ``first`` is the handle that the tail of each object begins with, but for what is spelled out
    before it. So files are read by readers that pass over what the first object carries.
    """
    extra = 0
    locks, classes = dict[bool, bytes](), {-1: NULL}
    names: dict[str, bytes] = {}

    def spell(name: str, argb: int | None, handle: int) -> tuple[bytes, int]:
        """A class at a handle, behind its description if it is the first; and the next handle."""
        head = b"s"
        if names:
            head += names[""]
        else:
            names[""] = reference(handle)
            head += class_description(PATH_CLASS, fields=FORMS[PATH_CLASS][1]) + NULL
            handle += 1 + len(FORMS[PATH_CLASS][1])
        names[name] = reference(handle)
        handle += 1
        above, colon, own = name.rpartition(": ")
        color = NULL
        if argb is not None:
            color = shared.integer_head + argb.to_bytes(4, "big", signed=True)
            handle += 1
        handle += 1  # its name
        parent = NULL
        if colon and above in names:
            parent = names[above]
        elif colon:
            parent, handle = spell(above, None, handle)
        return head + color + string(own) + parent, handle

    found = []
    columns = table.locked[chosen].tolist(), table.class_index[chosen].tolist(), first.tolist()
    for locked, number, begin, tail in zip(*columns, tails, strict=True):
        lock, named = locks.get(locked), classes.get(number)
        if lock is None:
            locks[locked] = reference(begin + extra)
            lock = shared.boolean_head + bytes([locked])
            extra += 1
        if named is None:
            entry = table.classes[number]
            if entry.name in names:
                named = classes[number] = names[entry.name]
            else:
                named, end = spell(entry.name, entry.color_argb, begin + extra)
                classes[number] = names[entry.name]
                extra = end - begin
        found.append(lock + named + tail)
    return found, extra
