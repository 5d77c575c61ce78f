"""QuPath's ROIs, from the values of the stream into columns.

QuPath stores a ROI as a stand-in, ``<class>$SerializationProxy``, with the plane and the
coordinates as fields (``writeReplace`` in ``qupath.lib.roi``).
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from qpmask.qpdata import wkb
from qpmask.qpdata.bytereader import ByteReader
from qpmask.qpdata.gather import Growing, gather, rows_at
from qpmask.qpdata.javavalues import JavaObject, ObjectArray, PrimitiveArray
from qpmask.qpdata.lanedata import LaneData
from qpmask.qpdata.model import RingKind, RoiKind, Rois
from qpmask.qpdata.wkbmany import read_polygons

_PACKAGE: Final = "qupath.lib.roi."
_KINDS: Final = {
    "PolygonROI$SerializationProxy": RoiKind.POLYGON,
    "RectangleROI$SerializationProxy": RoiKind.RECTANGLE,
    "EllipseROI$SerializationProxy": RoiKind.ELLIPSE,
    "LineROI$SerializationProxy": RoiKind.LINE,
    "PolylineROI$SerializationProxy": RoiKind.POLYLINE,
    "PointsROI$SerializationProxy": RoiKind.POINTS,
    "GeometryROI$WKBSerializationProxy": RoiKind.GEOMETRY,
    "AreaROI$SerializationProxy": RoiKind.AREA,
}
BOXES: Final = frozenset({RoiKind.RECTANGLE, RoiKind.ELLIPSE, RoiKind.LINE})
_FLOATS: Final = frozenset({RoiKind.POLYGON, RoiKind.POLYLINE, RoiKind.POINTS})
_RING_KINDS: Final = {
    RoiKind.POLYGON: RingKind.POLYGON,
    RoiKind.POLYLINE: RingKind.LINE,
    RoiKind.POINTS: RingKind.POINT,
    RoiKind.AREA: RingKind.POLYGON,
}
#: Order of the fields of a box in the file.
BOX_FIELDS: Final = ("x", "x2", "y", "y2")
BOX_BYTES: Final = 32

#: How many times the size of the file its coordinates may take; files of QuPath stay below 1.
_MAX_REUSE: Final = 4

_PLANE: Final = struct.Struct("=3i")


def roi_kind(class_name: str) -> RoiKind | None:
    """Tell what ROI a class stores."""
    found = class_name.startswith(_PACKAGE)
    return _KINDS.get(class_name.removeprefix(_PACKAGE)) if found else None


class RoiTable:
    """Collects ROIs; :meth:`finish` makes the columns.

    Parameters
    ----------
    stream : ByteReader
        Where the ROIs come from: its data, and its errors.
    """

    def __init__(self, stream: ByteReader) -> None:
        self._stream = stream
        self._kind = bytearray()
        self._plane = bytearray()  # c, z, t as int32
        self._n_rings = array("q")
        self._box_rois = array("q")
        self._boxes = bytearray()
        self._geometry_types = bytearray()
        self._geometry_rois = array("q")
        self._ring_size = array("q")
        # Rings of a geometry or an area say more than their ROI does.
        self._special_rings = array("q")
        self._special_kind = bytearray()
        self._special_part = array("i")
        self._special_hole = bytearray()
        self._vertices32 = Growing(np.float32, 2)
        self._room = np.empty(0, np.uint8)
        self._xy64 = bytearray()
        # The values that were added, so that a shared ROI is added once.
        self._known: dict[int, tuple[JavaObject, int]] = {}
        # Coordinates that are referred to again and again could fill the memory.
        self._budget_bytes = _MAX_REUSE * stream.size + 2**20

    def __len__(self) -> int:
        return len(self._kind)

    # ------------------------------------------------------------ from a value

    def add_value(self, value: object) -> int:
        """Add a ROI that was read in full; give its number, -1 for null."""
        if value is None:
            return -1
        if not isinstance(value, JavaObject):
            raise self._stream.corrupt("an object has something else for a ROI")
        known = self._known.get(id(value))
        if known is not None:
            return known[1]
        kind = self._kind_of(value)
        number = self._begin(kind, [self._plane_number(value, name) for name in "czt"])
        if kind in BOXES:
            self._boxes += struct.pack(">4d", *(self._double(value, name) for name in BOX_FIELDS))
            self._box_rois.append(number)
            self._n_rings.append(0)
        elif kind is RoiKind.GEOMETRY:
            stored = self._array(value, "wkb", "B")
            self._add_wkb(number, stored.start, stored.length)
        elif kind is RoiKind.AREA:
            self._add_area(value)
        else:
            self._add_ring(self._array(value, "x", "F"), self._array(value, "y", "F"))
            self._n_rings.append(1)
        self._known[id(value)] = (value, number)
        return number

    def _kind_of(self, value: JavaObject) -> RoiKind:
        kind = roi_kind(value.desc.name)
        if kind is None:
            raise self._stream.unsupported(f"it holds a ROI of the unknown class {value.desc.name}")
        return kind

    def _plane_number(self, value: JavaObject, name: str) -> int:
        number = value.get(name)
        if not isinstance(number, int) or not -(2**31) <= number < 2**31:
            raise self._stream.corrupt("a ROI has no plane")
        return number

    def _double(self, value: JavaObject, name: str) -> float:
        number = value.get(name)
        if not isinstance(number, float):
            raise self._stream.corrupt("a ROI has no box")
        return number

    def _array(self, value: JavaObject, name: str, type_code: str) -> PrimitiveArray:
        return self._checked_array(value.get(name), type_code)

    def _checked_array(self, found: object, type_code: str) -> PrimitiveArray:
        if not isinstance(found, PrimitiveArray) or found.type_code != type_code:
            raise self._stream.corrupt("a ROI has no coordinates")
        return found

    # --------------------------------------------------------------- many at once

    def add_many(
        self,
        kind: RoiKind,
        planes: npt.NDArray[np.int32],
        places: npt.NDArray[np.int64],
        sizes: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.int64]:
        """Add many ROIs of one kind; give their numbers.

        Parameters
        ----------
        kind : RoiKind
            What they are; not an AREA.
        planes : ndarray of int32, shape (n, 3)
            c, z, t of each.
        places : ndarray of int64, shape (n, 2)
            Offset of the first x and the first y in the data; or of the geometry, or of the box.
        sizes : ndarray of int64, shape (n,)
            Number of vertices, or of the bytes of the geometry.
        """
        data = self._stream.data
        n_rois = len(sizes)
        if kind is RoiKind.GEOMETRY:
            return self._add_geometries(planes, places[:, 0], sizes)
        numbers = np.arange(len(self), len(self) + n_rois, dtype=np.int64)
        self._kind += bytes([kind]) * n_rois
        self._plane += planes.tobytes()
        self._n_rings.frombytes(np.full(n_rois, kind not in BOXES, np.int64).tobytes())
        if kind in BOXES:
            self._boxes += rows_at(data, BOX_BYTES)[places[:, 0]].tobytes()
            self._box_rois.frombytes(numbers.tobytes())
            return numbers
        self._spend(8 * int(sizes.sum()))
        n_vertices = int(sizes.sum())
        if len(self._room) < 4 * n_vertices:
            self._room = np.empty(4 * n_vertices, np.uint8)
        vertices = self._vertices32.add(n_vertices)
        for axis in range(2):
            stored = gather(data, places[:, axis], 4 * sizes, self._room)
            vertices[:, axis] = stored.view(">f4")
        self._ring_size.frombytes(sizes.tobytes())
        return numbers

    def _add_geometries(
        self,
        planes: npt.NDArray[np.int32],
        starts: npt.NDArray[np.int64],
        sizes: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.int64]:
        """Add many geometries: polygons at once, others one by one."""
        data = self._stream.data
        found = read_polygons(LaneData(data), starts, sizes)
        numbers = np.zeros(len(starts), np.int64)
        good = np.flatnonzero(found.good)
        numbers[good] = np.arange(len(self), len(self) + len(good))
        self._spend(int(sizes[good].sum()))
        self._kind += bytes([RoiKind.GEOMETRY]) * len(good)
        self._plane += planes[good].tobytes()
        self._geometry_rois.frombytes(numbers[good].tobytes())
        self._geometry_types += found.geometry_types.astype(np.uint8).tobytes()
        self._n_rings.frombytes(found.n_rings.astype(np.int64).tobytes())
        n_rings = len(found.places)
        self._special_rings.extend(range(len(self._ring_size), len(self._ring_size) + n_rings))
        self._special_kind += bytes([wkb.POLYGON]) * n_rings
        self._special_part.frombytes(found.parts.astype(np.int32).tobytes())
        self._special_hole += found.holes.tobytes()
        self._ring_size.frombytes(found.sizes.tobytes())
        self._xy64 += gather(data, found.places, 16 * found.sizes).data
        for index in np.flatnonzero(~found.good).tolist():
            numbers[index] = self._begin(RoiKind.GEOMETRY, planes[index].tolist())
            self._add_wkb(int(numbers[index]), int(starts[index]), int(sizes[index]))
        return numbers

    # ------------------------------------------------------------ into columns

    def _spend(self, n_bytes: int) -> None:
        self._budget_bytes -= n_bytes
        if self._budget_bytes < 0:
            raise self._stream.corrupt("many ROIs refer to the same coordinates")

    def _begin(self, kind: RoiKind, plane: Sequence[int]) -> int:
        number = len(self._kind)
        self._kind.append(kind)
        self._plane += _PLANE.pack(*plane)
        return number

    def _add_ring(self, x: PrimitiveArray, y: PrimitiveArray) -> None:
        if x.length != y.length:
            raise self._stream.corrupt("a ROI has not as many x as y")
        self._spend(8 * x.length)
        vertices = self._vertices32.add(x.length)
        for axis, stored in enumerate((x, y)):
            raw = self._stream.data[stored.start : stored.end]
            vertices[:, axis] = np.frombuffer(raw, ">f4")
        self._ring_size.append(x.length)

    def _add_wkb(self, number: int, start: int, n_bytes: int) -> None:
        self._spend(n_bytes)
        try:
            rings = wkb.read_wkb(self._stream.data[start : start + n_bytes])
        except wkb.WkbError as error:
            raise self._stream.corrupt(f"a geometry makes no sense: {error}") from error
        first = len(self._ring_size)
        self._special_rings.extend(range(first, first + len(rings.sizes)))
        self._special_kind += bytes(rings.types)
        self._special_part.extend(rings.parts)
        self._special_hole += bytes(rings.holes)
        self._ring_size.extend(rings.sizes)
        for xy in rings.xy:
            self._xy64 += xy
        self._geometry_rois.append(number)
        self._geometry_types.append(rings.geometry_type)
        self._n_rings.append(len(rings.sizes))

    def _add_area(self, value: JavaObject) -> None:
        xs, ys = value.get("x"), value.get("y")
        if not isinstance(xs, ObjectArray) or not isinstance(ys, ObjectArray):
            raise self._stream.corrupt("a ROI has no coordinates")
        if len(xs.items) != len(ys.items):
            raise self._stream.corrupt("a ROI has not as many x as y")
        for part, pair in enumerate(zip(xs.items, ys.items, strict=True)):
            x, y = (self._checked_array(found, "F") for found in pair)
            self._spend(16)
            self._special_rings.append(len(self._ring_size))
            self._special_kind.append(RingKind.POLYGON)
            self._special_part.append(part)
            self._special_hole.append(False)
            self._add_ring(x, y)
        self._n_rings.append(len(xs.items))

    def finish(self) -> Rois:
        """Make the columns; the table is empty afterwards."""
        kind = np.frombuffer(bytes(self._kind), np.uint8)
        plane = np.frombuffer(bytes(self._plane), np.int32).reshape(-1, 3)
        n_rois = len(kind)

        n_rings = _take(self._n_rings, np.int64)
        ring_offsets = np.zeros(n_rois + 1, np.int64)
        np.cumsum(n_rings, out=ring_offsets[1:])
        ring_size = _take(self._ring_size, np.int64)

        # Rings follow one another in their pool, in the order in which they were added.
        kind_of_ring = np.repeat(kind, n_rings)
        ring_first = np.zeros(len(ring_size), np.int64)
        for in_pool in (kind_of_ring != RoiKind.GEOMETRY, kind_of_ring == RoiKind.GEOMETRY):
            sizes = ring_size[in_pool]
            ring_first[in_pool] = np.cumsum(sizes) - sizes

        by_kind = np.zeros(len(RoiKind), np.uint8)
        for kind_of_roi, kind_of_its_rings in _RING_KINDS.items():
            by_kind[kind_of_roi] = kind_of_its_rings
        ring_kind = by_kind[kind_of_ring]
        ring_part = np.zeros(len(ring_size), np.int32)
        ring_is_hole = np.zeros(len(ring_size), np.bool_)
        special = _take(self._special_rings, np.int64)
        ring_kind[special] = np.frombuffer(bytes(self._special_kind), np.uint8)
        ring_part[special] = _take(self._special_part, np.int32)
        ring_is_hole[special] = np.frombuffer(bytes(self._special_hole), np.bool_)

        geometry_type = np.zeros(n_rois, np.uint8)
        geometry_type[_take(self._geometry_rois, np.int64)] = np.frombuffer(
            bytes(self._geometry_types), np.uint8
        )
        vertices32 = self._vertices32.take()
        vertices64 = np.frombuffer(self._xy64, ">f8").astype(np.float64).reshape(-1, 2)
        self._xy64 = bytearray()
        return Rois(
            kind=kind,
            c=plane[:, 0].copy(),
            z=plane[:, 1].copy(),
            t=plane[:, 2].copy(),
            box_px0=self._finish_boxes(kind),
            geometry_type=geometry_type,
            ring_offsets=ring_offsets,
            ring_first=ring_first,
            ring_size=ring_size,
            ring_kind=ring_kind,
            ring_part=ring_part,
            ring_is_hole=ring_is_hole,
            vertices32_px0=vertices32,
            vertices64_px0=vertices64,
        )

    def _finish_boxes(self, kind: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        """Make the boxes, with what QuPath does to them while it reads."""
        box_rois = _take(self._box_rois, np.int64)
        stored = np.frombuffer(bytes(self._boxes), ">f8").astype(np.float64).reshape(-1, 4)
        boxes = stored[:, [0, 2, 1, 3]]
        with np.errstate(all="ignore"):
            ends = boxes[:, :2] + (boxes[:, 2:] - boxes[:, :2])
        corners = np.concatenate(
            [
                np.where(ends < boxes[:, :2], ends, boxes[:, :2]),
                np.where(ends < boxes[:, :2], boxes[:, :2], ends),
            ],
            axis=1,
        )
        is_line = (kind[box_rois] == RoiKind.LINE)[:, None]
        out = np.full((len(kind), 4), np.nan)
        out[box_rois] = np.where(is_line, boxes, corners)
        return out


def _take(values: array[int], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Give the values of an array of the standard library as one of numpy."""
    return np.frombuffer(values, values.typecode).astype(dtype)
