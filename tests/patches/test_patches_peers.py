"""Patch files and views, read by the other programs' own code, each where it is installed.

AtlasPatch is on PyPI (``atlas-patch``, with OpenCV alone of its requirements); CLAM, TRIDENT and
STAMP are read from their repositories (mahmoodlab/CLAM, mahmoodlab/TRIDENT, KatherLab/STAMP) on
``PYTHONPATH``. What does without them is in :mod:`test_patches_extras`.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from patches.patch_slides import slide_file, tissue_picture

from qpmask import make_patches, open_patches, patch_options

HEIGHT, WIDTH, SIDE = 600, 800, 64
PIXELS, _ = tissue_picture(HEIGHT, WIDTH)


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """An output folder with views for all programs, and the features in its patch file."""
    slide = slide_file(tmp_path / "a.tif", PIXELS, um=0.5)
    how = {"patch_size": SIDE, "target_mag": 20, "min_tissue": 0.3}
    out = tmp_path / "out"
    assert make_patches(slide, out, patch_options(**how)).ok
    with h5py.File(out / "patches" / "a.h5", "a") as file:
        features = np.random.default_rng(0).random((len(file["coords"]), 8), np.float32)
        file["features/resnet"] = features
    assert make_patches(slide, out, patch_options(**how, views=("clam", "trident", "stamp"))).ok
    return out, features


def test_atlaspatch(made: tuple[Path, np.ndarray]) -> None:
    theirs = pytest.importorskip(
        "atlas_patch.utils.feature_h5",
        reason="atlas-patch 1.1 is not installed",
        exc_type=ImportError,
    )
    out, features = made
    path = out / "patches" / "a.h5"
    patches = open_patches(path)
    found = theirs.load_patch_feature_data(path, "resnet")
    assert np.array_equal(found.features, features)
    assert np.array_equal(found.coords[:, :2], patches.coords)
    assert (found.patch_size, found.patch_size_level0) == (SIDE, SIDE)
    assert found.target_magnification == 20
    summary = theirs.read_patch_artifact_summary(path)
    assert summary.num_patches == len(patches) > 5
    assert summary.wsi_path == str(patches.slide_path)


def test_clam(made: tuple[Path, np.ndarray]) -> None:
    """Its step of features gets the pixels that ours are."""
    theirs = pytest.importorskip("dataset_modules.dataset_h5", reason="CLAM is not on the path")
    openslide = pytest.importorskip("openslide")
    out, _ = made
    patches = open_patches(out / "patches" / "a.h5")
    with openslide.OpenSlide(patches.slide_path) as slide:
        found = theirs.Whole_Slide_Bag_FP(str(out / "clam/patches/a.h5"), slide, np.asarray)
        assert len(found) == len(patches)
        for i in (0, len(patches) - 1):
            assert np.array_equal(found[i]["coord"], patches.coords[i])
            assert np.array_equal(found[i]["img"], patches.read(i))


def test_trident(made: tuple[Path, np.ndarray]) -> None:
    """Its patcher takes our coordinates with their attributes, and reads the same pixels."""
    theirs = pytest.importorskip("trident.IO", reason="TRIDENT is not on the path")
    openslide_wsi = pytest.importorskip("trident.wsi_objects.OpenSlideWSI")
    out, features = made
    folder = out / "trident" / "20x_64px_0px_overlap"
    patches = open_patches(out / "patches" / "a.h5")
    attributes, coords = theirs.read_coords(str(folder / "patches" / "a_patches.h5"))
    assert np.array_equal(coords, patches.coords)
    slide = openslide_wsi.OpenSlideWSI(slide_path=str(patches.slide_path), lazy_init=False, mpp=0.5)
    patcher = slide.create_patcher(
        patch_size=attributes["patch_size"], src_mag=attributes["level0_magnification"],
        dst_mag=attributes["target_magnification"], custom_coords=coords, pil=True,
    )  # fmt: skip
    assert len(patcher) == len(patches)
    for i in (0, len(patches) - 1):
        pixels, x, y = patcher[i]
        assert (x, y) == tuple(patches.coords[i])
        assert np.array_equal(np.asarray(pixels.convert("RGB")), patches.read(i))
    with h5py.File(folder / "features_resnet" / "a.h5") as file:
        assert np.array_equal(file["features"][:], features)


def test_stamp(made: tuple[Path, np.ndarray]) -> None:
    theirs = pytest.importorskip("stamp.modeling.data", reason="STAMP is not installed")
    out, features = made
    patches = open_patches(out / "patches" / "a.h5")
    with h5py.File(out / "stamp" / "resnet" / "a.h5") as file:
        found = theirs.get_coords(file)
        assert np.array_equal(file["feats"][:], features.astype(np.float16))
    np.testing.assert_allclose(found.coords_um, patches.coords * 0.5)
    assert (found.tile_size_um, found.tile_size_px, found.mpp) == (SIDE * 0.5, SIDE, 0.5)
