"""Pictures, images and views beside patch files."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import hash_tree
from mask_files import blobs
from patches.patch_slides import mask_file, slide_file, tissue_picture
from PIL import Image

from qpmask import (
    export_masks,
    export_options,
    make_patches,
    open_mask,
    open_patches,
    patch_options,
)
from qpmask.geometry import Affine
from qpmask.viewer.palette import palette_color

HEIGHT, WIDTH, SIDE = 400, 600, 64
PIXELS, TISSUE = tissue_picture(HEIGHT, WIDTH)
LABELS = blobs(HEIGHT, WIDTH, n=6, seed=4)


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    return slide_file(tmp_path / "a.tif", PIXELS, um=2.0)


def run(slide: Path, tmp_path: Path, **options):
    options = {"patch_size": SIDE, "target_mpp": 2.0, **options}
    return make_patches(slide, tmp_path / "out", patch_options(**options))


def test_patches_as_images(tmp_path: Path, slide: Path) -> None:
    report = run(slide, tmp_path, save_images="png")
    folder = tmp_path / "out" / "images" / "a"
    with open_patches(tmp_path / "out" / "patches" / "a.h5") as patches:
        assert report.records[0].images == len(patches) == len(list(folder.iterdir()))
        for i, (x, y) in enumerate(patches.coords.tolist()):
            with Image.open(folder / f"a_x{x}_y{y}.png") as image:
                np.testing.assert_array_equal(np.asarray(image), patches.read(i))
    before = hash_tree(folder)
    assert run(slide, tmp_path, save_images="png").records[0].status == "skipped"
    gone = folder / f"a_x{x}_y{y}.png"
    gone.unlink()
    assert run(slide, tmp_path, save_images="png").records[0].images == 1, "only what is missing"
    assert hash_tree(folder).keys() == before.keys()
    report = run(slide, tmp_path, save_images="jpeg")
    assert len(list(folder.glob("*.jpg"))) == report.records[0].images


def test_overlays(tmp_path: Path, slide: Path) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    mask_file(masks / "a.ome.tif", LABELS, Affine(), slide, (WIDTH, HEIGHT))
    kinds = ("grid", "mask", "contours", "labels")
    report = run(slide, tmp_path, masks=masks, pictures=kinds, min_coverage=0.1)
    assert report.records[0].pictures == ("pictures/a.png",)
    with Image.open(tmp_path / "out" / "pictures" / "a.png") as image:
        pixels = np.asarray(image).astype(int)
    assert pixels.shape[0] == HEIGHT and pixels.shape[1] > WIDTH, "a legend stands beside it"
    legend = pixels[:, WIDTH:]
    with open_mask(masks / "a.ome.tif") as mask:
        own = [mask.classes[n].color for n in (1, 2)]
    assert None not in own and own != [palette_color(n) for n in (1, 2)]
    for color in ((30, 60, 200), (220, 40, 40), *own):
        assert (abs(legend - color).max(axis=2) < 3).any(), "what each colour means"
    with open_patches(tmp_path / "out" / "patches" / "a.h5") as patches:
        for x, y in patches.coords.tolist():
            row = pixels[y, x + 5 : x + SIDE - 5]
            assert (abs(row - (30, 60, 200)).max(axis=1) < 3).any(), "its square is drawn"
    # A class of the mask that no patch has the most of is named too.
    run(slide, tmp_path, masks=masks, pictures="mask", min_coverage=1.0, only=(), force=True)
    with Image.open(tmp_path / "out" / "pictures" / "a.png") as image:
        seen = np.asarray(image).astype(int)[:, WIDTH:]
    assert (abs(seen - own[1]).max(axis=2) < 3).any()
    # Where the mask has a class, the slide's colour is changed; beside tissue and mask it is not.
    plain = PIXELS.astype(int)
    moved = abs(pixels[:, :WIDTH] - plain).max(axis=2) > 10
    assert moved[LABELS > 0].mean() > 0.9
    corner = (LABELS[:40, -40:] == 0) & ~TISSUE[:40, -40:]
    assert not moved[:40, -40:][corner].any()


def test_colours_of_a_mask_of_planes(tmp_path: Path, demo: Path) -> None:
    """A plane a class: each has the colour of its class."""
    options = export_options(engine="native", multichannel=True)
    export_masks(demo, tmp_path / "masks", options=options)
    how = {"masks": tmp_path / "masks", "tissue": "none", "target_mpp": 1.0}
    report = run(demo, tmp_path, pictures=("mask", "labels"), **how)
    record = report.records[0]
    assert record.status == "done", record.error
    with open_mask(record.mask) as mask:
        names, colors = mask.metadata.channel_names, mask.metadata.channel_colors
    with Image.open(tmp_path / "out" / record.pictures[0]) as image:
        legend = np.asarray(image).astype(int)[:, -250:]
    wanted = {name: colors[names.index(name)] for name in ("Stroma", "Tumor")}
    assert colors and None not in wanted.values()
    for color in wanted.values():
        assert (abs(legend - color).max(axis=2) < 3).any()


def with_features(path: Path) -> np.ndarray:
    with h5py.File(path, "a") as file:
        features = np.random.default_rng(0).random((len(file["coords"]), 8), np.float32)
        file["features/resnet"] = features
    return features


def test_views_for_clam_and_trident(tmp_path: Path, slide: Path) -> None:
    out = tmp_path / "out"
    run(slide, tmp_path)
    features = with_features(out / "patches" / "a.h5")
    report = run(slide, tmp_path, views=("clam", "trident"))
    assert report.ok
    coords = open_patches(out / "patches" / "a.h5").coords
    # CLAM's step of features reads coords and two attributes of it.
    with h5py.File(out / "clam" / "patches" / "a.h5") as file:
        np.testing.assert_array_equal(file["coords"], coords)
        assert file["coords"].attrs["patch_level"] == 0
        assert file["coords"].attrs["patch_size"] == SIDE
    # CLAM's training and TRIDENT's slide encoders read both at the root.
    trident = out / "trident" / "5x_64px_0px_overlap"
    for path in (out / "clam/features_resnet/h5_files/a.h5", trident / "features_resnet/a.h5"):
        assert path.stat().st_size < 2000
        with h5py.File(path) as file:
            np.testing.assert_array_equal(file["features"], features)
            np.testing.assert_array_equal(file["coords"], coords)
            assert file["coords"].attrs["patch_size_level0"] == SIDE
    with h5py.File(trident / "patches" / "a_patches.h5") as file:
        attributes = file["coords"].attrs
        # TRIDENT's WSIPatcher: patch size, and both magnifications to compute with.
        assert attributes["patch_size"] * attributes["level0_magnification"] // (
            attributes["target_magnification"]
        ) == SIDE  # fmt: skip
        assert {"overlap", "name", "savetodir", "level0_width", "level0_height"} <= set(attributes)
    assert run(slide, tmp_path, views=("clam", "trident")).records[0].status == "skipped"
    (tmp_path / "moved").mkdir()
    moved = out.rename(tmp_path / "moved" / "out")
    with h5py.File(moved / "clam/features_resnet/h5_files/a.h5") as file:
        np.testing.assert_array_equal(file["features"], features)


def test_what_clam_reads_where_patches_are_resampled(tmp_path: Path, slide: Path) -> None:
    """It reads patch_size pixels of patch_level: those that a patch really has."""
    report = run(slide, tmp_path, target_mpp=3.0, views="clam", tissue="none")
    assert report.records[0].patch_size_level0 == 96
    with h5py.File(tmp_path / "out" / "clam" / "patches" / "a.h5") as file:
        assert file["coords"].attrs["patch_size"] == 96
        assert file["coords"].attrs["patch_level"] == 0
    with h5py.File(tmp_path / "out" / "patches" / "a.h5") as file:
        assert "patch_level" not in file["coords"].attrs


def test_a_copy_for_stamp(tmp_path: Path, slide: Path) -> None:
    run(slide, tmp_path)
    features = with_features(tmp_path / "out" / "patches" / "a.h5")
    run(slide, tmp_path, views="stamp")
    coords = open_patches(tmp_path / "out" / "patches" / "a.h5").coords
    with h5py.File(tmp_path / "out" / "stamp" / "resnet" / "a.h5") as file:
        assert file["feats"].dtype == np.float16
        np.testing.assert_array_equal(file["feats"], features.astype(np.float16))
        np.testing.assert_allclose(file["coords"], coords * 2.0)
        assert file["coords"].dtype == np.float32
        expected = {"unit": "um", "tile_size_um": 128.0, "tile_size_px": 64, "extractor": "resnet"}
        assert {k: file.attrs[k] for k in expected} == expected


def test_images_of_other_patches_do_not_stay(tmp_path: Path, slide: Path) -> None:
    first = run(slide, tmp_path, save_images="png")
    folder = tmp_path / "out" / "images" / slide.stem
    mine = folder / "notes.txt"
    mine.write_text("mine")
    assert first.records[0].images == len(list(folder.glob("*.png"))) > 0

    larger = run(slide, tmp_path, save_images="png", patch_size=2 * SIDE)
    found = sorted(folder.glob("*.png"))
    assert larger.records[0].images == len(found) == larger.records[0].patches
    for path in found:
        with Image.open(path) as image:
            assert image.size == (2 * SIDE, 2 * SIDE)
    assert mine.read_text() == "mine"
