"""What a Java Object Serialization stream can hold, as plain values.

Made by :mod:`qpmask.qpdata.javastream`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum


class Mark(Enum):
    """Things that a stream holds besides values."""

    END = "end of block data"
    PENDING = "an object that is not complete yet"
    SKIPPED = "a handle inside a part that was passed over"


@dataclass(slots=True, eq=False)
class ClassDesc:
    """A class as the stream describes it."""

    name: str
    flags: int
    primitive_names: tuple[str, ...]
    #: Their type codes, and how they are stored.
    primitive_codes: str
    primitives: struct.Struct
    object_fields: tuple[str, ...]
    #: Names of this class and its super classes, this class first.
    chain: tuple[str, ...] = ()
    #: Descriptions of the super classes and this class, topmost first.
    levels: tuple[ClassDesc, ...] = ()


@dataclass(slots=True, eq=False)
class JavaObject:
    """An object: its class, its fields by name, and what its own write method added."""

    desc: ClassDesc
    fields: dict[str, object] | None = None
    contents: list[object] | None = None

    def get(self, name: str) -> object:
        """Give a field, or None if there is none of this name."""
        return None if self.fields is None else self.fields.get(name)


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
