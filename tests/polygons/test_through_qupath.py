"""Mask -> polygons -> a real QuPath -> mask: every pixel comes back, with both engines."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import DEMO
from projects import data_file, keep
from qpdata.qpdata_reference import Reference

import qpmask
from qpmask import export_masks, export_options
from qpmask.project.project import open_project

pytestmark = pytest.mark.qupath


def speckled(height: int, width: int, n_labels: int, seed: int) -> np.ndarray:
    """Blobs, holes, single pixels, lines one pixel wide in three directions, diagonals."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:height, :width]
    mask = np.zeros((height, width), np.uint16)
    for _ in range(25):
        y, x, r = rng.integers(0, height), rng.integers(0, width), rng.integers(5, 90)
        far = (rows - y) ** 2 + (cols - x) ** 2
        mask[(far < r * r) & (far > rng.integers(0, r * r))] = rng.integers(0, n_labels + 1)
    some = rng.random(mask.shape) < 0.001
    mask[some] = rng.integers(0, n_labels + 1, int(some.sum()))
    for _ in range(20):
        y, x, n = rng.integers(0, height - 60), rng.integers(0, width - 60), rng.integers(2, 60)
        dy, dx = ((0, 1), (1, 0), (1, 1))[rng.integers(0, 3)]
        steps = np.arange(n)
        mask[y + dy * steps, x + dx * steps] = rng.integers(1, n_labels + 1)
    return mask


@pytest.mark.slow
def test_every_pixel_comes_back(qupath: object, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(DEMO, project)
    keep(project, "Prostate A")
    (entry,) = open_project(project)
    assert entry.size is not None
    mask = speckled(entry.size.height_px, entry.size.width_px, 300, seed=7)
    mask[mask > 250] += 50_000
    objects = qpmask.trace(mask)
    written = qpmask.write_geojson(tmp_path / "objects.geojson.gz", objects)
    put(written, data_file(project, "Prostate A"))

    labels = {c.name: int(c.name.split()[1]) for c in objects.classes}
    for engine in ("native", "qupath"):
        report = export_masks(project, tmp_path / engine, labels, export_options(engine=engine))
        assert report.ok, [record.error for record in report]
        made = tifffile.imread(tmp_path / engine / "Prostate A.ome.tif", series=0, level=0)
        assert (made == mask).all()


def put(written: Path, data: Path) -> None:
    """Let QuPath read objects from a file and save them as those of an image."""
    reference = Reference()
    file = reference.jclass("java.nio.file.Paths").get(str(written))
    image_data = reference.image_data(data)
    hierarchy = image_data.getHierarchy()
    hierarchy.clearAll()
    hierarchy.addObjects(reference.path_io.readObjects(file))
    target = reference.jclass("java.io.File")(str(data))
    reference.path_io.writeImageData(target, image_data)
