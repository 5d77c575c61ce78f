"""What an earlier run left: what holds, why a mask is made again, masks of other projects."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import projects
import pytest
from conftest import Cli, hash_tree
from handmade_projects import with_objects
from plan.planning import ALL, CELLS, SQUARES, STACK
from qpdata.qpdata_builder import Obj, Roi

from qpmask import export_masks, export_options, plan_export
from qpmask.errors import OutputError
from qpmask.plan import Plan
from qpmask.report import Report

MASK = f"{SQUARES.removesuffix('.ome.tif')}.ome.tif"


def planned(project: Path, out: Path, classes: Any = None, **options: Any) -> Plan:
    return plan_export(project, out, classes, export_options(engine="native", **options))


def exported(project: Path, out: Path, classes: Any = None, **options: Any) -> Report:
    return export_masks(project, out, classes, export_options(engine="native", **options))


def actions(plan: Plan) -> dict[str, str]:
    return {p.entry.name: p.standing.action for p in plan.images if p.standing is not None}


@pytest.fixture
def made(three: Path, tmp_path: Path) -> Path:
    """A folder with the masks of the three images."""
    assert exported(three, tmp_path / "m", ALL).ok
    return tmp_path / "m"


def test_a_new_folder_needs_all_masks(three: Path, tmp_path: Path) -> None:
    assert actions(planned(three, tmp_path / "m")) == dict.fromkeys((SQUARES, STACK, CELLS), "make")
    assert not (tmp_path / "m").exists()
    assert plan_export(three).images[0].standing is None


def test_masks_that_hold_are_skipped(three: Path, made: Path) -> None:
    before = hash_tree(made)
    assert set(actions(planned(three, made, ALL)).values()) == {"skip"}
    assert hash_tree(made) == before, "a plan writes nothing"
    again = exported(three, made, ALL)
    assert {r.status for r in again} == {"skipped"}
    assert {r.made_again for r in again} == {None}


CHANGES: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"downsample": 4}, ("downsample 1 -> 4",)),
    ({"compression": "zlib", "tile_px": 256}, ("tile size 512 -> 256", "compression lzw -> zlib")),
    ({"multichannel": True}, ("multichannel no -> yes",)),
    ({"boundary_label": 9}, ("label of outlines none -> 9",)),
    ({"objects": "cells", "force": True}, ("objects annotations -> cells",)),
    ({"instances": True}, ("instances no -> yes",)),
    ({"pyramid": False}, ("pyramid yes -> no",)),
    ({"unclassified": 9}, ("label of unclassified objects none -> 9",)),
    ({"order": "area"}, ("order classes -> area",)),
    ({"order": "area", "unclassified": 9}, ("label of unclassified objects none -> 9",)),
    ({"force": True}, ("as asked (force)",)),
    ({"force": True, "downsample": 2.5}, ("downsample 1 -> 2.5",)),
]


@pytest.mark.parametrize(("options", "changes"), CHANGES)
def test_options_that_changed_are_said(
    three: Path, made: Path, options: dict[str, Any], changes: tuple[str, ...]
) -> None:
    image = planned(three, made, ALL, images=(SQUARES,), **options).images[0]
    assert image.standing is not None and image.standing.action == "make again"
    assert image.standing.changes == changes


CLASSES: list[tuple[Any, tuple[str, ...]]] = [
    ({**ALL, "Beta": 7}, ("label of 'Beta' 2 -> 7",)),
    (dict(reversed(ALL.items())), ("order of the classes",)),
    ({**ALL, "New": 9}, ("label of 'New' none -> 9",)),
    ({"classes": ALL, "ignore": []}, ("the class map",)),
    (
        {"classes": [{"label": v, "name": k, "color": "#010203"} for k, v in ALL.items()]},
        tuple(f"colour of {k!r} none -> #010203" for k in ALL),
    ),
    (
        {f"Class {i}": i for i in range(1, 7)} | {"Alpha": 9},
        ("label of 'Alpha' 1 -> 9", "label of 'Beta' 2 -> none", "label of 'Gamma' 3 -> none",
         "label of 'Alpha: Positive' 4 -> none", "6 more changes of classes"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("classes", "changes"), CLASSES)
def test_classes_that_changed_are_said(
    three: Path, made: Path, classes: Any, changes: tuple[str, ...]
) -> None:
    from qpmask.classes import class_map_from_dict

    class_map = class_map_from_dict(classes, "x")
    image = planned(three, made, class_map, images=(SQUARES,), unknown="ignore").images[0]
    assert image.standing is not None and image.standing.changes == changes


def _edit(made: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = made / f"{MASK}.json"
    data = json.loads(path.read_text("utf-8"))
    change(data)
    path.write_text(json.dumps(data), "utf-8")


DAMAGE: dict[str, Callable[[Path], object]] = {
    "it is not there any more": lambda m: (m / MASK).unlink(),
    "its file is not what was written": lambda m: (m / MASK).write_bytes(b"II"),
    "it has no sidecar that can be read": lambda m: (m / f"{MASK}.json").write_bytes(b"{"),
    "made by another version of qpmask": lambda m: _edit(
        m, lambda d: d["made_from"].update(format=0)
    ),
    "pixel rules qupath-0.4 -> qupath-0.6": lambda m: _edit(
        m, lambda d: d["made_from"].update(pixel_rules="qupath-0.4")
    ),
    "annotated since": lambda m: _edit(m, lambda d: d["made_from"].update(data_sha256=None)),
    "saved in QuPath since": lambda m: _edit(m, lambda d: d["made_from"].update(data_sha256="1")),
    "size of the image": lambda m: _edit(m, lambda d: d["made_from"].update(image=[1, 2, 1, 1])),
    "the class map": lambda m: _edit(m, lambda d: d["made_from"].update(rules=3)),
}


@pytest.mark.parametrize("why", DAMAGE)
def test_what_else_makes_a_mask_anew_is_said(three: Path, made: Path, why: str) -> None:
    DAMAGE[why](made)
    image = planned(three, made, ALL, images=(SQUARES,)).images[0]
    assert image.standing is not None
    if why.startswith("size of the image"):
        assert image.job is not None and image.job.entry.size is not None
        size = image.job.entry.size
        why = f"size of the image 1 x 2 -> {size.width_px} x {size.height_px}"
    assert image.standing.changes == (why,)


def test_the_report_and_the_terminal_say_why(three: Path, made: Path, qpmask_cli: Cli) -> None:
    (made / MASK).unlink()
    _, out, err = qpmask_cli(
        "export", three, "-o", made, "--engine", "native", "--classes", made / "classes.yaml",
        "--downsample", 4, "--images", SQUARES, "--images", STACK,
    )  # fmt: skip
    assert "2 masks made again: downsample 1 -> 4\n" in out
    assert err.count("made again: downsample 1 -> 4") == 2
    images = json.loads((made / "report.json").read_text("utf-8"))["images"]
    assert [i["made_again"] for i in images] == ["downsample 1 -> 4"] * 2
    assert "downsample 1 -> 4" in (made / "report.csv").read_text("utf-8")


def test_the_dry_run_says_what_would_be_done(three: Path, made: Path, qpmask_cli: Cli) -> None:
    (made / f"{STACK.removesuffix('.ome.tif')}.ome.tif").unlink()
    before = hash_tree(made)
    run = ["export", three, "-o", made, "--engine", "native", "--dry-run"]
    code, out, _ = qpmask_cli(*run)
    assert code == 0 and hash_tree(made) == before
    assert "1 mask made again: it is not there any more\n" in out
    assert "3 of 3 images can be drawn: 0 new, 1 made again, 2 skipped, as they hold." in out
    _, out, _ = qpmask_cli(*run, "--downsample", 4)
    assert "3 masks made again: downsample 1 -> 4\n" in out
    _, out, _ = qpmask_cli(*run, "--json")
    rows = {i["image"]: (i["action"], i["changes"]) for i in json.loads(out)["images"]}
    assert rows[SQUARES] == ("skip", [])
    assert rows[STACK] == ("make again", ["it is not there any more"])


# -- masks of other projects --------------------------------------------------------------------


def test_a_folder_of_another_project_is_not_written_to(
    three: Path, made: Path, tmp_path: Path, qpmask_cli: Cli
) -> None:
    other = Path(shutil.copytree(three, tmp_path / "other"))
    before = hash_tree(made)
    for call in (planned, exported):
        with pytest.raises(OutputError, match=r"holds 3 masks of another project, .*tiny") as e:
            call(other, made)
        assert e.value.hint is not None and "--force" in e.value.hint
    code, _, err = qpmask_cli("export", other, "-o", made, "--engine", "native")
    assert code == 2 and "another project" in err
    assert hash_tree(made) == before
    report = exported(other, made, force=True)
    assert report.ok and {r.status for r in report} == {"done"}
    assert {r.status for r in exported(other, made)} == {"skipped"}


def test_a_project_that_moved_is_the_same(three: Path, made: Path, tmp_path: Path) -> None:
    moved = three.rename(tmp_path / "moved")
    assert {r.status for r in exported(moved, made, ALL)} == {"skipped"}
    # Another project where the old one is no more.
    projects.rename(moved, {SQUARES: "other.svs"})
    with pytest.raises(OutputError, match="holds 1 mask of another project"):
        exported(moved, made, ALL)


def test_masks_of_no_project_are_in_nobodys_way(three: Path, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    for name, text in {"a.ome.tif": "II", "a.ome.tif.json": "{}", "b.json": "[1]"}.items():
        (tmp_path / "m" / name).write_text(text)
    assert exported(three, tmp_path / "m", images=(SQUARES,)).ok


def _lose_pixels(data: dict[str, Any]) -> None:
    del data["classes"][0]["pixels"]


DAMAGED: list[Callable[[dict[str, Any]], object]] = [
    _lose_pixels,
    lambda data: data.update(classes=None),
    lambda data: data.pop("classes"),
]


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_sidecar_without_its_classes_is_made_again(
    three: Path, made: Path, damage: Callable[[dict[str, Any]], object]
) -> None:
    _edit(made, damage)
    report = exported(three, made, ALL)
    assert report.ok
    again = {r.image: r.made_again for r in report if r.status == "done"}
    assert again == {SQUARES: "it has no sidecar that can be read"}


GROUP = {"class_name": "A", "objects": 1, "of": 1, "why": "covered", "by": [], "ids": []}


@pytest.mark.parametrize("row", [{"objects": "x"}, {"why": "odd"}, {"by": None}, {}])
def test_hidden_objects_that_make_no_sense_are_not_said(
    three: Path, made: Path, row: dict[str, Any]
) -> None:
    hidden = {"covered": [], "all_background": False, "counted": "objects"}
    _edit(made, lambda data: data.update(hidden={**hidden, "groups": [{**GROUP, **row}]}))
    report = exported(three, made, ALL)
    assert report.ok and {r.status for r in report} == {"skipped"}
    said = [line for line in report.hidden_lines() if line.startswith(f"{SQUARES}: A: 1 object")]
    assert len(said) == (not row)


# -- masks that would become blank, and choices that are kept ------------------------------------


def test_a_mask_with_objects_is_not_replaced_by_a_blank_one(tmp_path: Path, demo: Path) -> None:
    out = tmp_path / "masks"
    exported(demo, out)
    before = hash_tree(out)
    for call in (exported, planned):
        with pytest.raises(OutputError, match="would be replaced by blank ones") as caught:
            call(demo, out, objects="cores")
        assert "There are no cores, but" in str(caught.value) and "--force" in str(caught.value)
    assert hash_tree(out) == before
    report = exported(demo, out, objects="cores", force=True)
    assert {r.status for r in report} == {"done"}


def test_objects_that_are_gone_leave_a_blank_mask(tmp_path: Path) -> None:
    out = tmp_path / "masks"
    objects = [Obj(roi=Roi("RectangleROI", (1, 1, 9, 9)), path_class=("Tumor",))]
    exported(with_objects(tmp_path / "p", objects, (32, 24)), out)
    report = exported(with_objects(tmp_path / "p", [], (32, 24)), out)
    assert report.ok and report.records[0].labelled == 0


def test_what_the_folder_keeps_is_said(tmp_path: Path, demo: Path) -> None:
    out = tmp_path / "masks"
    exported(demo, out, order="area", unclassified=40)
    (said,) = [w for w in exported(demo, out).warnings if "from an earlier run" in w]
    assert "order area" in said and "the label 40" in said
    again = exported(demo, out, order="classes", unclassified=40, force=True)
    assert not [w for w in again.warnings if "from an earlier run" in w]


def test_masks_of_other_labels_are_told_and_those_of_another_order_are_not(
    three: Path, made: Path
) -> None:
    def stale(classes: dict[str, int], **options: Any) -> list[str]:
        report = exported(three, made, classes, images=(SQUARES,), **options)
        return [text for text in report.warnings if "another class map" in text]

    assert stale(dict(reversed(ALL.items()))) == []
    assert stale(ALL, order="area") == []
    (said,) = stale({**ALL, "Alpha": 2, "Beta": 1})
    assert "holds 2 masks" in said and "cells.ome.tif" in said
    assert stale({**ALL, "Delta": 9}), "a class that they lack"
