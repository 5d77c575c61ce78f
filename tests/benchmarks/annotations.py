"""Cells with measurements to GeoJSON: ``qpmask annotations`` and QuPath's own export, in one run.

Prints the CPU seconds (all threads) of reading a data file and writing all its objects as GeoJSON:
by ``PathIO.readImageData`` and ``PathIO.exportObjectsAsGeoJSON``, and by what ``qpmask
annotations`` calls; the first time in a process, with classes or modules still to be loaded, and
the second, to which Java's compiler has adapted. The file is written by the QuPath in use, or FILE
if it is there: cells with outlines of 12 to 39 vertices and nuclei, four classes, ten measurements
of single precision, as its cell detection stores them. Each side has a process of its own. The
same number of features must come out::

    python tests/benchmarks/annotations.py [CELLS [FILE]]
"""

from __future__ import annotations

import json
import platform
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from qpdata.qpdata_reference import Reference
from qpdata.qpdata_varied import make_samples

from qpmask.annotations.convert import read_objects
from qpmask.engines import jvm
from qpmask.geojson.write import WriteOptions
from qpmask.objectfiles.writing import write_objects

NAMES = [f"{part}: {what}" for part in ("Nucleus", "Cell")
         for what in ("Area", "Perimeter", "Circularity", "DAB OD mean", "DAB OD max")]  # fmt: skip


def write_cells(path: Path, n: int) -> None:
    """Write a data file of so many cells."""
    samples = make_samples()
    make = samples.Maker()
    rng = np.random.default_rng(1)
    factory = make.jclass("qupath.lib.measurements.MeasurementListFactory")
    single = make.jclass("qupath.lib.measurements.MeasurementList$MeasurementListType").FLOAT
    classes = [None, *map(make.path_class.fromString, ("Tumor", "Tumor: Positive", "Stroma"))]
    image_data = samples.new_image_data(make)
    root = image_data.getHierarchy().getRootObject()
    for i in range(n):
        angles = np.linspace(0, 2 * np.pi, int(rng.integers(12, 40)), endpoint=False)
        x, y = rng.random(2) * 1e5
        radius = 5 + rng.random(len(angles))
        outline, nucleus = (
            make.polygon(x + r * np.cos(angles), y + r * np.sin(angles)) for r in (radius, 1)
        )
        measured = factory.createMeasurementList(len(NAMES), single)
        for name, value in zip(NAMES, rng.random(len(NAMES)) * 100, strict=True):
            measured.put(name, value)
        measured.close()
        root.addChildObject(
            make.objects.createCellObject(outline, nucleus, classes[i % 4], measured)
        )
    samples.write(make, image_data, path)


def by_qupath() -> Callable[[Path, Path], object]:
    """Read and export with QuPath."""
    jvm.start("4g")
    reference = Reference()
    java_path = reference.jclass("java.nio.file.Paths").get
    options = reference.jclass("qupath.lib.io.PathIO$GeoJsonExportOptions").FEATURE_COLLECTION

    def run(path: Path, target: Path) -> None:
        objects = reference.hierarchy(path).getRootObject().getDescendantObjects(None)
        reference.path_io.exportObjectsAsGeoJSON(java_path(str(target)), objects, [options])

    return run


def by_qpmask() -> Callable[[Path, Path], object]:
    """Read and write natively."""
    return lambda path, target: write_objects(target, read_objects(path)[0], WriteOptions())


def measure(reader: str, path: Path) -> None:
    """Read and write a file again and again, and print the CPU seconds; and the features."""
    run = by_qupath() if reader == "qupath" else by_qpmask()
    target = path.with_name(f"{reader}.geojson")
    seconds = []
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_SELF)
        run(path, target)
        after = resource.getrusage(resource.RUSAGE_SELF)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    n = target.read_bytes().count(b'"nucleusGeometry"')
    print(json.dumps([n, target.stat().st_size / 1e6, *seconds]))


def measured(reader: str, path: Path) -> list[float]:
    """Run :func:`measure` in a process of its own."""
    command = [sys.executable, __file__, "--measure", reader, str(path)]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: list[float] = json.loads(printed.splitlines()[-1])
    return found


def main(n: int = 200_000, file: str = "cells.qpdata") -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / file  # a whole path stays as it is
        if not path.exists():
            running = jvm.start("4g")
            print(f"{running}, Python {platform.python_version()}, {platform.machine()}")
            write_cells(path, n)
        print(f"{n:,} cells, {path.stat().st_size / 1e6:.0f} MB; CPU seconds")
        print("| | GeoJSON, MB | first | second |")
        print("|---|---|---|---|")
        rows: dict[str, Any] = {}
        for reader in ("qupath", "qpmask"):
            features, size_mb, first, second = measured(reader, path)
            assert features == n, f"{reader} wrote {features:,} features"
            rows[reader] = first, second
            print(f"| {reader} | {size_mb:.0f} | {first:.2f} | {second:.2f} |", flush=True)
        (a, b), (c, d) = rows["qupath"], rows["qpmask"]
        print(f"| ratio | | {a / c:.1f} | {b / d:.1f} |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2], Path(sys.argv[3]))
    else:
        main(*map(int, sys.argv[1:2]), *sys.argv[2:3])
