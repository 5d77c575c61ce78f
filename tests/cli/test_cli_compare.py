"""``qpmask compare``: two masks, and the masks of two folders."""

from __future__ import annotations

import csv
import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, Cli
from mask_files import blobs, write, write_foreign

from qpmask import MaskWriter
from qpmask.geometry import Size
from qpmask.ometiff import MaskLayout, MaskMetadata, write_mask

BASE = blobs(300, 500)


@pytest.fixture
def cli(qpmask_cli: Cli) -> Cli:
    """Run ``qpmask compare``."""
    return partial(qpmask_cli, "compare")


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders with the masks a and b."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    write(first / "a.ome.tif", BASE)
    write(first / "b.ome.tif", BASE[:100])
    shutil.copytree(first, second)
    (second / "report.json").write_text("{}")
    return first, second


def change(path: Path) -> None:
    """Write a mask anew with one other pixel."""
    other = BASE.copy()
    other[7, 9] = 1 - min(other[7, 9], 1)
    write(path, other)


def test_two_masks_that_are_equal(cli: Cli, folders: tuple[Path, Path]) -> None:
    code, out, _ = cli(*(folder / "a.ome.tif" for folder in folders))
    assert code == 0 and "Equal: 150,000 pixels." in out


def test_the_pixel_that_differs_is_shown(cli: Cli, folders: tuple[Path, Path]) -> None:
    change(folders[1] / "a.ome.tif")
    code, out, _ = cli(*(folder / "a.ome.tif" for folder in folders))
    assert code == 1 and "1 of 150,000 pixels differ" in out and "(9, 7)" in out


@pytest.mark.parametrize("dtypes", [("u1", "u1"), ("u1", "u2"), ("u2", "u1")])
@pytest.mark.parametrize("swapped", [False, True])
def test_a_tile_of_one_label_against_one_of_many(
    cli: Cli, tmp_path: Path, dtypes: tuple[str, str], swapped: bool
) -> None:
    plain, mixed = np.full((300, 500), 2, dtypes[0]), BASE.astype(dtypes[1])
    write(tmp_path / "plain.ome.tif", plain)
    write(tmp_path / "mixed.ome.tif", mixed)
    names = ["mixed.ome.tif", "plain.ome.tif"] if swapped else ["plain.ome.tif", "mixed.ome.tif"]
    code, out, _ = cli(*(tmp_path / name for name in names), "--json")
    found = json.loads(out)
    assert code == 1 and found["n_different"] == int((plain != mixed).sum())
    side = "first_label" if swapped else "second_label"
    by_label = {pair[side]: pair["pixels"] for pair in found["by_labels"]}
    assert by_label == {
        int(label): int((mixed == label).sum()) for label in np.unique(mixed) if label != 2
    }


def test_tiles_that_are_not_square(cli: Cli, tmp_path: Path) -> None:
    for name, tile in (("a.tif", (128, 64)), ("b.tif", (64, 128)), ("c.tif", (64, 64))):
        write_foreign(tmp_path / name, BASE, tile=tile)
    for first in "abc":
        for second in "abc":
            assert cli(tmp_path / f"{first}.tif", tmp_path / f"{second}.tif")[0] == 0
    change(tmp_path / "c.tif")
    for names in ("ac", "ca", "bc", "cb"):
        code, out, _ = cli(*(tmp_path / f"{name}.tif" for name in names))
        assert code == 1 and "1 of 150,000 pixels differ" in out and "(9, 7)" in out


def test_class_tables_that_contradict_each_other(cli: Cli, tmp_path: Path) -> None:
    for name, classes in (("a.tif", {1: "A", 2: "B"}), ("b.tif", {1: "B", 2: "A"}),
                          ("c.tif", {1: "A"})):  # fmt: skip
        with MaskWriter(tmp_path / name, 40, 40, classes=classes) as writer:
            writer.write(0, 0, np.ones((5, 5), np.uint8))
    code, out, err = cli(tmp_path / "a.tif", tmp_path / "b.tif")
    assert code == 0 and "Equal" in out
    assert "label 1 is 'A' in the first and 'B' in the second, and 1 more" in err
    assert "note" not in cli(tmp_path / "a.tif", tmp_path / "c.tif")[2]


def test_folders_of_equal_masks(cli: Cli, folders: tuple[Path, Path]) -> None:
    code, out, _ = cli(*folders)
    assert code == 0 and out.count("equal") == 2 and "DIFFERENT" not in out


def test_folders_with_a_mask_that_differs_and_one_that_lacks(
    cli: Cli, folders: tuple[Path, Path]
) -> None:
    first, second = folders
    change(second / "a.ome.tif")
    (second / "b.ome.tif").unlink()
    code, out, _ = cli(first, second)
    assert code == 1
    assert "1 of 150,000 pixels differ" in out
    assert f"it is in {first} alone" in out
    code, out, _ = cli(first, second, "--json")
    found = json.loads(out)
    assert code == 1 and found["equal"] is False
    assert [(m["mask"], m["equal"]) for m in found["masks"]] == [
        ("a.ome.tif", False),
        ("b.ome.tif", False),
    ]
    assert found["masks"][0]["n_different"] == 1


def test_a_damaged_mask_does_not_hide_the_others(cli: Cli, folders: tuple[Path, Path]) -> None:
    first, second = folders
    content = (second / "a.ome.tif").read_bytes()
    (second / "a.ome.tif").write_bytes(content[: len(content) // 2])
    code, out, _ = cli(first, second)
    assert code == 1 and "DIFFERENT a.ome.tif" in out and "equal     b.ome.tif" in out
    code, out, _ = cli(first, second, "--json")
    found = json.loads(out)["masks"]
    assert code == 1 and [m["equal"] for m in found] == [False, True] and found[0]["reason"]


def test_planes_are_called_by_their_channels(cli: Cli, tmp_path: Path) -> None:
    size = Size(100, 80)
    for name, channels, label in (("a", ("A", "B"), 0), ("b", ("A", "B"), 255),
                                  ("c", ("B", "A"), 0)):  # fmt: skip
        metadata = MaskMetadata("m", size, size_c=2, size_z=2, channel_names=channels)
        tiles = [0, 0, label, 0]  # A and B of slice 0, then of slice 1
        write_mask(
            tmp_path / f"{name}.tif", MaskLayout(size, 256, size_c=2, size_z=2), metadata, tiles
        )
    code, out, _ = cli(tmp_path / "a.tif", tmp_path / "b.tif")
    assert code == 1 and "A, z 1" in out and "8,000" in out
    code, _, err = cli(tmp_path / "a.tif", tmp_path / "c.tif")
    assert code == 0 and "called A, B in the first and B, A in the second" in err


def test_folders_without_masks(cli: Cli, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    code, _, err = cli(tmp_path / "a", tmp_path / "b")
    assert code == 2 and "no masks" in err


def test_the_folder_of_a_project_is_not_taken_for_one_of_masks(
    cli: Cli, folders: tuple[Path, Path]
) -> None:
    code, _, err = cli(TINY, folders[0])
    assert code == 2 and "is the folder of a QuPath project" in err


def test_a_folder_and_a_mask(cli: Cli, folders: tuple[Path, Path]) -> None:
    code, _, err = cli(folders[0], folders[1] / "a.ome.tif")
    assert code == 2 and "is a folder" in err


def test_a_mask_that_is_not_there(cli: Cli, folders: tuple[Path, Path]) -> None:
    code, _, err = cli(folders[0] / "a.ome.tif", folders[1] / "c.ome.tif")
    assert code == 2 and "There is no file" in err


def test_scores_and_matrix_as_csv(cli: Cli, tmp_path: Path) -> None:
    labels = np.zeros((4, 5), np.uint8)
    labels[0, :4] = 1
    other = np.zeros((4, 5), np.uint8)
    other[0, 1:5] = 1
    for name, pixels in (("a.tif", labels), ("b.tif", other)):
        with MaskWriter(tmp_path / name, 5, 4, classes={1: "Tumor"}) as writer:
            writer.write(0, 0, pixels)
    scores, matrix = tmp_path / "scores.csv", tmp_path / "matrix.csv"
    files = ("--scores", scores, "--matrix", matrix)
    code, out, _ = cli(tmp_path / "a.tif", tmp_path / "b.tif", *files)
    assert code == 1 and "0.7500" in out and "1 Tumor" in out
    rows = list(csv.DictReader(scores.read_text("utf-8").splitlines()))
    assert [row["class"] for row in rows] == ["Tumor", "(background)", "(all)"]
    # 3 of 4 + 4; 3 of 5; agreement 18 of 20, by chance (4 * 4 + 16 * 16) / 400 = 0.68
    assert [float(rows[0][name]) for name in ("dice", "iou")] == [0.75, 0.6]
    assert [float(row["kappa"]) for row in rows] == pytest.approx([0.6875] * 3)
    assert list(csv.reader(matrix.read_text("utf-8").splitlines())) == [
        ["first \\ second", "Tumor", "(background)"],
        ["Tumor", "3", "1"],
        ["(background)", "1", "15"],
    ]


def test_scores_of_folders_are_those_of_each_mask_and_of_all(
    cli: Cli, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    change(folders[1] / "a.ome.tif")
    code, out, _ = cli(*folders, "--scores", tmp_path / "s.csv")
    assert code == 1 and "All masks together" in out
    rows = list(csv.DictReader((tmp_path / "s.csv").read_text("utf-8").splitlines()))
    totals = [(row["mask"], row["pixels_both"]) for row in rows if row["class"] == "(all)"]
    assert totals == [
        ("a.ome.tif", "149999"), ("b.ome.tif", "50000"), ("(all masks)", "199999")
    ]  # fmt: skip


def test_masks_of_two_resolutions(cli: Cli, tmp_path: Path) -> None:
    for name, pixels in (("fine.tif", BASE), ("coarse.tif", BASE[::4, ::4])):
        with MaskWriter(tmp_path / name, pixels.shape[1], pixels.shape[0]) as writer:
            writer.write(0, 0, pixels)
    code, out, _ = cli(tmp_path / "fine.tif", tmp_path / "coarse.tif")
    assert code == 0 and "Equal: 9,375 pixels (at the size of the second, 4 times smaller)." in out


def test_masks_that_do_not_belong_together(cli: Cli, tmp_path: Path) -> None:
    write(tmp_path / "a.tif", BASE)
    write(tmp_path / "b.tif", BASE[:, :300])
    code, _, err = cli(tmp_path / "a.tif", tmp_path / "b.tif")
    assert code == 1 and "no downsample explains" in err and "of the same image?" in err
    code, out, _ = cli(tmp_path / "a.tif", tmp_path / "b.tif", "--json")
    assert code == 1 and "no downsample" in json.loads(out)["reason"]


def test_a_file_that_cannot_be_written(
    cli: Cli, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    code, _, err = cli(*folders, "--scores", tmp_path / "none" / "s.csv")
    assert code == 2 and "cannot be written" in err
