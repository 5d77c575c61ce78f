"""The OME-Zarr 0.4 folder of a collection in Bio-Formats and in QuPath's own image server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from readers.javacalls import qupath_planes, qupath_server

from qpmask import MaskCollection
from qpmask.collection.packing import unpack

SHAPE = (2300, 1200)
VOLUME = (5, 40, 600)


@pytest.fixture
def zarr_reader(java_class: Any) -> Any:
    """The JVM's classes, where Bio-Formats' reader of Zarr is whole."""
    for needed in ("loci.formats.in.ZarrReader", "ucar.ma2.DataType"):
        try:
            java_class(needed)
        except Exception:
            pytest.skip(f"this QuPath has no {needed}, with which Bio-Formats reads Zarr")
    return java_class


def folder_of(tmp_path: Path, masks: dict[str, np.ndarray], **how: Any) -> Path:
    shape = next(iter(masks.values())).shape
    with MaskCollection(tmp_path / "slide.ozx", "w", shape=shape, name="slide", **how) as made:
        for name, mask in masks.items():
            made.add(name, mask, color=(200, 0, 0))
    (path,) = unpack(tmp_path / "slide.ozx", tmp_path / "out", kind="ome-zarr-0.4")
    return path


def test_a_plane(tmp_path: Path, zarr_reader: Any) -> None:
    tissue, tumor = np.zeros((2, *SHAPE), bool)
    tissue[100:1290, 50:600], tumor[3:400, 500:1100] = True, True
    path = folder_of(tmp_path, {"Tissue": tissue, "Tumor": tumor}, mpp=(0.5, 0.25))
    flat = np.where(tumor, 2, tissue)
    server = qupath_server(zarr_reader, path)
    try:
        calibration = server.getPixelCalibration()
        assert calibration.getPixelWidthMicrons() == 0.5
        assert calibration.getPixelHeightMicrons() == 0.25
        levels = qupath_planes(zarr_reader, server)
    finally:
        server.close()
    assert len(levels) == 2
    assert np.array_equal(levels[0], flat[None])
    assert np.array_equal(levels[1], flat[None, ::16, ::16])


def test_a_volume(tmp_path: Path, zarr_reader: Any) -> None:
    organ = np.zeros(VOLUME, bool)
    organ[1:3, 5:30, 100:580] = True
    path = folder_of(tmp_path, {"liver": organ}, spacing=(2.0, 1.0, 0.5))
    server = qupath_server(zarr_reader, path)
    try:
        assert server.nZSlices() == VOLUME[0]
        assert server.getPixelCalibration().getPixelHeightMicrons() == pytest.approx(1000)
        for z in range(VOLUME[0]):
            assert np.array_equal(qupath_planes(zarr_reader, server, z)[0], organ[None, z])
    finally:
        server.close()
