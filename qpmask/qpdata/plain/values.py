"""What a Java Object Serialization stream can hold, as plain values."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

FLAG_WRITE_METHOD: Final = 1
FLAG_EXTERNALIZABLE: Final = 4
FLAG_BLOCK_DATA: Final = 8

#: Java's type codes of primitive fields as codes of :mod:`struct`.
PRIMITIVES: Final = {
    "B": "b", "C": "H", "D": "d", "F": "f", "I": "i", "J": "q", "S": "h", "Z": "?",
}  # fmt: skip
ITEM_SIZES: Final = {code: struct.calcsize(">" + form) for code, form in PRIMITIVES.items()}


class Mark(Enum):
    """Things that a stream holds besides values."""

    END = "end of block data"
    PENDING = "something that is not complete yet"


@dataclass(slots=True, eq=False)
class ClassDesc:
    """A class as the stream describes it.

    ``primitive_codes`` are the type codes of its primitive fields, ``chain`` the names of this
    class and its super classes, this one first, ``levels`` their descriptions, topmost first.
    """

    name: str
    flags: int
    primitive_names: tuple[str, ...]
    primitive_codes: str
    object_fields: tuple[str, ...]
    chain: tuple[str, ...] = ()
    levels: tuple[ClassDesc, ...] = ()

    @property
    def primitives(self) -> struct.Struct:
        """How the primitive fields are stored."""
        return struct.Struct(">" + "".join(PRIMITIVES[code] for code in self.primitive_codes))


@dataclass(slots=True, eq=False)
class JavaObject:
    """An object: its class, its fields by name, and what its own write method added."""

    desc: ClassDesc
    fields: dict[str, object] = field(default_factory=dict)
    contents: list[object] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class PrimitiveArray:
    """An array of numbers, left where it is in the data."""

    type_code: str
    start: int
    length: int
    end: int


@dataclass(slots=True, eq=False)
class ObjectArray:
    """An array of objects."""

    desc: ClassDesc
    items: list[object]


@dataclass(slots=True, eq=False)
class EnumConstant:
    """A constant of an enum."""

    desc: ClassDesc
    name: str


@dataclass(slots=True, eq=False)
class ClassValue:
    """A class that is stored as a value."""

    desc: ClassDesc


@dataclass(slots=True, eq=False)
class Block:
    """Bytes that a write method added by itself."""

    start: int
    end: int
