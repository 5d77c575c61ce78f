"""Slides are opened by whatever library can, and give the right pixels."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from slides.slide_samples import FakeOpenSlide, gradient, write_slide

from qpmask.errors import OptionsError
from qpmask.geometry import PixelSize, Size
from qpmask.slides import open_slide
from qpmask.slides.with_openslide import OpenSlideSlide
from qpmask.slides.with_tifffile import TiffSlide

PIXELS = gradient(220, 300)


def region(slide: Any, x: int, y: int, width: int, height: int, level: int = 0) -> np.ndarray:
    return np.asarray(slide.read(level, x, y, Size(width, height)))


@pytest.mark.parametrize(
    "options",
    [
        {"tile": (64, 64)},
        {"tile": (64, 64), "compression": "zlib", "predictor": True},
        {"tile": (64, 64), "compression": "lzw", "planarconfig": "separate"},
        {"rowsperstrip": 7},
        {"rowsperstrip": 50, "compression": "zlib", "planarconfig": "separate"},
        {},
    ],
    ids=str,
)
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_tiffs_of_many_layouts(tmp_path: Path, options: dict[str, Any], byteorder: str) -> None:
    planar = options.get("planarconfig") == "separate"
    path = tmp_path / "slide.tif"
    with tifffile.TiffWriter(path, byteorder=byteorder) as tif:
        data = np.moveaxis(PIXELS, -1, 0) if planar else PIXELS
        tif.write(data, photometric="rgb", metadata=None, **options)
    slide = TiffSlide(path)
    assert slide.levels == (Size(300, 220),)
    np.testing.assert_array_equal(region(slide, 0, 0, 300, 220), PIXELS)
    np.testing.assert_array_equal(region(slide, 60, 50, 130, 90), PIXELS[50:140, 60:190])
    np.testing.assert_array_equal(region(slide, 299, 219, 1, 1), PIXELS[219:, 299:])
    slide.close()


def test_jpeg_tiles_with_shared_tables(tmp_path: Path) -> None:
    path = write_slide(
        tmp_path / "slide.tif", PIXELS, tile=(64, 64), compression="jpeg",
        compressionargs={"level": 95},
    )  # fmt: skip
    slide = TiffSlide(path)
    off = np.abs(region(slide, 0, 0, 300, 220).astype(int) - PIXELS)
    assert off.mean() < 3
    slide.close()


def test_levels_in_subifds_are_found_although_openslide_does_not_see_them(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "slide.tif", PIXELS, levels=3, tile=(64, 64))
    slide = open_slide(path)
    assert slide.levels == (Size(300, 220), Size(150, 110), Size(75, 55))
    np.testing.assert_array_equal(region(slide, 5, 6, 40, 30, level=2), PIXELS[24:144:4, 20:180:4])
    slide.close()


def test_fluorescence_shows_its_first_channel_in_gray(tmp_path: Path) -> None:
    channels = np.zeros((3, 100, 120), np.uint16)
    channels[0] = np.linspace(100, 900, 120).astype(np.uint16)
    channels[1:] = 60_000
    path = tmp_path / "slide.ome.tif"
    tifffile.imwrite(
        path, channels, tile=(64, 64), photometric="minisblack", metadata={"axes": "CYX"}
    )
    slide = open_slide(path)
    shown = region(slide, 0, 0, 120, 100)
    assert shown.shape == (100, 120, 3)
    assert (shown[:, :, 0] == shown[:, :, 1]).all() and (shown[:, :, 0] == shown[:, :, 2]).all()
    assert shown[0, 0, 0] < 5 and shown[0, -1, 0] > 250, "its range fills the screen's"
    assert (np.diff(shown[0, :, 0].astype(int)) >= 0).all()
    slide.close()


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_plain_images(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"slide.{ending}"
    Image.fromarray(PIXELS).save(path)
    slide = open_slide(path)
    assert slide.levels == (Size(300, 220),)
    assert np.abs(region(slide, 10, 20, 50, 40).astype(int) - PIXELS[20:60, 10:60]).max() < 40
    slide.close()


def test_without_openslide_tifffile_opens_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openslide", None)
    path = write_slide(tmp_path / "slide.tif", PIXELS, tile=(64, 64))
    slide = open_slide(path)
    assert isinstance(slide, TiffSlide)
    slide.close()
    path.write_text("no slide")
    with pytest.raises(OptionsError, match=r"qpmask\[view\]"):
        open_slide(path)


@pytest.mark.parametrize("content", [b"", b"II*\0\x08\0\0\0", b"no slide", b"\x89PNG\r\n\x1a\nx"])
def test_what_is_no_slide_is_refused_with_what_each_library_said(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "slide.svs"
    path.write_bytes(content)
    with pytest.raises(
        OptionsError, match=r"slide\.svs cannot be opened \(openslide: .*tifffile: "
    ):
        open_slide(path)


def test_a_slide_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match="There is no slide"):
        open_slide(tmp_path / "slide.svs")


def test_a_slide_that_breaks_off_is_an_error_of_ours(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "slide.tif", PIXELS, tile=(64, 64), compression="zlib")
    with tifffile.TiffFile(path) as tif:
        offset = tif.pages[0].dataoffsets[0]
    raw = bytearray(path.read_bytes())
    raw[offset : offset + 40] = bytes(40)
    path.write_bytes(raw)
    slide = TiffSlide(path)
    with pytest.raises(OptionsError, match="cannot be read"):
        region(slide, 0, 0, 10, 10)
    slide.close()


def test_holes_of_the_slide_are_glass() -> None:
    fake = FakeOpenSlide(PIXELS, {})
    shown = OpenSlideSlide(fake).read(0, 290, 0, Size(20, 10))
    np.testing.assert_array_equal(shown[:, :10], PIXELS[:10, 290:])
    assert (shown[:, 10:] == 255).all()


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"openslide.bounds-x": "1", "openslide.bounds-y": "1"},
        {f"openslide.bounds-{name}": "x" for name in ("x", "y", "width", "height")},
        {f"openslide.bounds-{name}": "0" for name in ("x", "y", "width", "height")},
        {"openslide.mpp-x": "0", "openslide.mpp-y": "nan"},
        {"openslide.mpp-x": "0.5"},
    ],
)
def test_properties_that_say_nothing(properties: dict[str, str]) -> None:
    slide = OpenSlideSlide(FakeOpenSlide(PIXELS, properties))
    assert slide.bounds is None
    assert slide.pixel_size is None


def test_pixel_sizes(tmp_path: Path) -> None:
    fake = FakeOpenSlide(PIXELS, {"openslide.mpp-x": "0.5", "openslide.mpp-y": "0.25"})
    assert OpenSlideSlide(fake).pixel_size == PixelSize(0.5, 0.25)
    for resolution, unit, expected in (
        ((20_000, 40_000), "CENTIMETER", PixelSize(0.5, 0.25)),
        ((50_800, 50_800), "INCH", PixelSize(0.5, 0.5)),
        ((72, 72), "INCH", None),
        ((20_000, 20_000), "NONE", None),
    ):
        path = write_slide(
            tmp_path / "slide.tif", PIXELS, resolution=resolution, resolutionunit=unit
        )
        slide = TiffSlide(path)
        assert slide.pixel_size == expected
        slide.close()


def test_an_error_of_openslide_becomes_ours() -> None:
    class Broken(FakeOpenSlide):
        def read_region(self, *args: Any) -> Any:
            raise RuntimeError("TIFFRGBAImageGet failed")

    with pytest.raises(OptionsError, match="TIFFRGBAImageGet failed"):
        OpenSlideSlide(Broken(PIXELS, {})).read(0, 0, 0, Size(1, 1))


def test_the_file_of_a_tiff_is_moved_by_one_thread_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # tifffile reads some tags when they are first asked for, from the file that tiles come from.
    path = tmp_path / "slide.tif"
    picture = np.arange(512 * 512 * 3, dtype=np.uint32).reshape(512, 512, 3).astype(np.uint8)
    tifffile.imwrite(path, picture, tile=(256, 256), photometric="rgb", compression="jpeg")
    slide = TiffSlide(path)
    seek, held = tifffile.FileHandle.seek, []

    def watched(self: tifffile.FileHandle, *args: int) -> int:
        held.append(slide._lock.locked())
        return seek(self, *args)

    monkeypatch.setattr(tifffile.FileHandle, "seek", watched)
    slide.read(0, 0, 0, Size(512, 512))
    slide.close()
    assert len(held) > 4, "a tag and four tiles"
    assert all(held)
