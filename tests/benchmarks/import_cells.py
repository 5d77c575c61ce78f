"""Cells into a project: qpmask, QuPath's own GeoJSON reader, and paquo's ``load_geojson``.

    python tests/benchmarks/import_cells.py [N]

One process and one JVM, one after the other, on copies of one project; each reads, adds and saves.
CPU seconds of the process, all threads, and per object: the slow ones get fewer cells.
"""

from __future__ import annotations

import json
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from qpmask import ImportOptions, add_objects, import_objects  # noqa: E402
from qpmask.engines.qupath.datafilewriter import DataFiles  # noqa: E402
from qpmask.project import open_project  # noqa: E402
from qpmask.qpdata import read_qpdata  # noqa: E402

PROJECT = HERE.parents[1] / "examples" / "demo_project"


def cells(n: int) -> np.ndarray:
    """Nuclei of 24 vertices, to a tenth of a pixel, shape (n, 25, 2)."""
    rng = np.random.default_rng(0)
    middle = rng.uniform([20, 20], [2980, 2180], (n, 1, 2))
    angle = np.linspace(0, 2 * np.pi, 25)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    radius = rng.uniform(5, 7, (n, 25, 1))
    radius[:, -1] = radius[:, 0]
    return np.round(middle + radius * circle, 1)


def geojson(polygons: np.ndarray) -> list[dict[str, Any]]:
    """The same as QuPath 0.4 to 0.7 write them."""
    return [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {
                "objectType": "detection",
                "classification": {"name": "Tumor", "color": [200, 0, 0]},
                "measurements": {"score": 0.5},
            },
        }
        for ring in polygons.tolist()
    ]


def seconds(call: Callable[[], object]) -> float:
    """CPU seconds of a call, in all threads."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    call()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(n: int) -> None:
    import jpype

    folder = Path(tempfile.mkdtemp())
    polygons = cells(n)

    def project(name: str) -> Path:
        return Path(shutil.copytree(PROJECT, folder / name))

    def written(polygons: np.ndarray, name: str) -> Path:
        path = folder / name
        path.write_text(json.dumps({"type": "FeatureCollection", "features": geojson(polygons)}))
        return path

    def show(name: str, n: int, spent: float, target: str) -> None:
        assert len(read_qpdata(folder / target / "data/1/data.qpdata")) == n + 8
        each.append(spent / n)
        faster = each[-1] / each[0]
        print(f"{name:48s} {n:8,d} {spent:7.2f} s {1e6 * each[-1]:8.1f} µs each {faster:6.1f}")

    DataFiles(open_project(PROJECT))  # starts the JVM
    each: list[float] = []
    scores = {"score": np.full(n, 0.5)}
    path = written(polygons, "all.geojson")

    def by_qpmask(engine: Any) -> None:
        options = ImportOptions(as_kind="detections", force=True, engine=engine)
        add_objects(project(f"warm {engine}"), "1", polygons[:2000], "Tumor", options=options)
        one, other = project(f"arrays {engine}"), project(f"geojson {engine}")
        spent = seconds(lambda: add_objects(one, "1", polygons, "Tumor", scores, options=options))
        show(f"add_objects, engine {engine}", n, spent, one.name)
        spent = seconds(lambda: import_objects(path, other, options, image="1"))
        show(f"import FILE.geojson, engine {engine}", n, spent, other.name)

    by_qpmask("native")
    by_qpmask("qupath")

    some = max(1, n // 5)
    smaller = written(polygons[:some], "some.geojson")

    def by_qupath() -> None:
        target = project("qupath")
        data = DataFiles(open_project(target)).open(open_project(target).images[0])
        read = jpype.JClass("qupath.lib.io.PathIO").readObjects(
            jpype.JClass("java.nio.file.Paths").get(str(smaller))
        )
        data._data.getHierarchy().addObjects(read)
        data.write(target / "data/1/data.qpdata")

    show("QuPath: readObjects, addObjects, writeImageData", some, seconds(by_qupath), "qupath")

    few = max(1, n // 40)
    features = geojson(polygons[:few])

    def by_paquo() -> None:
        from paquo.projects import QuPathProject

        with QuPathProject(project("paquo"), mode="r+") as opened:
            image = opened.images[0]
            image.hierarchy.load_geojson(features)
            image.java_object.saveImageData(image._image_data)  # paquo saves no image without slide

    show("paquo: load_geojson, saveImageData", few, seconds(by_paquo), "paquo")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
