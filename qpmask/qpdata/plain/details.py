"""Colours, measurements and metadata in plain Python; the format stands in :mod:`..kernel`."""

from __future__ import annotations

from array import array
from typing import Final

import numpy as np
import numpy.typing as npt

from qpmask.qpdata.model import NO_COLOR, ObjectDetails
from qpmask.qpdata.names import MEASUREMENT_LIST
from qpmask.qpdata.plain.bytereader import ByteReader
from qpmask.qpdata.plain.values import Block, JavaObject, ObjectArray, PrimitiveArray

_TYPES: Final = {"F": ">f4", "D": ">f8"}
#: Fields in which Java's lists hold what they wrap: another list, or an array.
_WRAPPED: Final = ("list", "a", "c", "coll")


class Details:
    """Collects them, object after object.

    Parameters
    ----------
    stream : ByteReader
        Where they come from: its data, and its errors.
    """

    def __init__(self, stream: ByteReader) -> None:
        self._stream = stream
        self._colors = array("q")
        self._names: dict[str, int] = {}
        self._counts = array("q")
        self._name = array("i")
        self._values: list[npt.NDArray[np.float64]] = [np.zeros(0)]
        self._metadata: dict[int, dict[str, str]] = {}

    def add(self, color: object, measured: object, metadata: dict[str, str]) -> None:
        """Add those of the next object, as they were read."""
        if metadata:
            self._metadata[len(self._colors)] = metadata
        argb = color.fields.get("value") if isinstance(color, JavaObject) else None
        self._colors.append(argb if isinstance(argb, int) else NO_COLOR)
        names, values = self._measurements(measured)
        self._counts.append(len(names))
        self._name.extend(self._names.setdefault(name, len(self._names)) for name in names)
        self._values.append(np.asarray(values, np.float64))

    def finish(self) -> ObjectDetails:
        """Make the columns."""
        offsets = np.zeros(len(self._counts) + 1, np.int64)
        np.cumsum(np.frombuffer(self._counts, np.int64), out=offsets[1:])
        return ObjectDetails(
            color_argb=np.array(self._colors, np.int64),
            names=tuple(self._names),
            offsets=offsets,
            name=np.array(self._name, np.int32),
            value=np.concatenate(self._values),
            metadata=self._metadata,
        )

    def _measurements(self, value: object) -> tuple[list[str], npt.ArrayLike]:
        """Names and values in a list of measurements; of anything else there are none."""
        if not isinstance(value, JavaObject):
            return [], ()
        stored = value.fields.get("values")
        if isinstance(stored, PrimitiveArray):
            names = [name for name in _items(value.fields.get("names")) if isinstance(name, str)]
            type_ = _TYPES.get(stored.type_code)
            if type_ is None or len(names) > stored.length:
                raise self._stream.corrupt("the measurements of an object make no sense")
            numbers = np.frombuffer(self._stream.data[stored.start : stored.end], type_)
            return names, numbers[: len(names)]
        pairs = [
            (item.fields.get("name"), item.fields.get("value"))
            for item in _items(value.fields.get("list"))
            if isinstance(item, JavaObject)
        ]
        found = [(n, v) for n, v in pairs if isinstance(n, str) and isinstance(v, float | int)]
        return [name for name, _ in found], [number for _, number in found]


def is_measured(value: object) -> bool:
    """Whether a value is a list of measurements."""
    return isinstance(value, JavaObject) and MEASUREMENT_LIST in value.desc.name


def _items(value: object) -> list[object]:
    """What is in a Java list: one that writes its items, or one that wraps another or an array."""
    seen: list[object] = []
    while isinstance(value, JavaObject) and value not in seen:
        if value.contents:
            return [item for item in value.contents if not isinstance(item, Block)]
        seen.append(value)
        value = next((value.fields[name] for name in _WRAPPED if value.fields.get(name)), None)
    return list(value.items) if isinstance(value, ObjectArray) else []
