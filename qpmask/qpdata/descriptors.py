"""Class descriptors of a stream, each read once for all files.

A file describes some twenty classes, and thousands of files of one project describe the same ones
with the same bytes: where these follow the same handles, what was made of them stands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from qpmask.qpdata.kernel.library import FIRST_REFERENCE
from qpmask.qpdata.plain.bytereader import I4
from qpmask.qpdata.plain.javastream import JavaStream

_MAX_KEPT: Final = 1000
_kept: dict[tuple[int, bytes], Described] = {}


class Described(NamedTuple):
    """A class descriptor, with those of the super classes that it holds.

    Attributes
    ----------
    data : bytes
        Its bytes.
    values : list
        What takes handles in it.
    before : dict of int to object
        What it refers to that came before it, by handle.
    """

    data: bytes
    values: list[object]
    before: dict[int, object]


def described(data: bytes, first: int, entry: Callable[[int], object]) -> Described:
    """Read the class descriptor at the beginning of ``data``.

    Parameters
    ----------
    data : bytes
        What is there, and behind it.
    first : int
        The next handle.
    entry : callable
        What a handle before that stands for: a :class:`~.plain.values.ClassDesc`, any text for a
        text, or None.

    Raises
    ------
    DataFileError
        It is cut or damaged.
    """
    key = first, data[: 3 + int.from_bytes(data[1:3], "big")]  # its name
    found = _kept.get(key)
    if (
        found is not None
        and data.startswith(found.data)
        and all(entry(handle) is value for handle, value in found.before.items())
    ):
        return found
    stream = _Descriptor(data, first, entry)
    stream.read_class_desc()
    if len(_kept) >= _MAX_KEPT:
        _kept.clear()
    _kept[key] = found = Described(data[: stream.pos], stream.values, stream.before)
    return found


class _Descriptor(JavaStream):
    """Reads a class descriptor, with what the parser knows of handles."""

    def __init__(self, data: bytes, first: int, entry: Callable[[int], object]) -> None:
        super().__init__(data, source="")
        self._first, self._entry = first, entry
        self.values: list[object] = []
        self.before: dict[int, object] = {}

    def new_handle(self, value: object) -> int:
        """Give the next handle to a value."""
        self.values.append(value)
        return self._first + len(self.values) - 1

    def set_handle(self, handle: int, value: object) -> None:
        """Let a handle stand for something that was not complete when it was given."""
        self.values[handle - self._first] = value

    def reference(self) -> object:
        """Read a reference, after its code."""
        self.need(4, "a reference")
        handle: int = I4.unpack_from(self.data, self.pos)[0] - FIRST_REFERENCE
        if not 0 <= handle < self._first + len(self.values):
            raise self.corrupt("a reference points at nothing")
        self.pos += 4
        if handle >= self._first:
            return self.values[handle - self._first]
        value = self.before[handle] = self._entry(handle)
        return value
