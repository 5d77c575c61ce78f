"""The objects that a job draws in one plane of the mask: objects -> shapes.

In: the ROIs of a data file (:mod:`qpmask.qpdata`) and :class:`~qpmask.engines.draworder.Drawn`.
Out: :class:`~.shapes.Shapes`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.common.ragged import items_at, offsets_of
from qpmask.engines.draworder import Drawn
from qpmask.engines.native.shapes import Kind, Shapes
from qpmask.errors import UnsupportedByEngineError
from qpmask.imageobjects import ImageObjects, RoiKind, Rois

_GEOMETRY_COLLECTION = 7


def shapes_of_plane(
    rois: Rois,
    drawn: Drawn,
    plane: tuple[int, int, int],
    grid: float | None,
    describe: Callable[[int], str],
) -> Shapes:
    """Shapes of one plane.

    Parameters
    ----------
    rois : Rois
    drawn : Drawn
        What the job draws.
    plane : tuple of int
        Its z, t and channel.
    grid : float or None
        Step in px0 to which geometries are rounded; see :meth:`.Shapes.geometries`.
    describe : callable
        Turns the row of an object into words for a message.
    """
    z, t, channel = plane
    here = (rois.z[drawn.roi] == z) & (rois.t[drawn.roi] == t) & (drawn.channel == channel)
    here &= ~rois.is_empty[drawn.roi]
    at = np.flatnonzero(here)
    kinds = rois.kind[drawn.roi[at]]
    types = rois.geometry_type[drawn.roi[at]]
    is_line, is_point = rois.is_line[drawn.roi[at]], rois.is_point[drawn.roi[at]]
    collections = at[types == _GEOMETRY_COLLECTION]
    if len(collections):
        raise UnsupportedByEngineError(
            f"{describe(int(drawn.row[collections[0]]))} is a collection of unlike "
            "geometries, which only the QuPath engine draws.",
            hint="Use --engine qupath, or split the object in QuPath.",
        )
    is_geometry = kinds == RoiKind.GEOMETRY
    parts = []
    for chosen, kind in (
        (np.isin(kinds, (RoiKind.POLYGON, RoiKind.AREA)), Kind.POLYGON),
        (kinds == RoiKind.POLYLINE, Kind.POLYLINE),
    ):
        if chosen.any():
            parts.append(_rings(rois, drawn, at[chosen], kind))
    for chosen, kind in (
        (is_geometry & ~is_line & ~is_point, Kind.GEOMETRY),
        (is_geometry & is_line, Kind.POLYLINE),
    ):
        if chosen.any():
            parts.append(_geometries(rois, drawn, at[chosen], kind, grid))
    for roi_kind, kind in (
        (RoiKind.RECTANGLE, Kind.RECTANGLE),
        (RoiKind.ELLIPSE, Kind.ELLIPSE),
        (RoiKind.LINE, Kind.LINE),
    ):
        rows = at[kinds == roi_kind]
        if len(rows):
            columns = _columns(drawn, rows)
            parts.append(Shapes.boxes(kind, rois.boxes_of(drawn.roi[rows]), **columns))
    if is_point.any():
        parts.append(_points(rois, drawn, at[is_point], grid))
    return Shapes.concatenate(parts)


def describe(objects: ImageObjects, row: int) -> str:
    """An object in words, for messages."""
    path_class = objects.class_of(row)
    name = objects.names[row]
    words = ["Object" if name is None else f"Object {name!r}"]
    if path_class is not None:
        words.append(f"of class {path_class.name!r}")
    found = objects.id_of(row)
    words.append(f"(id {found})" if found else f"(number {row + 1} in the data file)")
    return " ".join(words)


def _columns(drawn: Drawn, rows: NDArray[np.int64]) -> dict[str, Any]:
    if len(rows) == len(drawn.row):  # all of them, in their order: no copies
        return {"label": drawn.label, "order": drawn.order, "source": drawn.row}
    return {"label": drawn.label[rows], "order": drawn.order[rows], "source": drawn.row[rows]}


def _gather(
    rois: Rois, roi: NDArray[np.int32], pool: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
    """Vertices of these ROIs one after the other.

    Returns
    -------
    vertices : ndarray
        Of the pool; a view where they follow one another there.
    vertex_start, ring_start : ndarray of int64
        As in :class:`.Shapes`.
    """
    n_rings = rois.ring_offsets[roi + 1] - rois.ring_offsets[roi]
    rings = items_at(rois.ring_offsets[roi], n_rings)
    first, starts = rois.ring_first[rings], offsets_of(rois.ring_size[rings])
    del rings
    if len(first) and (first == first[0] + starts[:-1]).all():
        return pool[first[0] : first[0] + starts[-1]], starts, offsets_of(n_rings)
    return pool[items_at(first, np.diff(starts))], starts, offsets_of(n_rings)


def _rings(rois: Rois, drawn: Drawn, rows: NDArray[np.int64], kind: Kind) -> Shapes:
    xy, vertex_start, ring_start = _gather(rois, drawn.roi[rows], rois.vertices32_px0)
    return Shapes.rings(kind, xy, vertex_start, ring_start=ring_start, **_columns(drawn, rows))


def _geometries(
    rois: Rois, drawn: Drawn, rows: NDArray[np.int64], kind: Kind, grid: float | None
) -> Shapes:
    xy, vertex_start, ring_start = _gather(rois, drawn.roi[rows], rois.vertices64_px0)
    return Shapes.geometries(
        xy, vertex_start, ring_start, grid=grid, kind=kind, **_columns(drawn, rows)
    )


def _points(rois: Rois, drawn: Drawn, rows: NDArray[np.int64], grid: float | None) -> Shapes:
    from qpmask.engines.native.shapes import round_to_grid

    parts = []
    from_geometry = rois.kind[drawn.roi[rows]] == RoiKind.GEOMETRY
    for chosen, pool in (
        (rows[~from_geometry], rois.vertices32_px0),
        (rows[from_geometry], rois.vertices64_px0),
    ):
        if not len(chosen):
            continue
        points, vertex_start, ring_start = _gather(rois, drawn.roi[chosen], pool)
        points = points.astype(np.float64)
        if pool is rois.vertices64_px0 and grid is not None:
            points = round_to_grid(points, grid)
        starts = vertex_start[ring_start]
        parts.append(Shapes.point_sets(points, starts, **_columns(drawn, chosen)))
    return Shapes.concatenate(parts)
