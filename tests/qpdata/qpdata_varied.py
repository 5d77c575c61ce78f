"""Objects of which hardly two are laid out alike, made with QuPath.

As a script it writes ``data/varied-<version>.qpdata``, a small file of them::

    PAQUO_QUPATH_DIR=/opt/QuPath-0.6.0 python tests/qpdata/qpdata_varied.py
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

WORDS = ("Area", "Mean", "Min", "Max", "Größe", "OD", "Circularity", "Ki67", "DAB", "Nucleus")


def make_samples() -> ModuleType:
    """The script that writes the other samples."""
    path = Path(__file__).parent / "data" / "make_samples.py"
    spec = importlib.util.spec_from_file_location("make_samples", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_varied(samples: Any, path: Path, n: int, seed: int, most_vertices: int = 200) -> None:
    """Write a data file of so many objects."""
    make = samples.Maker()
    image_data = samples.new_image_data(make)
    for item in VariedMaker(make, seed, most_vertices).objects(n):
        image_data.getHierarchy().getRootObject().addChildObject(item)
    samples.write(make, image_data, path)


class VariedMaker:
    """Makes the objects.

    Parameters
    ----------
    make : Maker
        That of ``data/make_samples.py``.
    seed : int
        What they are drawn from.
    most_vertices : int
        How many vertices a polygon may have.
    """

    def __init__(self, make: Any, seed: int = 0, most_vertices: int = 200) -> None:
        self.make = make
        self.most_vertices = most_vertices
        self.rng = np.random.default_rng(seed)
        self.classes = [None, make.path_class.NULL_CLASS]
        for i in range(60):
            name = f"Class {i % 20}" + (f": part {i}" if i >= 20 else "")
            self.classes.append(make.path_class.fromString(name, make.to_int(-(i * 7919) - 1)))
        factory = make.jclass("qupath.lib.measurements.MeasurementListFactory")
        types = make.jclass("qupath.lib.measurements.MeasurementList$MeasurementListType")
        self.new_list = factory.createMeasurementList
        self.list_types = (types.GENERAL, types.DOUBLE, types.FLOAT)

    def number(self, least: int, most: int) -> int:
        return int(self.rng.integers(least, most + 1))

    def outline(self, n: int) -> tuple[Any, Any]:
        x, y = self.rng.random(2) * 40_000
        angles = np.linspace(0, 2 * np.pi, n, endpoint=False)
        radius = 20 + 5 * self.rng.random(n)
        return x + radius * np.cos(angles), y + radius * np.sin(angles)

    def rings(self) -> str:
        """One to three squares with none to four holes each, as well-known text."""
        parts = []
        for i in range(int(self.rng.integers(1, 4))):
            x, y = (self.rng.integers(0, 4_000_000, 2) / 100).tolist()
            squares = [(x + 100 * i, y, 50.25)]
            squares += [
                (x + 100 * i + 10 * j + 1, y + 2, 5.5) for j in range(self.rng.integers(0, 5))
            ]
            texts = [
                f"({a:.2f} {b:.2f}, {a + s:.2f} {b:.2f}, {a + s:.2f} {b + s:.2f}, "
                f"{a:.2f} {b + s:.2f}, {a:.2f} {b:.2f})"
                for a, b, s in squares
            ]
            parts.append(f"({', '.join(texts)})")
        return f"POLYGON {parts[0]}" if len(parts) == 1 else f"MULTIPOLYGON ({', '.join(parts)})"

    def roi(self) -> Any:
        make, rng = self.make, self.rng
        plane = make.plane(z=int(rng.integers(0, 3)), t=int(rng.integers(0, 2)))
        choice = int(rng.integers(0, 16))
        if choice < 9:
            roi = make.polygon(*self.outline(self.number(3, self.most_vertices)), plane)
            if rng.random() < 0.3:
                roi.getArea()  # the statistics are stored once they were computed
            return roi
        if choice < 11:
            return make.geometry(self.rings(), plane)
        if choice == 11:
            return make.polyline(
                *self.outline(int(rng.integers(2, 3 + self.most_vertices // 4))), plane
            )
        if choice == 12:
            return make.points(
                *self.outline(int(rng.integers(1, 2 + self.most_vertices // 5))), plane
            )
        x, y, w, h = (rng.random(4) * 1000).tolist()
        create = (make.rois.createEllipseROI, make.rois.createLineROI)[choice == 13]
        return (make.rois.createRectangleROI if choice == 14 else create)(x, y, w, h, plane)

    def measure(self, measurements: Any) -> None:
        rng = self.rng
        for i in rng.permutation(40)[: int(rng.integers(0, 13))].tolist():
            measurements.put(f"{WORDS[i % 10]}: {i // 10}", float(rng.random()))
        if rng.random() < 0.05:
            measurements.put(f"Score {rng.integers(0, 10**9)}", float("nan"))
        if rng.random() < 0.6:
            measurements.close()

    def object(self) -> Any:
        make, rng = self.make, self.rng
        choice = int(rng.integers(0, 10))
        path_class = self.classes[int(rng.integers(0, len(self.classes)))]
        if choice < 5:
            item = make.objects.createAnnotationObject(self.roi(), path_class)
            if rng.random() < 0.5:
                item.setDescription("a description, " * int(rng.integers(1, 12)))
            if rng.random() < 0.3:
                self.measure(item.getMeasurementList())
        else:
            measurements = self.new_list(16, self.list_types[int(rng.integers(0, 3))])
            self.measure(measurements)
            if choice < 8:
                item = make.objects.createDetectionObject(self.roi(), path_class, measurements)
            elif choice == 8:
                item = make.objects.createTileObject(self.roi(), path_class, measurements)
            else:
                outline, nucleus = (
                    make.polygon(*self.outline(n))
                    for n in rng.integers(3, 4 + self.most_vertices // 2, 2)
                )
                item = make.objects.createCellObject(
                    outline, nucleus if rng.random() < 0.8 else None, path_class, measurements
                )
        if rng.random() < 0.4:
            item.setName(f"object {rng.integers(0, 10**6)} ü"[: int(rng.integers(1, 16))])
        if rng.random() < 0.3:
            item.setColor(make.to_int(int(rng.integers(-(2**31), 2**31))))
        if rng.random() < 0.2:
            item.setLocked(True)
        for i in range(int(rng.integers(0, 4)) if rng.random() < 0.3 else 0):
            item.getMetadata().put(f"key {rng.integers(0, 30)}", f"value {i}")
        return make.finish(item)

    def objects(self, n: int) -> list[Any]:
        """Make so many objects; about one in eight has another for its parent.

        Returns
        -------
        list
            Those that have none.
        """
        top: list[Any] = []
        recent: list[Any] = []
        for _ in range(n):
            item = self.object()
            if recent and self.rng.random() < 0.12:
                recent[int(self.rng.integers(0, len(recent)))].addChildObject(item)
            else:
                top.append(item)
            recent = [*recent[-20:], item]
        return top


if __name__ == "__main__":
    script = make_samples()
    name = f"varied-{script.start_qupath()}.qpdata"
    write_varied(script, Path(__file__).parent / "data" / name, 60, seed=4, most_vertices=12)
