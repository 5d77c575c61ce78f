"""Which part of a mask is shown on how many screen pixels. Pure numbers, no pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

from qpmask.errors import OptionsError, OutsideMaskError
from qpmask.geometry import Size

#: Longest edge of a picture for which no downsample was asked.
FIT_PX = 1400
#: Largest picture. A saved one of this size takes about 1 GB of memory while it is made.
MAX_PICTURE_PX = 64_000_000
#: Screen pixels that one pixel of the mask may cover at most in the window.
MAX_ZOOM = 64.0


@dataclass(frozen=True)
class Viewport:
    """A rectangle of the mask's level 0, and the picture that shows it. Pixels stay square.

    Parameters
    ----------
    x_px, y_px : float
        Upper left corner in pixels of level 0. It may lie outside the mask.
    downsample : float
        Pixels of level 0 in one pixel of the picture, along x and y; below 1 it is magnified.
    out : Size
        Size of the picture, in its own (screen) pixels.
    """

    x_px: float
    y_px: float
    downsample: float
    out: Size

    def __post_init__(self) -> None:
        numbers = (self.x_px, self.y_px, self.downsample)
        if not all(math.isfinite(number) for number in numbers) or self.downsample <= 0:
            raise OptionsError(
                f"A view of x {self.x_px}, y {self.y_px} at the downsample {self.downsample} "
                "cannot be shown."
            )
        if min(self.out.width_px, self.out.height_px) < 1:
            raise OptionsError("A picture is at least a pixel wide and high.")

    @property
    def width_px(self) -> float:
        """Width in pixels of level 0."""
        return self.out.width_px * self.downsample

    @property
    def height_px(self) -> float:
        """Height in pixels of level 0."""
        return self.out.height_px * self.downsample


def clip_region(size: Size, region: tuple[int, int, int, int] | None) -> tuple[int, int, int, int]:
    """The part of a region that lies in the mask; all of the mask for None.

    Parameters
    ----------
    size : Size
        Size of the mask at level 0.
    region : tuple of int, optional
        x, y, width and height in pixels of level 0.

    Returns
    -------
    tuple of int
        x, y, width and height.

    Raises
    ------
    OptionsError
        The region is empty.
    OutsideMaskError
        It lies beside the mask.
    """
    if region is None:
        return 0, 0, size.width_px, size.height_px
    x_px, y_px, width_px, height_px = region
    if width_px < 1 or height_px < 1:
        raise OptionsError(
            f"The region is {width_px} x {height_px} pixels large.",
            hint="It is given as X Y WIDTH HEIGHT, in pixels of the mask at full resolution.",
        )
    left, top = max(0, x_px), max(0, y_px)
    right = min(size.width_px, x_px + width_px)
    bottom = min(size.height_px, y_px + height_px)
    if left >= right or top >= bottom:
        raise OutsideMaskError(
            f"The region at x {x_px:,}, y {y_px:,} of {width_px:,} x {height_px:,} pixels lies "
            f"outside the mask, which is {size} pixels.",
            hint="It is given as X Y WIDTH HEIGHT, in pixels of the mask at full resolution.",
        )
    return left, top, right - left, bottom - top


def picture_viewport(
    size: Size,
    region: tuple[int, int, int, int] | None = None,
    downsample: float | None = None,
    fit_px: int = FIT_PX,
) -> Viewport:
    """What a saved picture shows.

    Parameters
    ----------
    size : Size
        Size of the mask at level 0.
    region : tuple of int, optional
        x, y, width and height in pixels of level 0; the whole mask by default.
    downsample : float, optional
        Pixels of level 0 in a pixel of the picture; below 1 it is magnified. By default the
        smallest whole number with which the picture's longer edge is at most `fit_px`.
    fit_px : int
        See there.

    Raises
    ------
    OptionsError
        The region lies outside the mask, or the picture would be too large.
    """
    x_px, y_px, width_px, height_px = clip_region(size, region)
    if downsample is None:
        downsample = float(max(1, math.ceil(max(width_px, height_px) / fit_px)))
    if not (math.isfinite(downsample) and downsample > 0):
        raise OptionsError(f"The downsample is {downsample}; it must be more than 0.")
    # Compared as floats first: a tiny downsample must not make numbers without end.
    if width_px / downsample * (height_px / downsample) > MAX_PICTURE_PX:
        least = math.sqrt(width_px * height_px / MAX_PICTURE_PX)
        enough = math.ceil(least) if least > 1 else math.ceil(least * 100) / 100
        raise OptionsError(
            f"A picture of {width_px:,} x {height_px:,} pixels at the downsample {downsample:g} "
            f"would have more than {MAX_PICTURE_PX:,} pixels.",
            hint=f"Use --downsample {enough:g} or more, or a smaller --region.",
        )
    out = Size(max(1, math.ceil(width_px / downsample)), max(1, math.ceil(height_px / downsample)))
    return Viewport(x_px, y_px, downsample, out)
