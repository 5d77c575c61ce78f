"""Masks of every form, into a project and out again: no pixel differs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import DEMO
from intoqupath.import_masks import label_image
from projects import keep, wrap

from qpmask import (
    MaskWriter,
    export_masks,
    export_options,
    import_objects,
    open_mask,
)
from qpmask.imageobjects import ObjectKind
from qpmask.intoqupath import run as run_module
from qpmask.qpdata import read_qpdata

ENGINES = ["native", pytest.param("both", marks=pytest.mark.qupath)]
NAMES = {i: f"Class {i}" for i in range(1, 6)}


@pytest.fixture(autouse=True)
def qupath_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests, or a user, may have one open."""
    monkeypatch.setattr(run_module, "running_qupath", lambda: ())


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """The demo project with one image that was never saved, without slides."""
    project = Path(shutil.copytree(DEMO, tmp_path / "empty"))
    shutil.rmtree(project / "slides")
    keep(project, "Prostate A")
    (project / "data/1/data.qpdata").unlink()
    return project


def came_back(project: Path, out: Path, engine: Any, **options: Any) -> Path:
    """Export the one image again."""
    report = export_masks(
        project, out, {name: label for label, name in NAMES.items()},
        export_options(engine=engine, downsample=4, **options),
    )  # fmt: skip
    assert report.ok, [r.error for r in report]
    return out / "Prostate A.ome.tif"


def bring(project: Path, path: Path, labels: np.ndarray, names: dict[int, str]) -> None:
    """Import a mask of labels into the one image."""
    with MaskWriter(path, 750, 550, classes=names) as writer:
        writer.write(0, 0, labels)
    assert import_objects(path, project, image="1").ok


def afresh(project: Path, made: Path) -> None:
    """Import a mask that was exported, into the image without objects."""
    (project / "data/1/data.qpdata").unlink()
    (record,) = import_objects(made, project).records
    assert record.error is None


@pytest.mark.parametrize("engine", ENGINES)
def test_channels_that_overlap(empty: Path, tmp_path: Path, engine: Any) -> None:
    planes = [label_image(550, 750, 2, seed) > 0 for seed in range(3)]
    for i, plane in enumerate(planes, 1):
        bring(empty, tmp_path / f"{i}.ome.tif", plane.astype(np.uint8), {1: NAMES[i]})
    made = came_back(empty, tmp_path / "masks", "native", multichannel=True)
    afresh(empty, made)
    again = came_back(empty, tmp_path / "again", engine, multichannel=True)
    for i, plane in enumerate(planes, 1):
        with open_mask(again) as mask:
            np.testing.assert_array_equal(mask.plane(NAMES[i])[:, :] != 0, plane)


@pytest.mark.parametrize("engine", ENGINES)
def test_instances(empty: Path, tmp_path: Path, engine: Any) -> None:
    bring(empty, tmp_path / "1.ome.tif", label_image(550, 750), NAMES)
    made = came_back(empty, tmp_path / "masks", "native", instances=True)
    afresh(empty, made)
    objects = read_qpdata(empty / "data/1/data.qpdata")
    assert set(objects.kind.tolist()) == {ObjectKind.DETECTION}
    again = came_back(empty, tmp_path / "again", engine, instances=True, objects="detections")
    with open_mask(made) as mask, open_mask(again) as other:
        one, two = mask[:, :].ravel(), other[:, :].ravel()
    # The numbers are others; which pixels belong together is the same.
    pairs = np.unique(one.astype(np.int64) << 32 | two)
    assert len(pairs) == len(np.unique(one)) == len(np.unique(two)) > 500


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("how", ["turned", "cropped"])
def test_an_image_that_shows_its_slide_otherwise(
    empty: Path, tmp_path: Path, engine: Any, how: str
) -> None:
    """A mask of the slide as it is comes to the turned or cropped image of the same slide."""
    labels = label_image(550, 750)
    by_slide = tmp_path / "by slide"
    path = tmp_path / "Prostate A.ome.tif"
    with MaskWriter(path, 750, 550, classes=NAMES) as writer:
        writer.write(0, 0, labels)
    assert import_objects(path, empty).ok
    made = came_back(empty, by_slide, "native")  # says where it lies in the slide's file
    (empty / "data/1/data.qpdata").unlink()
    if how == "turned":
        wrap(empty, "Prostate A", "rotated", 2200, 3000, rotation="ROTATE_90")
        expected = np.rot90(labels, -1)
    else:
        region = {"x": 400, "y": 200, "width": 1600, "height": 1200, "z": 0, "t": 0}
        wrap(empty, "Prostate A", "cropped", 1600, 1200, region=region)
        expected = labels[50:350, 100:500]
    (record,) = import_objects(made, empty).records
    assert record.error is None
    again = came_back(empty, tmp_path / "again", engine)
    with open_mask(again) as mask:
        np.testing.assert_array_equal(mask[:, :], expected)
