"""Other programs read what is written: each skips, with a reason, where it is not installed."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qpmask import MaskCollection
from qpmask.collection.packing import unpack

SHAPE = (2300, 1200)
NAMES = ("Tissue", "Tumor")
pytestmark = pytest.mark.filterwarnings("default")  # what others warn of is their own affair


def masks_of(overlap: bool) -> dict[str, np.ndarray]:
    tissue, tumor = np.zeros((2, *SHAPE), bool)
    tissue[100:1290, 50:600] = True
    tumor[3:400, (500 if overlap else 640) : 1100] = True
    return dict(zip(NAMES, (tissue, tumor), strict=True))


def written(path: Path, *, overlap: bool) -> np.ndarray:
    """A collection; the flattened mask that it is."""
    flat = np.zeros(SHAPE, np.uint8)
    with MaskCollection(path, "w", shape=SHAPE, mpp=0.5, name="slide", flat="full") as masks:
        for label, (name, mask) in enumerate(masks_of(overlap).items(), 1):
            masks.add(name, mask, color=(200, 0, label))
            flat[mask] = label
    return flat


@pytest.fixture(params=[".ozx", ".zarr"])
def both(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"c{request.param}"


def zarr_group(path: Path) -> Any:
    zarr = pytest.importorskip("zarr", minversion="3", reason="zarr 3 needs Python 3.11")
    if path.is_dir():
        return zarr.open_group(path, mode="r")
    return zarr.open_group(zarr.storage.ZipStore(path, mode="r"), mode="r")


def test_zarr_python(both: Path) -> None:
    flat = written(both, overlap=True)
    group = zarr_group(both)
    assert np.array_equal(group["0"][:], flat)
    assert np.array_equal(group["1"][:], flat[::16, ::16])
    for name, mask in masks_of(True).items():
        array = group[f"labels/{name}/0"]
        assert np.array_equal(array[:] != 0, mask)
        assert np.array_equal(group[f"labels/{name}/1"][:] != 0, mask[::16, ::16])


def test_ngff_zarr(both: Path) -> None:
    ngff_zarr = pytest.importorskip("ngff_zarr")
    flat = written(both, overlap=True)
    found = ngff_zarr.from_ngff_zarr(str(both), validate=True)
    assert np.array_equal(np.asarray(found.images[0].data), flat)
    assert found.images[0].scale == {"y": 0.5, "x": 0.5}
    assert found.images[1].scale == {"y": 8.0, "x": 8.0}


def test_bioio(both: Path) -> None:
    bioio = pytest.importorskip("bioio")
    pytest.importorskip("bioio_ome_zarr")
    flat = written(both, overlap=True)
    image = bioio.BioImage(both)
    assert np.array_equal(np.squeeze(image.data), flat)
    assert image.physical_pixel_sizes.X == 0.5


def test_ome_zarr_py(tmp_path: Path) -> None:
    ome_io = pytest.importorskip("ome_zarr.io")
    reader = pytest.importorskip("ome_zarr.reader")
    flat = written(tmp_path / "c.zarr", overlap=True)
    nodes = list(reader.Reader(ome_io.parse_url(tmp_path / "c.zarr"))())
    assert np.array_equal(np.asarray(nodes[0].data[0]), flat)
    assert [p["name"] for p in nodes[0].metadata["properties"].values()] == list(NAMES)
    found = {n.metadata["name"]: np.asarray(n.data[0]) != 0 for n in nodes if n.data}
    for name, mask in masks_of(True).items():
        assert np.array_equal(found[name], mask)


def test_napari_ome_zarr(tmp_path: Path) -> None:
    plugin = pytest.importorskip("napari_ome_zarr")
    written(tmp_path / "c.zarr", overlap=True)
    path = str(tmp_path / "c.zarr")
    layers = plugin.napari_get_reader(path)(path)
    assert {layer[2] for layer in layers} == {"labels"}
    assert len(layers) == 3
    assert list(layers[0][1]["properties"]["name"]) == list(NAMES)
    assert np.array_equal(np.asarray(layers[2][0][0]) != 0, masks_of(True)["Tumor"])


@pytest.mark.parametrize("overlap", [True, False])
def test_ome_zarr_models(overlap: bool, both: Path) -> None:
    v05 = pytest.importorskip("ome_zarr_models.v05")
    written(both, overlap=overlap)
    group = zarr_group(both)
    label = v05.ImageLabel.from_zarr(group).attributes.ome.image_label
    assert [p.label_value for p in label.properties] == [1, 2]
    if overlap:
        image = v05.Image.from_zarr(group)
        assert list(image.labels.label_paths) == list(NAMES)
        for name in NAMES:
            v05.ImageLabel.from_zarr(group[f"labels/{name}"])


@pytest.mark.parametrize("overlap", [True, False])
def test_yaozarrs(overlap: bool, tmp_path: Path) -> None:
    yaozarrs = pytest.importorskip("yaozarrs")
    written(tmp_path / "c.zarr", overlap=overlap)
    yaozarrs.validate_zarr_store(str(tmp_path / "c.zarr"))


def test_any_unzip_makes_the_folder(tmp_path: Path) -> None:
    flat = written(tmp_path / "c.ozx", overlap=True)
    with zipfile.ZipFile(tmp_path / "c.ozx") as archive:
        archive.extractall(tmp_path / "c.zarr")
    with MaskCollection(tmp_path / "c.zarr") as masks:
        assert np.array_equal(masks.flat[:], flat)


def test_ome_zarr_04_for_bio_formats_and_qupath(tmp_path: Path) -> None:
    flat = written(tmp_path / "c.ozx", overlap=True)
    (path,) = unpack(tmp_path / "c.ozx", tmp_path / "back", kind="ome-zarr-0.4")
    group = zarr_group(path)
    assert group.metadata.zarr_format == 2
    assert np.array_equal(group["0"][:], flat)
    assert np.array_equal(group["1"][:], flat[::16, ::16])
    v04 = pytest.importorskip("ome_zarr_models.v04")
    label = v04.ImageLabel.from_zarr(group).attributes.image_label
    assert [p.label_value for p in label.properties] == [1, 2]
    yaozarrs = pytest.importorskip("yaozarrs")
    yaozarrs.validate_zarr_store(str(path))
