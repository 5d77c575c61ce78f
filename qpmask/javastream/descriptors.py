"""Classes as a Java stream describes them: each with its fields, and those above it.

A file describes some thirty classes, mostly in the words of the files before it: what was read
serves again where the bytes are the same.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from qpmask.javastream import codes
from qpmask.javastream.reading import (
    BAD_TEXT,
    CLASS_AT,
    CLASS_ROW,
    FAULTS,
    HANDLES,
    NOT_A_CLASS,
    NOTHING_THERE,
    OTHER,
    REFERENCES,
    TEXT_AT,
    JavaStream,
    is_modified_utf8,
    is_text,
    note_reference,
)
from qpmask.javastream.texts import decode_text

MAX_BYTES: Final = 1 << 16
"""Of a description, those of all classes above it included."""
MAX_SUPER_CLASSES: Final = 64
_MAX_KEPT: Final = 200
_KEY_BYTES: Final = 40

_kept: dict[bytes, Descriptor] = {}


class DescriptorError(ValueError):
    """A description makes no sense, or (``is_sound``) is of a kind that is not read."""

    def __init__(self, what: str, *, is_sound: bool = False) -> None:
        super().__init__(what)
        self.is_sound = is_sound


class EndError(ValueError):
    """A description goes on behind the bytes that were given."""


class ClassDesc(NamedTuple):
    """A class without those above it: ``fields`` are a letter for the type and the name of each."""

    name: str
    flags: int
    fields: tuple[str, ...]


class Reference(NamedTuple):
    """A reference at ``at`` to the class above all or to a text, with a handle below ``limit``.

    ``limit`` is counted from the first handle that the description gives.
    """

    at: int
    handle: int
    limit: int
    is_class: bool


class Descriptor(NamedTuple):
    """A description.

    Attributes
    ----------
    raw : bytes
        All of it.
    classes : tuple of (ClassDesc, int)
        The classes, topmost first, and which of the new handles each has.
    handles : tuple of int
        What each new handle stands for: a text at this offset, or -1 for the next class.
    references : tuple of Reference
        To texts, and at last to the class above the last of ``classes``, if it has one.
    """

    raw: bytes
    classes: tuple[tuple[ClassDesc, int], ...]
    handles: tuple[int, ...]
    references: tuple[Reference, ...]


def read_descriptor(raw: bytes) -> Descriptor:
    """Read what ``raw`` begins with.

    Raises
    ------
    DescriptorError
        It makes no sense.
    EndError
        It goes on behind ``raw``.
    """
    key = raw[:_KEY_BYTES]
    known = _kept.get(key)
    if known is None or not raw.startswith(known.raw):
        known = _Reader(raw).read()
        if len(_kept) < _MAX_KEPT or key in _kept:
            _kept[key] = known
    return known


def give_handles(desc: Descriptor, stream: JavaStream) -> int:
    """Give handles to what a description at ``n[CLASS_AT]`` holds, for which there must be room.

    Returns
    -------
    int
        Row of the class above all of it, -1 for none. Handles of its own classes are OTHER still.

    Raises
    ------
    DescriptorError
        It refers to what is not there, or is something else.
    """
    n, handles = stream.n, stream.handles
    start, first, row = int(n[CLASS_AT]), int(n[HANDLES]), -1
    new = [OTHER if at < 0 else TEXT_AT | (start + at) << 4 for at in desc.handles]
    n[HANDLES] = first + len(new)
    handles[first : first + len(new)] = new
    notes = n[REFERENCES] >= 0
    for reference in desc.references:
        if not 0 <= reference.handle < first + reference.limit:
            raise DescriptorError(FAULTS[NOTHING_THERE])
        entry = int(handles[reference.handle])
        if not (entry & 15 == CLASS_ROW if reference.is_class else is_text(entry)):
            what = FAULTS[NOT_A_CLASS] if reference.is_class else "a field of a class has no type"
            raise DescriptorError(what)
        row = entry >> 4 if reference.is_class else row
        if notes:
            note_reference(stream, start + reference.at)
    return row


class _Reader:
    def __init__(self, raw: bytes) -> None:
        self._raw, self._pos = raw, 0
        self._handles: list[int] = []
        self._references: list[Reference] = []

    def read(self) -> Descriptor:
        classes: list[tuple[ClassDesc, int]] = []
        while (code := self._number(1)) == codes.TC_CLASSDESC:
            if len(classes) >= MAX_SUPER_CLASSES:
                raise DescriptorError("a class has too many super classes")
            classes.insert(0, self._class())
        if code == codes.TC_REFERENCE and classes:
            self._reference(is_class=True)
        elif code == codes.TC_PROXYCLASSDESC:
            raise DescriptorError("it holds a dynamic proxy class", is_sound=True)
        elif code != codes.TC_NULL or not classes:
            raise DescriptorError("a class description was expected")
        raw = self._raw[: self._pos]
        return Descriptor(raw, tuple(classes), tuple(self._handles), tuple(self._references))

    def _class(self) -> tuple[ClassDesc, int]:
        name = self._text()
        self._take(8)  # its number, by which Java tells versions apart
        handle = len(self._handles)
        self._handles.append(-1)
        flags = self._number(1)
        fields: list[str] = []
        for _ in range(self._number(2)):
            code = chr(self._number(1))
            field = code + self._text()
            if code in "L[":
                self._type(name)
            elif code not in codes.NUMBER_BYTES:
                raise DescriptorError(f"a field of the class {name} is of no known type")
            elif fields and fields[-1][0] in "L[":
                raise DescriptorError(f"the fields of the class {name} are out of order")
            fields.append(field)
        if self._number(1) != codes.TC_ENDBLOCKDATA:
            raise DescriptorError(f"the class {name} has annotations", is_sound=True)
        return ClassDesc(name, flags, tuple(fields)), handle

    def _type(self, class_name: str) -> None:
        """Pass over the type of a field of objects: a text, or a reference to one."""
        at = self._pos
        code = self._number(1)
        if code == codes.TC_REFERENCE:
            self._reference(is_class=False)
        elif code in (codes.TC_STRING, codes.TC_LONGSTRING):
            self._text(2 if code == codes.TC_STRING else 8)
            self._handles.append(at)
        else:
            raise DescriptorError(f"a field of the class {class_name} has no type")

    def _reference(self, *, is_class: bool) -> None:
        at, handle = self._pos - 1, self._number(4) - codes.FIRST_HANDLE
        self._references.append(Reference(at, handle, len(self._handles), is_class))

    def _text(self, size_bytes: int = 2) -> str:
        raw = self._take(self._number(size_bytes))
        if not (raw.isascii() or is_modified_utf8(np.frombuffer(raw, np.uint8), 0, len(raw))):
            raise DescriptorError(FAULTS[BAD_TEXT])
        return decode_text(raw)

    def _number(self, n_bytes: int) -> int:
        return int.from_bytes(self._take(n_bytes), "big")

    def _take(self, n_bytes: int) -> bytes:
        start = self._pos
        self._pos += n_bytes
        if self._pos > len(self._raw):
            raise EndError
        return self._raw[start : self._pos]
