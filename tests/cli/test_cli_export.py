"""``qpmask export``: what comes out, and what goes to stdout and what to stderr."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import projects
import pytest
from cli.plain_engine import ALL, SQUARES, PlainEngine, names
from conftest import Cli, hash_tree
from engine_contract import square
from handmade_projects import with_objects

from qpmask import errors
from qpmask.ometiff import MaskFile

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
