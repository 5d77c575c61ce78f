"""Objects in columns -> QuPath's objects as Java serializes them: bytes that one call reads.

A call from Python to Java for each object, or QuPath's own GeoJSON reader, takes half a
millisecond an object. Java's reader takes a hundredth of that, so it is given what it reads: the
part of a data file that holds objects. An array before them holds what objects share, such as
classes, names of measurements and metadata, for them to refer to.
"""

from __future__ import annotations

import os
import struct
import uuid
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from qpmask.geojson.objects import NO_COLOR, ObjectTable, geometries, plain_objects
from qpmask.geojson.text import no_collection
from qpmask.intoqupath.javabytes import (
    END,
    EXTERNALIZABLE,
    NULL,
    SERIALIZABLE,
    STREAM_HEAD,
    WRITE_METHOD,
    ClassForm,
    Preamble,
    class_description,
    reference,
    string,
)
from qpmask.intoqupath.javarois import ROI_FORMS, RoiWriter, side_by_side
from qpmask.qpdata import ObjectKind
from qpmask.qpdata.names import ID_KEY

_OBJECTS: Final = "qupath.lib.objects."
_KINDS: Final = {
    ObjectKind.ANNOTATION: "PathAnnotationObject",
    ObjectKind.DETECTION: "PathDetectionObject",
    ObjectKind.CELL: "PathCellObject",
    ObjectKind.TILE: "PathTileObject",
    ObjectKind.TMA_CORE: "TMACoreObject",
}
_PATH_CLASS: Final = _OBJECTS + "classes.PathClass"
_METADATA: Final = _OBJECTS + "MetadataMap"
_HIERARCHY: Final = _OBJECTS + "hierarchy.PathObjectHierarchy"
_LIST: Final = "qupath.lib.measurements.NumericMeasurementList$"
_STRING: Final = "Ljava/lang/String;"
_INT_BLOCK: Final = b"w\x04"
_UUID: Final = ("java.util.UUID", SERIALIZABLE, (("J", "leastSigBits"), ("J", "mostSigBits")))
_OBJECT_ARRAY: Final = "[Ljava.lang.Object;"
#: A text of 36 bytes begins; it, the values and the metadata end.
_ID_START: Final = b"t" + struct.pack(">H", 36)
_ID_END: Final = END
_CHAINS: Final = {
    kind: (name, *(["PathDetectionObject"] if name in ("PathCellObject", "PathTileObject") else []),
           "PathROIObject", "PathObject")
    for kind, name in _KINDS.items()
}  # fmt: skip

HIERARCHY_FIELDS: Final = (
    ("Lqupath/lib/objects/PathObject;", "rootObject"),
    ("Lqupath/lib/objects/hierarchy/TMAGrid;", "tmaGrid"),
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


def with_ids(table: ObjectTable, taken: Collection[bytes] = frozenset()) -> NDArray[np.bytes_]:
    """The ids of objects; those without one, or with one that is taken, get a new one.

    Parameters
    ----------
    taken : collection of bytes
        Ids in lower case, 36 bytes.
    """
    ids = table.ids.astype("S36")
    needs = ids == b""
    if taken and not needs.all():
        needs |= np.isin(ids, np.array(list(taken), "S36"))
    ids[needs] = _new_ids(int(needs.sum()))
    return ids


def _new_ids(n: int) -> NDArray[np.bytes_]:
    """Random UUIDs (version 4) as text."""
    raw = np.frombuffer(os.urandom(16 * n), np.uint8).reshape(n, 16).copy()
    raw[:, 6] = raw[:, 6] & 0x0F | 0x40
    raw[:, 8] = raw[:, 8] & 0x3F | 0x80
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    text = np.full((n, 36), ord("-"), np.uint8)
    places = [i for i in range(36) if i not in (8, 13, 18, 23)]
    text[:, places[::2]] = digits[raw >> 4]
    text[:, places[1::2]] = digits[raw & 15]
    found: NDArray[np.bytes_] = text.view("S36").reshape(n)
    return found


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
    order, ends = _in_tree_order(table.parent)
    is_top = table.parent[order] < 0
    start = 0
    while start < len(order):
        end = min(start + CHUNK, len(order))
        while end < len(order) and not is_top[end]:
            end += 1
        yield _stream(table, ids, order[start:end], ends[start:end] - start, marks or {})
        start = end


def _in_tree_order(parent: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Objects in the order in which Java writes them: each before its children, those in order.

    Gives the numbers of the objects, and the place at which all that is below each has ended.
    """
    n = len(parent)
    if (parent < 0).all():
        return np.arange(n), np.arange(1, n + 1)
    size = np.ones(n, np.int64)
    for i in np.flatnonzero(parent >= 0)[::-1].tolist():  # children come after their parents
        size[parent[i]] += size[i]
    place = np.zeros(n, np.int64)
    free = {-1: 0}
    for i, (p, own) in enumerate(zip(parent.tolist(), size.tolist(), strict=True)):
        at = free[p]
        free[p] = at + own
        free[i] = at + 1
        place[i] = at
    order = np.empty(n, np.int64)
    order[place] = np.arange(n)
    return order, (place + size)[order]


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
    shared = _Shared(table, chosen, marks)
    heads, tails = _halves(table, ids, chosen, shared)
    n_top, pieces = _nested(heads, _referring(table, chosen, shared, tails), ends)
    p = shared.preamble
    root = b"s" + class_description(_OBJECTS + "PathRootObject", EXTERNALIZABLE)
    root += class_description(_OBJECTS + "PathObject", EXTERNALIZABLE) + NULL
    root += NULL * 3 + _INT_BLOCK + struct.pack(">i", n_top)
    first_line = b"Data file version 3"
    first = b"w" + bytes([2 + len(first_line)]) + struct.pack(">H", len(first_line)) + first_line
    head = b"s" + class_description(_HIERARCHY, fields=HIERARCHY_FIELDS) + NULL
    # No description of the slide; behind the root no grid of TMA cores, and the end.
    end = END + NULL + string("EOF")
    data = b"".join([STREAM_HEAD, first, NULL, p.data(), head, root, *pieces, end])
    return ObjectStream(data, len(chosen))


def _referring(
    table: ObjectTable, chosen: NDArray[np.int64], shared: _Shared, tails: list[bytes]
) -> list[bytes]:
    """What comes after the children: whether it is locked, and the class, shared by all."""
    return [
        shared.booleans[locked] + shared.classes[number] + tail
        for locked, number, tail in zip(
            table.locked[chosen].tolist(), table.class_index[chosen].tolist(), tails, strict=True
        )
    ]


def _spelled(
    table: ObjectTable,
    chosen: NDArray[np.int64],
    shared: _Shared,
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
            head += class_description(_PATH_CLASS, fields=_FORMS[_PATH_CLASS][1]) + NULL
            handle += 1 + len(_FORMS[_PATH_CLASS][1])
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


def _nested(
    heads: list[bytes], tails: list[bytes], ends: NDArray[np.int64]
) -> tuple[int, list[bytes]]:
    """Number of the objects without a parent, and all bytes in their order."""
    n_top, pieces = 0, []
    open_until: list[tuple[int, bytes]] = []
    for i, end in enumerate(ends.tolist()):
        while open_until and open_until[-1][0] <= i:
            pieces.append(open_until.pop()[1])
        n_top += not open_until
        pieces.append(heads[i])
        open_until.append((end, tails[i]))
    return n_top, pieces + [tail for _, tail in reversed(open_until)]


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
    order, ends = _in_tree_order(table.parent)
    one = int(order[0])
    classes = _CHAINS[ObjectKind(table.kind[one])]
    name, argb = table.names[one], int(table.color_argb[one])
    has_color = argb != NO_COLOR
    # Before what it carries: classes, itself, its name, colour, id.
    n_before = len(classes) + 1 + (name is not None) + 3 * has_color + 2
    is_flat = bool((table.parent < 0).all())
    shared = _Shared(table, order, marks, first + n_before, has_classes=not is_flat)
    heads, tails = _halves(table, ids, order, shared)
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
            b"s", *(class_description(_OBJECTS + c, EXTERNALIZABLE) for c in classes), NULL,
            NULL if name is None else string(name), color,
            b"s", class_description(*_UUID), NULL, own[8:], own[:8],
            _INT_BLOCK, struct.pack(">i", n_fields), shared.preamble.data(), entries,
            b"" if measured == NULL else measured, _INT_BLOCK, heads[0][-4:],
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
        tails = _referring(table, order, shared, tails)
    n_handles += int(head_handles.sum() + shared.tail_handles.sum())
    n_top, pieces = _nested(heads, tails, ends)
    return Insertion(b"".join(pieces), n_top, n_handles)


@no_collection()
def _halves(
    table: ObjectTable, ids: NDArray[np.bytes_], chosen: NDArray[np.int64], shared: _Shared
) -> tuple[list[bytes], list[bytes]]:
    """The bytes of each object before its children, and from its ROI on."""
    kind = table.kind[chosen]
    is_cell = kind == ObjectKind.CELL
    rois, roi_handles = shared.rois.write(table.geometries, table.geometry[chosen])
    nuclei, nucleus_handles = shared.rois.write(
        table.geometries, np.where(is_cell, table.nucleus[chosen], -1)
    )
    shared.tail_handles = roi_handles + nucleus_handles
    children = np.bincount(table.parent[table.parent >= 0], minlength=len(table))[chosen]
    starts = {
        k: b"s" + shared.preamble.class_reference(_OBJECTS + _KINDS[ObjectKind(k)])
        for k in np.unique(kind).tolist()
    }
    one = shared.integer_head
    measured_lists = _measurements(table, chosen, shared)
    shared.first_measured = measured_lists[0] if measured_lists else NULL
    heads = [
        b"".join((starts[k], NULL if name is None else string(name),
                  NULL if color == NO_COLOR else one + color.to_bytes(4, "big", signed=True),
                  shared.metadata(entries), own_id, _ID_END, measured, _INT_BLOCK,
                  n.to_bytes(4, "big")))
        for k, name, color, entries, own_id, measured, n in zip(
            kind.tolist(),
            [table.names[i] for i in chosen.tolist()],
            table.color_argb[chosen].tolist(),
            [table.metadata.get(i) for i in chosen.tolist()],
            ids[chosen].tolist(),
            measured_lists,
            children.tolist(),
            strict=True,
        )
    ]  # fmt: skip
    nan = struct.pack(">d", float("nan"))  # the probability of the class
    plain = b"w\x08" + nan
    core = (b"w\x09" + nan + b"\0", b"w\x09" + nan + b"\1")
    tails = [
        b"".join((roi,
                  core[missing] if k == ObjectKind.TMA_CORE else plain,
                  nucleus if k == ObjectKind.CELL else b"", END))
        for k, roi, missing, nucleus in zip(
            kind.tolist(), rois, table.missing[chosen].tolist(), nuclei, strict=True
        )
    ]  # fmt: skip
    return heads, tails


class _Shared:
    """What the objects of a stream refer to."""

    def __init__(
        self,
        table: ObjectTable,
        chosen: NDArray[np.int64],
        marks: Mapping[str, str],
        first: int = 0,
        *,
        has_classes: bool = True,
    ) -> None:
        p = self.preamble = Preamble(_FORMS, first)
        self._one = reference(p.add_integer(1))
        self.integer_head = b"s" + p.class_reference("java.lang.Integer")
        self.booleans = [reference(p.add_object("java.lang.Boolean", bytes([b]))) for b in (0, 1)]
        self.boolean_head = b"s" + p.class_reference("java.lang.Boolean")
        #: Measurements of the first object, and handles that each takes after its children.
        self.first_measured = NULL
        self.tail_handles = np.zeros(0, np.int64)
        for name in ("[F", "[D", "[B"):
            p.add_array(name)
        none = b"u" + p.class_reference(_OBJECT_ARRAY) + bytes(4)
        p.add_object(_METADATA, self._one + none + none + END)
        p.skip_handles(2)
        if len(table.measurements.value):
            names = reference(p.add_list(()))
            for name, code in (("FloatList", "[F"), ("DoubleList", "[D")):
                values = b"u" + p.class_reference(code) + bytes(4)
                p.add_object(_LIST + name, b"\0" + names + NULL + values)
                p.skip_handles(1)
        head = NULL * 3 + _INT_BLOCK + bytes(4)  # name, colour, measurements; children
        for number in np.unique(table.kind[chosen]).tolist():
            kind = ObjectKind(number)
            core = kind == ObjectKind.TMA_CORE
            tail = self.booleans[0] + NULL * 2 + b"w" + bytes([8 + core]) + bytes(8 + core)
            tail += NULL if kind == ObjectKind.CELL else b""
            p.add_object(_OBJECTS + _KINDS[kind], head + tail + END)
        self.rois = RoiWriter(p)
        self.classes = {-1: NULL}
        parts: dict[str, bytes] = {}
        for i in np.unique(table.class_index[chosen]).tolist():
            if i >= 0 and has_classes:
                entry = table.classes[i]
                self.classes[i] = self._class(entry.name, entry.color_argb, parts)
        self._marks = dict(marks)
        self._metadata: dict[tuple[tuple[str, str], ...], bytes] = {}

    def _class(self, name: str, argb: int | None, parts: dict[str, bytes]) -> bytes:
        """A class, behind those that it is derived from."""
        known = parts.get(name)
        if known is not None:
            return known
        above, colon, own = name.rpartition(": ")
        parent = self._class(above, None, parts) if colon else NULL
        color = NULL if argb is None else reference(self.preamble.add_integer(argb))
        text = reference(self.preamble.add_string(own))
        found = reference(self.preamble.add_object(_PATH_CLASS, color + text + parent))
        parts[name] = found
        return found

    def metadata_alone(self, entries: Mapping[str, str] | None) -> bytes:
        """Metadata without an id; nothing where there are none."""
        entries = {**entries, **self._marks} if entries else self._marks
        if not entries:
            return b""
        p = self.preamble
        array = b"u" + p.class_reference(_OBJECT_ARRAY) + struct.pack(">i", len(entries))
        texts = [[reference(p.add_string(t)) for t in some] for some in (entries, entries.values())]
        head = b"s" + p.class_reference(_METADATA) + self._one
        return b"".join((head, array, *texts[0], array, *texts[1], END))

    def metadata(self, entries: Mapping[str, str] | None) -> bytes:
        """Metadata, in which QuPath keeps the id too, up to the id's text."""
        entries = {**entries, **self._marks} if entries else self._marks
        key = tuple(entries.items())
        found = self._metadata.get(key)
        if found is None:
            p = self.preamble
            array = b"u" + p.class_reference(_OBJECT_ARRAY)
            size = struct.pack(">i", len(entries) + 1)
            keys = [reference(p.add_string(name)) for name in (*entries, ID_KEY)]
            values = [reference(p.add_string(value)) for value in entries.values()]
            found = self._metadata[key] = b"".join(
                (b"s", p.class_reference(_METADATA), self._one, array, size, *keys, array, size,
                 *values, _ID_START)
            )  # fmt: skip
        return found


def _object_forms() -> Iterator[tuple[str, ClassForm]]:
    for name, parent in (
        ("PathObject", None),
        ("PathRootObject", "PathObject"),
        ("PathROIObject", "PathObject"),
        ("PathAnnotationObject", "PathROIObject"),
        ("PathDetectionObject", "PathROIObject"),
        ("PathCellObject", "PathDetectionObject"),
        ("PathTileObject", "PathDetectionObject"),
        ("TMACoreObject", "PathROIObject"),
    ):
        yield _OBJECTS + name, (EXTERNALIZABLE, (), parent and _OBJECTS + parent)


_ANY_LIST: Final = _LIST + "AbstractNumericMeasurementList"
_FORMS: Final[dict[str, ClassForm]] = {
    "java.lang.Number": (SERIALIZABLE, (), None),
    "java.lang.Integer": (SERIALIZABLE, (("I", "value"),), "java.lang.Number"),
    "java.lang.Boolean": (SERIALIZABLE, (("Z", "value"),), None),
    "java.util.ArrayList": (WRITE_METHOD, (("I", "size"),), None),
    "[F": (SERIALIZABLE, (), None),
    "[D": (SERIALIZABLE, (), None),
    "[B": (SERIALIZABLE, (), None),
    **dict(_object_forms()),
    _METADATA: (EXTERNALIZABLE, (), None),
    _PATH_CLASS: (
        SERIALIZABLE,
        (
            ("Ljava/lang/Integer;", "colorRGB"),
            (_STRING, "name"),
            (f"L{_PATH_CLASS.replace('.', '/')};", "parentClass"),
        ),
        None,
    ),
    _ANY_LIST: (
        SERIALIZABLE,
        (("Z", "isClosed"), ("Ljava/util/List;", "names"), ("Ljava/util/Map;", "map")),
        None,
    ),
    _LIST + "FloatList": (SERIALIZABLE, (("[F", "values"),), _ANY_LIST),
    _LIST + "DoubleList": (SERIALIZABLE, (("[D", "values"),), _ANY_LIST),
    **ROI_FORMS,
}


def _same_measurements(
    values: NDArray[np.float64],
    inexact: NDArray[np.bool_],
    heads: Mapping[int, tuple[bytes, bytes]],
    names: bytes,
) -> list[bytes]:
    """Lists of objects that have the same measurements, shape (n, k)."""
    found = [b""] * len(values)
    count = struct.pack(">i", values.shape[1])
    for size, dtype, rows in (
        (4, ">f4", np.flatnonzero(~inexact)),
        (8, ">f8", np.flatnonzero(inexact)),
    ):
        before, behind = heads[size]
        with np.errstate(over="ignore"):
            numbers = values[rows].astype(dtype)
        parts = (before + names + behind + count, numbers)
        for row, one in zip(rows.tolist(), side_by_side(parts, len(rows)), strict=True):
            found[row] = one
    return found


def _measurements(table: ObjectTable, chosen: NDArray[np.int64], shared: _Shared) -> list[bytes]:
    """A list of measurements for each object: of floats where these are exact."""
    m = table.measurements
    if not len(m.value):
        return [NULL] * len(chosen)
    p = shared.preamble
    with np.errstate(over="ignore"):
        single = m.value.astype(np.float32)
    inexact = (single.astype(np.float64) != m.value) & ~np.isnan(m.value)
    n_inexact = np.concatenate([[0], np.cumsum(inexact)])
    raw_single, raw_double = single.astype(">f4").tobytes(), m.value.astype(">f8").tobytes()
    heads = {
        size: (
            b"s" + p.class_reference(_LIST + name) + b"\0",
            NULL + b"u" + p.class_reference(code),
        )
        for size, name, code in ((4, "FloatList", "[F"), (8, "DoubleList", "[D"))
    }
    counts = np.diff(m.offsets)[chosen]
    k = int(counts[0])
    if k and (counts == k).all():
        which = m.offsets[chosen][:, None] + np.arange(k)
        names_of = m.name[which]
        if (names_of == names_of[0]).all():  # the same of all objects
            texts = [m.names[i] for i in names_of[0].tolist()]
            names = reference(p.add_list(texts))
            return _same_measurements(m.value[which], inexact[which].any(1), heads, names)
    lists: dict[bytes, bytes] = {}
    found = []
    for start, end in zip(m.offsets[chosen].tolist(), m.offsets[chosen + 1].tolist(), strict=True):
        if start == end:
            found.append(NULL)
            continue
        key = m.name[start:end].tobytes()
        known = lists.get(key)
        if known is None:
            texts = [m.names[i] for i in m.name[start:end].tolist()]
            known = lists[key] = reference(p.add_list(texts))
        size = 8 if n_inexact[end] > n_inexact[start] else 4
        raw = raw_double if size == 8 else raw_single
        before, behind = heads[size]
        count = (end - start).to_bytes(4, "big")
        found.append(before + known + behind + count + raw[start * size : end * size])
    return found
