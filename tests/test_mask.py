from __future__ import annotations

import gc
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import basic_indices
from mask_files import CLASSES, Layout, blobs, foreign_level, layouts, write, write_foreign
from ometiff.mask_samples import AWKWARD_NAME, PIXEL_SIZE, damaged, histogram

import qpmask
from qpmask.errors import MaskError, NoSuchClassError, OptionsError, OutsideMaskError, QpmaskError
from qpmask.geometry import PixelSize, Size
from qpmask.mask import BinaryMask, Mask, open_mask
from qpmask.ometiff import ClassRow, MaskFile, MaskLayout, MaskMetadata, write_mask
from qpmask.ometiff.segmentfile import SegmentFile

BASE = blobs(200, 330)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mask") / "m.ome.tif"
    write(path, BASE, tile_px=64)
    return path


@pytest.fixture
def mask(path: Path) -> Any:
    with open_mask(path) as mask:
        yield mask


# --- what it is -------------------------------------------------------------------------------


def test_what_it_says_about_itself(path: Path) -> None:
    with qpmask.open_mask(str(path)) as mask:
        assert isinstance(mask, qpmask.Mask)
        assert mask.path == path
        assert (mask.shape, mask.ndim, mask.size, len(mask)) == ((200, 330), 2, 66000, 200)
        assert (mask.dtype, mask.nbytes) == (np.uint8, 66000)
        assert [level.size for level in mask.levels] == [
            Size(330, 200), Size(165, 100), Size(83, 50), Size(42, 25)
        ]  # fmt: skip
        assert mask.levels[3].tile == Size(64, 64)
        assert mask.level_scales == ((1, 1), (2, 2), (4, 4), (8, 8))
        assert mask.mpp == (0.2527, 0.25)
        assert mask.pixel_size == PIXEL_SIZE
        assert dict(mask.classes) == {row.label: row for row in CLASSES}
        assert mask.metadata is not None and mask.metadata.name == "a mask"
        assert "m.ome.tif of 200 rows x 330 columns, uint8, 4 levels, 4 classes" in repr(mask)
        with pytest.raises(TypeError):
            mask.classes[9] = CLASSES[0]  # type: ignore[index]


def test_names_of_labels(mask: Mask) -> None:
    assert [mask.name_of(label) for label in (0, 1, 2, 7)] == [
        "(background)", AWKWARD_NAME, "Stroma", "label 7 (no class)"
    ]  # fmt: skip
    assert mask.labels_of("Stroma", 200, "Necrosis: late", 2, np.uint8(9)) == (2, 200, 3, 9)


def test_classes_that_are_not_there(mask: Mask) -> None:
    with pytest.raises(NoSuchClassError, match=r"no class 'stroma'.* mean 'Stroma'\?"):
        mask.binary("stroma")
    with pytest.raises(LookupError, match=r"Classes of this file: .*'Stroma', 'Necrosis: late'"):
        mask.tiles_with("Xylophone")
    for label in (-1, 256):
        with pytest.raises(NoSuchClassError, match=f"no label {label}"):
            mask.binary(label)
    with pytest.raises(OptionsError, match=r"not 1\.5"):
        mask.binary(1.5)  # type: ignore[arg-type]
    with pytest.raises(OptionsError, match="No class is given"):
        mask.binary()


def test_a_file_that_names_no_class(tmp_path: Path) -> None:
    write_foreign(tmp_path / "x.tif", BASE)
    with open_mask(tmp_path / "x.tif") as mask:
        assert dict(mask.classes) == {} and mask.mpp is None and mask.metadata is None
        with pytest.raises(NoSuchClassError, match="Classes of this file: none"):
            mask.binary("Tumor")
        assert mask.areas()[200].name == "label 200 (no class)"
        assert mask.areas()[200].area_mm2 is None


@pytest.mark.parametrize(
    ("resolution", "unit", "mpp"),
    [
        ((40000, 20000), "CENTIMETER", (0.25, 0.5)),
        ((50800, 50800), "INCH", (0.5, 0.5)),
        ((300, 300), "INCH", None),  # a printer's
        ((10, 10), "CENTIMETER", None),  # what libvips writes if it knows nothing
        ((4, 4), "NONE", None),
        ((0, 0), "CENTIMETER", None),  # as QuPath has it for a slide without a pixel size
    ],
)
def test_pixel_size_from_the_resolution(
    tmp_path: Path, resolution: Any, unit: str, mpp: tuple[float, float] | None
) -> None:
    path = tmp_path / "x.tif"
    write_foreign(path, BASE, resolution=resolution, resolutionunit=unit)
    with open_mask(path) as mask:
        assert mask.mpp == (None if mpp is None else pytest.approx(mpp))


# --- indexing and regions ---------------------------------------------------------------------


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
    """Levels that lie about their base show which one was read."""
    path = tmp_path / "x.tif"
    with tifffile.TiffWriter(path) as tif:
        for level in range(4):
            pixels = np.full((200 >> level, 300 >> level), level, np.uint8)
            tif.write(pixels, tile=(32, 32), subfiletype=int(level > 0), metadata=None)
    with open_mask(path) as mask:
        for d, level in [(1, 0), (1.9, 0), (2, 1), (3.9, 1), (4, 2), (7.99, 2), (8, 3), (99, 3)]:
            assert mask.region(0, 0, 300, 200, d).max() == level
            assert mask.region(0, 0, 300, 200, d).min() == level
        assert (mask[::8, ::8] == 0).all()


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(0, 4), st.booleans())
def test_scales_are_found_for_sizes_rounded_up_and_down(
    width: int, height: int, k: int, is_up: bool
) -> None:
    from qpmask.mask.scaling import scale_of

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
    padded = np.full((1000, 1200), fill, np.uint8)
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


# --- classes ----------------------------------------------------------------------------------


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
        assert sum(mask.counts().values()) == size.area_px
        assert n_decoded == 3
        for _ in range(2):
            assert sum(1 for _ in mask.tiles_with(1)) == sum(
                1 for tile in tiles if np.any(np.asarray(tile) == 1)
            )
            assert n_decoded == 4  # the mixed one is kept the second time


# --- as an array ------------------------------------------------------------------------------


def test_as_an_array(mask: Mask) -> None:
    assert np.array_equal(np.asarray(mask), BASE)
    assert np.asarray(mask, np.int64).dtype == np.int64
    assert np.array_equal(np.array(mask, copy=True), BASE)
    assert np.array_equal(np.unique(mask), np.unique(BASE))
    with pytest.raises(ValueError, match="without a copy"):
        mask.__array__(copy=False)


def test_a_large_mask_is_not_loaded_in_silence(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    size = Size(32769, 32768)
    layout = MaskLayout(size, 4096)
    write_mask(path, layout, MaskMetadata("x", size), (2 for _ in range(layout.grid.n_tiles)))
    with open_mask(path) as mask:
        assert mask.nbytes > 2**30
        for load in (np.asarray, np.unique, np.asarray):
            with pytest.raises(OptionsError, match=r"1\.1 GB .*region.*dask.*aszarr"):
                load(mask)
        assert mask[32767, -1] == 2
        assert mask.counts() == {2: size.area_px}
        assert mask.thumbnail(100).shape == (100, 100)


# --- planes -----------------------------------------------------------------------------------


def test_planes(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    base = np.stack([blobs(80, 90, seed=i) for i in range(12)])
    write(path, base, size_c=3, size_z=2, size_t=2, channel_names=("A", "B", "C"))
    with open_mask(path) as mask:
        assert (mask.n_planes, mask.plane_number) == (12, 0)
        assert "plane 0 of 12" in repr(mask)
        assert np.array_equal(mask[:], base[0])
        for t in range(2):
            for z in range(2):
                for c, name in enumerate("ABC"):
                    expected = base[c + 3 * (z + 2 * t)]
                    assert np.array_equal(mask.plane(c, z, t)[:], expected)
                    assert np.array_equal(mask.plane(name, z=z, t=t)[:], expected)
                    assert mask.plane(c, z, t).counts() == histogram(expected)
        with pytest.raises(NoSuchClassError, match=r"no channel 'D'.*'A', 'B', 'C'"):
            mask.plane("D")
        with pytest.raises(OptionsError, match=r"no plane z=2.*0 to 1"):
            mask.plane(0, 2)
    with open_mask(path, plane=7) as mask:
        assert np.array_equal(mask[:], base[7])
    for plane in (12, -1):
        with pytest.raises(OptionsError, match=f"no plane {plane}.*0 to 11"):
            open_mask(path, plane=plane)


def test_planes_of_a_multichannel_mask_are_classes(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    base = np.zeros((2, 50, 60), np.uint8)
    base[1, :10] = 255
    write(
        path, base, size_c=2, channel_names=("Stroma", "Tumor"), classes=(),
        extra={"kind": "multichannel"},
    )  # fmt: skip
    with open_mask(path) as mask:
        tumor = mask.plane("Tumor")
        assert dict(tumor.classes) == {255: ClassRow(255, "Tumor")}
        assert tumor.areas()[255].n_pixels == 600
        assert mask.areas()[255].n_pixels == 0
        assert np.array_equal(tumor.binary("Tumor")[:], base[1] > 0)


# --- other programs' files, and damage --------------------------------------------------------


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_files_as_qupath_writes_them(tmp_path: Path, bigtiff: bool, dtype: str) -> None:
    """Big-endian, with a palette, SubIFDs, levels rounded down."""
    base = blobs(203, 331, dtype)
    n_colors = 2 ** (8 * base.dtype.itemsize)
    palette = np.random.default_rng(0).integers(0, 2**16, (3, n_colors), np.uint16)
    path = tmp_path / "x.ome.tif"
    write_foreign(path, base, bigtiff=bigtiff, photometric="palette", colormap=palette)
    with open_mask(path) as mask:
        assert mask.dtype == np.dtype(dtype) and mask.dtype.isnative
        assert mask.level_scales == ((1, 1), (2, 2), (4, 4))
        assert np.array_equal(mask[5:190, ::-1], base[5:190, ::-1])
        for level in (1, 2):
            expected = foreign_level(base, level)
            found = mask.region(0, 0, 331 // 4 * 4, 203 // 4 * 4, 2**level)
            assert np.array_equal(found, expected[: found.shape[0], : found.shape[1]])
        assert mask.counts() == histogram(base)


def test_colours_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    base = np.stack([blobs(100, 150, seed=i) for i in range(3)], axis=-1)
    write_foreign(path, base[:, :, :], photometric="rgb", n_levels=1)
    with pytest.raises(MaskError, match=r"colours \(RGB\), not labels.*plane=0"):
        open_mask(path)
    with open_mask(path, plane=2) as mask:
        assert np.array_equal(mask[:], base[:, :, 2])


def test_files_that_are_no_masks(tmp_path: Path) -> None:
    with pytest.raises(MaskError, match="No such file"):
        open_mask(tmp_path / "missing.tif")
    (tmp_path / "x.tif").write_bytes(b"no TIFF")
    with pytest.raises(MaskError, match="not a TIFF"):
        open_mask(tmp_path / "x.tif")
    tifffile.imwrite(tmp_path / "x.tif", BASE)
    with pytest.raises(MaskError, match=r"strips, not in tiles.*vips"):
        open_mask(tmp_path / "x.tif")
    tifffile.imwrite(tmp_path / "x.tif", BASE.astype(np.float32), tile=(64, 64))
    with pytest.raises(MaskError, match="float32; labels are unsigned integers"):
        open_mask(tmp_path / "x.tif")


@settings(max_examples=60)
@given(st.data())
def test_any_damage_is_our_error_or_harmless(
    tmp_path: Path, path: Path, data: st.DataObject
) -> None:
    content = data.draw(damaged(path.read_bytes()))
    shortest = data.draw(st.sampled_from([100, 1000, len(content) // 2]))
    n_bytes = data.draw(st.integers(shortest, len(content)))
    (tmp_path / "x.tif").write_bytes(content[:n_bytes])
    try:
        with open_mask(tmp_path / "x.tif") as mask:
            if mask.size < 10**7:
                mask.areas()
                mask.thumbnail(50)
                mask[::3]
                list(mask.tiles_with(1))
    except QpmaskError as error:
        assert "x.tif" in str(error)


def test_a_missing_tile_is_never_background(tmp_path: Path, path: Path) -> None:
    content = bytearray(path.read_bytes())
    (n_entries,) = struct.unpack_from("<H", content, 8)
    entries = [10 + 12 * i for i in range(n_entries)]
    at = next(e for e in entries if struct.unpack_from("<H", content, e)[0] == 324)
    (values,) = struct.unpack_from("<L", content, at + 8)
    struct.pack_into("<L", content, values + 4 * 9, 0)
    (tmp_path / "x.tif").write_bytes(content)
    with open_mask(tmp_path / "x.tif") as mask:
        assert np.array_equal(mask[:64], BASE[:64])
        for read in (lambda: mask[:], mask.areas, mask.present, lambda: list(mask.tiles_with(1))):
            with pytest.raises(MaskError, match=r"row 1, column 3 .*missing"):
                read()


# --- life -------------------------------------------------------------------------------------


def test_a_closed_mask(path: Path) -> None:
    mask = open_mask(path)
    mask.areas()
    mask.close()
    mask.close()
    assert mask.shape == (200, 330)
    for read in (
        lambda: mask[:], lambda: mask[0, 0], mask.areas, mask.present, lambda: mask.tiles_with(1),
        mask.thumbnail, lambda: mask.tile(0, 0, 0), lambda: mask.binary(1)[0],
        lambda: mask.counts((0, 0, 1, 1)),
    ):  # fmt: skip
        with pytest.raises(MaskError, match=r"is closed.* Open it again"):
            read()


def test_a_mask_that_is_dropped_closes_its_file_in_silence(path: Path) -> None:
    mask = open_mask(path)
    file = mask._file._segments._file
    del mask
    gc.collect()
    assert file.closed


def test_a_mask_that_cannot_be_used_leaves_no_file_open(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[MaskFile] = []
    init = MaskFile.__init__

    def spy(self: MaskFile, *args: Any, **options: Any) -> None:
        opened.append(self)
        init(self, *args, **options)

    monkeypatch.setattr(MaskFile, "__init__", spy)
    with pytest.raises(OptionsError):
        open_mask(path, plane=5)
    assert [file.is_closed for file in opened] == [True]


def test_a_mask_is_not_compared_as_a_whole(tmp_path: Path) -> None:
    """NumPy would take False for an answer."""
    path = tmp_path / "m.ome.tif"
    write(path, blobs(40, 50))
    with open_mask(path) as mask, open_mask(path) as other:
        for label in (3, np.uint8(3), np.zeros((40, 50)), [1, 2]):
            with pytest.raises(TypeError, match="binary"):
                mask == label  # noqa: B015
        with pytest.raises(TypeError, match="present"):
            3 in mask  # noqa: B015
        assert mask == mask and mask != other and mask is not None
        assert len({mask, other}) == 2
