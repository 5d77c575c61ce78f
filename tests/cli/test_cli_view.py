"""``qpmask view``: pictures, errors for people, exit codes."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, Cli, hash_tree
from mask_files import blobs, write
from PIL import Image
from slides.slide_samples import gradient, write_slide

from qpmask import export_masks, export_options, open_mask
from qpmask.viewer import window

BASE = blobs(300, 500)


@pytest.fixture
def cli(qpmask_cli: Cli) -> Cli:
    """Run ``qpmask view``."""
    return partial(qpmask_cli, "view")


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    folder = tmp_path / "masks"
    folder.mkdir()
    path = folder / "a.ome.tif"
    write(path, BASE)
    return path


def test_a_picture_is_saved_and_its_path_printed(cli: Cli, mask: Path) -> None:
    before = hash_tree(mask.parent)
    code, out, err = cli(mask, "--save", "a.png")
    with Image.open("a.png") as image:
        width, height = image.size
    assert (code, err) == (0, "")
    assert out == f"a.png: {width} x {height} pixels\n"
    assert (width, height) == (500 + 341, 300)
    assert hash_tree(mask.parent) == before


def test_a_region_at_a_downsample(cli: Cli, mask: Path) -> None:
    options = ("--region", 100, 40, 200, 120, "--downsample", 4)
    assert cli(mask, *options, "--save", "a.png")[0] == 0
    with Image.open("a.png") as image:
        pixels = np.asarray(image)[:30, :50]
    background = BASE[40:160:4, 100:300:4] == 0
    np.testing.assert_array_equal((pixels == 255).all(axis=2), background)
    assert 0 < background.sum() < background.size


def test_a_mask_upon_its_slide(cli: Cli, mask: Path, tmp_path: Path) -> None:
    slide = write_slide(tmp_path / "slide.tif", gradient(300, 500))
    assert cli(mask, "--slide", slide, "--opacity", 0, "--save", "a.png")[0] == 0
    with Image.open("a.png") as image:
        np.testing.assert_array_equal(np.asarray(image)[:300, :500], gradient(300, 500))


def test_what_people_should_know_of_the_slide_is_told(cli: Cli, mask: Path, tmp_path: Path) -> None:
    slide = write_slide(
        tmp_path / "slide.tif", gradient(300, 500), resolution=(10_000, 10_000),
        resolutionunit="CENTIMETER",
    )  # fmt: skip
    code, out, err = cli(mask, "--slide", slide, "--save", "a.png")
    assert code == 0 and out.startswith("a.png")
    assert err.startswith("note: ") and "By their pixel sizes" in err


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--region", 500, 0, 5, 5], "lies outside the mask, which is 500 x 300 pixels"),
        (["--region", 0, 0, 0, 5], "0 x 5 pixels large"),
        (["--downsample", 0], "downsample is 0"),
        (["--downsample", 0.01], "Use --downsample 0.05 or more"),
        (["--slide", "slide.svs"], "There is no slide slide.svs"),
        (["--plane", 1], "It has one plane, 0"),
        (["--plane", "Tumor"], "no channel 'Tumor'"),
        (["--save", "a.jpg"], "must end in .png"),
        (["--save", "no folder/a.png"], "cannot be written"),
        (["--opacity", 2], "not in the range"),
        (["--region", 1, 2, 3], "requires 4 arguments"),
    ],
    ids=str,
)  # fmt: skip
def test_mistakes_of_usage(cli: Cli, mask: Path, args: list[object], words: str) -> None:
    save = [] if "--save" in args else ["--save", "a.png"]
    code, out, err = cli(mask, *save, *args)
    assert (code, out) == (2, "")
    assert words in err
    assert not Path("a.png").exists()


def test_a_folder_names_its_masks(cli: Cli, mask: Path) -> None:
    write(mask.with_name("b [1].ome.tif"), BASE)
    code, out, err = cli(mask.parent)
    assert (code, out) == (2, "")
    assert "Name one of its files: 'a.ome.tif', 'b [1].ome.tif'." in err


@pytest.mark.parametrize("path", ["nothing.tif", TINY / "project.qpproj"])
def test_what_is_no_mask(cli: Cli, path: str | Path) -> None:
    code, out, err = cli(path, "--save", "a.png")
    assert code in (1, 2) and out == ""
    assert err.startswith("error: ") and Path(path).name in err


def test_the_picture_does_not_replace_what_it_shows(cli: Cli, mask: Path, tmp_path: Path) -> None:
    slide = tmp_path / "slide.png"
    Image.fromarray(gradient(300, 500)).save(slide)
    before = slide.read_bytes()
    code, _, err = cli(mask, "--slide", slide, "--save", tmp_path / "masks" / ".." / "slide.png")
    assert code == 2 and "Save the picture elsewhere" in err
    assert slide.read_bytes() == before


def test_without_a_screen_the_hint_is_to_save(
    cli: Cli, mask: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window.sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("MPLBACKEND", "agg")
    import matplotlib as mpl

    monkeypatch.setitem(mpl.rcParams, "backend", "agg")
    code, out, err = cli(mask)
    assert (code, out) == (2, "")
    assert "no screen" in err and "--save FILE.png" in err


def test_the_window_opens_on_the_region(
    cli: Cli, mask: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[object] = []
    monkeypatch.setattr(window, "show", lambda scene, first: shown.append((scene.opacity, first)))
    assert cli(mask) == (0, "", "")
    assert cli(mask, "--region", -5, 0, 100, 50, "--downsample", 0.5, "--opacity", 0.3)[0] == 0
    assert shown == [
        (1.0, window.FirstView((0, 0, 500, 300), None)),
        (0.3, window.FirstView((0, 0, 95, 50), 0.5)),
    ]


def test_help_loads_no_matplotlib() -> None:
    import subprocess
    import sys

    code = (
        "import sys, json\nfrom qpmask.cli import app\nfrom qpmask.cli.exits import run\n"
        "run(app, ['view', '--help'])\nprint()\nprint(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"matplotlib", "PIL", "numpy"} & set(json.loads(done.stdout.splitlines()[-1]))


class TestPathsThatAreNoMask:
    def test_of_a_folder_the_masks_are_named(self, cli: Cli, mask: Path) -> None:
        (mask.parent / "a.ome.tif.json").write_text("{}")
        code, _, err = cli(mask.parent, "--save", "a.png")
        assert code == 2 and "Name one of its files: 'a.ome.tif'." in err
        assert not Path("a.png").exists()

    def test_an_empty_folder_is_said_to_be_one(self, cli: Cli, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        code, _, err = cli(tmp_path / "empty")
        assert code == 2 and "there are no masks in it" in err

    def test_a_file_that_is_not_there(self, cli: Cli, tmp_path: Path) -> None:
        code, _, err = cli(tmp_path / "none.ome.tif")
        assert code == 2 and "There is no file" in err

    def test_a_project_is_not_taken_for_a_mask(self, cli: Cli) -> None:
        code, _, err = cli(TINY / "project.qpproj")
        assert code == 2 and "qpmask export" in err


def test_a_slide_of_another_name_is_said(qpmask_cli: Cli, demo: Path, tmp_path: Path) -> None:
    assert qpmask_cli("export", demo, "-o", "m", "--engine", "native", "--images", "1")[0] == 0
    slides = demo / "slides"
    view = ["view", "m/Prostate A.ome.tif", "--save", "a.png", "--slide"]
    code, out, err = qpmask_cli(*view, slides / "A.ome.tif")
    assert code == 0 and "was made of" not in out + err
    code, out, err = qpmask_cli(*view, slides / "B.ome.tif")
    words = " ".join((out + err).split())
    assert code == 0 and "The mask was made of A.ome.tif; this slide is B.ome.tif." in words


def test_of_several_planes_one_with_labels_is_shown_and_others_named(
    cli: Cli, tmp_path: Path
) -> None:
    options = export_options(engine="native", multichannel=True, unknown="ignore")
    export_masks(TINY, tmp_path / "m", {"Gamma": 1, "Alpha": 2, "Beta": 3}, options)
    path = next(p for p in (tmp_path / "m").glob("*.ome.tif") if "squares" in p.name)
    with open_mask(path) as mask:
        n_labelled = [int((mask.plane(i)[:, :] != 0).sum()) for i in range(3)]
    first = next(i for i, n in enumerate(n_labelled) if n)
    _, _, err = cli(path, "--save", "a.png")
    assert f"Shown is plane {first} of 3" in err and "--plane" in err
    assert "Shown" not in cli(path, "--plane", 0, "--save", "a.png")[2]
