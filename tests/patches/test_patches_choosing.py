"""Which patches are kept, by tissue and by class, and with which labels."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import handmade_projects
import numpy as np
import pytest
from patches.patch_runs import (
    HEIGHT,
    LABELS,
    PIXELS,
    SIDE,
    TISSUE,
    WIDTH,
    cells,
    one,
    project_of_file,
    run,
    share,
)
from patches.patch_slides import mask_file, slide_file

from qpmask import MaskWriter, open_patches
from qpmask.errors import OptionsError
from qpmask.geometry import Affine
from qpmask.project import open_project

# --- tissue ---------------------------------------------------------------------------------------


def test_tissue_is_found(tmp_path: Path, slide: Path) -> None:
    patches = one(slide, tmp_path, min_tissue=0.3)
    truth = {c: share(TISSUE, *c) for c in cells()}
    kept = {tuple(c) for c in patches.coords.tolist()}
    assert all(c in kept for c, s in truth.items() if s > 0.4)
    assert not any(c in kept for c, s in truth.items() if s < 0.2)
    for (x, y), found in zip(patches.coords.tolist(), patches.tissue.tolist(), strict=True):
        assert found >= 0.3
        assert abs(found - truth[x, y]) < 0.1


def test_no_tissue_is_looked_for(tmp_path: Path, slide: Path) -> None:
    patches = one(slide, tmp_path, tissue="none", edge="pad")
    assert [tuple(c) for c in patches.coords.tolist()] == cells(pad=True)
    assert (patches.tissue == 1).all()


def test_tissue_from_geojson(tmp_path: Path, slide: Path) -> None:
    ring = [[100, 100], [700, 100], [700, 500], [100, 500], [100, 100]]
    path = tmp_path / "tissue.geojson"
    path.write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    patches = one(slide, tmp_path, tissue=str(path), min_tissue=0.5)
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[100:500, 100:700] = True
    expected = [c for c in cells() if share(inside, *c) >= 0.5]
    assert [tuple(c) for c in patches.coords.tolist()] == expected
    np.testing.assert_allclose(patches.tissue, [share(inside, *c) for c in expected], atol=1e-6)


def test_geojson_of_an_image_of_a_project_is_in_its_pixels(tmp_path: Path) -> None:
    """As QuPath writes it: of a cropped and turned image it is not in the pixels of the file."""
    slide_file(tmp_path / "a.tif", PIXELS, um=2.0)
    whole = json.loads(project_of_file(tmp_path, ("whole", [])).read_text("utf-8"))
    region = {"x": 200, "y": 100, "width": 700, "height": 500, "z": 0, "t": 0}
    turned = {
        "builderType": "rotated", "rotation": "ROTATE_90",
        "metadata": handmade_projects.metadata(500, 700),
        "builder": {
            "builderType": "cropped", "region": region,
            "metadata": handmade_projects.metadata(700, 500),
            "builder": whole["images"][0]["serverBuilder"],
        },
    }  # fmt: skip
    image = handmade_projects.image("turned", serverBuilder=turned)
    project = handmade_projects.write(tmp_path / "project", image)
    (entry,) = open_project(project).images
    to_file = entry.frame.matrix
    assert entry.frame.steps and to_file.b != 0
    # A rectangle of the image: 128 x 256 of its pixels are 256 x 128 of the file's.
    x, y = 64, 192
    ring = [[x, y], [x + 128, y], [x + 128, y + 256], [x, y + 256], [x, y]]
    path = tmp_path / "tissue.geojson"
    path.write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    corners = [to_file(*point) for point in ring]
    left, top = (round(min(c[k] for c in corners)) for k in (0, 1))
    right, low = (round(max(c[k] for c in corners)) for k in (0, 1))
    assert (right - left, low - top) == (256, 128)
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[top:low, left:right] = True
    patches = one(project, tmp_path, tissue=str(path), min_tissue=0.5, labels=False)
    expected = [c for c in cells() if share(inside, *c) >= 0.5]
    assert [tuple(c) for c in patches.coords.tolist()] == expected
    np.testing.assert_allclose(patches.tissue, [share(inside, *c) for c in expected], atol=1e-6)


def test_a_folder_tells_the_tissue_of_each_slide(
    tmp_path: Path, slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = slide_file(tmp_path / "b.tif", PIXELS, um=2.0)
    folder = tmp_path / "tissue"
    folder.mkdir()
    for name, x in (("a", 64), ("b", 640)):
        ring = [[x, 64], [x + 64, 64], [x + 64, 128], [x, 128], [x, 64]]
        text = json.dumps({"type": "Polygon", "coordinates": [ring]})
        (folder / f"{name}.geojson").write_text(text)
    report = run([slide, other], tmp_path, tissue=str(folder))
    found = [open_patches(tmp_path / "out" / r.file).coords.tolist() for r in report]
    assert found == [[[64, 64]], [[640, 64]]]
    monkeypatch.chdir(tmp_path)
    again = run([slide, other], tmp_path, tissue="tissue")
    assert [r.status for r in again] == ["skipped"] * 2, "the same files, named from elsewhere"
    (folder / "b.geojson").unlink()
    report = run([slide, other], tmp_path, tissue=str(folder))
    assert [r.status for r in report] == ["skipped", "failed"]
    assert "has no file for b" in report.records[1].error
    with pytest.raises(OptionsError, match="is of one slide, and there are 2"):
        run([slide, other], tmp_path, tissue=str(folder / "a.geojson"))


def test_tissue_where_the_mask_has_a_class(tmp_path: Path, slide: Path) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    mask_file(masks / "a.ome.tif", LABELS, Affine(), slide, (WIDTH, HEIGHT))
    for classes, found in (((), LABELS > 0), (("Tumor",), LABELS == 2)):
        if classes:
            names = one(slide, tmp_path, tissue="none", masks=masks, force=True).classes
            classes = (names[1],)
            found = LABELS == 2
        patches = one(slide, tmp_path, tissue="annotations", tissue_classes=classes, masks=masks,
                      min_tissue=0.25, force=True)  # fmt: skip
        expected = [c for c in cells() if share(found, *c) >= 0.25]
        assert [tuple(c) for c in patches.coords.tolist()] == expected
        np.testing.assert_allclose(patches.tissue, [share(found, *c) for c in expected], rtol=1e-6)


def test_white_and_black_patches_go(tmp_path: Path) -> None:
    pixels = np.full((SIDE, 4 * SIDE, 3), 128, np.uint8)
    pixels[:, :SIDE] = 240
    pixels[:, SIDE : 2 * SIDE] = 10
    pixels[:, 2 * SIDE : 2 * SIDE + 16] = 255  # a quarter
    slide = slide_file(tmp_path / "a.tif", pixels, um=2.0)
    for options, expected in (
        ({}, [0, 1, 2, 3]), ({"white_thresh": 0.5}, [1, 2, 3]), ({"black_thresh": 0.5}, [0, 2, 3]),
        ({"white_thresh": 0.2, "black_thresh": 0.2}, [3]),
    ):  # fmt: skip
        patches = one(slide, tmp_path, tissue="none", **options)
        assert (patches.coords[:, 0] // SIDE).tolist() == expected
        assert patches.attributes["num_patches"] == len(expected)


# --- labels ---------------------------------------------------------------------------------------


TURNED = {
    "as it is": (Affine(), LABELS),
    "cropped": (Affine.shift(70, 33), LABELS[33:800, 70:1200]),
    # A mask pixel (x, y) lies at (y, HEIGHT - x) of the slide: the image is turned clockwise.
    "turned by 90 degrees": (Affine(0, 1, 0, -1, 0, HEIGHT), np.rot90(LABELS, -1)),
    "turned by 180 degrees": (Affine(-1, 0, WIDTH, 0, -1, HEIGHT), LABELS[::-1, ::-1]),
    "mirrored": (Affine(-1, 0, WIDTH, 0, 1, 0), LABELS[:, ::-1]),
}


@pytest.mark.parametrize("name", TURNED)
def test_labels_lie_where_the_frame_says(tmp_path: Path, slide: Path, name: str) -> None:
    matrix, labels = TURNED[name]
    masks = tmp_path / "masks"
    masks.mkdir()
    mask_file(masks / "a.ome.tif", np.ascontiguousarray(labels), matrix, slide, (WIDTH, HEIGHT))
    patches = one(slide, tmp_path, tissue="none", masks=masks, overlap=20, min_coverage=0.4)
    seen = LABELS.copy()
    if name == "cropped":
        seen[:] = 0
        seen[33:800, 70:1200] = LABELS[33:800, 70:1200]
    with h5py.File(patches.path) as file:
        values = file["labels/values"][()]
    for i, (x, y) in enumerate(patches.coords.tolist()):
        cell = seen[y : y + SIDE, x : x + SIDE]
        expected = [np.float32(np.count_nonzero(cell == v) / SIDE**2) for v in values]
        assert patches.fractions[i].tolist() == expected
        assert patches.fractions[i].sum() == pytest.approx((cell > 0).mean())
        best = int(np.argmax(expected))
        assert patches.majority[i] == (values[best] if expected[best] >= 0.4 else 0)


def test_a_mask_with_a_downsample(tmp_path: Path, slide: Path) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    small = LABELS[::4, ::4]
    mask_file(masks / "a.ome.tif", small, Affine.scale(4), slide, (WIDTH, HEIGHT))
    patches = one(slide, tmp_path, tissue="none", masks=masks, patch_size=50)
    full = small.repeat(4, 0).repeat(4, 1)
    for i, (x, y) in enumerate(patches.coords.tolist()):
        cell = full[y : y + 50, x : x + 50]
        assert patches.fractions[i].sum() == pytest.approx((cell > 0).mean(), abs=1e-6)


def test_where_a_mask_lies_is_never_guessed(tmp_path: Path, slide: Path) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    path = mask_file(masks / "a.ome.tif", LABELS, None, slide, (WIDTH, HEIGHT))
    report = run(slide, tmp_path, tissue="none", masks=masks)
    assert "is not known" in report.records[0].error
    assert "--mask-frame slide" in report.records[0].error
    patches = one(slide, tmp_path, tissue="none", masks=masks, mask_frame="slide")
    assert patches.fractions.any()
    mask_file(path, LABELS, Affine(), slide, (WIDTH + 1, HEIGHT))
    report = run(slide, tmp_path, tissue="none", masks=masks)
    assert "QuPath read 1,301 x 900" in report.records[0].error
    mask_file(path, LABELS, Affine(0.8, -0.6, 0, 0.6, 0.8, 0), slide, (WIDTH, HEIGHT))
    report = run(slide, tmp_path, tissue="none", masks=masks)
    assert "turned by an angle" in report.records[0].error


def test_only_patches_of_a_class(tmp_path: Path, slide: Path) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    mask_file(masks / "a.ome.tif", LABELS, Affine(), slide, (WIDTH, HEIGHT))
    everything = one(slide, tmp_path, tissue="none", masks=masks)
    name = everything.classes[0]
    chosen = one(slide, tmp_path, tissue="none", masks=masks, only=name)
    with h5py.File(chosen.path) as file:
        value = file["labels/values"][0]
    assert 0 < len(chosen) == np.count_nonzero(everything.majority == value) < len(everything)
    assert (chosen.majority == value).all() and (chosen.fractions[:, 0] >= 0.5).all()
    other = slide_file(tmp_path / "b.tif", PIXELS, um=2.0)
    ones = (LABELS == 1).astype(np.uint8)
    with MaskWriter(masks / "b.ome.tif", WIDTH, HEIGHT, classes={1: "Fat"}) as writer:
        writer.write(0, 0, ones)
    name = everything.classes[1]
    how = {"masks": masks, "mask_frame": "slide", "only": name}
    report = run([slide, other], tmp_path, tissue="none", **how)
    assert [r.status for r in report] == ["done", "failed"], "one mask has the class"
    assert f"has no class {name!r}" in report.records[1].error
    with pytest.raises(OptionsError, match="--only needs labels"):
        run(slide, tmp_path, only="Tumor")
