"""From patch files to features in them: what is stored, skipped, gone on with, refused."""

from __future__ import annotations

import csv
import json
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import hash_tree
from features.feature_models import SIDE, mean_features, onnx_model, patch_file
from patches.patch_slides import place_colors, slide_file

from qpmask import (
    extract_features,
    feature_options,
    make_patches,
    open_patches,
    patch_options,
)
from qpmask.errors import EngineError, OptionsError, OutputError
from qpmask.features.patchreaders import PatchReaders
from qpmask.features.preprocessing import NORMALIZE, Seeing
from qpmask.features.sidefile import SideFile
from qpmask.features.userextractors import ENTRY_POINTS
from qpmask.patches import h5features, h5file

OWN = "features.feature_models:"


@pytest.fixture
def patches(tmp_path: Path) -> Path:
    return patch_file(tmp_path)


def run(path: Path, extractors: str | list[str], **options):
    options = {"num_workers": 0, **options}
    return extract_features(path, feature_options(extractors, **options))


def stored(path: Path, name: str) -> np.ndarray:
    with h5py.File(path) as file:
        return file[f"features/{name}"][...]


def pixels_of(path: Path) -> np.ndarray:
    with open_patches(path) as found:
        return np.stack([patch.pixels for patch in found])


# --- what is stored -------------------------------------------------------------------------------


def test_bytes_go_into_onnx_as_they_are(tmp_path: Path, patches: Path) -> None:
    report = run(patches, str(onnx_model(tmp_path / "means.onnx", "bytes")), batch_size=7)
    assert report.ok and [r.status for r in report] == ["done"]
    features = stored(patches, "means")
    assert features.dtype == np.float32 and features.shape == (54, 4)
    np.testing.assert_allclose(features, mean_features(pixels_of(patches)), rtol=1e-6)


@pytest.mark.parametrize("normalize", NORMALIZE)
def test_floats_are_normalized(tmp_path: Path, patches: Path, normalize: str) -> None:
    assert run(patches, str(onnx_model(tmp_path / "m.onnx")), normalize=normalize).ok
    mean, std = NORMALIZE[normalize]
    expected = mean_features((pixels_of(patches) / 255 - mean) / std)
    np.testing.assert_allclose(stored(patches, "m"), expected, rtol=1e-4, atol=1e-5)


def test_patches_are_scaled_to_what_a_model_takes(tmp_path: Path, patches: Path) -> None:
    assert run(patches, str(onnx_model(tmp_path / "m.onnx", "bytes", side=16))).ok
    whole = pixels_of(patches).reshape(-1, 16, 2, 16, 2, 3).mean((2, 4))
    plain = np.r_[0:6, 9:15]  # where colours do not wrap within a patch
    found = stored(patches, "m")[plain]
    np.testing.assert_allclose(found, mean_features(whole[plain]), atol=1.0)


def test_one_that_says_what_it_sees(patches: Path) -> None:
    assert run(patches, OWN + "Cropped").ok
    pixels = pixels_of(patches)
    expected = np.concatenate([pixels[:, 8, 8], pixels[:, 23, 23]], axis=1)
    assert stored(patches, "Cropped").tolist() == expected.tolist()


def test_half_precision_is_stored_where_it_is_asked_for(patches: Path) -> None:
    assert run(patches, OWN + "means", store="float16").ok
    found = stored(patches, "means")
    assert found.dtype == np.float16
    assert np.array_equal(found, mean_features(pixels_of(patches))[:, :3].astype(np.float16))


def test_what_stands_with_the_features(tmp_path: Path, patches: Path) -> None:
    assert run(patches, str(onnx_model(tmp_path / "m.onnx")), normalize="half").ok
    with h5py.File(patches) as file:
        about = dict(file["features/m"].attrs)
        assert len(file["features/m"]) == len(file["coords"])
    assert about["model"] == "m.onnx" and len(about["model_sha256"]) == 64
    assert about["transform_mean"].tolist() == [0.5, 0.5, 0.5]
    assert about["patch_size"] == 32 and about["patch_mpp"] == 2.0 and about["store"] == "float32"
    assert about["device"] == "CPUExecutionProvider" and about["onnxruntime_version"]
    assert h5features.features_made_from(patches, "m")["extractor"] == "m"


def test_coordinates_and_other_features_stay(tmp_path: Path, patches: Path) -> None:
    before = h5file.read_patch_file(patches)
    assert run(patches, [OWN + "means", OWN + "Cropped"]).ok
    first = stored(patches, "means")
    assert run(patches, str(onnx_model(tmp_path / "m.onnx"))).ok
    after = h5file.read_patch_file(patches)
    assert np.array_equal(before.coords, after.coords)
    assert np.array_equal(stored(patches, "means"), first)
    assert h5file.feature_names(patches) == ("Cropped", "m", "means")


def test_features_that_are_replaced_leave_no_space_behind(tmp_path: Path, patches: Path) -> None:
    model = str(onnx_model(tmp_path / "m.onnx"))
    assert run(patches, [OWN + "means", model]).ok
    with h5py.File(patches, "r+") as file:
        file["features"].attrs["mine"] = "kept"
        file.create_dataset("mine", data=np.arange(9), compression="gzip")
    n_bytes, others = patches.stat().st_size, stored(patches, "m")
    table = h5file.read_patch_file(patches)
    for _ in range(3):
        assert run(patches, OWN + "means", force=True).ok
        assert patches.stat().st_size < 1.1 * n_bytes
    assert np.array_equal(stored(patches, "m"), others)
    again = h5file.read_patch_file(patches)
    np.testing.assert_equal(dict(again.attributes), dict(table.attributes))
    assert np.array_equal(again.coords, table.coords)
    with h5py.File(patches) as file:
        assert file["features"].attrs["mine"] == "kept" and file["mine"].compression == "gzip"
        assert dict(file["coords"].attrs).keys() == dict(file.attrs).keys() - {
            "qpmask_format", h5file.MADE_FROM
        }  # fmt: skip
    assert [r.status for r in run(patches, [OWN + "means", model])] == ["skipped"] * 2


def test_reports(tmp_path: Path, patches: Path) -> None:
    report = run(patches.parent, [OWN + "means", OWN + "wrong_shape"])
    assert not report.ok
    said = json.loads((patches.parent.parent / "features.json").read_text())
    assert [r["status"] for r in said["features"]] == ["done", "failed"]
    with (patches.parent.parent / "features.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["patches"] == "54" and "array of shape ()" in rows[1]["error"]


def test_views_of_other_programs(tmp_path: Path, patches: Path) -> None:
    views = ("clam", "trident", "stamp")
    assert run(patches, OWN + "means", views=views).ok
    expected = stored(patches, "means")
    out = patches.parent.parent
    with h5py.File(out / "clam/features_means/h5_files/a.h5") as file:
        assert np.array_equal(file["features"], expected) and len(file["coords"]) == 54
    (trident,) = (out / "trident").glob("*/features_means/a.h5")
    with h5py.File(trident) as file:
        assert np.array_equal(file["features"], expected)
        assert file["coords"].attrs["patch_size_level0"] == 32
    with h5py.File(out / "stamp/means/a.h5") as file:
        assert np.array_equal(file["feats"], expected.astype(np.float16))
        assert file.attrs["unit"] == "um" and file["coords"][1].tolist() == [64.0, 0.0]
    assert run(patches, OWN + "Cropped", views=views[:1]).ok
    assert run(patches, OWN + "means", views=views[:1]).ok, "skipped, and its view is there"
    assert (out / "clam/features_Cropped/h5_files/a.h5").is_file()


# --- a second run ---------------------------------------------------------------------------------


def test_what_holds_is_skipped(tmp_path: Path, patches: Path) -> None:
    model = onnx_model(tmp_path / "m.onnx")
    assert run(patches, str(model)).ok
    before = patches.read_bytes()
    report = run(patches, str(model))
    assert [(r.status, r.dimension) for r in report] == [("skipped", 4)]
    assert patches.read_bytes() == before
    assert [r.status for r in run(patches, str(model), force=True)] == ["done"]


def test_features_of_something_else_are_not_replaced_unasked(tmp_path: Path, patches: Path) -> None:
    model = onnx_model(tmp_path / "m.onnx")
    assert run(patches, str(model)).ok
    before = patches.read_bytes()
    (record,) = run(patches, str(model), normalize="clip")
    assert record.status == "failed" and "transform" in record.error and "--force" in record.error
    assert patches.read_bytes() == before
    assert run(patches, str(model), normalize="clip", force=True).ok
    with h5py.File(patches, "a") as file:
        file["features/theirs"] = np.ones((54, 2))
    (tmp_path / "theirs.onnx").write_bytes(model.read_bytes())
    (record,) = run(patches, str(tmp_path / "theirs.onnx"))
    assert "another program's" in record.error


# --- runs that end early --------------------------------------------------------------------------


def test_a_killed_run_is_gone_on_with(tmp_path: Path, patches: Path) -> None:
    whole = tmp_path / "whole.h5"
    whole.write_bytes(patches.read_bytes())
    assert run(whole, OWN + "slow", batch_size=2).ok
    expected = stored(whole, "slow")
    before = h5file.read_patch_file(patches)
    side = patches.with_name(".a.slow.features")
    command = [sys.executable, "-m", "qpmask", "features", str(patches), "-q",
               "--extractor", OWN + "slow", "--batch-size", "2", "--num-workers", "0"]  # fmt: skip
    rng = random.Random(3)
    seen = 0
    for _ in range(3):
        process = subprocess.Popen(command, env=_environment())
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if side.exists() and side.stat().st_size > seen + rng.randrange(60, 300):
                break
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        seen = side.stat().st_size
        assert np.array_equal(h5file.read_patch_file(patches).coords, before.coords)
    (record,) = run(patches, OWN + "slow", batch_size=2)
    assert record.status == "done" and record.resumed > 0
    assert stored(patches, "slow").tobytes() == expected.tobytes()
    assert not side.exists() and not list(patches.parent.glob(".a*"))


def test_what_was_made_of_another_slide_is_not_gone_on_with(tmp_path: Path) -> None:
    patches = patch_file(tmp_path)
    (record,) = run(patches, OWN + "stops_on_the_way", batch_size=5)
    assert record.status == "failed" and list(patches.parent.glob(".a*.features"))
    mirrored = place_colors(200, 300)[:, ::-1]
    slide_file(tmp_path / "a.tif", mirrored, um=2.0)
    options = patch_options(patch_size=SIDE, target_mpp=2.0, tissue="none")
    assert make_patches(tmp_path / "a.tif", tmp_path / "out", options).records[0].status == "done"
    (record,) = run(patches, OWN + "stops_on_the_way", batch_size=54)
    assert record.status == "done" and record.resumed == 0
    expected = mean_features(pixels_of(patches))[:, :3].astype(np.float32)
    assert np.array_equal(stored(patches, "stops_on_the_way"), expected)


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.mark.parametrize("damage", ["cut", "flipped", "other"])
def test_a_damaged_side_file_is_gone_on_with_from_its_last_whole_batch(
    patches: Path, damage: str
) -> None:
    run(patches, OWN + "stops_on_the_way", batch_size=5)
    side = patches.with_name(".a.stops_on_the_way.features")
    data = bytearray(side.read_bytes())
    if damage == "cut":
        del data[-7:]
    elif damage == "flipped":
        data[-20] ^= 1
    else:
        data[5] ^= 1
    side.write_bytes(data)
    (record,) = run(patches, OWN + "stops_on_the_way", batch_size=54)
    assert record.status == "done", record.error
    assert record.resumed == (0 if damage == "other" else 10)
    expected = mean_features(pixels_of(patches))[:, :3].astype(np.float32)
    assert np.array_equal(stored(patches, "stops_on_the_way"), expected)


def test_an_extractor_that_fails_leaves_the_file_as_it_was(patches: Path) -> None:
    before = hash_tree(patches.parent)
    (record,) = run(patches, OWN + "stops_on_the_way", batch_size=5)
    assert record.status == "failed" and "the device is gone" in record.error
    kept = patches.with_name(".a.stops_on_the_way.features")
    assert kept.exists()
    kept.unlink()
    assert hash_tree(patches.parent) == before


def test_ctrl_c_keeps_what_was_made(patches: Path) -> None:
    stop = threading.Event()

    def listen(event) -> None:
        if type(event).__name__ == "StepsDone":
            stop.set()

    options = feature_options(OWN + "slow", batch_size=2, num_workers=1)
    report = extract_features(patches, options, listen, stop)
    assert report.interrupted and [r.status for r in report] == ["interrupted"]
    (record,) = run(patches, OWN + "slow", batch_size=2)
    assert record.status == "done" and 0 < record.resumed < 54


def test_a_killed_run_leaves_no_copy_behind(patches: Path) -> None:
    left = patches.with_name(".a.4711.part.h5")
    left.write_bytes(b"half")
    other = patches.with_name(".ab.4711.part.h5")
    other.write_bytes(b"of another slide")
    assert run(patches, OWN + "means").ok
    assert not left.exists() and other.exists()


def test_a_worker_that_dies_between_two_slides_is_replaced(patches: Path) -> None:
    with PatchReaders(1) as readers, open_patches(patches) as found:

        def read() -> np.ndarray:
            return np.concatenate([p for _, p in readers.batches(found, Seeing(), 8, 0)])

        expected = read()
        (worker,) = readers._workers
        worker._process.kill()
        worker._process.wait()
        assert np.array_equal(read(), expected)


# --- what goes wrong ------------------------------------------------------------------------------


def test_values_that_are_not_finite_are_told_with_their_patches(patches: Path) -> None:
    report = run(patches, OWN + "not_finite")
    (record,) = report
    features = stored(patches, "not_finite")
    wrong = np.flatnonzero(~np.isfinite(features).all(1))
    assert record.not_finite == len(wrong) > 0 and not report.ok
    x, y = open_patches(patches).coords[wrong[0]]
    assert f"{wrong[0]} at ({x}, {y})" in record.warnings[0]
    assert not run(patches, OWN + "not_finite").ok, "it still is so when it is skipped"


def test_one_bad_slide_does_not_stop_the_others(tmp_path: Path, patches: Path) -> None:
    patch_file(tmp_path, name="b")
    (tmp_path / "a.tif").unlink()
    (patches.parent / "c.h5").write_bytes(b"no file")
    report = run(tmp_path / "out", OWN + "means")
    assert [(r.name, r.status) for r in report] == [("a", "failed"), ("b", "done"), ("c", "failed")]
    assert "slide" in report.records[0].error and "HDF5" in report.records[2].error


def test_a_slide_that_moved(tmp_path: Path, patches: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "a.tif").rename(tmp_path / "elsewhere" / "a.tif")
    assert not run(patches, OWN + "means").ok
    assert run(patches, OWN + "means", slides=tmp_path / "elsewhere").ok


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("wrong_shape", "array of shape"),
        ("too_long", "gave 3 numbers a patch, not 5"),
    ],
)
def test_functions_that_do_not_fit(patches: Path, name: str, words: str) -> None:
    (record,) = run(patches, OWN + name)
    assert record.status == "failed" and words in record.error
    assert h5file.feature_names(patches) == ()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cannot_be_made", "no weights here"),
        ("a_number", "cannot be called"),
        ("nothing", "cannot be loaded"),
        ("means.nothing", "cannot be loaded"),
    ],
)
def test_what_cannot_be_loaded_ends_the_run_unless_there_are_others(
    tmp_path: Path, patches: Path, name: str, words: str
) -> None:
    before = hash_tree(patches.parent)
    with pytest.raises(OptionsError, match=words):
        run(patches, OWN + name)
    assert hash_tree(patches.parent) == before
    model = str(onnx_model(tmp_path / "model.onnx"))
    bad, good = run(patches, [OWN + name, model])
    assert bad.status == "failed" and words in bad.error
    assert good.status == "done" and h5file.feature_names(patches) == ("model",)


@pytest.mark.parametrize(
    ("kind", "words"),
    [("two inputs", "one batch of pictures"), ("no model", "not a model that ONNX Runtime runs")],
)
def test_onnx_files_that_do_not_fit(tmp_path: Path, patches: Path, kind: str, words: str) -> None:
    model = onnx_model(tmp_path / "m.onnx", kind)
    if kind == "no model":
        model.write_bytes(b"no model")
    with pytest.raises(OptionsError, match=words):
        run(patches, str(model))


@pytest.mark.parametrize(
    ("extractors", "options", "words"),
    [
        ("resnet5", {}, "Did you mean resnet50"),
        ("", {}, "Name an extractor"),
        ("missing.onnx", {}, "There is no file"),
        ("missing.ONNX", {}, "There is no file"),
        (Path("missing.onnx"), {}, "There is no file"),
        ("a/b", {}, "which cannot be stored"),
        ("package:", {}, "which cannot be stored"),
        ("resnet50", {"batch_size": 0}, "batch_size"),
        ("resnet50", {"num_workers": -1}, "num_workers"),
        ("resnet50", {"precision": "int8"}, "precision"),
        ("resnet50", {"store": "float64"}, "store"),
        ("resnet50", {"weights": {"resnet18": "x"}}, "not among the extractors"),
        ("resnet50", {"weights": {"resnet50": "x"}}, "There is no folder x with weights"),
        ([OWN + "means", "other.module:means"], {}, "Two extractors are called"),
    ],
)
def test_options_that_make_no_sense(extractors, options: dict, words: str) -> None:
    with pytest.raises(OptionsError, match=words):
        feature_options(extractors, **options)


@pytest.mark.parametrize("module", ["", "..above", "features.no_python"])
def test_modules_that_cannot_be_imported(
    tmp_path: Path, patches: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    (tmp_path / "no_python.py").write_text("this is no Python")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(OptionsError, match="cannot be loaded"):
        run(patches, f"{module.removeprefix('features.')}:means")


def test_entry_points(patches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    real = metadata.entry_points
    mine = metadata.EntryPoint("ours", OWN + "means", ENTRY_POINTS)

    def entry_points(**wanted):
        if wanted.get("group") == ENTRY_POINTS:
            return [mine] if wanted.get("name") == "ours" else []
        return real(**wanted)

    monkeypatch.setattr(metadata, "entry_points", entry_points)
    assert run(patches, "ours").ok
    assert stored(patches, "ours").shape == (54, 3)
    with pytest.raises(OptionsError, match="There is no extractor"):
        feature_options("theirs")


# --- processes that read --------------------------------------------------------------------------


def test_processes_read_the_same(tmp_path: Path) -> None:
    patches = patch_file(tmp_path, 400, 600)
    assert run(patches, OWN + "Cropped", num_workers=0, batch_size=7).ok
    expected = stored(patches, "Cropped")
    with open_patches(patches) as found, PatchReaders(3) as readers:
        for start, batch_size in ((0, 50), (0, 1000), (100, 3), (len(found), 5)):
            seen = [start]
            for rows, pixels in readers.batches(found, Seeing.of(crop=16), batch_size, start):
                assert rows.start == seen[-1]
                seen.append(rows.stop)
                corners = np.concatenate([pixels[:, 0, 0], pixels[:, -1, -1]], axis=1)
                assert np.array_equal(corners, expected[rows])
            assert seen[-1] == len(found)
    assert all(worker._process.poll() is not None for worker in readers._workers)


def test_what_a_process_cannot_read_is_told_with_its_place(tmp_path: Path) -> None:
    patches = patch_file(tmp_path)
    slide = tmp_path / "a.tif"
    with open_patches(patches) as found:
        data = bytearray(slide.read_bytes())
    slide.write_bytes(data[: len(data) // 2])
    (record,) = run(patches, OWN + "means", num_workers=2)
    assert record.status == "failed" and "a.tif" in record.error and found is not None


def test_a_process_that_dies_is_said(tmp_path: Path) -> None:
    patches = patch_file(tmp_path, 400, 600)
    with open_patches(patches) as found, PatchReaders(1) as readers:
        batches = readers.batches(found, Seeing(), 32, 0)
        next(batches)
        readers._workers[0]._process.kill()
        with pytest.raises(EngineError, match="A process that reads patches died"):
            list(batches)


def test_a_process_that_died_costs_one_slide(tmp_path: Path) -> None:
    patches = patch_file(tmp_path, 400, 600)
    with open_patches(patches) as found, PatchReaders(1) as readers:
        batches = readers.batches(found, Seeing(), 32, 0)
        next(batches)
        readers._workers[0]._process.kill()
        with pytest.raises(EngineError):
            list(batches)
        rows = [rows for rows, _ in readers.batches(found, Seeing(), 1000, 0)]
        assert rows == [slice(0, len(found))]


def test_an_early_end_leaves_no_process(tmp_path: Path) -> None:
    patches = patch_file(tmp_path, 400, 600)
    with open_patches(patches) as found:
        readers = PatchReaders(2)
        batches = readers.batches(found, Seeing(), 8, 0)
        next(batches)
        batches.close()
        workers = [worker._process for worker in readers._workers]
        readers.close()
        assert all(process.poll() is not None for process in workers)


# --- the side file --------------------------------------------------------------------------------


def test_rows_of_a_side_file_have_one_length(tmp_path: Path) -> None:
    with SideFile(tmp_path / "s", {"a": 1}, "float32") as rows:
        rows.append(np.ones((2, 3)))
        with pytest.raises(OutputError, match="features of 4 numbers after some of 3"):
            rows.append(np.ones((2, 4)))
        assert [b.shape for b in rows.batches()] == [(2, 3)]
    with SideFile(tmp_path / "s", {"a": 2}, "float32") as rows:
        assert rows.n_rows == 0, "of other features: begun anew"


def test_a_side_file_that_is_cut_while_it_is_open_is_an_error(tmp_path: Path) -> None:
    with SideFile(tmp_path / "s", {}, "float16") as rows:
        rows.append(np.ones((4, 8)))
        with (tmp_path / "s").open("r+b") as file:
            file.truncate(40)
        with pytest.raises(OutputError, match="reads back 0 of 4 features"):
            list(rows.batches())
