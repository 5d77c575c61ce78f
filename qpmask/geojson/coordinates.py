"""Kernel: coordinates of geometries as the text of GeoJSON."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from qpmask import jit
from qpmask.geojson.library import LIBRARY
from qpmask.jit import kernel

U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]

_OPEN, _CLOSE, _COMMA, _POINT, _MINUS, _ZERO = 91, 93, 44, 46, 45, 48  # [ ] , . - 0
#: Bytes of a vertex and of what may stand around it, at most.
_ROOM: Final = 64


@LIBRARY.entry
def write_coordinates(
    type_: jit.U8_1D,
    parts: jit.I64_1D,
    rings: jit.I64_1D,
    vertices: jit.I64_1D,
    hundredths: jit.I64_2D,
    base: int,
    out: jit.U8_1D,
    end: jit.I64_1D,
) -> int:
    """Write what stands after ``"coordinates":`` of many geometries, one behind the other.

    Parameters
    ----------
    type_ : ndarray of uint8, shape (n,)
        Kinds of the geometries, as :class:`~qpmask.geojson.GeometryType`.
    parts, rings, vertices : ndarray of int64
        First part of each geometry (n + 1), first ring of each part, first vertex of each ring.
    hundredths : ndarray of int64, shape (n_vertices, 2)
        Coordinates in 1/100 pixel, below 10**17, of vertex ``base`` and those that follow.
    out : ndarray of uint8
        The text.
    end : ndarray of int64, shape (n,)
        Where that of each geometry ends.

    Returns
    -------
    int
        Bytes written, or -1 where there is not room for all.
    """
    n = 0
    for g in range(len(type_)):
        of_lines = type_[g] == 2 or type_[g] == 5
        of_areas = type_[g] == 3 or type_[g] == 6
        many = type_[g] == 5 or type_[g] == 6
        if n + _ROOM > len(out):
            return -1
        if many:
            out[n] = _OPEN
            n += 1
        for p in range(parts[g], parts[g + 1]):
            if n + _ROOM > len(out):
                return -1
            if p > parts[g]:
                out[n] = _COMMA
                n += 1
            if of_areas:
                out[n] = _OPEN
                n += 1
            for r in range(rings[p], rings[p + 1]):
                if n + _ROOM > len(out):
                    return -1
                if r > rings[p]:
                    out[n] = _COMMA
                    n += 1
                n = _ring(
                    hundredths, vertices[r] - base, vertices[r + 1] - base,
                    of_lines or of_areas or type_[g] == 4, out, n,
                )  # fmt: skip
                if n < 0:
                    return -1
            if of_areas:
                out[n] = _CLOSE
                n += 1
        if many:
            out[n] = _CLOSE
            n += 1
        end[g] = n
    return n


@kernel
def _ring(hundredths: I64, first: int, stop: int, in_array: bool, out: U8, n: int) -> int:
    """Write vertices; the bytes then written, or -1."""
    if in_array:
        out[n] = _OPEN
        n += 1
    for v in range(first, stop):
        if n + _ROOM > len(out):
            return -1
        if v > first:
            out[n] = _COMMA
            n += 1
        out[n] = _OPEN
        n = _number(hundredths[v, 0], out, n + 1)
        out[n] = _COMMA
        n = _number(hundredths[v, 1], out, n + 1)
        out[n] = _CLOSE
        n += 1
    if in_array:
        out[n] = _CLOSE
        n += 1
    return n


@kernel
def _number(hundredths: int, out: U8, n: int) -> int:
    """Write a number of hundredths with as many decimals as it needs."""
    if hundredths < 0:
        out[n] = _MINUS
        n += 1
        hundredths = -hundredths
    whole, rest = hundredths // 100, hundredths % 100
    digits = 1
    least = np.int64(10)
    while whole >= least and digits < 18:
        digits += 1
        least *= 10
    for i in range(digits):
        out[n + digits - 1 - i] = _ZERO + whole % 10
        whole //= 10
    n += digits
    if rest:
        out[n] = _POINT
        out[n + 1] = _ZERO + rest // 10
        n += 2
        if rest % 10:
            out[n] = _ZERO + rest % 10
            n += 1
    return n
