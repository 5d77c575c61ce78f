"""The data file of a single image is parsed for its plan, and not again for its drawing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import qpmask
from qpmask.imageobjects import NO_OUTLINES, ImageObjects, Outlines
from qpmask.qpdata import read_qpdata


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The data files that are parsed."""
    paths: list[Path] = []

    def noted(path: Path, **options: Any) -> ImageObjects:
        paths.append(path)
        return read_qpdata(path, **options)

    for module in ("project.readonce", "project.inventory", "engines.native.engine"):
        monkeypatch.setattr(f"qpmask.{module}.read_qpdata", noted)
    return paths


def masks(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.tif"))}


def test_one_image_is_parsed_once(
    demo: Path, tmp_path: Path, read: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qpmask.outputs.files._SETTLED_NS", 0)
    images = qpmask.open_project(demo).images
    names = [image.name for image in images]
    everything = qpmask.export_options(engine="native")
    qpmask.export_masks(demo, tmp_path / "all", options=everything)
    assert len(read) == 2 * len(names)
    read.clear()
    classes = tmp_path / "all" / "classes.yaml"
    one = qpmask.export_options(engine="native", images=[names[0]])
    qpmask.export_masks(demo, tmp_path / "one", classes, options=one)
    assert len(read) == 1
    made, expected = masks(tmp_path / "one"), masks(tmp_path / "all")
    assert len(made) == 1 and made.items() <= expected.items()


def test_memory_that_is_lacking_fails_the_image_and_not_its_plan(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(path: Path, *, outlines: Outlines) -> ImageObjects:
        if outlines != NO_OUTLINES:
            raise MemoryError
        return read_qpdata(path, outlines=outlines)

    for module in ("project.readonce", "engines.native.engine"):
        monkeypatch.setattr(f"qpmask.{module}.read_qpdata", lacking)
    name = qpmask.open_project(demo).images[0].name
    options = qpmask.export_options(engine="native", images=[name])
    (record,) = qpmask.export_masks(demo, tmp_path / "m", options=options)
    assert record.status == "failed" and "memory" in str(record.error)
