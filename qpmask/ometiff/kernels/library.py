"""The kernels that work on strips, compiled together, and the types of what they take."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask import jit

_MODULES = ("library", "levels", "lzwdecoder", "lzwencoder", "pixels")

LIBRARY = jit.Library(
    "strips",
    [f"{__package__}.{name}" for name in _MODULES]
    + ["qpmask.ometiff.runs", "qpmask.ometiff.strips"],
)


I64 = NDArray[np.int64]
I32 = NDArray[np.int32]
U8 = NDArray[np.uint8]
U16 = NDArray[np.uint16]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]
Pixels = NDArray[Any]
