"""Patches give the slide's pixels, in any way of asking."""

from __future__ import annotations

import pickle
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from patches.patch_slides import place_colors, slide_file
from PIL import Image

from qpmask import make_patches, open_patches, patch_options
from qpmask.errors import OptionsError
from qpmask.geometry import Size
from qpmask.slides import open_slide
from qpmask.slides.manyregions import Region, regions_in_order
from qpmask.slides.openslide_by_tifffile import faster_slide
from qpmask.slides.with_openslide import OpenSlideSlide
from qpmask.slides.with_pillow import ImageSlide

PIXELS = place_colors(300, 460)


def cut(tmp_path: Path, slide: Path, **options) -> Path:
    options = {"patch_size": 64, "target_mpp": 0.5, "tissue": "none", **options}
    report = make_patches(slide, tmp_path / "out", patch_options(**options))
    assert report.ok, [r.error for r in report]
    return tmp_path / "out" / report.records[0].file


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    return slide_file(tmp_path / "a.tif", PIXELS)


def test_pixels_are_the_slides(tmp_path: Path, slide: Path) -> None:
    with open_patches(cut(tmp_path, slide)) as patches:
        assert len(patches) == (460 // 64) * (300 // 64)
        assert (patches.patch_size, patches.mpp) == (64, 0.5)
        assert patches.slide_path == slide
        for i, (x, y) in enumerate(patches.coords.tolist()):
            expected = PIXELS[y : y + 64, x : x + 64]
            np.testing.assert_array_equal(patches.read(i), expected)
        np.testing.assert_array_equal(patches[-1].pixels, patches.read(len(patches) - 1))
        with pytest.raises(IndexError, match="no patch 28"):
            patches.read(28)


def test_beyond_the_slide_is_white_and_its_share_known(tmp_path: Path, slide: Path) -> None:
    with open_patches(cut(tmp_path, slide, edge="pad")) as patches:
        white = np.full((64 * 5, 64 * 8, 3), 255, np.uint8)
        white[:300, :460] = PIXELS
        for i, pixels in enumerate(patches.iter_pixels()):
            x, y = patches.coords[i]
            np.testing.assert_array_equal(pixels, white[y : y + 64, x : x + 64])
            np.testing.assert_array_equal(pixels, patches.read(i))
        last = 1 - (460 - 7 * 64) * (300 - 4 * 64) / 64**2
        assert patches.padded[-1] == pytest.approx(last)
        assert patches.padded[0] == 0


def test_a_level_of_the_right_resolution_is_read_as_it_is(tmp_path: Path) -> None:
    slide = slide_file(tmp_path / "a.tif", PIXELS, levels=2)
    with open_patches(cut(tmp_path, slide, target_mpp=1.0)) as patches:
        assert patches.attributes["patch_level"] == 1
        for i, (x, y) in enumerate(patches.coords.tolist()):
            expected = PIXELS[y : y + 128 : 2, x : x + 128 : 2]
            np.testing.assert_array_equal(patches.read(i), expected)


@pytest.mark.parametrize("mpp", [0.6, 0.77, 1.0, 1.3])
def test_what_is_resampled_shows_its_place(tmp_path: Path, mpp: float) -> None:
    """In a gradient the colour tells the place to a fraction of a pixel."""
    height, width = 300, 460
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, :, 0] = np.linspace(0, 255, width).round()
    pixels[:, :, 1] = np.linspace(0, 255, height).round()[:, None]
    slide = slide_file(tmp_path / "a.tif", pixels, levels=2)
    with open_patches(cut(tmp_path, slide, target_mpp=mpp)) as patches:
        side = patches.patch_size_level0
        assert "patch_level" not in patches.attributes or mpp == 1.0
        for i, found in enumerate(patches.iter_pixels()):
            np.testing.assert_array_equal(found, patches.read(i))
            x, y = patches.coords[i]
            middle = (np.arange(64) + 0.5) * side / 64
            assert np.abs(found[32, 2:-2, 0] - (x + middle[2:-2] - 0.5) * 255 / 459).max() < 1.6
            assert np.abs(found[2:-2, 32, 1] - (y + middle[2:-2] - 0.5) * 255 / 299).max() < 1.6


def test_batches_and_choices(tmp_path: Path, slide: Path) -> None:
    with open_patches(cut(tmp_path, slide, overlap=16)) as patches:
        everything = np.stack(list(patches.iter_pixels(threads=3)))
        seen = np.zeros_like(everything)
        sizes = []
        for rows, batch in patches.iter_batches(10, threads=2):
            seen[rows] = batch
            sizes.append(len(batch))
        np.testing.assert_array_equal(seen, everything)
        assert sizes == [10] * (len(patches) // 10) + [len(patches) % 10]
        rows, batch = next(patches.iter_batches(4, start=7))
        assert rows == slice(7, 11)
        np.testing.assert_array_equal(batch, everything[7:11])
        which = [5, 0, 5, -1]
        np.testing.assert_array_equal(
            np.stack(list(patches.iter_pixels(which=which))), everything[which]
        )
        for given, expected in zip(patches, everything, strict=True):
            np.testing.assert_array_equal(given.pixels, expected)


def test_threads_and_processes_share_it(tmp_path: Path, slide: Path) -> None:
    with open_patches(cut(tmp_path, slide)) as patches:
        expected = [patches.read(i) for i in range(len(patches))]
        with ThreadPoolExecutor(4) as pool:
            for found, pixels in zip(
                pool.map(patches.read, range(len(patches))), expected, strict=True
            ):
                np.testing.assert_array_equal(found, pixels)
        again = pickle.loads(pickle.dumps(patches))
        np.testing.assert_array_equal(again[3].pixels, expected[3])
        again.close()


def test_a_slide_that_moved(tmp_path: Path, slide: Path) -> None:
    path = cut(tmp_path, slide)
    moved = slide.rename(tmp_path / "b.tif")
    with pytest.raises(OptionsError, match=r"is not at .*a\.tif.*slide="):
        open_patches(path).read(0)
    np.testing.assert_array_equal(open_patches(path, moved).read(0), PIXELS[:64, :64])
    beside = moved.rename(path.parent / "a.tif")
    with open_patches(path) as patches:
        assert patches.slide_path == beside
    other = slide_file(tmp_path / "other.tif", PIXELS[:200])
    with pytest.raises(OptionsError, match="460 x 200 pixels, but the patches were cut"):
        open_patches(path, other).read(0)


def test_a_place_that_cannot_be_read_is_named(tmp_path: Path, slide: Path) -> None:
    path = cut(tmp_path, slide)
    broken = slide_file(tmp_path / "b.tif", PIXELS, compression="zlib")
    import tifffile

    with tifffile.TiffFile(broken) as tif:
        offset = tif.pages[0].dataoffsets[9]  # (64, 64)
    raw = bytearray(broken.read_bytes())
    raw[offset : offset + 30] = bytes(30)
    broken.write_bytes(raw)
    with open_patches(path, broken) as patches:
        at = patches.coords.tolist().index([64, 64])
        with pytest.raises(OptionsError, match=r"b\.tif cannot be read at \(64, 64\)"):
            patches.read(at)
        patches.read(0)


def test_files_of_atlaspatch_are_read(tmp_path: Path, slide: Path) -> None:
    """As version 1.0 writes them: five columns, attributes on the file alone."""
    path = tmp_path / "atlas.h5"
    coords = np.array([[0, 0, 64, 64, 0], [128, 64, 64, 64, 0]], np.int32)
    with h5py.File(path, "w") as file:
        file["coords"] = coords
        file.attrs.update(patch_size=64, patch_size_level0=64, mpp=0.5, wsi_path=str(slide))
    with open_patches(path) as patches:
        assert len(patches) == 2 and patches.mpp == 0.5 and patches.classes == ()
        np.testing.assert_array_equal(patches.read(1), PIXELS[64:128, 128:192])
        assert np.isnan(patches.tissue).all()


@pytest.mark.parametrize("content", [b"", b"no HDF5"])
def test_what_is_no_patch_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.h5"
    with pytest.raises(OptionsError, match="no patch file"):
        open_patches(path)
    path.write_bytes(content)
    with pytest.raises(OptionsError, match="cannot be read as HDF5"):
        open_patches(path)
    with h5py.File(path, "w") as file:
        file["features"] = np.zeros(3)
    with pytest.raises(OptionsError, match="not a patch file"):
        open_patches(path)


# --- reading in order -----------------------------------------------------------------------------


class Counting(ImageSlide):
    """A slide of tiles that counts how often each is read."""

    def __init__(self, pixels: np.ndarray, block: Size) -> None:
        super().__init__(pixels)
        self.block = block
        self.reads: Counter[tuple[int, int]] = Counter()

    def block_size(self, level: int) -> Size:
        return self.block

    def read(self, level: int, x_px: int, y_px: int, size: Size) -> np.ndarray:
        self.reads[x_px, y_px] += 1
        return super().read(level, x_px, y_px, size)


@settings(max_examples=30)
@given(
    st.integers(9, 170), st.integers(9, 170), st.integers(1, 90), st.integers(25, 120),
    st.integers(1, 4), st.data(),
)  # fmt: skip
def test_each_tile_is_decoded_once(
    width: int, height: int, size: int, step: int, threads: int, data: st.DataObject
) -> None:
    slide = Counting(PIXELS, Size(width, height))
    regions = [
        Region(x, y, size, size) for y in range(-10, 300, step) for x in range(-10, 460, step)
    ]
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    regions = [r for r in regions if rng.random() < 0.7]
    white = np.full((500, 700, 3), 255, np.uint8)
    white[100:400, 100:560] = PIXELS
    for region, found in zip(
        regions, regions_in_order(slide, 0, regions, lambda i, page: page, threads), strict=True
    ):
        x, y = region.x_px + 100, region.y_px + 100
        np.testing.assert_array_equal(found, white[y : y + size, x : x + size])
    assert set(slide.reads.values()) <= {1}


def test_openslide_and_its_faster_twin_agree(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    rng = np.random.default_rng(0)
    pixels = np.asarray(
        Image.fromarray(rng.integers(0, 255, (40, 60, 3), np.uint8)).resize((600, 400))
    )
    slide_file(path, pixels, compression="jpeg", compressionargs={"level": 90})
    slide = open_slide(path)
    if not isinstance(slide, OpenSlideSlide):
        pytest.skip("OpenSlide is not what opens it")
    found = faster_slide(slide, path, 0)
    assert found is not None
    twin, level = found
    assert level == 0
    for x, y, side in ((0, 0, 100), (333, 222, 120), (520, 340, 60)):
        np.testing.assert_array_equal(
            slide.read(0, x, y, Size(side, side)), twin.read(0, x, y, Size(side, side))
        )
    twin.close()
    slide.close()
