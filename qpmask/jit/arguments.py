"""Types of the arguments of kernels, and how values become 64-bit words.

A kernel gets all its arguments in one array of int64: a number is a word (a float its bits), an
array is its address and its shape, a record is its fields one behind the other. A kernel cannot
check what lies behind an address, so types, dimensions and layout are checked here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast

import numpy as np

Value = TypeVar("Value")

PIXEL_TYPES = (np.dtype(np.uint8), np.dtype(np.uint16))
"""A kernel that takes pixels is compiled for each of these."""


class Argument(Protocol):
    """Type of an argument."""

    def put(self, value: Any, words: list[int]) -> None:
        """Append the words of a value; TypeError if it is of another type."""

    def source(self, at: int, pixels: str) -> tuple[str, int]:
        """Python source that makes the value from ``words[at]`` and on; where the next one starts.

        ``pixels`` is the name of the pixel type that the kernel is compiled for.
        """

    def has_pixels(self) -> bool:
        """Whether there are arrays of pixels in it."""


@dataclass(frozen=True)
class Number:
    """A number: ``int``, ``float``, ``float32`` or ``bool``."""

    kind: str

    def put(self, value: Any, words: list[int]) -> None:
        """Append its words."""
        if self.kind == "int":
            words.append(value if type(value) is int else _whole(value))
        elif self.kind == "bool":
            words.append(1 if value else 0)
        else:
            words.append(struct.unpack("<q", struct.pack("<d", value))[0])

    def source(self, at: int, pixels: str) -> tuple[str, int]:
        """How it is made of words."""
        word = {
            "int": f"words[{at}]",
            "bool": f"(words[{at}] != 0)",
            "float": f"floats[{at}]",
            "float32": f"np.float32(floats[{at}])",
        }[self.kind]
        return word, at + 1

    def has_pixels(self) -> bool:
        """Whether it is one of pixels."""
        return False


@dataclass(frozen=True)
class Array:
    """A C-contiguous array; ``dtype`` None stands for pixels."""

    dtype: np.dtype[Any] | None
    ndim: int

    def put(self, value: Any, words: list[int]) -> None:
        """Append its words."""
        if not (
            (value.dtype == self.dtype if self.dtype else value.dtype in PIXEL_TYPES)
            and value.ndim == self.ndim
            and value.flags.c_contiguous
        ):
            raise TypeError(
                f"expected a contiguous array of {self.dtype or 'uint8 or uint16'} with "
                f"{self.ndim} dimension(s), not {value.dtype} {value.shape}"
            )
        words.append(value.__array_interface__["data"][0])
        words += value.shape

    def source(self, at: int, pixels: str) -> tuple[str, int]:
        """How it is made of words."""
        shape = "".join(f"words[{at + 1 + i}], " for i in range(self.ndim))
        name = self.dtype.name if self.dtype else pixels
        return f"carray(pointer(words[{at}], {name}), ({shape}))", at + 1 + self.ndim

    def has_pixels(self) -> bool:
        """Whether it is one of pixels."""
        return self.dtype is None


class Record:
    """A named tuple with a type for each field."""

    def __init__(self, cls: type[Any], **fields: Argument) -> None:
        if tuple(fields) != cls._fields:
            raise TypeError(f"the fields of {cls.__name__} are {cls._fields}")
        self.cls = cls
        self.fields = tuple(fields.values())

    def put(self, value: Any, words: list[int]) -> None:
        """Append its words."""
        if type(value) is Packed:
            if value.type is not self:
                raise TypeError(f"expected {self.cls.__name__}, not {value.type.cls.__name__}")
            words += value.words
            return
        for field, item in zip(self.fields, value, strict=True):
            field.put(item, words)

    def source(self, at: int, pixels: str) -> tuple[str, int]:
        """How it is made of words."""
        parts = []
        for field in self.fields:
            part, at = field.source(at, pixels)
            parts.append(part)
        return f"{self.cls.__name__}({', '.join(parts)})", at

    def has_pixels(self) -> bool:
        """Whether it is one of pixels."""
        return any(field.has_pixels() for field in self.fields)


class Packed:
    """The words of a record, and the arrays that they point to."""

    def __init__(self, type: Record, value: Any) -> None:
        self.type = type
        self.value = value  # keeps the arrays alive
        self.words: list[int] = []
        type.put(value, self.words)


def packed(type: Record, value: Value) -> Value:
    """A record that many calls take, made into words once; its fields cannot be read."""
    return cast(Value, Packed(type, value))


def _whole(value: Any) -> int:
    if not isinstance(value, (int, np.integer)):
        raise TypeError(f"expected a whole number, not {value!r}")
    return int(value)


def _array(dtype: type[Any] | None, ndim: int) -> Array:
    return Array(np.dtype(dtype) if dtype else None, ndim)


I64 = Number("int")
F64 = Number("float")
F32 = Number("float32")
BOOL = Number("bool")
U8_1D, U8_2D = _array(np.uint8, 1), _array(np.uint8, 2)
U16_1D, U16_2D = _array(np.uint16, 1), _array(np.uint16, 2)
I32_1D = _array(np.int32, 1)
I64_1D, I64_2D = _array(np.int64, 1), _array(np.int64, 2)
U64_2D = _array(np.uint64, 2)
F32_2D = _array(np.float32, 2)
F64_1D, F64_2D = _array(np.float64, 1), _array(np.float64, 2)
PIXELS_1D, PIXELS_2D = _array(None, 1), _array(None, 2)
