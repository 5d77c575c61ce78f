"""Kernel: which geometries are right as they are, by arithmetic alone."""

from __future__ import annotations

from typing import Final

from qpmask.geojson.library import LIBRARY
from qpmask.geojson.scanrecord import F64
from qpmask.jit import F64_2D, I64_1D, U8_1D, kernel

RIGHT: Final = 0
SUSPECT: Final = 1
WRONG: Final = 2
#: Coordinates that no image of QuPath can have.
FARTHEST_PX0: Final = 2.0**31
_LINE, _POLYGON, _MULTI_LINE, _MULTI_POLYGON = 2, 3, 5, 6


@LIBRARY.entry
def check_geometries(
    type_: U8_1D, parts: I64_1D, rings: I64_1D, vertices: I64_1D, xy: F64_2D, state: U8_1D
) -> None:
    """Look at all geometries.

    Parameters
    ----------
    type_, parts, rings, vertices, xy
        As :class:`~qpmask.geojson.Geometries` has them.
    state : ndarray of uint8, shape (n,)
        Filled: RIGHT; SUSPECT, an area that GEOS has to look at; WRONG, what must be mended or
        left out: a ring that is open or of fewer than three points, a line of one point, a
        coordinate that is no number or beyond any image.
    """
    for g in range(len(type_)):
        kind = type_[g]
        is_area = kind in (_POLYGON, _MULTI_POLYGON)
        is_line = kind in (_LINE, _MULTI_LINE)
        found = RIGHT
        first, end = rings[parts[g]], rings[parts[g + 1]]
        for r in range(first, end):
            a, b = vertices[r], vertices[r + 1]
            for v in range(a, b):
                # Neither is true of NaN.
                if not (abs(xy[v, 0]) < FARTHEST_PX0 and abs(xy[v, 1]) < FARTHEST_PX0):
                    found = WRONG
            if is_line and b - a < 2:
                found = WRONG
            if is_area and (b - a < 4 or xy[a, 0] != xy[b - 1, 0] or xy[a, 1] != xy[b - 1, 1]):
                found = WRONG
        if (
            found == RIGHT
            and is_area
            and end > first
            and (end - first > 1 or not turns_once(xy, vertices[first], vertices[first + 1]))
        ):
            found = SUSPECT
        state[g] = found


@kernel
def turns_once(xy: F64, a: int, b: int) -> bool:
    """Whether a closed ring goes around its middle once, without ever turning back."""
    x_middle = y_middle = 0.0
    for v in range(a, b - 1):
        x_middle += xy[v, 0]
        y_middle += xy[v, 1]
    x_middle /= b - 1 - a
    y_middle /= b - 1 - a
    n_left = n_right = n_up = n_down = 0
    x, y = xy[a, 0] - x_middle, xy[a, 1] - y_middle
    for v in range(a + 1, b):
        x2, y2 = xy[v, 0] - x_middle, xy[v, 1] - y_middle
        cross = x * y2 - x2 * y
        n_left += cross > 0
        n_right += cross < 0
        n_up += (y < 0) & (y2 >= 0)
        n_down += (y >= 0) & (y2 < 0)
        x, y = x2, y2
    turns = b - 1 - a
    return (n_left == turns or n_right == turns) and n_up == 1 and n_down == 1
