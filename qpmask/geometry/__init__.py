"""Sizes, pixel sizes, tile grids and matrices, with their frame in their name.

``sizes`` holds the plain numbers; ``frames`` says where an image or a mask of it lies in the
slide's file; ``pyramids`` how many pixels of level 0 a pixel of each level spans; ``units`` what
files call a micrometre.
"""

from qpmask.geometry.sizes import (
    Affine,
    Bounds,
    PixelSize,
    Size,
    Tiled,
    TileGrid,
    pyramid_sizes,
    useful_tile_px,
)

__all__ = [
    "Affine",
    "Bounds",
    "PixelSize",
    "Size",
    "TileGrid",
    "Tiled",
    "pyramid_sizes",
    "useful_tile_px",
]
