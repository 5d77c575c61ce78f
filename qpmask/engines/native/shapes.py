"""Shapes to draw, as columns: QuPath's ROIs of one plane, with a label and a place in the order.

In: vertices and boxes in px0 (full resolution), as QuPath stores them. Out: :class:`Shapes`, a
frozen record of arrays. There is no Python object for a shape or a vertex, so 200,000 cells cost
their coordinates and little else.

Build one :class:`Shapes` for each kind of ROI, then :meth:`Shapes.concatenate` them. The rows
may come in any order: ``order`` says which shape overwrites which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qpmask import jit
from qpmask.engines.native.library import LIBRARY
from qpmask.errors import UnsupportedByEngineError

NO_FILL = -1
"""Label of an area that is not filled: it takes part in boundaries only."""

MOST_PX0 = 2**24
"""How far from the origin an object may reach: as far as float32 holds whole numbers."""

GRID = 0.01
"""QuPath 0.6 and later keep geometries on a grid of 1/100 pixel when they read a project."""


class Kind(IntEnum):
    """What a row of :class:`Shapes` is, by what QuPath draws for it."""

    POLYGON = 0
    """Closed rings, float32, filled by the non-zero rule (PolygonROI, AreaROI)."""
    GEOMETRY = 1
    """Closed rings, filled by the even-odd rule (GeometryROI of an area)."""
    RECTANGLE = 2
    ELLIPSE = 3
    LINE = 4
    POLYLINE = 5
    """One or more open paths (PolylineROI, GeometryROI of lines)."""
    POINTS = 6


AREAS = (Kind.POLYGON, Kind.GEOMETRY, Kind.RECTANGLE, Kind.ELLIPSE)
LINES = (Kind.LINE, Kind.POLYLINE)


@dataclass(frozen=True, eq=False)
class Shapes:
    """The shapes of one plane.

    Attributes
    ----------
    kind : uint8 array (n,)
        A :class:`Kind`.
    label : int32 array (n,)
        Value to draw, 0 or more, or :data:`NO_FILL`.
    order : int32 array (n,)
        Later overwrites earlier; ties are drawn in the order of the rows.
    source : int64 array (n,)
        The caller's own number of the object, for messages.
    box : float64 array (n, 4)
        Rectangles and ellipses: x, y, x2, y2; lines: x1, y1, x2, y2; others: their bounds. px0.
    ring_start : int64 array (n + 1,)
        Rings (or open paths) of shape i are ``ring_start[i]`` to ``ring_start[i + 1]``.
    vertex_start : int64 array (rings + 1,)
        Vertices of ring j, without a closing point. For points, an index into ``points``.
    xy : float32 array (vertices, 2)
        px0.
    point_start : int64 array (n + 1,)
        Points of shape i.
    points : float64 array (points, 2)
        px0.
    """

    kind: NDArray[np.uint8]
    label: NDArray[np.int32]
    order: NDArray[np.int32]
    source: NDArray[np.int64]
    box: NDArray[np.float64]
    ring_start: NDArray[np.int64]
    vertex_start: NDArray[np.int64]
    xy: NDArray[np.float32]
    point_start: NDArray[np.int64]
    points: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.kind)

    @classmethod
    def empty(cls) -> Shapes:
        """Nothing to draw."""
        return cls.boxes(Kind.RECTANGLE, np.empty((0, 4)), [], [])

    @classmethod
    def rings(
        cls,
        kind: Kind,
        xy: ArrayLike,
        vertex_start: ArrayLike,
        label: ArrayLike,
        order: ArrayLike,
        *,
        ring_start: ArrayLike | None = None,
        source: ArrayLike | None = None,
    ) -> Shapes:
        """Polygons, areas or polylines from float32 vertices.

        Parameters
        ----------
        kind : Kind
            ``POLYGON``, ``POLYLINE`` or, for vertices that are float32 already, ``GEOMETRY``.
        xy : float32 array (vertices, 2)
            px0. A last vertex that repeats the first is kept and does no harm.
        vertex_start : int array (rings + 1,)
            Where each ring starts, and the number of vertices.
        label, order : int arrays (n,)
        ring_start : int array (n + 1,), optional
            Where each shape starts. Default: each ring is a shape.
        source : int array (n,), optional
            Default: the row number.

        Returns
        -------
        Shapes
            Bounds are QuPath's: of all vertices.
        """
        vertices = np.ascontiguousarray(xy, np.float32).reshape(-1, 2)
        starts = np.ascontiguousarray(vertex_start, np.int64)
        shapes = (
            np.arange(len(starts), dtype=np.int64)
            if ring_start is None
            else np.ascontiguousarray(ring_start, np.int64)
        )
        box = np.empty((len(shapes) - 1, 4))
        ring_bounds(vertices, starts[shapes], box)
        return cls._of(kind, box, label, order, source, rings=(shapes, starts, vertices))

    @classmethod
    def geometries(
        cls,
        xy: ArrayLike,
        vertex_start: ArrayLike,
        ring_start: ArrayLike,
        label: ArrayLike,
        order: ArrayLike,
        *,
        grid: float | None = GRID,
        kind: Kind = Kind.GEOMETRY,
        source: ArrayLike | None = None,
    ) -> Shapes:
        """Geometries from float64 rings (WKB), rounded as QuPath rounds them.

        Parameters
        ----------
        xy : float64 array (vertices, 2)
            px0, with or without closing points.
        vertex_start, ring_start, label, order, source
            As for :meth:`rings`; ``ring_start`` counts outer rings and holes alike.
        grid : float or None
            Step in px0 of the grid that coordinates are rounded to when read. Default 0.01, QuPath
            0.6 and later; ``None`` for 0.5 and earlier.
        kind : Kind
            ``GEOMETRY`` (areas) or ``POLYLINE`` (lines).
        """
        vertices = np.ascontiguousarray(xy, np.float64).reshape(-1, 2)
        if grid is not None:
            vertices = round_to_grid(vertices, grid)
        starts = np.ascontiguousarray(vertex_start, np.int64)
        shapes = np.ascontiguousarray(ring_start, np.int64)
        box = _bounds(vertices, starts[shapes])
        vertices, starts = _without_repeats(vertices, starts, closed=kind is Kind.GEOMETRY)
        with np.errstate(over="ignore"):  # what is too far away is refused below
            rings = (shapes, starts, np.ascontiguousarray(vertices, np.float32))
        return cls._of(kind, box, label, order, source, rings=rings)

    @classmethod
    def boxes(
        cls,
        kind: Kind,
        box: ArrayLike,
        label: ArrayLike,
        order: ArrayLike,
        *,
        source: ArrayLike | None = None,
    ) -> Shapes:
        """Rectangles and ellipses from x, y, x2, y2, or lines from x1, y1, x2, y2.

        QuPath keeps the far corner as x2 = x + width, in float64; give it that way.
        """
        corners = np.array(box, np.float64).reshape(-1, 4)
        if kind is not Kind.LINE:
            corners = np.hstack(
                [
                    np.minimum(corners[:, :2], corners[:, 2:]),
                    np.maximum(corners[:, :2], corners[:, 2:]),
                ]
            )
        return cls._of(kind, corners, label, order, source)

    @classmethod
    def point_sets(
        cls,
        points: ArrayLike,
        point_start: ArrayLike,
        label: ArrayLike,
        order: ArrayLike,
        *,
        source: ArrayLike | None = None,
    ) -> Shapes:
        """Sets of points; ``point_start`` (n + 1,) says where each set starts in ``points``.

        Points that are not a number are left out, as QuPath leaves them out.
        """
        xy = np.ascontiguousarray(points, np.float64).reshape(-1, 2)
        keep = ~np.isnan(xy).any(axis=1)
        starts = np.concatenate([[0], np.cumsum(keep)])[np.asarray(point_start, np.int64)]
        xy = xy[keep]
        return cls._of(Kind.POINTS, _bounds(xy, starts), label, order, source, points=(starts, xy))

    @classmethod
    def concatenate(cls, parts: Sequence[Shapes]) -> Shapes:
        """All shapes of ``parts``, in that order."""
        if not parts:
            return cls.empty()
        if len(parts) == 1:
            return parts[0]
        columns: dict[str, NDArray[np.generic]] = {}
        for field in fields(cls):
            arrays = [getattr(part, field.name) for part in parts]
            if field.name.endswith("_start"):
                ends = np.cumsum([0] + [array[-1] for array in arrays])
                arrays = [a[:-1] + end for a, end in zip(arrays, ends, strict=False)]
                arrays.append(np.array([ends[-1]], np.int64))
            columns[field.name] = np.concatenate(arrays)
        return cls(**columns)  # type: ignore[arg-type]

    def bounds(self) -> NDArray[np.float64]:
        """QuPath's bounds (n, 4): min x, min y, max x, max y in px0, as its tile cache has them.

        The maximum is minimum + (maximum - minimum), rounded as QuPath rounds it.
        """
        bounds = np.empty_like(self.box)
        for axis in range(2):
            one, other = self.box[:, axis], self.box[:, 2 + axis]
            low = np.minimum(one, other)
            bounds[:, axis] = low
            bounds[:, 2 + axis] = (np.maximum(one, other) - low) + low
        return bounds

    @classmethod
    def _of(
        cls,
        kind: Kind,
        box: NDArray[np.float64],
        label: ArrayLike,
        order: ArrayLike,
        source: ArrayLike | None,
        rings: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]] | None = None,
        points: tuple[NDArray[np.int64], NDArray[np.float64]] | None = None,
    ) -> Shapes:
        n = len(box)
        if rings is None:
            rings = np.zeros(n + 1, np.int64), np.zeros(1, np.int64), np.empty((0, 2), np.float32)
        if points is None:
            points = np.zeros(n + 1, np.int64), np.empty((0, 2))
        shapes = cls(
            kind=np.full(n, kind, np.uint8),
            label=np.broadcast_to(np.asarray(label, np.int32), (n,)),
            order=np.broadcast_to(np.asarray(order, np.int32), (n,)),
            source=np.arange(n) if source is None else np.asarray(source, np.int64),
            box=box,
            ring_start=rings[0],
            vertex_start=rings[1],
            xy=rings[2],
            point_start=points[0],
            points=points[1],
        )
        if not n or (box.min() >= -MOST_PX0 and box.max() <= MOST_PX0):
            return shapes
        # NaN bounds are those of a shape without vertices, which is drawn by nobody.
        empty = (np.diff(rings[0]) == 0) & (np.diff(points[0]) == 0)
        if kind in (Kind.RECTANGLE, Kind.ELLIPSE, Kind.LINE):
            empty[:] = False
        elif kind is not Kind.POINTS:
            empty |= rings[1][rings[0][1:]] == rings[1][rings[0][:-1]]
        # Kernels count on it: they check no index. Infinity and NaN are greater, too.
        bad = ~(np.abs(box) <= MOST_PX0).all(axis=1) & ~empty
        if bad.any():
            raise UnsupportedByEngineError(
                f"Object {shapes.source[bad][0]} ({kind.name.lower()}) has coordinates that are "
                f"not numbers or lie beyond {MOST_PX0:,} pixels.",
                hint="Remove it in QuPath, or use --engine qupath.",
            )
        return shapes


def round_to_grid(values: NDArray[np.float64], grid: float) -> NDArray[np.float64]:
    """Java's ``Math.round(v / grid) * grid``: to the nearest step, halves up.

    That is what JTS does for ``PrecisionModel(-0.01)``; ``Math.round(v * 100) / 100`` differs from
    it in one of forty values that lie halfway between two steps.
    """
    scaled = values / grid
    whole = np.floor(scaled)
    whole += scaled - whole >= 0.5
    return whole * grid


@LIBRARY.entry
def ring_bounds(xy: jit.F32_2D, start: jit.I64_1D, box: jit.F64_2D) -> None:
    """Write min and max of each group of vertices into ``box``; NaN where one is no number."""
    for i in range(len(box)):
        low_x = low_y = np.inf
        high_x = high_y = -np.inf
        strange = np.float32(0)
        for at in range(start[i], start[i + 1]):
            x, y = xy[at, 0], xy[at, 1]
            low_x, high_x = min(low_x, np.float64(x)), max(high_x, np.float64(x))
            low_y, high_y = min(low_y, np.float64(y)), max(high_y, np.float64(y))
            strange += (x - x) + (y - y)  # NaN and infinity are not 0 then
        if strange != 0 or start[i] == start[i + 1]:
            low_x = low_y = high_x = high_y = np.nan
        box[i, 0], box[i, 1], box[i, 2], box[i, 3] = low_x, low_y, high_x, high_y


def _bounds(xy: NDArray[np.float64], start: NDArray[np.int64]) -> NDArray[np.float64]:
    """Min and max of each group of vertices; NaN where a group is empty."""
    box = np.full((len(start) - 1, 4), np.nan)
    some = np.flatnonzero(np.diff(start))
    for axis in (0, 1) if len(some) else ():  # one at a time, which takes half as long
        box[some, axis] = np.minimum.reduceat(xy[:, axis], start[some])
        box[some, 2 + axis] = np.maximum.reduceat(xy[:, axis], start[some])
    return box


def _without_repeats(
    xy: NDArray[np.float64], start: NDArray[np.int64], *, closed: bool
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Drop closing points and points that repeat the one before, as QuPath's JTS does."""
    if not len(xy):
        return xy, start
    first, end = start[:-1][np.diff(start) > 0], start[1:][np.diff(start) > 0]
    keep = np.ones(len(xy), np.bool_)
    keep[1:] = (xy[1:] != xy[:-1]).any(axis=1)
    keep[first] = True
    if closed:
        closing = (end - first > 1) & (xy[first] == xy[end - 1]).all(axis=1)
        keep[end[closing] - 1] = False
    else:
        keep[end - 1] = True
    kept = np.concatenate([[0], np.cumsum(keep)])
    return xy[keep], kept[start]
