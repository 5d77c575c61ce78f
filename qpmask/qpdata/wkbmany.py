"""Reads the polygons of many geometries at once; see :mod:`qpmask.qpdata.wkb`.

Polygons and MultiPolygons as QuPath writes them: big-endian, two ordinates, not thousands of
rings. All others are left to :func:`qpmask.qpdata.wkb.read_wkb`, which also says what is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from qpmask.qpdata.lanedata import Ints, LaneData
from qpmask.qpdata.wkb import MULTI_POLYGON, POLYGON

#: Rings of a geometry that are followed: more of them take less time by themselves.
MAX_RINGS: Final = 100
_HEAD_BYTES: Final = 5
_COUNT_BYTES: Final = 4
_VERTEX_BYTES: Final = 16


@dataclass(frozen=True, eq=False)
class ManyPolygons:
    """The rings of the geometries that could be read, geometry after geometry.

    Attributes
    ----------
    good : ndarray of bool, shape (n,)
        Which of the geometries could be read.
    geometry_types : ndarray of int64, shape (n_good,)
        POLYGON or MULTI_POLYGON.
    n_rings : ndarray of int64, shape (n_good,)
        How many rings each has.
    places : ndarray of int64, shape (n_rings,)
        Where the vertices of each ring start in the data.
    sizes : ndarray of int64, shape (n_rings,)
        Number of its vertices.
    parts : ndarray of int64, shape (n_rings,)
        Number of its polygon, counted from 0.
    holes : ndarray of bool, shape (n_rings,)
        Whether it is a hole of its polygon.
    """

    good: npt.NDArray[np.bool_]
    geometry_types: Ints
    n_rings: Ints
    places: Ints
    sizes: Ints
    parts: Ints
    holes: npt.NDArray[np.bool_]


def read_polygons(source: LaneData, starts: Ints, sizes: Ints) -> ManyPolygons:
    """Read geometries.

    Parameters
    ----------
    source : LaneData
        The data.
    starts, sizes : ndarray of int64, shape (n,)
        Where each geometry starts and how many bytes it has; all of them are in the data.
    """
    n_geometries = len(starts)
    ends = starts + sizes
    good = np.zeros(n_geometries, np.bool_)
    types = np.zeros(n_geometries, np.int64)
    # The geometries that are being read; after that everything is about these.
    now = np.flatnonzero(sizes >= _HEAD_BYTES + _COUNT_BYTES)
    types[now] = source.i4[starts[now] + 1]
    known = (source.u1[starts[now]] == 0) & np.isin(types[now], (POLYGON, MULTI_POLYGON))
    now = now[known]
    pos = starts[now] + _HEAD_BYTES
    many = types[now] == MULTI_POLYGON
    polygons_left = np.where(many, source.i4[pos], 1)
    pos[many] += _COUNT_BYTES
    rings_left, n_polygons = np.zeros((2, len(now)), np.int64)
    rings: list[tuple[Ints, Ints, Ints, Ints, npt.NDArray[np.bool_]]] = []
    for _ in range(MAX_RINGS):
        end = ends[now]
        begins = rings_left == 0
        # A member of a MultiPolygon has a head of its own.
        body = pos + np.where(begins & many, _HEAD_BYTES, 0)
        more = (polygons_left > 0) & (body + _COUNT_BYTES <= end)
        fits = ~begins | more
        good[now[begins & (polygons_left == 0) & (pos == end)]] = True
        headed = np.flatnonzero(begins & more & many)
        is_polygon = source.u1[pos[headed]] == 0
        is_polygon &= source.i4[pos[headed] + 1] == POLYGON
        fits[headed] &= is_polygon
        opened = np.flatnonzero(begins & fits)
        rings_left[opened] = source.i4[body[opened]]
        pos[opened] = body[opened] + _COUNT_BYTES
        polygons_left[opened] -= 1
        n_polygons[opened] += 1
        fits &= rings_left >= 0

        inside = np.flatnonzero(fits & (rings_left > 0))
        fits[inside] = pos[inside] + _COUNT_BYTES <= end[inside]
        inside = inside[fits[inside]]
        n_points = source.i4_at(pos[inside])
        places = pos[inside] + _COUNT_BYTES
        pos[inside] = places + n_points * _VERTEX_BYTES
        fits[inside] = (n_points >= 0) & (pos[inside] <= end[inside])
        rings.append((now[inside], places, n_points, n_polygons[inside] - 1, ~begins[inside]))
        rings_left[inside] -= 1

        now, pos, many = now[fits], pos[fits], many[fits]
        polygons_left, rings_left = polygons_left[fits], rings_left[fits]
        n_polygons = n_polygons[fits]
        if not len(now):
            break
    owners, places, n_points, parts, holes = (
        np.concatenate(columns) for columns in zip(*rings, strict=True)
    )
    kept = np.flatnonzero(good[owners])
    order = kept[np.argsort(owners[kept], kind="stable")]
    return ManyPolygons(
        good=good,
        geometry_types=types[good],
        n_rings=np.bincount(owners[kept], minlength=n_geometries)[good],
        places=places[order],
        sizes=n_points[order],
        parts=parts[order],
        holes=holes[order],
    )
