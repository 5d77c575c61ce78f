"""``qpmask export``: exit codes, what goes to stdout and what to stderr, qpmask.toml.

The masks are drawn by an engine that fills every tile with one label; what QuPath draws is the
business of ``tests/qupath``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import projects
import pytest
from conftest import ROOT, TINY, Cli, hash_tree
from engine_contract import square
from handmade_projects import with_objects

from qpmask import errors
from qpmask.cli import app
from qpmask.cli.exits import code_for, run
from qpmask.engines.base import Engine, EngineInfo, Rendering, RenderJob, Watch
from qpmask.engines.choice import EngineChoice
from qpmask.export import run as export_run
from qpmask.geometry import TileGrid
from qpmask.ometiff import MaskFile

SQUARES = "squares.ome.tif"
ALL = "classes:\n  Alpha: 1\n  Beta: 2\n  Gamma: 3\n  'Alpha: Positive': 4\n"


class _Plain(Rendering):
    lazy = True

    def __init__(self, job: RenderJob) -> None:
        self._job = job

    def tiles(self) -> Iterator[Any]:
        job = self._job
        grid = TileGrid(job.size, job.render.tile_px)
        label = 255 if job.render.multichannel else job.rules[0].label if job.rules else 0
        for _ in range(job.n_planes):
            for row, col in grid:
                yield np.full(grid.shape(row, col), label, job.dtype)


class PlainEngine(Engine):
    """Draws one label; ``trouble`` is raised at the image of that name."""

    def __init__(self) -> None:
        self.trouble: dict[str, BaseException] = {}
        self.probing: BaseException | None = None
        self.starting: BaseException | None = None
        self.drawn: list[str] = []

    def probe(self) -> EngineInfo:
        if self.probing is not None:
            raise self.probing
        return EngineInfo("plain", "1", "plain-1")

    def start(self) -> EngineInfo:
        if self.starting is not None:
            raise self.starting
        return self.probe()

    def render(self, job: RenderJob, scratch: Path, watch: Watch) -> Rendering:
        if job.entry.name in self.trouble:
            raise self.trouble[job.entry.name]
        self.drawn.append(job.entry.name)
        return _Plain(job)


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


def names(folder: Path) -> set[str]:
    return {p.name for p in folder.rglob("*")}


# -- what comes out -----------------------------------------------------------------------------


def test_an_export(cli: Cli, three: Path) -> None:
    before = hash_tree(three)
    code, out, err = cli(three, "-o", "masks")
    assert code == 0
    assert names(Path("masks")) == {
        *(f"{n}.ome.tif{tail}" for n in ("squares", "stack", "cells") for tail in ("", ".json")),
        "areas.csv", "classes.yaml", "report.json", "report.csv",
    }  # fmt: skip
    assert "Masks in" in out and "3 done" in out
    assert "Starting" in err and "warning: 3 slides not found" in err
    assert err.count("Region*") == 1, "what was left out is said, and once"
    assert hash_tree(three) == before


def test_json_is_alone_on_stdout(cli: Cli, three: Path) -> None:
    code, out, err = cli(three, "-o", "masks", "--json")
    assert (code, err) == (0, "")
    data = json.loads(out)
    assert data == json.loads(Path("masks/report.json").read_text("utf-8"))
    assert [i["status"] for i in data["images"]] == ["done"] * 3
    assert data["images"][0]["pixels"] == {"1": 64 * 48}


def test_quiet_says_errors_only(cli: Cli, three: Path) -> None:
    assert cli(three, "-o", "masks", "-q") == (0, "", "")
    projects.data_file(three, SQUARES).write_bytes(b"")
    code, out, err = cli(three, "-o", "masks", "-q")
    assert (code, out) == (1, "")
    assert err.count("\n") <= 2 and err.startswith("error: squares.ome.tif")


def test_a_second_run_skips(cli: Cli, three: Path, engine: PlainEngine) -> None:
    cli(three, "-o", "masks")
    assert len(engine.drawn) == 3
    code, out, _ = cli(three, "-o", "masks")
    assert code == 0 and "3 skipped" in out and len(engine.drawn) == 3
    assert "by plain" not in out, "who made them is not known from this run"
    report = json.loads(Path("masks/report.json").read_text("utf-8"))
    assert {r["engine"] for r in report["images"]} == {"plain 1"}
    cli(three, "-o", "masks", "--downsample", 2)
    assert len(engine.drawn) == 6
    cli(three, "-o", "masks", "--downsample", 2, "--force")
    assert len(engine.drawn) == 9


def test_a_mask_without_its_report_is_still_skipped(
    cli: Cli, three: Path, engine: PlainEngine
) -> None:
    cli(three, "-o", "masks")
    Path("masks/report.json").unlink()
    assert cli(three, "-o", "masks")[0] == 0
    assert len(engine.drawn) == 3


def test_all_options_reach_the_plan(cli: Cli, three: Path) -> None:
    Path("map.yaml").write_text(ALL)
    code, out, err = cli(
        three, "-o", "masks", "--classes", "map.yaml", "--images", SQUARES, "--images", "3",
        "--unclassified", 9, "--boundary", 300, "--line-thickness", 2, "--mpp", 1,
        "--tile-size", 32, "--compression", "zlib", "--no-pyramid", "--for", "simpleitk",
        "--slides", ".", "--json",
        "--order", "area", "--hidden", "warn",
    )  # fmt: skip
    assert (code, err) == (0, "")
    data = json.loads(out)
    assert [i["entry_id"] for i in data["images"]] == ["1", "3"]
    first = data["images"][0]
    assert (first["width_px"], first["dtype"], first["objects"]) == (32, "uint16", 6)
    assert data["options"]["render"] | {"x": 0} == {
        "objects": "annotations", "downsample": None, "mpp": 1.0, "tile_px": 32,
        "line_thickness": 2.0, "boundary_label": 300, "instances": False, "multichannel": False,
        "order": "area", "x": 0,
    }  # fmt: skip
    assert data["options"]["file"] == {
        "compression": "zlib", "pyramid": False, "made_for": "simpleitk", "format": "ome-tiff",
    }  # fmt: skip
    assert data["classes"]["origin"] == "map.yaml"


# -- masks for programs -------------------------------------------------------------------------


def test_masks_for_simpleitk(cli: Cli, three: Path, engine: PlainEngine) -> None:
    cli(three, "-o", "masks")
    with MaskFile("masks/stack.ome.tif") as mask:
        tiles = [mask.read(0, plane) for plane in range(mask.n_planes)]
    code, out, err = cli(three, "-o", "masks", "--for", "simpleitk")
    assert code == 0 and "3 done" in out and len(engine.drawn) == 6
    assert err.count("In strips (--for simpleitk): such masks cannot be read by") == 1
    with MaskFile("masks/stack.ome.tif") as mask:
        assert not mask.structure.images[0][0].is_tiled and len(mask.levels) == 1
        assert np.array_equal([mask.read(0, plane) for plane in range(mask.n_planes)], tiles)
    sidecar = json.loads(Path("masks/stack.ome.tif.json").read_text("utf-8"))
    assert sidecar["mask"]["levels"] == 1
    assert "3 skipped" in cli(three, "-o", "masks", "--for", "simpleitk")[1]
    assert "3 done" in cli(three, "-o", "masks")[1], "masks for all programs are another kind"
    assert not [name for name in names(Path("masks")) if "scratch" in name or "part" in name]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--compression", "zstd"), "Compressed by zstd: such masks give wrong labels, without"),
        (("--boundary", "300"), "uint16 (labels above 255): such masks give wrong labels, without"),
        (("--boundary", "70000"), "uint32 (labels above 65,535): such masks cannot be read by"),
    ],
)
def test_programs_that_are_shut_out_are_named_once(
    cli: Cli, three: Path, args: tuple[str, ...], words: str
) -> None:
    assert "such masks" not in cli(three, "-o", "masks")[2]
    code, _, err = cli(three, "-o", "masks", *args)
    assert code == 0 and err.count(words) == 1
    assert any(
        w.startswith(words)
        for w in json.loads(Path("masks/report.json").read_text("utf-8"))["warnings"]
    )
    assert words in cli(three, "--dry-run", *args)[1]


# -- the plan alone -----------------------------------------------------------------------------


@pytest.mark.parametrize("args", [(), ("-o", "masks")])
def test_a_dry_run_writes_nothing(
    cli: Cli, three: Path, engine: PlainEngine, args: tuple[str, ...]
) -> None:
    engine.probing = errors.NoQuPathError("not needed for a plan")
    code, out, err = cli(three, "--dry-run", *args)
    assert (code, err) == (0, "")
    assert "Plan for" in out and "3 of 3 images can be drawn." in out
    line = next(row for row in out.splitlines() if "stack.ome.tif" in row)
    assert "20 x 16 x 6" in line and "uint8" in line and "Alpha (6)" in line
    assert names(Path()) == set()


def test_a_dry_run_as_json(cli: Cli, three: Path) -> None:
    projects.data_file(three, "stack.ome.tif").write_bytes(b"")
    code, out, err = cli(three, "--dry-run", "--json", "--downsample", 4)
    assert (code, err) == (1, ""), "one image cannot be drawn"
    squares, stack, _ = json.loads(out)["images"]
    assert (squares["mask"], squares["width_px"], squares["downsample"]) == (SQUARES, 16, 4.0)
    assert squares["classes"] == {"Alpha": 2, "Beta": 2, "Gamma": 1, "Alpha: Positive": 0}
    assert stack["width_px"] is None and "data.qpdata" in stack["error"]


def test_the_plan_counts_the_images_of_an_alias(cli: Cli, three: Path) -> None:
    """Gamma is in one image, its alias in another."""
    Path("map.yaml").write_text(
        "classes:\n- {label: 1, name: Gamma, aliases: ['Alpha: Positive']}\n"
        "- {label: 2, name: Alpha}\n- {label: 3, name: Beta}\n"
    )
    _, out, _ = cli(three, "--dry-run", "--classes", "map.yaml")
    line = next(row for row in out.split("Labels")[1].splitlines() if "Gamma" in row)
    assert [part.strip() for part in line.split("│")[3:5]] == ["2", "2"]


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


# -- qpmask.toml --------------------------------------------------------------------------------


def planned(cli: Cli, project: Path, *args: object) -> dict[str, Any]:
    """The first image of a plan."""
    code, out, err = cli(project, "--dry-run", "--json", *args)
    assert code == 0, err
    first = json.loads(out)["images"][0]
    assert isinstance(first, dict)
    return first


@pytest.mark.parametrize(
    "text",
    ["downsample = 4", "[export]\ndownsample = 4", "downsample = 2\n[export]\ndownsample = 4"],
)
def test_options_from_a_file(cli: Cli, three: Path, text: str) -> None:
    Path("qpmask.toml").write_text(text)
    assert planned(cli, three)["downsample"] == 4.0


def test_the_command_line_goes_before_the_file(cli: Cli, three: Path) -> None:
    Path("qpmask.toml").write_text("downsample = 4\nboundary = 300\nimages = ['3']\n")
    first = planned(cli, three, "--downsample", 8)
    assert (first["downsample"], first["dtype"], first["entry_id"]) == (8.0, "uint16", "3")
    assert planned(cli, three, "--images", "1")["entry_id"] == "1"


def test_a_file_that_is_in_use_is_named(cli: Cli, three: Path) -> None:
    file = Path("qpmask.toml").absolute()
    file.write_text("downsample = 4\ntile_size = 64\n")
    run = (three, "--dry-run")
    assert cli(*run)[2] == f"Options from {file}: downsample, tile-size\n"
    assert cli(*run, "--mpp", 1)[2] == f"Options from {file}: tile-size\n"
    assert cli(*run, "--downsample", 2, "--tile-size", 32)[2] == ""
    assert cli(*run, "--quiet")[2] == ""
    file.unlink()
    assert cli(*run)[2] == ""


def test_all_kinds_of_options_in_a_file(cli: Cli, three: Path) -> None:
    Path("map.yaml").write_text(ALL)
    Path("qpmask.toml").write_text(
        'out = "masks"\nclasses = "map.yaml"\ntile-size = 32\nimages = ["sq*", "2"]\n'
        'pyramid = false\nunclassified = 9\njvm_memory = "1g"\njson = true\n'
    )
    code, out, _ = cli(three)
    assert code == 0
    data = json.loads(out)
    assert [i["entry_id"] for i in data["images"]] == ["1", "2"]
    assert data["options"]["render"]["tile_px"] == 32
    assert data["options"]["file"]["pyramid"] is False
    assert data["options"]["unclassified"] == 9
    assert Path("masks", SQUARES).is_file()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("downsampel = 4", "Did you mean 'downsample'?"),
        ("[export]\nworker = 4", "Did you mean 'workers'?"),
        ("no-pyramid = true", "Did you mean 'pyramid'?"),
        ("[check]\nquiet = true", "there is no option 'check'"),
        ("export = 3", "[export]"),
        ("downsample =", "is not valid TOML"),
        ("downsample = 'x'", "downsample is 'x'; it must be a number"),
        ("unknown = 'maybe'", "unknown is 'maybe'; it is one of error, ignore"),
        ("engine = 'java'", "engine is 'java'; it is one of auto"),
        ("images = [1]", "images is 1; it must be text"),
        ("tile_size = 100", "multiple of 16"),
    ],
)
def test_mistakes_in_the_file(cli: Cli, three: Path, text: str, words: str) -> None:
    Path("qpmask.toml").write_text(text)
    code, out, err = cli(three, "-o", "m")
    assert (code, out) == (2, "")
    assert words in err
    assert not Path("m").exists()


def test_a_file_that_is_no_text(cli: Cli, three: Path) -> None:
    Path("qpmask.toml").write_bytes(b"\xff\xfe\x00")
    code, _, err = cli(three, "-o", "m")
    assert code == 2 and "qpmask.toml cannot be read" in err


def test_a_file_with_a_byte_order_mark(cli: Cli, three: Path) -> None:
    Path("qpmask.toml").write_bytes(b"\xef\xbb\xbfdownsample = 4")
    assert planned(cli, three)["downsample"] == 4.0


@pytest.mark.parametrize(
    ("text", "args"),
    [("downsample = 4", ("--mpp", 1)), ("mpp = 4", ("--downsample", 2)),
     ("classes = 'gone.yaml'", ("--preset", "prostate", "--unknown", "ignore")),
     ("instances = true", ("--multichannel",))],
)  # fmt: skip
def test_an_option_overrules_its_opposite_in_the_file(
    cli: Cli, three: Path, text: str, args: tuple[object, ...]
) -> None:
    Path("qpmask.toml").write_text(text)
    planned(cli, three, *args)


@pytest.mark.parametrize(
    "text", ["unclassified = true", "unclassified = 8.5", "boundary = true", "downsample = true",
             "workers = 2.5"],
)  # fmt: skip
def test_values_of_another_type_in_the_file(cli: Cli, three: Path, text: str) -> None:
    Path("qpmask.toml").write_text(text)
    Path("map.yaml").write_text(ALL.replace(" 1", " 51"))
    code, _, err = cli(three, "--dry-run", "--classes", "map.yaml")
    assert code == 2, err


def test_help_in_spite_of_a_mistake_in_the_file(cli: Cli) -> None:
    Path("qpmask.toml").write_text("bogus = 1")
    code, out, _ = cli("--help")
    assert code == 0 and "--downsample" in out


# -- objects that leave no pixel ----------------------------------------------------------------


def test_what_is_hidden_is_said_once_with_a_way_out(qpmask_cli: Cli, tmp_path: Path) -> None:
    project = with_objects(
        tmp_path / "p", [square("Tumor", 4, 4, 4), square("Muscle", 2, 2, 10)], (32, 24)
    )
    Path("map.yaml").write_text("classes: {Tumor: 1, Muscle: 2}")
    args = ("export", project, "-o", "masks", "--classes", "map.yaml", "--engine", "native")
    code, _, err = qpmask_cli(*args)
    assert code == 0
    assert err.count("A: Tumor: 1 object, no pixel left: covered by Muscle, drawn later.") == 1
    assert err.count("--order area") == 1
    code, _, err = qpmask_cli(*args, "--hidden", "error")
    assert code == 1 and "covered by Muscle" in err and "--hidden warn" in err
    Path("qpmask.toml").write_text('hidden = "error"\norder = "area"\n')
    code, _, err = qpmask_cli(*args)
    assert code == 0 and "no pixel" not in err
    assert "order: area" in Path("masks/classes.yaml").read_text("utf-8")


def test_a_run_that_draws_nothing_fails(qpmask_cli: Cli, tmp_path: Path) -> None:
    project = with_objects(tmp_path / "p", [square(None, 4, 4, 4)] * 3, (32, 24))
    code, _, err = qpmask_cli("export", project, "-o", "masks", "--engine", "native")
    assert code == 1
    assert err.count("without a class") == 1 and "--unclassified 1" in err
    code, _, err = qpmask_cli(
        "export", project, "-o", "masks", "--engine", "native", "--unclassified", 1
    )
    assert code == 0
