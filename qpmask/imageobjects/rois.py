"""ROIs as QuPath stores them, in columns: one entry per ROI, per ring, per vertex."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from qpmask.common.frozen import dataclass
from qpmask.imageobjects.kinds import BOXES, GeometryType, RoiKind


class Outlines(NamedTuple):
    """Whose outlines are needed: of objects of these ``kinds``.

    Most of a file of cells is vertices, half of them those of nuclei: they are let go of as soon as
    they were read. Of a cell it is its own outline that is kept, or that of its nucleus if it has
    one and ``of_nuclei`` is said.
    """

    kinds: frozenset[int] = frozenset()
    of_nuclei: bool = False


NO_OUTLINES: Final = Outlines()
"""For who wants to know of objects and ROIs, but not where they are."""

_OF_ROIS: Final = ("kind", "c", "z", "t", "geometry_type", "is_empty")
_OF_RINGS: Final = ("ring_size", "ring_kind", "ring_part", "ring_is_hole")


@dataclass(frozen=True, eq=False, repr=False)
class Rois:
    """Regions of interest.

    A ROI owns rings ``ring_offsets[i]`` to ``ring_offsets[i + 1]``. The vertices of a ring are
    ``ring_first`` to ``ring_first + ring_size`` in ``vertices64_px0`` if the ROI is a GEOMETRY, in
    ``vertices32_px0`` otherwise. A RECTANGLE, an ELLIPSE and a LINE own no ring but a box.

    Attributes
    ----------
    kind : ndarray of uint8, shape (n_rois,)
        :class:`~.kinds.RoiKind`.
    c, z, t : ndarray of int32, shape (n_rois,)
        Channel (-1 for all), slice of the z-stack and time point.
    boxes_px0 : ndarray of float64, shape (n_boxes, 4)
        x, y, x2, y2 of the :data:`~.kinds.BOXES` among the ROIs, in their order. Of a RECTANGLE
        and an ELLIPSE the corners, sorted, as QuPath has them after reading:
        ``x2 = x + (x2 - x)``, which can differ from what is stored in the last bit. Of a LINE its
        ends, not sorted.
    geometry_type : ndarray of uint8, shape (n_rois,)
        Of a GEOMETRY the :class:`~.kinds.GeometryType` of the whole; 0 for other kinds.
    is_empty : ndarray of bool, shape (n_rois,)
        Whether it has no box and no vertex of numbers, its outline kept or not: nothing is drawn.
    ring_offsets : ndarray of int64, shape (n_rois + 1,)
        First ring of each ROI. A ROI whose outline was not asked for has none.
    ring_first : ndarray of int64, shape (n_rings,)
        First vertex of each ring in its pool.
    ring_size : ndarray of int64, shape (n_rings,)
        Number of vertices of each ring. All the points of a MultiPoint are one ring.
    ring_kind : ndarray of uint8, shape (n_rings,)
        :class:`~.kinds.RingKind`.
    ring_part : ndarray of int32, shape (n_rings,)
        Number of the polygon, line or point within its ROI, counted from 0. The outer ring of a
        polygon and its holes share it.
    ring_is_hole : ndarray of bool, shape (n_rings,)
        Whether the ring is a hole of its polygon. The rings of an AREA do not say: False.
    vertices32_px0 : ndarray of float32, shape (n, 2)
        Vertices of POLYGON, POLYLINE, POINTS and AREA ROIs, as stored.
    vertices64_px0 : ndarray of float64, shape (m, 2)
        Vertices of GEOMETRY ROIs as stored: not rounded, and the last vertex of a ring repeats
        the first one.
    """

    kind: npt.NDArray[np.uint8]
    c: npt.NDArray[np.int32]
    z: npt.NDArray[np.int32]
    t: npt.NDArray[np.int32]
    boxes_px0: npt.NDArray[np.float64]
    geometry_type: npt.NDArray[np.uint8]
    is_empty: npt.NDArray[np.bool_]
    ring_offsets: npt.NDArray[np.int64]
    ring_first: npt.NDArray[np.int64]
    ring_size: npt.NDArray[np.int64]
    ring_kind: npt.NDArray[np.uint8]
    ring_part: npt.NDArray[np.int32]
    ring_is_hole: npt.NDArray[np.bool_]
    vertices32_px0: npt.NDArray[np.float32]
    vertices64_px0: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.kind)

    def __repr__(self) -> str:
        return f"<Rois: {len(self):,}>"

    @property
    def ring_in_64(self) -> npt.NDArray[np.bool_]:
        """Whether the vertices of each ring are in ``vertices64_px0``."""
        return np.repeat(self.kind == RoiKind.GEOMETRY, np.diff(self.ring_offsets))

    @property
    def is_box(self) -> npt.NDArray[np.bool_]:
        """Whether each ROI is one of :data:`~.kinds.BOXES`."""
        return np.isin(self.kind, BOXES)

    def boxes_of(self, which: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float64]:
        """x, y, x2, y2 of these ROIs, by their numbers; each of them is a box."""
        number = np.cumsum(self.is_box, dtype=np.int32) - 1
        boxes: npt.NDArray[np.float64] = self.boxes_px0[number[which]]
        return boxes

    @property
    def box_px0(self) -> npt.NDArray[np.float64]:
        """x, y, x2, y2 of each ROI, shape (n_rois, 4), as in ``boxes_px0``; NaN for other kinds."""
        boxes = np.full((len(self), 4), np.nan)
        boxes[self.is_box] = self.boxes_px0
        return boxes

    @property
    def is_point(self) -> npt.NDArray[np.bool_]:
        """Whether each ROI is made of points: as QuPath's ``ROI.isPoint``."""
        return self._is((RoiKind.POINTS,), (GeometryType.POINT, GeometryType.MULTI_POINT))

    @property
    def is_line(self) -> npt.NDArray[np.bool_]:
        """Whether each ROI is made of lines: as QuPath's ``ROI.isLine``."""
        types = GeometryType.LINE, GeometryType.MULTI_LINE
        return self._is((RoiKind.LINE, RoiKind.POLYLINE), types)

    def _is(self, kinds: Sequence[int], types: Sequence[int]) -> npt.NDArray[np.bool_]:
        return np.isin(self.kind, kinds) | np.isin(self.geometry_type, types)

    def rings(self, roi: int) -> Iterator[npt.NDArray[np.float32] | npt.NDArray[np.float64]]:
        """Yield the vertices of each ring of a ROI, as views of shape (n, 2)."""
        pool = self.vertices64_px0 if self.kind[roi] == RoiKind.GEOMETRY else self.vertices32_px0
        for ring in range(self.ring_offsets[roi], self.ring_offsets[roi + 1]):
            first = self.ring_first[ring]
            yield pool[first : first + self.ring_size[ring]]

    def only(self, keep: npt.NDArray[np.bool_]) -> Rois:
        """The ROIs to ``keep``, bool (n_rois,), alone, in their order."""
        if keep.all():
            return self
        n_rings = np.diff(self.ring_offsets)
        kept = np.repeat(keep, n_rings)
        at = np.flatnonzero(keep)  # faster for several columns
        parts = {name: getattr(self, name)[at] for name in _OF_ROIS}
        if not kept.all():
            parts |= {name: getattr(self, name)[kept] for name in _OF_RINGS}
            in_64, parts["ring_first"] = self.ring_in_64, np.zeros(kept.sum(), np.int64)
            for name, mine in (("vertices32_px0", ~in_64), ("vertices64_px0", in_64)):
                parts[name] = getattr(self, name)[np.repeat(kept[mine], self.ring_size[mine])]
                sizes = self.ring_size[kept & mine]
                parts["ring_first"][mine[kept]] = np.cumsum(sizes) - sizes
        return replace(
            self,
            boxes_px0=self.boxes_px0[keep[self.is_box]],
            ring_offsets=np.append(0, np.cumsum(n_rings[keep])),
            **parts,
        )

    @cached_property
    def bounds_px0(self) -> npt.NDArray[np.float64]:
        """x, y, x2, y2 of the box around each ROI, shape (n_rois, 4); NaN if it is empty.

        Vertices that are NaN do not count, as in QuPath. The box of a GEOMETRY is that of the
        stored vertices; QuPath's is that of the rounded ones, which is the rounded box.
        """
        bounds = self.box_px0
        lines = np.flatnonzero(self.kind == RoiKind.LINE)
        starts, ends = bounds[lines, :2], bounds[lines, 2:]
        bounds[lines] = np.hstack([np.minimum(starts, ends), np.maximum(starts, ends)])
        n_vertices = np.diff(np.append(0, np.cumsum(self.ring_size))[self.ring_offsets])
        in_64 = self.kind == RoiKind.GEOMETRY
        for pool, mine in ((self.vertices32_px0, ~in_64), (self.vertices64_px0, in_64)):
            # ROIs follow one another in a pool. An axis at a time, copied, takes a third as long.
            rois = np.flatnonzero(mine & (n_vertices > 0))
            firsts = np.cumsum(n_vertices[rois]) - n_vertices[rois]
            for axis in (0, 1) if len(rois) else ():
                values = pool[:, axis].copy()
                # One kind of NaN for all: fmin and fmax drop what is before one that signals.
                values[np.isnan(values)] = np.nan
                bounds[rois, axis] = np.fmin.reduceat(values, firsts)
                bounds[rois, 2 + axis] = np.fmax.reduceat(values, firsts)
        return bounds
