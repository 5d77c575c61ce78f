"""The labels that a viewport shows: the mask's own, and only tiles that are needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mask_files import Layout, blobs, layouts, write, write_foreign

from qpmask.errors import MaskError
from qpmask.geometry import Size
from qpmask.mask import open_mask
from qpmask.ometiff.reader import MaskFile
from qpmask.viewer import sampling
from qpmask.viewer.sampling import Sampler
from qpmask.viewer.viewport import Viewport, picture_viewport


@pytest.fixture
def mask_path(tmp_path: Path) -> Path:
    path = tmp_path / "mask.ome.tif"
    write(path, blobs(300, 500))
    return path


@pytest.mark.parametrize("downsample", [1, 2, 4, 8])
@pytest.mark.parametrize("corner", [(0, 0), (64, 16)])
def test_a_picture_is_every_so_many_pixels(
    mask_path: Path, downsample: int, corner: tuple[int, int]
) -> None:
    base = blobs(300, 500)
    x, y = corner
    with open_mask(mask_path) as mask:
        view = picture_viewport(Size(500, 300), (x, y, 200, 100), downsample)
        sample = Sampler(mask).sample(view)
    expected = base[y : y + 100 : downsample, x : x + 200 : downsample]
    np.testing.assert_array_equal(sample.labels, expected)
    assert sample.labels_inside.shape == expected.shape


def test_magnified_pixels_are_squares(mask_path: Path) -> None:
    base = blobs(300, 500)[50:60, 70:90]
    with open_mask(mask_path) as mask:
        view = picture_viewport(Size(500, 300), (70, 50, 20, 10), 0.25)
        sample = Sampler(mask).sample(view)
    np.testing.assert_array_equal(sample.labels, base.repeat(4, 0).repeat(4, 1))


def test_beside_the_mask_there_is_nothing(mask_path: Path) -> None:
    base = blobs(300, 500)
    with open_mask(mask_path) as mask:
        sample = Sampler(mask).sample(Viewport(-10, -20, 1, Size(600, 400)))
        assert sample.inside == (slice(20, 320), slice(10, 510))
        np.testing.assert_array_equal(sample.labels_inside, base)
        around = sample.labels.copy()
        around[sample.inside] = 0
        assert not around.any()
        nowhere = Sampler(mask).sample(Viewport(600, 0, 1, Size(10, 10)))
    assert nowhere.labels_inside.size == 0
    assert not nowhere.labels.any()


@settings(max_examples=60)
@given(
    layouts(),
    st.floats(-50, 200),
    st.floats(-50, 200),
    st.one_of(st.sampled_from([1.0, 2.0, 3.0]), st.floats(0.05, 40)),
    st.integers(1, 60),
    st.integers(1, 60),
)
def test_any_view_of_any_mask_shows_labels_from_where_it_looks(
    tmp_path: Path, layout: Layout, x: float, y: float, downsample: float, width: int, height: int
) -> None:
    path = tmp_path / "mask.tif"
    base = layout.write(path)
    with open_mask(path) as mask:
        sample = Sampler(mask).sample(Viewport(x, y, downsample, Size(width, height)))
    assert sample.labels.shape == (height, width)
    assert sample.labels.dtype == base.dtype
    rows, cols = sample.inside
    reach = max(2, int(downsample) + 2)  # a level's pixel stands for as many of level 0
    for i in range(rows.start, rows.stop):
        for j in range(cols.start, cols.stop):
            at_y, at_x = int(y + i * downsample), int(x + j * downsample)
            near = base[max(0, at_y - reach) : at_y + reach, max(0, at_x - reach) : at_x + reach]
            assert sample.labels[i, j] in near


def test_the_label_under_the_mouse_is_that_of_full_resolution(mask_path: Path) -> None:
    base = blobs(300, 500)
    with open_mask(mask_path) as mask:
        sampler = Sampler(mask)
        for x, y in ((0, 0), (499, 299), (123, 45), (64, 63)):
            assert sampler.label_at(x, y) == base[y, x]
        for x, y in ((-1, 0), (0, -1), (500, 0), (0, 300)):
            assert sampler.label_at(x, y) is None


def test_only_tiles_that_are_shown_are_read(
    mask_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All other tiles may as well be damaged."""
    raw = bytearray(mask_path.read_bytes())
    with MaskFile(mask_path) as file:
        offsets, counts = file.segments(0)
        needed = {int(offsets[row * 8 + col]) for row in (0, 1) for col in (0, 1)}
        for offset, count in zip(offsets.tolist(), counts.tolist(), strict=True):
            if offset not in needed:
                raw[offset : offset + count] = bytes(count)
    mask_path.write_bytes(raw)
    with open_mask(mask_path) as mask:
        sampler = Sampler(mask)
        shown = sampler.sample(Viewport(10, 10, 1, Size(118, 118)))
        np.testing.assert_array_equal(shown.labels, blobs(300, 500)[10:128, 10:128])
        with pytest.raises(MaskError, match="row"):
            sampler.sample(Viewport(10, 10, 1, Size(490, 290)))


def test_a_mask_of_one_level_is_read_as_a_whole_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "_OVERVIEW_PX", 100)
    monkeypatch.setattr(sampling, "_MANY_TILES", 10)
    path = tmp_path / "mask.tif"
    base = blobs(300, 500)
    write_foreign(path, base, n_levels=1)
    reads: list[Any] = []
    with open_mask(path) as mask:
        sampler = Sampler(mask)
        region = mask.region
        monkeypatch.setattr(mask, "region", lambda *a, **k: (reads.append(a), region(*a, **k))[1])
        first = sampler.sample(picture_viewport(Size(500, 300), downsample=5))
        np.testing.assert_array_equal(first.labels, base[::5, ::5])
        assert len(reads) == 1
        moved = sampler.sample(Viewport(50, 50, 10, Size(20, 20)))
        np.testing.assert_array_equal(moved.labels, base[50:250:10, 50:250:10])
        assert len(reads) == 1
        close = sampler.sample(Viewport(50, 50, 1, Size(20, 20)))
        np.testing.assert_array_equal(close.labels, base[50:70, 50:70])
        assert len(reads) == 2
