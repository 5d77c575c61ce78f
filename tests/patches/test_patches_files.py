"""What a patch file holds, and when it is made again."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import hash_tree
from patches.patch_runs import (
    HEIGHT,
    LABELS,
    PIXELS,
    SIDE,
    WIDTH,
    run,
)
from patches.patch_slides import mask_file, slide_file

from qpmask import make_patches, patch_options
from qpmask.geometry import Affine
from qpmask.patches import h5file
from qpmask.patches.run import dry_run, plan_patches


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
