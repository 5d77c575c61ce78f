"""``qpmask info``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import projects
import pytest
from conftest import TINY, Cli
from engine_contract import square
from handmade_projects import with_objects

from qpmask.geometry import PixelSize, Size
from qpmask.ometiff import ClassRow, MaskLayout, MaskMetadata, write_mask


@pytest.fixture
def cli(qpmask_cli: Cli) -> Cli:
    """Run any command."""
    return qpmask_cli


def a_mask(path: Path, **metadata: Any) -> Path:
    size = Size(100, 60)
    array = np.zeros((60, 100), np.uint8)
    array[10:20, 10:30] = 1
    tiles = [array[y : y + 64, x : x + 64] for y in range(0, 60, 64) for x in range(0, 100, 64)]
    meta = MaskMetadata(
        name="A", size=size, size_c=1, size_z=1, size_t=1, dtype="uint8",
        **{"pixel_size": PixelSize(0.5, 0.5),
           "classes": (ClassRow(1, "Tumor", (200, 0, 0)), ClassRow(2, "[old] name")), **metadata},
    )  # fmt: skip
    write_mask(path, MaskLayout(size, 64, dtype="uint8"), meta, tiles)
    return path


def test_a_project_as_a_table(cli: Cli) -> None:
    code, out, err = cli("info", TINY)
    assert (code, err) == (0, "")
    assert str(TINY / "project.qpproj") in out and "0.6.0" in out
    line = next(row for row in out.splitlines() if "stack.ome.tif" in row)
    assert "20 x 16" in line and "missing" in line
    assert "unknown" in next(row for row in out.splitlines() if "unsaved.ome.tif" in row)
    assert "Region*" in out


def test_a_project_as_json(cli: Cli, demo: Path) -> None:
    code, out, err = cli("info", demo / "project.qpproj", "--json")
    assert (code, err) == (0, "")
    data = json.loads(out)
    assert data["qupath"] == "0.6.0"
    first, _, third = data["images"]
    assert (first["name"], first["width_px"], first["pixel_width_um"]) == ("Prostate A", 3000, 0.5)
    assert first["slide"].endswith("A.ome.tif") and third["slide"] is None
    assert first["objects"]["annotations"] > 0 and first["problem"] is None
    assert {"name": "Stroma", "color": [150, 200, 150]} in data["classes"]


def test_an_image_of_unknown_size_in_json(cli: Cli) -> None:
    data = json.loads(cli("info", TINY, "--json")[1])
    unsaved = data["images"][-1]
    assert (unsaved["width_px"], unsaved["objects"]) == (None, None)
    assert "how large" in unsaved["problem"]


def test_an_image_without_annotations_is_not_called_annotated(cli: Cli) -> None:
    _, out, _ = cli("info", TINY)
    assert "none" in next(row for row in out.splitlines() if "empty.ome.tif" in row)
    cells = next(row for row in out.splitlines() if "cells.ome.tif" in row)
    assert "1 annotations, 4 detections, 2 cells" in cells


def test_a_lost_data_file_is_not_called_never_saved(cli: Cli, tiny: Path) -> None:
    path = projects.data_file(tiny, "squares.ome.tif")
    path.rename(path.with_name("data.qpdata.bkp"))
    _, out, _ = cli("info", tiny)
    assert "never saved" not in next(row for row in out.splitlines() if "squares.ome.tif" in row)


def test_a_mask_as_a_table(cli: Cli, tmp_path: Path) -> None:
    path = a_mask(tmp_path / "a.ome.tif", extra={"image": "[b]A[/b]", "engine": "qupath 0.6.0"})
    path.with_name("a.ome.tif.json").write_text('{"pixels": {"0": 5800, "1": 200}}')
    code, out, err = cli("info", path)
    assert (code, err) == (0, "")
    assert "100 x 60 pixels, uint8" in out and "lzw" in out
    assert "levels: 100 x 60, 50 x 30" in out
    assert "pixel size: 0.5 x 0.5 µm" in out
    assert "image: [b]A[/b]" in out, "the name was taken for markup"
    tumor = next(row for row in out.splitlines() if "Tumor" in row)
    assert "200" in tumor
    assert "[old] name" in out


def test_a_mask_as_json(cli: Cli, tmp_path: Path) -> None:
    data = json.loads(cli("info", a_mask(tmp_path / "a.ome.tif"), "--json")[1])
    assert (data["width_px"], data["height_px"], data["dtype"]) == (100, 60, "uint8")
    assert data["levels"] == [[100, 60], [50, 30]]
    assert data["classes"][0] == {"label": 1, "name": "Tumor", "color": [200, 0, 0]}
    assert data["pixels"] == {"0": 5800, "1": 200}, "there is no sidecar, so they are counted"


def test_a_sidecar_of_an_older_mask_is_not_believed(cli: Cli, tmp_path: Path) -> None:
    path = a_mask(tmp_path / "a.ome.tif")
    sidecar = path.with_name("a.ome.tif.json")
    sidecar.write_text('{"pixels": {"0": 1, "1": 5999}, "mask": {"bytes": 77}}')
    assert json.loads(cli("info", path, "--json")[1])["pixels"] == {"0": 5800, "1": 200}
    n_bytes = path.stat().st_size
    sidecar.write_text(json.dumps({"pixels": {"0": 1, "1": 5999}, "mask": {"bytes": n_bytes}}))
    assert json.loads(cli("info", path, "--json")[1])["pixels"] == {"0": 1, "1": 5999}


def test_a_mask_without_a_pixel_size(cli: Cli, tmp_path: Path) -> None:
    code, out, _ = cli("info", a_mask(tmp_path / "a.ome.tif", pixel_size=None))
    assert code == 0 and "pixel size: unknown" in out


def test_a_sidecar_of_another_make(cli: Cli, tmp_path: Path) -> None:
    path = a_mask(tmp_path / "a.ome.tif")
    path.with_name("a.ome.tif.json").write_text('{"pixels": [1]}')
    assert cli("info", path)[0] == 0


@pytest.mark.parametrize("what", ["gone", "gone.qpproj", "empty folder", "text.ome.tif"])
def test_what_is_neither(cli: Cli, tmp_path: Path, what: str) -> None:
    (tmp_path / "empty folder").mkdir()
    (tmp_path / "text.ome.tif").write_text("no mask")
    code, out, err = cli("info", tmp_path / what)
    assert code in (1, 2) and out == ""
    assert err.startswith("error: ") and what in err


def test_a_path_that_is_not_there_is_a_mistake_of_usage(cli: Cli) -> None:
    """Nobody knows whether it would have been a mask; ``export`` says 2 of the same."""
    code, _, err = cli("info", "gone")
    assert code == 2
    assert "The mask gone" not in err


def test_a_path_with_brackets_is_shown_as_it_is(cli: Cli, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(TINY, tmp_path / "[old] slides"))
    assert "[old] slides" in cli("info", folder)[1]


@pytest.mark.parametrize("args", [(), ("--json",)], ids=["table", "json"])
def test_a_name_that_is_no_text_is_shown_somehow(
    tiny: Path, tmp_path: Path, args: tuple[str, ...]
) -> None:
    projects.rename(tiny, {"squares.ome.tif": "half \ud800"})
    done = subprocess.run(
        [sys.executable, "-m", "qpmask", "info", str(tiny), *args],
        capture_output=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_pipe_that_cannot_take_every_letter(tmp_path: Path) -> None:
    """As on Windows, where a pipe has the code page of the system."""
    done = subprocess.run(
        [sys.executable, "-m", "qpmask", "info", str(TINY)],
        capture_output=True, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")


# -- data files ---------------------------------------------------------------------------------


def test_a_data_file_as_a_table(cli: Cli, demo: Path) -> None:
    path = projects.data_file(demo, "Prostate A")
    code, out, err = cli("info", path)
    assert (code, err) == (0, "")
    assert f"{path}: QuPath data file of version 3 (QuPath 0.3 to 0.7), " in out
    assert f"of: Prostate A (entry {path.parent.name}) in {demo / 'project.qpproj'}\n" in out
    assert "image: 3,000 x 2,200 pixels, 0.5 x 0.5 µm/px\n" in out
    assert (
        "slide: file:/tmp/qpmask/demo_project/slides/A.ome.tif\n" in out
        and "objects: " in out
        and "annotations" in out
    )
    assert "Tumor" in out


def test_a_data_file_as_json(cli: Cli, tiny: Path, tmp_path: Path) -> None:
    path = projects.data_file(tiny, "squares.ome.tif")
    data = json.loads(cli("info", path, "--json")[1])
    assert (data["version"], data["image"]) == (3, "squares.ome.tif")
    assert {c["class"]: c["objects"] for c in data["classes"]}[None] == 1
    assert sum(data["objects"].values()) == sum(c["objects"] for c in data["classes"])
    # A backup, and a file that belongs to no project.
    lone = Path(shutil.copy(path, tmp_path / "data.qpdata.bkp"))
    other = json.loads(cli("info", lone, "--json")[1])
    assert other["project"] is None and other["objects"] == data["objects"]


def test_a_damaged_data_file(cli: Cli, tiny: Path) -> None:
    path = projects.data_file(tiny, "squares.ome.tif")
    path.write_bytes(path.read_bytes()[:-9])
    code, out, err = cli("info", path)
    assert (code, out) == (1, ""), "a file that ends too early is no Ctrl-C"
    assert f"error: {path}" in err.strip()


def test_instances_are_named_by_their_class(qpmask_cli: Cli, tmp_path: Path) -> None:
    project = with_objects(
        tmp_path / "p",
        [square("Tumor", 4, 4, 4), square("Muscle", 2, 2, 10), square(None, 20, 2, 4)],
        (32, 24),
    )
    qpmask_cli("export", project, "-o", "m", "--engine", "native", "--instances")
    code, out, _ = qpmask_cli("info", "m/A.ome.tif")
    assert code == 0
    assert "Tumor: 1 object, 0 pixels, 1 without a pixel" in out
    assert "Muscle: 1 object, 100 pixels" in out and "Unclassified: 1 object, 16 pixels" in out
    assert "(no class)" in out, "the label of the object without one"
    data = json.loads(qpmask_cli("info", "m/A.ome.tif", "--json")[1])
    assert [row["class"] for row in data["instances"]] == ["Tumor", "Muscle", None]
    pytest.importorskip("matplotlib", reason="the viewer needs it")
    from qpmask.viewer.opening import open_scene

    with open_scene(Path("m/A.ome.tif")) as scene:
        assert scene.describe(3, 3).startswith("Muscle #2 (label 2)")


def test_without_a_path_the_formats_of_slides(
    qpmask_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = qpmask_cli("info")
    assert code == 0
    for word in ("OpenSlide", "Hamamatsu", ".mrxs", "tifffile", "OME-TIFF", "Pillow", ".webp"):
        assert word in out
    from qpmask.slides import formats

    monkeypatch.setattr(formats, "find_spec", lambda name: None if name == "openslide" else True)
    code, out, _ = qpmask_cli("info")
    assert 'no: pip install "qpmask[patches]"' in out
    code, out, _ = qpmask_cli("info", "--json")
    found = {row["library"]: row["installed"] for row in json.loads(out)["slides"]}
    assert found == {"OpenSlide": False, "tifffile": True, "Pillow": True}


def test_what_is_none_of_them_is_a_wrong_use(qpmask_cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# words")
    code, _, err = qpmask_cli("info", tmp_path / "README.md")
    assert code == 2 and "is no QuPath project, no mask, no data file" in err


def test_a_command_that_is_misspelt(qpmask_cli: Cli) -> None:
    code, _, err = qpmask_cli("expotr")
    assert code == 2 and "Did you mean 'export'?" in err


def test_a_patch_file(cli: Cli, demo: Path, tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    code, _, _ = cli("patches", demo, "-o", tmp_path / "p", "--mpp", 1, "-q")
    path = next((tmp_path / "p" / "patches").glob("*A.h5"))
    code, out, err = cli("info", path, "--json")
    data = json.loads(out)
    assert (code, err) == (0, "")
    assert (data["patch_size"], data["patch_mpp"], data["features"]) == (256, 1, {})
    assert data["n_patches"] >= sum(c["patches"] for c in data["classes"]) > 0
    code, out, _ = cli("info", path)
    assert code == 0 and "256 x 256 pixels at 1 µm a pixel" in out and "Stroma" in out


def test_geojson(cli: Cli, demo: Path, tmp_path: Path) -> None:
    assert cli("annotations", demo, "-o", tmp_path / "a", "-q")[0] == 0
    code, out, err = cli("info", tmp_path / "a" / "Prostate B.geojson", "--json")
    data = json.loads(out)
    assert (code, err, data["features"], data["left_out"]) == (0, "", 9, 0)
    assert {"kind": "annotation", "class": "Tumor: Positive", "objects": 1} in data["objects"]
    assert "Tumor: Positive" in cli("info", tmp_path / "a" / "Prostate B.geojson")[1]
    (tmp_path / "x.geojson").write_text("{}")
    code, _, err = cli("info", tmp_path / "x.geojson")
    assert code == 1 and "is no GeoJSON" in err


def test_a_choice_that_is_misspelt(cli: Cli) -> None:
    code, _, err = cli("export", TINY, "-o", "x", "--objects", "anotations")
    assert code == 2 and "Did you mean 'annotations'?" in err and "qpmask export --help" in err
