"""The slide under a mask, whatever can open it: OpenSlide, else tifffile, else Pillow.

A slide has levels, and gives the pixels of a rectangle of one level as red, green and blue; the
part that a picture needs is scaled to it here. What is not an RGB image of 8 bits (fluorescence)
shows its first channel in gray.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from qpmask.errors import MissingExtraError, OptionsError, QpmaskError
from qpmask.geometry import PixelSize, Size
from qpmask.mask.scaling import fitting_level, scale_of
from qpmask.viewer.alignment import Alignment, Bounds
from qpmask.viewer.extras import INSTALL_HINT
from qpmask.viewer.viewport import Viewport

#: Pixels of a slide that are read for one picture at most: about 250 MB.
MAX_SLIDE_PX = 60_000_000
GLASS = (255, 255, 255)


class Slide(Protocol):
    """An open slide."""

    @property
    def levels(self) -> tuple[Size, ...]:
        """Sizes of the levels, level 0 first."""

    @property
    def bounds(self) -> Bounds | None:
        """The part that was scanned, where the slide says so."""

    @property
    def pixel_size(self) -> PixelSize | None:
        """Size of a pixel of level 0, where the slide says so."""

    def read(self, level: int, x_px: int, y_px: int, size: Size) -> NDArray[np.uint8]:
        """Red, green and blue of a rectangle within a level, shape (rows, columns, 3)."""

    def close(self) -> None:
        """Let go of the file."""


class TooMuchToShow(OptionsError):  # noqa: N818 - reads as what happened
    """The slide has no level that is small enough for what should be shown."""


def open_slide(path: Path) -> Slide:
    """Open a slide with the first of OpenSlide, tifffile and Pillow that can.

    Raises
    ------
    OptionsError
        None of them can, or there is no such file.
    """
    if not path.exists():
        raise OptionsError(f"There is no slide {path}.")
    reasons = []
    for opener in (_with_openslide, _with_tifffile, _with_pillow):
        try:
            return opener(path)
        except Exception as error:  # each library has its own errors, and the next one is asked
            if isinstance(error, QpmaskError) and not isinstance(error, MissingExtraError):
                raise
            reasons.append(f"{opener.__name__.removeprefix('_with_')}: {error}")
    raise OptionsError(
        f"The slide {path} cannot be opened ({'; '.join(reasons)}).",
        hint="Convert it, for instance to OME-TIFF, or look at the mask alone.",
    )


def slide_picture(
    slide: Slide,
    alignment: Alignment,
    viewport: Viewport,
    beside: tuple[int, int, int] = GLASS,
) -> NDArray[np.uint8]:
    """The slide in a viewport of the mask.

    Parameters
    ----------
    slide : Slide
        The slide.
    alignment : Alignment
        How the mask lies upon it.
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
    from PIL import Image

    out = viewport.out
    picture = np.full((out.height_px, out.width_px, 3), beside, np.uint8)
    step_x = viewport.downsample * alignment.scale_x
    step_y = viewport.downsample * alignment.scale_y
    left = alignment.x0_px0 + viewport.x_px * alignment.scale_x
    top = alignment.y0_px0 + viewport.y_px * alignment.scale_y
    size = slide.levels[0]
    cols = _inside(left, step_x, out.width_px, size.width_px)
    rows = _inside(top, step_y, out.height_px, size.height_px)
    if cols.start >= cols.stop or rows.start >= rows.stop:
        return picture
    scales = [scale_of(size, each) for each in slide.levels]
    level = fitting_level(scales, min(step_x, step_y) * 1.001)
    down_x, down_y = scales[level]
    of_level = slide.levels[level]
    # What is shown, in pixels of the level; it may reach beyond the slide by half a pixel shown.
    x0, x1 = ((left + col * step_x) / down_x for col in (cols.start, cols.stop))
    y0, y1 = ((top + row * step_y) / down_y for row in (rows.start, rows.stop))
    x = _Stretch.over(x0, x1, of_level.width_px)
    y = _Stretch.over(y0, y1, of_level.height_px)
    read = Size(x.length_px, y.length_px)
    if read.area_px > MAX_SLIDE_PX:
        raise TooMuchToShow(
            f"The slide has no smaller levels; {read.area_px:,} of its pixels would be needed.",
            hint="Show a smaller region, or look at the mask alone.",
        )
    pixels = slide.read(level, x.start_px, y.start_px, read)
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


# --- OpenSlide ------------------------------------------------------------------------------------


class OpenSlideSlide:
    """A slide that OpenSlide opened.

    Parameters
    ----------
    handle : openslide.OpenSlide
        The open slide, or anything with its attributes.
    """

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._levels = tuple(Size(int(w), int(h)) for w, h in handle.level_dimensions)

    @property
    def levels(self) -> tuple[Size, ...]:
        """Sizes of the levels."""
        return self._levels

    @property
    def bounds(self) -> Bounds | None:
        """``openslide.bounds-*``."""
        names = ("x", "y", "width", "height")
        try:
            x, y, width, height = (
                int(self._handle.properties[f"openslide.bounds-{name}"]) for name in names
            )
        except (KeyError, ValueError):
            return None
        return Bounds(x, y, Size(width, height)) if width > 0 and height > 0 else None

    @property
    def pixel_size(self) -> PixelSize | None:
        """``openslide.mpp-*``."""
        try:
            x, y = (float(self._handle.properties[f"openslide.mpp-{name}"]) for name in "xy")
        except (KeyError, ValueError):
            return None
        return PixelSize(x, y) if 0 < x < math.inf and 0 < y < math.inf else None

    def read(self, level: int, x_px: int, y_px: int, size: Size) -> NDArray[np.uint8]:
        """Pixels of a rectangle; where there are none, glass."""
        from PIL import Image

        down_x = self._levels[0].width_px / self._levels[level].width_px
        down_y = self._levels[0].height_px / self._levels[level].height_px
        try:
            # OpenSlide takes the corner in pixels of level 0, the size in those of the level.
            region = self._handle.read_region(
                (round(x_px * down_x), round(y_px * down_y)),
                level,
                (size.width_px, size.height_px),
            )
        except Exception as error:
            raise OptionsError(f"The slide cannot be read: {error}.") from error
        page = Image.new("RGB", region.size, GLASS)
        page.paste(region, mask=region.getchannel("A") if region.mode == "RGBA" else None)
        return np.asarray(page)

    def close(self) -> None:
        """Let go of the file."""
        self._handle.close()


def _with_openslide(path: Path) -> Slide:
    try:
        import openslide
    except ImportError as error:  # the bindings or the library itself
        raise MissingExtraError(
            f"OpenSlide is not installed ({error})", hint=INSTALL_HINT
        ) from error
    handle = openslide.OpenSlide(path)
    slide = OpenSlideSlide(handle)
    if handle.properties.get("openslide.vendor") == "generic-tiff":
        # It sees neither the levels of an OME-TIFF, which lie in SubIFDs, nor 16 bits.
        from qpmask.viewer.tiffslide import TiffSlide

        try:
            other = TiffSlide(path)
        except Exception:  # whatever tifffile thinks of it, OpenSlide can open it
            return slide
        sees_more = len(other.levels) > len(slide.levels) or not other.is_rgb
        if sees_more and other.levels[0] == slide.levels[0]:
            slide.close()
            return other
        other.close()
    return slide


# --- tifffile -------------------------------------------------------------------------------------


def _with_tifffile(path: Path) -> Slide:
    from qpmask.viewer.tiffslide import TiffSlide

    return TiffSlide(path)


# --- Pillow ---------------------------------------------------------------------------------------


class ImageSlide:
    """A small image, held in memory: PNG, JPEG and the like, as QuPath opens them too.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (rows, columns, 3)
        Red, green and blue.
    """

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self._pixels = pixels
        self.levels: tuple[Size, ...] = (Size(pixels.shape[1], pixels.shape[0]),)
        self.bounds: Bounds | None = None
        self.pixel_size: PixelSize | None = None

    def read(self, level: int, x_px: int, y_px: int, size: Size) -> NDArray[np.uint8]:
        """Pixels of a rectangle."""
        return self._pixels[y_px : y_px + size.height_px, x_px : x_px + size.width_px]

    def close(self) -> None:
        """Nothing is open."""


def _with_pillow(path: Path) -> Slide:
    from PIL import Image

    with Image.open(path) as image:
        if image.width * image.height > MAX_SLIDE_PX:
            raise ValueError(f"{image.width:,} x {image.height:,} pixels are too many")
        return ImageSlide(np.asarray(image.convert("RGB")))
