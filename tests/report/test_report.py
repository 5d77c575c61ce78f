"""Reports as JSON and CSV."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from qpmask.engines.base import EngineInfo
from qpmask.report import CSV_COLUMNS, ImageRecord, Report

DONE = ImageRecord(
    "7", "A, b.svs", "done", mask="A, b.ome.tif", width_px=10, height_px=8, downsample=4.0,
    pixel_width_um=1.0, pixel_height_um=1.5, dtype="uint8", planes=1, pixels={0: 70, 3: 10},
    objects=2, seconds=1.23456, bytes=900, slide="missing", warnings=("one", "two"),
)  # fmt: skip
FAILED = ImageRecord("8", "B", "failed", error="It broke.", error_type="DataFileError")


def report(*records: ImageRecord, interrupted: bool = False) -> Report:
    return Report(
        project=Path("/p/project.qpproj"), output=Path("/out"),
        engine=EngineInfo("qupath", "0.6.0", "qupath-0.6", {"java": "21"}), engine_reason="because",
        started="2026-01-02T03:04:05+00:00", seconds=12.3456, options={"unknown": "error"},
        classes={"classes": []}, records=records, interrupted=interrupted,
    )  # fmt: skip


def test_a_report_is_good_only_if_every_mask_holds() -> None:
    skipped = replace(DONE, status="skipped")
    assert report(DONE, skipped).ok
    assert report().ok
    assert not report(DONE, FAILED).ok
    assert not report(DONE, replace(DONE, status="interrupted")).ok
    assert not report(DONE, interrupted=True).ok
    assert [report(DONE, DONE, FAILED).count(s) for s in ("done", "failed", "skipped")] == [2, 1, 0]


def test_a_report_is_a_sequence_of_records_in_order() -> None:
    made = report(DONE, FAILED)
    assert len(made) == 2
    assert [r.entry_id for r in made] == ["7", "8"]


def test_the_report_survives_json() -> None:
    data = json.loads(json.dumps(report(DONE, FAILED).as_dict()))
    assert data["project"] == "/p/project.qpproj"
    assert data["engine"] == {
        "name": "qupath", "version": "0.6.0", "pixel_rules": "qupath-0.6", "details": {"java": "21"}
    }  # fmt: skip
    assert (data["ok"], data["interrupted"], data["seconds"]) == (False, False, 12.35)
    first, second = data["images"]
    assert first["pixels"] == {"0": 70, "3": 10}
    assert first["warnings"] == ["one", "two"]
    assert second["error"] == "It broke." and second["error_type"] == "DataFileError"
    assert second["width_px"] is None


def test_a_report_of_an_engine_that_never_started() -> None:
    assert replace(report(), engine=None).as_dict()["engine"] is None


@pytest.mark.parametrize("record", [DONE, FAILED])
def test_a_csv_row_has_every_column(record: ImageRecord) -> None:
    row = dict(zip(CSV_COLUMNS, record.as_row(), strict=True))
    assert None not in row.values()
    assert row["image"] == record.image


def test_a_csv_row_by_hand() -> None:
    row = dict(zip(CSV_COLUMNS, DONE.as_row(), strict=True))
    assert row["warnings"] == "one | two"
    assert row["seconds"] == "1.23"
    assert (row["downsample"], row["pixel_height_um"], row["planes"]) == (4.0, 1.5, 1)
    failed = dict(zip(CSV_COLUMNS, FAILED.as_row(), strict=True))
    assert (failed["mask"], failed["bytes"], failed["error"]) == ("", "", "It broke.")
