"""How a mask lies upon its slide: which pixel of the slide a pixel of the mask stands for.

A mask covers what QuPath calls the image. That is the slide's level 0, or only the part of it that
was scanned (``openslide.bounds-*``), to which QuPath crops some formats unless told otherwise
(https://github.com/qupath/qupath/issues/820). Which one it was follows from the sizes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from qpmask.errors import OptionsError
from qpmask.geometry import PixelSize, Size
from qpmask.slides import Bounds


@dataclass(frozen=True)
class Alignment:
    """Pixel (x, y) of the mask's level 0 begins at (x0 + x * scale_x, y0 + y * scale_y).

    Parameters
    ----------
    x0_px0, y0_px0 : float
        Where the mask's upper left corner lies, in pixels of the slide's level 0.
    scale_x, scale_y : float
        Pixels of the slide in a pixel of the mask.
    note : str, optional
        What people should know about it.
    """

    x0_px0: float
    y0_px0: float
    scale_x: float
    scale_y: float
    note: str | None = None


def align(
    mask: Size,
    slide: Size,
    bounds: Bounds | None = None,
    *,
    image: Size | None = None,
    mask_pixel: PixelSize | None = None,
    slide_pixel: PixelSize | None = None,
) -> Alignment:
    """Lay a mask upon a slide.

    Parameters
    ----------
    mask, slide : Size
        Sizes of their levels 0.
    bounds : Bounds, optional
        What the slide says was scanned.
    image : Size, optional
        Size of the image that the mask was drawn for, where the mask says so.
    mask_pixel, slide_pixel : PixelSize, optional
        Their pixel sizes, where they say so. They decide between the slide and its bounds if both
        have the mask's shape.

    Raises
    ------
    OptionsError
        The mask has the shape of neither.
    """
    frames: list[tuple[Bounds, str | None]] = [(Bounds(0, 0, slide), None)]
    if bounds is not None and bounds.size != slide:
        scanned = (
            f"The mask covers the scanned part of the slide ({bounds.size} pixels at "
            f"x {bounds.x_px0:,}, y {bounds.y_px0:,})."
        )
        frames.append((bounds, scanned))
    fits = [frame for frame in frames if _same_shape(mask, frame[0].size)]
    if not fits:
        also = f" (scanned: {bounds.size})" if len(frames) > 1 and bounds else ""
        raise OptionsError(
            f"The mask of {mask} pixels does not cover the slide of {slide} pixels{also}: "
            f"it would be {slide.width_px / mask.width_px:.5g} times as wide and "
            f"{slide.height_px / mask.height_px:.5g} times as high.",
            hint="Is it the slide that the mask was made for?",
        )
    expected = _expected_scale(mask_pixel, slide_pixel)
    if len(fits) > 1:
        same = [frame for frame in fits if frame[0].size in (image, mask)]
        if expected is not None:
            fits.sort(key=lambda f: abs(math.log(f[0].size.width_px / mask.width_px / expected)))
        elif same:
            fits = same
    frame, note = fits[0]
    scale_x = frame.size.width_px / mask.width_px
    scale_y = frame.size.height_px / mask.height_px
    if image is not None and image == frame.size:
        scale_x, scale_y = _exact_scale(mask, frame.size, scale_x, scale_y)
    if expected is not None and abs(math.log(scale_x / expected)) > 0.05:
        warning = (
            f"A pixel of the mask is {scale_x:.4g} pixels of the slide wide by their sizes, but "
            f"{expected:.4g} by their pixel sizes."
        )
        note = f"{note} {warning}" if note else warning
    return Alignment(frame.x_px0, frame.y_px0, scale_x, scale_y, note)


def _same_shape(mask: Size, frame: Size) -> bool:
    """Whether one downsample explains both lengths, give or take a pixel of the mask."""
    least, most = 0.0, math.inf
    for mask_px, frame_px in (
        (mask.width_px, frame.width_px),
        (mask.height_px, frame.height_px),
    ):
        least = max(least, frame_px / (mask_px + 1))
        most = min(most, frame_px / (mask_px - 1) if mask_px > 1 else math.inf)
    return least <= most


def _exact_scale(mask: Size, frame: Size, scale_x: float, scale_y: float) -> tuple[float, float]:
    """The whole downsample that makes a mask of this size, if there is one."""
    whole = round(min(scale_x, scale_y))
    if whole >= 1 and frame.downsampled(whole) == mask:
        return float(whole), float(whole)
    return scale_x, scale_y


def _expected_scale(mask_pixel: PixelSize | None, slide_pixel: PixelSize | None) -> float | None:
    if mask_pixel is None or slide_pixel is None:
        return None
    return mask_pixel.width_um / slide_pixel.width_um
