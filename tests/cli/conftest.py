"""The command line in a folder of its own, with an engine that draws one label."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import projects
import pytest
from cli.plain_engine import SQUARES, PlainEngine
from conftest import Cli

from qpmask.engines.choice import EngineChoice
from qpmask.export import run as export_run


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> PlainEngine:
    """The engine of all exports in this process."""
    made = PlainEngine()
    choice = EngineChoice("native", None, "a test")
    monkeypatch.setattr(export_run, "choose_engine", lambda *args: choice)
    monkeypatch.setattr(export_run, "make_engines", lambda *args, **kwargs: (made, None))
    return made


@pytest.fixture
def cli(
    qpmask_cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, engine: PlainEngine
) -> Cli:
    """Run ``qpmask export`` in an empty folder."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return partial(qpmask_cli, "export")


@pytest.fixture
def three(tiny: Path) -> Path:
    projects.keep(tiny, SQUARES, "stack.ome.tif", "cells.ome.tif")
    return tiny
