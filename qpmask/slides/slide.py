"""What every slide is, whatever opened it: levels, pixel size, regions as red, green and blue."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qpmask.geometry import Bounds, PixelSize, Size

#: What is seen where a slide has no pixels.
GLASS = (255, 255, 255)
INSTALL_HINT = 'Install it with: pip install "qpmask[view]", or "qpmask[patches]".'


class Slide(Protocol):
    """An open slide."""

    @property
    def levels(self) -> tuple[Size, ...]:
        """Sizes of the levels, level 0 first."""

    @property
    def scales(self) -> tuple[tuple[float, float], ...]:
        """Pixels of level 0 in a pixel of each level, in x and y.

        Not the ratio of the sizes where levels are padded to whole tiles (CAMELYON).
        """

    @property
    def bounds(self) -> Bounds | None:
        """The part that was scanned, where the slide says so."""

    @property
    def pixel_size(self) -> PixelSize | None:
        """Size of a pixel of level 0, where the slide says so."""

    @property
    def magnification(self) -> float | None:
        """Of the objective, where the slide says so."""

    @property
    def reader(self) -> str:
        """Library that opened it, and the format as it names it."""

    def block_size(self, level: int) -> Size:
        """The pieces that a level is read in best: the tiles of its file, or several of them."""

    def read(self, level: int, x_px: int, y_px: int, size: Size) -> NDArray[np.uint8]:
        """Red, green and blue of a rectangle within a level, shape (rows, columns, 3)."""

    def close(self) -> None:
        """Let go of the file."""


def block_of(tile: Size, level: Size, least_px: int = 256) -> Size:
    """A whole number of tiles, so many that a block is no smaller than worth a call.

    Parameters
    ----------
    tile : Size
        A tile of the file.
    level : Size
        The level.
    least_px : int
        Width and height that are worth a call.
    """
    return Size(
        *(
            min(-(-least_px // max(1, one)) * max(1, one), whole)
            for one, whole in (
                (tile.width_px, level.width_px),
                (tile.height_px, level.height_px),
            )
        )
    )
