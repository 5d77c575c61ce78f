"""Rings -> polygons: one a region, or all regions of a label together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from qpmask.common.ragged import offsets_of
from qpmask.imageobjects import Geometries, GeometryType, geometries
from qpmask.polygons.striptracer import Rings

_AT_ONCE: Final = 1 << 18  # vertices


def polygons_of(rings: Rings, *, by_label: bool) -> tuple[Geometries, NDArray[np.int64]]:
    """Polygons with their holes, and the label of each.

    Parameters
    ----------
    rings : Rings
        What was traced.
    by_label : bool
        One geometry a label, a MultiPolygon where it has several regions; else one Polygon a
        region.

    Returns
    -------
    geometries : Geometries
        In pixels of the mask, in the order of the labels, or of the regions (rows before columns
        of their first pixels).
    label : ndarray of int64, shape (n,)
        Their labels.
    """
    is_hole = rings.area2_px < 0
    n_regions = len(rings.label)
    if by_label:
        order_of_region = np.argsort(rings.label, kind="stable")
        labels, n_of_label = np.unique(rings.label, return_counts=True)
    else:
        order_of_region = np.arange(n_regions)
        labels, n_of_label = rings.label, np.ones(n_regions, np.int64)
    place = np.empty(n_regions, np.int64)
    place[order_of_region] = np.arange(n_regions)
    order = np.lexsort((is_hole, place[rings.region]))
    n_rings = np.bincount(rings.region, minlength=n_regions)[order_of_region]
    sizes = np.diff(rings.end, prepend=0)
    vertex_offsets = offsets_of(sizes[order])
    xy = np.empty_like(rings.xy_px)
    for first, end in _chunks(vertex_offsets):
        chosen = order[first:end]
        start, n = rings.end[chosen] - sizes[chosen], sizes[chosen]
        v0, v1 = vertex_offsets[first], vertex_offsets[end]
        shift = np.repeat(start - (vertex_offsets[first:end] - v0), n)
        xy[v0:v1] = rings.xy_px[shift + np.arange(v1 - v0)]
    shapes = geometries(
        np.where(n_of_label > 1, GeometryType.MULTI_POLYGON, GeometryType.POLYGON).astype(np.uint8),
        offsets_of(n_of_label),
        offsets_of(n_rings),
        vertex_offsets,
        xy,
    )
    return shapes, labels


def _chunks(offsets: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Cut what has these offsets into some at a time."""
    first, n = 0, len(offsets) - 1
    while first < n:
        end = int(np.searchsorted(offsets, offsets[first] + _AT_ONCE, "right")) - 1
        end = min(n, max(end, first + 1))
        yield first, end
        first = end
