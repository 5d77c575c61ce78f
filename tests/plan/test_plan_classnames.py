"""What a run would do: class names that are spelled in other ways than QuPath's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from plan.planning import CELLS, SQUARES, one, plan


def _list_as(project: Path, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    path = project / "classifiers" / "classes.json"
    rows = json.loads(path.read_text("utf-8"))["pathClasses"]
    path.write_text(json.dumps({"pathClasses": change(rows)}), "utf-8")


def _respell(name: str) -> str:
    return f" {name} ".replace(": ", ":")


def test_the_spelling_of_the_class_list_changes_no_label(three: Path) -> None:
    before = plan(three)
    _list_as(three, lambda rows: [{**row, "name": _respell(row["name"])} for row in rows])
    after = plan(three)
    assert after.class_map == before.class_map
    assert [i.job and i.job.rules for i in after.images] == [
        i.job and i.job.rules for i in before.images
    ]


def test_unclassified_on_the_class_list_is_no_class(three: Path) -> None:
    before = plan(three)
    _list_as(three, lambda rows: [{"name": "Unclassified"}, *rows])
    assert plan(three).class_map == before.class_map
    legend = one(three, SQUARES, unclassified=9).legend
    assert [r.name for r in legend].count("Unclassified") == 1


def test_classes_that_become_one_are_said(three: Path) -> None:
    _list_as(three, lambda rows: [*rows, {"name": "Alpha:Positive"}, {"name": "Alpha :Positive"}])
    made = plan(three)
    assert [(e.label, e.name) for e in made.class_map.entries][-1] == (4, "Alpha: Positive")
    assert made.findings == (
        "'Alpha:Positive' and 'Alpha :Positive' of the project's class list are one class: "
        "'Alpha: Positive'.",
        *plan_findings_without(made.findings),
    )


def plan_findings_without(findings: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f for f in findings if "class list" not in f)


def test_a_map_in_another_spelling_draws_the_same(three: Path) -> None:
    ours = {"Alpha": 1, "Beta": 2, "Gamma": 3, "Alpha: Positive": 4}
    for name in (SQUARES, CELLS):
        plain = one(three, name, ours)
        odd = one(three, name, {_respell(k): v for k, v in ours.items()})
        assert plain.job is not None and odd.job is not None
        assert odd.job.rules == plain.job.rules
        assert odd.legend == plain.legend
