"""Masks that QuPath's own writer made, as its users make them: palettes, big-endian, levels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import DEMO
from qupath_writer import ImageWriter, ProjectWriter

from qpmask.mask import open_mask

pytestmark = pytest.mark.qupath


@pytest.fixture(scope="module")
def make(
    qupath: object, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., tuple[Path, np.ndarray]]:
    import jpype

    folder = tmp_path_factory.mktemp("project")
    writer = ProjectWriter(folder, {"Tumor": (200, 0, 0), "Stroma": (0, 200, 0)})
    with writer.image(DEMO / "slides" / "A.ome.tif") as image:
        draw(image)
    writer.close()
    (entry,) = writer.project.images
    data = entry.java_object.readImageData()

    def make(path: Path, tile_px: int, *, labels: tuple[int, int], big: bool) -> Any:
        builder = jpype.JClass("qupath.lib.images.servers.LabeledImageServer").Builder(data)
        builder.tileSize(tile_px)
        server = builder.addLabel("Stroma", labels[0]).addLabel("Tumor", labels[1]).build()
        pyramid = jpype.JClass("qupath.lib.images.writers.ome.OMEPyramidWriter")
        series = pyramid.Builder(server).tileSize(tile_px).bigTiff(big).scaledDownsampling(1, 2)
        series.compression(pyramid.CompressionType.LZW)
        series.build().writeSeries(str(path))
        # What QuPath itself has in memory is the judge of what it wrote.
        width, height = int(server.getWidth()), int(server.getHeight())
        image = server.readRegion(1.0, 0, 0, width, height)
        raster = image.getRaster()
        values = raster.getSamples(0, 0, width, height, 0, jpype.JInt[width * height])
        return np.array(values).reshape(height, width)

    return make


def draw(image: ImageWriter) -> None:
    image.add(image.polygon([(100, 80), (2000, 300), (1500, 1900)]), "Stroma")
    image.add(image.ellipse(700, 500, 800, 600), "Tumor")
    image.add(image.rectangle(2500, 1800, 400, 300), "Tumor")


@pytest.mark.parametrize(
    ("tile_px", "labels", "big"),
    [(256, (1, 2), False), (512, (7, 300), False), (256, (7, 300), True), (512, (1, 2), True)],
)
def test_what_qupath_wrote(
    make: Callable[..., np.ndarray], tmp_path: Path, tile_px: int, labels: Any, big: bool
) -> None:
    path = tmp_path / "q.ome.tif"
    base = make(path, tile_px, labels=labels, big=big)
    with open_mask(path) as mask:
        assert mask.shape == base.shape
        assert np.array_equal(mask[:], base)
        assert mask._file.structure.byte_order == ">"
        assert mask.mpp == pytest.approx((0.5, 0.5))
        assert mask.level_scales[:3] == ((1, 1), (2, 2), (4, 4))
        assert mask.present() == (0, *labels)
        found = mask.region(1200, 400, 800, 700, 2)
        # QuPath's levels are drawn anew at their size, so borders may differ, but no more.
        assert (found == base[400:1100:2, 1200:2000:2]).mean() > 0.99
        assert np.array_equal(mask.binary(labels[1])[450:900], base[450:900] == labels[1])
