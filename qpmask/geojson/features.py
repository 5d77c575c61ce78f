"""Kernel: objects as the text of GeoJSON, many at a time, of columns and texts that were made."""

from __future__ import annotations

from typing import NamedTuple

from qpmask import jit
from qpmask.geojson.coordinates import NO_ROOM, ROOM, Shapes, put_coordinates
from qpmask.geojson.library import LIBRARY
from qpmask.geojson.numbers import LEAST, MOST, put_double
from qpmask.jit import kernel

U8 = jit.U8_1D
I32 = jit.I32_1D
I64 = jit.I64_1D
F64 = jit.F64_1D

START, GEOMETRY, NO_GEOMETRY, NUCLEUS, CLOSE, COMMA, ID, END = range(8)
"""Texts that stand in each object, by their numbers."""
MEASURED, MEASURED_END, MEASURE_END = range(8, 11)
COORDINATES = 11
"""The first of those that begin a geometry, one for each type but none."""
N_FIXED = 18
NONE = -1

_ID_BYTES, _QUOTE = 36, 34


class Texts(NamedTuple):
    """Texts, each from ``offsets[i]`` to ``offsets[i + 1]``."""

    text: U8
    offsets: I64


class Objects(NamedTuple):
    """Some objects.

    Attributes
    ----------
    ids : uint8 array (36 n,)
    geometry, nucleus : int64 array (n,)
        Numbers of geometries, -1 for none.
    geometry_more, nucleus_more, properties, name, last : int32 array (n,)
        Texts: what a geometry has beside its coordinates; the properties up to the name; name;
        metadata. -1 for none.
    offsets : int64 array (n + 1,)
        First measurement of each.
    measured : int32 array
        The text before each measurement.
    values, bits : float64 and int64 array
        The measurements.
    odd : int32 array
        Texts of the measurements that are no numbers as most are, one after the other; -1 for one
        that is left out.
    """

    ids: U8
    geometry: I64
    nucleus: I64
    geometry_more: I32
    nucleus_more: I32
    properties: I32
    name: I32
    last: I32
    offsets: I64
    measured: I32
    values: F64
    bits: I64
    odd: I32


@kernel
def _put(texts: Texts, number: int, out: U8, n: int) -> int:
    """Write a text, or nothing for -1; nothing either if there was no room before."""
    if number < 0 or n < 0:
        return n
    first, end = texts.offsets[number], texts.offsets[number + 1]
    if n + end - first + ROOM > len(out):
        return NO_ROOM
    for i in range(end - first):
        out[n + i] = texts.text[first + i]
    n += end - first
    return n


@kernel
def _put_geometry(texts: Texts, shapes: Shapes, g: int, more: int, out: U8, n: int) -> int:
    n = _put(texts, COORDINATES + shapes.type[g], out, n)
    if n >= 0:
        n = put_coordinates(shapes, g, out, n)
    n = _put(texts, more, out, n)
    return _put(texts, CLOSE, out, n)


@kernel
def _put_measurements(
    texts: Texts, objects: Objects, i: int, fives: I64, tens: F64, odd: I64, out: U8, n: int
) -> int:
    """Write the measurements of an object; ``odd[0]`` of the odd ones were written before."""
    is_first = True
    n = _put(texts, MEASURED, out, n)
    for m in range(objects.offsets[i], objects.offsets[i + 1]):
        value = objects.values[m]
        is_plain = value == 0.0 or LEAST <= abs(value) < MOST
        text = NONE
        if not is_plain:
            text = objects.odd[odd[0]]
            odd[0] += 1
            if text < 0:
                continue
        if not is_first:
            n = _put(texts, COMMA, out, n)
        is_first = False
        n = _put(texts, objects.measured[m], out, n)
        if is_plain and n >= 0:
            n = put_double(value, objects.bits[m], fives, tens, out, n)
        n = _put(texts, text, out, n)
        n = _put(texts, MEASURE_END, out, n)
    return _put(texts, MEASURED_END, out, n)


@LIBRARY.entry
def write_features(
    texts: Texts, objects: Objects, shapes: Shapes, fives: I64, tens: F64, odd: I64, out: U8,
    end: I64,
) -> int:  # fmt: skip
    """Write objects one behind the other.

    Parameters
    ----------
    texts, objects, shapes
        What is written.
    fives, tens
        Powers, see :mod:`.numbers`.
    odd : ndarray of int64, shape (1,)
        Room for a count.
    out : ndarray of uint8
        The text.
    end : ndarray of int64, shape (n,)
        Where each ends, but for the text ``END``, which follows.

    Returns
    -------
    int
        Bytes written, ``NO_ROOM`` or ``NO_NUMBER``.
    """
    n = 0
    odd[0] = 0
    for i in range(len(objects.geometry)):
        n = _put(texts, START, out, n)
        if n >= 0 and objects.ids[_ID_BYTES * i] != 0:
            n = _put(texts, ID, out, n)
            if n >= 0:
                for j in range(_ID_BYTES):
                    out[n + j] = objects.ids[_ID_BYTES * i + j]
                out[n + _ID_BYTES] = _QUOTE
                n += _ID_BYTES + 1
        n = _put(texts, GEOMETRY, out, n)
        g = objects.geometry[i]
        if g >= 0 and n >= 0:
            n = _put_geometry(texts, shapes, g, objects.geometry_more[i], out, n)
        else:
            n = _put(texts, NO_GEOMETRY, out, n)
        g = objects.nucleus[i]
        if g >= 0 and n >= 0:
            n = _put(texts, NUCLEUS, out, n)
            if n >= 0:
                n = _put_geometry(texts, shapes, g, objects.nucleus_more[i], out, n)
        n = _put(texts, objects.properties[i], out, n)
        n = _put(texts, objects.name[i], out, n)
        if n >= 0 and objects.offsets[i + 1] > objects.offsets[i]:
            n = _put_measurements(texts, objects, i, fives, tens, odd, out, n)
        n = _put(texts, objects.last[i], out, n)
        if n < 0:
            return n
        end[i] = n
        n = _put(texts, END, out, n)
    return n
