"""Writes the small .qpdata samples beside this script, with QuPath itself.

Purpose: real files for the reader's tests, one for each QuPath version.
Inputs: a QuPath (0.4 or later) that paquo finds; set PAQUO_QUPATH_DIR for another one.
Outputs: ``objects-<version>.qpdata`` (every kind of object and ROI) and, for the version in use,
``empty-<version>.qpdata`` (no object at all), in the folder given as the first argument or here.

    PAQUO_QUPATH_DIR=/opt/QuPath-0.6.0 python tests/qpdata/data/make_samples.py
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np


def start_qupath() -> str:
    """Start QuPath's JVM through paquo and give its version."""
    import paquo.java  # noqa: F401  (starts the JVM)
    from jpype import JClass

    return str(JClass("qupath.lib.common.GeneralTools").getVersion())


class Maker:
    """Makes QuPath objects; the names are QuPath's own."""

    def __init__(self) -> None:
        from jpype import JArray, JClass, JDouble, JFloat, JInt

        self.jclass = JClass
        self.floats = JArray(JFloat)
        self.doubles = JArray(JDouble)
        self.to_int = JInt
        self.rois = JClass("qupath.lib.roi.ROIs")
        self.objects = JClass("qupath.lib.objects.PathObjects")
        self.plane_class = JClass("qupath.lib.regions.ImagePlane")
        self.path_class = JClass("qupath.lib.objects.classes.PathClass")
        self.geometry_tools = JClass("qupath.lib.roi.GeometryTools")
        self.uuid = JClass("java.util.UUID")
        self.n_ids = 0

    def plane(self, c: int = -1, z: int = 0, t: int = 0) -> Any:
        return self.plane_class.getPlaneWithChannel(c, z, t)

    def polygon(self, x: Any, y: Any, plane: Any = None) -> Any:
        return self.rois.createPolygonROI(
            self.doubles(np.asarray(x, float)),
            self.doubles(np.asarray(y, float)),
            plane or self.plane(),
        )

    def polyline(self, x: Any, y: Any, plane: Any = None) -> Any:
        return self.rois.createPolylineROI(
            self.doubles(np.asarray(x, float)),
            self.doubles(np.asarray(y, float)),
            plane or self.plane(),
        )

    def points(self, x: Any, y: Any, plane: Any = None) -> Any:
        return self.rois.createPointsROI(
            self.doubles(np.asarray(x, float)),
            self.doubles(np.asarray(y, float)),
            plane or self.plane(),
        )

    def geometry(self, wkt: str, plane: Any = None) -> Any:
        """A GeometryROI, whatever simpler ROI would hold the same shape."""
        geometry = self.jclass("org.locationtech.jts.io.WKTReader")(
            self.geometry_tools.getDefaultFactory()
        ).read(wkt)
        cls = self.jclass("qupath.lib.roi.GeometryROI").class_
        geometry_class = self.jclass("org.locationtech.jts.geom.Geometry").class_
        constructor = cls.getDeclaredConstructor(geometry_class, self.plane_class.class_)
        constructor.setAccessible(True)
        return constructor.newInstance(geometry, plane or self.plane())

    def area(self, rings: Any) -> Any:
        """An AreaROI, the kind that old versions of QuPath wrote."""
        xs = self.jclass("java.lang.reflect.Array").newInstance(self.floats([0.0]).getClass(), 2)
        ys = self.jclass("java.lang.reflect.Array").newInstance(self.floats([0.0]).getClass(), 2)
        for i, (x, y) in enumerate(rings):
            xs[i], ys[i] = self.floats(np.asarray(x, float)), self.floats(np.asarray(y, float))
        cls = self.jclass("qupath.lib.roi.AreaROI").class_
        constructor = cls.getDeclaredConstructor(
            xs.getClass(), ys.getClass(), self.plane_class.class_
        )
        constructor.setAccessible(True)
        return constructor.newInstance(xs, ys, self.plane())

    def finish(self, item: Any, *, name: str | None = None, locked: bool = False) -> Any:
        """Give an object a fixed id, so that a second run writes the same bytes."""
        self.n_ids += 1
        item.setID(self.uuid(0x1234_5678_0000_4000, -0x7000_0000_0000_0000 + self.n_ids))
        if name is not None:
            item.setName(name)
        if locked:
            item.setLocked(True)
        return item


def all_kinds(make: Maker) -> list[Any]:
    """Every kind of object and ROI: the children of the root."""
    tumor = make.path_class.fromString("Tumor")
    positive = make.path_class.fromString("Tumor: Positive")
    umlaut = make.path_class.fromString("Größe 𝄞")
    null_class = make.path_class.NULL_CLASS
    out = []

    rectangle = make.finish(
        make.objects.createAnnotationObject(
            make.rois.createRectangleROI(10.1, 20.2, 300.3, 200.7, make.plane()), tumor
        ),
        name="Rectangle",
        locked=True,
    )
    rectangle.setDescription("a description")
    rectangle.setColor(make.to_int(-123456))
    out.append(rectangle)

    nested = rectangle
    for level in range(4):
        child = make.finish(
            make.objects.createAnnotationObject(
                make.rois.createEllipseROI(20.0 + level, 30.25, 50.5 - level, 40.125, make.plane()),
                positive if level % 2 else umlaut,
            ),
            name=f"Level {level} \x00 ü 𝄞",
        )
        nested.addChildObject(child)
        nested = child

    out.append(
        make.finish(
            make.objects.createAnnotationObject(
                make.rois.createLineROI(9.5, 8.5, 1.25, 90.0, make.plane(c=2, z=3, t=4))
            )
        )
    )
    polygon = make.finish(
        make.objects.createAnnotationObject(
            make.polygon([0.1, 100.7, 100.3, -3.5], [0.2, 0.9, 80.4, 81.3]), null_class
        )
    )
    out.append(polygon)
    out.append(
        make.finish(
            make.objects.createAnnotationObject(
                make.polyline([1, 2.5, 9], [3, 4.25, -2], make.plane(z=1))
            )
        )
    )
    out.append(
        make.finish(
            make.objects.createAnnotationObject(
                make.points([5.5, 6.25, 7], [1, 2, 3.75], make.plane(t=2)), tumor
            )
        )
    )
    for wkt in (
        "POLYGON ((0 0, 100.25 0.13, 100 100, 0 100, 0 0), (10 10, 20 10, 20 20, 10 20, 10 10))",
        "MULTIPOLYGON (((200 0, 260 0, 260 60, 200 60, 200 0)), "
        "((300 0, 360 0, 360 60, 300 0), (340 10, 350 10, 350 20, 340 10)))",
        "LINESTRING (1 2, 3 4, 5.5 6.5)",
        "MULTILINESTRING ((1 2, 3 4), (5 6, 7 8, 9 10))",
        "POINT (7.25 8.75)",
        "MULTIPOINT ((1 1), (2 3))",
        "GEOMETRYCOLLECTION (POLYGON ((0 0, 9 0, 9 9, 0 0)), LINESTRING (1 1, 2 2), POINT (4 4))",
        "POLYGON EMPTY",
    ):
        out.append(make.finish(make.objects.createAnnotationObject(make.geometry(wkt), tumor)))
    out.append(
        make.finish(
            make.objects.createAnnotationObject(
                make.area(
                    [
                        ([0, 50, 50, 0], [0, 0, 50, 50]),
                        ([10, 10, 20.5, 20.5], [10, 20, 20, 10]),
                    ]
                )
            ),
            name="old area",
        )
    )

    tile = make.finish(
        make.objects.createTileObject(
            make.rois.createRectangleROI(0, 0, 64, 64, make.plane()), None, None
        )
    )
    detection = make.finish(
        make.objects.createDetectionObject(make.polygon([1, 5, 5], [1, 1, 5]), positive)
    )
    for name, value in (("Area", 12.5), ("Mean", float("nan")), ("Größe", -1e300)):
        detection.getMeasurementList().put(name, value)
    detection.getMeasurementList().close()
    out += [tile, detection]
    for i in range(3):
        angles = np.linspace(0, 2 * np.pi, 8 + i, endpoint=False)
        cell_roi = make.polygon(50 + 9 * i + 4 * np.cos(angles), 60 + 4 * np.sin(angles))
        nucleus = make.polygon(50 + 9 * i + 2 * np.cos(angles), 60 + 2 * np.sin(angles))
        cell_roi.getArea()  # the statistics are stored once they were computed
        measurements = make.jclass(
            "qupath.lib.measurements.MeasurementListFactory"
        ).createMeasurementList(
            16, make.jclass("qupath.lib.measurements.MeasurementList$MeasurementListType").FLOAT
        )
        for name in ("Nucleus: Area", "Cell: Area", "Cytoplasm: OD"):
            measurements.put(name, 1.5 * i)
        measurements.close()
        out.append(
            make.finish(
                make.objects.createCellObject(
                    cell_roi, nucleus if i < 2 else None, tumor if i else None, measurements
                )
            )
        )
    return out


def tma_grid(make: Maker) -> Any:
    """Two rows of two cores, one of them missing, one with an annotation inside."""
    cores = make.jclass("java.util.ArrayList")()
    for i in range(4):
        core = make.finish(
            make.objects.createTMACoreObject(
                1000.0 + 300 * (i % 2), 1000.0 + 300 * (i // 2), 250.0, i == 2
            ),
            name=f"{'AB'[i // 2]}-{i % 2 + 1}",
        )
        core.putMetadataValue("Case ID", f"case {i}")
        if i == 1:
            core.addChildObject(
                make.finish(
                    make.objects.createAnnotationObject(
                        make.rois.createRectangleROI(1250, 950, 50, 40, make.plane())
                    )
                )
            )
        cores.add(core)
    return make.jclass("qupath.lib.objects.hierarchy.DefaultTMAGrid").create(cores, 2)


def new_image_data(make: Maker) -> Any:
    """An image data of a small blank image that has no file."""
    image = make.jclass("java.awt.image.BufferedImage")(64, 48, 1)
    server = make.jclass("qupath.lib.images.servers.WrappedBufferedImageServer")("blank", image)
    return make.jclass("qupath.lib.images.ImageData")(server)


def write(make: Maker, image_data: Any, path: Path) -> None:
    path.unlink(missing_ok=True)
    path_io = make.jclass("qupath.lib.io.PathIO")
    path_io.writeImageData(make.jclass("java.io.File")(str(path)), image_data)


def write_samples(folder: Path) -> list[Path]:
    """Write the samples of the QuPath in use and give their paths."""
    version = start_qupath()
    make = Maker()
    image_data = new_image_data(make)
    image_type = make.jclass("qupath.lib.images.ImageData$ImageType").BRIGHTFIELD_H_E
    image_data.setImageType(image_type)
    image_data.setProperty("a property", "its value")
    hierarchy = image_data.getHierarchy()
    for item in all_kinds(make):
        hierarchy.getRootObject().addChildObject(item)
    hierarchy.setTMAGrid(tma_grid(make))
    full = folder / f"objects-{version}.qpdata"
    write(make, image_data, full)
    empty = folder / f"empty-{version}.qpdata"
    write(make, new_image_data(make), empty)
    return [full, empty]


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for sample in write_samples(target):
        print(sample, sample.stat().st_size, "bytes")
