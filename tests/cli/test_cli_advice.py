"""The line about a faster engine: said of long runs by QuPath, and only where it is true."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from qpmask import export_options
from qpmask.cli import advice
from qpmask.engines.base import EngineInfo
from qpmask.report import ImageRecord, Report

SLOW = ImageRecord("1", "a", "done", mask="a.ome.tif", seconds=45.0)
LONG = Report(
    project=Path("p.qpproj"), output=Path("m"), engine=EngineInfo("qupath", "0.6.0", "qupath-0.6"),
    engine_reason="", started="", seconds=95.0, options={"render": {"line_thickness": 1.0}},
    classes={}, records=(SLOW, replace(SLOW, entry_id="2")),
)  # fmt: skip


def test_a_long_run_by_qupath() -> None:
    words = advice.faster_way(LONG)
    assert words is not None and "--engine native draws the same pixels" in words
    assert "--engine both" in words


@pytest.mark.parametrize(
    "report",
    [
        replace(LONG, records=(SLOW,)),
        replace(LONG, records=(replace(SLOW, status="skipped"),) * 3),
        replace(LONG, records=(replace(SLOW, verified_by="native"),) * 3),
        replace(LONG, engine=EngineInfo("native", "0.1", "qupath-0.6")),
        replace(LONG, engine=EngineInfo("qupath", "0.5.1", "qupath-0.4")),
        replace(LONG, engine=None),
        replace(LONG, options={"render": {"line_thickness": 3.0}}),
    ],
)
def test_nothing_is_said_where_it_is_not_so(report: Report) -> None:
    assert advice.faster_way(report) is None


def test_after_the_first_long_image() -> None:
    options = export_options()
    long = replace(SLOW, seconds=61.0, engine="qupath 0.7.0")
    assert advice.faster_next(long, options) == advice.FASTER
    for other in (
        replace(long, seconds=59.0), replace(long, engine="qupath 0.5.1"),
        replace(long, engine="native 0.1"), replace(long, verified_by="native"),
    ):  # fmt: skip
        assert advice.faster_next(other, options) is None
    assert advice.faster_next(long, export_options(line_thickness=2)) is None
