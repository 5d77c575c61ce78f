"""Types of the arguments of kernels, read off their annotations; how values become words.

A kernel gets all its arguments in one array of int64: a number is a word (a float its bits), an
array is its address and its shape, a record is its fields one behind the other. A kernel cannot
check what lies behind an address, so types, dimensions and layout are checked here.
"""

from __future__ import annotations

import ctypes
import functools
import struct
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypeVar, cast, get_type_hints

import numpy as np
from numpy.typing import NDArray

Value = TypeVar("Value")

_ANYWHERE = ctypes.c_char * 0

PIXEL_TYPES = tuple(map(np.dtype, (np.uint8, np.uint16, np.uint32)))
"""A kernel that takes pixels is compiled for each of these."""

CANVAS_TYPES = tuple(map(np.dtype, (np.uint8, np.uint32)))
"""A kernel that takes a canvas is compiled for these: what draws is long, and compiles slowly."""


class Argument(Protocol):
    """Type of an argument."""

    def put(self, value: Any, words: list[int]) -> None:
        """Append the words of a value; TypeError if it is of another type."""

    def source(self, at: int, pixels: str) -> tuple[str, int]:
        """Python source that makes the value from ``words[at]`` and on; where the next one starts.

        ``pixels`` is the name of the pixel type that the kernel is compiled for.
        """

    def pixel_types(self) -> tuple[np.dtype[Any], ...]:
        """Types that arrays of pixels in it may have; none where there are no such arrays."""


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

    def pixel_types(self) -> tuple[np.dtype[Any], ...]:
        """None: it is a number."""
        return ()


@dataclass(frozen=True)
class Array:
    """A C-contiguous array of one type; an array of pixels has several that it may be of."""

    dtypes: tuple[np.dtype[Any], ...]
    ndim: int

    def put(self, value: Any, words: list[int]) -> None:
        """Append its words."""
        if not (
            value.dtype in self.dtypes and value.ndim == self.ndim and value.flags.c_contiguous
        ):
            raise TypeError(
                f"expected a contiguous array of {' or '.join(map(str, self.dtypes))} with "
                f"{self.ndim} dimensions, not {value.dtype} {value.shape}"
            )
        words.append(_address(value))
        words += value.shape

    def source(self, at: int, pixels: str) -> tuple[str, int]:
        """How it is made of words."""
        shape = "".join(f"words[{at + 1 + i}], " for i in range(self.ndim))
        name = pixels if self.pixel_types() else self.dtypes[0].name
        return f"carray(pointer(words[{at}], {name}), ({shape}))", at + 1 + self.ndim

    def pixel_types(self) -> tuple[np.dtype[Any], ...]:
        """All its types, if they are several."""
        return self.dtypes if len(self.dtypes) > 1 else ()


class Record:
    """A named tuple, whose fields are annotated as arguments are."""

    def __init__(self, cls: type[Any]) -> None:
        self.cls = cls
        self.fields = types_of(cls)

    def put(self, value: Any, words: list[int]) -> None:
        """Append its words."""
        if type(value) is Packed:
            if value.cls is not self.cls:
                raise TypeError(f"expected {self.cls.__name__}, not {value.cls.__name__}")
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

    def pixel_types(self) -> tuple[np.dtype[Any], ...]:
        """None: pixels are arguments of their own."""
        return ()


class Packed:
    """The words of a record, and the arrays that they point to."""

    def __init__(self, value: Any) -> None:
        self.cls = type(value)
        self.value = value  # keeps the arrays alive
        self.words: list[int] = []
        kind: Any = self.cls
        _argument(kind).put(value, self.words)


def packed(value: Value) -> Value:
    """A record that many calls take, made into words once; its fields cannot be read."""
    return cast(Value, Packed(value))


def types_of(annotated: Any) -> tuple[Argument, ...]:
    """Types of the arguments of a function or of the fields of a named tuple, by its annotations.

    Raises
    ------
    TypeError
        An annotation is no number, no array with a type of this module and no named tuple.
    """
    hints = get_type_hints(annotated, include_extras=True)
    hints.pop("return", None)
    return tuple(map(_argument, hints.values()))


@functools.cache
def _argument(hint: Any) -> Argument:
    if hint in _NUMBERS:
        return Number(_NUMBERS[hint])
    if isinstance(hint, type) and issubclass(hint, tuple) and hasattr(hint, "_fields"):
        return Record(hint)
    for said in getattr(hint, "__metadata__", ()):
        if isinstance(said, Array):
            return said
    raise TypeError(f"a kernel cannot take {hint!r}")


def _address(array: Any) -> int:
    try:
        # A quarter of the time that __array_interface__ takes.
        return ctypes.addressof(_ANYWHERE.from_buffer(array))
    except TypeError:  # an array that may not be written to
        address: int = array.__array_interface__["data"][0]
        return address


def _whole(value: Any) -> int:
    if not isinstance(value, (int, np.integer)):
        raise TypeError(f"expected a whole number, not {value!r}")
    return int(value)


def _array(dtype: type[Any], ndim: int) -> Array:
    return Array((np.dtype(dtype),), ndim)


_NUMBERS: dict[Any, str] = {int: "int", float: "float", np.float32: "float32", bool: "bool"}

U8_1D = Annotated[NDArray[np.uint8], _array(np.uint8, 1)]
U8_2D = Annotated[NDArray[np.uint8], _array(np.uint8, 2)]
U16_2D = Annotated[NDArray[np.uint16], _array(np.uint16, 2)]
U32_1D = Annotated[NDArray[np.uint32], _array(np.uint32, 1)]
I32_1D = Annotated[NDArray[np.int32], _array(np.int32, 1)]
I64_1D = Annotated[NDArray[np.int64], _array(np.int64, 1)]
I32_2D = Annotated[NDArray[np.int32], _array(np.int32, 2)]
I32_3D = Annotated[NDArray[np.int32], _array(np.int32, 3)]
I64_2D = Annotated[NDArray[np.int64], _array(np.int64, 2)]
U64_1D = Annotated[NDArray[np.uint64], _array(np.uint64, 1)]
U64_2D = Annotated[NDArray[np.uint64], _array(np.uint64, 2)]
F32_2D = Annotated[NDArray[np.float32], _array(np.float32, 2)]
F64_1D = Annotated[NDArray[np.float64], _array(np.float64, 1)]
F64_2D = Annotated[NDArray[np.float64], _array(np.float64, 2)]
PIXELS_1D = Annotated[NDArray[Any], Array(PIXEL_TYPES, 1)]
PIXELS_2D = Annotated[NDArray[Any], Array(PIXEL_TYPES, 2)]
CANVAS_2D = Annotated[NDArray[Any], Array(CANVAS_TYPES, 2)]
