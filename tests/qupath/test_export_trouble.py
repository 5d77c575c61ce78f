"""Exports through QuPath when things go wrong: one image fails, and no partial file stays."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import projects
import pytest
from conftest import hash_tree
from exports import TINY_CLASSES, files, statuses

from qpmask import export_masks, export_options
from qpmask.errors import OutputError
from qpmask.events import Event, ImageStarted, PhaseStarted, TilesDone

pytestmark = [pytest.mark.qupath, pytest.mark.usefixtures("qupath")]


def test_a_damaged_data_file_fails_its_image_alone(demo: Path, tmp_path: Path) -> None:
    """QuPath itself would hand back an image without objects: a blank mask."""
    out = tmp_path / "m"
    export_masks(demo, out, options=export_options(images=("*B",)))
    old = (out / "Prostate B.ome.tif").read_bytes()
    path = projects.data_file(demo, "Prostate B")
    path.write_bytes(path.read_bytes()[:9000])
    report = export_masks(demo, out)
    assert statuses(report) == {"Prostate A": "done", "Prostate B": "failed", "Prostate C": "done"}
    assert not report.ok
    record = report.records[1]
    assert record.error_type == "TruncatedDataError"
    assert record.error is not None and str(path) in record.error
    assert (out / "Prostate B.ome.tif").read_bytes() == old, "the old mask was lost"


def test_a_backup_is_named_and_taken_only_when_asked_for(demo: Path, tmp_path: Path) -> None:
    path = projects.data_file(demo, "Prostate B")
    backup = path.with_name("data.qpdata.bkp")
    good = export_masks(demo, tmp_path / "good", options=export_options(images=("*B",)))
    backup.write_bytes(path.read_bytes())
    path.write_bytes(path.read_bytes()[:9000])
    before = hash_tree(demo)
    (failed,) = export_masks(demo, tmp_path / "m", options=export_options(images=("*B",)))
    assert failed.status == "failed"
    assert failed.error is not None and str(backup) in failed.error
    options = export_options(images=("*B",), use_backup=True, engine="both")
    (record,) = export_masks(demo, tmp_path / "m", options=options)
    assert record.status == "done"
    assert dict(record.pixels) == dict(good.records[0].pixels)
    assert "backup" in record.warnings[0] and "TruncatedDataError" not in record.warnings[0]
    assert hash_tree(demo) == before


@pytest.mark.parametrize(
    ("width", "height"), [(0, 10), (-5, 10), (2**31, 10), (1.5, 10), ("12", 10), (2**30, 2**30)]
)
def test_impossible_sizes_fail_their_image_alone(
    demo: Path, tmp_path: Path, width: Any, height: Any
) -> None:
    def change(data: dict[str, Any]) -> None:
        metadata = projects.entry(data, "Prostate A")["serverBuilder"]["metadata"]
        metadata["width"], metadata["height"] = width, height

    projects.edit(demo, change)
    report = export_masks(demo, tmp_path / "m", options=export_options(images=("*A", "*C")))
    assert statuses(report) == {"Prostate A": "failed", "Prostate C": "done"}


HARD_NAMES = [
    "same", "same", "Same.svs", "SAME.ndpi", "../../escape", "/etc/passwd", "a/b\\c:d*?<>|\"",
    "Präparat Ünïcode 病理.svs", "x" * 200, "x" * 199 + "y", "CON", "nul.tif", "...", " ",
    "caf\u00e9", "cafe\u0301", "report", "trailing. ", "tab\there", "new\nline", "_id1001",
]  # fmt: skip


def test_hard_names_neither_collide_nor_escape(tiny: Path, tmp_path: Path) -> None:
    projects.multiply(tiny, "squares.ome.tif", HARD_NAMES)
    out = tmp_path / "deep" / "er" / "m"
    report = export_masks(tiny, out, TINY_CLASSES, export_options(pyramid=False, tile_px=64))
    assert report.ok, [r.error for r in report]
    masks = [r.mask for r in report]
    assert None not in masks
    assert len({str(m).casefold() for m in masks}) == len(HARD_NAMES)
    assert {p.name for p in out.glob("*.ome.tif")} == set(masks)
    assert files(tmp_path / "deep") <= {f"er/m/{n}" for n in files(out)}
    for record, name in zip(report, HARD_NAMES, strict=True):
        assert record.image == name


def test_a_run_that_is_stopped_leaves_no_partial_file(demo: Path, tmp_path: Path) -> None:
    out, stop = tmp_path / "m", threading.Event()

    def listen(event: Event) -> None:
        if isinstance(event, TilesDone) and event.entry_id == "2" and event.done > 2:
            stop.set()

    options = export_options(tile_px=64)
    report = export_masks(demo, out, options=options, progress=listen, stop=stop)
    assert report.interrupted and not report.ok
    assert statuses(report) == {
        "Prostate A": "done", "Prostate B": "interrupted", "Prostate C": "interrupted",
    }  # fmt: skip
    assert files(out) == {
        "Prostate A.ome.tif", "Prostate A.ome.tif.json", "areas.csv", "classes.yaml", "report.json",
        "report.csv",
    }  # fmt: skip
    assert json.loads((out / "report.json").read_text())["interrupted"]
    again = export_masks(demo, out, options=options)
    assert statuses(again) == {
        "Prostate A": "skipped", "Prostate B": "done", "Prostate C": "done",
    }  # fmt: skip


@pytest.mark.parametrize("phase", ["drawing", "checking"])
def test_ctrl_c_at_any_time_leaves_a_report_and_no_partial_file(
    demo: Path, tmp_path: Path, phase: str
) -> None:
    out = tmp_path / "m"

    def listen(event: Event) -> None:
        if isinstance(event, PhaseStarted) and event.phase == phase:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_masks(demo, out, options=export_options(images=("*A",)), progress=listen)
    assert files(out) == {"areas.csv", "classes.yaml", "report.json", "report.csv"}


def test_two_runs_cannot_share_a_folder(demo: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"
    refused: list[BaseException] = []

    def listen(event: Event) -> None:
        if isinstance(event, ImageStarted):
            with pytest.raises(OutputError, match="Another run") as caught:
                export_masks(demo, out)
            refused.append(caught.value)

    assert export_masks(demo, out, options=export_options(images=("*C",)), progress=listen).ok
    assert len(refused) == 1


def test_an_output_folder_that_cannot_be_made(demo: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file"):
        export_masks(demo, tmp_path / "file" / "m")
