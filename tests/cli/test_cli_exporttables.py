"""The end of a run in a terminal: nothing that matters is cut, and what is many is counted."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from qpmask.cli import console, exporttables, progress
from qpmask.engines.base import EngineInfo
from qpmask.events import ImageFinished, ImageStarted, RunStarted
from qpmask.plan import Plan
from qpmask.report import ImageRecord, Report

DONE = ImageRecord(
    "1", "TCGA-HC-7075-01Z-00-DX1.svs", "done", mask="TCGA-HC-7075-01Z-00-DX1.ome.tif",
    width_px=98_304, height_px=124_416, planes=1, pixels={0: 61, 1: 39}, labelled=0.39,
    objects=12_345,
    seconds=3725.0, bytes=17_600_000,
)  # fmt: skip


def report(*records: ImageRecord, interrupted: bool = False) -> Report:
    return Report(
        project=Path("p.qpproj"), output=Path("masks"),
        engine=EngineInfo("native", "0.1", "qupath-0.6"), engine_reason="", started="",
        seconds=9.0, options={}, classes={}, records=records, interrupted=interrupted,
    )  # fmt: skip


def many(n: int, **fields: object) -> list[ImageRecord]:
    return [
        replace(DONE, entry_id=str(i), image=f"slide-{i:04}", **fields)  # type: ignore[arg-type]
        for i in range(n)
    ]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[Report, int], str]:
    """What a terminal of some columns shows of a report."""

    def shown(what: Report, columns: int) -> str:
        text = io.StringIO()
        console = Console(file=text, width=columns, force_terminal=True, color_system=None)
        monkeypatch.setattr(exporttables, "out_console", lambda: console)
        monkeypatch.setattr(exporttables, "error_console", lambda: console)
        exporttables.show_report(what)
        return text.getvalue()

    return shown


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_no_column_is_cut(terminal: Callable[[Report, int], str], columns: int) -> None:
    records = [DONE, replace(DONE, entry_id="2", image="B", status="failed", error="It broke.")]
    out = terminal(report(*records), columns)
    assert max(map(len, out.splitlines())) <= columns
    for whole in ("status", "failed", "objects", "12,345", "labelled", "39.00 %", "1 done"):
        assert whole in out
    assert "…" not in out
    assert ("98,304 x 124,416" in out) == (columns >= 90)
    assert ("1 h 02 min" in out) == (columns >= 120)
    assert DONE.image in out


def test_hundreds_of_images_are_counted(terminal: Callable[[Report, int], str]) -> None:
    warned = ("The pixels are not square.",)
    records = [*many(380, warnings=warned), *many(20, status="failed", error="The disk is full.")]
    records = [replace(r, entry_id=str(i)) for i, r in enumerate(records)]
    out = terminal(report(*records), 60)
    assert "380 done, 20 failed" in out and "report.csv" in out and "areas.csv" in out
    assert len(out.splitlines()) < 20
    said = " ".join(out.split())
    assert said.count("not square") == 1 and "377 more" in said
    assert said.count("The disk is full.") == 1


def test_all_images_are_listed_where_no_terminal_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    exporttables.show_report(report(*many(400)))
    out = capsys.readouterr().out
    assert "slide-0000" in out and "slide-0399" in out


def test_images_that_were_not_reached_are_counted(terminal: Callable[[Report, int], str]) -> None:
    rest = [replace(r, status="interrupted", error="Ended.") for r in many(398)]
    out = terminal(report(DONE, replace(DONE, entry_id="x"), *rest, interrupted=True), 60)
    assert "2 done, 398 interrupted" in out and "2 of 400 masks are done" in out
    assert "slide-0" not in out


def test_a_run_that_reached_no_image_shows_no_table(
    terminal: Callable[[Report, int], str],
) -> None:
    out = terminal(report(replace(DONE, status="interrupted"), interrupted=True), 60)
    assert "│" not in out and "1 interrupted" in out


def test_lines_break_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert console.error_console().soft_wrap, "no terminal: a line stays a line"
    monkeypatch.setattr(console, "Console", lambda **o: Console(**{**o, "force_terminal": True}))
    assert not console.error_console().soft_wrap


def test_of_many_images_a_terminal_shows_the_bar_and_failures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from conftest import TINY

    from qpmask import plan_export

    plan: Plan = plan_export(TINY)
    for n_images, is_said in ((5, True), (100, False)):
        text = io.StringIO()
        console = Console(file=text, width=60, force_terminal=True, color_system=None)
        with progress.Display(console=console) as display:
            display(RunStarted(replace(plan, images=plan.images[:1] * n_images)))
            display(ImageStarted("1", DONE.image, Path("m.ome.tif"), 10))
            display(ImageFinished(DONE))
            display(ImageFinished(replace(DONE, image="bad", status="failed", error="It broke.")))
        said = " ".join(text.getvalue().split())
        assert ("17.6 MB" in said) == is_said
        assert "It broke." in said
