"""What is said of many images is said once, and which image is meant is clear."""

from __future__ import annotations

import shutil
from pathlib import Path

import projects
import pytest
from conftest import TINY, Cli

from qpmask.cli.grouping import grouped, shown_names

SQUARES = "squares.ome.tif"


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Forty copies of one image; five have the same name."""
    project = Path(shutil.copytree(TINY, tmp_path / "many"))
    names = [f"slide {i:02d}.svs" for i in range(35)] + ["same.svs"] * 5
    projects.multiply(project, SQUARES, names)
    return project


def test_images_of_one_name_are_told_apart() -> None:
    assert shown_names([("1", "A"), ("2", "B"), ("3", "A")]) == {
        "1": "A (entry 1)", "2": "B", "3": "A (entry 3)",
    }  # fmt: skip


def test_texts_that_differ_in_the_image_alone_are_one(tmp_path: Path) -> None:
    images = [(str(i), f"N{i}") for i in range(5)]
    said = [(i, f"The data of {n!r} (entry {i}) is gone: {tmp_path / 'data' / i / 'x'}.")
            for i, n in images]  # fmt: skip
    said.append(("3", "Something else."))
    assert grouped(said, images, tmp_path / "p.qpproj") == [
        "5 images (N0, N1, N2 and 2 more): The data of the image is gone: "
        f"{tmp_path / 'data' / 'ENTRY' / 'x'}.",
        "N3: Something else.",
    ]


def test_a_project_without_its_data_gets_one_reason(many: Path, qpmask_cli: Cli) -> None:
    shutil.rmtree(many / "data")
    reason = "The project has lost its data: there is nothing in"
    listed = "40 images (slide 00.svs, slide 01.svs, slide 02.svs and 37 more)"
    code, out, err = qpmask_cli("classes", many)
    assert code == 1 and err.count(reason) == 1 and listed in err
    code, out, err = qpmask_cli("export", many, "--dry-run")
    assert code == 1 and out.count(reason) == 1 and listed in out
    code, out, err = qpmask_cli("export", many, "-o", many.parent / "m", "--engine", "native")
    assert code == 1 and err.count(reason) == 2, "as it happens, and at the end"
    assert err.count("for the same reason") == 39
    _, out, _ = qpmask_cli("info", many)
    assert out.count(reason) == 1


def test_the_same_fault_has_the_same_reason_everywhere(many: Path, qpmask_cli: Cli) -> None:
    for i in (1001, 1036, 1037):
        shutil.rmtree(many / "data" / str(i))
    listed = "3 images (slide 00.svs, same.svs (entry 1036), same.svs (entry 1037)): "
    reason = f"{listed}There is no data folder of the image: "
    for command in (("classes",), ("export", "--dry-run")):
        code, out, err = qpmask_cli(command[0], many, *command[1:])
        assert code == 1 and reason in out + err


def test_what_all_images_share_is_said_once(many: Path, qpmask_cli: Cli) -> None:
    _, out, _ = qpmask_cli("export", many, "--dry-run")
    assert out.count("without a class left out") == 1
    assert "40 objects in 40 images without a class left out" in out
