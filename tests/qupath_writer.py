"""Writes QuPath projects by a real QuPath, for tests that need ones with known content."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np


class ImageWriter:
    """Makes objects for one image."""

    def __init__(self) -> None:
        import jpype

        self._jpype = jpype
        self._rois = jpype.JClass("qupath.lib.roi.ROIs")
        self._objects = jpype.JClass("qupath.lib.objects.PathObjects")
        self._path_class = jpype.JClass("qupath.lib.objects.classes.PathClass")
        self._plane = jpype.JClass("qupath.lib.regions.ImagePlane")
        self._tools = jpype.JClass("qupath.lib.roi.GeometryTools")
        self.made: list[Any] = []
        self.cores: list[Any] = []

    def plane(self, z: int = 0, t: int = 0) -> Any:
        return self._plane.getPlane(z, t)

    def doubles(self, values: Sequence[float]) -> Any:
        return self._jpype.JArray(self._jpype.JDouble)(np.asarray(values, np.float64))

    def polygon(self, points: Sequence[tuple[float, float]], z: int = 0, t: int = 0) -> Any:
        xs, ys = zip(*points, strict=True)
        return self._rois.createPolygonROI(self.doubles(xs), self.doubles(ys), self.plane(z, t))

    def polyline(self, points: Sequence[tuple[float, float]]) -> Any:
        xs, ys = zip(*points, strict=True)
        return self._rois.createPolylineROI(self.doubles(xs), self.doubles(ys), self.plane())

    def points(self, points: Sequence[tuple[float, float]]) -> Any:
        xs, ys = zip(*points, strict=True)
        return self._rois.createPointsROI(self.doubles(xs), self.doubles(ys), self.plane())

    def line(self, x: float, y: float, x2: float, y2: float) -> Any:
        return self._rois.createLineROI(x, y, x2, y2, self.plane())

    def rectangle(self, x: float, y: float, w: float, h: float, z: int = 0, t: int = 0) -> Any:
        return self._rois.createRectangleROI(
            float(x), float(y), float(w), float(h), self.plane(z, t)
        )

    def ellipse(self, x: float, y: float, w: float, h: float) -> Any:
        return self._rois.createEllipseROI(float(x), float(y), float(w), float(h), self.plane())

    def geometry(self, wkt: str) -> Any:
        reader = self._jpype.JClass("org.locationtech.jts.io.WKTReader")()
        return self._tools.geometryToROI(reader.read(wkt), self.plane())

    def _class(self, name: str | None) -> Any:
        return None if name is None else self._path_class.fromString(name)

    def add(self, roi: Any, name: str | None) -> Any:
        self.made.append(self._objects.createAnnotationObject(roi, self._class(name)))
        return self.made[-1]

    def detection(self, roi: Any, name: str | None) -> Any:
        self.made.append(self._objects.createDetectionObject(roi, self._class(name)))
        return self.made[-1]

    def tile(self, roi: Any, name: str | None) -> Any:
        self.made.append(self._objects.createTileObject(roi, self._class(name), None))
        return self.made[-1]

    def cell(self, roi: Any, nucleus: Any, name: str | None) -> Any:
        self.made.append(self._objects.createCellObject(roi, nucleus, self._class(name), None))
        return self.made[-1]

    def core(
        self, x: float, y: float, side: float, name: str | None, label: str, missing: bool = False
    ) -> Any:
        """A round TMA core of a class ``name``; all cores of an image make one row."""
        core = self._objects.createTMACoreObject(
            float(x), float(y), float(side), float(side), missing
        )
        core.setName(label)
        if name is not None:
            core.setPathClass(self._class(name))
        self.cores.append(core)
        return core


class ProjectWriter:
    """A new QuPath project in an empty folder.

    Parameters
    ----------
    folder : Path
        Made if needed; must be empty.
    classes : mapping
        Class names and colours (red, green, blue), or None for QuPath's own.
    """

    def __init__(self, folder: Path, classes: Mapping[str, tuple[int, int, int] | None]) -> None:
        from qpmask.engines import jvm

        jvm.start()
        import jpype
        from paquo.projects import QuPathProject

        self._jpype = jpype
        self.project = QuPathProject(folder, mode="x")
        path_class = jpype.JClass("qupath.lib.objects.classes.PathClass")
        colors = jpype.JClass("qupath.lib.common.ColorTools")
        listed = jpype.JClass("java.util.ArrayList")()
        for name, color in classes.items():
            packed = None if color is None else jpype.JInt(colors.packRGB(*color))
            listed.add(path_class.fromString(name, packed) if packed is not None
                       else path_class.fromString(name))  # fmt: skip
        self.project.java_object.setPathClasses(listed)

    @contextlib.contextmanager
    def image(self, slide: Path, name: str | None = None) -> Iterator[ImageWriter]:
        """Add an image; the objects made in the block are saved with it."""
        entry = self.project.add_image(slide, allow_duplicates=True)
        # Bio-Formats would add the name of the series.
        entry.java_object.setImageName(slide.name if name is None else name)
        data = entry.java_object.readImageData()
        writer = ImageWriter()
        yield writer
        data.getHierarchy().addObjects(self._jpype.JClass("java.util.ArrayList")(writer.made))
        if writer.cores:
            grid = self._jpype.JClass("qupath.lib.objects.hierarchy.DefaultTMAGrid")
            cores = self._jpype.JClass("java.util.ArrayList")(writer.cores)
            data.getHierarchy().setTMAGrid(grid.create(cores, len(writer.cores)))
        entry.java_object.saveImageData(data)
        data.getServer().close()

    def unsaved(self, slide: Path) -> None:
        """Add an image that nobody opened."""
        self.project.add_image(slide).java_object.setImageName(slide.name)

    def close(self) -> None:
        """Save the project."""
        self.project.java_object.syncChanges()
        for backup in [*self.project.path.parent.rglob("*.bkp"),
                       *self.project.path.parent.rglob("*.backup")]:  # fmt: skip
            backup.unlink()
