"""Drawings made by hand, with the pixels that they give: one character a pixel, ``.`` for 0.

Each is checked against the native renderer and, where there is a QuPath, against QuPath.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from native.native_judge import Drawing

from qpmask.engines.native.plane import PlaneOptions
from qpmask.engines.native.shapes import Kind
from qpmask.geometry import Size


@dataclass(frozen=True)
class Case:
    """A name that says the rule, what is drawn, and the whole mask."""

    name: str
    drawings: tuple[Drawing, ...]
    mask: tuple[str, ...]
    options: dict[str, Any] | None = None
    order: tuple[int, ...] | None = None

    @property
    def expected(self) -> np.ndarray:
        """The mask as an array."""
        rows = [[0 if c == "." else int(c) for c in line] for line in self.mask]
        return np.array(rows, np.int32)

    @property
    def plane_options(self) -> PlaneOptions:
        """Options for a mask of this size, in one tile unless the case says otherwise."""
        options = dict(self.options or {})
        downsample = options.get("downsample", 1.0)
        height, width = self.expected.shape
        size = Size(int(np.ceil(width * downsample)), int(np.ceil(height * downsample)))
        options.setdefault("tile_px", 16)
        return PlaneOptions(size, n_threads=1, **options)


def polygon(label: int, *xy: tuple[float, float]) -> Drawing:
    """A PolygonROI."""
    return Drawing(Kind.POLYGON, label, xy)


CASES = (
    Case(
        "thin: a pixel is drawn if its top left corner is inside, left and top edges included",
        (polygon(1, (1, 1), (5, 1), (5, 4), (1, 4)),),
        (
            ".......",
            ".1111..",
            ".1111..",
            ".1111..",
            ".......",
        ),
    ),
    Case(
        "thin: half a pixel further, the corners inside are those one to the right and below",
        (polygon(1, (1.5, 1.5), (5.5, 1.5), (5.5, 4.5), (1.5, 4.5)),),
        (
            ".......",
            ".......",
            "..1111.",
            "..1111.",
            "..1111.",
        ),
    ),
    Case(
        "thin: 1/1024 pixel is the finest step, and less is cut off toward zero",
        (polygon(1, (1.0009, 1), (4.0009, 1), (4.0009, 3), (1.0009, 3)),),
        (
            "......",
            ".111..",
            ".111..",
            "......",
        ),
    ),
    Case(
        "thin: a triangle",
        (polygon(1, (0, 0), (6, 0), (0, 6)),),
        (
            "111111.",
            "11111..",
            "1111...",
            "111....",
            "11.....",
            "1......",
            ".......",
        ),
    ),
    Case(
        "thin: a self-crossing polygon is filled where its winding number is not 0",
        (polygon(1, (1, 1), (6, 1), (6, 6), (3, 6), (3, 3), (8, 3), (8, 5), (1, 5)),),
        (
            ".........",
            ".11111...",
            ".11111...",
            ".1111111.",
            ".1111111.",
            "...111...",
        ),
    ),
    Case(
        "thin: a geometry is even-odd, so its hole is empty",
        (
            Drawing(
                Kind.GEOMETRY,
                1,
                [[[(1, 1), (7, 1), (7, 6), (1, 6)], [(3, 3), (5, 3), (5, 5), (3, 5)]]],
            ),
        ),
        (
            "........",
            ".111111.",
            ".111111.",
            ".11..11.",
            ".11..11.",
            ".111111.",
        ),
    ),
    Case(
        "geometry coordinates are rounded to 1/100 pixel before anything else",
        (Drawing(Kind.GEOMETRY, 1, [[[(1.004, 1), (3.006, 1), (3.006, 3), (1.004, 3)]]]),),
        (
            ".....",
            ".111.",
            ".111.",
        ),
    ),
    Case(
        "later labels in the order overwrite earlier ones, whatever their numbers",
        (
            polygon(2, (0, 0), (4, 0), (4, 3), (0, 3)),
            polygon(1, (2, 1), (6, 1), (6, 4), (2, 4)),
        ),
        (
            "2222..",
            "222211",
            "222211",
            "..1111",
        ),
        order=(1, 2),
    ),
    Case(
        "an object across tiles, outside the image on two sides",
        (polygon(3, (-5, -5), (6, -5), (6, 3), (-5, 3)),),
        (
            "333333..",
            "333333..",
            "333333..",
            "........",
        ),
        {"tile_px": 4},
    ),
    Case(
        "wide: at pixel centres, after moving vertices to floor(v + .25) + .25",
        (polygon(1, (1.7, 1.7), (5.8, 1.7), (5.8, 3.7), (1.7, 3.7)),),
        (
            ".......",
            ".11111.",
            ".11111.",
            ".......",
        ),
        {"line_thickness": 1.5},
    ),
    Case(
        "wide: 0.75 moves on to the next pixel",
        (polygon(1, (1.75, 1.75), (5.75, 1.75), (5.75, 3.75), (1.75, 3.75)),),
        (
            ".......",
            ".......",
            "..1111.",
            "..1111.",
        ),
        {"line_thickness": 1.5},
    ),
    Case(
        "rectangles: floor(v + .25) in both modes",
        (
            Drawing(Kind.RECTANGLE, 1, (0.7, 0.75, 2, 2)),
            Drawing(Kind.RECTANGLE, 2, (3.75, 0.7, 2.1, 2.1)),
        ),
        (
            "....22.",
            "11..22.",
            "11..22.",
            ".......",
        ),
    ),
    Case(
        "a small ellipse",
        (Drawing(Kind.ELLIPSE, 1, (1, 1, 5, 4)),),
        (
            ".......",
            ".......",
            "..1111.",
            ".11111.",
            "..1111.",
            ".......",
        ),
    ),
    Case(
        "points: truncated toward zero, also just left of the image",
        (Drawing(Kind.POINTS, 1, [(1.99, 0.5), (-0.9, 2.1), (3, 1), (9, 9)]),),
        (
            ".1..",
            "...1",
            "1...",
        ),
    ),
    Case(
        "a line: Bresenham between the pixels of its ends",
        (Drawing(Kind.LINE, 1, (0.9, 0.9, 5.1, 2.1)),),
        (
            "11....",
            "..11..",
            "....11",
        ),
    ),
    Case(
        "a polyline: to the nearest pixel",
        (Drawing(Kind.POLYLINE, 1, [(0.6, 0.4), (4.4, 0.4), (4.4, 2.6)]),),
        (
            ".1111.",
            "....1.",
            "....1.",
            "....1.",
        ),
    ),
    Case(
        "boundaries go on top of everything",
        (
            polygon(1, (0, 0), (4, 0), (4, 4), (0, 4)),
            Drawing(Kind.RECTANGLE, 2, (2, 2, 4, 3)),
        ),
        (
            "99999...",
            "91119...",
            "9199999.",
            "9192929.",
            "9999929.",
            "..99999.",
        ),
        {"boundary_label": 9},
    ),
    Case(
        "downsample 2: every other corner",
        (polygon(1, (1, 1), (9, 1), (9, 7), (1, 7)),),
        (
            ".....",
            ".1111",
            ".1111",
            ".1111",
            ".....",
        ),
        {"downsample": 2.0},
    ),
    Case(
        "an object of nothing",
        (polygon(1, (1, 1)), polygon(1, (1, 1), (3, 3)), Drawing(Kind.RECTANGLE, 1, (1, 1, 0, 2))),
        (
            "....",
            "....",
        ),
    ),
)
