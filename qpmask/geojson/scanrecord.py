"""What the scan of GeoJSON works in."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qpmask import jit

U8 = NDArray[np.uint8]
U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

# What the entries of Scan.counts are.
FEATURES: Final = 0
GEOMETRIES: Final = 1
PARTS: Final = 2
RINGS: Final = 3
VERTICES: Final = 4
VALUES: Final = 5  # numbers of measurements
IDS: Final = 6
NAMES: Final = 7
HARD: Final = 8  # numbers that Python has to read
SKELETONS: Final = 9
ARENA: Final = 10  # bytes of skeletons
STATUS: Final = 11
N_COUNTS: Final = 12

# Why a scan ended.
MORE: Final = 0  # the next feature reaches beyond the window
END: Final = 1  # behind the bracket that closes the list
DAMAGED: Final = 2  # what is there is no list of features

# Bytes in a skeleton for what was cut out; none of them can stand in JSON.
CUT_GEOMETRY: Final = 1
CUT_VALUE: Final = 2
CUT_ID: Final = 3
CUT_NAME: Final = 4

# Words that the scan knows; the rest of a feature it does not look at.
WORDS: Final = (
    "coordinates", "geometries", "geometry", "nucleusGeometry", "id", "properties",
    "measurements", "name", "childObjects", "children",
    # what the reader looks at, as it stands
    "type", "objectType", "object_type", "classification", "plane", "color", "isLocked",
    "isMissing", "metadata",
)  # fmt: skip
W_COORDINATES: Final = 0
W_GEOMETRIES: Final = 1
W_GEOMETRY: Final = 2
W_NUCLEUS: Final = 3
W_ID: Final = 4
W_PROPERTIES: Final = 5
W_MEASUREMENTS: Final = 6
W_NAME: Final = 7
W_CHILD_OBJECTS: Final = 8
W_CHILDREN: Final = 9

#: Powers of ten that numbers may have and be read here.
MOST_TEN: Final = 60


class Scan(NamedTuple):
    """What a scan of a list of features fills.

    Attributes
    ----------
    counts : ndarray of int64
        Numbers, at the places named above.
    features : ndarray of int64, shape (n, 7)
        Of each feature: where it begins and ends; its skeleton, -1 where it must be read as JSON;
        its first geometry, number, id and name.
    geometries : ndarray of int64, shape (n, 2)
        How deep the coordinates are nested (1 for a point, 4 for many polygons), and where the
        parts end.
    parts, rings : ndarray of int64
        Where the rings of each part, and the vertices of each ring, end.
    xy : ndarray of float64, shape (2 n,)
        Vertices: x, y, x, y and so on.
    values : ndarray of float64
        Numbers of measurements.
    ids : ndarray of uint8, shape (n, 36)
        UUIDs in lower case.
    names : ndarray of int64, shape (n, 2)
        Where names begin and end.
    hard : ndarray of int64, shape (n, 3)
        Numbers to be read by Python: their place in ``xy``, or ``~`` that in ``values``, and where
        they begin and end.
    arena : ndarray of uint8
        Skeletons: features without what was cut out.
    skeletons : ndarray of int64
        Where each skeleton ends in the arena.
    table : ndarray of int64, shape (power of two, 2)
        Skeletons by hash: the hash, and the number plus 1; 0 where nothing is.
    words, word_ends : ndarray of uint8, ndarray of int64
        The words above, and one more that is to be kept.
    powers : ndarray of uint64, shape (n, 2)
        Powers of ten from -MOST_TEN on: their first 128 bits.
    tens, twos : ndarray of float64
        10**0 to 10**22; 2**-400 to 2**400.
    """

    counts: jit.I64_1D
    features: jit.I64_2D
    geometries: jit.I64_2D
    parts: jit.I64_1D
    rings: jit.I64_1D
    xy: jit.F64_1D
    values: jit.F64_1D
    ids: jit.U8_2D
    names: jit.I64_2D
    hard: jit.I64_2D
    arena: jit.U8_1D
    skeletons: jit.I64_1D
    table: jit.I64_2D
    words: jit.U8_1D
    word_ends: jit.I64_1D
    powers: jit.U64_2D
    tens: jit.F64_1D
    twos: jit.F64_1D


def powers_of_ten() -> tuple[U64, F64, F64]:
    """The tables ``powers``, ``tens`` and ``twos`` of a :class:`Scan`."""
    rows = []
    for q in range(-MOST_TEN, MOST_TEN + 1):
        if q >= 0:
            power = 10**q
            shift = power.bit_length() - 128
            bits = power >> shift if shift > 0 else power << -shift
        else:
            power = 10**-q
            # Rounded up where the product of that and 64 bits is then exact to its last bit.
            bits = (1 << power.bit_length() + 127) // power + (q >= -27)
        rows.append((bits >> 64, bits & (1 << 64) - 1))
    tens = np.array([10.0**k for k in range(23)])
    return np.array(rows, np.uint64), tens, np.ldexp(1.0, np.arange(-400, 401))
