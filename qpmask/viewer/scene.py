"""A mask, the slide under it and how they are shown: viewport in, picture and legend out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qpmask.errors import OptionsError
from qpmask.geometry import PixelSize, Size
from qpmask.ometiff.omexml import ClassRow
from qpmask.slides import Slide
from qpmask.viewer.alignment import Alignment
from qpmask.viewer.legend import BACKGROUND_NAME, LegendRow, legend_of, name_of
from qpmask.viewer.palette import Painter
from qpmask.viewer.sampling import Sampler
from qpmask.viewer.slidepicture import TooMuchToShow, slide_picture
from qpmask.viewer.viewport import Viewport

PAPER = (255, 255, 255)
OUTSIDE = (224, 224, 224)


@dataclass(frozen=True, eq=False)
class Picture:
    """What a viewport shows.

    Parameters
    ----------
    viewport : Viewport
        The viewport.
    pixels : ndarray of uint8, shape (rows, columns, 3)
        Red, green and blue.
    legend : tuple of LegendRow
        The classes in it.
    note : str, optional
        What is not shown, and why.
    """

    viewport: Viewport
    pixels: NDArray[np.uint8]
    legend: tuple[LegendRow, ...]
    note: str | None = None


@dataclass(frozen=True)
class Caption:
    """What stands above a legend: the mask's name, and its plane if it has several."""

    title: str
    plane: str | None = None


class Scene:
    """What there is to look at.

    Parameters
    ----------
    sampler : Sampler
        Labels of the mask.
    classes : mapping of int to ClassRow
        Its class table, by label.
    caption : Caption
        What to call it.
    pixel_size : PixelSize, optional
        Of the mask's level 0.
    slide : Slide, optional
        What lies under it.
    alignment : Alignment, optional
        How it does; needed with a slide.
    opacity : float
        Of the mask, 0 to 1.
    note : str, optional
        What people should know of the mask's file.
    """

    def __init__(
        self,
        sampler: Sampler,
        classes: Mapping[int, ClassRow],
        caption: Caption,
        *,
        pixel_size: PixelSize | None = None,
        slide: Slide | None = None,
        alignment: Alignment | None = None,
        opacity: float = 1.0,
        note: str | None = None,
    ) -> None:
        if not 0 <= opacity <= 1:
            raise OptionsError(f"The opacity is {opacity}; it must be from 0 to 1.")
        if slide is not None and alignment is None:
            raise OptionsError("A slide under a mask needs an alignment.")
        self.opacity = opacity
        self.caption = caption
        self.pixel_size = pixel_size
        self._sampler = sampler
        self._classes = classes
        self._painter = Painter(classes)
        self._slide = slide
        self._alignment = alignment
        self._note = note

    @property
    def size(self) -> Size:
        """Size of the mask's level 0."""
        return self._sampler.size

    @property
    def notes(self) -> tuple[str, ...]:
        """What people should know of the mask's file, and of how the slide lies under it."""
        note = self._alignment.note if self._alignment is not None else None
        return tuple(text for text in (self._note, note) if text)

    @property
    def has_slide(self) -> bool:
        """Whether there is a slide."""
        return self._slide is not None

    def picture(self, viewport: Viewport) -> Picture:
        """Read and paint what a viewport shows, and nothing else.

        Raises
        ------
        MaskError
            A tile of the mask is missing or damaged.
        OptionsError
            The slide cannot be read.
        """
        sample = self._sampler.sample(viewport)
        height, width = sample.labels.shape
        note = None
        pixels = np.full((height, width, 3), OUTSIDE, np.uint8)
        if self._slide is not None and self._alignment is not None:
            try:
                pixels = slide_picture(self._slide, self._alignment.matrix, viewport, OUTSIDE)
            except TooMuchToShow as error:
                note = str(error)
                pixels[sample.inside] = PAPER
        else:
            pixels[sample.inside] = PAPER
        lay_over(pixels[sample.inside], self._painter.paint(sample.labels_inside), self.opacity)
        return Picture(viewport, pixels, legend_of(sample.labels_inside, self._classes), note)

    def describe(self, x_px: float, y_px: float) -> str:
        """Where a point of the mask is and which class it has, in words."""
        x, y = int(np.floor(x_px)), int(np.floor(y_px))
        label = self._sampler.label_at(x, y)
        if label is None:
            return "outside the mask"
        name = name_of(label, self._classes)
        suffix = "" if name in (f"label {label}", BACKGROUND_NAME) else f" (label {label})"
        return f"{name}{suffix}   x {x:,}  y {y:,}"


def lay_over(pixels: NDArray[np.uint8], colors: NDArray[np.uint8], opacity: float) -> None:
    """Blend colours onto pixels, in place.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (rows, columns, 3)
        What lies beneath.
    colors : ndarray of uint8, shape (rows, columns, 4)
        Red, green, blue, and 0 (leaves the pixel as it is) or 255.
    opacity : float
        0 leaves everything as it is, 1 covers it.
    """
    # In blocks, so that the wider numbers in between stay small.
    for top in range(0, len(pixels), 256):
        under, over = pixels[top : top + 256], colors[top : top + 256]
        if opacity == 1:
            np.copyto(under, over[:, :, :3], where=over[:, :, 3:] > 0)
            continue
        weight = np.rint(over[:, :, 3:] * np.float32(opacity)).astype(np.uint16)
        mixed = (under * (255 - weight) + over[:, :, :3] * weight + 127) // 255
        under[...] = mixed
