"""QuPath's ROIs -> geometries from which an import makes the same ROIs: nothing is rounded.

They are what :mod:`.rings` makes of ROIs without QuPath's rounding and without JTS's normal form:
vertices as they are stored, in their order. What an import makes of a geometry is told by
:mod:`qpmask.intoqupath.javarois`, the rules of QuPath's ``GeometryTools.geometryToROI``.

What GeoJSON cannot hold: an outline that crosses itself (it becomes the area inside, with new
vertices where it crosses); a polyline of two vertices (it is read as a line, which QuPath draws by
another rule); the areas of QuPath 0.1 (they are read as geometries, which QuPath brings to a grid
of 0.01 pixels); what has no area, no length or no vertices, which is no valid geometry.
"""

from __future__ import annotations

import math

import numpy as np

from qpmask.annotations.rings import (
    ELLIPSE_VERTICES,
    XY,
    GeometryColumns,
    Ints,
    add_area_inside,
    add_geometries,
    are_rectangles,
)
from qpmask.common.ragged import items_at, offsets_of
from qpmask.geojson.validity import mend_geometries
from qpmask.imageobjects import Geometries, GeometryType, RoiKind, Rois, geometries


def what_differs(rois: Rois) -> tuple[str, ...]:
    """What people should know of ROIs that an import does not make again as they were."""
    is_line = (rois.kind == RoiKind.POLYLINE) | (rois.geometry_type == GeometryType.LINE)
    of_two = is_line & (np.diff(rois.ring_offsets) == 1)
    of_two[of_two] = rois.ring_size[rois.ring_offsets[:-1][of_two]] == 2
    found = (
        (
            of_two,
            "polylines of two vertices are read as lines, which are drawn a little differently",
        ),
        (rois.kind == RoiKind.AREA, "areas of QuPath 0.1 are read as geometries, to 0.01 pixels"),
    )
    return tuple(f"{n:,} {what}." for which, what in found if (n := int(which.sum())))


def exact_geometries_of(rois: Rois) -> tuple[Geometries, Ints, int]:
    """Geometries of ROIs with all their digits; see :func:`.rings.geometries_of`."""
    columns = GeometryColumns(rois)
    _boxes(columns, rois)
    _paths(columns, rois)
    n_crossing = _polygons(columns, rois)
    add_geometries(columns, rois, exact=True)
    return columns.finish(), columns.number, n_crossing


def _boxes(columns: GeometryColumns, rois: Rois) -> None:
    """Rectangles in the order by which they are known as such, ellipses, and lines."""
    for kind, type_, xy in (
        (RoiKind.RECTANGLE, GeometryType.POLYGON, _corners),
        (RoiKind.ELLIPSE, GeometryType.POLYGON, _around),
        (RoiKind.LINE, GeometryType.LINE, _ends),
    ):
        which = np.flatnonzero(rois.kind == kind)
        one = np.ones(len(which), np.int64)
        made = xy(rois.boxes_of(which))
        columns.add(
            which, type_, (one, one, made.shape[1] * one), made.reshape(-1, 2),
            ellipse=kind == RoiKind.ELLIPSE,
        )  # fmt: skip


def _corners(box: XY) -> XY:
    """From the upper left, rightwards; shape (n, 5, 2)."""
    return box[:, [0, 1, 2, 1, 2, 3, 0, 3, 0, 1]].reshape(-1, 5, 2)


def _ends(box: XY) -> XY:
    return box.reshape(-1, 2, 2)


def _around(box: XY) -> XY:
    """Vertices of ellipses whose bounds are just these, since those are all that is read of them.

    Shape (n, ELLIPSE_VERTICES + 1, 2).
    """
    quarter = ELLIPSE_VERTICES // 4
    angles = np.arange(ELLIPSE_VERTICES + 1) % ELLIPSE_VERTICES * (2 * math.pi / ELLIPSE_VERTICES)
    low, high = box[:, None, :2], box[:, None, 2:]
    xy: XY = (low + high) / 2 + (high - low) / 2 * np.stack([np.cos(angles), np.sin(angles)], 1)
    xy = np.clip(xy, low, high)
    xy[:, [0, -1], 0], xy[:, quarter, 1] = box[:, [2]], box[:, 3]
    xy[:, 2 * quarter, 0], xy[:, 3 * quarter, 1] = box[:, 0], box[:, 1]
    return xy


def _paths(columns: GeometryColumns, rois: Rois) -> None:
    """Points and polylines, as they are stored."""
    for roi in np.flatnonzero(np.isin(rois.kind, (RoiKind.POINTS, RoiKind.POLYLINE))).tolist():
        xy = np.concatenate([np.zeros((0, 2)), *rois.rings(roi)])
        type_ = GeometryType.LINE
        if rois.kind[roi] == RoiKind.POINTS:
            type_ = GeometryType.POINT if len(xy) == 1 else GeometryType.MULTI_POINT
        one = np.ones(1, np.int64)
        columns.add(np.array([roi]), type_, (one, one, len(xy) * one), xy)


def _polygons(columns: GeometryColumns, rois: Rois) -> int:
    """Polygons, and areas of old files; how many cross themselves."""
    which = np.flatnonzero((rois.kind == RoiKind.POLYGON) & (np.diff(rois.ring_offsets) == 1))
    rings = rois.ring_offsets[which]
    first, sizes = rois.ring_first[rings], rois.ring_size[rings].astype(np.int64)
    pool = rois.vertices32_px0
    some = np.flatnonzero(sizes > 1)
    sizes[some] -= (pool[first[some]] == pool[first[some] + sizes[some] - 1]).all(axis=1)
    has_area = sizes >= 3
    first, sizes, plain = first[has_area], sizes[has_area], which[has_area]
    n = sizes + 1
    begin = np.zeros(len(n), np.int64)  # a polygon that would be read as a rectangle: at the second
    fours = np.flatnonzero(sizes == 4)
    begin[fours] = are_rectangles(pool[first[fours][:, None] + np.arange(4)])
    at = np.repeat(first, n) + (items_at(0, n) + np.repeat(begin, n)) % np.repeat(sizes, n)
    xy = pool[at].astype(np.float64)
    one = np.arange(len(plain) + 1)
    polygon = np.full(len(plain), GeometryType.POLYGON, np.uint8)
    ends = offsets_of(n)
    checked = mend_geometries(geometries(polygon, one, one, ends, xy))
    crosses = np.zeros(len(plain), np.bool_)
    crosses[[fault.geometry for fault in checked.faults]] = True
    finite = np.isfinite(xy).all(axis=1)
    if not finite.all():  # said when it is written
        crosses[np.searchsorted(ends, np.flatnonzero(~finite), "right") - 1] = False
    chosen = np.flatnonzero(~crosses)
    ones = np.ones(len(chosen), np.int64)
    columns.add(
        plain[chosen], GeometryType.POLYGON, (ones, ones, n[chosen]),
        xy[items_at(ends[chosen], n[chosen])],
    )  # fmt: skip
    for roi in [*plain[crosses].tolist(), *which[~has_area].tolist()]:
        add_area_inside(columns, roi, _stored(rois, roi), nonzero=True)
    for roi in np.flatnonzero(rois.kind == RoiKind.AREA).tolist():
        add_area_inside(columns, roi, _stored(rois, roi), nonzero=False)
    return int(crosses.sum())


def _stored(rois: Rois, roi: int) -> list[XY]:
    return [ring.astype(np.float64) for ring in rois.rings(roi)]
