"""What a run would do: the labels of the classes, and objects without one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import projects
import pytest
from conftest import hash_tree
from plan.planning import ALL, CELLS, MANY, SQUARES, STACK, one, plan

from qpmask import export_options, plan_export
from qpmask.classes import class_map_from_dict
from qpmask.errors import (
    OptionsError,
    UnmappedClassError,
)
from qpmask.options import MAX_LABEL

# -- classes ------------------------------------------------------------------------------------


def test_labels_follow_the_project(three: Path) -> None:
    before = hash_tree(three)
    made = plan(three)
    assert [(e.label, e.name) for e in made.class_map.entries] == [
        (1, "Alpha"), (2, "Beta"), (3, "Gamma"), (4, "Alpha: Positive"),
    ]  # fmt: skip
    assert made.class_map.origin == "project"
    expected = {
        "Alpha": (8, 2), "Beta": (2, 1), "Gamma": (1, 1), "Region*": (1, 1), None: (1, 1),
        "Alpha: Positive": (1, 1),
    }  # fmt: skip
    assert {name: made.count([name]) for name in expected} == expected
    assert made.count(["Gamma", "Alpha: Positive"]) == (2, 2)
    assert hash_tree(three) == before


def test_a_class_that_the_map_lacks_stops_the_run(three: Path) -> None:
    with pytest.raises(UnmappedClassError) as caught:
        plan(three, {"alpha": 1, "Gamma": 3, "Bet": 4})
    text = caught.value.message
    assert text.splitlines() == [
        "The class map (given) lacks 3 classes in use:",
        "  'Alpha' (8 objects in 2 images; the map has 'alpha')",
        "  'Beta' (2 objects in 1 image; the map has 'Bet')",
        "  'Alpha: Positive' (1 object in 1 image)",
    ], "one a line, near misses first"
    assert "Region*" not in text, "QuPath's own ignored classes need no label"
    assert caught.value.hint is not None and "--unknown ignore" in caught.value.hint


def test_only_selected_images_have_to_be_covered(three: Path) -> None:
    assert one(three, STACK, {"Alpha": 5}).drawn == 6
    with pytest.raises(UnmappedClassError, match=r"'Alpha: Positive' \(1 object"):
        plan(three, {"Alpha": 5}, images=(CELLS,))


def test_going_on_without_unknown_classes_is_told(three: Path) -> None:
    made = plan(three, {"Alpha": 1, "Beta": 2}, unknown="ignore")
    (finding,) = [f for f in made.findings if "Not in the class map" in f]
    assert "'Gamma' (1 object in 1 image" in finding
    squares, stack, cells = made.images
    assert (squares.drawn, stack.drawn, cells.drawn) == (4, 6, 0)
    assert "No objects to draw: the mask is all background." in cells.findings


def test_classes_left_out_on_purpose_are_told(three: Path) -> None:
    class_map = class_map_from_dict(
        {"classes": {"Alpha": 1, "Gamma": 3}, "ignore": ["*: Positive", "B*", "Region[*]"]}, "x"
    )
    made = plan(three, class_map)
    (finding,) = [f for f in made.findings if "on purpose" in f]
    assert "'Beta' (2 objects)" in finding and "'Alpha: Positive' (1 object)" in finding
    assert "'Region*' (1 object)" in finding
    assert made.images[0].drawn == 3


def test_a_class_that_qupath_ignores_is_drawn_if_the_map_names_it(three: Path) -> None:
    image = one(three, SQUARES, {**ALL, "Region*": 9})
    assert {r.name: r.objects for r in image.legend}["Region*"] == 1
    assert image.drawn == 6


def test_a_derived_class_is_a_class_of_its_own(three: Path) -> None:
    image = one(three, CELLS, ALL)
    assert [(r.label, r.name, r.objects) for r in image.legend] == [
        (1, "Alpha", 0), (2, "Beta", 0), (3, "Gamma", 0), (4, "Alpha: Positive", 1),
    ]  # fmt: skip


def test_an_alias_gets_the_label_and_the_count(three: Path) -> None:
    class_map = class_map_from_dict(
        {"classes": [{"label": 7, "name": "A", "aliases": ["Alpha", "Beta"]},
                     {"label": 3, "name": "Gamma"}]}, "x",
    )  # fmt: skip
    image = one(three, SQUARES, class_map)
    assert [(r.label, r.name, r.objects) for r in image.legend] == [(7, "A", 4), (3, "Gamma", 1)]
    assert image.job is not None
    assert [(r.class_name, r.label) for r in image.job.rules] == [
        ("A", 7), ("Alpha", 7), ("Beta", 7), ("Gamma", 3)
    ]  # fmt: skip


def test_the_order_of_the_map_is_the_order_of_drawing(three: Path) -> None:
    image = one(three, SQUARES, {"Gamma": 1, "Alpha": 9, "Beta": 4})
    assert image.job is not None
    assert [(r.class_name, r.label) for r in image.job.rules] == [
        ("Gamma", 1), ("Alpha", 9), ("Beta", 4)
    ]  # fmt: skip


def test_a_saved_map_gets_new_classes_at_its_end(three: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"
    out.mkdir()
    saved = plan(three).class_map
    saved = replace(saved, entries=saved.entries[:3])
    assert [e.name for e in saved.entries] == ["Alpha", "Beta", "Gamma"]
    (out / "classes.yaml").write_text(saved.to_yaml(), "utf-8")
    again = plan_export(three, out).class_map
    assert [(e.label, e.name) for e in again.entries] == [
        (1, "Alpha"), (2, "Beta"), (3, "Gamma"), (4, "Alpha: Positive"),
    ]  # fmt: skip
    assert sorted(p.name for p in out.iterdir()) == ["classes.yaml"]


@pytest.mark.parametrize("chosen", [(SQUARES,), (STACK,), (CELLS,), (STACK, CELLS)])
def test_labels_do_not_depend_on_the_images_that_are_chosen(
    three: Path, chosen: tuple[str, ...]
) -> None:
    path = three / "classifiers" / "classes.json"
    path.unlink()  # all classes come from the images, in the order of their names
    whole = plan(three).class_map
    assert [e.name for e in whole.entries] == ["Alpha", "Alpha: Positive", "Beta", "Gamma"]
    assert plan(three, images=chosen).class_map == whole


def test_a_class_of_an_image_that_cannot_be_read_is_told(three: Path) -> None:
    projects.data_file(three, CELLS).write_bytes(b"no data")
    made = plan(three, images=(SQUARES,))
    assert [e.name for e in made.class_map.entries] == ["Alpha", "Beta", "Gamma"]
    (finding,) = [f for f in made.findings if "cannot be read" in f]
    assert finding.startswith("1 image beside the selected ones") and CELLS in finding
    assert not any("cannot be read" in f for f in plan(three).findings), "its own error says so"


def test_colours_changed_in_qupath_reach_a_saved_map(three: Path, tmp_path: Path) -> None:
    saved = plan(three).class_map
    (tmp_path / "classes.yaml").write_text(saved.to_yaml(), "utf-8")
    path = three / "classifiers" / "classes.json"
    path.write_text(path.read_text("utf-8").replace("-3670016", str(0x0A0B0C)), "utf-8")
    made = plan_export(three, tmp_path).class_map
    assert made.entries[0].color == (10, 11, 12)
    assert made.entries[1:] == saved.entries[1:]
    # A map of one's own keeps its colours.
    own = saved.to_yaml().replace('origin: "project"\n', "")
    (tmp_path / "classes.yaml").write_text(own, "utf-8")
    assert plan_export(three, tmp_path).class_map.entries == saved.entries


def test_a_saved_map_of_ones_own_stays_strict(three: Path, tmp_path: Path) -> None:
    (tmp_path / "classes.yaml").write_text("Alpha: 1\n")
    with pytest.raises(UnmappedClassError):
        plan_export(three, tmp_path)


def test_a_class_that_the_saved_map_ignores_gets_no_label(three: Path, tmp_path: Path) -> None:
    saved = plan(three).class_map
    saved = replace(saved, entries=saved.entries[:3], ignore=("*: Positive",))
    (tmp_path / "classes.yaml").write_text(saved.to_yaml(), "utf-8")
    made = plan_export(three, tmp_path).class_map
    assert made.find("Alpha: Positive") is None
    assert made.find("Region*") is None, "it is none of the project's own classes"


def test_above_255_labels_masks_are_uint16(tiny: Path) -> None:
    many = one(tiny, MANY)
    assert many.job is not None
    assert (many.job.dtype, many.drawn) == ("uint16", 300)
    few = one(tiny, MANY, {f"Class {i:03d}": i + 1 for i in range(255)}, unknown="ignore")
    assert few.job is not None
    assert (few.job.dtype, few.job.max_label, few.drawn) == ("uint8", 255, 255)


# -- objects without a class --------------------------------------------------------------------


def test_unclassified_objects_are_left_out_with_a_warning(three: Path) -> None:
    assert "1 object without a class left out." in one(three, SQUARES).findings
    assert not any("without a class" in f for f in one(three, STACK).findings)
    assert one(three, SQUARES).drawn == 5


def test_unclassified_objects_with_a_label(three: Path) -> None:
    image = one(three, SQUARES, unclassified=9)
    assert image.drawn == 6
    assert (image.legend[0].label, image.legend[0].name, image.legend[0].objects) == (
        9, "Unclassified", 1
    )  # fmt: skip
    assert image.job is not None
    assert (image.job.rules[0].class_name, image.job.rules[0].label) == (None, 9)
    assert not any("without a class" in f for f in image.findings)


def test_unclassified_objects_as_an_error(three: Path) -> None:
    with pytest.raises(UnmappedClassError, match=r"1 object in 1 image have no class|has no class"):
        plan(three, unclassified="error")
    assert one(three, STACK, unclassified="error").drawn == 6


def test_the_map_says_what_to_do_and_the_option_overrules_it(three: Path) -> None:
    strict = class_map_from_dict({"classes": ALL, "unclassified": "error"}, "x")
    with pytest.raises(UnmappedClassError):
        plan(three, strict)
    assert one(three, SQUARES, strict, unclassified="ignore").drawn == 5
    labelled = class_map_from_dict({"classes": ALL, "unclassified": 9}, "x")
    assert one(three, SQUARES, labelled).drawn == 6


def places(map_rows: list[dict[str, Any]], three: Path, **options: Any) -> list[tuple[Any, int]]:
    image = one(three, SQUARES, class_map_from_dict({"classes": map_rows}, "x"), **options)
    assert image.job is not None
    return [(rule.class_name, rule.label) for rule in image.job.rules]


def test_a_row_of_the_map_gives_them_a_place(three: Path) -> None:
    rows: list[dict[str, Any]] = [{"label": n, "name": name} for name, n in ALL.items()]
    rows.insert(2, {"label": 9, "unclassified": True})
    expected = [("Alpha", 1), ("Beta", 2), (None, 9), ("Gamma", 3), ("Alpha: Positive", 4)]
    assert places(rows, three) == expected
    assert places(rows, three, unclassified=8) == [(n, 8 if n is None else x) for n, x in expected]
    assert places(rows, three, unclassified="ignore") == [e for e in expected if e[0] is not None]


def test_a_label_alone_puts_them_below_and_says_so(three: Path) -> None:
    made = plan(three, unclassified=9)
    (said,) = [f for f in made.findings if "drawn first, below all classes" in f]
    assert "unclassified: true" in said
    by_area = plan(three, unclassified=9, order="area")
    assert not any("below" in f for f in by_area.findings), "with areas it is not so"


def test_the_next_plain_run_keeps_what_was_used(three: Path, tmp_path: Path) -> None:
    first = plan(three, unclassified=9, order="area")
    saved = tmp_path / "classes.yaml"
    saved.write_text(first.class_map.to_yaml(), "utf-8")
    again = plan_export(three, tmp_path)
    assert again.class_map.order == "area"
    assert again.class_map.fingerprint() == first.class_map.fingerprint()
    assert [i.job and (i.job.rules, i.job.order) for i in again.images] == [
        i.job and (i.job.rules, i.job.order) for i in first.images
    ]
    back = plan_export(three, tmp_path, options=export_options(order="classes"))
    assert back.class_map.order == "classes"
    assert back.class_map.fingerprint() != first.class_map.fingerprint()


@pytest.mark.parametrize("options", [{"unclassified": 2}, {"boundary_label": 2}])
def test_labels_that_belong_to_a_class_already(three: Path, options: dict[str, Any]) -> None:
    with pytest.raises(OptionsError, match="'Beta' already") as caught:
        plan(three, ALL, **options)
    assert caught.value.hint is not None and "such as 5" in caught.value.hint


def test_advice_for_a_label_is_one_that_is_free(three: Path) -> None:
    with pytest.raises(OptionsError) as caught:
        plan(three, {**ALL, "Top": MAX_LABEL}, boundary_label=3)
    assert "such as 5" in str(caught.value.hint)


def test_boundary_and_unclassified_objects_need_two_labels(three: Path) -> None:
    with pytest.raises(OptionsError, match="unclassified objects"):
        plan(three, ALL, unclassified=9, boundary_label=9)


def test_a_boundary_is_in_the_legend(three: Path) -> None:
    image = one(three, SQUARES, ALL, boundary_label=300)
    assert (image.legend[-1].label, image.legend[-1].name) == (300, "Boundary")
    assert image.job is not None and image.job.dtype == "uint16"
    background = one(three, SQUARES, ALL, boundary_label=0)
    assert [r.label for r in background.legend] == [1, 2, 3, 4]
