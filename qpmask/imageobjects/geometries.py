"""Geometries in columns, nested as in GeoJSON: the ROIs of an :class:`~.ObjectTable`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.common.frozen import dataclass
from qpmask.common.ragged import offsets_of


@dataclass(frozen=True, eq=False, repr=False)
class Geometries:
    """Geometries, nested as in GeoJSON: geometry -> parts -> rings -> vertices.

    A part of a polygon is its outer ring and then its holes. A part of a line is one ring, the
    line. All points of a (multi)point are one ring of one part.

    Attributes
    ----------
    type : ndarray of uint8, shape (n,)
        :class:`GeometryType`.
    is_ellipse : ndarray of bool, shape (n,)
        Whether QuPath has an ellipse there: that within the bounds of the polygon.
    c, z, t : ndarray of int32, shape (n,)
        Channel (-1 for all), slice of the z-stack and time point.
    part_offsets : ndarray of int64, shape (n + 1,)
        First part of each geometry.
    ring_offsets : ndarray of int64, shape (n_parts + 1,)
        First ring of each part.
    vertex_offsets : ndarray of int64, shape (n_rings + 1,)
        First vertex of each ring.
    xy_px0 : ndarray of int32, float32 or float64, shape (n_vertices, 2)
        Vertices. Rings of polygons are closed: their last vertex repeats the first one.
    """

    type: NDArray[np.uint8]
    is_ellipse: NDArray[np.bool_]
    c: NDArray[np.int32]
    z: NDArray[np.int32]
    t: NDArray[np.int32]
    part_offsets: NDArray[np.int64]
    ring_offsets: NDArray[np.int64]
    vertex_offsets: NDArray[np.int64]
    xy_px0: NDArray[Any]

    def __len__(self) -> int:
        return len(self.type)

    def __repr__(self) -> str:
        return f"<Geometries: {len(self):,} of {len(self.xy_px0):,} vertices>"

    @property
    def first_vertex(self) -> NDArray[np.int64]:
        """First vertex of each geometry, and the end of the last one; shape (n + 1,)."""
        firsts: NDArray[np.int64] = self.vertex_offsets[self.ring_offsets[self.part_offsets]]
        return firsts

    def rings(self, geometry: int) -> list[list[NDArray[Any]]]:
        """The rings of each part of a geometry, as views of shape (n, 2)."""
        first, end = self.part_offsets[geometry : geometry + 2]
        v = self.vertex_offsets
        return [
            [self.xy_px0[v[r] : v[r + 1]] for r in range(*self.ring_offsets[p : p + 2])]
            for p in range(first, end)
        ]


def geometries(
    type: NDArray[np.uint8],
    part_offsets: NDArray[np.int64],
    ring_offsets: NDArray[np.int64],
    vertex_offsets: NDArray[np.int64],
    xy_px0: NDArray[Any],
) -> Geometries:
    """Geometries on the default plane (all channels, slice 0, time point 0), none an ellipse."""
    n = len(type)
    zeros = np.zeros(n, np.int32)
    return Geometries(
        type=type,
        is_ellipse=np.zeros(n, np.bool_),
        c=np.full(n, -1, np.int32),
        z=zeros,
        t=zeros,
        part_offsets=part_offsets,
        ring_offsets=ring_offsets,
        vertex_offsets=vertex_offsets,
        xy_px0=xy_px0,
    )


def joined_geometries(many: Sequence[Geometries]) -> Geometries:
    """All geometries, one behind the other."""
    if len(many) == 1:
        return many[0]
    made: dict[str, Any] = {
        name: np.concatenate([getattr(one, name) for one in many])
        for name in ("type", "is_ellipse", "c", "z", "t", "xy_px0")
    }
    for name in ("part_offsets", "ring_offsets", "vertex_offsets"):
        made[name] = offsets_of(np.concatenate([np.diff(getattr(one, name)) for one in many]))
    return Geometries(**made)
