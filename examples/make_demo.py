"""Makes the demo project of this folder: two small pyramidal slides, and annotations by QuPath.

The project in ``demo_project/`` was written by this script with QuPath 0.6.0. Run it again only to
change the demo; it needs QuPath, and replaces the folder::

    python examples/make_demo.py
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import jpype  # after paquo, which starts the JVM
import numpy as np
import tifffile
from paquo.java import qupath_version
from paquo.projects import QuPathProject

HERE = Path(__file__).resolve().parent
FOLDER = HERE / "demo_project"
WORK = Path(tempfile.gettempdir()) / "qpmask" / "demo_project"
WIDTH, HEIGHT, UM = 3000, 2200, 0.5

CLASSES = {
    "Stroma": (150, 200, 150),
    "Bening gland": (60, 180, 75),
    "Tumor": (200, 0, 0),
    "High grade prostatic intraepithelial neoplasia (HGPIN)": (240, 50, 230),
    "Immune cells": (67, 99, 216),
    "Blood vessels": (220, 20, 60),
    "Nerve": (191, 239, 69),
    "Necrosis": (50, 50, 50),
    "Muscle": (230, 25, 75),
    "Mitosis": (0, 0, 117),
    "Artifact": (128, 128, 128),
    "Ignore*": (180, 180, 180),
}


def slide(path: Path, seed: int) -> None:
    """Write a small pyramidal slide that looks a little like stained tissue."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    field = np.zeros((HEIGHT, WIDTH), np.float32)
    for _ in range(14):
        fx, fy, phase = [*rng.uniform(0.001, 0.012, 2).tolist(), rng.uniform(0, 6.3)]
        field += np.sin(x * fx + y * fy + phase)
    tissue = ((x / WIDTH - 0.5) ** 2 + (y / HEIGHT - 0.5) ** 2 < 0.2)[..., None]
    shade = (field - field.min()) / np.ptp(field)
    pink, purple = np.array([232, 170, 200]), np.array([120, 70, 150])
    rgb = np.where(tissue, pink + (purple - pink) * shade[..., None], 243).astype(np.uint8)
    options = {"tile": (256, 256), "photometric": "rgb", "compression": "jpeg",
               "compressionargs": {"level": 70}}  # fmt: skip
    metadata = {"axes": "YXS", "PhysicalSizeX": UM, "PhysicalSizeY": UM}
    with tifffile.TiffWriter(path, ome=True) as tif:
        per_cm = (10_000 / UM, 10_000 / UM)
        tif.write(rgb, resolution=per_cm, resolutionunit="CENTIMETER", subifds=2,
                  metadata=metadata, **options)  # fmt: skip
        for step in (2, 4):
            level = np.ascontiguousarray(rgb[::step, ::step])
            tif.write(level, subfiletype=1, **options)


class Annotator:
    """Adds objects of every kind to one image."""

    def __init__(self) -> None:
        self.rois = jpype.JClass("qupath.lib.roi.ROIs")
        self.objects = jpype.JClass("qupath.lib.objects.PathObjects")
        self.path_class = jpype.JClass("qupath.lib.objects.classes.PathClass")
        self.tools = jpype.JClass("qupath.lib.roi.GeometryTools")
        self.reader = jpype.JClass("org.locationtech.jts.io.WKTReader")()
        self.plane = jpype.JClass("qupath.lib.regions.ImagePlane").getDefaultPlane()
        self.made: list = []

    def add(self, roi, name: str | None, title: str | None = None):
        """Add an annotation of a class."""
        path_class = None if name is None else self.path_class.fromString(name)
        made = self.objects.createAnnotationObject(roi, path_class)
        if title:
            made.setName(title)
        self.made.append(made)
        return made

    def polygon(self, points):
        """A polygon by its corners (x, y) in pixels of the image."""
        array = np.asarray(points, np.float64)
        return self.rois.createPolygonROI(
            jpype.JArray(jpype.JDouble)(array[:, 0]), jpype.JArray(jpype.JDouble)(array[:, 1]),
            self.plane,
        )  # fmt: skip

    def blob(self, x: float, y: float, radius: float, seed: int, n: int = 60):
        """A round shape with an uneven border."""
        rng = np.random.default_rng(seed)
        angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
        r = radius * (1 + 0.15 * np.sin(3 * angle + seed) + 0.05 * rng.standard_normal(n))
        return self.polygon(np.stack([x + r * np.cos(angle), y + r * np.sin(angle)], 1))

    def geometry(self, wkt: str):
        """A geometry in well-known text."""
        return self.tools.geometryToROI(self.reader.read(wkt), self.plane)

    def polyline(self, points):
        """A line through points."""
        array = np.asarray(points, np.float64)
        return self.rois.createPolylineROI(
            jpype.JArray(jpype.JDouble)(array[:, 0]), jpype.JArray(jpype.JDouble)(array[:, 1]),
            self.plane,
        )  # fmt: skip

    def points(self, points):
        """Single points."""
        array = np.asarray(points, np.float64)
        return self.rois.createPointsROI(
            jpype.JArray(jpype.JDouble)(array[:, 0]), jpype.JArray(jpype.JDouble)(array[:, 1]),
            self.plane,
        )  # fmt: skip


def annotate_a(a: Annotator) -> None:
    """Nested and overlapping areas."""
    a.add(a.blob(1500, 1100, 900, 1, 200), "Stroma", "whole section")
    a.add(a.geometry(
        "POLYGON ((900 700, 1500 650, 1600 1200, 1000 1300, 900 700),"
        " (1050 850, 1300 800, 1350 1050, 1100 1100, 1050 850))"
    ), "Bening gland", "gland with lumen")  # fmt: skip
    a.add(a.blob(1850, 1000, 260, 2), "Tumor")
    a.add(a.blob(2000, 1120, 180, 3), "High grade prostatic intraepithelial neoplasia (HGPIN)")
    a.add(a.rois.createEllipseROI(1180.5, 900.25, 90.0, 120.5, a.plane), "Blood vessels")
    a.add(a.rois.createRectangleROI(1700.0, 1400.0, 300.0, 150.0, a.plane), "Artifact")
    a.add(a.rois.createRectangleROI(100.0, 100.0, 200.0, 200.0, a.plane), "Ignore*")
    a.add(a.blob(1200, 1600, 80, 4), None, "not classified yet")


def annotate_b(a: Annotator) -> None:
    """Every kind of ROI, derived classes, a class that is not on the project's list, cells."""
    a.add(a.blob(1400, 1100, 700, 5, 120), "Muscle")
    a.add(a.geometry(
        "MULTIPOLYGON (((700 700, 900 700, 900 900, 700 900, 700 700)),"
        " ((1000 700, 1300 720, 1250 1000, 1000 700), (1100 740, 1200 760, 1190 840, 1100 740)))"
    ), "Necrosis")  # fmt: skip
    a.add(a.polyline([(600.5, 1500), (900, 1450.25), (1300, 1620), (1800, 1500.75)]), "Nerve")
    a.add(a.rois.createLineROI(1900.0, 700.0, 2300.0, 1200.0, a.plane), "Nerve")
    a.add(a.points([(1500, 900), (1510.6, 905.2), (1620, 1000.9)]), "Mitosis")
    a.add(a.blob(1750, 1300, 220, 6), "Tumor")
    a.add(a.blob(1900, 1350, 120, 7), "Tumor: Positive")
    a.add(a.blob(2100, 900, 130, 8), "Seminal vesicle")
    a.add(a.rois.createEllipseROI(2900.0, 2100.0, 300.0, 300.0, a.plane), "Adipose tissue",
          "reaches over the border")  # fmt: skip
    rng = np.random.default_rng(9)
    immune = a.path_class.fromString("Immune cells")
    for x, y in rng.uniform((1100, 800), (1400, 1000), (40, 2)).tolist():
        cell = a.rois.createEllipseROI(x, y, 22.5, 20.0, a.plane)
        nucleus = a.rois.createEllipseROI(x + 6, y + 5, 9.5, 9.0, a.plane)
        a.made.append(a.objects.createCellObject(cell, nucleus, immune, None))


def annotate_c(a: Annotator) -> None:
    """An image whose slide is not there any more."""
    a.add(a.blob(800, 800, 400, 10, 90), "Tumor")
    a.add(a.blob(900, 900, 150, 11), "Necrosis")


def main() -> None:
    """Write the slides and the project."""
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    names = {"A.ome.tif": annotate_a, "B.ome.tif": annotate_b, "C.ome.tif": annotate_c}
    project = QuPathProject(WORK, mode="x")
    # Slides below the project folder are found wherever the whole is copied to.
    (WORK / "slides").mkdir()
    for seed, name in enumerate(names):
        slide(WORK / "slides" / name, seed)
    path_class = jpype.JClass("qupath.lib.objects.classes.PathClass")
    colors = jpype.JClass("qupath.lib.common.ColorTools")
    classes = jpype.JClass("java.util.ArrayList")()
    for name, color in CLASSES.items():
        classes.add(path_class.fromString(name, jpype.JInt(colors.packRGB(*color))))
    project.java_object.setPathClasses(classes)
    for name, annotate in names.items():
        entry = project.add_image(WORK / "slides" / name)
        entry.java_object.setImageName(f"Prostate {name[0]}")
        data = entry.java_object.readImageData()
        annotator = Annotator()
        annotate(annotator)
        data.getHierarchy().addObjects(jpype.JClass("java.util.ArrayList")(annotator.made))
        entry.java_object.saveImageData(data)
        data.getServer().close()
    project.java_object.syncChanges()
    (WORK / "slides" / "C.ome.tif").unlink()
    for backup in [*WORK.rglob("*.bkp"), *WORK.rglob("*.backup")]:
        backup.unlink()
    shutil.rmtree(FOLDER, ignore_errors=True)
    shutil.copytree(WORK, FOLDER)
    print(f"{FOLDER}: {len(names)} images, by QuPath {qupath_version}")


if __name__ == "__main__":
    main()
