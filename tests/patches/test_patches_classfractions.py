"""Classes of cells, counted from runs, are those that counting pixels gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mask_files import Layout, blobs, layouts, write

from qpmask.errors import MaskError
from qpmask.ometiff.reader import MaskFile
from qpmask.ometiff.runs import TileRuns
from qpmask.patches.classfractions import Axis, class_areas
from qpmask.patches.table import majority_of


def axis(start: np.ndarray, size: float) -> Axis:
    return Axis(np.asarray(start, float), np.asarray(start, float) + size)


def counted(labels: np.ndarray, values: list[int], x: np.ndarray, y: np.ndarray, size: int):
    out = np.zeros((len(y), len(x), len(values)))
    for j, top in enumerate(y.tolist()):
        for i, left in enumerate(x.tolist()):
            cell = labels[max(0, top) : max(0, top + size), max(0, left) : max(0, left + size)]
            out[j, i] = [np.count_nonzero(cell == v) for v in values]
    return out


@settings(max_examples=40)
@given(layouts(), st.integers(1, 120), st.integers(1, 150), st.integers(-40, 40))
def test_any_mask_any_cells(
    tmp_path: Path, layout: Layout, step: int, size: int, first: int
) -> None:
    path = tmp_path / "mask.tif"
    labels = layout.write(path)
    values = [*np.unique(labels[labels > 0])[::-1].tolist(), 77]
    x, y = np.arange(first, labels.shape[1] + 30, step), np.arange(0, labels.shape[0] + 30, step)
    with MaskFile(path) as mask:
        found = class_areas(mask, values, axis(x, size), axis(y, size))
        together = class_areas(mask, None, axis(x, size), axis(y, size))
    expected = counted(labels, values, x, y, size)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(together[:, :, 0], expected.sum(axis=2))


@pytest.mark.parametrize("scale", [2, 4, 7])
def test_a_mask_with_a_downsample(tmp_path: Path, scale: int) -> None:
    """Cells that cut a pixel of the mask get their share of it."""
    labels = blobs(60, 90)
    path = tmp_path / "mask.tif"
    write(path, labels, tile_px=16)
    full = labels.repeat(scale, 0).repeat(scale, 1)
    x, y, size = np.arange(0, full.shape[1], 33), np.arange(0, full.shape[0], 33), 50
    values = [1, 2, 3]
    with MaskFile(path) as mask:
        found = class_areas(
            mask, values, axis(x / scale, size / scale), axis(y / scale, size / scale)
        )
    expected = counted(full, values, x, y, size)
    np.testing.assert_allclose(found * scale**2, expected, atol=1e-6)


def test_backwards_and_in_bands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mirrored images have cells from right to left; little memory makes bands."""
    from qpmask.patches import classfractions

    labels = blobs(150, 210)
    path = tmp_path / "mask.tif"
    write(path, labels, tile_px=32)
    x, y = np.arange(190, -20, -17), np.arange(140, -20, -19)
    expected = counted(labels, [1, 2], x, y, 40)
    for n_bytes in (1, 2000, 1 << 30):
        monkeypatch.setattr(classfractions, "_TABLE_BYTES", n_bytes)
        with MaskFile(path) as mask:
            found = class_areas(mask, [1, 2], axis(x, 40), axis(y, 40))
        np.testing.assert_array_equal(found, expected)


def test_tiles_never_become_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = blobs(300, 400)
    path = tmp_path / "mask.tif"
    write(path, labels, tile_px=32)

    def refuse(*args: object) -> None:
        raise AssertionError("a tile was made into pixels")

    monkeypatch.setattr(TileRuns, "tile", refuse)
    monkeypatch.setattr(TileRuns, "__iter__", refuse)
    x, y = np.arange(0, 400, 50), np.arange(0, 300, 50)
    with MaskFile(path) as mask:
        found = class_areas(mask, [1, 2, 3], axis(x, 50), axis(y, 50))
    np.testing.assert_array_equal(found, counted(labels, [1, 2, 3], x, y, 50))


def test_cells_beside_the_mask_are_empty(tmp_path: Path) -> None:
    path = tmp_path / "mask.tif"
    write(path, np.ones((50, 50), np.uint8), tile_px=32)
    with MaskFile(path) as mask:
        assert not class_areas(mask, [1], axis([60, 500], 20), axis([0, 10], 20)).any()
        assert not class_areas(mask, [1], axis([-60, -20], 20), axis([0, 10], 20)).any()
        assert class_areas(mask, [1], axis([], 20), axis([0], 20)).shape == (1, 0, 1)


def test_a_damaged_tile_is_an_error_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "mask.tif"
    write(path, blobs(200, 200), tile_px=64)
    with MaskFile(path) as mask:
        offsets, lengths = mask.segments()
    k = int(np.argmax(lengths))
    raw = bytearray(path.read_bytes())
    raw[offsets[k] : offsets[k] + lengths[k]] = bytes(int(lengths[k]))
    path.write_bytes(raw)
    row, col = divmod(k, 4)
    with (
        MaskFile(path) as mask,
        pytest.raises(MaskError, match=rf"\({col * 64}, {row * 64}\) cannot be read"),
    ):
        class_areas(mask, [1], axis([0], 200), axis([0], 200))


def test_the_majority() -> None:
    areas = np.array([[5, 5, 0], [0, 0, 0], [1, 2, 7], [4, 5, 0], [5.0, 5.0, 5.0]])
    values = np.array([3, 2, 9], np.int32)
    assert majority_of(areas, values, 0).tolist() == [2, 0, 9, 2, 2], "equal: the smaller label"
    assert majority_of(areas, values, 6).tolist() == [0, 0, 9, 0, 0]
    assert majority_of(areas, values, 5).tolist() == [2, 0, 9, 2, 2]
    assert majority_of(np.zeros((2, 0)), np.zeros(0, np.int32), 0).tolist() == [0, 0]
