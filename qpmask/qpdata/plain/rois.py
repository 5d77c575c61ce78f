"""QuPath's ROIs in plain Python; the format stands in :mod:`..kernel.rois`."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from qpmask.qpdata.model import RingKind, RoiKind
from qpmask.qpdata.names import BOX_FIELDS, BOXES, ROI_KINDS
from qpmask.qpdata.plain.bytereader import ByteReader
from qpmask.qpdata.plain.values import JavaObject, ObjectArray, PrimitiveArray
from qpmask.qpdata.wkb import WkbError, read_wkb

_RING_KINDS: Final = {RoiKind.POLYLINE: RingKind.LINE, RoiKind.POINTS: RingKind.POINT}
#: How many times the size of the file its coordinates may take; files of QuPath stay below 1.
_MAX_REUSE: Final = 4


class RoiTable:
    """Collects ROIs.

    Parameters
    ----------
    stream : ByteReader
        Where they come from: its data, and its errors.
    """

    def __init__(self, stream: ByteReader) -> None:
        self._stream = stream
        # kind; c, z, t; box; type of the geometry; number of rings
        self._rois: list[tuple[int, tuple[int, ...], tuple[float, ...], int, int]] = []
        # size, kind, part, whether it is a hole, whether it is of a geometry
        self._rings: list[tuple[int, int, int, int, bool]] = []
        self._vertices32: list[npt.NDArray[np.float32]] = [np.zeros((0, 2), np.float32)]
        self._vertices64: list[npt.NDArray[np.float64]] = [np.zeros((0, 2), np.float64)]
        self._known: dict[JavaObject, int] = {}
        # Coordinates that are referred to again and again could fill the memory.
        self._budget_bytes = _MAX_REUSE * stream.size + 2**20

    def add(self, value: object) -> int:
        """Add a ROI that was read; give its number, -1 for null."""
        if value is None:
            return -1
        if not isinstance(value, JavaObject):
            raise self._stream.corrupt("an object has something else for a ROI")
        if value not in self._known:
            self._known[value] = self._add(value)
        return self._known[value]

    def _add(self, value: JavaObject) -> int:
        kind = ROI_KINDS.get(value.desc.name)
        if kind is None:
            raise self._stream.unsupported(f"it holds a ROI of the unknown class {value.desc.name}")
        plane = tuple(self._number(value, name) for name in "czt")
        box: tuple[float, ...] = (float("nan"),) * 4
        geometry_type = 0
        n_rings = len(self._rings)
        if kind in BOXES:
            x, x2, y, y2 = (self._double(value, name) for name in BOX_FIELDS)
            box = x, y, x2, y2
        elif kind is RoiKind.GEOMETRY:
            geometry_type = self._add_wkb(self._array(value.fields.get("wkb"), "B"))
        elif kind is RoiKind.AREA:
            xs, ys = value.fields.get("x"), value.fields.get("y")
            if not isinstance(xs, ObjectArray) or not isinstance(ys, ObjectArray):
                raise self._stream.corrupt("a ROI has no coordinates")
            if len(xs.items) != len(ys.items):
                raise self._stream.corrupt("a ROI has not as many x as y")
            for part, (x_items, y_items) in enumerate(zip(xs.items, ys.items, strict=True)):
                self._add_ring(kind, part, x_items, y_items)
        else:
            self._add_ring(kind, 0, value.fields.get("x"), value.fields.get("y"))
        self._rois.append((kind, plane, box, geometry_type, len(self._rings) - n_rings))
        return len(self._rois) - 1

    def _number(self, value: JavaObject, name: str) -> int:
        number = value.fields.get(name)
        if not isinstance(number, int) or not -(2**31) <= number < 2**31:
            raise self._stream.corrupt("a ROI has no plane")
        return number

    def _double(self, value: JavaObject, name: str) -> float:
        number = value.fields.get(name)
        if not isinstance(number, float):
            raise self._stream.corrupt("a ROI has no box")
        return number

    def _array(self, found: object, type_code: str) -> PrimitiveArray:
        if not isinstance(found, PrimitiveArray) or found.type_code != type_code:
            raise self._stream.corrupt("a ROI has no coordinates")
        return found

    def _spend(self, n_bytes: int) -> None:
        self._budget_bytes -= n_bytes
        if self._budget_bytes < 0:
            raise self._stream.corrupt("many ROIs refer to the same coordinates")

    def _add_ring(self, kind: RoiKind, part: int, x_found: object, y_found: object) -> None:
        x, y = self._array(x_found, "F"), self._array(y_found, "F")
        if x.length != y.length:
            raise self._stream.corrupt("a ROI has not as many x as y")
        self._spend(8 * x.length + 16)
        axes = [np.frombuffer(self._stream.data[a.start : a.end], ">f4") for a in (x, y)]
        self._vertices32.append(np.stack(axes, axis=1).astype(np.float32))
        ring_kind = _RING_KINDS.get(kind, RingKind.POLYGON)
        self._rings.append((x.length, ring_kind, part, False, False))

    def _add_wkb(self, stored: PrimitiveArray) -> int:
        self._spend(stored.length)
        try:
            rings = read_wkb(self._stream.data[stored.start : stored.end])
        except WkbError as error:
            raise self._stream.corrupt(f"a geometry makes no sense: {error}") from error
        columns = (rings.sizes, rings.types, rings.parts, rings.holes)
        self._rings += [(*row, True) for row in zip(*(c.tolist() for c in columns), strict=True)]
        self._vertices64.append(rings.vertices_px0)
        return rings.geometry_type

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """All columns of ROIs and rings, by their names."""
        nothing: list[Any] = [()] * 5
        kinds, planes, boxes, types, n_rings = (
            zip(*self._rois, strict=True) if self._rois else nothing
        )
        rings = zip(*self._rings, strict=True) if self._rings else nothing
        sizes, ring_kinds, parts, holes, in_geometry = rings
        plane = np.array(planes, np.int32).reshape(-1, 3)
        ring_size = np.array(sizes, np.int64)
        ring_first = np.zeros(len(ring_size), np.int64)
        is_64 = np.array(in_geometry, np.bool_)
        for in_pool in (is_64, ~is_64):
            ring_first[in_pool] = np.cumsum(ring_size[in_pool]) - ring_size[in_pool]
        return {
            "roi_kind": np.array(kinds, np.uint8),
            **{name: plane[:, k].copy() for k, name in enumerate("czt")},
            "box_px0": np.array(boxes, np.float64).reshape(-1, 4),
            "geometry_type": np.array(types, np.uint8),
            "ring_offsets": np.cumsum([0, *n_rings], dtype=np.int64),
            "ring_first": ring_first,
            "ring_size": ring_size,
            "ring_kind": np.array(ring_kinds, np.uint8),
            "ring_part": np.array(parts, np.int32),
            "ring_is_hole": np.array(holes, np.bool_),
            "vertices32_px0": np.concatenate(self._vertices32),
            "vertices64_px0": np.concatenate(self._vertices64),
        }
