"""How a mask lies upon its slide."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from qpmask.errors import FrameError, OptionsError
from qpmask.geometry import Affine, PixelSize, Size
from qpmask.geometry.frames import Frame, SlideFile
from qpmask.slides import Bounds
from qpmask.viewer.alignment import Alignment, align, place

SLIDE = Size(100_000, 80_000)
BOUNDS = Bounds(10_000, 20_000, Size(50_000, 30_000))


def where(found: Alignment) -> tuple[float, float, float, float]:
    """Corner and scales of a mask that lies upright."""
    assert found.matrix.is_upright
    return found.matrix.c, found.matrix.f, found.matrix.a, found.matrix.e


def test_a_mask_of_full_resolution_lies_upon_all_of_the_slide() -> None:
    found = align(SLIDE, SLIDE, BOUNDS)
    assert where(found) == (0, 0, 1, 1)
    assert found.note is not None and "taken to cover all of the slide" in found.note


@given(st.integers(1, 150_000), st.integers(1, 150_000), st.floats(1, 64, allow_subnormal=False))
def test_masks_of_any_downsample_fit_their_slide(
    width: int, height: int, downsample: float
) -> None:
    slide = Size(width, height)
    mask = slide.downsampled(downsample)
    found = align(mask, slide, image=slide)
    # Nowhere further away than a pixel of the mask.
    assert mask.width_px * found.matrix.a <= width * (1 + 1e-12)
    assert width - mask.width_px * found.matrix.a <= max(downsample, found.matrix.a)
    if mask.width_px > 1:
        assert abs(found.matrix.a - downsample) * mask.width_px <= downsample + found.matrix.a
    if downsample == int(downsample) and min(mask.width_px, mask.height_px) > 2 * downsample:
        assert found.matrix.a == found.matrix.e == downsample


def test_another_slide_is_refused_with_both_sizes() -> None:
    with pytest.raises(OptionsError, match="1,000 x 700 pixels does not cover") as caught:
        align(Size(1000, 700), SLIDE, BOUNDS)
    assert "100,000 x 80,000" in caught.value.message
    assert "50,000 x 30,000" in caught.value.message


@given(st.integers(300, 5000), st.integers(300, 5000), st.integers(-200, 200))
def test_shapes_that_are_off_by_more_than_a_pixel_are_refused(
    width: int, height: int, off: int
) -> None:
    assume(abs(off) > 2)
    mask = Size(width, height)
    slide = Size(4 * width, 4 * (height + off))
    assume(slide.height_px > 0)
    one_pixel = 1 + max(1, height / width)
    assume(abs(off) > one_pixel * (1 + abs(off) / height) + 1)
    with pytest.raises(OptionsError):
        align(mask, slide)


@pytest.mark.parametrize("downsample", [1, 2, 4, 7.3])
def test_a_mask_of_the_scanned_part_is_moved_there(downsample: float) -> None:
    """QuPath crops some formats to their bounds."""
    found = align(BOUNDS.size.downsampled(downsample), SLIDE, BOUNDS)
    assert where(found)[:2] == (10_000, 20_000)
    assert where(found)[2:] == pytest.approx((downsample, downsample), rel=1e-3)
    assert found.note is not None and "scanned" in found.note


class TestSameShape:
    """The scanned part may have the slide's shape, so that the sizes alone do not tell."""

    bounds = Bounds(5_000, 4_000, Size(50_000, 40_000))
    mask = Size(25_000, 20_000)

    @pytest.mark.parametrize(("mask_um", "scale", "corner"), [(1.0, 4, 0), (0.5, 2, 5000)])
    def test_pixel_sizes_decide(self, mask_um: float, scale: float, corner: int) -> None:
        found = align(
            self.mask, SLIDE, self.bounds,
            mask_pixel=PixelSize(mask_um, mask_um), slide_pixel=PixelSize(0.25, 0.25),
        )  # fmt: skip
        assert (found.matrix.c, found.matrix.a) == (corner, scale)

    def test_else_what_the_mask_says(self) -> None:
        assert align(self.mask, SLIDE, self.bounds, image=SLIDE).matrix.c == 0
        assert align(self.mask, SLIDE, self.bounds, image=self.bounds.size).matrix.c == 5000

    def test_else_the_one_of_its_size(self) -> None:
        assert align(self.bounds.size, SLIDE, self.bounds).matrix.c == 5000
        assert align(SLIDE, SLIDE, self.bounds).matrix.c == 0

    def test_else_the_slide(self) -> None:
        assert where(align(self.mask, SLIDE, self.bounds)) == (0, 0, 4, 4)


def test_pixel_sizes_that_disagree_are_told() -> None:
    found = align(
        Size(10_000, 8_000), SLIDE,
        mask_pixel=PixelSize(0.5, 0.5), slide_pixel=PixelSize(0.25, 0.25),
    )  # fmt: skip
    assert where(found) == (0, 0, 10, 10), "the sizes count"
    assert found.note is not None
    assert "10 of its pixels" in found.note and "By their pixel sizes it would be 2" in found.note


class TestRecorded:
    """A mask that says where it lies: sizes are checked, and decide nothing."""

    turned = Affine(-2, 0, 100_000, 0, -2, 80_000)
    frame = Frame(
        turned,
        SlideFile("file:/s/A.svs", "Bio-Formats", 0, None, SLIDE),
        ("rotated by 180 degrees",),
    )

    def test_its_matrix_is_applied(self) -> None:
        found = place(self.frame, SLIDE, BOUNDS)
        assert found.matrix == self.turned
        assert found.note == "The slide is shown as QuPath shows it: rotated by 180 degrees."

    def test_bounds_count_where_qupath_applied_them(self) -> None:
        file = SlideFile("file:/s/A.mrxs", "OpenSlide", None, None, BOUNDS.size, "yes")
        found = place(Frame(Affine(), file), SLIDE, BOUNDS)
        assert where(found) == (10_000, 20_000, 1, 1)
        assert found.note is not None and "scanned part" in found.note

    def test_a_copy_at_another_resolution_is_said_to_be_one(self) -> None:
        found = place(self.frame, Size(25_000, 20_000))
        assert found.matrix == Affine(-0.5, 0, 25_000, 0, -0.5, 20_000)
        assert found.note is not None and "taken for a copy" in found.note

    @pytest.mark.parametrize(
        "frame",
        [frame, Frame(None, unknown="QuPath composes it of several images")],
    )
    def test_another_slide_and_an_unknown_place_are_refused(self, frame: Frame) -> None:
        with pytest.raises(FrameError):
            place(frame, Size(25_000, 25_000))
