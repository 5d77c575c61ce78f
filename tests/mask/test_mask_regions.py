"""Indexing and regions: equal to slicing an array."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import basic_indices
from mask_files import BASE, Layout, blobs, layouts, write

from qpmask.errors import MaskError, OptionsError, OutsideMaskError, QpmaskError
from qpmask.geometry import Size
from qpmask.mask import Mask, open_mask
from qpmask.ometiff import MaskFile


@settings(max_examples=60)
@given(layouts(), st.data())
def test_any_index_is_numpys(tmp_path: Path, layout: Layout, data: st.DataObject) -> None:
    base = layout.write(tmp_path / "x.tif")
    with open_mask(tmp_path / "x.tif") as mask:
        for _ in range(5):
            key = data.draw(basic_indices(base.shape, allow_newaxis=True, max_dims=6))
            expected, found = base[key], mask[key]
            assert type(found) is type(expected)
            assert found.dtype == expected.dtype
            assert found.shape == expected.shape
            assert np.array_equal(found, expected)


def test_results_are_the_callers_own(mask: Mask) -> None:
    for _ in range(2):
        for found in (mask[:], mask[3:90:2, ::-1], mask.region(0, 0, 330, 200), mask.tile(0, 1, 1)):
            assert found.flags.writeable and found.flags.c_contiguous
            found[:] = 99
    assert np.array_equal(mask[:], BASE)
    with pytest.raises(ValueError, match="read-only"):
        mask._file.shared_tile(0, 0, 1, 2)[:] = 1


def test_rows_as_a_loop_has_them(mask: Mask) -> None:
    rows = list(mask)
    assert len(rows) == 200 and np.array_equal(np.stack(rows), BASE)


@pytest.mark.parametrize(
    ("key", "error", "words"),
    [
        (200, IndexError, "row 200 lies outside .* 200 rows"),
        (-201, OutsideMaskError, "row -201"),
        ((0, 330), OutsideMaskError, "column 330"),
        ((0, 0, 0), IndexError, "two axes"),
        ((..., ...), IndexError, "one '...'"),
        (slice(0, 5, 0), OptionsError, "slice of rows .*zero"),
        ((0, slice(0.5, 5)), OptionsError, "slice of columns"),
        ([1, 2], OptionsError, "by a list.* Use integers"),
        (np.array([1, 2]), OptionsError, "by a ndarray"),
        (BASE > 0, OptionsError, "by a ndarray"),
        (True, OptionsError, "by a bool"),
        (1.0, OptionsError, "by a float"),
        ("Tumor", OptionsError, "by a str"),
    ],
)
def test_indices_that_are_refused(mask: Mask, key: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        mask[key]
    assert isinstance(caught.value, QpmaskError)


def expected_region(
    base: np.ndarray, scales: list[int], x: int, y: int, w: int, h: int, d: float
) -> np.ndarray:
    """By the definition, a pixel at a time: every d-th pixel, at the place its level has it."""
    scale = max(s for s in scales if s <= d)
    out = np.empty((math.ceil(h / d - 1e-6), math.ceil(w / d - 1e-6)), base.dtype)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            at_y, at_x = y + math.floor(i * d + 1e-6), x + math.floor(j * d + 1e-6)
            out[i, j] = base[at_y // scale * scale, at_x // scale * scale]
    return out


@settings(max_examples=60)
@given(layouts(), st.data())
def test_any_region(tmp_path: Path, layout: Layout, data: st.DataObject) -> None:
    base = layout.write(tmp_path / "x.tif")
    rows, cols = base.shape
    x, y = data.draw(st.integers(0, cols - 1)), data.draw(st.integers(0, rows - 1))
    w, h = data.draw(st.integers(1, cols - x)), data.draw(st.integers(1, rows - y))
    with open_mask(tmp_path / "x.tif") as mask:
        assert np.array_equal(mask.region(x, y, w, h), base[y : y + h, x : x + w])
        if not layout.is_ours:
            return
        scales = [2**level for level in range(len(mask.levels))]
        assert mask.level_scales == tuple((s, s) for s in scales)
        for d in (2, 4, data.draw(st.floats(1, 40)), data.draw(st.integers(1, 300))):
            found = mask.region(x, y, w, h, downsample=d)
            assert found.dtype == base.dtype
            assert np.array_equal(found, expected_region(base, scales, x, y, w, h, d)), d


@settings(max_examples=60)
@given(st.data())
def test_a_downsampled_region_is_a_slice(path: Path, data: st.DataObject) -> None:
    """Exactly so for powers of two and aligned corners, which is where levels hold the pixels."""
    d = data.draw(st.sampled_from([1, 2, 4, 8, 16]))
    x, y = d * data.draw(st.integers(0, 12)), d * data.draw(st.integers(0, 9))
    w, h = data.draw(st.integers(1, 330 - x)), data.draw(st.integers(1, 200 - y))
    with open_mask(path) as mask:
        expected = BASE[y : y + h : d, x : x + w : d]
        assert np.array_equal(mask.region(x, y, w, h, d), expected)
        assert np.array_equal(mask[y : y + h : d, x : x + w : d], expected)


def test_a_region_comes_from_the_level_that_fits(tmp_path: Path) -> None:
    """Each level took another pixel of the first block, which shows which one was read."""
    path = tmp_path / "x.tif"
    with tifffile.TiffWriter(path) as tif:
        for level in range(4):
            pixels = np.zeros((2000 >> level, 3000 >> level), np.uint8)
            pixels[1000 >> level :] = 7  # an edge in the middle
            pixels[0, 0] = level
            if level == 0:
                pixels[0, 1:4] = 1, 2, 3
            tif.write(pixels, tile=(1024, 1024), subfiletype=int(level > 0), metadata=None)
    with open_mask(path) as mask:
        for d, level in [(1, 0), (1.9, 0), (2, 1), (3.9, 1), (4, 2), (7.99, 2), (8, 3), (99, 3)]:
            assert mask.region(0, 0, 3000, 2000, d)[0, 0] == level
            assert mask.fitting_level(d) == level
        assert mask[::8, ::8][0, 0] == 0


def test_a_fill_that_no_pixel_can_have_is_refused_everywhere(mask: Mask) -> None:
    for fill in (-1, 256, "x", 1.5):
        with pytest.raises(OptionsError, match="fill="):
            mask.region(0, 0, 5, 5, fill=fill)  # type: ignore[arg-type]


def test_advice_can_be_followed(mask: Mask) -> None:
    with pytest.raises(OutsideMaskError) as caught:
        mask.counts((0, 0, 9999, 5))
    assert "fill" not in str(caught.value.hint)
    with pytest.raises(OptionsError) as by_name:
        open_mask(mask.path, plane="Tumor")  # type: ignore[arg-type]
    assert "plane('Tumor')" in str(by_name.value.hint)


def averaged(base: np.ndarray) -> np.ndarray:
    rows, cols = base.shape[0] // 2, base.shape[1] // 2
    return base[: 2 * rows, : 2 * cols].reshape(rows, 2, cols, 2).mean((1, 3)).astype(base.dtype)


@pytest.mark.parametrize("first_mixed", [1, 2, 3, 9])
@pytest.mark.parametrize("compression", ["lzw", None])
def test_averages_of_labels_are_never_returned(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, first_mixed: int, compression: str | None
) -> None:
    path = tmp_path / "x.tif"
    base = blobs(700, 900, n=20) // 3 * 40
    with tifffile.TiffWriter(path) as tif:
        pixels = base
        for level in range(4):
            if level:
                pixels = averaged(pixels) if level >= first_mixed else pixels[::2, ::2]
            tif.write(
                pixels, tile=(64, 64), compression=compression, subfiletype=int(level > 0),
                metadata=None,
            )  # fmt: skip
    labels = set(np.unique(base).tolist())
    with open_mask(path) as mask:
        for d in (1, 2, 4, 8):
            found = mask.region(0, 0, 900, 700, d)
            assert set(np.unique(found).tolist()) <= labels
            assert mask.fitting_level(d) == min({1: 0, 2: 1, 4: 2, 8: 3}[d], first_mixed - 1)
        binary = mask.binary(*labels)
        assert binary.region(0, 0, 900, 700, 8).all()
        assert caplog.text.count("mixes labels") == (first_mixed < 4)


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(0, 4), st.booleans())
def test_scales_are_found_for_sizes_rounded_up_and_down(
    width: int, height: int, k: int, is_up: bool
) -> None:
    from qpmask.geometry.pyramids import scale_of

    s = 2**k
    if max(width, height) < 2 * s:
        return
    w, h = (-(-n // s) if is_up else max(1, n // s) for n in (width, height))
    if max(w, h) >= 64:  # smaller levels have other explanations
        assert scale_of(Size(width, height), Size(w, h)) == (s, s)


def test_a_level_of_any_ratio(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    base = blobs(200, 300)
    ys, xs = np.arange(70) * 200 // 70, np.arange(130) * 300 // 130
    with tifffile.TiffWriter(path) as tif:
        tif.write(base, tile=(32, 32), metadata=None)
        tif.write(base[ys][:, xs], tile=(32, 32), subfiletype=1, metadata=None)
    with open_mask(path) as mask:
        assert mask.level_scales[1] == (300 / 130, 200 / 70)
        found = mask.region(0, 0, 300, 200, 10)
        assert found.shape == (20, 30)
        at_y = (np.arange(20) * 10 / (200 / 70)).astype(int)
        at_x = (np.arange(30) * 10 / (300 / 130)).astype(int)
        assert np.array_equal(found, base[ys][:, xs][at_y][:, at_x])


@settings(max_examples=60)
@given(st.data())
def test_regions_beyond_the_mask(path: Path, data: st.DataObject) -> None:
    x, y = data.draw(st.integers(-50, 380)), data.draw(st.integers(-50, 250))
    w, h = data.draw(st.integers(1, 450)), data.draw(st.integers(1, 300))
    fill = data.draw(st.integers(0, 255))
    d = data.draw(st.sampled_from([1, 2, 5, 7.5]))
    is_inside = x >= 0 and y >= 0 and x + w <= 330 and y + h <= 200
    padded = np.full((1000, 1300), fill, np.uint8)
    padded[400:600, 400:730] = BASE
    with open_mask(path) as mask:
        found = mask.region(x, y, w, h, fill=fill)
        assert np.array_equal(found, padded[400 + y :, 400 + x :][:h, :w])
        smaller = mask.region(x, y, w, h, d, fill=fill)
        assert smaller.shape == (math.ceil(h / d), math.ceil(w / d))
        rows = [0 <= y + math.floor(i * d) < 200 for i in range(smaller.shape[0])]
        cols = [0 <= x + math.floor(j * d) < 330 for j in range(smaller.shape[1])]
        assert (smaller[~np.outer(rows, cols)] == fill).all()
        if is_inside:
            assert np.array_equal(smaller, mask.region(x, y, w, h, d))
        else:
            with pytest.raises(OutsideMaskError, match=r"reaches beyond .*fill=0"):
                mask.region(x, y, w, h, d)


@pytest.mark.parametrize(
    ("args", "options", "words"),
    [
        ((0, 0, 0, 5), {}, "is empty"),
        ((0, 0, 5, -1), {}, "is empty"),
        ((-1, 0, 5, 5), {}, "x -1, y 0 .* reaches beyond"),
        ((2**70, 0, 5, 5), {"fill": 0}, "no sense"),
        ((0.5, 0, 5, 5), {}, "x_px is 0.5"),
        ((0, 0, 5, "5"), {}, "height_px is '5'"),
        ((0, 0, 5, 5), {"downsample": 0.5}, "downsample of 0.5"),
        ((0, 0, 5, 5), {"downsample": math.nan}, "downsample of nan"),
        ((0, 0, 5, 5), {"downsample": math.inf}, "downsample of inf"),
        ((0, 0, 5, 5), {"downsample": "big"}, "downsample of 'big'"),
        ((-1, 0, 5, 5), {"fill": 256}, "fill=256"),
        ((-1, 0, 5, 5), {"fill": -1}, "fill=-1"),
        ((-1, 0, 5, 5), {"fill": 0.5}, "fill=0.5"),
    ],
)
def test_regions_that_make_no_sense(
    mask: Mask, args: Any, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(OptionsError, match=words):
        mask.region(*args, **options)


@pytest.mark.parametrize("max_px", [1, 7, 42, 100, 165, 329, 330, 1000])
def test_thumbnails(mask: Mask, max_px: int) -> None:
    found = mask.thumbnail(max_px)
    assert max(found.shape) <= max_px
    assert max(found.shape) >= min(330, max_px) - 1
    assert set(np.unique(found)) <= set(np.unique(BASE))
    if max_px in (42, 165, 330):
        step = {42: 8, 165: 2, 330: 1}[max_px]
        if step < 8:
            assert np.array_equal(found, BASE[::step, ::step])
    with pytest.raises(OptionsError):
        mask.thumbnail(0)


def test_only_the_tiles_that_are_touched_are_read(path: Path, tmp_path: Path) -> None:
    """All tiles but one are damaged, and nobody notices who does not ask for them."""
    damaged = tmp_path / "x.tif"
    base = np.random.default_rng(0).integers(0, 9, (200, 330), np.uint8)
    write(damaged, base, tile_px=64, pyramid=False)
    with MaskFile(damaged) as file:
        offsets, bytecounts = file.segments()
    content = bytearray(damaged.read_bytes())
    kept = 1 * 6 + 2
    for i, (offset, n_bytes) in enumerate(zip(offsets.tolist(), bytecounts.tolist(), strict=True)):
        if i != kept:
            content[offset : offset + n_bytes] = b"\xff" * n_bytes
    damaged.write_bytes(content)
    with open_mask(damaged) as mask:
        for key in (np.s_[64:128, 128:192], np.s_[127:63:-3, 191], np.s_[100::200, 130::400]):
            assert np.array_equal(mask[key], base[key])
        assert mask.region(128, 64, 64, 64).shape == (64, 64)
        assert mask.present((130, 70, 5, 5)) == tuple(np.unique(base[70:75, 130:135]))
        for read in (
            lambda: mask[63, 128], lambda: mask[:], lambda: mask.region(128, 64, 65, 64),
            mask.areas, mask.thumbnail, lambda: list(mask.tiles_with(1)),
            lambda: mask.binary(1)[0, 0], lambda: mask.present((127, 64, 5, 5)),
        ):  # fmt: skip
            with pytest.raises(MaskError, match=r"row \d, column \d .*cannot be used"):
                read()
