"""Polygons with fewer vertices, in which neighbours still share their borders.

Two regions that touch share every vertex of the border between them, those included at which a
third one begins. :func:`shapely.coverage_simplify` then takes vertices away from both at once
(Visvalingam-Whyatt), so that there are neither gaps nor overlaps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.common.ragged import items_at
from qpmask.engines.native.plane import Plane, PlaneOptions
from qpmask.engines.native.shapes import Shapes
from qpmask.errors import MissingExtraError
from qpmask.geometry import Size
from qpmask.imageobjects import Geometries, geometries

Ints = NDArray[np.int64]
_KEY = 1 << 31


def simplified(shapes: Geometries, tolerance_px: float) -> Geometries:
    """Simplify the polygons of one mask together.

    Parameters
    ----------
    shapes : Geometries
        As they were traced, in pixels of the mask.
    tolerance_px : float
        Vertices go whose triangle with their neighbours is smaller than the square of it.

    Raises
    ------
    MissingExtraError
        Shapely is older than 2.1 or lacks a GEOS that can do it.
    """
    import shapely

    if not hasattr(shapely, "coverage_simplify"):
        raise MissingExtraError(
            f"Shapely {shapely.__version__} cannot simplify polygons that share borders.",
            hint='pip install "shapely>=2.1"',
        )
    if not len(shapes):
        return shapes
    xy, offsets = _with_junctions(shapes.xy_px0.astype(np.int64), shapes.vertex_offsets)
    polygons = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON, xy.astype(np.float64), (offsets, shapes.ring_offsets)
    )
    made = shapely.coverage_simplify(polygons, tolerance_px)
    _, flat, (vertex_offsets, ring_offsets) = shapely.to_ragged_array(made)
    return geometries(
        shapes.type,
        shapes.part_offsets,
        ring_offsets.astype(np.int64),
        vertex_offsets.astype(np.int64),
        np.asarray(flat, np.float64),
    )


def _with_junctions(xy: Ints, offsets: Ints) -> tuple[Ints, Ints]:
    """Rings with every vertex of other rings that lies on their sides."""
    n = len(xy)
    end = np.zeros(n, np.bool_)
    end[offsets[1:] - 1] = True  # no side begins at the last vertex of a ring
    after = np.minimum(np.arange(n) + 1, n - 1)
    step = xy[after] - xy
    step[end] = 0
    first, last = np.zeros(n, np.int64), np.zeros(n, np.int64)
    tables: list[Ints] = []
    shift = 0
    for along in (0, 1):  # sides along x, then along y
        across = 1 - along
        table = np.unique(xy[:, across] * _KEY + xy[:, along])
        sides = np.flatnonzero(step[:, along])
        base = xy[sides, across] * _KEY
        low = np.minimum(xy[sides, along], xy[after[sides], along])
        high = np.maximum(xy[sides, along], xy[after[sides], along])
        first[sides] = np.searchsorted(table, base + low, "right") + shift
        last[sides] = np.searchsorted(table, base + high, "left") + shift
        points = np.empty((len(table), 2), np.int64)
        points[:, across], points[:, along] = np.divmod(table, _KEY)
        tables.append(points)
        shift += len(points)
    between = last - first
    back = step.sum(axis=1) < 0
    starts = np.concatenate([[0], np.cumsum(between + 1)])
    made = np.empty((int(starts[-1]), 2), np.int64)
    made[starts[:-1]] = xy
    owner = np.repeat(np.arange(n), between)
    k = items_at(0, between)
    source = np.where(back[owner], last[owner] - 1 - k, first[owner] + k)
    made[starts[owner] + 1 + k] = np.concatenate(tables)[source]
    return made, starts[offsets]


def changed_share(shapes: Geometries, labels: Ints, pixels: Any, size: Size) -> float:
    """Share of the pixels of a mask that have another label once its polygons are drawn.

    Parameters
    ----------
    shapes : Geometries
        Polygons in pixels of the mask.
    labels : ndarray of int64, shape (n,)
        Their labels.
    pixels : array-like, shape (height, width)
        The mask; it is read in parts.
    size : Size
        Its size.
    """
    rings = shapes.ring_offsets[shapes.part_offsets]
    drawn = Shapes.geometries(
        shapes.xy_px0, shapes.vertex_offsets, rings, labels, np.arange(len(labels))
    )
    plane = Plane(drawn, PlaneOptions(size, dtype="uint32"))
    grid = plane.tile_grid
    changed = 0
    for (row, col), tile in zip(grid, plane.tiles(), strict=True):
        height, width = grid.shape(row, col)
        y, x = row * grid.tile_px, col * grid.tile_px
        part = np.asarray(pixels[y : y + height, x : x + width]).astype(np.uint32)
        changed += int((part != tile).sum())
    return changed / size.area_px
