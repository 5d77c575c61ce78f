"""QuPath's hierarchy of objects in plain Python; the format stands in :mod:`..kernel.objects`."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, TypeGuard

import numpy as np

from qpmask.qpdata.columns import StoredClass
from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.model import ObjectDetails
from qpmask.qpdata.names import (
    BOOLEAN,
    CELL,
    ID_KEY,
    METADATA,
    OBJECT,
    PATH_CLASS,
    ROI_OBJECT,
    ROOT,
    TMA_CORE,
    UUID,
    kind_of,
    stored_id,
)
from qpmask.qpdata.plain.details import Details, is_measured
from qpmask.qpdata.plain.javastream import JavaStream
from qpmask.qpdata.plain.rois import RoiTable
from qpmask.qpdata.plain.values import (
    FLAG_EXTERNALIZABLE,
    ClassDesc,
    JavaObject,
    Mark,
    ObjectArray,
)


@dataclass
class Found:
    """An object of the hierarchy; ``path_class`` is the class as it was read, or None."""

    kind: int
    parent: int
    name: str | None
    id: bytes
    locked: bool = False
    missing: bool = False
    path_class: JavaObject | None = None
    roi: int = -1
    nucleus_roi: int = -1


@dataclass
class _Open:
    """An object whose children are being read; the root has no row."""

    desc: ClassDesc
    row: int
    children_left: int


class Hierarchy:
    """Reads the objects of a hierarchy.

    Parameters
    ----------
    stream : JavaStream
        Where to read.
    details : bool
        Whether colours, measurements and metadata are wanted.
    """

    def __init__(self, stream: JavaStream, *, details: bool) -> None:
        self._stream = stream
        self._details = Details(stream) if details else None
        self.objects: list[Found] = []
        self.rois = RoiTable(stream)
        #: The classes in use, in the order in which they were found.
        self.used_classes: dict[JavaObject, None] = {}

    def read_tree(self) -> None:
        """Read the root object and all that is below it."""
        stack = [self._open(None)]
        while stack:
            top = stack[-1]
            if not top.children_left:
                self._close(stack.pop())
                continue
            if len(stack) > k.MAX_LEVELS:
                raise self._stream.unsupported(f"objects are nested {k.MAX_LEVELS} levels deep")
            top.children_left -= 1
            stack.append(self._open(top.row))

    def _open(self, parent: int | None) -> _Open:
        """Read an object up to its children; the root is the one that has no parent."""
        stream = self._stream
        code = stream.byte("an object")
        if code == k.TC_REFERENCE:
            raise stream.corrupt("the same object is in the hierarchy twice")
        if code != k.TC_OBJECT:
            raise stream.corrupt("an object of the hierarchy is missing")
        desc = stream.begin_object().desc
        if OBJECT not in desc.chain or not desc.flags & FLAG_EXTERNALIZABLE:
            raise stream.unsupported(f"the hierarchy holds something else: {desc.name}")
        stream.check_externalizable(desc)

        name = self._value()
        if name is not None and not isinstance(name, str):
            raise stream.corrupt("the name of an object is no text")
        color = self._value()
        id_bytes, measured, metadata = self._read_fields()
        n_children = stream.read_raw_int()
        if n_children < 0:
            raise stream.corrupt("an object has a negative number of children")
        if n_children:
            stream.need(n_children, "the children of an object")
        if (desc.name == ROOT) != (parent is None):
            raise stream.corrupt("the hierarchy has no root, or a second one")
        if parent is None:
            return _Open(desc, -1, n_children)
        self.objects.append(Found(kind_of(desc.chain), parent, name, id_bytes))
        if self._details is not None:
            self._details.add(color, measured, metadata)
        return _Open(desc, len(self.objects) - 1, n_children)

    def _value(self) -> object:
        """Read a value of an object's own; the end of the object is none."""
        value = self._stream.read_value()
        if value is Mark.END:
            raise self._stream.corrupt("an object ends too early")
        return value

    @property
    def details(self) -> ObjectDetails | None:
        """Colours, measurements and metadata, if they are wanted."""
        return None if self._details is None else self._details.finish()

    def _read_fields(self) -> tuple[bytes, object, dict[str, str]]:
        """Read metadata and measurements; give the id, the measurements, the other metadata."""
        stream = self._stream
        metadata: dict[str, str] = {}
        value = self._value()
        if _is_a(value, UUID):
            # Version 4: the id, a number of fields, and as many fields.
            high, low = value.fields.get("mostSigBits"), value.fields.get("leastSigBits")
            if not isinstance(high, int) or not isinstance(low, int):
                raise stream.corrupt("an id has no value")
            digits = f"{high & (2**64 - 1):016x}{low & (2**64 - 1):016x}"
            text = "-".join(digits[a:b] for a, b in pairwise((0, 8, 12, 16, 20, 32)))
            fields = []
            for _ in range(stream.read_raw_int()):
                if stream.peek() in (k.TC_BLOCKDATA, k.TC_BLOCKDATALONG):
                    break  # QuPath counts an empty map that it does not write
                fields.append(self._value())
            measured = next((field for field in fields if is_measured(field)), None)
            inside = next((field for field in fields if _is_a(field, METADATA)), None)
            if inside is not None and self._details is not None:
                metadata = self._metadata(inside)
                metadata.pop(ID_KEY, None)
            return text.encode("ascii"), measured, metadata
        if _is_a(value, METADATA):
            metadata = self._metadata(value)
            value = self._value()
        return stored_id(metadata.pop(ID_KEY, "")), value, metadata

    def _metadata(self, metadata: JavaObject) -> dict[str, str]:
        """Texts in an object's metadata: a version, the keys, the values."""
        arrays = [item for item in metadata.contents if isinstance(item, ObjectArray)]
        if len(arrays) != 2 or len(arrays[0].items) != len(arrays[1].items):
            raise self._stream.corrupt("the metadata of an object make no sense")
        return {
            key: value
            for key, value in zip(arrays[0].items, arrays[1].items, strict=True)
            if isinstance(key, str) and isinstance(value, str)
        }

    def _close(self, item: _Open) -> None:
        """Read what comes after an object's children."""
        stream, chain = self._stream, item.desc.chain
        if ROI_OBJECT not in chain:
            stream.end_contents("the root of the objects")
            return
        found = self.objects[item.row]
        value = self._value()
        if _is_a(value, BOOLEAN):
            found.locked = bool(value.fields.get("value"))
            value = self._value()
        if value is not None:
            if not _is_a(value, PATH_CLASS):
                raise stream.corrupt("an object has something else for a class")
            found.path_class = value
            self.used_classes[value] = None
        found.roi = self.rois.add(self._value())
        stream.read_raw(8)  # the probability of the class
        if CELL in chain:
            found.nucleus_roi = self.rois.add(self._value())
        elif TMA_CORE in chain:
            found.missing = stream.read_raw(1) != b"\0"
        stream.end_contents("an object")

    def stored_class(self, value: Any) -> StoredClass:
        """What is stored of a class that was read, or of one that it is derived from."""
        if not _is_a(value, PATH_CLASS):
            raise self._stream.corrupt("a class is derived from something else")
        name, color = value.fields.get("name"), value.fields.get("colorRGB")
        if name is not None and not isinstance(name, str):
            raise self._stream.corrupt("a class has no name")
        argb = color.fields.get("value") if isinstance(color, JavaObject) else None
        return StoredClass(
            name, argb if isinstance(argb, int) else None, value.fields.get("parentClass")
        )

    def columns(self) -> dict[str, np.ndarray]:
        """All columns but the classes of the objects."""
        ids = np.array([item.id for item in self.objects], "S36")
        columns: dict[str, np.ndarray] = {
            name: np.array([getattr(item, name) for item in self.objects], dtype)
            for name, dtype in _COLUMNS.items()
        }
        return columns | {"ids": ids} | self.rois.columns()


_COLUMNS: Final[dict[str, type[np.generic]]] = {
    "kind": np.uint8, "parent": np.int32, "roi": np.int32, "nucleus_roi": np.int32,
    "locked": np.bool_, "missing": np.bool_,
}  # fmt: skip


def _is_a(value: object, class_name: str) -> TypeGuard[JavaObject]:
    """Whether a value is an object of this class."""
    return isinstance(value, JavaObject) and value.desc.name == class_name
