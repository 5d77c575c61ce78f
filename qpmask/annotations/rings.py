"""QuPath's ROIs -> the geometries that QuPath itself exports them as.

The rules are those of QuPath 0.6 and 0.7 (``GeometryTools.GeometryConverter``, with JTS), found by
reading and held by comparison with a real one: coordinates are rounded to a grid of 0.01 pixels and
kept in single precision; geometries stay as they were stored; all others are normalised, so that a
ring begins at its leftmost vertex (the upper one of several) and goes clockwise where y points up.
Polygons go by way of ``java.awt.geom.Area``, which drops vertices on horizontal sides.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from qpmask.common.ragged import items_at, offsets_of
from qpmask.geojson.outlines import normalised_outlines
from qpmask.imageobjects import Geometries, GeometryType, RingKind, RoiKind, Rois

Ints = NDArray[np.int64]
XY = NDArray[np.float64]

#: Vertices of an ellipse: JTS's ``GeometricShapeFactory`` makes so many.
ELLIPSE_VERTICES: Final = 100


def on_grid(values: NDArray[Any]) -> XY:
    """Coordinates as JTS's ``PrecisionModel(-0.01)`` and QuPath's single precision leave them."""
    steps = np.asarray(values, np.float64) / 0.01
    whole = np.floor(steps)
    whole += steps - whole >= 0.5
    rounded: XY = (whole * 0.01).astype(np.float32).astype(np.float64)
    return rounded


class GeometryColumns:
    """Collects geometries family by family; ``number`` says where each ROI's went.

    Parameters
    ----------
    rois : Rois
        What they are made of.
    """

    def __init__(self, rois: Rois) -> None:
        self._rois = rois
        self.number: Ints = np.full(len(rois), -1, np.int64)
        self._n = 0
        self._type: list[NDArray[Any]] = [np.zeros(0, np.uint8)]
        self._roi: list[Ints] = [np.zeros(0, np.int64)]
        self._ellipse: list[NDArray[np.bool_]] = [np.zeros(0, np.bool_)]
        # Parts of each geometry, rings of each part, vertices of each ring.
        self._counts: tuple[list[Ints], ...] = tuple([np.zeros(0, np.int64)] for _ in range(3))
        self._xy: list[XY] = [np.zeros((0, 2))]

    def add(
        self, which: Ints, type_: NDArray[Any] | int, counts: tuple[Ints, Ints, Ints], xy: XY,
        *, ellipse: bool = False,
    ) -> None:  # fmt: skip
        """Add geometries of some ROIs: parts of each, rings of each part, vertices of each ring."""
        n = len(which)
        self.number[which] = self._n + np.arange(n)
        self._n += n
        self._roi.append(which)
        self._type.append(np.full(n, type_, np.uint8) if isinstance(type_, int) else type_)
        self._ellipse.append(np.full(n, ellipse))
        for parts, more in zip(self._counts, counts, strict=True):
            parts.append(np.asarray(more, np.int64))
        self._xy.append(xy)

    def finish(self) -> Geometries:
        """All of them."""
        roi = np.concatenate(self._roi)
        offsets = [offsets_of(np.concatenate(parts)) for parts in self._counts]
        return Geometries(
            type=np.concatenate(self._type).astype(np.uint8),
            is_ellipse=np.concatenate(self._ellipse),
            c=self._rois.c[roi],
            z=self._rois.z[roi],
            t=self._rois.t[roi],
            part_offsets=offsets[0],
            ring_offsets=offsets[1],
            vertex_offsets=offsets[2],
            xy_px0=np.concatenate(self._xy),
        )


def geometries_of(rois: Rois) -> tuple[Geometries, Ints, int]:
    """Geometries of ROIs.

    Returns
    -------
    geometries : Geometries
        They stand family by family.
    number : ndarray of int64, shape (n_rois,)
        Which one is each ROI's.
    n_mended : int
        How many polygons cross themselves: they were made areas that do not, as QuPath does.
    """
    columns = GeometryColumns(rois)
    _boxes(columns, rois)
    _points_and_lines(columns, rois)
    n_mended = _polygons(columns, rois)
    add_geometries(columns, rois)
    return columns.finish(), columns.number, n_mended


# ------------------------------------------------------------------ boxes


def _boxes(columns: GeometryColumns, rois: Rois) -> None:
    which = np.flatnonzero(rois.kind == RoiKind.RECTANGLE)
    one = np.ones(len(which), np.int64)
    x, y, x2, y2 = on_grid(rois.boxes_of(which)).T
    corners = np.stack([x, y, x, y2, x2, y2, x2, y, x, y], axis=1)
    columns.add(which, GeometryType.POLYGON, (one, one, 5 * one), corners.reshape(-1, 2))

    which = np.flatnonzero(rois.kind == RoiKind.ELLIPSE)
    one = np.ones(len(which), np.int64)
    xy, sizes = _normalised(_ellipses(rois.boxes_of(which)), np.full(len(which), ELLIPSE_VERTICES))
    columns.add(which, GeometryType.POLYGON, (one, one, sizes), xy, ellipse=True)

    which = np.flatnonzero(rois.kind == RoiKind.LINE)
    one = np.ones(len(which), np.int64)
    ends = on_grid(rois.boxes_of(which)).reshape(-1, 2, 2)
    turn = (ends[:, 0, 0] > ends[:, 1, 0]) | (
        (ends[:, 0, 0] == ends[:, 1, 0]) & (ends[:, 0, 1] > ends[:, 1, 1])
    )
    ends[turn] = ends[turn][:, ::-1]
    columns.add(which, GeometryType.LINE, (one, one, 2 * one), ends.reshape(-1, 2))


def _ellipses(box: XY) -> XY:
    """Vertices of ellipses in boxes, shape (n * ELLIPSE_VERTICES, 2)."""
    width, height = box[:, 2] - box[:, 0], box[:, 3] - box[:, 1]
    angles = [i * (2 * math.pi / ELLIPSE_VERTICES) for i in range(ELLIPSE_VERTICES)]
    x = (width / 2)[:, None] * [math.cos(a) for a in angles] + (box[:, 0] + width / 2)[:, None]
    y = (height / 2)[:, None] * [math.sin(a) for a in angles] + (box[:, 1] + height / 2)[:, None]
    return on_grid(np.stack([x, y], axis=2).reshape(-1, 2))


# ------------------------------------------------------- points and lines


def _points_and_lines(columns: GeometryColumns, rois: Rois) -> None:
    for kind in (RoiKind.POINTS, RoiKind.POLYLINE):
        for roi in np.flatnonzero(rois.kind == kind).tolist():
            xy = on_grid(np.concatenate([np.zeros((0, 2)), *rois.rings(roi)]))
            if kind == RoiKind.POINTS:
                xy = xy[np.lexsort((xy[:, 1], xy[:, 0]))]
                type_ = GeometryType.POINT if len(xy) == 1 else GeometryType.MULTI_POINT
            else:
                xy, type_ = _line_normalised(xy), GeometryType.LINE
            one = np.ones(1, np.int64)
            columns.add(np.array([roi]), type_, (one, one, len(xy) * one), xy)


def _line_normalised(xy: XY) -> XY:
    """A line from the end that is further left; of a loop the first place where it differs."""
    points, back = xy.tolist(), xy[::-1].tolist()
    for one, other in zip(points[: len(points) // 2], back, strict=False):
        if one != other:
            return xy[::-1].copy() if one > other else xy
    return xy


# --------------------------------------------------------------- polygons


def _polygons(columns: GeometryColumns, rois: Rois) -> int:
    """Polygons, and areas of old files; how many cross themselves."""
    which = np.flatnonzero((rois.kind == RoiKind.POLYGON) & (np.diff(rois.ring_offsets) == 1))
    rings = rois.ring_offsets[which]
    first, sizes = rois.ring_first[rings], rois.ring_size[rings]
    made = np.empty((int(sizes.sum()) + len(sizes), 2))
    n_made = np.empty(len(sizes), np.int64)
    room = np.empty((int(sizes.max(initial=0)), 2))
    n = normalised_outlines(first, sizes, rois.vertices32_px0, room, made, n_made)
    one = np.ones(int((n_made > 0).sum()), np.int64)
    columns.add(which[n_made > 0], GeometryType.POLYGON, (one, one, n_made[n_made > 0]), made[:n])
    which, rings = which[n_made == 0], rings[n_made == 0]
    sizes = rois.ring_size[rings]
    stored = rois.vertices32_px0[items_at(rois.ring_first[rings], sizes)]
    xy, sizes = _without_middles(stored.astype(np.float64), sizes)
    xy, sizes = _without_repeats(on_grid(xy), sizes)
    plain = sizes >= 3
    good = plain & _are_simple(xy, sizes)
    first = offsets_of(sizes)[:-1]
    chosen = np.flatnonzero(good)
    one = np.ones(len(chosen), np.int64)
    ring_xy, ring_sizes = _normalised(xy[items_at(first[chosen], sizes[chosen])], sizes[chosen])
    columns.add(which[chosen], GeometryType.POLYGON, (one, one, ring_sizes), ring_xy)
    for i in np.flatnonzero(~good).tolist():
        add_area_inside(columns, int(which[i]), [xy[first[i] : first[i] + sizes[i]]], nonzero=True)
    areas = np.flatnonzero(rois.kind == RoiKind.AREA)
    for roi in areas.tolist():
        add_area_inside(columns, roi, [on_grid(ring) for ring in rois.rings(roi)], nonzero=False)
    return int((plain & ~good).sum())


def _around(sizes: Ints) -> tuple[Ints, Ints]:
    """Numbers of the vertices before and after each vertex of its ring."""
    first = np.repeat(offsets_of(sizes)[:-1], sizes)
    n = np.repeat(sizes, sizes)
    at = np.arange(len(first)) - first
    return first + (at - 1) % n, first + (at + 1) % n


def _kept(xy: XY, sizes: Ints, keep: NDArray[np.bool_]) -> tuple[XY, Ints]:
    ring = np.repeat(np.arange(len(sizes)), sizes)
    return xy[keep], np.bincount(ring[keep], minlength=len(sizes)).astype(np.int64)


def _without_middles(xy: XY, sizes: Ints) -> tuple[XY, Ints]:
    """Rings without vertices in the middle of a horizontal side, which Java's Area drops."""
    before, after = _around(sizes)
    y = xy[:, 1]
    return _kept(xy, sizes, ~((y == y[before]) & (y == y[after])))


def _without_repeats(xy: XY, sizes: Ints) -> tuple[XY, Ints]:
    """Rings without vertices that are the same as the one before."""
    before, _ = _around(sizes)
    return _kept(xy, sizes, (xy != xy[before]).any(axis=1))


def _are_simple(xy: XY, sizes: Ints) -> NDArray[np.bool_]:
    """Which rings do not touch or cross themselves."""
    import shapely

    simple = np.zeros(len(sizes), np.bool_)
    enough = np.flatnonzero(sizes >= 3)
    first = offsets_of(sizes)[:-1]
    if len(enough):
        n = sizes[enough]
        closed = closing(first[enough], n)
        offsets = offsets_of(n + 1)
        made = shapely.from_ragged_array(
            shapely.GeometryType.POLYGON, xy[closed], (offsets, np.arange(len(n) + 1))
        )
        simple[enough] = shapely.is_valid(made)
    return simple


def closing(first: Ints, sizes: Ints) -> Ints:
    """Numbers of the vertices of rings, each ring with its first vertex once more at the end."""
    n = np.repeat(sizes, sizes + 1)
    return np.repeat(first, sizes + 1) + items_at(0, sizes + 1) % n


def _normalised(xy: XY, sizes: Ints) -> tuple[XY, Ints]:
    """Rings as JTS normalises outer ones, closed; and their sizes."""
    if not len(sizes):
        return xy, sizes
    first = offsets_of(sizes)[:-1]
    ring = np.repeat(np.arange(len(sizes)), sizes)
    x, y = xy.T
    leftmost = x == np.minimum.reduceat(x, first)[ring]
    heights = np.where(leftmost, y, np.inf)
    at = np.flatnonzero(leftmost & (heights == np.minimum.reduceat(heights, first)[ring]))
    begins = at[np.unique(ring[at], return_index=True)[1]] - first
    _, after = _around(sizes)
    # Differences to the first vertex, so that areas far from the origin keep their digits.
    dx, dy = x - x[first][ring], y - y[first][ring]
    area2 = np.add.reduceat(dx * dy[after] - dx[after] * dy, first)
    step = np.where(area2 > 0, -1, 1)
    n = np.repeat(sizes, sizes + 1)
    k = items_at(0, sizes + 1)
    picked = (np.repeat(begins, sizes + 1) + k * np.repeat(step, sizes + 1)) % n
    return xy[np.repeat(first, sizes + 1) + picked], sizes + 1


def add_area_inside(columns: GeometryColumns, roi: int, rings: list[XY], *, nonzero: bool) -> None:
    """The area inside rings that may cross, as polygons that do not."""
    import shapely

    lines = [shapely.LineString([*ring, ring[0]]) for ring in rings if len(ring) >= 2]
    faces = shapely.polygonize([shapely.unary_union(lines)]).geoms if lines else ()
    inside = [face for face in faces if _is_inside(face.representative_point(), rings, nonzero)]
    shape = shapely.union_all(inside) if inside else shapely.Polygon()
    parts = [part for part in getattr(shape, "geoms", [shape]) if not part.is_empty]
    made = sorted((_polygon_normalised(part) for part in parts), key=lambda p: p[0].tolist())
    type_ = GeometryType.MULTI_POLYGON if len(made) > 1 else GeometryType.POLYGON
    if not made:  # nothing has an area: what was drawn, closed
        made = [[np.concatenate([ring, ring[:1]]) for ring in rings]]
    flat = [ring for part in made for ring in part]
    columns.add(
        np.array([roi]), type_,
        (np.array([len(made)]), np.array([len(p) for p in made]), np.array([*map(len, flat)])),
        np.concatenate([np.zeros((0, 2)), *flat]),
    )  # fmt: skip


def _polygon_normalised(polygon: Any) -> list[XY]:
    """Rings of a polygon as JTS normalises them: the outer one clockwise, holes the other way."""
    outer, *holes = (
        _normalised(np.asarray(ring.coords)[:-1], np.array([len(ring.coords) - 1]))[0]
        for ring in (polygon.exterior, *polygon.interiors)
    )
    return [outer, *sorted((hole[::-1] for hole in holes), key=lambda hole: hole.tolist())]


def _is_inside(point: Any, rings: list[XY], nonzero: bool) -> bool:
    """Whether a point is inside rings: wound around at all, or an odd number of times."""
    winding = 0
    for ring in rings:
        x, y = ring.T - np.array([[point.x], [point.y]])
        x2, y2 = np.roll(x, -1), np.roll(y, -1)
        cross = x * y2 - x2 * y
        winding += int(((y <= 0) & (y2 > 0) & (cross > 0)).sum())
        winding -= int(((y > 0) & (y2 <= 0) & (cross < 0)).sum())
    return winding != 0 if nonzero else winding % 2 == 1


# ------------------------------------------------------------- geometries


def add_geometries(columns: GeometryColumns, rois: Rois, *, exact: bool = False) -> None:
    """Geometries as they were stored, on the grid; ``exact``: if they are read as geometries again.

    Those of one ring, lines and points are read as other ROIs, which QuPath does not bring to the
    grid that it brings geometries to; those that would be read as rectangles begin elsewhere.
    """
    which = np.flatnonzero(rois.kind == RoiKind.GEOMETRY)
    if not len(which):
        return
    n_rings = np.diff(rois.ring_offsets)[which]
    rings = items_at(rois.ring_offsets[which], n_rings)
    owner = np.repeat(np.arange(len(which)), n_rings)
    sizes = rois.ring_size[rings]
    stored = rois.vertices64_px0[items_at(rois.ring_first[rings], sizes)]
    xy = on_grid(stored)
    begins = np.ones(len(rings), np.bool_)
    begins[1:] = (owner[1:] != owner[:-1]) | (np.diff(rois.ring_part[rings]) != 0)
    types = rois.geometry_type[which]
    if exact:
        stays = (types >= 5) | ((types == 3) & (n_rings > 1))
        kept = np.repeat(stays[owner], sizes)
        xy[kept] = stored[kept]
        first = offsets_of(sizes)[:-1]
        fours = first[(sizes == 5) & ~stays[owner] & (types[owner] == 3)]
        fours = fours[are_rectangles(xy[fours[:, None] + np.arange(4)])][:, None]
        xy[fours + np.arange(5)] = xy[fours + np.array([1, 2, 3, 0, 1])]
    begins |= np.isin(types, (2, 5))[owner]
    part = np.cumsum(begins) - 1
    rings_of_part = np.bincount(part, minlength=0)
    parts_of = np.bincount(owner[begins], minlength=len(which))
    known = types.copy()
    for i in np.flatnonzero(types == GeometryType.COLLECTION).tolist():
        # A collection: QuPath draws its areas; of its lines and points there is nothing to export.
        kinds = rois.ring_kind[rings[owner == i]]
        known[i] = GeometryType.MULTI_POLYGON if (kinds == RingKind.POLYGON).all() else 0
    columns.add(which, known, (parts_of, rings_of_part, sizes), xy)


def are_rectangles(corners: NDArray[Any]) -> NDArray[np.bool_]:
    """Which rings, of shape (n, 4, 2), are read as rectangles: from the upper left, rightwards.

    Java fills a rectangle by another rule than a polygon.
    """
    a, b, c, d = (corners[:, i] for i in range(4))
    upright = (a[:, 1] == b[:, 1]) & (b[:, 0] == c[:, 0]) & (c[:, 1] == d[:, 1])
    found: NDArray[np.bool_] = upright & (d[:, 0] == a[:, 0]) & (a < c).all(axis=1)
    return found
