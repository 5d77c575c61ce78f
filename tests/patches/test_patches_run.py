"""Runs over many slides: what goes in, several processes, what goes wrong."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import threading
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
    one,
    project_of_file,
    run,
)
from patches.patch_slides import mask_file, slide_file

from qpmask import MaskWriter, make_patches, open_patches, patch_options
from qpmask.errors import OptionsError
from qpmask.events import StepsDone
from qpmask.geometry import Affine
from qpmask.patches import h5file
from qpmask.patches.run import dry_run, plan_patches

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


def test_a_script_needs_no_main_guard(tmp_path: Path) -> None:
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
    assert done.stdout == "[None, None]\n"
