"""The objects of a data file are kept for the one who reads it next, unless it changed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from qpmask.engines.draworder import drawn_outlines
from qpmask.errors import DataFileError
from qpmask.imageobjects import NO_OUTLINES
from qpmask.project.readonce import ReadOnce

ANNOTATIONS = drawn_outlines("annotations")


@pytest.fixture
def path(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("qpmask.outputs.files._SETTLED_NS", 0)
    return Path(shutil.copy(demo / "data" / "1" / "data.qpdata", tmp_path))


def test_what_was_read_is_handed_on_once(path: Path) -> None:
    once = ReadOnce(ANNOTATIONS)
    kept = once.first(path)
    assert once.again(path, outlines=ANNOTATIONS) is kept
    anew = once.again(path, outlines=ANNOTATIONS)
    assert anew is not kept and len(anew) == len(kept)


def test_other_outlines_are_read_anew(path: Path) -> None:
    once = ReadOnce(ANNOTATIONS)
    kept = once.first(path)
    assert len(kept.rois.vertices32_px0) and not len(
        once.again(path, outlines=NO_OUTLINES).rois.vertices32_px0
    )


@pytest.mark.parametrize("how", ["replaced", "touched", "young", "cut", "gone"])
def test_a_file_that_changed_is_read_anew(
    path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "young":  # of which its times may not tell
        monkeypatch.setattr("qpmask.outputs.files._SETTLED_NS", 10**18)
    once = ReadOnce(ANNOTATIONS)
    kept = once.first(path)
    if how == "replaced":
        other = path.with_name("other")
        shutil.copy2(path, other)
        other.replace(path)
    elif how == "touched":
        os.utime(path, ns=(1, 1))
    elif how == "cut":
        os.truncate(path, path.stat().st_size - 1)
    elif how == "gone":
        path.unlink()
    if how in ("cut", "gone"):
        with pytest.raises(DataFileError):
            once.again(path, outlines=ANNOTATIONS)
    else:
        assert once.again(path, outlines=ANNOTATIONS) is not kept


def test_a_file_that_cannot_be_read_is_not_kept(path: Path) -> None:
    once = ReadOnce(ANNOTATIONS)
    data = path.read_bytes()
    path.write_bytes(data[:100])
    with pytest.raises(DataFileError):
        once.first(path)
    path.write_bytes(data)
    assert len(once.again(path, outlines=ANNOTATIONS))


def test_what_is_forgotten_is_read_anew(path: Path) -> None:
    once = ReadOnce(ANNOTATIONS)
    kept = once.first(path)
    once.forget()
    assert once.again(path, outlines=ANNOTATIONS) is not kept
