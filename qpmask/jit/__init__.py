"""How kernels are declared, made, shipped, loaded and called.

**Declared.** A kernel is a Python function on numbers and arrays. :func:`kernel` marks those that
other kernels call, :meth:`Library.entry` those that Python calls. Annotations of the latter are the
types of their arguments: numbers, arrays (``I64_2D``, see :mod:`.arguments`), named tuples whose
fields are annotated alike. A :class:`Library` (:mod:`.library`) is made and loaded as a whole.
Kernels allocate nothing and raise nothing: they work in arrays that the caller brings, and say by a
number what they found. They count no index from the end: compiled, an index is taken as it is
(:mod:`.build`). Called as plain Python (``Entry.function``) they have NumPy's index checks.

**Made**, by a developer: ``python -m qpmask.jit.build`` has Numba compile each library for a plain
processor, optimises all of it as one, and writes LLVM bitcode to ``jit/shipped/``, together with a
hash of the sources. A test holds the two to one another: whoever changes a kernel runs the command.

**Loaded**, by a user (:mod:`.machinecode`): llvmlite turns the bitcode into machine code for the
processor at hand. That takes about two seconds, once: the machine code is kept in the user's cache
folder, and later processes load it in some 20 ms. Nobody needs Numba for that. Where the sources
are not those of the bitcode (someone is changing a kernel), Numba makes the bitcode on the spot, in
a process of its own, if it is installed.

**Called**: all arguments become one array of 64-bit words, an array its address and its shape. A
kernel cannot check an address, so types, dimensions and layout are checked before the call (once
for many calls: :func:`bound`). Columns that a kernel fills and that grow are in :mod:`.growing`.
"""

from qpmask.jit.arguments import (
    CANVAS_2D,
    CANVAS_TYPES,
    F32_2D,
    F64_1D,
    F64_2D,
    I32_1D,
    I32_2D,
    I32_3D,
    I64_1D,
    I64_2D,
    PIXELS_1D,
    PIXELS_2D,
    U8_1D,
    U8_2D,
    U16_2D,
    U32_1D,
    U64_1D,
    U64_2D,
    packed,
)
from qpmask.jit.library import Library, bound, kernel

__all__ = [
    "CANVAS_2D",
    "CANVAS_TYPES",
    "F32_2D",
    "F64_1D",
    "F64_2D",
    "I32_1D",
    "I32_2D",
    "I32_3D",
    "I64_1D",
    "I64_2D",
    "PIXELS_1D",
    "PIXELS_2D",
    "U8_1D",
    "U8_2D",
    "U16_2D",
    "U32_1D",
    "U64_1D",
    "U64_2D",
    "Library",
    "bound",
    "kernel",
    "packed",
]
