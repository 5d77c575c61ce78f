"""Plain images that Pillow opens, held in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qpmask.geometry import Bounds, PixelSize, Size
from qpmask.slides.slide import Slide

#: Pixels of an image that is held in memory, at most.
MAX_IMAGE_PX = 60_000_000


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
        self.scales: tuple[tuple[float, float], ...] = ((1.0, 1.0),)
        self.bounds: Bounds | None = None
        self.pixel_size: PixelSize | None = None
        self.magnification: float | None = None
        self.reader = "pillow"

    def block_size(self, level: int) -> Size:
        """All of it: nothing has to be decoded."""
        return self.levels[0]

    def read(self, level: int, x_px: int, y_px: int, size: Size) -> NDArray[np.uint8]:
        """Pixels of a rectangle."""
        return self._pixels[y_px : y_px + size.height_px, x_px : x_px + size.width_px]

    def close(self) -> None:
        """Nothing is open."""


def open_with_pillow(path: Path) -> Slide:
    """Open an image with Pillow."""
    from PIL import Image

    with Image.open(path) as image:
        if image.width * image.height > MAX_IMAGE_PX:
            raise ValueError(f"{image.width:,} x {image.height:,} pixels are too many")
        return ImageSlide(np.asarray(image.convert("RGB")))
