"""``qpmask classes``."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import projects
import pytest
from conftest import TINY, Cli, hash_tree

from qpmask.classes import load_class_map


@pytest.fixture
def cli(qpmask_cli: Cli) -> Cli:
    """Run ``qpmask classes``."""
    return partial(qpmask_cli, "classes")


def rows(out: str) -> dict[str | None, dict[str, Any]]:
    return {row["class"]: row for row in json.loads(out)["classes"]}


@pytest.fixture
def three(tiny: Path) -> Path:
    projects.keep(tiny, "squares.ome.tif", "stack.ome.tif", "cells.ome.tif")
    return tiny


def test_counts_and_labels(cli: Cli, three: Path) -> None:
    before = hash_tree(three)
    code, out, err = cli(three, "--json")
    assert (code, err) == (0, "")
    assert {n: (r["label"], r["objects"], r["images"]) for n, r in rows(out).items()} == {
        "Alpha": (1, 8, 2), "Beta": (2, 2, 1), "Gamma": (3, 1, 1), "Alpha: Positive": (4, 1, 1),
        "Region*": (None, 1, 1), None: (None, 1, 1),
    }  # fmt: skip
    assert rows(out)["Alpha: Positive"]["on_project_list"] is False
    assert rows(out)["Region*"]["on_project_list"] is True
    assert hash_tree(three) == before


def test_the_table_says_what_becomes_of_each(cli: Cli, three: Path) -> None:
    code, out, err = cli(three)
    assert (code, err) == (0, "")
    lines = {name: next(line for line in out.splitlines() if name in line)
             for name in ("Region*", "Alpha: Positive", "(unclassified)")}  # fmt: skip
    assert "ignored" in lines["Region*"]
    assert "not on the project's list" in lines["Alpha: Positive"]
    assert "--unclassified" in lines["(unclassified)"]


def test_detections_are_counted_when_asked_for(cli: Cli, three: Path) -> None:
    found = rows(cli(three, "--objects", "detections", "--json")[1])
    assert {n: r["objects"] for n, r in found.items()} == {
        "Alpha": 1, "Beta": 1, "Gamma": 1, None: 1
    }  # fmt: skip


def test_a_map_to_start_from(cli: Cli, three: Path, tmp_path: Path) -> None:
    path = tmp_path / "map.yaml"
    code, out, err = cli(three, "-o", path)
    assert code == 0 and "Alpha" in out and str(path) in err
    assert [(e.label, e.name) for e in load_class_map(path).entries] == [
        (1, "Alpha"), (2, "Beta"), (3, "Gamma"), (4, "Alpha: Positive"),
    ]  # fmt: skip
    assert sorted(p.name for p in tmp_path.iterdir()) == ["map.yaml", "tiny"]


def test_an_edited_map_is_not_overwritten(cli: Cli, three: Path, tmp_path: Path) -> None:
    path = tmp_path / "map.yaml"
    path.write_text("mine")
    code, _, err = cli(three, "-o", path)
    assert code == 2 and "--force" in err
    assert path.read_text() == "mine"
    assert cli(three, "-o", path, "--force")[0] == 0
    assert load_class_map(path).max_label == 4


def test_a_place_that_cannot_be_written_to(cli: Cli, three: Path, tmp_path: Path) -> None:
    code, _, err = cli(three, "-o", tmp_path / "gone" / "map.yaml")
    assert code == 2 and "cannot be written" in err


def test_the_map_is_what_its_name_says(cli: Cli, three: Path, tmp_path: Path) -> None:
    """Either refused, or written as what it is called."""
    path = tmp_path / "map.csv"
    if cli(three, "-o", path)[0] == 0:
        assert load_class_map(path).max_label == 4


def test_a_damaged_data_file_is_told_and_the_others_counted(cli: Cli, three: Path) -> None:
    path = projects.data_file(three, "squares.ome.tif")
    path.write_bytes(path.read_bytes()[:500])
    code, out, err = cli(three, "--json")
    assert code == 1
    assert rows(out)["Alpha"]["objects"] == 6
    (failed,) = json.loads(out)["failed"]
    assert (failed["entry_id"], failed["image"]) == ("1", "squares.ome.tif")
    assert str(path) in failed["error"]
    assert "error: squares.ome.tif" in err and str(path) in err


def test_two_damaged_images_of_one_name(cli: Cli, tiny: Path) -> None:
    projects.multiply(tiny, "squares.ome.tif", ["same", "same"])
    for path in tiny.glob("data/100?/data.qpdata"):
        path.write_bytes(b"")
    assert len(json.loads(cli(tiny, "--json")[1])["failed"]) == 2


@pytest.mark.parametrize("args", [["gone"], [TINY, "--objects", "cats"], []])
def test_mistakes(cli: Cli, args: list[object]) -> None:
    code, out, err = cli(*args)
    assert code == 2 and out == "" and err
