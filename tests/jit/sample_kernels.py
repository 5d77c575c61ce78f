"""A small library of kernels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qpmask import jit
from qpmask.jit import Library, kernel

LIBRARY = Library("sample", [__name__])


class Box(NamedTuple):
    values: np.ndarray
    scale: float
    twice: bool


BOX = jit.Record(Box, values=jit.F64_1D, scale=jit.F64, twice=jit.BOOL)


@kernel
def scaled(value: float, box: Box) -> float:
    return value * box.scale * (2.0 if box.twice else 1.0)


@LIBRARY.entry(BOX, jit.F64_2D)
def multiply(box: Box, out: np.ndarray) -> None:
    for i in range(len(box.values)):
        for j in range(out.shape[1]):
            out[i, j] = scaled(box.values[i], box)


@LIBRARY.entry(jit.PIXELS_2D, jit.I64)
def count(pixels: np.ndarray, label: int) -> int:
    found = 0
    for row in pixels:
        for pixel in row:
            found += pixel == label
    return found


@LIBRARY.entry(jit.F64_1D)
def round_trip(values: np.ndarray) -> None:
    # Two roundings, unless the compiler makes one instruction of them.
    values[2] = values[0] * values[1] - values[3]


@LIBRARY.entry(jit.F32, jit.I64_1D)
def single(value: float, out: np.ndarray) -> None:
    out[0] = np.int64(value * np.float32(8388608.0))
