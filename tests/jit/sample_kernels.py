"""A small library of kernels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qpmask import jit
from qpmask.jit import Library, kernel

LIBRARY = Library("sample", [__name__])


class Box(NamedTuple):
    values: jit.F64_1D
    scale: float
    twice: bool


@kernel
def scaled(value: float, box: Box) -> float:
    return value * box.scale * (2.0 if box.twice else 1.0)


@LIBRARY.entry
def multiply(box: Box, out: jit.F64_2D) -> None:
    for i in range(len(box.values)):
        for j in range(out.shape[1]):
            out[i, j] = scaled(box.values[i], box)


@LIBRARY.entry
def count(pixels: jit.PIXELS_2D, label: int) -> int:
    found = 0
    for row in pixels:
        for pixel in row:
            found += pixel == label
    return found


@LIBRARY.entry
def round_trip(values: jit.F64_1D) -> None:
    # Two roundings, unless the compiler makes one instruction of them.
    values[2] = values[0] * values[1] - values[3]


@LIBRARY.entry
def single(value: np.float32, out: jit.I64_1D) -> None:
    out[0] = np.int64(value * np.float32(8388608.0))
