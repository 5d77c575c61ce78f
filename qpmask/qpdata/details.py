"""What objects carry beside their shape and class: colours, measurements, metadata.

A pass of its own over a data file, for those who want them (GeoJSON); masks need none of it. Every
object is read in full, one by one.
"""

from __future__ import annotations

import os
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeGuard

import numpy as np
import numpy.typing as npt

from qpmask.errors import DataFileMissingError
from qpmask.qpdata.plain.javastream import JavaStream
from qpmask.qpdata.plain.values import Block, JavaObject, ObjectArray, PrimitiveArray

NO_COLOR: Final = 1 << 40
"""In the column of colours: none."""

_OBJECTS: Final = "qupath.lib.objects."
_HIERARCHY: Final = _OBJECTS + "hierarchy.PathObjectHierarchy"
_ID_KEY: Final = "Object ID"
_TYPES: Final = {"F": ">f4", "D": ">f8"}
_OBJECT_CODE, _RESET_CODE, _BLOCKS = 0x73, 0x79, (0x77, 0x7A)


@dataclass(frozen=True, eq=False)
class ObjectDetails:
    """Of all objects of a file, in the order of :class:`~qpmask.qpdata.ImageObjects`.

    Attributes
    ----------
    color_argb : ndarray of int64, shape (n_objects,)
        Packed colour as Java's signed int, or :data:`NO_COLOR`.
    names : tuple of str
        What is measured.
    offsets : ndarray of int64, shape (n_objects + 1,)
        First measurement of each object.
    name : ndarray of int32, shape (n_measurements,)
        Number in ``names``.
    value : ndarray of float64, shape (n_measurements,)
        The measurement; of a list of single precision as Java makes a double of it.
    metadata : dict of int to dict of str to str
        Metadata but the id, of the objects that have any.
    """

    color_argb: npt.NDArray[np.int64]
    names: tuple[str, ...]
    offsets: npt.NDArray[np.int64]
    name: npt.NDArray[np.int32]
    value: npt.NDArray[np.float64]
    metadata: dict[int, dict[str, str]]


def read_details(path: str | os.PathLike[str]) -> ObjectDetails:
    """Read them from a ``data.qpdata`` file.

    Raises
    ------
    DataFileMissingError, TruncatedDataError, CorruptDataError, UnsupportedDataError
        As :func:`~qpmask.qpdata.read_qpdata`, which checks more.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataFileMissingError(f"{path} cannot be opened: {error.strerror}.") from error
    return details_of(data, source=str(path))


def details_of(data: bytes, *, source: str = "the data file") -> ObjectDetails:
    """Read them from the content of a file."""
    stream = JavaStream(data, source=source)
    stream.read_header()
    stream.open_block()  # the first line
    stream.read_raw(stream.block_left)
    stream.read_value()  # the server
    reader = _Reader(stream)
    while True:
        code = stream.peek()
        if code == _RESET_CODE:
            stream.pos += 1
            stream.handles = []
        elif code == _OBJECT_CODE:
            stream.pos += 1
            value = stream.begin_object()
            if value.desc.name == _HIERARCHY:
                reader.read_hierarchy(value)
                return reader.finish()
            stream.finish_object(value)
        elif stream.read_value() == "EOF":
            raise stream.corrupt("it ends without a hierarchy of objects")


class _Reader:
    """Walks through the hierarchy; :mod:`qpmask.qpdata.plain.hierarchy` says what it holds."""

    def __init__(self, stream: JavaStream) -> None:
        self._stream = stream
        self._colors = array("q")
        self._names: dict[str, int] = {}
        self._counts = array("q")
        self._name = array("i")
        self._values: list[npt.NDArray[np.float64]] = []
        self._metadata: dict[int, dict[str, str]] = {}
        # Lists of names by the value that they were read from, which is kept so that no other one
        # gets its id.
        self._lists: dict[int, tuple[object, list[int]]] = {}

    def read_hierarchy(self, value: JavaObject) -> None:
        """Read the objects; what follows is of no interest."""
        for level in value.desc.levels:
            self._stream.read_primitives(value, level)
            for name in level.object_fields:
                if name == "rootObject":
                    self._read_tree()
                    return
                self._stream.read_value()
        raise self._stream.corrupt("the hierarchy has no root")

    def finish(self) -> ObjectDetails:
        """Make the columns."""
        offsets = np.zeros(len(self._counts) + 1, np.int64)
        np.cumsum(np.frombuffer(self._counts, np.int64), out=offsets[1:])
        return ObjectDetails(
            color_argb=np.array(self._colors, np.int64),
            names=tuple(self._names),
            offsets=offsets,
            name=np.array(self._name, np.int32),
            value=np.concatenate([np.zeros(0), *self._values]),
            metadata=self._metadata,
        )

    def _read_tree(self) -> None:
        stream = self._stream
        if stream.byte("the root") != _OBJECT_CODE:
            raise stream.corrupt("the hierarchy has no root")
        stack = [self._begin(is_root=True)]
        while stack:
            desc, n_children = stack.pop()
            if n_children:
                if stream.byte("an object") != _OBJECT_CODE:
                    raise stream.corrupt("an object of the hierarchy is missing")
                stack.append((desc, n_children - 1))
                stack.append(self._begin(is_root=False))
            elif _OBJECTS + "PathROIObject" in desc.chain:
                stream.skip_contents()  # lock, class, ROIs, probability
            else:
                stream.end_contents("the root of the objects")

    def _begin(self, *, is_root: bool) -> tuple[Any, int]:
        """Read an object up to its children: its class, and how many there are."""
        stream = self._stream
        desc = stream.begin_object().desc
        stream.check_externalizable(desc)
        stream.read_value()  # the name
        color = stream.read_value()
        value = stream.read_value()
        metadata: dict[str, str] = {}
        if isinstance(value, JavaObject) and value.desc.name == "java.util.UUID":
            # Version 4: a number of fields, and as many.
            fields = []
            for _ in range(stream.read_raw_int()):
                if stream.peek() in _BLOCKS:
                    break
                fields.append(stream.read_value())
            value = next((f for f in fields if _is_measured(f)), None)
            metadata = next((_metadata_of(f) for f in fields if _is_metadata(f)), {})
        elif _is_metadata(value):
            metadata = _metadata_of(value)
            value = stream.read_value()
        n_children = stream.read_raw_int()
        if n_children < 0:
            raise stream.corrupt("an object has a negative number of children")
        if not is_root:
            if metadata:
                self._metadata[len(self._colors)] = metadata
            argb = color.fields.get("value") if isinstance(color, JavaObject) else None
            self._colors.append(argb if isinstance(argb, int) else NO_COLOR)
            self._counts.append(self._measure(value))
        return desc, n_children

    def _measure(self, value: object) -> int:
        """Add the measurements of an object; how many."""
        if not isinstance(value, JavaObject):
            return 0
        stored = value.fields.get("values")
        if not isinstance(stored, PrimitiveArray):
            return self._measure_singly(value)
        names = self._names_of(value.fields.get("names"))
        type_ = _TYPES.get(stored.type_code)
        if type_ is None or len(names) > stored.length:
            raise self._stream.corrupt("the measurements of an object make no sense")
        values = np.frombuffer(self._stream.data[stored.start : stored.end], type_)
        self._values.append(values[: len(names)].astype(np.float64))
        self._name.extend(names)
        return len(names)

    def _measure_singly(self, value: JavaObject) -> int:
        """Add those of a list of pairs (QuPath's ``DefaultMeasurementList``)."""
        n = 0
        for item in _items(value.fields.get("list")):
            if isinstance(item, JavaObject):
                name, number = item.fields.get("name"), item.fields.get("value")
                if isinstance(name, str) and isinstance(number, float | int):
                    self._name.append(self._names.setdefault(name, len(self._names)))
                    self._values.append(np.array([number], np.float64))
                    n += 1
        return n

    def _names_of(self, value: object) -> list[int]:
        """Numbers of the names in a list."""
        known = self._lists.get(id(value))
        if known is None:
            names = [
                self._names.setdefault(name, len(self._names))
                for name in _items(value)
                if isinstance(name, str)
            ]
            known = self._lists[id(value)] = value, names
        return known[1]


def _is_metadata(value: object) -> TypeGuard[JavaObject]:
    return isinstance(value, JavaObject) and value.desc.name == _OBJECTS + "MetadataMap"


def _is_measured(value: object) -> bool:
    return isinstance(value, JavaObject) and "MeasurementList" in value.desc.name


def _items(value: object) -> list[object]:
    """What is in a Java list: one that writes its items, or one that wraps another or an array."""
    while isinstance(value, JavaObject):
        if value.contents:
            return [item for item in value.contents if not isinstance(item, Block)]
        value = (
            value.fields.get("list")
            or value.fields.get("a")
            or value.fields.get("c")
            or value.fields.get("coll")
        )
    return list(value.items) if isinstance(value, ObjectArray) else []


def _metadata_of(value: JavaObject) -> dict[str, str]:
    """Entries of an object's metadata but its id: a version, the keys, the values."""
    arrays = [item for item in value.contents if isinstance(item, ObjectArray)]
    if len(arrays) != 2:
        return {}
    return {
        key: text
        for key, text in zip(arrays[0].items, arrays[1].items, strict=False)
        if isinstance(key, str) and isinstance(text, str) and key != _ID_KEY
    }
