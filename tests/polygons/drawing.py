"""Objects drawn as QuPath draws what it makes of GeoJSON, with the native engine."""

from __future__ import annotations

from typing import Any

import numpy as np

from qpmask.engines.native.plane import Plane, PlaneOptions
from qpmask.engines.native.shapes import Kind, Shapes
from qpmask.geometry import Size
from qpmask.imageobjects import GeometryType, ObjectTable


def drawn(
    table: ObjectTable, labels: Any, size: Size, *, tile_px: int = 512, downsample: float = 1
) -> np.ndarray:
    """The mask of objects with these labels; a later one lies upon an earlier one."""
    parts = [Shapes.empty()]
    geometries = table.geometries
    for i, label in enumerate(np.asarray(labels).tolist()):
        rings = [ring for part in geometries.rings(i) for ring in part]
        starts = np.cumsum([0, *(len(ring) for ring in rings)])
        xy = np.concatenate(rings)
        if geometries.type[i] == GeometryType.POLYGON and len(rings) == 1:
            corners = xy.min(0), xy.max(0)
            if len(xy) == 5 and len({tuple(p) for p in xy.tolist()}) == 4 and _upright(xy):
                parts.append(
                    Shapes.boxes(Kind.RECTANGLE, [[*corners[0], *corners[1]]], [label], [i])
                )
            else:
                parts.append(Shapes.rings(Kind.POLYGON, xy[:-1], [0, len(xy) - 1], [label], [i]))
        else:
            parts.append(Shapes.geometries(xy, starts, [0, len(rings)], [label], [i]))
    plane = Plane(
        Shapes.concatenate(parts),
        PlaneOptions(size, downsample, tile_px, dtype="uint32"),
    )
    grid = plane.tile_grid
    out = np.zeros((grid.size.height_px, grid.size.width_px), np.uint32)
    for (row, col), tile in zip(grid, plane.tiles(), strict=True):
        height, width = grid.shape(row, col)
        y, x = row * tile_px, col * tile_px
        out[y : y + height, x : x + width] = tile
    return out


def _upright(xy: np.ndarray) -> bool:
    steps = np.diff(xy, axis=0)
    return bool(((steps == 0).sum(1) == 1).all())
