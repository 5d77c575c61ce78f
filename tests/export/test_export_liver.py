"""Real slides: a public project of four images of 6 to 10 Gpx against QuPath's own answer.

The project lies beside the sources where it is kept, and not in them.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import LIVER, hash_tree

from qpmask import export_masks, export_options
from qpmask.geometry import TileGrid
from qpmask.ometiff.reader import MaskFile

ANSWER = LIVER.with_name("liver-0.7.0.expected.json")
pytestmark = pytest.mark.skipif(not ANSWER.exists(), reason=f"there is no {ANSWER}")


def answer() -> dict[str, dict[str, Any]]:
    """QuPath's answer by entry id."""
    return {str(row["id"]): row for row in json.loads(ANSWER.read_text())}


def tile_hash(path: Path) -> tuple[str, str]:
    """SHA-256 over all tiles of 512, and the pixels of each label, as QuPath's answer has them."""
    digest = hashlib.sha256()
    counts: dict[int, int] = {}
    with MaskFile(path) as mask:
        grid = TileGrid(mask.size, 512)
        for row, col, pixels in mask.iter_tiles(0):
            shape = grid.shape(row, col)
            if isinstance(pixels, int):
                counts[pixels] = counts.get(pixels, 0) + shape[0] * shape[1]
                digest.update(bytes([pixels]) * (shape[0] * shape[1]))
            else:
                for label, n in enumerate(np.bincount(pixels.ravel()).tolist()):
                    counts[label] = counts.get(label, 0) + n
                digest.update(np.ascontiguousarray(pixels))
    return digest.hexdigest(), " ".join(f"{k}:{n}" for k, n in sorted(counts.items()) if n)


def check(tmp_path: Path, engine: Any, ids: tuple[str, ...]) -> None:
    before = hash_tree(LIVER)
    report = export_masks(
        LIVER, tmp_path / "m", {"TISSUE": 1}, export_options(engine=engine, images=ids)
    )
    assert report.ok, [r.error for r in report]
    for record in report:
        expected = answer()[record.entry_id]
        assert (record.width_px, record.height_px) == (expected["w"], expected["h"])
        assert record.slide == "missing"
        found = tile_hash(tmp_path / "m" / str(record.mask))
        assert found == (expected["sha256"], expected["counts"]), record.image
    assert hash_tree(LIVER) == before


def test_native_one_slide(tmp_path: Path) -> None:
    check(tmp_path, "native", ("1",))


@pytest.mark.slow
def test_native(tmp_path: Path) -> None:
    check(tmp_path, "native", tuple(answer()))


@pytest.mark.slow
@pytest.mark.qupath
def test_qupath(qupath: object, tmp_path: Path) -> None:
    """One slide of the four: QuPath takes a minute or more for each."""
    check(tmp_path, "qupath", ("1",))
