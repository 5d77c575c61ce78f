"""The line about a faster engine: said of long runs by QuPath, and only where it is true."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

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
