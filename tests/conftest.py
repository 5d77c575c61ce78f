"""Fixtures for all tests, and the one closing line that says whether a QuPath was there."""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from qpmask.engines.jvm import QuPathInstall, find_qupath
from qpmask.errors import NoQuPathError

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
DEMO = ROOT / "examples" / "demo_project"
TINY = TESTS / "data" / "tiny"
LIVER = ROOT.parent / "shared" / "real" / "liver-0.7.0"
#: Runs a command: exit code, stdout, stderr.
Cli = Callable[..., tuple[int, str, str]]

# Machines differ in speed, and the first example may wait for a compiler. A test that shares its
# folder or its file between examples writes it anew in each.
settings.register_profile(
    "qpmask", deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("qpmask")


def _find() -> QuPathInstall | str:
    try:
        return find_qupath()
    except NoQuPathError as error:
        return str(error)


QUPATH = _find()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if isinstance(QUPATH, QuPathInstall):
        return
    skip = pytest.mark.skip(reason=f"needs a QuPath: {QUPATH}")
    for item in items:
        if "qupath" in item.keywords:
            item.add_marker(skip)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    ran = [
        report
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call" and "qupath" in getattr(report, "keywords", {})
    ]
    if isinstance(QUPATH, QuPathInstall):
        where = f"QuPath {QUPATH.version} in {QUPATH.folder}"
        terminalreporter.write_line(f"QuPath tests: {len(ran)} ran against {where}")
    else:
        terminalreporter.write_line(f"QuPath tests: did not run. {QUPATH}")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """The command line sets up logging for its process; here it must not last."""
    loggers = [logging.getLogger(name) for name in ("qpmask", "qpmask.qupath")]
    before = [(logger.level, logger.handlers[:]) for logger in loggers]
    yield
    for logger, (level, handlers) in zip(loggers, before, strict=True):
        logger.setLevel(level)
        logger.handlers[:] = handlers


@pytest.fixture(scope="session")
def qupath() -> object:
    """QuPath's JVM in this process, started once."""
    from qpmask.engines import jvm

    return jvm.start()


@pytest.fixture(scope="session")
def java_class(qupath: object) -> Any:
    """JClass of the running QuPath. Tests that ask for it are marked ``qupath``."""
    import jpype

    return jpype.JClass


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A copy of the small test project."""
    return Path(shutil.copytree(TINY, tmp_path / "tiny"))


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """A copy of the demo project."""
    return Path(shutil.copytree(DEMO, tmp_path / "demo"))


@pytest.fixture
def qpmask_cli(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Cli]:
    """Run ``qpmask`` in this process, in an empty folder and on a wide terminal."""
    from qpmask.cli import app
    from qpmask.cli.exits import run

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "1000")

    def call(*args: object) -> tuple[int, str, str]:
        code = run(app, [str(a) for a in args])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    yield call
    logging.getLogger("qpmask").handlers.clear()


def hash_tree(folder: Path) -> dict[str, str]:
    """SHA-256 and time of change of every file below a folder."""
    return {
        str(p.relative_to(folder)): f"{hashlib.sha256(p.read_bytes()).hexdigest()} "
        f"{p.stat().st_mtime_ns}"
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }
