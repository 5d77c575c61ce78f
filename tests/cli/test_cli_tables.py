"""Tables in terminals of any width: no word and no number is broken."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from conftest import Cli
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from qpmask.cli.tables import columns_of, print_table

WORDS = st.lists(st.text("abcxyz0123,.", min_size=1, max_size=14), max_size=6).map(" ".join)


def printed(width: int, names: list[str], rows: list[list[str]], heading: int = 1) -> str:
    text = io.StringIO()
    console = Console(file=text, width=width, force_terminal=True, color_system=None)
    print_table(console, columns_of(*names), rows, heading=heading)
    return text.getvalue()


@given(st.data(), st.integers(1, 7), st.integers(20, 130))
def test_every_word_is_there_and_whole(data: st.DataObject, n_columns: int, width: int) -> None:
    names = [f">n{i}" if i % 2 else f"name{i}" for i in range(n_columns)]
    rows = data.draw(st.lists(st.lists(WORDS, min_size=n_columns, max_size=n_columns), max_size=4))
    out = printed(width, names, rows)
    found = out.replace("│", " ").replace("┃", " ").split()
    for row in rows:
        for cell in row:
            for word in cell.split():
                assert word in found
                found.remove(word)


def test_numbers_stay_in_one_line_below_their_names() -> None:
    out = printed(40, ["class", ">Dice", ">pixels"], [["x" * 30, "0.5", "1,000,000"]])
    assert [line.rstrip() for line in out.splitlines()] == [
        "  Dice     pixels", "x" * 30, "   0.5  1,000,000",
    ]  # fmt: skip


def test_a_long_path_is_left_to_the_terminal() -> None:
    path = "/slides/" + "x" * 90
    assert path in printed(60, [">id", "image", "slide"], [["1", "A", path]], heading=2)


@pytest.mark.parametrize("columns", ["60", "120"])
def test_a_plan_names_every_class_and_file(
    qpmask_cli: Cli, demo: Path, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    _, out, _ = qpmask_cli("export", demo, "--dry-run")
    for word in ("intraepithelial", "3,000", "Prostate", "A.ome.tif"):
        assert word in out
