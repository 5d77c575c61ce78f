"""The Groovy scripts and Python make the same masks, sidecars, reports and complaints."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import projects
import pytest
from conftest import DEMO, hash_tree
from groovy.script_runs import (
    CLASS_MAP,
    GROOVY,
    UNSEEN,
    VARIANTS,
    Runs,
    as_groovy,
    assert_same,
    python_options,
    report_of,
    run_qupath,
    statuses,
)
from odd_names import LABELS

from qpmask import export_masks, export_options, open_mask, plan_export
from qpmask.agreement import compare_masks
from qpmask.classes import ClassMap, class_map_from_dict
from qpmask.ometiff.reader import MaskFile
from qpmask.outputs import mask_names
from qpmask.project import open_project
from qpmask.report.foldercheck import check_output

pytestmark = pytest.mark.qupath


# -- the same masks -----------------------------------------------------------------------------


def test_what_makes_masks_anew_is_said_in_the_same_words(runs: Runs) -> None:
    options = python_options(downsample=2.5, unclassified=9)
    assert {r["made_again"] for r in report_of(runs.out("again"))["images"]} == {
        "downsample 1 -> 2.5; compression zlib -> lzw; label of unclassified objects none -> 9"
    }
    assert "; made again: downsample 1 -> 2.5" in runs.results["again"]["output"]
    plan = plan_export(runs.folder / "names", runs.out("again"), options=options)
    assert {p.standing and p.standing.action for p in plan.images} == {"skip"}
    assert runs.results["other order"]["output"].count("made again: order area -> classes\n") == 3
    first = report_of(runs.out("python first"))["images"]
    assert [r["made_again"] for r in first] == [None, "its file is not what was written", None]


def test_masks_of_another_project_are_not_written_over(runs: Runs) -> None:
    text = runs.error("other project")
    assert text is not None and "holds 3 masks of another project, " in text
    assert "demo/project.qpproj, such as Prostate A.ome.tif." in text and "overwrite" in text


@pytest.mark.parametrize("engine", ["native", "qupath"])
def test_names_of_classes_have_one_form(runs: Runs, tmp_path: Path, engine: str) -> None:
    assert runs.error("names") is None
    if engine == "native" and python_options().engine != "native":
        pytest.skip("the native engine follows QuPath 0.6 and later")
    options = export_options(engine=engine, unclassified=9)
    report = export_masks(runs.folder / "names", tmp_path / "m", options=options)
    assert_same(runs.out("names"), tmp_path / "m", 2)
    labels = {row["name"]: row["label"] for row in report.classes["classes"]}
    assert labels == {**LABELS, "Unclassified": 9}
    for record in report:
        n = 80 * 200
        expected = {1: n, 2: n, 3: n, 9: 2 * n} | ({4: n} if record.image == "two" else {})
        assert {k: v for k, v in record.pixels.items() if k} == expected
    assert report.warnings[0] == report_of(runs.out("names"))["warnings"][0]
    assert report.warnings[0].startswith("'Tumor ' and 'Tumor' of the project's class list")


def test_labels_of_one_image_are_those_of_all(runs: Runs, tmp_path: Path) -> None:
    assert runs.error("one of names") is None
    options = export_options(engine=python_options().engine, images=["one"])
    export_masks(runs.folder / "names", tmp_path / "m", options=options)
    assert_same(runs.out("one of names"), tmp_path / "m", 1)
    assert "Another" in (tmp_path / "m" / "classes.yaml").read_text("utf-8")


def test_two_names_that_become_one_are_refused(runs: Runs) -> None:
    text = runs.error("twice")
    assert text == "'A:b' and 'A: b' are one class, 'A: b', and it has two labels, 1 and 2."


def test_the_demo_project_is_the_same(runs: Runs, tmp_path: Path) -> None:
    assert runs.error("demo") is None
    export_masks(runs.folder / "demo", tmp_path / "m", options=python_options())
    assert_same(runs.out("demo"), tmp_path / "m", 3)
    ours, theirs = report_of(runs.out("demo")), report_of(tmp_path / "m")
    assert ours.keys() == theirs.keys()
    assert ours["options"].keys() <= theirs["options"].keys()
    assert ours["ok"] is True
    # Both say what draws objects without a class, each by an option of its own.
    said = [[w.split(" left out: ")[0] for w in r["warnings"]] for r in (ours, theirs)]
    assert said[0] == said[1]
    assert ours["classes"] == theirs["classes"]
    for a, b in zip(ours["images"], theirs["images"], strict=True):
        assert a["engine"].startswith("qupath ") and b["engine"]
        for key in ("seconds", "bytes", "status", "engine"):  # a second run skipped them
            del a[key], b[key]
        assert a == as_groovy(b)
    rows = [
        list(csv.DictReader((folder / "report.csv").read_text("utf-8").splitlines()))
        for folder in (runs.out("demo"), tmp_path / "m")
    ]
    differs = dict.fromkeys(("seconds", "bytes", "status"), "")
    for a, b in zip(*rows, strict=True):
        assert list(a) == list(b)
        assert {**a, **differs} == {**b, **differs}
    areas = [
        list(csv.DictReader((folder / "areas.csv").read_text("utf-8").splitlines()))
        for folder in (runs.out("demo"), tmp_path / "m")
    ]
    for a, b in zip(*areas, strict=True):
        assert list(a) == list(b) and len(a) > 5
        for name, value in a.items():
            assert value == b[name] or float(value) == pytest.approx(float(b[name])), name
    assert not (runs.out("demo") / ".qpmask").exists()


def test_the_tiny_project_is_the_same(runs: Runs, tmp_path: Path) -> None:
    assert runs.error("tiny") is None
    export_masks(runs.folder / "tiny", tmp_path / "m", options=python_options())
    assert_same(runs.out("tiny"), tmp_path / "m", 5)
    with MaskFile(runs.out("tiny") / "many.ome.tif") as mask:
        assert mask.dtype == np.uint16
    with MaskFile(runs.out("tiny") / "stack.ome.tif") as mask:
        assert mask.n_planes == 6
    frames = {
        name: open_mask(runs.out("tiny") / name).frame
        for name in ("squares.ome.tif", "cells.ome.tif", "empty.ome.tif")
    }
    assert [frame is not None and frame.words() for frame in frames.values()] == [
        "rotated by 180 degrees", "cropped to 40 x 40 pixels at x 3, y 5", "",
    ]  # fmt: skip
    assert frames["empty.ome.tif"] is not None and frames["empty.ome.tif"].matrix is None


@pytest.mark.parametrize("name", VARIANTS)
def test_every_roi_is_the_same(runs: Runs, tmp_path: Path, name: str) -> None:
    assert runs.error(f"rois {name}") is None
    values = {"tile_px" if k == "tileSize" else k: v for k, v in VARIANTS[name].items()}
    class_map: ClassMap = class_map_from_dict(CLASS_MAP, "test")
    options = python_options(**values)
    if name == "wide":  # the native engine draws no wide lines
        options = export_options(engine="qupath", **values)
    report = export_masks(runs.folder / "rois", tmp_path / "m", class_map, options)
    assert report.ok, [r.error for r in report]
    assert_same(runs.out(f"rois {name}"), tmp_path / "m", 8)
    output = runs.results[f"rois {name}"]["output"]
    covered = "Covered: 1 object, no pixel left: covered by Tumor: Positive, drawn later"
    assert (covered in output) == (VARIANTS[name].get("objects", "annotations") == "annotations"
                                   and VARIANTS[name].get("order") != "area")  # fmt: skip


@pytest.mark.parametrize("name", UNSEEN)
def test_what_leaves_no_pixel_is_the_same(runs: Runs, tmp_path: Path, name: str) -> None:
    values = {"tile_px" if k == "tileSize" else k: v for k, v in UNSEEN[name].items()}
    report = export_masks(runs.folder / "unseen", tmp_path / "m", options=python_options(**values))
    ours = report_of(runs.out(f"unseen {name}"))
    output = runs.results[f"unseen {name}"]["output"]
    if name == "error":
        assert statuses(ours) == statuses(report)
        assert sorted(statuses(ours).values()) == ["done", *["failed"] * 4]
        for a, b in zip(ours["images"], report, strict=True):
            assert a["error_type"] == b.error_type
            before = [
                (text or "")
                .partition(" Ways out: ")[0]
                .partition(" hidden = ")[0]
                .partition(" --hidden ")[0]
                for text in (a["error"], b.error)
            ]
            assert before[0] == before[1]
        assert runs.error("unseen error") is not None
        return
    assert runs.error(f"unseen {name}") is None
    assert_same(runs.out(f"unseen {name}"), tmp_path / "m", 5)
    for a, b in zip(ours["images"], report, strict=True):
        assert a["hidden"] == json.loads(json.dumps(b.as_dict()))["hidden"]
    lines = [line for line in report.hidden_lines() if not line.startswith("Ways out: ")]
    assert lines and all(f"note: {line}\n" in output for line in lines)
    if name == "plain":
        found = {(g.class_name, g.why, g.by) for r in report if r.hidden for g in r.hidden.groups}
        assert {why for _, why, _ in found} == {"covered", "outside", "thin", "plane"}
        assert ("Middle", "covered", ("High", "Other")) in found
        assert [r.hidden.all_background for r in report if r.hidden] == [0, 0, 1, 0, 0]
        assert report.records[0].hidden is not None and report.records[0].hidden.covered


def test_the_slide_says_what_was_scanned(runs: Runs) -> None:
    with MaskFile(runs.out("unseen by area") / "seen.ome.tif") as mask:
        assert mask.metadata is not None
        frame = json.loads(mask.metadata.extra["frame"])
    assert frame["mask_to_file"] == [3, 0, 300, 0, 3, 200]
    assert frame["steps"] == ["cut to 1,100 x 700 pixels at x 300, y 200 (what was scanned)"]
    assert frame["origin"] == "level 0" and frame["read_px0"] == [2000, 1500]


def test_names_are_the_same(runs: Runs) -> None:
    images = report_of(runs.out("rois plain"))["images"]
    names = mask_names(open_project(runs.folder / "rois").images)
    assert {r["entry_id"]: r["mask"] for r in images} == names
    assert any(len(n) > 160 for n in names.values())


# -- one run taken up by the other --------------------------------------------------------------


def test_a_second_run_skips(runs: Runs) -> None:
    assert runs.error("demo again") is None
    assert runs.results["demo again"]["output"].count(": skipped\n") == 3


def test_python_takes_up_what_the_script_made(runs: Runs, tmp_path: Path) -> None:
    for name, project in (("demo", "demo"), ("tiny", "tiny")):
        folder = shutil.copytree(runs.out(name), tmp_path / name)
        report = export_masks(runs.folder / project, folder, options=python_options())
        assert set(statuses(report).values()) == {"skipped"}
    folder = shutil.copytree(runs.out("rois plain"), tmp_path / "rois")
    class_map = class_map_from_dict(CLASS_MAP, "test")
    report = export_masks(runs.folder / "rois", folder, class_map, python_options())
    assert set(statuses(report).values()) == {"skipped"}
    folder = shutil.copytree(runs.out("demo4"), tmp_path / "demo4")
    options = python_options(downsample=4.0)
    report = export_masks(runs.folder / "demo", folder, options=options)
    assert set(statuses(report).values()) == {"skipped"}


def test_the_script_takes_up_what_python_made(runs: Runs) -> None:
    assert runs.error("python first") is None
    assert statuses(report_of(runs.out("python first"))) == {
        "Prostate A": "skipped", "Prostate B": "done", "Prostate C": "skipped",
    }  # fmt: skip


def test_no_project_is_written_to(runs: Runs) -> None:
    for project, before in runs.before.items():
        assert hash_tree(project) == before, project


# -- what goes wrong ----------------------------------------------------------------------------


def test_a_damaged_data_file_fails_its_image_only(runs: Runs) -> None:
    assert "7 of 8 image(s) failed" in str(runs.error("damaged"))
    report = report_of(runs.out("damaged"))
    assert report["ok"] is False
    found = statuses(report)
    assert found.pop("well") == "done"
    assert set(found.values()) == {"failed"}
    errors = {r["image"]: r["error"] for r in report["images"]}
    assert "It held 6 objects" in errors.pop("gone")
    for name, error in errors.items():
        assert name == "well" or "is damaged" in error, error
    assert [p.name for p in runs.out("damaged").glob("*.tif")] == ["well.ome.tif"]


def test_a_run_that_is_stopped_says_so(runs: Runs) -> None:
    assert "3 of 3 image(s) failed" in str(runs.error("stopped"))
    report = report_of(runs.out("stopped"))
    assert report["interrupted"] and not report["ok"]
    assert set(statuses(report).values()) == {"interrupted"}
    assert sorted(p.name for p in runs.out("stopped").iterdir()) == [
        "areas.csv", "classes.yaml", "report.csv", "report.json",
    ]  # fmt: skip


def test_no_project_is_open(runs: Runs) -> None:
    assert str(runs.error("no project")).startswith("No project is open.")
    assert str(runs.error("current, no project")).startswith("No project is open.")
    assert str(runs.error("no image")).startswith("No image of the project is open.")
    assert str(runs.error("import, no image")).startswith("No image is open.")


def test_a_class_that_the_map_lacks_stops_the_run(runs: Runs) -> None:
    error = str(runs.error("missing class"))
    first, *lines, last = error.splitlines()
    assert first == f"The class map (test) lacks {len(lines)} classes in use:"
    assert all(
        re.fullmatch(r"  '.+' \(\d+ objects? in \d images?(; the map has .*)?\)", s) for s in lines
    )
    near = ["the map has" in line for line in lines]
    assert near == sorted(near, reverse=True) and near[0] and not near[-1]
    assert "unknown = 'ignore'" in last
    assert not runs.out("missing").exists()
    assert runs.error("ignored class") is None
    assert any("Not in the class map" in w for w in report_of(runs.out("ignored"))["warnings"])


def test_other_settings_that_stop_the_run(runs: Runs) -> None:
    assert "have no class" in str(runs.error("no class"))
    assert "a multiple of 16" in str(runs.error("bad setting"))
    assert "no setting 'downsampel'" in str(runs.error("misspelt"))
    assert not Path("downsampel=4").exists()
    assert "no setting 'replcae'" in str(runs.error("import, misspelt"))
    assert not runs.out("none").exists()


def test_only_masks_with_other_labels_are_told_of(runs: Runs) -> None:
    assert runs.error("stale") is None
    (told,) = (w for w in report_of(runs.out("stale"))["warnings"] if "class map" in w)
    name = sorted(p.name for p in runs.out("stale").glob("*.ome.tif"))[-1]
    assert told.startswith(f"The folder also holds 1 mask made with another class map: {name}. ")


# -- the other scripts --------------------------------------------------------------------------


def test_the_current_image(runs: Runs) -> None:
    assert runs.error("B") is None and runs.error("A") is None
    for name in ("Prostate A.ome.tif", "Prostate B.ome.tif"):
        assert check_output(runs.out("one") / name, needs_sidecar=True).ok
        assert compare_masks(runs.out("one") / name, runs.out("demo") / name).equal
    assert statuses(report_of(runs.out("one"))) == {"Prostate A": "done", "Prostate B": "done"}


def test_a_mask_comes_back_as_annotations(runs: Runs) -> None:
    for name in ("import", "import small", "import anew", "import by class", "back", "back4"):
        assert runs.error(name) is None, name
    assert "were imported from 'Prostate A.ome.tif' before" in str(runs.error("import twice"))
    made = runs.results["import small"]["output"].partition(" annotation(s)")[0].split()[-1]
    for name in ("import anew", "import by class"):
        assert f", {made} objects removed" in runs.results[name]["output"], name
    for name, image in (("back", "Prostate B"), ("back4", "Prostate A")):
        original = runs.out("demo4" if name == "back4" else "demo") / f"{image}.ome.tif"
        with MaskFile(original) as one, MaskFile(runs.out(name) / f"{image}.ome.tif") as other:
            assert one.metadata is not None and other.metadata is not None
            names = {c.label: c.name for c in other.metadata.classes}
            assert one.read().any()
            np.testing.assert_array_equal(
                _named(one.read(), {c.label: c.name for c in one.metadata.classes}),
                _named(other.read(), names),
            )
    output = runs.results["import"]["output"]
    assert "annotation(s) of 7 class(es)" in output


def _named(labels: Any, names: dict[int, str]) -> Any:
    """Labels as the hash of their class name, so that other labels of the same class compare."""
    table = np.zeros(65536, np.int64)
    for label, name in names.items():
        table[label] = hash(name)
    return table[labels]


def test_a_mask_that_does_not_fit(runs: Runs) -> None:
    assert "was made of an image of 64 x 48" in str(runs.error("import of another image"))
    assert "There is no mask of Prostate A" in str(runs.error("import, no mask"))


def test_a_mask_is_not_put_into_an_image_that_is_turned(runs: Runs) -> None:
    """It has the same size; the annotations would lie on the wrong tissue."""
    error = str(runs.error("import into a turned image"))
    assert "as its file is" in error and "rotated by 180 degrees" in error


# -- QuPath's own command -----------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_without_a_project_ends_with_an_error(tmp_path: Path) -> None:
    done = run_qupath(GROOVY / "export_masks.groovy")
    assert done.returncode == 1
    assert "qpmask: No project is open." in done.stderr


def test_the_command_with_a_project_makes_all_masks_at_once(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    demo = runs.copy(DEMO, "demo")
    data = projects.data_file(demo, "Prostate C")
    data.write_bytes(data.read_bytes()[:-5])
    done = run_qupath(
        "-p", demo / "project.qpproj", "--args", tmp_path / "m", GROOVY / "export_masks.groovy"
    )
    assert done.returncode == 1  # and it does not open B and C
    assert statuses(report_of(tmp_path / "m")) == {
        "Prostate A": "done", "Prostate B": "done", "Prostate C": "failed",
    }  # fmt: skip
    assert done.stdout.count("Running script for") == 1
