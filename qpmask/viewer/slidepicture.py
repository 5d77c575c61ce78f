"""The part of a slide that a picture needs, scaled to it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qpmask.errors import OptionsError
from qpmask.geometry import Affine, Size
from qpmask.mask.levelchoice import fitting_level
from qpmask.slides import GLASS, Slide
from qpmask.viewer.viewport import Viewport

#: Pixels of a slide that are read for one picture at most: about 250 MB.
MAX_SLIDE_PX = 60_000_000


class TooMuchToShow(OptionsError):  # noqa: N818 - reads as what happened
    """The slide has no level that is small enough for what should be shown."""


def slide_picture(
    slide: Slide,
    to_file: Affine,
    viewport: Viewport,
    beside: tuple[int, int, int] = GLASS,
) -> NDArray[np.uint8]:
    """The slide in a viewport of the mask, turned, mirrored or resampled as the mask lies on it.

    Parameters
    ----------
    slide : Slide
        The slide.
    to_file : Affine
        From pixels of the mask to those of the slide's level 0.
    viewport : Viewport
        In pixels of the mask.
    beside : tuple of int
        Colour of what lies beside the slide.

    Returns
    -------
    ndarray of uint8, shape (rows, columns, 3)
        As large as the picture.

    Raises
    ------
    TooMuchToShow
        If more than `MAX_SLIDE_PX` pixels would have to be read.
    OptionsError
        The slide cannot be read there.
    """
    shown = to_file @ Affine.shift(viewport.x_px, viewport.y_px)
    shown = shown @ Affine.scale(viewport.downsample)
    if shown.keeps_axes:
        return _turned(slide, shown, viewport.out, beside)
    return _resampled(slide, shown, viewport.out, beside)


def _turned(
    slide: Slide, shown: Affine, out: Size, beside: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """Read as it lies in the file, then turned and mirrored: exact to the pixel."""
    is_transposed = shown.b != 0
    if is_transposed:
        shown, out = shown @ Affine(0, 1, 0, 1, 0, 0), Size(out.height_px, out.width_px)
    mirrors = shown.a < 0, shown.e < 0
    if mirrors[0]:
        shown = shown @ Affine(a=-1, c=out.width_px)
    if mirrors[1]:
        shown = shown @ Affine(e=-1, f=out.height_px)
    picture = _upright(slide, shown, out, beside)
    picture = picture[:: -1 if mirrors[1] else 1, :: -1 if mirrors[0] else 1]
    return np.ascontiguousarray(picture.swapaxes(0, 1) if is_transposed else picture)


def _upright(
    slide: Slide, shown: Affine, out: Size, beside: tuple[int, int, int]
) -> NDArray[np.uint8]:
    from PIL import Image

    picture = np.full((out.height_px, out.width_px, 3), beside, np.uint8)
    step_x, step_y, left, top = shown.a, shown.e, shown.c, shown.f
    size = slide.levels[0]
    cols = _inside(left, step_x, out.width_px, size.width_px)
    rows = _inside(top, step_y, out.height_px, size.height_px)
    if cols.start >= cols.stop or rows.start >= rows.stop:
        return picture
    level, (down_x, down_y) = _level_for(slide, min(step_x, step_y))
    of_level = slide.levels[level]
    # What is shown, in pixels of the level; it may reach beyond the slide by half a pixel shown.
    x0, x1 = ((left + col * step_x) / down_x for col in (cols.start, cols.stop))
    y0, y1 = ((top + row * step_y) / down_y for row in (rows.start, rows.stop))
    x = _Stretch.over(x0, x1, of_level.width_px)
    y = _Stretch.over(y0, y1, of_level.height_px)
    pixels = _read(slide, level, x, y)
    if x.is_padded or y.is_padded:
        padding = ((y.before_px, y.behind_px), (x.before_px, x.behind_px), (0, 0))
        pixels = np.pad(pixels, padding, mode="edge")
    corner_x, corner_y = x.start_px - x.before_px, y.start_px - y.before_px
    shrinks = (x1 - x0) > (cols.stop - cols.start)
    scaled = Image.fromarray(pixels).resize(
        (cols.stop - cols.start, rows.stop - rows.start),
        Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR,
        box=(x0 - corner_x, y0 - corner_y, x1 - corner_x, y1 - corner_y),
    )
    picture[rows, cols] = np.asarray(scaled)
    return picture


def _resampled(
    slide: Slide, shown: Affine, out: Size, beside: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """Turned by any angle or sheared: what covers the picture is read, and interpolated."""
    from PIL import Image

    level, (down_x, down_y) = _level_for(slide, min(shown.step_x, shown.step_y))
    shown = Affine.scale(1 / down_x, 1 / down_y) @ shown
    left, top, width, height = shown.box(0, 0, out.width_px, out.height_px)
    of_level = slide.levels[level]
    if left >= of_level.width_px or top >= of_level.height_px or left + width <= 0 >= top + height:
        return np.full((out.height_px, out.width_px, 3), beside, np.uint8)
    x = _Stretch.over(max(0, left - 1), left + width + 1, of_level.width_px)
    y = _Stretch.over(max(0, top - 1), top + height + 1, of_level.height_px)
    image = Image.fromarray(_read(slide, level, x, y))
    shown = Affine.shift(-x.start_px, -y.start_px) @ shown
    shrink = max(1, math.floor(min(shown.step_x, shown.step_y)))
    if shrink > 1:
        image = image.reduce(shrink)
        shown = Affine.scale(1 / shrink) @ shown
    turned = image.transform(
        (out.width_px, out.height_px),
        Image.Transform.AFFINE,
        shown.values,
        Image.Resampling.BILINEAR,
        fillcolor=beside,
    )
    return np.array(turned)


def _level_for(slide: Slide, step: float) -> tuple[int, tuple[float, float]]:
    """The level to read for pixels so large, in those of level 0, and its scale."""
    level = fitting_level(slide.scales, step * 1.001)
    return level, slide.scales[level]


def _read(slide: Slide, level: int, x: _Stretch, y: _Stretch) -> NDArray[np.uint8]:
    read = Size(x.length_px, y.length_px)
    if read.area_px > MAX_SLIDE_PX:
        raise TooMuchToShow(
            f"The slide has no smaller levels; {read.area_px:,} of its pixels would be needed.",
            hint="Show a smaller region, or look at the mask alone.",
        )
    return slide.read(level, x.start_px, y.start_px, read)


@dataclass(frozen=True)
class _Stretch:
    """Whole pixels of a level along one axis, and how many more are made up at either end."""

    start_px: int
    length_px: int
    before_px: int
    behind_px: int

    @classmethod
    def over(cls, start: float, stop: float, size_px: int) -> _Stretch:
        """The pixels that touch what is shown from `start` to `stop`."""
        first, last = math.floor(start), max(math.ceil(stop), math.floor(start) + 1)
        inside = min(max(first, 0), size_px - 1)
        length_px = max(1, min(last, size_px) - inside)
        return cls(inside, length_px, inside - first if first < inside else 0,
                   max(0, last - inside - length_px))  # fmt: skip

    @property
    def is_padded(self) -> bool:
        return self.before_px > 0 or self.behind_px > 0


def _inside(start: float, step: float, n: int, size_px: int) -> slice:
    """Pixels of the picture whose middle lies on the slide."""
    first = math.ceil(-start / step - 0.5)
    stop = math.ceil((size_px - start) / step - 0.5)
    return slice(min(max(first, 0), n), min(max(stop, 0), n))
