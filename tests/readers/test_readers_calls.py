"""What the notes of the table recommend gives labels: calls beside those for whole levels."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from ometiff.mask_samples import blobs, levels_of, write

PARTS = [(0, 0), (256, 512), (1000, 16), (504, 1008)]
"""Places at level 0, multiples of 8."""


def test_openslide_parts_at_multiples_where_sizes_halve_exactly(tmp_path: Path) -> None:
    openslide = pytest.importorskip("openslide", reason="OpenSlide reads masks")
    base = blobs(2048, 2048, n=60)
    write(tmp_path / "m.tif", base, tile_px=256)
    with openslide.OpenSlide(tmp_path / "m.tif") as slide:
        assert slide.level_downsamples == (1, 2, 4, 8)
        for k, level in enumerate(levels_of(base, 4)):
            for x, y in PARTS:
                found = np.asarray(slide.read_region((x, y), k, (50, 60)))[..., 0]
                expected = level[y // 2**k :, x // 2**k :][:60, :50]
                assert np.array_equal(found, expected)


@pytest.mark.parametrize("place", [(0, 0), (17, 33), (1000, 701)])
def test_openslide_parts_of_level_0(tmp_path: Path, place: tuple[int, int]) -> None:
    openslide = pytest.importorskip("openslide", reason="OpenSlide reads masks")
    base = blobs(1100, 1301, n=60)
    write(tmp_path / "m.tif", base, tile_px=256)
    x, y = place
    with openslide.OpenSlide(tmp_path / "m.tif") as slide:
        found = np.asarray(slide.read_region(place, 0, (90, 80)))[..., 0]
    assert np.array_equal(found, base[y : y + 80, x : x + 90])


def test_tiffslide_parts_of_any_level(tmp_path: Path) -> None:
    tiffslide = pytest.importorskip("tiffslide", reason="tiffslide reads masks")
    base = blobs(1100, 1301, "uint16", n=60) * np.uint16(300)
    write(tmp_path / "m.tif", base, tile_px=256)
    levels = levels_of(base, 4)
    with tiffslide.TiffSlide(tmp_path / "m.tif") as slide:
        for k, (x, y) in [(1, (17, 33)), (2, (500, 301)), (3, (64, 65))]:
            found = np.squeeze(slide.read_region((x, y), k, (40, 50), as_array=True))
            labels = np.unique(levels[k])
            assert found.dtype == np.uint16 and np.isin(found, labels).all()


def test_simpleitk_knows_the_pixel_size(tmp_path: Path) -> None:
    simpleitk = pytest.importorskip("SimpleITK", reason="SimpleITK reads masks")
    write(tmp_path / "m.tif", blobs(300, 400))
    spacing = simpleitk.ReadImage(str(tmp_path / "m.tif")).GetSpacing()
    assert spacing == pytest.approx((0.2527e-3, 0.25e-3), rel=1e-6), "millimetres"


def test_large_image_png_tiles_of_uint8(tmp_path: Path) -> None:
    source = pytest.importorskip("large_image_source_tiff", reason="large-image reads masks")
    image = pytest.importorskip("PIL.Image")
    base = blobs(1100, 1301, n=60)
    write(tmp_path / "m.tif", base, tile_px=256)
    tiles = source.open(str(tmp_path / "m.tif"), encoding="PNG")
    png = image.open(io.BytesIO(tiles.getTile(1, 2, tiles.levels - 1)))
    assert np.array_equal(np.asarray(png), base[512:768, 256:512])
