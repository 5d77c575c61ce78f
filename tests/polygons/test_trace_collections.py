"""Collections of masks as polygons: each mask whole, whatever lies upon it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import Cli
from polygons.drawing import drawn

import qpmask
from qpmask import MaskCollection
from qpmask.geometry import Size
from qpmask.imageobjects import ObjectKind

SHAPE = (700, 900)


def masks() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    rows, cols = np.mgrid[: SHAPE[0], : SHAPE[1]]
    tissue = (rows - 350) ** 2 + (cols - 400) ** 2 < 300**2
    tumor = (rows - 300) ** 2 + (cols - 500) ** 2 < 90**2
    tumor[rng.random(SHAPE) < 0.002] = True
    cells = np.zeros(SHAPE, np.uint16)
    cells[100:110, 100:104], cells[110:120, 100:104], cells[690:, 890:] = 7, 40_000, 9
    return {"Tissue": tissue, "Tumor": tumor, "nothing": tissue & False, "cells": cells}


@pytest.fixture(params=[".ozx", ".zarr"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"Prostate A{request.param}"
    with MaskCollection(path, "w", shape=SHAPE, mpp=0.5) as collection:
        for name, mask in masks().items():
            collection.add(name, mask, color=(1, 2, 3))
    return path


def test_each_mask_comes_back_whole(path: Path) -> None:
    table = qpmask.trace(path)
    names = [c.name for c in table.classes]
    assert sorted(names) == ["Tissue", "Tumor", "cells"]
    size = Size(SHAPE[1], SHAPE[0])
    for name in names:
        mine = qpmask.trace(path, classes=[name])
        found = drawn(mine, np.ones(len(mine), np.uint32), size)
        np.testing.assert_array_equal(found != 0, masks()[name] != 0)
    of_cells = table.kind == ObjectKind.DETECTION
    assert of_cells.sum() == 3  # those that touch are two


def test_some_of_them_and_one(path: Path) -> None:
    assert [c.name for c in qpmask.trace(path, classes=["Tumor"]).classes] == ["Tumor"]
    with qpmask.open_mask(path) as mask:
        assert [c.name for c in qpmask.trace(mask.plane("Tissue")).classes] == ["Tissue"]
    with pytest.raises(qpmask.QpmaskError, match="Tumour"):
        qpmask.trace(path, classes=["Tumour"])


def test_on_the_command_line(path: Path, qpmask_cli: Cli, demo: Path, tmp_path: Path) -> None:
    code, _, said = qpmask_cli("polygons", path, "-o", "a.geojson")
    assert code == 0, said
    n = len(json.loads((tmp_path / "a.geojson").read_text())["features"])
    assert "skipped" in qpmask_cli("polygons", path.parent, "-o", "a.geojson")[1]
    command = ("import", path, "-p", demo, "--downsample", "2", "--engine", "native", "--force")
    code, shown, said = qpmask_cli(*command)
    assert code == 0, said
    assert f"{n:,}" in shown
