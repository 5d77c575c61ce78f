"""The classes of a mask: where they are, how many pixels they have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import basic_indices
from mask_files import BASE, Layout, blobs, layouts, write, write_foreign
from ometiff.mask_samples import AWKWARD_NAME, histogram

from qpmask.errors import OptionsError
from qpmask.geometry import PixelSize, Size
from qpmask.mask import BinaryMask, Mask, open_mask
from qpmask.ometiff import ClassRow, MaskLayout, MaskMetadata, write_mask
from qpmask.ometiff.segmentfile import SegmentFile


@settings(max_examples=60)
@given(layouts(), st.lists(st.integers(0, 255), min_size=1, max_size=6), st.data())
def test_binary_is_the_mask_compared(
    tmp_path: Path, layout: Layout, labels: list[int], data: st.DataObject
) -> None:
    base = layout.write(tmp_path / "x.tif")
    present = np.unique(base).tolist()
    labels += data.draw(st.lists(st.sampled_from(present), max_size=3))
    expected = np.isin(base, labels)
    with open_mask(tmp_path / "x.tif") as mask:
        binary = mask.binary(*labels)
        assert isinstance(binary, BinaryMask) and binary.dtype == bool
        assert (binary.shape, binary.levels) == (mask.shape, mask.levels)
        key = data.draw(basic_indices(base.shape))
        found = binary[key]
        assert found.dtype == bool and np.array_equal(found, expected[key])
        assert np.array_equal(np.asarray(binary), expected)
        assert np.array_equal(binary.thumbnail(20), np.isin(mask.thumbnail(20), labels))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
@pytest.mark.parametrize("n_labels", [1, 3, 4, 7])
def test_binary_of_few_and_of_many_labels(tmp_path: Path, dtype: str, n_labels: int) -> None:
    base = np.random.default_rng(0).integers(0, 10, (50, 60)).astype(dtype) * 25
    write_foreign(tmp_path / "x.tif", base)
    labels = [225, 0, 50, 100, 150, 75, 175][:n_labels]
    with open_mask(tmp_path / "x.tif") as mask:
        assert np.array_equal(mask.binary(*labels)[:], np.isin(base, labels))


def test_binary_by_name(mask: Mask) -> None:
    tumor = mask.binary(AWKWARD_NAME, "Stroma")
    assert tumor.labels == (1, 2)
    assert np.array_equal(tumor[50:150, ::3], np.isin(BASE, [1, 2])[50:150, ::3])
    assert np.array_equal(tumor.region(0, 0, 330, 200, 2), np.isin(BASE, [1, 2])[::2, ::2])
    assert tumor.region(-5, 0, 10, 10, fill=1)[:, :5].all()
    assert not tumor.region(-5, 0, 10, 10, fill=False)[:, :5].any()
    with pytest.raises(OptionsError, match="fill=2"):
        tumor.region(-5, 0, 10, 10, fill=2)
    assert "labels [1, 2]" in repr(tumor)


@settings(max_examples=60)
@given(layouts(), st.data())
def test_counts_and_places_of_labels(tmp_path: Path, layout: Layout, data: st.DataObject) -> None:
    base = layout.write(tmp_path / "x.tif")
    rows, cols = base.shape
    with open_mask(tmp_path / "x.tif") as mask:
        for _ in range(2):  # the second time much is known already
            assert mask.counts() == histogram(base)
            assert mask.present() == tuple(histogram(base))
        x, y = data.draw(st.integers(0, cols - 1)), data.draw(st.integers(0, rows - 1))
        w, h = data.draw(st.integers(1, cols - x)), data.draw(st.integers(1, rows - y))
        assert mask.counts((x, y, w, h)) == histogram(base[y : y + h, x : x + w])
        labels = data.draw(st.lists(st.sampled_from(mask.present()), min_size=1, max_size=3))
        expected = {}
        tile = mask.levels[0].tile
        for top in range(0, rows, tile.height_px):
            for left in range(0, cols, tile.width_px):
                part = base[top : top + tile.height_px, left : left + tile.width_px]
                if np.isin(part, labels).any():
                    expected[left, top] = part
        found = {(t.x_px, t.y_px): t.pixels for t in mask.tiles_with(*labels)}
        assert list(found) == list(expected)  # row by row, too
        assert all(np.array_equal(found[place], expected[place]) for place in found)


def test_areas(tmp_path: Path) -> None:
    base = np.zeros((100, 100), np.uint8)
    base[:30, :50], base[60:80, 60:80] = 1, 7
    classes = (ClassRow(1, "Tumor", (200, 0, 0)), ClassRow(2, "Stroma"))
    write(tmp_path / "x.tif", base, pixel_size=PixelSize(0.5, 2.0), classes=classes)
    with open_mask(tmp_path / "x.tif") as mask:
        rows = [(a.label, a.name, a.n_pixels, a.area_mm2) for a in mask.areas().values()]
        assert rows == [
            (0, "(background)", 8100, pytest.approx(8100e-6)),
            (1, "Tumor", 1500, pytest.approx(1500e-6)),
            (2, "Stroma", 0, 0.0),
            (7, "label 7 (no class)", 400, pytest.approx(400e-6)),
        ]
        assert {k: a.n_pixels for k, a in mask.areas((50, 0, 50, 70)).items()} == {
            0: 3500 - 10 * 20, 1: 0, 2: 0, 7: 200
        }  # fmt: skip
        assert mask.present((0, 0, 50, 30)) == (1,)


@pytest.mark.parametrize("region", [(0, 0, 5), 5, (0, 0, 5.5, 5), "abcd", (0, 0, 331, 5)])
def test_counting_in_regions_that_make_no_sense(mask: Mask, region: Any) -> None:
    for count in (mask.counts, mask.areas, mask.present):
        with pytest.raises(OptionsError, match="region"):
            count(region)


def test_tiles_with_can_be_left_early(mask: Mask) -> None:
    tiles = mask.tiles_with("Stroma", 0)
    first = next(iter(tiles))
    first.pixels[:] = 77
    assert np.array_equal(mask[:], BASE)


def test_tiles_that_share_bytes_are_decoded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.tif"
    size = Size(64 * 40, 64 * 40)
    layout = MaskLayout(size, 64, pyramid=False)
    odd = blobs(64, 64)
    tiles = [odd if i % 3 == 0 else i % 3 - 1 for i in range(1600)]
    write_mask(path, layout, MaskMetadata("x", size), tiles)
    n_decoded = 0
    decode = SegmentFile.read

    def counting(*args: Any) -> bytes:
        nonlocal n_decoded
        n_decoded += 1
        return decode(*args)

    monkeypatch.setattr(SegmentFile, "read", counting)
    with open_mask(path) as mask:
        mask._threads = 1  # two may decode the same tile at the same moment
        assert sum(mask.counts().values()) == size.area_px
        assert n_decoded == 3
        for _ in range(2):
            assert sum(1 for _ in mask.tiles_with(1)) == sum(
                1 for tile in tiles if np.any(np.asarray(tile) == 1)
            )
            assert n_decoded == 4  # the mixed one is kept the second time
