"""How the kernels are compiled: the one place that imports numba.

``error_model="numpy"`` drops Python's checks for division by zero; ``fastmath`` stays off, since
it would let the compiler fuse a multiplication and an addition into one rounding, and QuPath's
pixels depend on each rounding.

Machine code is kept on disk. It is compiled again when a kernel's own file changes, but not when
only the file of a kernel that it calls does: after an edit, remove ``__pycache__``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile ``function``; it runs without the interpreter's lock."""
    try:
        compiled = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # Numba found no folder that it may keep compiled code in
        compiled = numba.njit(nogil=True, error_model="numpy")(function)
    return cast(Function, compiled)
