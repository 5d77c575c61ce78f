"""Which part of a mask is shown on how many pixels."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpmask.errors import OptionsError, OutsideMaskError
from qpmask.geometry import Size
from qpmask.viewer.viewport import (
    FIT_PX,
    MAX_PICTURE_PX,
    Viewport,
    clip_region,
    picture_viewport,
)

SIZE = Size(3000, 2200)
sizes = st.builds(Size, st.integers(1, 200_000), st.integers(1, 200_000))


@pytest.mark.parametrize(
    ("region", "clipped"),
    [
        (None, (0, 0, 3000, 2200)),
        ((10, 20, 30, 40), (10, 20, 30, 40)),
        ((-10, -20, 30, 40), (0, 0, 20, 20)),
        ((2990, 2190, 100, 100), (2990, 2190, 10, 10)),
        ((-5, -5, 10**9, 10**9), (0, 0, 3000, 2200)),
    ],
)
def test_a_region_is_cut_at_the_edges_of_the_mask(
    region: tuple[int, int, int, int] | None, clipped: tuple[int, int, int, int]
) -> None:
    assert clip_region(SIZE, region) == clipped


@pytest.mark.parametrize("region", [(3000, 0, 1, 1), (0, 2200, 5, 5), (-4, 0, 4, 4)])
def test_a_region_beside_the_mask_is_refused_with_its_size(
    region: tuple[int, int, int, int],
) -> None:
    with pytest.raises(OutsideMaskError, match="3,000 x 2,200"):
        clip_region(SIZE, region)


@pytest.mark.parametrize("region", [(0, 0, 0, 5), (0, 0, 5, -1)])
def test_an_empty_region_is_refused(region: tuple[int, int, int, int]) -> None:
    with pytest.raises(OptionsError, match="pixels large"):
        clip_region(SIZE, region)


def test_a_whole_mask_fits_a_screen() -> None:
    view = picture_viewport(SIZE)
    assert (view.x_px, view.y_px, view.downsample) == (0, 0, 3)
    assert view.out == Size(1000, 734)
    assert picture_viewport(Size(FIT_PX, 10)).downsample == 1, "what fits is not reduced"


@given(sizes)
def test_any_mask_fits_and_is_shown_to_its_last_pixel(size: Size) -> None:
    view = picture_viewport(size)
    assert max(view.out.width_px, view.out.height_px) <= FIT_PX
    assert view.downsample == int(view.downsample) >= 1
    assert view.width_px >= size.width_px > view.width_px - view.downsample
    assert view.height_px >= size.height_px > view.height_px - view.downsample


@given(sizes, st.floats(1e-4, 1e4))
def test_a_picture_is_small_enough_or_refused_with_a_downsample_that_is_enough(
    size: Size, downsample: float
) -> None:
    try:
        view = picture_viewport(size, downsample=downsample)
    except OptionsError as error:
        assert error.hint is not None
        enough = float(error.hint.split("--downsample ")[1].split()[0])
        assert enough > downsample
        view = picture_viewport(size, downsample=enough)
    # Rounding up adds less than a row and a column.
    assert view.out.area_px <= MAX_PICTURE_PX + view.out.width_px + view.out.height_px


@pytest.mark.parametrize("downsample", [0.0, -1.0, math.nan, math.inf, 1e-300])
def test_downsamples_that_make_no_picture(downsample: float) -> None:
    with pytest.raises(OptionsError):
        picture_viewport(SIZE, downsample=downsample)


@pytest.mark.parametrize(
    ("x", "y", "downsample", "out"),
    [(math.nan, 0, 1, Size(1, 1)), (0, math.inf, 1, Size(1, 1)), (0, 0, 0, Size(1, 1)),
     (0, 0, math.nan, Size(1, 1)), (0, 0, 1, Size(0, 1))],
)  # fmt: skip
def test_viewports_that_make_no_sense(x: float, y: float, downsample: float, out: Size) -> None:
    with pytest.raises(OptionsError):
        Viewport(x, y, downsample, out)
