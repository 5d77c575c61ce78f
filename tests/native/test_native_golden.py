"""Masks that QuPath 0.6.0 made, kept in data/goldens.npz: the parity proof without a QuPath."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from native.native_judge import Drawing, to_shapes

from qpmask.engines.native.plane import Plane, PlaneOptions
from qpmask.engines.native.shapes import Kind
from qpmask.geometry import Size

GOLDENS = Path(__file__).parent / "data" / "goldens.npz"


def _load() -> list[tuple[dict[str, Any], np.ndarray]]:
    with np.load(GOLDENS) as file:
        cases = json.loads(file["cases"].tobytes())
        return [(case, file[f"mask_{i}"]) for i, case in enumerate(cases)]


CASES = _load()


@pytest.mark.parametrize("number", range(len(CASES)))
def test_golden_mask(number: int) -> None:
    case, mask = CASES[number]
    drawings = [Drawing(Kind(kind), label, data) for kind, label, data in case["drawings"]]
    options = PlaneOptions(Size(*case["image"]), **case["options"])
    plane = Plane(to_shapes(drawings, case["labels"]), options)
    tile_px = options.tile_px
    row0, col0 = case["window"]
    for row, col in plane.tile_grid:
        if row < row0 or col < col0:
            continue
        y, x = (row - row0) * tile_px, (col - col0) * tile_px
        height, width = plane.tile_grid.shape(row, col)
        theirs = mask[y : y + height, x : x + width]
        ours = np.broadcast_to(plane.tile(row, col), theirs.shape)
        np.testing.assert_array_equal(ours, theirs, err_msg=f"tile {row}, {col}")


def test_goldens_are_worth_comparing() -> None:
    assert all(len(np.unique(mask)) >= 3 for _, mask in CASES)
    kinds = {kind for case, _ in CASES for kind, _, _ in case["drawings"]}
    assert kinds == {int(kind) for kind in Kind}
    assert GOLDENS.stat().st_size < 300_000
