"""Writes Java streams: the little of it that QuPath's objects need."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from qpmask.javastream.codes import (
    FIRST_HANDLE,
    SC_BLOCK_DATA,
    SC_EXTERNALIZABLE,
    SC_SERIALIZABLE,
    SC_WRITE_METHOD,
)
from qpmask.javastream.texts import utf

NULL: Final = b"p"
END: Final = b"x"

#: Flags of classes.
SERIALIZABLE: Final = SC_SERIALIZABLE
WRITE_METHOD: Final = SC_WRITE_METHOD | SC_SERIALIZABLE
EXTERNALIZABLE: Final = SC_EXTERNALIZABLE | SC_BLOCK_DATA

_OBJECT_ARRAY: Final = "[Ljava.lang.Object;"
#: Numbers of Java's own classes; QuPath's all have 1, and those of arrays are not looked at.
_UIDS: Final = {
    "java.lang.Integer": 0x12E2A0A4F7818738,
    "java.lang.Number": 0x86AC951D0B94E08B,
    "java.lang.Boolean": 0xCD207280D59CFAEE,
    "java.util.UUID": 0xBC9903F7986D852F,
    "java.util.ArrayList": 0x7881D21D99C7619D,
}


def reference(handle: int) -> bytes:
    """Something that stands in the stream already."""
    return b"q" + struct.pack(">I", FIRST_HANDLE + handle)


def string(text: str) -> bytes:
    """A string, which takes a handle."""
    raw = utf(text)
    if len(raw) < 1 << 16:
        return b"t" + struct.pack(">H", len(raw)) + raw
    return b"|" + struct.pack(">Q", len(raw)) + raw


def class_description(
    name: str,
    flags: int = SERIALIZABLE,
    fields: Sequence[tuple[str, str]] = (),
    type_text: Callable[[str], bytes] = string,
) -> bytes:
    """A class, up to the one above it; takes a handle, and one for each type that is a string.

    ``type_text`` writes the type of a field of an object.
    """
    text = b"r" + struct.pack(">H", len(name)) + name.encode()
    text += struct.pack(">QBH", _UIDS.get(name, 1), flags, len(fields))
    for code, field_name in fields:
        text += code[:1].encode() + struct.pack(">H", len(field_name)) + field_name.encode()
        text += type_text(code) if len(code) > 1 else b""
    return text + END


#: Flags of a class, type and name of its fields (a type of more than one letter is that of an
#: object), and the class above it.
ClassForm: TypeAlias = "tuple[int, Sequence[tuple[str, str]], str | None]"


class Preamble:
    """An ``Object[]`` of what later bytes refer to: classes, texts, whatever many objects share.

    Each ``add_`` method writes one item and gives its handle.

    Parameters
    ----------
    forms : mapping of str to ClassForm
        All classes.
    first : int
        Handles that were given before it.
    """

    def __init__(self, forms: Mapping[str, ClassForm], first: int = 0) -> None:
        self._forms = forms
        self._data = bytearray()
        self._n_items = 0
        self._n_handles = first + 2  # the array's class, and the array
        self._classes: dict[str, int] = {_OBJECT_ARRAY: first}
        self._strings: dict[str, int] = {}

    def data(self) -> bytes:
        """All of it."""
        head = b"u" + class_description(_OBJECT_ARRAY) + NULL
        return head + struct.pack(">i", self._n_items) + bytes(self._data)

    @property
    def n_handles(self) -> int:
        """Handles that were given, those before it included."""
        return self._n_handles

    def add_object(self, class_name: str, content: bytes = b"") -> int:
        """An object, with no handle in its content; its class is described where it is the first.

        There is no other way to describe a class that all readers take: an example of it.
        """
        self._data += b"s"
        self._describe(class_name)
        handle = self._handle()
        self._data += content
        self._n_items += 1
        return handle

    def skip_handles(self, n: int) -> None:
        """What was written last holds so many more."""
        self._n_handles += n

    def add_array(self, class_name: str) -> int:
        """An array of numbers without any."""
        self._data += b"u"
        self._describe(class_name)
        handle = self._handle()
        self._data += struct.pack(">i", 0)
        self._n_items += 1
        return handle

    def _describe(self, name: str) -> None:
        """A class, with those above it, or a reference to it."""
        known = self._classes.get(name)
        if known is not None:
            self._data += reference(known)
            return
        flags, fields, parent = self._forms[name]
        self._classes[name] = self._handle()
        self._data += class_description(name, flags, fields, self._text)
        if parent is None:
            self._data += NULL
        else:
            self._describe(parent)

    def add_integer(self, value: int) -> int:
        """A ``java.lang.Integer``."""
        return self.add_object("java.lang.Integer", struct.pack(">i", value))

    def add_string(self, text: str) -> int:
        """A string of its own, unless there is one already."""
        found = self._strings.get(text)
        if found is None:
            self._data += self._text(text)
            self._n_items += 1
            found = self._strings[text]
        return found

    def add_list(self, texts: Sequence[str]) -> int:
        """A ``java.util.ArrayList`` of texts."""
        handles = [self.add_string(text) for text in texts]
        size = struct.pack(">i", len(texts))
        content = size + b"w\x04" + size + b"".join(map(reference, handles)) + END
        return self.add_object("java.util.ArrayList", content)

    def add_objects(self, handles: Sequence[int]) -> int:
        """An ``Object[]`` of what was added before."""
        self._data += b"u" + reference(self._classes[_OBJECT_ARRAY])
        handle = self._handle()
        self._data += struct.pack(">i", len(handles)) + b"".join(map(reference, handles))
        self._n_items += 1
        return handle

    def class_reference(self, name: str) -> bytes:
        """A class that was described."""
        return reference(self._classes[name])

    def _text(self, text: str) -> bytes:
        """A string, or a reference to it."""
        known = self._strings.get(text)
        if known is not None:
            return reference(known)
        self._strings[text] = self._handle()
        return string(text)

    def _handle(self) -> int:
        self._n_handles += 1
        return self._n_handles - 1
