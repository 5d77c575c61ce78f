"""What a data file holds, as columns: one entry per object, per ROI, per ring, per vertex.

Coordinates are (x, y) in px0, the pixels of the image at full resolution. There is no Python
object per vertex, and none per object but its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.kernel import wkb

NO_COLOR: Final = k.NO_COLOR
"""In a column of packed colours: none."""


class ObjectKind(IntEnum):
    """What an object is."""

    ANNOTATION = 0
    DETECTION = 1
    CELL = 2
    TILE = 3
    TMA_CORE = 4
    OTHER = 5


class RoiKind(IntEnum):
    """What a ROI is; each draws by a rule of its own."""

    POLYGON = 0
    RECTANGLE = 1
    ELLIPSE = 2
    LINE = 3
    POLYLINE = 4
    POINTS = 5
    GEOMETRY = 6
    AREA = 7


class RingKind(IntEnum):
    """What a ring is part of; the numbers are those of well-known binary."""

    POINT = wkb.POINT
    LINE = wkb.LINE_STRING
    POLYGON = wkb.POLYGON


BOXES: Final = (RoiKind.RECTANGLE, RoiKind.ELLIPSE, RoiKind.LINE)
"""What has a box and no ring."""


@dataclass(frozen=True)
class PathClassName:
    """A classification.

    Attributes
    ----------
    name : str
        Full name; the parts of a derived class are joined as in ``Tumor: Positive``.
    color_argb : int or None
        Packed colour as Java's signed int, alpha in the highest byte, or None. The class list of
        the project goes before it.
    """

    name: str
    color_argb: int | None


@dataclass(frozen=True)
class Outlines:
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
        :class:`RoiKind`.
    c, z, t : ndarray of int32, shape (n_rois,)
        Channel (-1 for all), slice of the z-stack and time point.
    boxes_px0 : ndarray of float64, shape (n_boxes, 4)
        x, y, x2, y2 of the :data:`BOXES` among the ROIs, in their order. Of a RECTANGLE and an
        ELLIPSE the corners, sorted, as QuPath has them after reading: ``x2 = x + (x2 - x)``, which
        can differ from what is stored in the last bit. Of a LINE its ends, not sorted.
    geometry_type : ndarray of uint8, shape (n_rois,)
        Of a GEOMETRY the type of the whole in well-known binary: 1 Point, 2 LineString,
        3 Polygon, 4 MultiPoint, 5 MultiLineString, 6 MultiPolygon, 7 GeometryCollection.
        0 for other kinds.
    is_empty : ndarray of bool, shape (n_rois,)
        Whether it has no box and no vertex of numbers, its outline kept or not: nothing is drawn.
    ring_offsets : ndarray of int64, shape (n_rois + 1,)
        First ring of each ROI. A ROI whose outline was not asked for has none.
    ring_first : ndarray of int64, shape (n_rings,)
        First vertex of each ring in its pool.
    ring_size : ndarray of int64, shape (n_rings,)
        Number of vertices of each ring. All the points of a MultiPoint are one ring.
    ring_kind : ndarray of uint8, shape (n_rings,)
        :class:`RingKind`.
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
        """Whether each ROI is one of :data:`BOXES`."""
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
        return self._is((RoiKind.POINTS,), (wkb.POINT, wkb.MULTI_POINT))

    @property
    def is_line(self) -> npt.NDArray[np.bool_]:
        """Whether each ROI is made of lines: as QuPath's ``ROI.isLine``."""
        types = wkb.LINE_STRING, wkb.MULTI_LINE_STRING
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
        parts = {name: getattr(self, name)[keep] for name in _OF_ROIS}
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
            # ROIs follow one another in a pool. An axis at a time, which takes half as long.
            rois = np.flatnonzero(mine & (n_vertices > 0))
            firsts = np.cumsum(n_vertices[rois]) - n_vertices[rois]
            for axis in (0, 1) if len(rois) else ():
                values = pool[:, axis]
                nan = np.isnan(values)
                if (
                    nan.any()
                ):  # quiet ones for all: fmin and fmax drop what is before one that signals
                    values = np.where(nan, np.nan, values)
                bounds[rois, axis] = np.fmin.reduceat(values, firsts)
                bounds[rois, 2 + axis] = np.fmax.reduceat(values, firsts)
        return bounds


@dataclass(frozen=True, eq=False)
class ObjectDetails:
    """What objects carry beside their shape and class, for those who ask for it (GeoJSON).

    Attributes
    ----------
    color_argb : ndarray of int64, shape (n_objects,)
        Packed colour as Java's signed int, or :data:`NO_COLOR`.
    names : tuple of str
        What is measured.
    offsets : ndarray of int64, shape (n_objects + 1,)
        First measurement of each object.
    name : ndarray of int32, shape (n_measurements,)
        Number in ``names``.
    value : ndarray of float64, shape (n_measurements,)
        The measurement; of a list of single precision as Java makes a double of it.
    metadata : dict of int to dict of str to str
        Metadata but the id, of the objects that have any.
    """

    color_argb: npt.NDArray[np.int64]
    names: tuple[str, ...]
    offsets: npt.NDArray[np.int64]
    name: npt.NDArray[np.int32]
    value: npt.NDArray[np.float64]
    metadata: dict[int, dict[str, str]]


@dataclass(frozen=True, eq=False, repr=False)
class ImageObjects:
    """The objects of one image, in the order in which QuPath's ``getDescendantObjects`` visits.

    An object comes after its parent and before its parent's next child; the root is left out.

    Attributes
    ----------
    version : int
        Version of the data file: 2 (QuPath 0.2) or 3 (0.3 to 0.7).
    server : str
        How the image is opened: JSON (version 3), or ``Image path: ...`` (version 2).
    image_type : str or None
        QuPath's image type, such as ``BRIGHTFIELD_H_E``.
    kind : ndarray of uint8, shape (n_objects,)
        :class:`ObjectKind`.
    parent : ndarray of int32, shape (n_objects,)
        Number of the parent, -1 for the root.
    class_index : ndarray of int32, shape (n_objects,)
        Number in ``classes``, -1 for no class (or QuPath's class without a name).
    locked : ndarray of bool, shape (n_objects,)
        Whether the object is locked.
    roi : ndarray of int32, shape (n_objects,)
        Number in ``rois``, -1 for none.
    nucleus_roi : ndarray of int32, shape (n_objects,)
        Number in ``rois`` of a cell's nucleus, -1 for none.
    missing : ndarray of bool, shape (n_objects,)
        Whether the object is a TMA core that is marked as missing.
    names : tuple of (str or None)
        Name of each object.
    ids : ndarray of bytes (S36), shape (n_objects,)
        UUID of each object in lower case, or empty (QuPath 0.2 and 0.3 stored none).
    classes : tuple of PathClassName
        The classes in use, in the order in which they were found.
    rois : Rois
        The regions of interest.
    details : ObjectDetails or None
        What else the objects carry, where that was asked for.
    """

    version: int
    server: str
    image_type: str | None
    kind: npt.NDArray[np.uint8]
    parent: npt.NDArray[np.int32]
    class_index: npt.NDArray[np.int32]
    locked: npt.NDArray[np.bool_]
    roi: npt.NDArray[np.int32]
    nucleus_roi: npt.NDArray[np.int32]
    missing: npt.NDArray[np.bool_]
    names: tuple[str | None, ...]
    ids: npt.NDArray[np.bytes_]
    classes: tuple[PathClassName, ...]
    rois: Rois
    details: ObjectDetails | None = None

    def __len__(self) -> int:
        return len(self.kind)

    def __repr__(self) -> str:
        return f"<ImageObjects: {len(self):,} of {len(self.classes):,} classes>"

    def id_of(self, index: int) -> str | None:
        """UUID of an object as text, or None."""
        return bytes(self.ids[index]).decode("ascii") or None

    def class_of(self, index: int) -> PathClassName | None:
        """Class of an object, or None if it has none."""
        number = int(self.class_index[index])
        return None if number < 0 else self.classes[number]
