"""Kernel: geometries as the text of GeoJSON."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qpmask import jit
from qpmask.geojson.numbers import LEAST, put_double, put_hundredths
from qpmask.jit import kernel

U8 = NDArray[np.uint8]

_OPEN, _CLOSE, _COMMA = 91, 93, 44  # [ ] ,
NO_ROOM, NO_NUMBER = -1, -2
"""Instead of a place: there is not room for all; a coordinate is no number, or too large."""
ROOM = 64
"""Bytes of a vertex and of what may stand around it, at most."""
LARGEST = 1e15
"""A coordinate, in pixels."""
TINY_BYTES = 24
"""Of the text of a double, at most."""


class Shapes(NamedTuple):
    """As :class:`~qpmask.geojson.Geometries`; ``xy_px0`` begins with vertex ``base``.

    For all digits of the coordinates ``bits`` are theirs, else there are none; ``tiny`` are those
    below ``LEAST``, sorted, with their texts, and ``fives`` and ``tens`` powers: see
    :mod:`.numbers`.
    """

    type: jit.U8_1D
    parts: jit.I64_1D
    rings: jit.I64_1D
    vertices: jit.I64_1D
    xy_px0: jit.F64_2D
    base: int
    bits: jit.I64_2D
    tiny: jit.F64_1D
    tiny_text: jit.U8_2D
    fives: jit.I64_1D
    tens: jit.F64_1D


@kernel
def put_coordinates(shapes: Shapes, g: int, out: U8, n: int) -> int:
    """Write what stands after ``"coordinates":`` of a geometry."""
    type_ = shapes.type[g]
    of_areas = type_ == 3 or type_ == 6
    in_array = of_areas or type_ == 2 or type_ == 4 or type_ == 5
    many = type_ == 5 or type_ == 6
    if n + ROOM > len(out):
        return NO_ROOM
    if many:
        out[n] = _OPEN
        n += 1
    for p in range(shapes.parts[g], shapes.parts[g + 1]):
        if n + ROOM > len(out):
            return NO_ROOM
        if p > shapes.parts[g]:
            out[n] = _COMMA
            n += 1
        if of_areas:
            out[n] = _OPEN
            n += 1
        for r in range(shapes.rings[p], shapes.rings[p + 1]):
            if n + ROOM > len(out):
                return NO_ROOM
            if r > shapes.rings[p]:
                out[n] = _COMMA
                n += 1
            n = _ring(shapes, r, in_array, out, n)
            if n < 0:
                return n
        if of_areas:
            out[n] = _CLOSE
            n += 1
    if many:
        out[n] = _CLOSE
        n += 1
    return n


@kernel
def _ring(shapes: Shapes, ring: int, in_array: bool, out: U8, n: int) -> int:
    first, stop = shapes.vertices[ring] - shapes.base, shapes.vertices[ring + 1] - shapes.base
    if in_array:
        out[n] = _OPEN
        n += 1
    for v in range(first, stop):
        if n + ROOM > len(out):
            return NO_ROOM
        x, y = shapes.xy_px0[v, 0], shapes.xy_px0[v, 1]
        if not (abs(x) < LARGEST and abs(y) < LARGEST):
            return NO_NUMBER
        if v > first:
            out[n] = _COMMA
            n += 1
        out[n] = _OPEN
        n = _put_coordinate(shapes, v, 0, out, n + 1)
        out[n] = _COMMA
        n = _put_coordinate(shapes, v, 1, out, n + 1)
        out[n] = _CLOSE
        n += 1
    if in_array:
        out[n] = _CLOSE
        n += 1
    return n


@kernel
def _put_coordinate(shapes: Shapes, v: int, axis: int, out: U8, n: int) -> int:
    value = shapes.xy_px0[v, axis]
    if len(shapes.bits) == 0:
        return put_hundredths(_rounded(value * 100), out, n)
    if value == np.floor(value):
        return put_hundredths(100 * np.int64(value), out, n)
    if abs(value) >= LEAST:
        return put_double(value, shapes.bits[v, axis], shapes.fives, shapes.tens, out, n)
    i, end = 0, len(shapes.tiny)
    while i + 1 < end:
        middle = (i + end) // 2
        if shapes.tiny[middle] <= value:
            i = middle
        else:
            end = middle
    for j in range(TINY_BYTES):
        if shapes.tiny_text[i, j] != 0:
            out[n] = shapes.tiny_text[i, j]
            n += 1
    return n


@kernel
def _rounded(value: float) -> int:
    """The nearest whole number, the even one of two, as Java's NumberFormat rounds."""
    whole = np.floor(value)
    number = np.int64(whole)
    rest = value - whole
    if rest > 0.5 or (rest == 0.5 and number & 1):
        number += 1
    nearest: int = number
    return nearest
