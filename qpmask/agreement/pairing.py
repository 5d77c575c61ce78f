"""Which pixel of one mask belongs to which pixel of another mask of the same image.

Masks of different resolution are brought to the coarser one, by the rule that our pyramids have:
pixel (x, y) of the coarser mask is compared with pixel (floor(x * s), floor(y * s)) of the finer
one. Labels are picked, never averaged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from qpmask.errors import MaskError
from qpmask.geometry import PixelSize, Size, frames
from qpmask.geometry.pyramids import scale_of
from qpmask.mask import fileinfo
from qpmask.mask.fileinfo import pixel_size_of
from qpmask.ometiff.reader import MaskFile

_TOLERANCE = 0.05  # of a scale by pixel sizes: some programs round these to two digits


@dataclass(frozen=True)
class Pairing:
    """How two masks lie upon one another.

    Parameters
    ----------
    coarser : int
        Which mask has the pixels that are compared: 0 for the first, 1 for the second. 0 where both
        have the same size.
    scale_x, scale_y : float
        Pixels of the finer mask in one of the coarser, at least 1.
    notes : tuple of str
        What people should know about it.
    """

    coarser: int = 0
    scale_x: float = 1.0
    scale_y: float = 1.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Frame:
    """What a mask says about the image that it covers.

    Parameters
    ----------
    size : Size
        Of the mask's level 0.
    pixel_size : PixelSize, optional
        Of a pixel of it.
    image : Size, optional
        Of the image at full resolution.
    downsample : float, optional
        Pixels of the image in one of the mask.
    in_file : qpmask.geometry.frames.Frame, optional
        Where the mask lies in the slide's file.
    """

    size: Size
    pixel_size: PixelSize | None = None
    image: Size | None = None
    downsample: float | None = None
    in_file: frames.Frame | None = None


def frame_of(file: MaskFile) -> Frame:
    """The frame of a mask, as far as its file tells."""
    extra = file.metadata.extra if file.metadata is not None else {}
    try:
        image: Size | None = Size(int(extra["image_width_px"]), int(extra["image_height_px"]))
        downsample: float | None = float(extra["downsample"])
    except (KeyError, ValueError):
        image = downsample = None
    if downsample is not None and downsample <= 0:
        downsample = None
    in_file = fileinfo.frame_of(file.metadata)
    return Frame(file.size, pixel_size_of(file), image, downsample, in_file)


def pair(first: Frame, second: Frame) -> Pairing:
    """Lay two masks upon one another.

    Raises
    ------
    MaskError
        They are not two masks of one image: sizes that no downsample explains, or that pixel sizes
        contradict, or masks that say themselves that their images differ in size.
    """
    if None not in (first.image, second.image) and first.image != second.image:
        raise _not_alike(
            f"the first was drawn for an image of {first.image} pixels, the second for one of "
            f"{second.image}"
        )
    if (why := _lie_elsewhere(first.in_file, second.in_file)) is not None:
        raise _not_alike(why)
    if first.size == second.size:
        return Pairing(notes=_notes(first, second))
    coarser = 0 if first.size.area_px < second.size.area_px else 1
    small, large = (first, second) if coarser == 0 else (second, first)
    if not _is_same_shape(small.size, large.size):
        raise _not_alike(
            f"the first has {first.size} pixels, the second {second.size}, which no downsample "
            "explains"
        )
    scale_x, scale_y = _scale(small, large)
    expected = _scale_by_pixel_sizes(small, large)
    if expected is not None and abs(math.log(scale_x / expected)) > _TOLERANCE:
        raise _not_alike(
            f"a pixel of one is {scale_x:.4g} pixels of the other by their sizes, but "
            f"{expected:.4g} by their pixel sizes"
        )
    return Pairing(coarser, scale_x, scale_y)


def _lie_elsewhere(first: frames.Frame | None, second: frames.Frame | None) -> str | None:
    """Why two masks do not cover the same part of a slide, by what they say themselves.

    At 180 degrees, or in a crop moved by some pixels, the sizes are the same.
    """
    if first is None or second is None or first.matrix is None or second.matrix is None:
        return None
    cuts = [frame.file.cut if frame.file is not None else None for frame in (first, second)]
    if cuts[0] != cuts[1]:  # they count from another corner, perhaps
        return None
    between = second.matrix.inverse() @ first.matrix
    largest = max(abs(between.a), abs(between.e), 1.0)
    if between.is_upright and max(abs(between.c), abs(between.f)) < largest / 2:
        return None
    words = [frame.words() or "as it is" for frame in (first, second)]
    return (
        f"they lie on another part of the slide: QuPath shows the first's file {words[0]}, the "
        f"second's {words[1]}"
    )


def _scale(small: Frame, large: Frame) -> tuple[float, float]:
    """Pixels of the larger mask in one of the smaller, in x and y."""
    if small.downsample is not None and large.downsample is not None and small.image is not None:
        scale = small.downsample / large.downsample
        if small.image.downsampled(small.downsample) == small.size and scale >= 1:
            return scale, scale
    return scale_of(large.size, small.size)


def _is_same_shape(small: Size, large: Size) -> bool:
    """Whether one downsample explains both lengths, give or take a pixel of the smaller mask."""
    lengths = (
        (small.width_px, large.width_px),
        (small.height_px, large.height_px),
    )
    if any(few > many for few, many in lengths):
        return False
    least = max(many / (few + 1) for few, many in lengths)
    most = min(many / (few - 1) if few > 1 else math.inf for few, many in lengths)
    return least <= most


def _scale_by_pixel_sizes(small: Frame, large: Frame) -> float | None:
    if small.pixel_size is None or large.pixel_size is None:
        return None
    return small.pixel_size.mean_um / large.pixel_size.mean_um


def _notes(first: Frame, second: Frame) -> tuple[str, ...]:
    ratio = _scale_by_pixel_sizes(first, second)
    if ratio is None or abs(math.log(ratio)) <= _TOLERANCE:
        return ()
    assert first.pixel_size is not None and second.pixel_size is not None
    return (
        "the masks have the same size in pixels, but their pixels are "
        f"{first.pixel_size.mean_um:.4g} µm in the first and {second.pixel_size.mean_um:.4g} µm in "
        "the second; they were compared pixel by pixel",
    )


def _not_alike(why: str) -> MaskError:
    return MaskError(
        f"The masks cannot be compared: {why}.", hint="Are they masks of the same image?"
    )
