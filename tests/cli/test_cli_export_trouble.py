"""``qpmask export`` where something is wrong: messages, exit codes, what is kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cli.plain_engine import SQUARES, PlainEngine, names
from conftest import ROOT, TINY, Cli, hash_tree

from qpmask import errors
from qpmask.cli import app
from qpmask.cli.exits import code_for, run

# -- mistakes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "PROJECT"),
        ([TINY], "Name the output folder"),
        (["gone", "-o", "m"], "There is no file gone"),
        ([TINY, "-o", "m", "--preset", "nope"], "There are: prostate"),
        ([TINY, "-o", "m", "--preset", "prostate"], "lacks 304 classes in use:\n"),
        ([TINY, "-o", "m", "--classes", "gone.yaml"], "gone.yaml cannot be read"),
        ([TINY, "-o", "m", "--classes", "a.yaml", "--preset", "prostate"], "exclude each other"),
        ([TINY, "-o", "m", "--images", "nothing"], "matches 'nothing'"),
        ([TINY, "-o", "m", "--unclassified", "maybe"], "neither 'ignore' nor 'error'"),
        ([TINY, "-o", "m", "--unclassified", "error"], "1 object in 1 image"),
        ([TINY, "-o", "m", "--unclassified", "1"], "belongs to 'Alpha' already"),
        ([TINY, "-o", "m", "--objects", "cats"], "'cats' is not one of"),
        ([TINY, "-o", "m", "--downsample", "0.5"], "finer than its image"),
        ([TINY, "-o", "m", "--downsample", "x"], "'x' is not a valid float"),
        ([TINY, "-o", "m", "--downsample", "2", "--mpp", "1"], "not both"),
        ([TINY, "-o", "m", "--tile-size", "100"], "multiple of 16"),
        ([TINY, "-o", "m", "--instances", "--multichannel"], "exclude each other"),
        ([TINY, "-o", "m", "--workers", "0"], "1 to 256"),
        ([TINY, "-o", "m", "--jvm-memory", "lots"], "4g or 800m"),
        ([TINY, "-o", "m", "--slides", "gone"], "gone"),
        ([TINY, "-o", "m", "--no-such-option"], "--no-such-option"),
        ([TINY, TINY, "-o", "m"], "unexpected extra argument"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(
    cli: Cli, engine: PlainEngine, args: list[object], words: str
) -> None:
    code, out, err = cli(*args)
    assert (code, out) == (2, "")
    assert words in err
    assert names(Path()) == set() and engine.drawn == []


def test_an_output_folder_that_is_a_file(cli: Cli, three: Path) -> None:
    Path("m").touch()
    code, _, err = cli(three, "-o", "m")
    assert code == 2 and "cannot be written" in err


def test_a_message_is_not_broken_in_a_pipe(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its reader is a log file or a program that looks for the path."""
    monkeypatch.delenv("COLUMNS")
    path = tmp_path / ("long name " * 12) / "gone.qpproj"
    assert str(path) in cli(path, "-o", "m")[2]


def test_mistakes_in_a_class_map_name_the_file_and_the_class(cli: Cli) -> None:
    Path("map.yaml").write_text("classes: [{label: 1, name: No}]")
    code, _, err = cli(TINY, "-o", "m", "--classes", "map.yaml")
    assert code == 2 and "map.yaml, class 1" in err and "quotes" in err


# -- failures -----------------------------------------------------------------------------------


def test_one_image_that_fails_costs_the_others_nothing(
    cli: Cli, three: Path, engine: PlainEngine
) -> None:
    engine.trouble["stack.ome.tif"] = errors.LostTilesError("QuPath lost 1 tile.", hint="Again.")
    code, out, err = cli(three, "-o", "masks")
    assert code == 1
    assert "2 done, 1 failed" in out
    assert "error: stack.ome.tif: QuPath lost 1 tile. Again." in err
    data = json.loads(Path("masks/report.json").read_text())
    assert [i["status"] for i in data["images"]] == ["done", "failed", "done"]
    assert data["images"][1]["error_type"] == "LostTilesError" and not data["ok"]
    assert "stack.ome.tif" not in names(Path("masks"))


def test_a_failure_that_nobody_thought_of_costs_the_others_nothing(
    cli: Cli, three: Path, engine: PlainEngine
) -> None:
    engine.trouble["stack.ome.tif"] = ValueError("a bug, or odd data")
    assert cli(three, "-o", "masks")[0] == 1
    assert len(engine.drawn) == 2


def test_a_failed_run_keeps_the_mask_that_was_there(
    cli: Cli, three: Path, engine: PlainEngine
) -> None:
    cli(three, "-o", "masks")
    before = hash_tree(Path("masks"))
    engine.trouble[SQUARES] = errors.EngineError("It broke.")
    assert cli(three, "-o", "masks", "--force")[0] == 1
    after = hash_tree(Path("masks"))
    for name in (SQUARES, f"{SQUARES}.json"):
        assert after[name] == before[name]


@pytest.mark.parametrize("when", ["probing", "starting"])
def test_without_qupath(cli: Cli, three: Path, engine: PlainEngine, when: str) -> None:
    setattr(engine, when, errors.NoQuPathError("No QuPath was found.", hint="Get one."))
    code, out, err = cli(three, "-o", "masks")
    assert (code, out) == (3, "")
    assert "error: No QuPath was found.\n       Get one." in err
    assert names(Path()) <= {"masks"}, "nothing but the empty folder may be left"


def test_ctrl_c(cli: Cli, three: Path, engine: PlainEngine) -> None:
    engine.trouble["stack.ome.tif"] = KeyboardInterrupt()
    code, _, err = cli(three, "-o", "masks")
    assert code == 130 and "Interrupted" in err
    data = json.loads(Path("masks/report.json").read_text())
    assert data["interrupted"] and not data["ok"]
    assert [i["status"] for i in data["images"]] == ["done", "interrupted", "interrupted"]
    assert not (Path("masks") / ".qpmask").exists()
    engine.trouble.clear()
    code, out, _ = cli(three, "-o", "masks")
    assert code == 0 and "2 done, 1 skipped" in out


@pytest.mark.skipif(sys.platform == "win32", reason="no signals to oneself on Windows")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_while_data_files_are_read(
    cli: Cli, three: Path, engine: PlainEngine, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """It is not the trouble of one image."""
    read = []

    def interrupted(entry: Any) -> Any:
        read.append(entry.id)
        os.kill(os.getpid(), number)
        raise AssertionError("the signal was not taken")

    monkeypatch.setattr("qpmask.plan.runplan.read_inventory", interrupted)
    code, _, err = cli(three, "-o", "masks")
    assert code == 130 and "before anything was written" in err
    assert len(read) == 1 and not Path("masks").exists() and not engine.drawn


def test_the_project_s_own_folders_are_no_output_folders(cli: Cli, three: Path) -> None:
    before = hash_tree(three)
    for out in (three, three / "data", three / "data" / "1"):
        code, _, err = cli(three, "-o", out)
        assert code == 2 and "belongs to the project" in err
    assert hash_tree(three) == before
    assert cli(three, "-o", three / "masks")[0] == 0


def test_a_wrong_engine_in_the_environment_is_found(
    cli: Cli, three: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QPMASK_ENGINE", "natve")
    code, _, err = cli(three, "-o", "masks")
    assert code == 2 and "QPMASK_ENGINE" in err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.OptionsError("x"), 2), (errors.UnmappedClassError("x"), 2),
        (errors.ClassMapError("x"), 2), (errors.ProjectNotFoundError("x"), 2),
        (errors.NoSuchImageError("x"), 2), (errors.OutputError("x"), 2),
        (errors.NoQuPathError("x"), 3), (errors.EngineError("x"), 1),
        (errors.EngineOutOfMemoryError("x"), 1), (errors.TruncatedDataError("x"), 1),
        (errors.MaskCheckError("x"), 1), (errors.Interrupted("x"), 130),
        (KeyboardInterrupt(), 130),
    ],
)  # fmt: skip
def test_exit_codes(error: BaseException, code: int) -> None:
    assert code_for(error) == code


def test_the_stack_trace_is_there_for_those_who_ask(cli: Cli, capsys: Any) -> None:
    assert "ProjectNotFoundError" not in cli("gone", "-o", "m")[2]
    assert run(app, ["export", "gone", "-o", "m", "-v"]) == 2
    assert "ProjectNotFoundError" in capsys.readouterr().err


@pytest.mark.parametrize("engine_name", ["qupath", "both", "auto"])
def test_a_qupath_in_the_wrong_place(tmp_path: Path, engine_name: str) -> None:
    """In a process of its own: paquo reads its settings once."""
    done = subprocess.run(
        [sys.executable, "-m", "qpmask", "export", str(TINY), "-o", "masks", "--images", "1",
         "--engine", engine_name],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "PAQUO_QUPATH_DIR": str(tmp_path / "no qupath"),
             "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default"},
    )  # fmt: skip
    assert done.returncode == 3
    assert "no qupath" in done.stderr and "PAQUO_QUPATH_DIR" in done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""
    assert list(tmp_path.iterdir()) == []
