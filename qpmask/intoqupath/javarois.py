"""Geometries in columns -> QuPath's ROIs as Java serializes them.

Which ROI stands for a geometry is what QuPath makes of GeoJSON (``GeometryTools.geometryToROI``):
an ellipse where it says so, a rectangle where it is one, a polygon where one ring is all, else a
geometry with all its digits.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from qpmask.imageobjects import Geometries, GeometryType
from qpmask.javastream.writing import NULL, SERIALIZABLE, Preamble

_PACKAGE: Final = "qupath.lib.roi."
_PLANE: Final = (("I", "c"), ("I", "t"), ("I", "z"))
_NAME: Final = ("Ljava/lang/String;", "name")
_XY: Final = (("[F", "x"), ("[F", "y"))
_BOX: Final = (
    *(("I", "c"), ("I", "t"), ("D", "x"), ("D", "x2"), ("D", "y"), ("D", "y2")),
    *(("I", "z"), _NAME),
)
ROI_FIELDS: Final = {
    "PolygonROI$SerializationProxy": (
        *_PLANE, _NAME, ("Lqupath/lib/roi/ClosedShapeStatistics;", "stats"), *_XY,
    ),
    "PolylineROI$SerializationProxy": (*_PLANE, *_XY),
    "PointsROI$SerializationProxy": (*_PLANE, _NAME, *_XY),
    "RectangleROI$SerializationProxy": _BOX,
    "EllipseROI$SerializationProxy": _BOX,
    "LineROI$SerializationProxy": _BOX,
    "GeometryROI$WKBSerializationProxy": (
        *_PLANE, ("Lqupath/lib/roi/GeometryROI$GeometryStats;", "stats"), ("[B", "wkb"),
    ),
}  # fmt: skip
#: Where float32 has steps of 1/64 pixel: coordinates beyond stay a geometry if they need more.
_FINE_PX0: Final = 2.0**17

#: For a :class:`Preamble`.
ROI_FORMS: Final = {
    _PACKAGE + name: (SERIALIZABLE, fields, None) for name, fields in ROI_FIELDS.items()
}


class RoiWriter:
    """Writes the ROIs of one stream.

    Parameters
    ----------
    preamble : Preamble
        Where their classes are described.
    """

    def __init__(self, preamble: Preamble) -> None:
        floats, some_bytes = (preamble.class_reference(name) for name in ("[F", "[B"))
        self._floats, self._bytes = b"u" + floats, b"u" + some_bytes
        self._heads = {}
        for name, content in self._examples().items():
            preamble.add_object(_PACKAGE + name, content[0])
            preamble.skip_handles(content[1])
            kind = name.partition("ROI")[0]
            self._heads[kind] = b"s" + preamble.class_reference(_PACKAGE + name)

    def _examples(self) -> dict[str, tuple[bytes, int]]:
        """The content of a ROI of each kind, and the handles in it."""
        plane, one = bytes(12), struct.pack(">if", 1, 0)
        xy = self._floats + one + self._floats + one
        box = bytes(8 + 32 + 4) + NULL
        triangle = struct.pack(">BIII8d", 0, 3, 1, 4, 0, 0, 1, 0, 0, 1, 0, 0)
        size = struct.pack(">i", len(triangle))
        return {
            "PolygonROI$SerializationProxy": (plane + NULL * 2 + xy, 2),
            "PolylineROI$SerializationProxy": (plane + xy, 2),
            "PointsROI$SerializationProxy": (plane + NULL + xy, 2),
            "RectangleROI$SerializationProxy": (box, 0),
            "EllipseROI$SerializationProxy": (box, 0),
            "LineROI$SerializationProxy": (box, 0),
            "GeometryROI$WKBSerializationProxy": (
                plane + NULL + self._bytes + size + triangle, 1,
            ),
        }  # fmt: skip

    def write(
        self, shapes: Geometries, numbers: NDArray[np.int32]
    ) -> tuple[list[bytes], NDArray[np.int64]]:
        """The ROI of each of some geometries, null for -1; and the handles that each takes.

        Parameters
        ----------
        shapes : Geometries
            In pixels of the image.
        numbers : ndarray of int32, shape (n,)
            Which.
        """
        found = [NULL] * len(numbers)
        handles = np.zeros(len(numbers), np.int64)
        places = np.flatnonzero(numbers >= 0)
        some = numbers[places].astype(np.int64)
        if not len(some):
            return found, handles
        types = shapes.type[some]
        first_ring = shapes.ring_offsets[shapes.part_offsets[some]]
        n_rings = shapes.ring_offsets[shapes.part_offsets[some + 1]] - first_ring
        first = shapes.vertex_offsets[first_ring]
        end = shapes.vertex_offsets[first_ring + n_rings]
        box = _boxes(shapes.xy_px0, first, end)
        fine = _is_fine(shapes.xy_px0, first, end, box)
        one_ring = n_rings == 1
        is_polygon = one_ring & (types == GeometryType.POLYGON)
        is_ellipse = shapes.is_ellipse[some] & (types == GeometryType.POLYGON)
        is_rectangle = is_polygon & ~is_ellipse & _are_rectangles(shapes.xy_px0, first, end, box)
        is_line = (types == GeometryType.LINE) & (end - first == 2)
        is_polyline = (types == GeometryType.LINE) & ~is_line & fine
        is_point = np.isin(types, (GeometryType.POINT, GeometryType.MULTI_POINT))
        form = np.select(
            [is_ellipse, is_rectangle, is_line, is_polygon & fine, is_polyline, is_point],
            [1, 2, 3, 4, 5, 6],
        )
        # Of a geometry itself and its bytes, of a box itself, of the others two arrays of numbers.
        handles[places] = np.array([2, 1, 1, 1, 3, 3, 3])[form]
        planes = np.stack([shapes.c[some], shapes.t[some], shapes.z[some]], axis=1)
        for code, name in ((1, "Ellipse"), (2, "Rectangle"), (3, "Line")):
            rows = np.flatnonzero(form == code)
            if len(rows):
                ends = box[rows]
                if code == 3:
                    ends = np.concatenate(
                        [shapes.xy_px0[first[rows]], shapes.xy_px0[first[rows] + 1]], axis=1
                    )
                self._boxes(found, places[rows], name, planes[rows], ends.astype(np.float64))
        for code, name, extra in ((4, "Polygon", 2), (5, "Polyline", 0), (6, "Points", 1)):
            rows = np.flatnonzero(form == code)
            last = end[rows] - 1 if code == 4 else end[rows]  # a polygon closes by itself
            for n in np.unique(last - first[rows]).tolist():
                same = rows[last - first[rows] == n]
                index = first[same][:, None] + np.arange(n)
                xy = shapes.xy_px0[index].astype(">f4")
                self._vertices(found, places[same], name, planes[same], xy, NULL * extra)
        for row in np.flatnonzero(form == 0).tolist():
            wkb = _wkb(shapes, int(some[row]))
            plane = planes[row].astype(">i4").tobytes()
            size = struct.pack(">i", len(wkb))
            found[places[row]] = b"".join(
                (self._heads["Geometry"], plane, NULL, self._bytes, size, wkb)
            )
        return found, handles

    def _boxes(
        self,
        found: list[bytes],
        places: NDArray[np.int64],
        name: str,
        planes: NDArray[np.int32],
        ends: NDArray[np.float64],
    ) -> None:
        """Write those that are x, x2, y, y2 between the numbers of their plane."""
        head = self._heads[name]
        before = planes[:, :2].astype(">i4").tobytes()
        numbers = ends[:, [0, 2, 1, 3]].astype(">f8").tobytes()
        behind = planes[:, 2].astype(">i4").tobytes()
        for k, place in enumerate(places.tolist()):
            found[place] = b"".join(
                (head, before[8 * k : 8 * k + 8], numbers[32 * k : 32 * k + 32],
                 behind[4 * k : 4 * k + 4], NULL)
            )  # fmt: skip

    def _vertices(
        self,
        found: list[bytes],
        places: NDArray[np.int64],
        name: str,
        planes: NDArray[np.int32],
        xy: NDArray[Any],
        nulls: bytes,
    ) -> None:
        """Write those with as many vertices each: xy has the shape (n_rois, n_vertices, 2)."""
        n, count = len(xy), struct.pack(">i", xy.shape[1])
        floats = self._floats + count
        parts = (
            self._heads[name],
            planes.astype(">i4"),
            nulls + floats,
            np.ascontiguousarray(xy[:, :, 0]),
            floats,
            np.ascontiguousarray(xy[:, :, 1]),
        )
        for place, roi in zip(places.tolist(), side_by_side(parts, n), strict=True):
            found[place] = roi


def side_by_side(parts: Sequence[bytes | NDArray[Any]], n: int) -> list[bytes]:
    """Records of one length: bytes that are the same in all of them, rows of arrays that are not.

    ``parts`` are bytes, or arrays of shape (n, ...).
    """
    if not n:
        return []
    columns = [
        np.broadcast_to(np.frombuffer(part, np.uint8), (n, len(part)))
        if isinstance(part, bytes)
        else part.view(np.uint8).reshape(n, -1)
        for part in parts
    ]
    whole = np.concatenate(columns, axis=1)
    size, raw = whole.shape[1], whole.tobytes()
    return [raw[at : at + size] for at in range(0, n * size, size)]


def _boxes(
    xy: NDArray[Any], first: NDArray[np.int64], end: NDArray[np.int64]
) -> NDArray[np.float64]:
    """x, y, x2, y2 around the vertices of each geometry."""
    # Between the vertices of one and the next one there may be others: reduceat's odd results.
    bounds = np.stack([first, end], axis=1).reshape(-1)
    safe = np.concatenate([xy, xy[-1:]])
    low = np.minimum.reduceat(safe, bounds)[::2]
    high = np.maximum.reduceat(safe, bounds)[::2]
    return np.concatenate([low, high], axis=1).astype(np.float64)


def _is_fine(
    xy: NDArray[Any],
    first: NDArray[np.int64],
    end: NDArray[np.int64],
    box: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Whether float32 holds the vertices to less than QuPath's grid of 1/100 pixel."""
    fine: NDArray[np.bool_] = np.abs(box).max(axis=1) <= _FINE_PX0
    for i in np.flatnonzero(~fine).tolist():
        part = xy[first[i] : end[i]].astype(np.float64)
        fine[i] = bool((np.abs(part.astype(np.float32) - part) <= 0.005).all())
    return fine


def _are_rectangles(
    xy: NDArray[Any],
    first: NDArray[np.int64],
    end: NDArray[np.int64],
    box: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Which rings are rectangles written as QuPath writes them: from the upper left, rightwards."""
    found: NDArray[np.bool_] = end - first == 5
    rows = np.flatnonzero(found)
    if len(rows):
        corners = box[rows][:, [0, 1, 2, 1, 2, 3, 0, 3, 0, 1]].reshape(-1, 5, 2)
        same = (xy[first[rows][:, None] + np.arange(5)] == corners).all((1, 2))
        area = (box[rows, 2] > box[rows, 0]) & (box[rows, 3] > box[rows, 1])
        found[rows] = same & area
    return found


def _wkb(shapes: Geometries, number: int) -> bytes:
    """A geometry as well-known binary, big-endian."""
    kind = int(shapes.type[number])
    parts = shapes.rings(number)
    member, single = {
        GeometryType.MULTI_POLYGON: (3, False),
        GeometryType.MULTI_LINE: (2, False),
        GeometryType.LINE: (2, True),
        GeometryType.POLYGON: (3, True),
    }[GeometryType(kind)]
    pieces = [] if single else [struct.pack(">BII", 0, kind, len(parts))]
    for rings in parts:
        pieces.append(struct.pack(">BI", 0, member))
        if member == 3:
            pieces.append(struct.pack(">I", len(rings)))
        for ring in rings:
            pieces.append(struct.pack(">I", len(ring)))
            pieces.append(ring.astype(">f8").tobytes())
    return b"".join(pieces)
