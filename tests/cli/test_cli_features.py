"""``qpmask features``, and ``qpmask patches --features``: exit codes, JSON, what people read."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import pytest
from conftest import Cli
from features.feature_models import onnx_model, patch_file
from patches.patch_slides import slide_file, tissue_picture

OWN = "features.feature_models:"


@pytest.fixture
def patches(tmp_path: Path) -> Path:
    return patch_file(tmp_path)


def test_features_of_a_folder(qpmask_cli: Cli, tmp_path: Path, patches: Path) -> None:
    model = onnx_model(tmp_path / "means.onnx")
    code, out, err = qpmask_cli("features", patches.parent.parent, "--extractor", model)
    assert code == 0 and "1 done" in out and "[1/1] a: means: 54 x 4" in err
    code, out, err = qpmask_cli("features", patches, "--extractor", model)
    assert code == 0 and "1 skipped" in out


def test_json_alone_on_stdout(qpmask_cli: Cli, tmp_path: Path, patches: Path) -> None:
    choice = f"{onnx_model(tmp_path / 'm.onnx')},{OWN}means"
    code, out, err = qpmask_cli("features", patches, "--extractor", choice, "--json")
    said = json.loads(out)
    assert (code, err) == (0, "") and [r["extractor"] for r in said["features"]] == ["m", "means"]


def test_list(qpmask_cli: Cli) -> None:
    code, out, _ = qpmask_cli("features", "--list")
    assert code == 0 and "uni_v2" in out and "gated" in out and "not pinned" in out
    code, out, _ = qpmask_cli("features", "--list", "--json")
    rows = {row["name"]: row for row in json.loads(out)["extractors"]}
    assert code == 0 and rows["resnet50"]["dimension"] == 2048 and rows["uni_v1"]["gated"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Name patch files"),
        (["nothing.h5", "--extractor", OWN + "means"], "There is no patch file"),
        (["nothing.h5", "--extractor", "resnet51"], "Did you mean resnet50"),
        (["nothing.h5", "--extractor", "uni_v1", "--weights", "uni_v1"], "Write NAME=FOLDER"),
        (["nothing.h5", "--extractor", "uni_v1", "--weights", "uni_v2=x"], "not among"),
    ],
)
def test_usage(qpmask_cli: Cli, arguments: list[str], words: str) -> None:
    code, out, err = qpmask_cli("features", *arguments)
    assert (code, out) == (2, "") and words in err and "Traceback" not in err


def test_what_fails_for_all_slides_is_said_once(
    qpmask_cli: Cli, tmp_path: Path, patches: Path
) -> None:
    patch_file(tmp_path, name="b")
    command = ("features", patches.parent, "--num-workers", 0, "--extractor")
    code, out, err = qpmask_cli(*command, OWN + "cannot_be_made")
    assert (code, out, err.count("no weights here")) == (2, "", 1) and "Traceback" not in err
    code, out, err = qpmask_cli(*command, f"{OWN}cannot_be_made,{OWN}means")
    assert code == 1 and "2 done, 2 failed" in out
    assert err.count("no weights here") == 2, "as the first one fails, and at the end"
    assert "[2/4] b: cannot_be_made: failed, for the same reason" in err and "a and 1 more" in err


def test_a_device_that_is_not_there_is_a_matter_of_usage(
    qpmask_cli: Cli, tmp_path: Path, patches: Path
) -> None:
    model = onnx_model(tmp_path / "m.onnx")
    code, out, err = qpmask_cli("features", patches, "--extractor", model, "--device", "mps")
    assert (code, out) == (2, "") and "no device mps here" in err


def test_values_that_are_not_finite_are_a_failure(qpmask_cli: Cli, patches: Path) -> None:
    code, _, err = qpmask_cli("features", patches, "--extractor", OWN + "not_finite")
    assert code == 1 and "NaN or infinite values in the features of" in err


def test_patches_and_features_in_one_go(qpmask_cli: Cli, tmp_path: Path) -> None:
    slide = slide_file(tmp_path / "a.tif", tissue_picture(600, 800)[0], um=2.0)
    command = ["patches", slide, "-o", "out", "--mpp", 2, "--patch-size", 64]
    code, _, err = qpmask_cli(*command, "--features", "resnet51")
    assert code == 2 and "Did you mean" in err and not Path("out").exists()
    code, out, _ = qpmask_cli(*command, "--features", OWN + "means", "--for", "clam")
    assert code == 0 and out.count("1 done") == 2
    with h5py.File("out/patches/a.h5") as file:
        assert file["features/means"].shape == (len(file["coords"]), 3)
    assert Path("out/clam/features_means/h5_files/a.h5").is_file()
