"""More objects than 65,535, from the project to the mask and all that reads it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import handmade_projects
import numpy as np
import pytest
import tifffile
from conftest import TINY, Cli
from handmade_projects import CALIBRATION, metadata
from qpdata.qpdata_builder import Obj, QuPathWriter, Roi

from qpmask import check_mask, export_masks, export_options, open_mask
from qpmask.agreement import compare_masks
from qpmask.engines import jvm
from qpmask.report import Report
from qpmask.report.foldercheck import check_output

N_COLS, N_ROWS = 260, 256
FOUND = jvm.QuPathInstall(Path("app"), Path("runtime"), Path("jvm"), "0.6.0")
N_OBJECTS = N_COLS * N_ROWS


def expected() -> np.ndarray:
    """Squares of 3 pixels, 4 apart, numbered row by row."""
    mask = np.zeros((4 * N_ROWS, 4 * N_COLS), np.uint32)
    labels = np.arange(1, N_OBJECTS + 1).reshape(N_ROWS, N_COLS)
    mask.reshape(N_ROWS, 4, N_COLS, 4)[:, :3, :, :3] = labels[:, None, :, None]
    return mask


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Report]:
    """The project, the folder of its mask, and what the export said."""
    folder = tmp_path_factory.mktemp("many")
    entry = handmade_projects.image("many")
    entry["serverBuilder"]["metadata"] = metadata(
        4 * N_COLS, 4 * N_ROWS, pixelCalibration=CALIBRATION
    )
    project = handmade_projects.write(folder / "project", entry)
    data = project.parent / "data" / "1" / "data.qpdata"
    data.parent.mkdir(parents=True)
    out = QuPathWriter()
    out.head()
    out.open_hierarchy()
    root = Obj("PathRootObject", children=[Obj()] * N_OBJECTS)
    out.open_object(root)
    for i in range(N_OBJECTS):
        row, col = divmod(i, N_COLS)
        roi = Roi("RectangleROI", (4 * col, 4 * row, 4 * col + 3, 4 * row + 3))
        item = Obj(metadata={"Object ID": f"00000000-0000-4000-8000-{i:012}"}, roi=roi)
        out.open_object(item)
        out.close_object(item)
        del out.known["roi", id(roi)]  # the next one may be at the same address
    out.close_object(root)
    out.null()
    out.tail()
    data.write_bytes(bytes(out.data))
    options = export_options(engine="native", instances=True)
    report = export_masks(project, folder / "masks", options=options)
    return project, folder / "masks" / "many.ome.tif", report


def test_each_object_has_its_label(made: tuple[Path, Path, Report]) -> None:
    _, mask, report = made
    assert report.ok, [r.error for r in report]
    (record,) = report
    assert (record.dtype, record.objects) == ("uint32", N_OBJECTS)
    with tifffile.TiffFile(mask) as tif:
        for level, found in enumerate(tif.series[0].levels):
            np.testing.assert_array_equal(found.asarray(), expected()[:: 2**level, :: 2**level])
    assert check_output(mask, needs_sidecar=True).problems == ()
    (counts,) = check_mask(mask).counts
    assert len(counts) == N_OBJECTS + 1 and counts[N_OBJECTS] == 9


@pytest.mark.parametrize("engine", ["qupath", "both"])
def test_qupath_by_name_is_refused_before_anything_starts(
    made: tuple[Path, Path, Report], tmp_path: Path, engine: str, qpmask_cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(jvm, "find_qupath", lambda: FOUND)
    monkeypatch.setattr(jvm, "start", lambda *args: pytest.fail("the JVM was started"))
    command = ["export", made[0], "--instances", "--engine", engine, "-o", tmp_path / "m"]
    code, out, err = qpmask_cli(*command, "--dry-run")
    assert code == 1 and f"labels up to {N_OBJECTS:,}" in out and "--engine native" in out
    assert not (tmp_path / "m").exists()
    code, out, err = qpmask_cli(*command)
    assert code == 1 and "--engine native" in out + err
    assert not list((tmp_path / "m").glob("*.tif"))


def test_automatically_the_native_engine_draws_what_qupath_cannot(
    made: tuple[Path, Path, Report], tmp_path: Path, qpmask_cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(jvm, "find_qupath", lambda: FOUND)
    monkeypatch.setattr(jvm, "start", lambda *args: pytest.fail("the JVM was started"))
    command = ["export", made[0], "--instances", "--engine", "auto"]
    said = "1 image has labels above 65,535, which QuPath's label images cannot hold: drawn by the"
    for more in ([], ["-o", tmp_path / "m"]):
        code, out, _ = qpmask_cli(*command, *more, "--dry-run")
        assert code == 0 and said in out
    assert qpmask_cli(*command, "-o", tmp_path / "m")[0] == 0
    assert compare_masks(tmp_path / "m" / made[1].name, made[1]).equal
    report = json.loads((tmp_path / "m" / "report.json").read_text("utf-8"))
    assert report["engine"]["name"] == "native"
    assert report["images"][0]["engine"].startswith("native ")
    assert any(w.startswith(said) for w in report["warnings"])


def test_the_table_names_each_object(made: tuple[Path, Path, Report]) -> None:
    _, mask, _ = made
    sidecar = json.loads(mask.with_name(f"{mask.name}.json").read_text("utf-8"))
    with (mask.parent / sidecar["instances"]).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == N_OBJECTS
    assert (rows[-1]["label"], rows[-1]["object_id"][-12:]) == (
        str(N_OBJECTS), f"{N_OBJECTS - 1:012}",
    )  # fmt: skip


def test_a_second_run_skips_it(made: tuple[Path, Path, Report]) -> None:
    project, mask, _ = made
    options = export_options(engine="native", instances=True)
    assert [r.status for r in export_masks(project, mask.parent, options=options)] == ["skipped"]


def test_all_that_reads_masks_reads_it(made: tuple[Path, Path, Report]) -> None:
    _, path, _ = made
    with open_mask(path) as mask:
        assert mask.dtype == np.uint32
        np.testing.assert_array_equal(mask[1000:1024, 1000:1040], expected()[1000:, 1000:])
        np.testing.assert_array_equal(
            mask.region(0, 0, 1040, 1024, downsample=2), expected()[::2, ::2]
        )
        assert mask.counts((1036, 1020, 4, 4)) == {0: 7, N_OBJECTS: 9}
        assert mask.binary(N_OBJECTS, N_OBJECTS - 1)[1020:].sum() == 18
        (tile,) = mask.tiles_with(N_OBJECTS)
        assert tile.pixels.max() == N_OBJECTS
        zarr = pytest.importorskip("zarr", minversion="3", reason="zarr 3 needs Python 3.11")
        array = zarr.open_group(mask.aszarr(), mode="r")["0"]
        assert array.dtype == np.uint32 and array[1021, 1037] == N_OBJECTS
    found = compare_masks(path, path)
    assert found.equal and found.n_pixels == 1040 * 1024


def test_what_is_labelled_of_overlapping_channels_is_counted_once(
    qpmask_cli: Cli, tmp_path: Path
) -> None:
    classes = {"Alpha": 1, "Beta": 2}
    options = export_options(
        engine="native", multichannel=True, unknown="ignore", images=("squares.ome.tif",)
    )
    for status in ("done", "skipped"):
        (record,) = export_masks(TINY, tmp_path / "m", classes, options)
        # 322 pixels of Alpha, 443 of Beta, 64 of both.
        assert (record.status, record.labelled) == (status, 701 / (64 * 48))
    code, out, _ = qpmask_cli(
        "export", TINY, "-o", tmp_path / "m", "--engine", "native", "--multichannel",
        "--unknown", "ignore", "--images", "squares.ome.tif",
    )  # fmt: skip
    assert code == 0 and "22.82 %" in out


def test_a_report_leaves_the_instances_to_their_table(made: tuple[Path, Path, Report]) -> None:
    _, mask, report = made
    (record,) = report
    n_background = 1040 * 1024 - 9 * N_OBJECTS
    assert record.pixels == {0: n_background}
    assert record.labelled == 9 * N_OBJECTS / (1040 * 1024)
    sidecar = json.loads(mask.with_name(f"{mask.name}.json").read_text("utf-8"))
    assert sidecar["pixels"][str(N_OBJECTS)] == 9 and len(sidecar["pixels"]) == N_OBJECTS + 1


def test_the_commands_take_it(
    made: tuple[Path, Path, Report], qpmask_cli: Cli, tmp_path: Path
) -> None:
    _, path, _ = made
    assert "uint32" in qpmask_cli("info", path)[1]
    assert qpmask_cli("check", path.parent)[0] == 0
    assert qpmask_cli("compare", path, path)[0] == 0
    pytest.importorskip("matplotlib", reason="pictures need the extra view")
    picture = tmp_path / "part.png"
    region = ("--region", 1000, 1000, 40, 24)
    assert qpmask_cli("view", path, *region, "--save", picture)[0] == 0
    assert picture.stat().st_size > 1000
