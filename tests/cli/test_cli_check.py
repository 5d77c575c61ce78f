"""``qpmask check``: what is wrong with masks, in words, and the exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import TINY, Cli, hash_tree

from qpmask import MaskWriter
from qpmask.cli.exits import OK
from qpmask.geometry import Size
from qpmask.ometiff import ClassRow, MaskLayout, MaskMetadata, write_mask

COUNTS = {"0": 150 * 100 - 900, "2": 900}


@pytest.fixture
def cli(qpmask_cli: Cli) -> Cli:
    """Run ``qpmask check``."""
    return partial(qpmask_cli, "check")


def a_mask(path: Path) -> Path:
    """A mask of 150 x 100 pixels with a square of label 2, and its sidecar."""
    size = Size(150, 100)
    array = np.zeros((100, 150), np.uint8)
    array[20:50, 70:100] = 2
    tiles = [array[y : y + 64, x : x + 64] for y in (0, 64) for x in (0, 64, 128)]
    metadata = MaskMetadata(
        name="A", size=size, size_c=1, size_z=1, size_t=1, dtype="uint8", pixel_size=None,
        classes=(ClassRow(1, "Stroma"), ClassRow(2, "Tumor")),
    )  # fmt: skip
    write_mask(path, MaskLayout(size, 64, dtype="uint8"), metadata, tiles)
    sidecar(path)
    return path


def sidecar(path: Path, **changes: Any) -> None:
    data = {
        "kind": "classes", "pixels": COUNTS, "mask": {"bytes": path.stat().st_size}, **changes
    }  # fmt: skip
    path.with_name(path.name + ".json").write_text(json.dumps(data))


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """An output folder with two masks."""
    folder = tmp_path / "masks"
    folder.mkdir()
    a_mask(folder / "a.ome.tif")
    a_mask(folder / "b [1].ome.tif")
    report = {"images": [{"mask": "a.ome.tif"}, {"mask": None}, {"mask": "b [1].ome.tif"}]}
    (folder / "report.json").write_text(json.dumps(report))
    return folder


def problems(cli: Cli, path: Path) -> dict[str, list[str]]:
    """Problems of each mask; the exit code must agree."""
    code, out, err = cli(path, "--json")
    data = json.loads(out)
    assert err == ""
    assert code == (0 if data["ok"] else 1)
    found = {Path(m["mask"]).name: m["problems"] for m in data["masks"]}
    assert data["ok"] == (not any(found.values()))
    return found


def test_masks_that_hold(cli: Cli, masks: Path) -> None:
    before = hash_tree(masks)
    code, out, err = cli(masks)
    assert (code, err) == (0, "")
    first, second = out.splitlines()
    assert first.startswith("ok") and "a.ome.tif" in first and "9 tiles" in first
    assert "b [1].ome.tif" in second
    assert problems(cli, masks) == {"a.ome.tif": [], "b [1].ome.tif": []}
    assert cli(masks, "-q") == (0, "", "")
    assert cli(masks / "a.ome.tif")[0] == 0
    assert hash_tree(masks) == before


def test_one_that_does_not_is_named(cli: Cli, masks: Path) -> None:
    sidecar(masks / "a.ome.tif", pixels={"0": 14_000, "2": 1000})
    code, out, _ = cli(masks, "-q")
    assert code == 1
    assert "INVALID" in out and "a.ome.tif" in out and "b [1]" not in out
    assert "label 2 has 900 pixels; expected 1,000" in out


def _gone(mask: Path) -> None:
    mask.unlink()


def _gone_with_its_sidecar(mask: Path) -> None:
    mask.unlink()
    mask.with_name(mask.name + ".json").unlink()


def _truncated(mask: Path) -> None:
    raw = mask.read_bytes()
    mask.write_bytes(raw[: len(raw) - 40])


def _header_only(mask: Path) -> None:
    mask.write_bytes(mask.read_bytes()[:100])


def _empty(mask: Path) -> None:
    mask.write_bytes(b"")


def _longer(mask: Path) -> None:
    mask.write_bytes(mask.read_bytes() + b"\0")


def _no_sidecar(mask: Path) -> None:
    mask.with_name(mask.name + ".json").unlink()


def _broken_sidecar(mask: Path) -> None:
    mask.with_name(mask.name + ".json").write_text('{"pixels":')


def _counts(mask: Path) -> None:
    sidecar(mask, pixels={**COUNTS, "2": 899})


def _no_counts(mask: Path) -> None:
    sidecar(mask, pixels=None)


def _no_size(mask: Path) -> None:
    sidecar(mask, mask={})


def _no_table(mask: Path) -> None:
    sidecar(mask, kind="instances")


def _folder(mask: Path) -> None:
    mask.unlink()
    mask.mkdir()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_gone, "the file is gone; export it again"),
        (_gone_with_its_sidecar, "the file is gone; export it again"),
        (_truncated, "its sidecar says"),
        (_header_only, ""),
        (_empty, ""),
        (_longer, "its sidecar says"),
        (_no_sidecar, "its sidecar a.ome.tif.json is missing"),
        (_broken_sidecar, "its sidecar a.ome.tif.json cannot be read"),
        (_counts, "label 2 has 900 pixels; expected 899"),
        (_no_counts, "has no pixel counts"),
        (_no_size, "does not say how large"),
        (_no_table, "a.ome.tif.instances.csv is missing"),
        (_folder, ""),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_damages_are_found_and_told(
    cli: Cli, masks: Path, damage: Callable[[Path], None], words: str
) -> None:
    damage(masks / "a.ome.tif")
    found = problems(cli, masks)
    assert found["b [1].ome.tif"] == [], "the other mask is fine"
    assert found["a.ome.tif"]
    assert any(words in p for p in found["a.ome.tif"])


def test_a_tile_that_is_damaged_is_named(cli: Cli, masks: Path) -> None:
    """Every byte of pixel data counts: cut away the end, and keep the size."""
    path = masks / "a.ome.tif"
    raw = path.read_bytes()
    path.write_bytes(raw[:-300] + bytes(300))
    found = problems(cli, masks)["a.ome.tif"]
    assert any("level" in p and "row" in p for p in found), found


@pytest.mark.parametrize("size", ["12", [1], {"a": 1}])
def test_a_sidecar_of_another_make(cli: Cli, masks: Path, size: Any) -> None:
    sidecar(masks / "a.ome.tif", mask={"bytes": size})
    assert problems(cli, masks)["a.ome.tif"]


@pytest.mark.parametrize(
    "images",
    [{"a": 1}, [None, 3, {"mask": None}], None,
     5],
)  # fmt: skip
def test_a_report_of_another_make(cli: Cli, masks: Path, images: Any) -> None:
    (masks / "report.json").write_text(json.dumps({"images": images}))
    assert len(problems(cli, masks)) == 2


def test_bytes_that_nothing_else_covers(cli: Cli, masks: Path) -> None:
    """A class name in the file's own table, say: the sidecar holds the hash of all bytes."""
    from qpmask.outputs import file_sha256

    path = masks / "a.ome.tif"
    sidecar(path, mask={"bytes": path.stat().st_size, "sha256": file_sha256(path)})
    raw = path.read_bytes()
    assert b"Stroma" in raw
    path.write_bytes(raw.replace(b"Stroma", b"Strama"))
    assert problems(cli, masks)["a.ome.tif"]


def test_a_single_mask_needs_no_sidecar(cli: Cli, masks: Path) -> None:
    """It may have been copied elsewhere; if the sidecar is there it must agree."""
    path = masks / "a.ome.tif"
    _no_sidecar(path)
    assert cli(path)[0] == 0
    sidecar(path, pixels={"0": 1})
    assert cli(path)[0] == 1


@pytest.mark.parametrize("what", ["nothing", "empty", TINY])
def test_where_there_are_no_masks(cli: Cli, tmp_path: Path, what: str | Path) -> None:
    (tmp_path / "empty").mkdir()
    code, out, err = cli(what)
    assert code != 0 and out == ""
    assert err.startswith("error: There ")


def test_a_path_that_is_not_there_is_a_mistake_of_usage(cli: Cli) -> None:
    assert cli("nothing")[0] == 2


def test_files_that_are_no_masks(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.ome.tif").write_bytes(b"II*\0 and then something else")
    (tmp_path / "b.ome.tif").write_text("<html>")
    found = problems(cli, tmp_path)
    assert all(found[name] for name in ("a.ome.tif", "b.ome.tif"))


def test_a_mask_from_python_needs_no_sidecar(qpmask_cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "w"
    folder.mkdir()
    with MaskWriter(folder / "m.ome.tif", 40, 40, classes={1: "a"}) as writer:
        writer.write(0, 0, np.ones((5, 5), np.uint8))
    code, out, _ = qpmask_cli("check", folder)
    assert code == OK and out.startswith("ok")


def test_masks_of_any_name_are_checked(qpmask_cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "w"
    folder.mkdir()
    for name in ("a.ome.tif", "b.tif", "c.TIFF"):
        with MaskWriter(folder / name, 40, 40) as writer:
            writer.write(0, 0, np.ones((5, 5), np.uint8))
    assert qpmask_cli("check", folder)[1].count("ok") == 3
    content = (folder / "b.tif").read_bytes()
    (folder / "b.tif").write_bytes(content[: len(content) // 2])
    code, out, _ = qpmask_cli("check", folder)
    assert code == 1 and "INVALID b.tif" in out


def test_levels_of_other_sizes_must_not_invent_labels(qpmask_cli: Cli, tmp_path: Path) -> None:
    for label, words in ((4, 0), (2, 1)):
        with tifffile.TiffWriter(tmp_path / "x.tif") as tif:
            tif.write(np.full((101, 99), 4, np.uint8), tile=(32, 32), metadata=None)
            level = np.full((50, 49), label, np.uint8)
            tif.write(level, tile=(32, 32), subfiletype=1, metadata=None)
        _, out, _ = qpmask_cli("check", tmp_path / "x.tif")
        assert out.count("labels that level 0 lacks: 2;") == words
