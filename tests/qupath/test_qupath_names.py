"""Names of classes that a project spells in ways of its own: every engine draws the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from odd_names import AREA_PX, LABELS, odd_names

from qpmask import export_masks, export_options
from qpmask.qpdata import read_qpdata

pytestmark = [pytest.mark.qupath, pytest.mark.usefixtures("qupath")]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return odd_names(tmp_path_factory.mktemp("names"))


def test_both_engines_draw_the_same(names: Path, tmp_path: Path) -> None:
    options = export_options(engine="both", unclassified=9)
    report = export_masks(names, tmp_path / "m", options=options)
    assert report.ok, [r.error for r in report]
    assert {r["name"]: r["label"] for r in report.classes["classes"]} == {
        **LABELS, "Unclassified": 9,
    }  # fmt: skip
    for record in report:
        expected = {1: AREA_PX, 2: AREA_PX, 3: AREA_PX, 9: 2 * AREA_PX}
        expected |= {4: AREA_PX} if record.image == "two" else {}
        assert {k: v for k, v in record.pixels.items() if k} == expected


def test_a_map_in_any_spelling_draws_the_same(names: Path, tmp_path: Path) -> None:
    classes = {" Stroma": 1, "UBERON :1": 2, "Tumor\t": 3, "Another:": 4}
    options = export_options(engine="both")
    report = export_masks(names, tmp_path / "m", classes, options)
    assert report.ok, [r.error for r in report]
    assert all(r.pixels[n] == AREA_PX for r in report for n in (1, 2, 3))


def test_a_class_called_unclassified_is_none(names: Path) -> None:
    ids = [i["entryID"] for i in json.loads((names / "project.qpproj").read_text())["images"]]
    objects = read_qpdata(names / "data" / str(ids[0]) / "data.qpdata")
    assert "Unclassified" not in {c.name for c in objects.classes}
    assert (objects.class_index == -1).sum() == 2
