"""The table of areas: image by class, from what the masks' sidecars say."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY
from exports import TINY_CLASSES

from qpmask import export_masks, export_options, open_mask
from qpmask.report import ImageRecord
from qpmask.report.areas import area_table

RECORD = ImageRecord(
    "1", "a", "done", mask="a.ome.tif", pixel_width_um=0.5, pixel_height_um=2.0, pixels={0: 5, 1: 3}
)


def sidecar(folder: Path, name: str, kind: str, **classes: int) -> None:
    rows = [{"name": key, "pixels": n} for key, n in classes.items()]
    data: dict[str, Any] = {"kind": kind, "classes": rows}
    (folder / f"{name}.ome.tif.json").write_text(json.dumps(data), "utf-8")


def test_images_are_rows_and_classes_are_columns(tmp_path: Path) -> None:
    sidecar(tmp_path, "a", "classes", A=3, B=0)
    sidecar(tmp_path, "b", "classes", B=7)
    records = [
        RECORD,
        ImageRecord("2", "b", "skipped", mask="b.ome.tif", pixels={0: 1, 2: 7}),
        ImageRecord("3", "c", "failed", mask=None, error="It broke."),
        ImageRecord("4", "d", "done", mask="d.ome.tif"),  # its sidecar is gone
    ]
    header, rows = area_table(tmp_path, records)
    assert header == [
        "entry_id", "image", "mask", "A (mm2)", "B (mm2)", "(background) (mm2)",
        "A (px)", "B (px)", "(background) (px)",
    ]  # fmt: skip
    assert rows == [
        ["1", "a", "a.ome.tif", "3e-06", "0", "5e-06", 3, 0, 5],
        ["2", "b", "b.ome.tif", "", "", "", "", 7, 1],
    ]


def test_overlapping_classes_have_no_background(tmp_path: Path) -> None:
    sidecar(tmp_path, "a", "multichannel", A=3, B=4)
    header, _ = area_table(tmp_path, [RECORD])
    assert header[3:] == ["A (mm2)", "B (mm2)", "A (px)", "B (px)"]


def test_objects_are_counted_by_their_class(tmp_path: Path) -> None:
    sidecar(tmp_path, "a", "instances")
    table = "label,class,pixels\n1,A,2\n2,,4\n3,A,5\n"
    (tmp_path / "a.ome.tif.instances.csv").write_text(table)
    header, rows = area_table(tmp_path, [RECORD])
    assert dict(zip(header, rows[0], strict=True))["A (px)"] == 7
    assert dict(zip(header, rows[0], strict=True))["(unclassified) (px)"] == 4


@pytest.mark.parametrize("multichannel", [False, True])
def test_the_table_of_a_run_agrees_with_its_masks(tmp_path: Path, multichannel: bool) -> None:
    options = export_options(
        engine="native", unknown="ignore", unclassified="ignore", multichannel=multichannel
    )
    report = export_masks(TINY, tmp_path, TINY_CLASSES, options)
    text = (tmp_path / "areas.csv").read_text("utf-8")
    rows = {row["mask"]: row for row in csv.DictReader(text.splitlines())}
    done = [record for record in report if record.ok]
    assert len(rows) == len(done) > 2
    for record in done:
        assert record.mask is not None
        for name in TINY_CLASSES:
            n = 0
            with open_mask(tmp_path / record.mask) as mask:
                for plane in range(mask.n_planes):
                    with open_mask(tmp_path / record.mask, plane=plane) as one:
                        n += sum(a.n_pixels for a in one.areas().values() if a.name == name)
            assert int(rows[record.mask][f"{name} (px)"]) == n
