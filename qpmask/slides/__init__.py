"""Slides: a path becomes levels, a pixel size, and the pixels of any rectangle of a level.

``slide`` says what every slide is; ``with_openslide``, ``with_tifffile`` and ``with_pillow`` each
open slides by one library; ``opening`` asks them in this order. What is not an RGB image of 8 bits
(fluorescence) shows its first channel in gray.
"""

from qpmask.geometry import Bounds
from qpmask.slides.opening import open_slide
from qpmask.slides.slide import GLASS, Slide

__all__ = ["GLASS", "Bounds", "Slide", "open_slide"]
