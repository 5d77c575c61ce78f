"""A small picture of a whole slide, at 8 to 10 micrometres a pixel whatever its pyramid is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qpmask.geometry import Size
from qpmask.slides import Slide

#: What a pixel of the picture shows, in micrometres, if no level comes near.
WANTED_UM = 8.0
_FINE_UM, _COARSE_UM = 6.5, 10.5
_STRIP_PX = 16_000_000  # pixels read at a time


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture of a slide.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (rows, columns, 3)
        Red, green and blue.
    scale : float
        Pixels of level 0 in one of the picture; the corners of both lie upon each other.
    um : float
        Micrometres in a pixel of the picture.
    """

    pixels: NDArray[np.uint8]
    scale: float
    um: float


def slide_picture(
    slide: Slide, scales: Sequence[float], mpp: float, wanted_um: float = WANTED_UM
) -> Picture:
    """A picture of a slide.

    Parameters
    ----------
    slide : Slide
        The slide.
    scales : sequence of float
        Pixels of level 0 in a pixel of each level.
    mpp : float
        Micrometres of a pixel of level 0.
    wanted_um : float
        Micrometres of a pixel of the picture.

    Notes
    -----
    The level that is near enough is taken as it is; else a finer one is averaged in squares of a
    whole number of pixels, so that the picture's scale is exact.
    """
    near = [k for k, s in enumerate(scales)
            if _FINE_UM <= s * mpp * WANTED_UM / wanted_um <= _COARSE_UM]  # fmt: skip
    if near:
        level, factor = near[0], 1
    else:
        finer = [k for k, s in enumerate(scales) if s * mpp <= wanted_um] or [0]
        level = max(finer, key=lambda k: scales[k])
        factor = max(1, round(wanted_um / (scales[level] * mpp)))
    scale = scales[level] * factor
    return Picture(_reduced(slide, level, factor), scale, scale * mpp)


def _reduced(slide: Slide, level: int, factor: int) -> NDArray[np.uint8]:
    """A level of a slide, averaged in squares; the last ones may be cut off by the slide's edge."""
    size = slide.levels[level]
    out = np.empty((-(-size.height_px // factor), -(-size.width_px // factor), 3), np.uint8)
    rows = max(1, _STRIP_PX // max(1, size.width_px) // factor) * factor
    for top in range(0, size.height_px, rows):
        height = min(rows, size.height_px - top)
        pixels = slide.read(level, 0, top, Size(size.width_px, height))
        if factor > 1:
            from PIL import Image

            pixels = np.asarray(Image.fromarray(pixels).reduce(factor))
        out[top // factor : top // factor + len(pixels)] = pixels
    return out
