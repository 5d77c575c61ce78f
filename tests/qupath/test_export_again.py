"""Exports through QuPath into a folder with masks: what holds is skipped, the rest made again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import projects
import pytest
from exports import statuses

from qpmask import export_masks, export_options

pytestmark = [pytest.mark.qupath, pytest.mark.usefixtures("qupath")]


def _touch_data(project: Path, out: Path) -> None:
    other = projects.data_file(project, "Prostate A").read_bytes()
    projects.data_file(project, "Prostate C").write_bytes(other)


def _truncate_mask(project: Path, out: Path) -> None:
    mask = out / "Prostate C.ome.tif"
    mask.write_bytes(mask.read_bytes()[:-1])


def _flip_a_byte(project: Path, out: Path) -> None:
    mask = out / "Prostate C.ome.tif"
    raw = bytearray(mask.read_bytes())
    raw[-1] ^= 1
    mask.write_bytes(raw)


def _remove_sidecar(project: Path, out: Path) -> None:
    (out / "Prostate C.ome.tif.json").unlink()


def _break_sidecar(project: Path, out: Path) -> None:
    (out / "Prostate C.ome.tif.json").write_text("{")


def test_a_second_run_skips_what_holds(demo: Path, tmp_path: Path) -> None:
    out, options = tmp_path / "m", export_options(images=("*C", "*A"))
    first = export_masks(demo, out, options=options)
    stamps = {p: p.stat().st_mtime_ns for p in out.glob("*.tif")}
    second = export_masks(demo, out, options=options)
    assert set(statuses(second).values()) == {"skipped"}
    assert second.ok
    assert {p: p.stat().st_mtime_ns for p in out.glob("*.tif")} == stamps
    assert [dict(r.pixels) for r in second] == [dict(r.pixels) for r in first]
    third = export_masks(demo, out, options=replace(options, force=True))
    assert set(statuses(third).values()) == {"done"}


@pytest.mark.parametrize(
    "change", [_touch_data, _truncate_mask, _flip_a_byte, _remove_sidecar, _break_sidecar]
)
def test_a_mask_that_no_longer_holds_is_made_again(demo: Path, tmp_path: Path, change: Any) -> None:
    out, options = tmp_path / "m", export_options(images=("*C",))
    export_masks(demo, out, options=options)
    change(demo, out)
    assert statuses(export_masks(demo, out, options=options)) == {"Prostate C": "done"}
    assert statuses(export_masks(demo, out, options=options)) == {"Prostate C": "skipped"}


@pytest.mark.parametrize(
    "changed",
    [{"downsample": 2.0}, {"tile_px": 256}, {"pyramid": False}, {"compression": "zlib"},
     {"boundary_label": 99}, {"unclassified": 77}, {"instances": True}],
)  # fmt: skip
def test_other_options_make_masks_again(
    demo: Path, tmp_path: Path, changed: dict[str, Any]
) -> None:
    out = tmp_path / "m"
    export_masks(demo, out, options=export_options(images=("*C",)))
    again = export_masks(demo, out, options=export_options(images=("*C",), **changed))
    assert statuses(again) == {"Prostate C": "done"}
