"""Tiles for the page: labels as they are, and the slide as JPEG.

Level k of an image or a mask has one pixel for 2^k x 2^k of full resolution, ``ceil(n / 2^k)`` of
them along an axis; tile (column, row) of it starts at ``TILE_PX * column``. Labels are picked,
never mixed (:meth:`qpmask.mask.mask.Mask.region`), and arrive as numbers, so that the browser
colours them without asking again.
"""

from __future__ import annotations

import gzip
import io
import math

import numpy as np
from numpy.typing import NDArray

from qpmask.errors import MissingExtraError, OptionsError
from qpmask.geometry import Affine, Size
from qpmask.slides import GLASS, Slide
from qpmask.viewer.palette import Painter
from qpmask.viewer.sampling import Sampler
from qpmask.viewer.scene import lay_over
from qpmask.viewer.slidepicture import slide_picture
from qpmask.viewer.viewport import Viewport

TILE_PX = 512
_JPEG_QUALITY = 85


def n_levels(size: Size) -> int:
    """Levels until the image fits into one tile."""
    longer = max(size.width_px, size.height_px)
    return max(0, math.ceil(math.log2(longer / TILE_PX))) + 1 if longer > TILE_PX else 1


def tile_viewport(size: Size, level: int, col: int, row: int) -> Viewport:
    """What a tile shows, in pixels of full resolution.

    Raises
    ------
    OptionsError
        There is no such tile.
    """
    if 0 <= level < n_levels(size) and col >= 0 and row >= 0:
        step = 1 << level
        width = -(-size.width_px // step) - col * TILE_PX
        height = -(-size.height_px // step) - row * TILE_PX
        if width > 0 and height > 0:
            out = Size(min(width, TILE_PX), min(height, TILE_PX))
            return Viewport(col * TILE_PX * step, row * TILE_PX * step, float(step), out)
    raise OptionsError(f"There is no tile {col}, {row} at level {level}.")


def label_tile(sampler: Sampler, level: int, col: int, row: int) -> bytes:
    """A tile of labels: little-endian numbers of the mask's type, row by row, packed by gzip.

    Raises
    ------
    MaskError
        A tile of the file is missing or does not decode.
    """
    labels = sampler.sample(tile_viewport(sampler.size, level, col, row)).labels
    plain = np.ascontiguousarray(labels, labels.dtype.newbyteorder("<"))
    return gzip.compress(plain.tobytes(), 1, mtime=0)


def slide_tile(slide: Slide, to_slide: Affine, size: Size, tile: tuple[int, int, int]) -> bytes:
    """A tile (level, column, row) of the slide as the image lies on it, as JPEG.

    Raises
    ------
    OptionsError
        The slide cannot be read there.
    """
    return jpeg(slide_picture(slide, to_slide, tile_viewport(size, *tile)))


def thumbnail(
    size: Size,
    max_px: int,
    under: tuple[Slide, Affine] | None,
    over: tuple[Sampler, Painter, float] | None,
) -> bytes:
    """A small picture of an image, as JPEG: the slide, and the mask upon it.

    Parameters
    ----------
    size : Size
        The image at full resolution.
    max_px : int
        Longer side of the picture.
    under : tuple, optional
        The slide, and the matrix from the image to it.
    over : tuple, optional
        What samples the mask, its colours, and pixels of the image in one of the mask.
    """
    step = max(1.0, max(size.width_px, size.height_px) / max_px)
    out = Size(max(1, round(size.width_px / step)), max(1, round(size.height_px / step)))
    view = Viewport(0, 0, step, out)
    pixels: NDArray[np.uint8] = np.full((out.height_px, out.width_px, 3), GLASS, np.uint8)
    if under is not None:
        pixels = slide_picture(*under, view)
    if over is not None:
        sampler, painter, scale = over
        labels = sampler.sample(Viewport(0, 0, step / scale, out)).labels
        lay_over(pixels, painter.paint(labels), 0.5 if under is not None else 1.0)
    return jpeg(pixels)


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """A picture as JPEG.

    Raises
    ------
    MissingExtraError
        Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError(
            "Pictures for the browser need Pillow, which is not installed.",
            hint='Install it: pip install "qpmask[serve]".',
        ) from error
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=_JPEG_QUALITY)
    return file.getvalue()
