"""From slides and masks to patch files: what is kept, what is written, what goes wrong."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import h5py
import handmade_projects
import numpy as np
import pytest
from conftest import hash_tree
from mask_files import blobs
from patches.patch_slides import mask_file, slide_file, tissue_picture

from qpmask import MaskWriter, make_patches, open_patches, patch_options
from qpmask.errors import OptionsError
from qpmask.events import StepsDone
from qpmask.geometry import Affine
from qpmask.patches import h5file
from qpmask.patches.run import dry_run, plan_patches
from qpmask.project import open_project

HEIGHT, WIDTH, SIDE = 900, 1300, 64
PIXELS, TISSUE = tissue_picture(HEIGHT, WIDTH)
LABELS = blobs(HEIGHT, WIDTH, n=9, seed=4)


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    return slide_file(tmp_path / "a.tif", PIXELS, um=2.0)


def run(inputs, tmp_path: Path, **options):
    options = {"patch_size": SIDE, "target_mpp": 2.0, **options}
    return make_patches(inputs, tmp_path / "out", patch_options(**options))


def one(inputs, tmp_path: Path, **options):
    report = run(inputs, tmp_path, **options)
    assert report.ok, [r.error for r in report]
    return open_patches(tmp_path / "out" / report.records[0].file)


def cells(pad: bool = False) -> list[tuple[int, int]]:
    return [
        (x, y)
        for y in range(0, HEIGHT if pad else HEIGHT - SIDE + 1, SIDE)
        for x in range(0, WIDTH if pad else WIDTH - SIDE + 1, SIDE)
    ]


def share(found: np.ndarray, x: int, y: int) -> float:
    return float(found[y : y + SIDE, x : x + SIDE].sum()) / SIDE**2


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


def test_a_folder_tells_the_tissue_of_each_slide(tmp_path: Path, slide: Path) -> None:
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


# --- files ----------------------------------------------------------------------------------------


def test_the_layout(tmp_path: Path, slide: Path) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    mask_file(masks / "a.ome.tif", LABELS, Affine(), slide, (WIDTH, HEIGHT))
    report = run(slide, tmp_path, masks=masks)
    with h5py.File(tmp_path / "out" / "patches" / "a.h5") as file:
        n = len(file["coords"])
        assert n == report.records[0].patches > 10
        assert file["coords"].shape == (n, 2) and file["coords"].dtype == np.int64
        assert file["coords_ext"].shape == (n, 5) and file["coords_ext"].dtype == np.int32
        np.testing.assert_array_equal(file["coords_ext"][:, :2], file["coords"])
        assert (file["coords_ext"][:, 2:] == (SIDE, SIDE, 0)).all()
        for name, kind in (("tissue", "f4"), ("padded", "f4"), ("labels/majority", "i4")):
            assert file[name].shape == (n,) and file[name].dtype == kind
        names = file["labels/names"].asstr()[()]
        assert file["labels/fractions"].shape == (n, len(names))
        assert file["labels/fractions"].dtype == np.float32
        expected = {
            "patch_size": SIDE, "patch_size_level0": SIDE, "overlap": 0, "level0_width": WIDTH,
            "level0_height": HEIGHT, "level0_magnification": 5, "target_magnification": 5,
            "mpp": 2.0, "patch_level": 0, "name": "a", "wsi_path": str(slide), "num_patches": n,
        }  # fmt: skip
        for holder in (file, file["coords"]):
            assert {k: holder.attrs[k] for k in expected} == expected
            assert isinstance(holder.attrs["patch_size"], np.int64), "TRIDENT computes with it"
            assert holder.attrs["downsample"].tolist() == [1, 1]


def test_a_second_run_skips_what_holds(tmp_path: Path, slide: Path) -> None:
    run(slide, tmp_path)
    before = hash_tree(tmp_path / "out" / "patches")
    assert [r.status for r in run(slide, tmp_path)] == ["skipped"]
    assert hash_tree(tmp_path / "out" / "patches") == before
    assert [r.status for r in run(slide, tmp_path, min_tissue=0.2)] == ["done"]
    assert [r.status for r in run(slide, tmp_path, min_tissue=0.2, force=True)] == ["done"]
    slide_file(slide, np.roll(PIXELS, 64, axis=1), um=2.0)
    assert [r.status for r in run(slide, tmp_path, min_tissue=0.2)] == ["done"]
    target = tmp_path / "out" / "patches" / "a.h5"
    target.write_bytes(target.read_bytes()[:2000])
    assert [r.status for r in run(slide, tmp_path, min_tissue=0.2)] == ["done"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"min_tissue": 0.2}, "min tissue 0.15 -> 0.2"),
        ({"target_mpp": 4.0, "edge": "pad"}, "edge drop -> pad; µm per pixel of a patch 2 -> 4"),
        ({"patch_size": 32, "tissue": "none"}, "tissue auto -> none; patch size 64 -> 32; "),
        ({"force": True}, "as asked (--force)"),
        ({"masks": "masks"}, "the mask is new"),
        ("slide", "the slide is another one, or has changed"),
        ("damage", "it cannot be read, or does not say what it was made from"),
    ],
)
def test_why_a_file_is_made_again_is_said_and_foreseen(
    tmp_path: Path, slide: Path, change, why: str
) -> None:
    run(slide, tmp_path)
    options = change if isinstance(change, dict) else {}
    if "masks" in options:
        options = {"masks": tmp_path / "masks"}
        (tmp_path / "masks").mkdir()
        mask_file(tmp_path / "masks" / "a.ome.tif", LABELS, Affine(), slide, (WIDTH, HEIGHT))
    if change == "slide":
        slide_file(slide, np.roll(PIXELS, 64, axis=1), um=2.0)
    if change == "damage":
        target = tmp_path / "out" / "patches" / "a.h5"
        target.write_bytes(target.read_bytes()[:2000])
    asked = patch_options(**{"patch_size": SIDE, "target_mpp": 2.0, **options})
    before = hash_tree(tmp_path)
    (planned,) = dry_run(plan_patches(slide, asked), tmp_path / "out")
    assert hash_tree(tmp_path) == before
    assert planned.status == "planned" and set(why.strip("; ").split("; ")) <= set(
        planned.made_again.split("; ")
    )
    (record,) = make_patches(slide, tmp_path / "out", asked)
    assert (record.status, record.made_again) == ("done", planned.made_again)
    assert f"made again: {record.made_again}" in record.summary
    if change != {"force": True}:
        (planned,) = dry_run(plan_patches(slide, asked), tmp_path / "out")
        assert (planned.status, planned.made_again) == ("skipped", None)


def test_the_dry_run_foresees_what_becomes_of_a_projects_masks(tmp_path: Path, demo: Path) -> None:
    options = patch_options(target_mpp=1.0, engine="native")
    plan = plan_patches(demo, options)
    assert [r.made_again for r in dry_run(plan, tmp_path / "out")][:2] == [None, None]
    assert not (tmp_path / "out").exists()
    made = make_patches(demo, tmp_path / "out", options)
    assert [r.status for r in dry_run(plan, tmp_path / "out")] == [
        "skipped" if r.ok else "failed" for r in made
    ]
    first = made.records[0]
    Path(first.mask).unlink()
    planned = dry_run(plan, tmp_path / "out")[0]
    assert planned.status == "planned" and planned.made_again.startswith("its mask is made (")
    again = make_patches(demo, tmp_path / "out", options).records[0]
    assert again.status == "done" and "the mask" in again.made_again


def test_features_that_would_be_lost_are_foreseen(tmp_path: Path, slide: Path) -> None:
    run(slide, tmp_path)
    with h5py.File(tmp_path / "out" / "patches" / "a.h5", "a") as file:
        file["features/resnet"] = np.ones((len(file["coords"]), 4), np.float32)
    asked = patch_options(patch_size=SIDE, target_mpp=2.0, min_tissue=0.5)
    (planned,) = dry_run(plan_patches(slide, asked), tmp_path / "out")
    assert planned.status == "failed" and "holds features (resnet)" in planned.error


def test_features_are_not_thrown_away(tmp_path: Path, slide: Path) -> None:
    run(slide, tmp_path)
    target = tmp_path / "out" / "patches" / "a.h5"
    with h5py.File(target, "a") as file:
        file["features/resnet"] = np.ones((len(file["coords"]), 4), np.float32)
    assert [r.status for r in run(slide, tmp_path)] == ["skipped"], "the patches are the same"
    before = hash_tree(target.parent)
    report = run(slide, tmp_path, min_tissue=0.5)
    assert "holds features (resnet)" in report.records[0].error
    assert hash_tree(target.parent) == before
    assert run(slide, tmp_path, min_tissue=0.5, force=True).ok


def test_a_file_that_reads_back_wrongly_is_not_kept(
    tmp_path: Path, slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(slide, tmp_path)
    before = hash_tree(tmp_path / "out" / "patches")
    real = h5file.read_patch_file

    def shifted(path: Path):
        table = real(path)
        table.coords[0] += 1
        return table

    monkeypatch.setattr(h5file, "read_patch_file", shifted)
    report = run(slide, tmp_path, min_tissue=0.3)
    assert "reads back as something else" in report.records[0].error
    assert hash_tree(tmp_path / "out" / "patches") == before
    assert not (tmp_path / "out" / ".qpmask").exists()


# --- inputs ---------------------------------------------------------------------------------------


def test_one_bad_slide_does_not_stop_the_others(tmp_path: Path) -> None:
    folder = tmp_path / "slides"
    (folder / "more").mkdir(parents=True)
    slide_file(folder / "good.tif", PIXELS, um=2.0)
    (folder / "bad.svs").write_bytes(b"no slide")
    slide_file(folder / "unknown.tif", PIXELS, um=None)
    slide_file(folder / "more" / "good.tif", PIXELS[:, ::-1], um=2.0)
    (folder / "notes.md").write_text("no slide")
    report = run(folder, tmp_path, tissue="none")
    assert {r.name: r.status for r in report} == {
        "bad": "failed", "good": "done", "unknown": "failed",
    }  # fmt: skip
    errors = {r.name: r.error for r in report}
    assert "bad.svs cannot be opened" in errors["bad"]
    assert "unknown.tif does not say how large its pixels are" in errors["unknown"]
    with (tmp_path / "out" / "report.csv").open() as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["failed", "done", "failed"]
    said = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (said["ok"], len(said["slides"])) == (False, 3)
    report = run(folder, tmp_path, tissue="none", recursive=True, mpp_by_name={"unknown": 2.0})
    names = [r.name for r in report if r.ok]
    assert len(names) == 3 and len(set(names)) == 3, "two slides of one name have two files"
    assert run(folder, tmp_path, tissue="none", slide_mpp=2.0).records[2].ok


def test_lists(tmp_path: Path, slide: Path) -> None:
    plain = slide_file(tmp_path / "b.tif", PIXELS, um=None)
    listed = tmp_path / "list.csv"
    listed.write_text(f"wsi,mpp\n{slide.name},\n{plain},4\n")
    report = run(listed, tmp_path, tissue="none", target_mpp=4.0)
    assert [(r.name, r.mpp) for r in report] == [("a", 2.0), ("b", 4.0)]
    text = tmp_path / "list.txt"
    text.write_text("# mine\na.tif\n\nmissing.tif\n")
    report = run(text, tmp_path, tissue="none")
    assert [r.status for r in report] == ["done", "failed"]
    listed.write_text("name\na.tif\n")
    with pytest.raises(OptionsError, match="no column of slides"):
        run(listed, tmp_path)
    with pytest.raises(OptionsError, match="There is no slide, folder, list or project"):
        run(tmp_path / "nothing", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(OptionsError, match="There are no slides in"):
        run(tmp_path / "empty", tmp_path)


def test_a_class_that_no_mask_has_ends_the_run_before_it_begins(
    tmp_path: Path, slide: Path, demo: Path
) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    labels = np.where(LABELS > 2, 0, LABELS)
    with MaskWriter(masks / "a.ome.tif", WIDTH, HEIGHT, classes={1: "Stroma", 2: "Tumor"}) as w:
        w.write(0, 0, labels)
    how = {"masks": masks, "mask_frame": "slide", "min_coverage": 0.0}
    with pytest.raises(OptionsError, match=r"(?s)'Tumour', and no mask has.*Did you mean 'Tumor'"):
        run(slide, tmp_path, only="Tumour", **how)
    with pytest.raises(OptionsError, match="--tissue-class is 'Fat'"):
        run(slide, tmp_path, tissue="annotations", tissue_classes="Fat", **how)
    with pytest.raises(OptionsError, match="the project does not have"):
        run(demo, tmp_path, only="Tumour", engine="native")
    with pytest.raises(OptionsError, match="the project does not have"):
        dry_run(plan_patches(demo, patch_options(target_mpp=1.0, only="Tumour", engine="native")))
    assert not (tmp_path / "out").exists()
    kept = one(slide, tmp_path, only="Tumor", **how)
    assert len(kept) and set(kept.majority.tolist()) == {2}


def test_a_slide_smaller_than_a_patch(tmp_path: Path) -> None:
    slide = slide_file(tmp_path / "a.tif", PIXELS[:40, :50], um=2.0)
    report = run(slide, tmp_path, tissue="none")
    assert report.records[0].patches == 0
    assert "--edge pad" in report.records[0].warnings[0]
    assert len(one(slide, tmp_path, tissue="none", edge="pad")) == 1


def test_a_project_gives_labels(tmp_path: Path, demo: Path) -> None:
    """Its masks are drawn first; its third slide is missing."""
    before = hash_tree(demo)
    report = run(demo, tmp_path, target_mpp=1.0, engine="native")
    assert [r.status for r in report] == ["done", "done", "failed"]
    assert "is not on this machine" in report.records[2].error
    import tifffile

    labels = tifffile.imread(tmp_path / "out" / "masks" / "Prostate A.ome.tif", series=0, level=0)
    with open_patches(tmp_path / "out" / "patches" / "Prostate A.h5") as patches:
        with h5py.File(patches.path) as file:
            values = file["labels/values"][()]
        for i, (x, y) in enumerate(patches.coords.tolist()):
            cell = labels[y : y + 128, x : x + 128]
            expected = [np.float32((cell == v).mean()) for v in values]
            np.testing.assert_array_equal(patches.fractions[i], expected)
        assert "Tumor" in patches.classes and patches.fractions.any()
    assert hash_tree(demo) == before
    again = run(demo, tmp_path, target_mpp=1.0, engine="native", workers=2)
    assert [r.status for r in again] == ["skipped", "skipped", "failed"]


# --- runs -----------------------------------------------------------------------------------------


def test_several_processes_do_the_same(tmp_path: Path) -> None:
    slides = [slide_file(tmp_path / f"{k}.tif", np.roll(PIXELS, k, 1), um=2.0) for k in range(3)]
    seen = []
    report = make_patches(
        slides, tmp_path / "two", patch_options(target_mpp=2.0, patch_size=SIDE, workers=2),
        seen.append,
    )  # fmt: skip
    assert report.ok and [r.name for r in report] == ["0", "1", "2"]
    run(slides, tmp_path)
    for k in range(3):
        one, two = (open_patches(tmp_path / d / "patches" / f"{k}.h5") for d in ("out", "two"))
        np.testing.assert_array_equal(one.coords, two.coords)
        np.testing.assert_array_equal(one.tissue, two.tissue)
    assert seen


def test_an_interrupted_run_leaves_whole_files_and_goes_on(tmp_path: Path) -> None:
    slides = [slide_file(tmp_path / f"{k}.tif", PIXELS, um=2.0) for k in range(3)]
    options = patch_options(target_mpp=2.0, patch_size=SIDE, tissue="none", white_thresh=1.0)
    stop = threading.Event()
    reached = []

    def listen(event: object) -> None:
        if isinstance(event, StepsDone):
            reached.append(event.key)
            if len(set(reached)) == 2:  # the second slide is being looked at
                stop.set()

    report = make_patches(slides, tmp_path / "out", options, listen, stop)
    assert report.interrupted and not report.ok
    assert [r.status for r in report] == ["done", "interrupted", "interrupted"]
    files = [p.name for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert sorted(files) == ["0.h5", "report.csv", "report.json"]
    report = make_patches(slides, tmp_path / "out", options)
    assert [r.status for r in report] == ["skipped", "done", "done"]


def test_the_dry_run_opens_slides_and_writes_nothing(tmp_path: Path, slide: Path) -> None:
    before = hash_tree(tmp_path)
    records = dry_run(plan_patches(slide, patch_options(target_mpp=4.0, patch_size=SIDE)))
    assert [(r.status, r.cells, r.patch_size_level0) for r in records] == [("planned", 70, 128)]
    assert hash_tree(tmp_path) == before


# --- whose a mask is, and which image of a file ---------------------------------------------------


def test_a_mask_that_may_be_of_two_slides_is_of_neither(tmp_path: Path) -> None:
    slides = []
    for folder, shift in (("one", 0), ("two", 400)):
        (tmp_path / folder).mkdir()
        pixels = np.roll(PIXELS, shift, 1)
        slides.append(slide_file(tmp_path / folder / "a.tif", pixels, um=2.0))
    masks = tmp_path / "masks"
    masks.mkdir()
    mask_file(masks / "a.ome.tif", LABELS, Affine(), slides[0], (WIDTH, HEIGHT))
    report = run(slides, tmp_path, tissue="none", masks=masks)
    assert [r.status for r in report] == ["failed", "failed"]
    assert all("of several slides" in r.error for r in report)
    assert run(slides[0], tmp_path, tissue="none", masks=masks).ok


def test_a_mask_is_of_the_image_of_its_name(tmp_path: Path) -> None:
    """Not of another image of the same file, which has other annotations."""
    slide_file(tmp_path / "a.tif", PIXELS, um=2.0)
    project = project_of_file(tmp_path, ("a.tif", []), ("copy", []))
    masks = tmp_path / "masks"
    masks.mkdir()
    says = {"image": "a.tif", "entry_id": "1", "downsample": "1.0"}
    says |= {"image_width_px": str(WIDTH), "image_height_px": str(HEIGHT)}
    with MaskWriter(masks / "a.ome.tif", WIDTH, HEIGHT, extra=says) as writer:
        writer.write(0, 0, LABELS)
    report = run(project, tmp_path, tissue="none", masks=masks)
    assert [r.status for r in report] == ["done", "done"]
    assert [r.mask for r in report] == [str(masks / "a.ome.tif"), None]
    report = run(project, tmp_path, tissue="none", masks=masks, images=["copy"])
    assert "was drawn for the image 'a.tif' (entry 1)" in report.records[0].error


@pytest.mark.parametrize("args", [["--series", "1"], ["--name", "overview"]])
def test_no_other_image_of_a_file_is_cut_for_one(tmp_path: Path, args: list[str]) -> None:
    slide_file(tmp_path / "a.tif", PIXELS, um=2.0)
    project = project_of_file(tmp_path, ("main", ["--series", "0"]), ("other", args))
    report = run(project, tmp_path, tissue="none", labels=False)
    assert [r.status for r in report] == ["done", "failed"]
    assert "series" in report.records[1].error and "main image" in report.records[1].error


def project_of_file(folder: Path, *images: tuple[str, list[str]]) -> Path:
    """A project whose images are read from ``a.tif`` by Bio-Formats, with arguments."""
    entries = []
    for number, (name, args) in enumerate(images, 1):
        builder = {
            "builderType": "uri", "uri": (folder / "a.tif").as_uri(), "args": args,
            "providerClassName": "qupath.lib.images.servers.bioformats.BioFormatsServerBuilder",
            "metadata": handmade_projects.metadata(WIDTH, HEIGHT),
        }  # fmt: skip
        entries.append(handmade_projects.image(name, number, serverBuilder=builder))
    return handmade_projects.write(folder / "project", *entries)


# --- whatever goes wrong --------------------------------------------------------------------------


def test_what_nobody_thought_of_costs_one_slide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slides = [slide_file(tmp_path / f"{k}.tif", PIXELS, um=2.0) for k in range(2)]
    assert run(slides, tmp_path, tissue="none").ok
    real = h5file.made_from

    def fails(path: Path) -> object:
        if path.name == "0.h5":
            raise ValueError("odd")
        return real(path)

    monkeypatch.setattr(h5file, "made_from", fails)
    report = run(slides, tmp_path, tissue="none")
    assert [r.status for r in report] == ["failed", "skipped"]
    assert "did not expect this (ValueError: odd)" in report.records[0].error


def test_a_script_that_starts_itself_anew_is_told_what_it_lacks(tmp_path: Path) -> None:
    slides = [slide_file(tmp_path / f"{k}.tif", PIXELS, um=2.0) for k in range(2)]
    script = tmp_path / "script.py"
    script.write_text(
        "from qpmask import make_patches, patch_options\n"
        "options = patch_options(patch_size=64, target_mpp=2.0, tissue='none', workers=2)\n"
        f"report = make_patches({[str(s) for s in slides]!r}, {str(tmp_path / 'out')!r}, options)\n"
        "print([record.error for record in report])\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("if __name__ ==") == 2
