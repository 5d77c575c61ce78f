"""How kernels are compiled, kept and called.

A kernel is a Python function on numbers and arrays that Numba compiles. :func:`kernel` marks those
that other kernels call; :meth:`Library.entry` those that Python calls, with the types of their
arguments (:mod:`.arguments`). A :class:`Library` is compiled as a whole, once on a machine
(:mod:`.build`, the one place that imports Numba), and kept on disk as machine code
(:mod:`.store`). Later processes load that with llvmlite alone (:mod:`.library`), which takes a
tenth of the time and half of the memory that importing Numba takes.

Kernels allocate nothing and raise nothing: they work in arrays that the caller brings, and say by
a number what they found. That keeps Numba's runtime out of the machine code.
"""

from qpmask.jit.arguments import (
    BOOL,
    CANVAS_2D,
    CANVAS_TYPES,
    F32,
    F32_2D,
    F64,
    F64_1D,
    F64_2D,
    I32_1D,
    I64,
    I64_1D,
    I64_2D,
    PIXELS_1D,
    PIXELS_2D,
    U8_1D,
    U8_2D,
    U16_2D,
    U32_1D,
    U64_2D,
    Record,
    packed,
)
from qpmask.jit.library import KernelsUnavailableError, Library, kernel

__all__ = [
    "BOOL",
    "CANVAS_2D",
    "CANVAS_TYPES",
    "F32",
    "F32_2D",
    "F64",
    "F64_1D",
    "F64_2D",
    "I32_1D",
    "I64",
    "I64_1D",
    "I64_2D",
    "PIXELS_1D",
    "PIXELS_2D",
    "U8_1D",
    "U8_2D",
    "U16_2D",
    "U32_1D",
    "U64_2D",
    "KernelsUnavailableError",
    "Library",
    "Record",
    "kernel",
    "packed",
]
