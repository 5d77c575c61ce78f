"""How the kernels are compiled: the one place that imports numba.

``error_model="numpy"`` drops Python's checks for division by zero; ``fastmath`` stays off, since
it would let the compiler fuse a multiplication and an addition into one rounding, and QuPath's
pixels depend on each rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile ``function`` without the GIL; the machine code is kept on disk."""
    return cast(Function, numba.njit(cache=True, nogil=True, error_model="numpy")(function))
