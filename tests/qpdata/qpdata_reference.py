"""What QuPath's own reader finds in a data file, as columns, through paquo and JPype."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

KINDS = {
    "PathAnnotationObject": 0,
    "PathDetectionObject": 1,
    "PathCellObject": 2,
    "PathTileObject": 3,
    "TMACoreObject": 4,
}
ROI_KINDS = {
    "PolygonROI": 0,
    "RectangleROI": 1,
    "EllipseROI": 2,
    "LineROI": 3,
    "PolylineROI": 4,
    "PointsROI": 5,
    "GeometryROI": 6,
    "AreaROI": 7,
}


class Reference:
    """Reads with QuPath; needs a running JVM."""

    def __init__(self) -> None:
        from jpype import JClass

        self.jclass = JClass
        image = JClass("java.awt.image.BufferedImage")(64, 48, 1)
        self.server = JClass("qupath.lib.images.servers.WrappedBufferedImageServer")("b", image)
        self.path_io = JClass("qupath.lib.io.PathIO")
        self.wkb_writer = JClass("org.locationtech.jts.io.WKBWriter")(2)
        self.fields = {
            name: self._field(f"qupath.lib.roi.{name}", "vertices")
            for name in ("PolygonROI", "PolylineROI", "AreaROI")
        }
        self.vertex_fields = [
            self._field("qupath.lib.roi.DefaultVertices", name) for name in ("x", "y", "size")
        ]

    def _field(self, cls: str, name: str) -> Any:
        field = self.jclass(cls).class_.getDeclaredField(name)
        field.setAccessible(True)
        return field

    def image_data(self, path: Path) -> Any:
        """What QuPath reads in a file, with the classes and colours of the file.

        QuPath keeps the first colour of a class as long as it runs, so that a file read after
        another has colours of that one: classes known before are put aside meanwhile.
        """
        known = self._field("qupath.lib.objects.classes.PathClass", "existingClasses").get(None)
        before = self.jclass("java.util.HashMap")(known)
        known.clear()
        try:
            return self._read(self.jclass("java.io.File")(str(path)))
        finally:
            known.clear()
            known.putAll(before)

    def _read(self, file: Any) -> Any:
        try:
            return self.path_io.readImageData(file, self.server)
        except TypeError:  # before QuPath 0.6
            cls = self.jclass("java.awt.image.BufferedImage").class_
            return self.path_io.readImageData(file, None, self.server, cls)

    def hierarchy(self, path: Path) -> Any:
        return self.image_data(path).getHierarchy()

    def objects(self, path: Path) -> list[dict[str, Any]]:
        """One record per object, in QuPath's order; rings as lists of (n, 2) arrays."""
        root = self.hierarchy(path).getRootObject()
        found = list(root.getDescendantObjects(None))
        numbers: dict[int, list[tuple[int, Any]]] = {}
        identity = self.jclass("java.lang.System").identityHashCode
        for i, item in enumerate(found):
            numbers.setdefault(int(identity(item)), []).append((i, item))
        records = []
        for item in found:
            parent = item.getParent()
            parent_number = -1
            for i, other in numbers.get(int(identity(parent)), []):
                if other.equals(parent):
                    parent_number = i
            cls = item.getPathClass()
            if cls is not None and not cls.isValid():
                cls = None  # QuPath's class without a name
            name = item.getName()
            nucleus = item.getNucleusROI() if item.isCell() else None
            records.append(
                {
                    "kind": KINDS.get(str(item.getClass().getSimpleName()), 5),
                    "parent": parent_number,
                    "class": None if cls is None else str(cls.toString()),
                    "color": None if cls is None or cls.getColor() is None else int(cls.getColor()),
                    "name": None if name is None else str(name),
                    "id": str(item.getID()),
                    "locked": bool(item.isLocked()),
                    "missing": bool(item.isTMACore() and item.isMissing()),
                    "roi": self.roi(item.getROI()),
                    "nucleus": self.roi(nucleus),
                }
            )
        return records

    def roi(self, roi: Any) -> dict[str, Any] | None:
        if roi is None:
            return None
        simple = str(roi.getClass().getSimpleName())
        out: dict[str, Any] = {
            "kind": ROI_KINDS[simple],
            "plane": (int(roi.getC()), int(roi.getZ()), int(roi.getT())),
            "area_line_point": (bool(roi.isArea()), bool(roi.isLine()), bool(roi.isPoint())),
            "bounds": (
                float(roi.getBoundsX()),
                float(roi.getBoundsY()),
                float(roi.getBoundsX() + roi.getBoundsWidth()),
                float(roi.getBoundsY() + roi.getBoundsHeight()),
            ),
        }
        if simple in ("RectangleROI", "EllipseROI"):
            out["box"] = tuple(float(v) for v in self._box(roi))
        elif simple == "LineROI":
            ends = (roi.getX1(), roi.getY1(), roi.getX2(), roi.getY2())
            out["box"] = tuple(float(v) for v in ends)
        elif simple == "PointsROI":
            points = [(p.getX(), p.getY()) for p in roi.getAllPoints()]
            out["rings"] = [np.array(points, np.float32).reshape(-1, 2)]
        elif simple == "GeometryROI":
            stored = np.array(self.wkb_writer.write(roi.getGeometry()))
            out["wkb"] = stored.astype(np.int8).tobytes()
        else:
            vertices = self.fields[simple].get(roi)
            if simple == "AreaROI":
                inner = self._field("qupath.lib.roi.DefaultMutableVertices", "vertices")
                out["rings"] = [self._vertices(inner.get(v)) for v in vertices]
            else:
                out["rings"] = [self._vertices(vertices)]
        return out

    def _box(self, roi: Any) -> list[Any]:
        if not hasattr(self, "_box_fields"):
            base = "qupath.lib.roi.AbstractPathBoundedROI"
            self._box_fields = [self._field(base, name) for name in ("x", "y", "x2", "y2")]
        return [field.getDouble(roi) for field in self._box_fields]

    def _vertices(self, vertices: Any) -> np.ndarray:
        x, y, size = (field.get(vertices) for field in self.vertex_fields)
        return np.stack([np.array(x), np.array(y)], axis=1).astype(np.float32)[: int(size)]
