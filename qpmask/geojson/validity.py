"""Geometries checked, and mended where there is one way to do it.

A ring that is open is closed; one that crosses itself becomes the areas that it goes around once,
unless it goes around one twice, which fill rules read differently; holes that reach beyond their
polygon are cut, and parts that overlap united. A ring that touches itself at a point is left as it
is: QuPath takes it, and draws it as it draws its mend. All else is a fault: the geometry is left
out.

Most polygons are proved right by arithmetic on all of them at once: if all vertices turn one way
around their middle, once, no edges cross. The others are looked at by GEOS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from qpmask.common.ragged import items_at, items_of, offsets_of
from qpmask.geojson.ringcheck import FARTHEST_PX0, SUSPECT, WRONG, check_geometries
from qpmask.imageobjects import Geometries, GeometryType

_AREAS: Final = (GeometryType.POLYGON, GeometryType.MULTI_POLYGON)
_LINES: Final = (GeometryType.LINE, GeometryType.MULTI_LINE)


@dataclass(frozen=True)
class Fault:
    """Something wrong with a geometry; without a mend it cannot be used."""

    geometry: int
    what: str
    mend: str = ""


@dataclass(frozen=True, eq=False)
class Mended:
    """Geometries that can be used, but for those with a fault.

    Attributes
    ----------
    geometries : Geometries
        With rings closed; mended ones at the end.
    faults : list of Fault
        What was wrong.
    replaced : dict of int to int
        The number that a mended geometry has now.
    """

    geometries: Geometries
    faults: list[Fault] = field(default_factory=list)
    replaced: dict[int, int] = field(default_factory=dict)


def mend_geometries(shapes: Geometries, broken: Mapping[int, str] | None = None) -> Mended:
    """Check all geometries.

    Parameters
    ----------
    shapes : Geometries
        As they were read: rings may be open, coordinates may be anything.
    broken : mapping of int to str
        Geometries of which it is known already what is wrong.
    """
    faults: dict[int, Fault] = {i: Fault(i, what) for i, what in (broken or {}).items()}
    if not faults and shapes.xy_px0.dtype == np.float64:
        state = _states(shapes)
        if not (state == WRONG).any():
            found: list[int] = np.flatnonzero(state == SUSPECT).tolist()
            mended = _by_geos(shapes, found, faults) if found else Mended(shapes)
            mended.faults[:] = [faults[i] for i in sorted(faults)]
            return mended
    rings = _Rings(shapes)
    finite = np.isfinite(shapes.xy_px0).all(1)
    for i in rings.owners_of(~finite):
        faults.setdefault(i, Fault(i, "a coordinate of it is NaN or infinite"))
    with np.errstate(invalid="ignore"):
        far = (np.abs(shapes.xy_px0) >= FARTHEST_PX0).any(1) & finite
    for i in rings.owners_of(far):
        faults.setdefault(i, Fault(i, "a coordinate of it lies beyond any image"))
    is_line = np.isin(shapes.type, _LINES)
    for i in np.unique(rings.owner[is_line[rings.owner] & (rings.sizes < 2)]).tolist():
        faults.setdefault(i, Fault(i, "a line of it has fewer than two points"))
    closed = _close(shapes, rings, faults)
    mended = Mended(closed)
    suspects = _suspects(closed, faults)
    if suspects:
        mended = _by_geos(closed, suspects, faults)
    mended.faults[:] = [faults[i] for i in sorted(faults)]
    return mended


def _states(shapes: Geometries) -> NDArray[np.uint8]:
    """What a kernel says of each geometry."""
    state = np.zeros(len(shapes), np.uint8)
    of = shapes.part_offsets, shapes.ring_offsets, shapes.vertex_offsets, shapes.xy_px0, state
    check_geometries(*map(np.ascontiguousarray, (shapes.type, *of)))
    return state


class _Rings:
    """Whose each ring and each vertex is."""

    def __init__(self, shapes: Geometries) -> None:
        self.sizes = np.diff(shapes.vertex_offsets)
        part_owner = np.repeat(np.arange(len(shapes)), np.diff(shapes.part_offsets))
        self.part = np.repeat(np.arange(len(part_owner)), np.diff(shapes.ring_offsets))
        self.owner = part_owner[self.part]
        self._offsets = shapes.vertex_offsets

    def owners_of(self, vertices: NDArray[np.bool_]) -> list[int]:
        """Geometries to which some of these vertices belong."""
        numbers = np.flatnonzero(vertices)
        found: list[int] = np.unique(
            self.owner[np.searchsorted(self._offsets, numbers, "right") - 1]
        ).tolist()
        return found


def _close(shapes: Geometries, rings: _Rings, faults: dict[int, Fault]) -> Geometries:
    """Close rings, and leave out those that cannot have an area."""
    is_area = np.isin(shapes.type, _AREAS)[rings.owner]
    first, end = shapes.vertex_offsets[:-1], shapes.vertex_offsets[1:]
    is_open = is_area & (rings.sizes > 0)
    some = np.flatnonzero(is_open)
    is_open[some] = (shapes.xy_px0[first[some]] != shapes.xy_px0[end[some] - 1]).any(1)
    sizes = rings.sizes + is_open
    is_hole = np.ones(len(sizes), np.bool_)
    is_hole[shapes.ring_offsets[:-1][np.diff(shapes.ring_offsets) > 0]] = False
    too_few = is_area & (sizes < 4)
    keep = ~too_few
    if too_few.any():
        # An outer ring takes its holes with it.
        lost_parts = np.unique(rings.part[too_few & ~is_hole])
        keep &= ~np.isin(rings.part, lost_parts)
        left = np.bincount(rings.owner[keep], minlength=len(shapes))
        for i in np.unique(rings.owner[too_few]).tolist():
            if not left[i]:
                faults.setdefault(i, Fault(i, "a ring of it has fewer than three points"))
            else:
                faults.setdefault(
                    i, Fault(i, "a ring of it has fewer than three points", "taken without that")
                )
    for i in np.unique(rings.owner[is_open & keep]).tolist():
        faults.setdefault(i, Fault(i, "a ring of it is not closed", "closed"))
    if keep.all() and not is_open.any():
        return shapes
    sizes = sizes[keep]
    vertex_offsets = offsets_of(sizes)
    source = items_at(first[keep], sizes)
    opened = is_open[keep]
    source[vertex_offsets[1:][opened] - 1] = first[keep][opened]
    n_rings = np.bincount(rings.part[keep], minlength=len(shapes.ring_offsets) - 1)
    part_owner = np.repeat(np.arange(len(shapes)), np.diff(shapes.part_offsets))
    kept_parts = (n_rings > 0) | ~np.isin(shapes.type, _AREAS)[part_owner]
    n_parts = np.bincount(part_owner[kept_parts], minlength=len(shapes))
    return replace(
        shapes,
        part_offsets=offsets_of(n_parts),
        ring_offsets=offsets_of(n_rings[kept_parts]),
        vertex_offsets=vertex_offsets,
        xy_px0=shapes.xy_px0[source],
    )


def _suspects(shapes: Geometries, faults: Mapping[int, Fault]) -> list[int]:
    """Areas that arithmetic does not prove to be right."""
    rings = _Rings(shapes)
    n_rings = np.bincount(rings.owner, minlength=len(shapes))
    is_area = np.isin(shapes.type, _AREAS)
    lost = [i for i, fault in faults.items() if not fault.mend]
    is_area[lost] = False
    suspect = is_area & (n_rings > 0)
    single = np.flatnonzero((suspect & (n_rings == 1))[rings.owner])
    if len(single):
        proved = _turn_once(shapes, single)
        suspect[rings.owner[single[proved]]] = False
    return [int(i) for i in np.flatnonzero(suspect)]


def _turn_once(shapes: Geometries, rings: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether rings go around their middle once, without ever turning back."""
    first = shapes.vertex_offsets[rings]
    sizes = shapes.vertex_offsets[rings + 1] - first
    starts = offsets_of(sizes)
    xy = shapes.xy_px0[items_at(first, sizes)].astype(np.float64, copy=False)
    # The middle of the vertices but the last, which repeats the first.
    sums = np.add.reduceat(xy, starts[:-1]) - xy[starts[1:] - 1]
    xy -= np.repeat(sums / (sizes - 1)[:, None], sizes, axis=0)
    x, y = xy[:-1].T
    x2, y2 = xy[1:].T
    cross = np.append(x * y2 - x2 * y, 0.0)
    within = np.ones(len(cross), np.bool_)
    within[starts[1:] - 1] = False  # from one ring to the next
    up = np.append((y < 0) & (y2 >= 0), False) & within
    positive = np.add.reduceat((cross > 0) & within, starts[:-1], dtype=np.int64)
    negative = np.add.reduceat((cross < 0) & within, starts[:-1], dtype=np.int64)
    down = np.append((y >= 0) & (y2 < 0), False) & within
    n_up = np.add.reduceat(up, starts[:-1], dtype=np.int64)
    n_down = np.add.reduceat(down, starts[:-1], dtype=np.int64)
    turns = sizes - 1
    proved: NDArray[np.bool_] = (
        ((positive == turns) | (negative == turns)) & (n_up == 1) & (n_down == 1)
    )
    return proved


def _by_geos(shapes: Geometries, suspects: list[int], faults: dict[int, Fault]) -> Mended:
    import shapely

    polygons, owners = _shapely_parts(shapes, np.array(suspects, np.int64))
    wrong = set(owners[~shapely.is_valid(polygons)].tolist())
    several, n = np.unique(owners, return_counts=True)
    for i in several[n > 1].tolist():
        if i not in wrong and not shapely.is_valid(shapely.multipolygons(polygons[owners == i])):
            wrong.add(i)
    new: list[Any] = []
    replaced: dict[int, int] = {}
    for i in sorted(wrong):
        what, area = _mend_area(shapes.rings(i))
        if area is None:
            faults[i] = Fault(i, what)
        elif what:
            faults[i] = Fault(i, what, "mended")
            replaced[i] = len(shapes) + len(new)
            new.append(area)
    if new:
        shapes = _with_areas(shapes, new, list(replaced))
    return Mended(shapes, [], replaced)


def _shapely_parts(
    shapes: Geometries, chosen: NDArray[np.int64]
) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """The polygons of some geometries, and whose each is."""
    import shapely

    parts = items_of(shapes.part_offsets, chosen)
    rings = items_of(shapes.ring_offsets, parts)
    vertices = items_of(shapes.vertex_offsets, rings)
    polygons = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON,
        shapes.xy_px0[vertices].astype(np.float64),
        (
            offsets_of(np.diff(shapes.vertex_offsets)[rings]),
            offsets_of(np.diff(shapes.ring_offsets)[parts]),
        ),
    )
    return polygons, np.repeat(chosen, np.diff(shapes.part_offsets)[chosen])


def _mend_area(parts: list[list[NDArray[Any]]]) -> tuple[str, Any]:
    """What is wrong with an area ("" if that is nothing for QuPath) and its mend, or None."""
    import shapely

    areas, crosses = [], False
    signed = 0.0
    for outer, *holes in parts:
        signed += abs(_signed_area(outer)) - sum(abs(_signed_area(hole)) for hole in holes)
        shell = _inside(outer)
        inner = [_inside(hole) for hole in holes]
        if shell is None or any(hole is None for hole in inner):
            return "it crosses itself so that its inside is not clear", None
        areas.append(shapely.difference(shell, shapely.union_all(inner)) if inner else shell)
        crosses |= any(not shapely.is_valid(shapely.Polygon(ring)) for ring in (outer, *holes))
    area = shapely.union_all(areas)
    if area.area <= 0:
        return "it has no area", None
    if len(parts) == 1 and abs(area.area - signed) <= 1e-9 * area.area:
        return "", area
    if crosses:
        return "it crosses itself", area
    return ("its parts overlap or share an edge" if len(parts) > 1 else "its holes overlap or "
            "reach beyond it"), area  # fmt: skip


def _inside(ring: NDArray[Any]) -> Any:
    """What a ring goes around; None where it goes around something twice."""
    import shapely

    polygon = shapely.Polygon(ring)
    if shapely.is_valid(polygon):
        return polygon
    lines = shapely.union_all(shapely.LineString(ring))
    faces = shapely.polygonize([lines]).geoms
    inside = []
    for face in faces:
        n = _winding(ring, *shapely.get_coordinates(shapely.point_on_surface(face))[0])
        if n and n % 2 == 0:
            return None
        if n:
            inside.append(face)
    return shapely.union_all(inside)


def _winding(ring: NDArray[Any], x: float, y: float) -> int:
    """How often a ring goes around a point."""
    x1, y1 = ring[:-1, 0] - x, ring[:-1, 1] - y
    x2, y2 = ring[1:, 0] - x, ring[1:, 1] - y
    cross = x1 * y2 - x2 * y1
    up = (y1 <= 0) & (y2 > 0) & (cross > 0)
    down = (y1 > 0) & (y2 <= 0) & (cross < 0)
    return int(up.sum()) - int(down.sum())


def _signed_area(ring: NDArray[Any]) -> float:
    x, y = (ring - ring[0]).T
    return float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2


def _with_areas(shapes: Geometries, areas: list[Any], like: list[int]) -> Geometries:
    """Geometries with more at the end, on the planes of others."""
    import shapely

    types, n_parts, n_rings, sizes, pools = [], [], [], [], [shapes.xy_px0]
    for area in areas:
        polygons = [p for p in getattr(area, "geoms", [area]) if p.geom_type == "Polygon"]
        types.append(GeometryType.POLYGON if len(polygons) == 1 else GeometryType.MULTI_POLYGON)
        n_parts.append(len(polygons))
        for polygon in polygons:
            rings = [polygon.exterior, *polygon.interiors]
            n_rings.append(len(rings))
            for ring in rings:
                pools.append(shapely.get_coordinates(ring))
                sizes.append(len(pools[-1]))
    return Geometries(
        type=np.append(shapes.type, np.array(types, np.uint8)),
        is_ellipse=np.append(shapes.is_ellipse, np.zeros(len(areas), np.bool_)),
        c=np.append(shapes.c, shapes.c[like]),
        z=np.append(shapes.z, shapes.z[like]),
        t=np.append(shapes.t, shapes.t[like]),
        part_offsets=_more(shapes.part_offsets, n_parts),
        ring_offsets=_more(shapes.ring_offsets, n_rings),
        vertex_offsets=_more(shapes.vertex_offsets, sizes),
        xy_px0=np.concatenate(pools),
    )


def _more(offsets: NDArray[np.int64], counts: list[int]) -> NDArray[np.int64]:
    return np.append(offsets, offsets[-1] + np.cumsum(counts, dtype=np.int64))
