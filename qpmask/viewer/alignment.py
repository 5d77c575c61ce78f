"""How a mask lies upon its slide: which pixel of the slide a pixel of the mask stands for.

A mask of ours says so itself (:class:`qpmask.geometry.frames.Frame`): it is applied, or the
slide refused. Other programs' masks say nothing. They are taken to cover the slide's level 0, or
the part of it that was scanned (``openslide.bounds-*``); which one follows from the sizes, and is
said, because sizes prove nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from qpmask.errors import FrameError, OptionsError
from qpmask.geometry import Affine, Bounds, PixelSize, Size
from qpmask.geometry.frames import Frame


@dataclass(frozen=True)
class Alignment:
    """Where a mask lies.

    Parameters
    ----------
    matrix : Affine
        From pixels of the mask's level 0 to those of the slide's.
    note : str, optional
        What people should know about it.
    """

    matrix: Affine
    note: str | None = None


def place(frame: Frame, slide: Size, bounds: Bounds | None = None) -> Alignment:
    """Lay a mask that says where it lies upon its slide.

    Parameters
    ----------
    frame : Frame
        The mask's.
    slide : Size
        Size of the slide's level 0.
    bounds : Bounds, optional
        What the slide says was scanned.

    Raises
    ------
    FrameError
        It is not known where it lies, or the slide is another one.
    """
    words = frame.words()
    notes = [f"The slide is shown as QuPath shows it: {words}."] if words else []
    try:
        matrix = frame.to_file(slide, bounds)
        if matrix != frame.matrix and bounds is not None:
            notes.append(
                f"QuPath cut it to its scanned part, {bounds.size} pixels at x {bounds.x_px0:,}, "
                f"y {bounds.y_px0:,}."
            )
        return Alignment(matrix, " ".join(notes) or None)
    except FrameError:
        file = frame.file
        if frame.matrix is None or file is None or file.size is None or bounds is not None:
            raise
        if file.series or not _same_shape(slide, file.size):
            raise
        notes.append(
            f"The slide has {slide} pixels where the project's has {file.size}: taken for a copy "
            "of it at another resolution."
        )
        stretch = Affine.scale(
            slide.width_px / file.size.width_px, slide.height_px / file.size.height_px
        )
        return Alignment(stretch @ frame.matrix, " ".join(notes))


def align(
    mask: Size,
    slide: Size,
    bounds: Bounds | None = None,
    *,
    image: Size | None = None,
    mask_pixel: PixelSize | None = None,
    slide_pixel: PixelSize | None = None,
) -> Alignment:
    """Lay a mask that does not say where it lies upon a slide.

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
    frames = [Bounds(0, 0, slide)]
    if bounds is not None and bounds.size != slide:
        frames.append(bounds)
    fits = [frame for frame in frames if _same_shape(mask, frame.size)]
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
        same = [frame for frame in fits if frame.size in (image, mask)]
        if expected is not None:
            fits.sort(key=lambda f: abs(math.log(f.size.width_px / mask.width_px / expected)))
        elif same:
            fits = same
    frame = fits[0]
    scale_x = frame.size.width_px / mask.width_px
    scale_y = frame.size.height_px / mask.height_px
    if image is not None and image == frame.size:
        scale_x, scale_y = _exact_scale(mask, frame.size, scale_x, scale_y)
    assumed = (
        "The mask does not say where it lies: taken to cover all of the slide"
        if frame.size == slide and not (frame.x_px0 or frame.y_px0)
        else "The mask does not say where it lies: taken to cover the scanned part of the slide, "
        f"{frame.size} pixels at x {frame.x_px0:,}, y {frame.y_px0:,}"
    )
    note = f"{assumed}, {scale_x:.5g} of its pixels in one of the mask."
    if expected is not None and abs(math.log(scale_x / expected)) > 0.05:
        note += f" By their pixel sizes it would be {expected:.4g}."
    return Alignment(Affine(scale_x, 0.0, frame.x_px0, 0.0, scale_y, frame.y_px0), note)


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
