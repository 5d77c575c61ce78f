"""The slide under a mask: the right pixels of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from slides.slide_samples import FakeOpenSlide, gradient

from qpmask.geometry import Affine, Size
from qpmask.slides import Bounds, Slide, open_slide
from qpmask.slides.with_openslide import OpenSlideSlide
from qpmask.slides.with_pillow import ImageSlide
from qpmask.slides.with_tifffile import TiffSlide
from qpmask.viewer import slidepicture
from qpmask.viewer.alignment import align
from qpmask.viewer.slidepicture import TooMuchToShow, slide_picture
from qpmask.viewer.viewport import Viewport

SAME = Affine()
PIXELS = gradient(220, 300)


def test_at_full_resolution_the_picture_is_the_slide() -> None:
    slide = ImageSlide(PIXELS)
    shown = slide_picture(slide, SAME, Viewport(30, 40, 1, Size(100, 80)))
    np.testing.assert_array_equal(shown, PIXELS[40:120, 30:130])


def test_beside_the_slide_there_is_nothing() -> None:
    shown = slide_picture(
        ImageSlide(PIXELS), SAME, Viewport(-10, -5, 1, Size(320, 240)), beside=(1, 2, 3)
    )
    np.testing.assert_array_equal(shown[5:225, 10:310], PIXELS)
    shown = shown.copy()
    shown[5:225, 10:310] = (1, 2, 3)
    assert (shown == (1, 2, 3)).all()
    nowhere = slide_picture(ImageSlide(PIXELS), SAME, Viewport(301, 0, 1, Size(9, 9)), (1, 2, 3))
    assert (nowhere == (1, 2, 3)).all()


@given(
    st.floats(-20, 250), st.floats(-20, 200), st.floats(0.05, 8), st.integers(1, 50),
    st.integers(1, 50), st.sampled_from([0.5, 1.0, 2.0, 3.7]),
)  # fmt: skip
def test_every_pixel_shows_its_place(
    x: float, y: float, downsample: float, width: int, height: int, scale: float
) -> None:
    """In a gradient the colour tells the place, at any zoom and any size of the mask."""
    view = Viewport(x, y, downsample, Size(width, height))
    shown = slide_picture(
        ImageSlide(PIXELS), Affine(scale, 0, 12.5, 0, scale, 7), view, beside=(1, 2, 3)
    )
    at_x = 12.5 + (x + (np.arange(width) + 0.5) * downsample) * scale
    at_y = 7 + (y + (np.arange(height) + 0.5) * downsample) * scale
    reach = downsample * scale / 2 + 2
    seen_x, seen_y = (at_x > reach) & (at_x < 300 - reach), (at_y > reach) & (at_y < 220 - reach)
    if not (seen_x.any() and seen_y.any()):
        return
    found = shown[np.ix_(seen_y, seen_x)].astype(float)
    # Red takes 255 steps over 300 pixels, green over 220.
    assert np.abs(found[:, :, 0] - (at_x[seen_x] - 0.5) * 255 / 299).max() < 3
    assert np.abs(found[:, :, 1] - ((at_y[seen_y] - 0.5) * 255 / 219)[:, None]).max() < 3
    assert (found[:, :, 2] == 128).all()


def test_the_level_that_fits_is_read() -> None:
    fake = FakeOpenSlide(PIXELS, {}, n_levels=3)
    slide_picture(OpenSlideSlide(fake), SAME, Viewport(0, 0, 4, Size(75, 55)))
    slide_picture(OpenSlideSlide(fake), SAME, Viewport(20, 40, 1, Size(30, 20)))
    slide_picture(OpenSlideSlide(fake), Affine.scale(2), Viewport(0, 0, 1.5, Size(10, 10)))
    assert fake.reads == [
        ((0, 0), 2, (75, 55)),
        ((20, 40), 0, (30, 20)),
        ((0, 0), 1, (15, 15)),
    ]


def test_a_mask_of_the_scanned_part_lies_where_it_was_scanned() -> None:
    fake = FakeOpenSlide(
        PIXELS,
        {"openslide.bounds-x": "40", "openslide.bounds-y": "20",
         "openslide.bounds-width": "200", "openslide.bounds-height": "100"},
    )  # fmt: skip
    slide = OpenSlideSlide(fake)
    assert slide.bounds == Bounds(40, 20, Size(200, 100))
    alignment = align(Size(200, 100), slide.levels[0], slide.bounds)
    shown = slide_picture(slide, alignment.matrix, Viewport(0, 0, 1, Size(200, 100)))
    np.testing.assert_array_equal(shown, PIXELS[20:120, 40:240])


@pytest.mark.parametrize("opener", [open_slide, TiffSlide])
def test_levels_that_are_filled_up_to_tiles_show_the_same_place(
    tmp_path: Path, opener: Callable[[Path], Slide]
) -> None:
    """As CAMELYON has them: by the ratio of sizes the square would lie a quarter further left."""
    base = np.full((1000, 2900, 3), 240, np.uint8)
    base[400:500, 2500:2600] = (200, 0, 0)
    path = tmp_path / "slide.tif"
    with tifffile.TiffWriter(path) as tif:
        for k in range(4):
            level = base[:: 2**k, :: 2**k]
            if k:
                level = np.pad(level, [*((0, -n % 256) for n in level.shape[:2]), (0, 0)])
            tif.write(level, tile=(256, 256), photometric="rgb", compression="zlib",
                      metadata=None, subfiletype=int(k > 0))  # fmt: skip
    slide = opener(path)
    n_levels = len(slide.levels)
    assert slide.scales == tuple((2.0**k, 2.0**k) for k in range(n_levels))
    for step in (1, 2, 4, 8):
        out = Size(160 // step, 160 // step)
        shown = slide_picture(slide, SAME, Viewport(2470, 370, step, out))
        rows, cols = np.nonzero(shown[:, :, 1] < 120)
        place = np.array([cols.min(), cols.max() + 1, rows.min(), rows.max() + 1]) * step
        assert np.abs(place - (30, 130, 30, 130)).max() <= step
    slide.close()


def test_a_slide_without_levels_is_not_read_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slidepicture, "MAX_SLIDE_PX", 1000)
    slide = ImageSlide(PIXELS)
    with pytest.raises(TooMuchToShow, match="no smaller levels"):
        slide_picture(slide, SAME, Viewport(0, 0, 10, Size(30, 22)))
    slide_picture(slide, SAME, Viewport(0, 0, 1, Size(30, 22)))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
@pytest.mark.parametrize("downsample", [1, 2, 3])
def test_a_slide_that_is_turned_is_the_turned_slide(
    quarters: int, mirrored: bool, downsample: int
) -> None:
    """Equal to the pixel to NumPy's turned copy of the whole slide."""
    pixels = gradient(96, 120)
    image = np.rot90(pixels, -quarters)  # clockwise, as QuPath counts
    height, width = pixels.shape[:2]
    turns = [
        Affine(), Affine(0, 1, 0, -1, 0, height), Affine(-1, 0, width, 0, -1, height),
        Affine(0, -1, width, 1, 0, 0),
    ]  # fmt: skip
    to_file = turns[quarters]
    if mirrored:
        to_file = to_file @ Affine(a=-1, c=image.shape[1])
        image = image[:, ::-1]
    view = Viewport(-12, 24, downsample, Size(60 // downsample, 48 // downsample))
    shown = slide_picture(ImageSlide(pixels), to_file, view, beside=(1, 2, 3))
    whole = slide_picture(ImageSlide(np.ascontiguousarray(image)), SAME, view, beside=(1, 2, 3))
    np.testing.assert_array_equal(shown, whole)
    if downsample == 1:
        np.testing.assert_array_equal(shown[:, 12:], image[24:72, :48])


@given(
    st.floats(0, 6.28), st.floats(0.5, 3), st.floats(-0.5, 0.5), st.floats(-50, 250),
    st.floats(-50, 200), st.sampled_from([1, 3]),
)  # fmt: skip
def test_any_affine_shows_its_place(
    angle: float, stretch: float, shear: float, x: float, y: float, n_levels: int
) -> None:
    """In a gradient the colour tells the place, at any angle and through any level."""
    turn = Affine(np.cos(angle), -np.sin(angle), 150, np.sin(angle), np.cos(angle), 110)
    to_file = turn @ Affine(stretch, shear, 0, 0, 1, 0)
    slide = OpenSlideSlide(FakeOpenSlide(PIXELS, {}, n_levels=n_levels))
    view = Viewport(x - 150, y - 110, 1.5, Size(40, 30))
    shown = slide_picture(slide, to_file, view, beside=(1, 2, 3)).astype(float)
    at = [to_file(view.x_px + (col + 0.5) * 1.5, view.y_px + (row + 0.5) * 1.5)
          for row in range(30) for col in range(40)]  # fmt: skip
    at_x, at_y = (np.array(axis).reshape(30, 40) for axis in zip(*at, strict=True))
    reach = 12
    inside = (at_x > reach) & (at_x < 300 - reach) & (at_y > reach) & (at_y < 220 - reach)
    assert np.abs(shown[:, :, 0] - (at_x - 0.5) * 255 / 299)[inside].max(initial=0) < 4
    assert np.abs(shown[:, :, 1] - (at_y - 0.5) * 255 / 219)[inside].max(initial=0) < 4
    outside = (at_x < -reach) | (at_x > 300 + reach) | (at_y < -reach) | (at_y > 220 + reach)
    assert (shown[outside] == (1, 2, 3)).all()
