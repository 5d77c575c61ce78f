"""QuPath's ROIs, from the values of the stream into columns.

QuPath stores a ROI as a stand-in, ``<class>$SerializationProxy``, with the plane and the
coordinates as fields (``writeReplace`` in ``qupath.lib.roi``).
"""

from __future__ import annotations

from array import array
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from qpmask.qpdata import wkb
from qpmask.qpdata.bytereader import I4, ByteReader
from qpmask.qpdata.javavalues import JavaObject, ObjectArray, PrimitiveArray, Span, SpanKind
from qpmask.qpdata.model import RingKind, RoiKind, Rois

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
_BOXES: Final = frozenset({RoiKind.RECTANGLE, RoiKind.ELLIPSE, RoiKind.LINE})
_FLOATS: Final = frozenset({RoiKind.POLYGON, RoiKind.POLYLINE, RoiKind.POINTS})
_RING_KINDS: Final = {
    RoiKind.POLYGON: RingKind.POLYGON,
    RoiKind.POLYLINE: RingKind.LINE,
    RoiKind.POINTS: RingKind.POINT,
    RoiKind.AREA: RingKind.POLYGON,
}
#: Order of the fields of a box in the file.
_BOX_FIELDS: Final = ("x", "x2", "y", "y2")

#: How many times the size of the file its coordinates may take; files of QuPath stay below 1.
_MAX_REUSE: Final = 4

_array_length: Final = I4.unpack_from


class RoiLayout(NamedTuple):
    """How to read a ROI from the differing parts of an object of known layout.

    Attributes
    ----------
    kind : RoiKind
        What it is.
    style : int
        Number of its kind and plane among :class:`RoiTable`'s styles.
    slots : tuple of int
        Which differing parts hold it: x and y; or the geometry; or the box.
    """

    kind: RoiKind
    style: int
    slots: tuple[int, ...]


class RoiTable:
    """Collects ROIs; :meth:`finish` makes the columns.

    Parameters
    ----------
    stream : ByteReader
        Where the ROIs come from: its data, and its errors.
    """

    def __init__(self, stream: ByteReader) -> None:
        self._stream = stream
        # What ROIs have in common: (kind, c, z, t) as one number each.
        self._styles: dict[tuple[RoiKind, int, int, int], int] = {}
        self._style = array("i")
        self._n_rings = array("q")
        self._box_rois = array("q")
        self._boxes = bytearray()
        self._geometry_types = bytearray()
        self._geometry_rois = array("q")
        self._ring_size = array("q")
        # Rings of a geometry or an area say more than their ROI's style does.
        self._special_rings = array("q")
        self._special_kind = bytearray()
        self._special_part = array("i")
        self._special_hole = bytearray()
        self._x32 = bytearray()
        self._y32 = bytearray()
        self._xy64 = bytearray()
        # The values that were added, so that a shared ROI is added once.
        self._known: dict[int, tuple[JavaObject, int]] = {}
        # Coordinates that are referred to again and again could fill the memory.
        self._budget_bytes = _MAX_REUSE * stream.size + 2**20

    def __len__(self) -> int:
        return len(self._style)

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
        style = self._style_of(value, kind)
        if kind in _BOXES:
            # The fields are stored as x, x2, y, y2.
            box = np.array([self._double(value, name) for name in _BOX_FIELDS], ">f8")
            number = self._add_box(style, box.tobytes())
        elif kind is RoiKind.GEOMETRY:
            number = self._add_wkb(style, self._array(value, "wkb", "B"))
        elif kind is RoiKind.AREA:
            number = self._add_area(style, value)
        else:
            x, y = self._array(value, "x", "F"), self._array(value, "y", "F")
            number = self._add_floats(style, x.start, x.length, y.start, y.length)
        self._known[id(value)] = (value, number)
        return number

    def forget_value(self, value: object) -> None:
        """Let go of a value that was added: nothing shares it."""
        self._known.pop(id(value), None)

    def layout_of(self, value: JavaObject, spans: list[Span]) -> RoiLayout | None:
        """Tell how a ROI that was just read lies in the differing parts of its object.

        Returns
        -------
        RoiLayout or None
            None where one object does not tell about the next.
        """
        kind = self._kind_of(value)
        if kind is RoiKind.AREA:
            return None
        if kind in _BOXES:
            names = value.desc.primitive_names
            if len(value.desc.levels) != 1 or "x" not in names:
                return None
            at = names.index("x")
            if names[at : at + 4] != _BOX_FIELDS:
                return None
            starts = [value.primitives_at + 4 * at]  # nothing but ints before it
        elif kind is RoiKind.GEOMETRY:
            starts = [self._array(value, "wkb", "B").start - 4]
        else:
            starts = [self._array(value, name, "F").start - 4 for name in "xy"]
        slots = []
        for start in starts:
            for number, span in enumerate(spans):
                if span.start == start and (
                    span.kind is SpanKind.ARRAY or span.end - span.start == 32
                ):
                    slots.append(number)
        if len(slots) != len(starts):
            return None
        return RoiLayout(kind, self._style_of(value, kind), tuple(slots))

    def _kind_of(self, value: JavaObject) -> RoiKind:
        name = value.desc.name
        kind = _KINDS.get(name.removeprefix(_PACKAGE)) if name.startswith(_PACKAGE) else None
        if kind is None:
            raise self._stream.unsupported(f"it holds a ROI of the unknown class {name}")
        return kind

    def _style_of(self, value: JavaObject, kind: RoiKind) -> int:
        c, z, t = (self._plane_number(value, name) for name in "czt")
        return self._styles.setdefault((kind, c, z, t), len(self._styles))

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

    # ------------------------------------------------------- from known layout

    def add_layout(self, layout: RoiLayout, starts: list[int]) -> int:
        """Add a ROI of an object of known layout.

        Parameters
        ----------
        layout : RoiLayout
            Which differing parts hold it.
        starts : list of int
            Where the differing parts of the object start.
        """
        data = self._stream.data
        slots = layout.slots
        if len(slots) == 2:
            x_at, y_at = starts[slots[0]], starts[slots[1]]
            n_x: int = _array_length(data, x_at)[0]
            n_y: int = _array_length(data, y_at)[0]
            return self._add_floats(layout.style, x_at + 4, n_x, y_at + 4, n_y)
        at = starts[slots[0]]
        if layout.kind is RoiKind.GEOMETRY:
            return self._add_stored_wkb(layout.style, at)
        return self._add_box(layout.style, data[at : at + 32])

    def add_many(
        self,
        layout: RoiLayout,
        starts: list[npt.NDArray[np.int64]],
        sizes: list[npt.NDArray[np.int64]],
    ) -> npt.NDArray[np.int32]:
        """Add the ROIs of many objects of one layout; give their numbers.

        Parameters
        ----------
        layout : RoiLayout
            Which differing parts hold them.
        starts, sizes : list of ndarray of int64
            Where each differing part starts, and how many items it has, for all the objects.
        """
        first, n_rois = len(self._style), len(starts[layout.slots[0]])
        columns = [starts[slot].tolist() for slot in layout.slots]
        if layout.kind is RoiKind.GEOMETRY:
            for at in columns[0]:
                self._add_stored_wkb(layout.style, at)
            return np.arange(first, first + n_rois, dtype=np.int32)
        data = self._stream.data
        if layout.kind in _BOXES:
            self._boxes += b"".join([data[at : at + 32] for at in columns[0]])
            self._box_rois.extend(range(first, first + n_rois))
        else:
            n_x, n_y = (sizes[slot] for slot in layout.slots)
            if not np.array_equal(n_x, n_y):
                raise self._stream.corrupt("a ROI has not as many x as y")
            self._spend(8 * int(n_x.sum()))
            n_bytes = (4 * n_x).tolist()
            for pool, column in zip((self._x32, self._y32), columns, strict=True):
                pool += b"".join(
                    [data[at + 4 : at + 4 + n] for at, n in zip(column, n_bytes, strict=True)]
                )
            self._ring_size.frombytes(n_x.tobytes())
        self._n_rings.extend([0 if layout.kind in _BOXES else 1] * n_rois)
        self._style.extend([layout.style] * n_rois)
        return np.arange(first, first + n_rois, dtype=np.int32)

    # ------------------------------------------------------------ into columns

    def _spend(self, n_bytes: int) -> None:
        self._budget_bytes -= n_bytes
        if self._budget_bytes < 0:
            raise self._stream.corrupt("many ROIs refer to the same coordinates")

    def _add_floats(self, style: int, x_at: int, n_x: int, y_at: int, n_y: int) -> int:
        if n_x != n_y:
            raise self._stream.corrupt("a ROI has not as many x as y")
        self._spend(8 * n_x)
        self._x32 += self._stream.data[x_at : x_at + 4 * n_x]
        self._y32 += self._stream.data[y_at : y_at + 4 * n_x]
        self._ring_size.append(n_x)
        self._n_rings.append(1)
        self._style.append(style)
        return len(self._style) - 1

    def _add_box(self, style: int, box: bytes) -> int:
        number = len(self._style)
        self._boxes += box
        self._box_rois.append(number)
        self._n_rings.append(0)
        self._style.append(style)
        return number

    def _add_stored_wkb(self, style: int, at: int) -> int:
        n_bytes: int = _array_length(self._stream.data, at)[0]
        return self._add_wkb(style, PrimitiveArray("B", at + 4, n_bytes, at + 4 + n_bytes))

    def _add_wkb(self, style: int, stored: PrimitiveArray) -> int:
        number = len(self._style)
        self._spend(stored.length)
        try:
            rings = wkb.read_wkb(self._stream.data[stored.start : stored.end])
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
        self._style.append(style)
        return number

    def _add_area(self, style: int, value: JavaObject) -> int:
        xs, ys = value.get("x"), value.get("y")
        if not isinstance(xs, ObjectArray) or not isinstance(ys, ObjectArray):
            raise self._stream.corrupt("a ROI has no coordinates")
        if len(xs.items) != len(ys.items):
            raise self._stream.corrupt("a ROI has not as many x as y")
        for part, pair in enumerate(zip(xs.items, ys.items, strict=True)):
            x, y = (self._checked_array(found, "F") for found in pair)
            if x.length != y.length:
                raise self._stream.corrupt("a ROI has not as many x as y")
            self._spend(16 + 8 * x.length)
            self._special_rings.append(len(self._ring_size))
            self._special_kind.append(RingKind.POLYGON)
            self._special_part.append(part)
            self._special_hole.append(False)
            self._x32 += self._stream.data[x.start : x.end]
            self._y32 += self._stream.data[y.start : y.end]
            self._ring_size.append(x.length)
        self._n_rings.append(len(xs.items))
        self._style.append(style)
        return len(self._style) - 1

    def finish(self) -> Rois:
        """Make the columns; the table is empty afterwards."""
        styles = np.array([list(style) for style in self._styles] or [[0] * 4], np.int64).reshape(
            -1, 4
        )
        style = _take(self._style, np.int32)
        kind = styles[style, 0].astype(np.uint8)
        n_rois = len(style)

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
        for roi_kind, ring_kind_of in _RING_KINDS.items():
            by_kind[roi_kind] = ring_kind_of
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
        vertices32 = np.empty((len(self._x32) // 4, 2), np.float32)
        vertices32[:, 0] = np.frombuffer(self._x32, ">f4")
        self._x32 = bytearray()
        vertices32[:, 1] = np.frombuffer(self._y32, ">f4")
        self._y32 = bytearray()
        vertices64 = np.frombuffer(self._xy64, ">f8").astype(np.float64).reshape(-1, 2)
        self._xy64 = bytearray()
        return Rois(
            kind=kind,
            c=styles[style, 1].astype(np.int32),
            z=styles[style, 2].astype(np.int32),
            t=styles[style, 3].astype(np.int32),
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
