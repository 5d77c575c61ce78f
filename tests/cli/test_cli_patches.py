"""``qpmask patches``: exit codes, JSON, what people read."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from conftest import Cli, hash_tree
from patches.patch_slides import slide_file, tissue_picture

PIXELS, _ = tissue_picture(600, 800)


@pytest.fixture
def cli(qpmask_cli: Cli) -> Cli:
    """Run ``qpmask patches``."""
    return partial(qpmask_cli, "patches")


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    return slide_file(tmp_path / "a.tif", PIXELS, um=2.0)


def test_a_slide(cli: Cli, slide: Path) -> None:
    code, out, err = cli(slide, "-o", "out", "--mpp", 2, "--patch-size", 64)
    assert code == 0
    assert "a" in out and "1 done" in out
    assert "[1/1] a: patches/a.h5" in err
    assert Path("out/patches/a.h5").is_file()
    code, out, err = cli(slide, "-o", "out", "--mpp", 2, "--patch-size", 64)
    assert (code, "1 skipped" in out, "holds already" in err) == (0, True, True)


def test_json_alone_on_stdout(cli: Cli, slide: Path) -> None:
    code, out, err = cli(slide, "-o", "out", "--target-mag", 5, "--patch-size", 64, "--json")
    said = json.loads(out)
    assert (code, err, said["ok"]) == (0, "", True)
    assert said["slides"][0]["patches"] > 5


def test_the_plan(cli: Cli, slide: Path, tmp_path: Path) -> None:
    before = hash_tree(tmp_path)
    code, out, _ = cli(slide, "--mpp", 4, "--dry-run")
    assert code == 0 and "1 of 1 slide can be cut" in out
    code, out, _ = cli(slide, "--mpp", 1, "--dry-run", "--json")
    assert code == 1
    assert "finer than a.tif" in json.loads(out)["slides"][0]["error"]
    assert hash_tree(tmp_path) == before


def test_what_is_made_again_is_planned_and_said(cli: Cli, slide: Path) -> None:
    command = (slide, "-o", "out", "--mpp", 2, "--patch-size", 64)
    assert cli(*command)[0] == 0
    code, out, _ = cli(*command, "--dry-run")
    assert code == 0 and "0 new, 0 made again, 1 skipped, as they hold" in out
    code, out, _ = cli(*command, "--min-tissue", 0.3, "--dry-run")
    assert code == 0 and "1 file made again: min tissue 0.15 -> 0.3" in out
    code, out, err = cli(*command, "--min-tissue", 0.3)
    assert code == 0 and "1 file made again: min tissue 0.15 -> 0.3" in out
    assert "made again: min tissue" in err


def test_a_slide_that_fails(cli: Cli, slide: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.svs"
    bad.write_bytes(b"no slide")
    code, _, err = cli(slide, bad, "-o", "out", "--mpp", 2, "--patch-size", 64)
    assert code == 1
    assert "bad: failed" in err and "error: bad:" in err
    code, out, _ = cli(slide, bad, "-o", "out", "--mpp", 2, "--patch-size", 64, "-q")
    assert (code, out) == (1, "")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["a.tif", "-o", "out"], "--mpp 0.5"),
        (["a.tif", "--mpp", "2"], "Name the output folder"),
        (["b.tif", "-o", "out", "--mpp", "2"], "There is no slide"),
        (["b.tif", "-o", "out"], "There is no slide"),
        (["a.tif", "-o", "out", "--mpp", "2", "--tissue", "x.tif"], "which is no file"),
        (["a.tif", "-o", "out", "--mpp", "2", "--tissue", "sam2"], "--sam2 FOLDER"),
        (["a.tif", "-o", "out", "--mpp", "2", "--sam2", "x"], "go together"),
        (["a.tif", "-o", "out", "--mpp", "2", "--tissue", "annotations"], "needs masks"),
        (["a.tif", "-o", "out", "--mpp", "2", "--masks", "nowhere"], "no folder of masks"),
        (["a.tif", "-o", "out", "--mpp", "2", "--mpp-csv", "no.csv"], "cannot be read"),
        (["a.tif", "-o", "out", "--mpp", "2", "--workers", "0"], "workers"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(
    cli: Cli, slide: Path, args: list[str], message: str, tmp_path: Path
) -> None:
    before = hash_tree(tmp_path)
    code, out, err = cli(*args)
    assert (code, out) == (2, "")
    assert message in err
    assert hash_tree(tmp_path) == before


def test_a_table_of_pixel_sizes(cli: Cli, tmp_path: Path) -> None:
    slide = slide_file(tmp_path / "a.tif", PIXELS, um=None)
    Path("mpp.csv").write_text("wsi,mpp\na.tif,2\n")
    options = ("-o", "out", "--patch-size", 64, "--mpp", 2)
    assert cli(slide, *options)[0] == 1
    assert cli(slide, *options, "--mpp-csv", "mpp.csv")[0] == 0


def test_sam2_without_its_libraries(cli: Cli, slide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, _, err = cli(slide, "-o", "out", "--mpp", 2, "--tissue", "sam2", "--sam2", "a/b")
    assert code == 2 and 'pip install "qpmask[sam2]"' in err
    assert not Path("out").exists()


def test_warnings_of_the_masks_are_said_once(cli: Cli) -> None:
    project = Path(__file__).parents[2] / "examples" / "demo_project"
    _, _, err = cli(
        project, "-o", "out", "--mpp", 2, "--engine", "native", "--images", "Prostate A"
    )
    assert err.count("Left out on purpose") == 1
