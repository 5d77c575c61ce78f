"""Collects QuPath's objects in columns: names, ids, classes and the rest."""

from __future__ import annotations

import re
from array import array
from typing import Final

import numpy as np
import numpy.typing as npt

from qpmask.classes.names import class_name
from qpmask.qpdata.bytereader import ByteReader
from qpmask.qpdata.javavalues import JavaObject
from qpmask.qpdata.kinds import PATH_CLASS
from qpmask.qpdata.model import ImageObjects, PathClassName
from qpmask.qpdata.rois import RoiTable

#: Levels of derived classes.
MAX_CLASS_PARTS: Final = 100
#: Length of a UUID as text.
ID_BYTES: Final = 36
NO_ID: Final = bytes(ID_BYTES)

_UUID: Final = re.compile("-".join(["([0-9a-fA-F]+)"] * 5))


def stored_id(text: str) -> bytes:
    """Give an id as QuPath reads it: a UUID in lower case, or nothing.

    QuPath asks for a hyphen and 36 characters at most, then for Java's ``UUID.fromString``, which
    fills short parts with zeros.
    """
    match = _UUID.fullmatch(text) if len(text) <= ID_BYTES else None
    if match is None or any(int(part, 16) >= 2**63 for part in match.groups()):
        return NO_ID
    parts = [
        f"{int(part, 16):0{digits}x}"[-digits:]
        for part, digits in zip(match.groups(), (8, 4, 4, 4, 12), strict=True)
    ]
    return "-".join(parts).encode("ascii")


class ClassTable:
    """Collects QuPath's classes.

    Parameters
    ----------
    stream : ByteReader
        Where they come from, for its errors.
    """

    def __init__(self, stream: ByteReader) -> None:
        self._stream = stream
        self._numbers: dict[str, int] = {}
        self._classes: list[PathClassName] = []
        self._known: dict[int, tuple[JavaObject, int]] = {}

    def add_value(self, value: object) -> int:
        """Add a class that was read; give its number, -1 for none (see :func:`class_name`)."""
        if value is None:
            return -1
        if not isinstance(value, JavaObject) or value.desc.name != PATH_CLASS:
            raise self._stream.corrupt("an object has something else for a class")
        known = self._known.get(id(value))
        if known is None:
            # The value is kept, so that no other one gets its id.
            known = self._known[id(value)] = value, self._add(value)
        return known[1]

    def _add(self, value: JavaObject) -> int:
        parts: list[str] = []
        link: object = value
        while link is not None:
            if not isinstance(link, JavaObject) or link.desc.name != PATH_CLASS:
                raise self._stream.corrupt("a class is derived from something else")
            if len(parts) >= MAX_CLASS_PARTS:
                raise self._stream.corrupt("a class is derived from itself")
            name, parent = link.get("name"), link.get("parentClass")
            if isinstance(name, str):
                parts.append(name)
            elif name is not None or parent is not None:
                raise self._stream.corrupt("a class has no name")
            link = parent
        full_name = class_name(":".join(reversed(parts)))
        if full_name is None:
            return -1
        number = self._numbers.get(full_name)
        if number is None:
            # As in QuPath, the colour that was found first is kept.
            number = self._numbers[full_name] = len(self._classes)
            color = value.get("colorRGB")
            argb = color.get("value") if isinstance(color, JavaObject) else None
            self._classes.append(PathClassName(full_name, argb if isinstance(argb, int) else None))
        return number

    def finish(self) -> tuple[PathClassName, ...]:
        """Give the classes."""
        return tuple(self._classes)


class ObjectColumns:
    """Collects objects; :meth:`finish` makes the columns.

    An object is added with what comes before its children; the rest is put into the columns when
    it has been read.

    Parameters
    ----------
    stream : ByteReader
        Where the objects come from.
    """

    def __init__(self, stream: ByteReader) -> None:
        self.classes = ClassTable(stream)
        self.rois = RoiTable(stream)
        self.kind = bytearray()
        self.parent = array("i")
        self.class_index = array("i")
        self.locked = bytearray()
        self.missing = bytearray()
        self.roi = array("i")
        self.nucleus_roi = array("i")
        self.names: list[str | None] = []
        self.ids = bytearray()
        self._name_pool: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self.kind)

    def shared_name(self, name: str) -> str:
        """Give the one copy of a name."""
        return self._name_pool.setdefault(name, name)

    def add(self, kind: int, parent: int, name: str | None, id_bytes: bytes) -> int:
        """Add an object with what is known before its children; give its number."""
        number = len(self.kind)
        self.kind.append(kind)
        self.parent.append(parent)
        self.class_index.append(-1)
        self.locked.append(0)
        self.missing.append(0)
        self.roi.append(-1)
        self.nucleus_roi.append(-1)
        self.names.append(None if name is None else self.shared_name(name))
        self.ids += id_bytes
        return number

    def add_many(
        self,
        kind: npt.NDArray[np.uint8],
        parent: npt.NDArray[np.int32],
        names: list[str | None],
        ids: npt.NDArray[np.uint8],
    ) -> None:
        """Add many objects, as :meth:`add`.

        Parameters
        ----------
        kind : ndarray of uint8, shape (n,)
            Their kinds.
        parent : ndarray of int32, shape (n,)
            Numbers of their parents.
        names : list of (str or None)
            Their names.
        ids : ndarray of uint8, shape (n, 36)
            Their ids.
        """
        n_objects = len(kind)
        nothing = np.full(n_objects, -1, np.int32).tobytes()
        self.kind += kind.tobytes()
        self.parent.frombytes(parent.tobytes())
        self.class_index.frombytes(nothing)
        self.locked += bytes(n_objects)
        self.missing += bytes(n_objects)
        self.roi.frombytes(nothing)
        self.nucleus_roi.frombytes(nothing)
        self.names += names
        self.ids += ids.tobytes()

    def set_tails(
        self,
        numbers: npt.NDArray[np.int64],
        locked: npt.NDArray[np.bool_],
        class_index: npt.NDArray[np.int64],
        roi: npt.NDArray[np.int64],
        nucleus_roi: npt.NDArray[np.int64],
    ) -> None:
        """Put in what was read after the children of many objects.

        Parameters
        ----------
        numbers : ndarray of int64, shape (n,)
            The objects.
        locked : ndarray of bool, shape (n,)
            Whether they are locked.
        class_index, roi, nucleus_roi : ndarray of int64, shape (n,)
            As in :class:`~qpmask.qpdata.model.ImageObjects`.
        """
        np.frombuffer(self.locked, np.bool_)[numbers] = locked
        np.frombuffer(self.class_index, np.int32)[numbers] = class_index
        np.frombuffer(self.roi, np.int32)[numbers] = roi
        np.frombuffer(self.nucleus_roi, np.int32)[numbers] = nucleus_roi

    def finish(self, *, version: int, server: str, image_type: str | None) -> ImageObjects:
        """Make the columns."""
        return ImageObjects(
            version=version,
            server=server,
            image_type=image_type,
            kind=np.frombuffer(bytes(self.kind), np.uint8),
            parent=_int32(self.parent),
            class_index=_int32(self.class_index),
            locked=np.frombuffer(bytes(self.locked), np.bool_),
            roi=_int32(self.roi),
            nucleus_roi=_int32(self.nucleus_roi),
            missing=np.frombuffer(bytes(self.missing), np.bool_),
            names=tuple(self.names),
            ids=_checked_ids(self.ids),
            classes=self.classes.finish(),
            rois=self.rois.finish(),
        )


def _int32(values: array[int]) -> npt.NDArray[np.int32]:
    return np.frombuffer(values, values.typecode).astype(np.int32)


def _checked_ids(stored: bytearray) -> npt.NDArray[np.bytes_]:
    """Make UUIDs in lower case of 36 characters each; what is none becomes empty."""
    chars = np.frombuffer(bytes(stored), np.uint8).reshape(-1, ID_BYTES)
    digit = (chars >= ord("0")) & (chars <= ord("9"))
    hyphens = np.zeros(ID_BYTES, np.bool_)
    hyphens[[8, 13, 18, 23]] = True
    good = np.where(hyphens, chars == ord("-"), digit | ((chars >= 97) & (chars <= 102))).all(1)
    for index in np.flatnonzero(~good & chars.any(1)):
        if chars.flags.writeable is False:
            chars = chars.copy()
        text = chars[index].tobytes().decode("latin-1")
        chars[index] = np.frombuffer(stored_id(text), np.uint8)
    ids: npt.NDArray[np.bytes_] = np.ascontiguousarray(chars).view(f"S{ID_BYTES}").reshape(-1)
    return ids
