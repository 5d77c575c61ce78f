"""``qpmask doctor``: what is found, what is wrong, and what to do about it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Cli

from qpmask.engines import jvm
from qpmask.errors import NoQuPathError
from qpmask.setup import doctor


@pytest.fixture
def cli(qpmask_cli: Cli) -> Cli:
    """Run ``qpmask doctor``."""
    return partial(qpmask_cli, "doctor")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> jvm.QuPathInstall:
    """A QuPath that looks complete."""
    app_dir = tmp_path / "QuPath" / "lib" / "app"
    app_dir.mkdir(parents=True)
    (app_dir / "qupath-extension-bioformats-0.6.0.jar").touch()
    install = jvm.QuPathInstall(app_dir, tmp_path / "rt", tmp_path / "rt" / "libjvm.so", "0.6.0")
    monkeypatch.setattr(jvm, "find_qupath", lambda: install)
    return install


def answer(
    monkeypatch: pytest.MonkeyPatch, stdout: str, stderr: str = "", code: int = 0
) -> list[Any]:
    """What the process says that tries to start the JVM; returns how it was called."""
    calls: list[Any] = []

    def fake(command: list[str], **kwargs: Any) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        return subprocess.CompletedProcess(command, code, stdout, stderr)

    monkeypatch.setattr(subprocess, "run", fake)
    return calls


READY = 'noise of Java\n{"version": "0.6.0", "java": "21.0.7", "heap": 4294967296}\n'


def test_all_is_well(
    cli: Cli, installed: jvm.QuPathInstall, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = answer(monkeypatch, READY)
    code, out, err = cli("--jvm-memory", "4g")
    assert (code, err) == (0, "")
    assert "Java 21.0.7 with QuPath 0.6.0 starts, heap up to 4.0 GB" in out
    assert str(installed.folder) in out and "QuPath is ready" in out
    assert calls[0][-1] == "4g"


def test_as_json(cli: Cli, installed: object, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, READY)
    data = json.loads(cli("--json")[1])
    assert data["ok"] is True
    parts = {p["part"]: p for p in data["parts"]}
    assert {"qpmask", "Python", "paquo", "jpype1", "numpy", "QuPath", "JVM"} <= set(parts)
    assert parts["paquo"]["text"] == metadata.version("paquo")


def test_no_qupath(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing() -> None:
        raise NoQuPathError("No QuPath was found on this machine.", hint="Install it.")

    monkeypatch.setattr(jvm, "find_qupath", nothing)
    monkeypatch.setattr(jvm, "is_named", lambda: False)
    calls = answer(monkeypatch, READY)
    code, out, _ = cli()
    assert code == 0 and calls == [], "the native engine makes masks"
    assert "-     QuPath: No QuPath was found on this machine; looked for folders" in out
    assert "Install it." in out
    assert str(Path("~").expanduser()) in out and "/opt" in out, "the places it looked in"
    assert out.endswith("The native engine is ready; it makes the masks that QuPath would make.\n")
    data = json.loads(cli("--json")[1])
    assert data["ok"] is True


def test_a_qupath_that_is_named_must_be_there(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing() -> None:
        raise NoQuPathError("There is no usable QuPath in /x.", hint="Name another.")

    monkeypatch.setattr(jvm, "find_qupath", nothing)
    monkeypatch.setattr(jvm, "is_named", lambda: True)
    code, out, _ = cli()
    assert code == 3
    assert "WRONG QuPath: There is no usable QuPath in /x." in out
    assert "QuPath cannot be used. '--engine native' makes masks without it." in out


@pytest.mark.parametrize(
    ("stdout", "stderr", "code", "words"),
    [
        ('{"error": "Java does not accept its options.", "hint": "Look."}', "", 0, "Look."),
        ("", "# A fatal error has been detected\nmore", 134, "exit code 134): # A fatal error"),
        ("", "", -11, "exit code -11): no message"),
        ("Killed", "", 137, "exit code 137"),
    ],
)
def test_a_jvm_that_does_not_start(
    cli: Cli, installed: object, monkeypatch: pytest.MonkeyPatch, stdout: str, stderr: str,
    code: int, words: str,
) -> None:  # fmt: skip
    answer(monkeypatch, stdout, stderr, code)
    result, out, _ = cli()
    assert result == 3
    assert words in out and "WRONG JVM" in out


@pytest.mark.parametrize("stdout", ["5\n", "[]\n", '"x"\n'])
def test_a_jvm_that_says_something_else(
    cli: Cli, installed: object, monkeypatch: pytest.MonkeyPatch, stdout: str
) -> None:
    answer(monkeypatch, stdout, "", 1)
    assert cli()[0] == 3


def test_a_jvm_that_never_answers(
    cli: Cli, installed: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(*args: Any, **kwargs: Any) -> None:
        raise subprocess.TimeoutExpired("java", 1)

    monkeypatch.setattr(subprocess, "run", hang)
    code, out, _ = cli()
    assert code == 3 and "did not start within" in out


def test_a_qupath_without_its_writer(
    cli: Cli, installed: jvm.QuPathInstall, monkeypatch: pytest.MonkeyPatch
) -> None:
    for jar in installed.app_dir.iterdir():
        jar.unlink()
    calls = answer(monkeypatch, READY)
    code, out, _ = cli()
    assert code == 3 and "Bio-Formats" in out and calls == []


def test_a_package_that_is_missing(
    cli: Cli, installed: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(name: str) -> str:
        if name == "paquo":
            raise metadata.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(doctor.metadata, "version", version)
    code, out, _ = cli()
    assert code == 3
    assert "paquo: not installed" in out and "pip install paquo" in out


def test_memory_that_is_none(cli: Cli) -> None:
    code, out, err = cli("--jvm-memory", "lots")
    assert (code, out) == (2, "") and "4g" in err


def test_a_qupath_in_the_wrong_place(tmp_path: Path) -> None:
    """In a process of its own: paquo reads its settings once."""
    done = subprocess.run(
        [sys.executable, "-m", "qpmask", "doctor"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "PAQUO_QUPATH_DIR": str(tmp_path / "no qupath"),
             "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 3
    assert "There is no usable QuPath in" in done.stdout and "no qupath" in done.stdout
    assert "PAQUO_QUPATH_DIR" in done.stdout, "it does not say what to do"
    assert "Traceback" not in done.stderr


@pytest.mark.qupath
def test_the_qupath_of_this_machine(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "qpmask", "doctor", "--json", "--jvm-memory", "500m"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["ok"]


@pytest.mark.parametrize(
    ("engine", "code", "words"),
    [
        ("native", 0, "QuPath: not looked for: QPMASK_ENGINE is native"),
        ("qupath", 3, "QPMASK_ENGINE: qupath"),
        ("quapth", 3, "'quapth' is no engine"),
    ],
)
def test_the_engine_that_the_environment_names(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, engine: str, code: int, words: str
) -> None:
    monkeypatch.setenv("QPMASK_ENGINE", engine)
    monkeypatch.setattr(jvm, "find_qupath", lambda: (_ for _ in ()).throw(NoQuPathError("None.")))
    found, out, _ = cli()
    assert found == code and words in out
