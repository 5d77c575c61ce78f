"""``qpmask finalize``: what a crash left becomes a mask."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from mask.unfinished import blocks, leave, painted, read, record_ends

from qpmask.cli import app
from qpmask.cli.exits import FAILED, OK, USAGE, run
from qpmask.maskwriter.place import lock


@pytest.mark.parametrize("name", ["m.ome.tif", "m.ome.tif.writing"])
def test_the_mask_or_its_journal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    path = tmp_path / "m.ome.tif"
    leave(path, blocks(4))
    assert run(app, ["finalize", str(tmp_path / name)]) == OK
    out, err = capsys.readouterr()
    assert str(path) in out and "90 x 70 pixels" in out and err == ""
    assert np.array_equal(read(path), painted(blocks(4)))
    assert [p.name for p in tmp_path.iterdir()] == ["m.ome.tif"]


def test_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.ome.tif"
    leave(path, [(0, 0, np.ones((5, 5), int))])
    assert run(app, ["finalize", str(path), "--json"]) == OK
    data = json.loads(capsys.readouterr().out)
    assert data["mask"] == str(path) and data["pixels"] == {"0": 90 * 70 - 25, "1": 25}
    assert data["levels"][0] == [90, 70] and data["bytes"] == path.stat().st_size


def test_nothing_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, ["finalize", str(tmp_path / "m.ome.tif")]) == FAILED
    assert "no unfinished writes" in capsys.readouterr().err


def test_a_writer_is_still_at_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.ome.tif"
    leave(path, blocks(1))
    release = lock(path)
    assert run(app, ["finalize", str(path)]) == USAGE
    assert "Another writer" in capsys.readouterr().err
    release()
    assert run(app, ["finalize", str(path)]) == OK


def test_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.ome.tif"
    journal = leave(path, blocks(3))
    data = bytearray(journal.read_bytes())
    data[record_ends(journal)[0] + 6] ^= 1
    journal.write_bytes(data)
    assert run(app, ["finalize", str(path)]) == FAILED
    assert "--skip-damaged" in capsys.readouterr().err
    assert run(app, ["finalize", str(path), "--skip-damaged"]) == OK
    assert np.array_equal(read(path), painted(blocks(3)[1:]))


@pytest.mark.parametrize("as_json", [True, False])
def test_what_is_left_out_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    path = tmp_path / "m.ome.tif"
    leave(path, blocks(3))
    journal = tmp_path / "m.ome.tif.writing"
    journal.write_bytes(journal.read_bytes()[:-2])  # a last write that was not finished
    assert run(app, ["finalize", str(path), *(["--json"] if as_json else [])]) == OK
    out, err = capsys.readouterr()
    if as_json:
        (text,) = json.loads(out)["warnings"]
        assert err == ""
    else:
        text = err
        assert err.startswith("warning: ")
    assert "not finished" in text and "2 are whole" in text
    assert np.array_equal(read(path), painted(blocks(2)))


@pytest.mark.parametrize("name", [".", "/", ""])
def test_what_is_no_file_name(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert run(app, ["finalize", name]) == USAGE
    err = capsys.readouterr().err
    assert "cannot be written" in err and "Traceback" not in err
