"""Slides that OpenSlide opens: the formats of most scanners."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.errors import MissingExtraError, OptionsError
from qpmask.geometry import Bounds, PixelSize, Size
from qpmask.geometry.pyramids import level_scales
from qpmask.slides.slide import GLASS, INSTALL_HINT, Slide, block_of


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
        self._scales = level_scales(
            self._levels, [self._tile(level) for level in range(len(self._levels))]
        )

    @property
    def levels(self) -> tuple[Size, ...]:
        """Sizes of the levels."""
        return self._levels

    @property
    def scales(self) -> tuple[tuple[float, float], ...]:
        """Pixels of level 0 in a pixel of each level; OpenSlide's own are ratios of the sizes."""
        return self._scales

    def _tile(self, level: int) -> Size | None:
        try:
            width, height = (
                int(self._handle.properties[f"openslide.level[{level}].tile-{side}"])
                for side in ("width", "height")
            )
        except (KeyError, ValueError):
            return None
        return Size(width, height) if width > 0 and height > 0 else None

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

    @property
    def magnification(self) -> float | None:
        """``openslide.objective-power``."""
        return self._number("openslide.objective-power")

    @property
    def reader(self) -> str:
        """OpenSlide and its name of the format."""
        return f"openslide ({self._handle.properties.get('openslide.vendor', 'unknown')})"

    def block_size(self, level: int) -> Size:
        """Tiles that make about 1024 x 1024 pixels; a call for each tile would cost too much."""
        sides = (self._number(f"openslide.level[{level}].tile-{n}") for n in ("width", "height"))
        width, height = (int(side or 512) for side in sides)
        return block_of(Size(width, height), self._levels[level], least_px=1024)

    def _number(self, name: str) -> float | None:
        try:
            value = float(self._handle.properties[name])
        except (KeyError, ValueError):
            return None
        return value if 0 < value < math.inf else None

    def read(self, level: int, x_px: int, y_px: int, size: Size) -> NDArray[np.uint8]:
        """Pixels of a rectangle; where there are none, glass."""
        from PIL import Image

        # OpenSlide takes the size in pixels of the level, the corner in those of level 0, which it
        # brings to the level by a ratio of its own: the mean of both sides'.
        down = float(self._handle.level_downsamples[level])
        try:
            region = self._handle.read_region(
                (round(x_px * down), round(y_px * down)),
                level,
                (size.width_px, size.height_px),
            )
        except Exception as error:
            raise OptionsError(f"The slide cannot be read: {error}.") from error
        if region.mode == "RGBA" and region.getchannel("A").getextrema()[0] == 255:
            return np.asarray(region.convert("RGB"))
        page = Image.new("RGB", region.size, GLASS)
        page.paste(region, mask=region.getchannel("A") if region.mode == "RGBA" else None)
        return np.asarray(page)

    def close(self) -> None:
        """Let go of the file."""
        self._handle.close()


def size_and_bounds(path: Path) -> tuple[Size, Bounds | None]:
    """What OpenSlide says of a slide's level 0, and of the part that was scanned.

    Raises
    ------
    ImportError
        OpenSlide is not installed.
    OSError, RuntimeError
        It cannot open the slide.
    """
    import openslide

    with openslide.OpenSlide(path) as handle:
        slide = OpenSlideSlide(handle)
        return slide.levels[0], slide.bounds


def open_with_openslide(path: Path) -> Slide:
    """Open a slide with OpenSlide, or with tifffile where that sees more of the same image."""
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
        from qpmask.slides.with_tifffile import TiffSlide  # takes long to import

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
