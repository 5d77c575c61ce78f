"""Sizes, pixel sizes and tile grids: plain numbers with their frame in their name.

Coordinate frames, named once and used as suffixes everywhere:

``px0``
    Pixels of the image at full resolution, the frame of QuPath's ROIs. Origin at the top left
    corner of the top left pixel, x to the right, y down.
``px``
    Pixels of the mask at one level (level 0 unless said otherwise).
``um``
    Micrometres.

Geometry is (x, y); arrays are (rows, columns) = (y, x). ``row`` and ``col`` count tiles.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """Width and height of an image or a level, in its own pixels."""

    width_px: int
    height_px: int

    def __str__(self) -> str:
        return f"{self.width_px:,} x {self.height_px:,}"

    @property
    def area_px(self) -> int:
        """Number of pixels."""
        return self.width_px * self.height_px

    def downsampled(self, downsample: float) -> Size:
        """Size of a mask drawn at this downsample, as QuPath counts it: rounded down, at least 1.

        QuPath's ``ImageServerMetadata`` and ``OMEPyramidWriter`` both truncate
        ``width / downsample`` (0.4 to 0.7).
        """
        return Size(
            max(1, math.floor(self.width_px / downsample)),
            max(1, math.floor(self.height_px / downsample)),
        )

    def halved(self) -> Size:
        """Size of the next pyramid level: half, rounded up, so that no pixel is lost."""
        return Size((self.width_px + 1) // 2, (self.height_px + 1) // 2)


@dataclass(frozen=True)
class PixelSize:
    """Width and height of a pixel, in micrometres."""

    width_um: float
    height_um: float

    @property
    def mean_um(self) -> float:
        """Mean of width and height, as QuPath's ``getAveragedPixelSizeMicrons``."""
        return (self.width_um + self.height_um) / 2

    @property
    def area_um2(self) -> float:
        """Area of one pixel in square micrometres."""
        return self.width_um * self.height_um

    def scaled(self, factor: float) -> PixelSize:
        """Pixel size after downsampling by ``factor``."""
        return PixelSize(self.width_um * factor, self.height_um * factor)


def useful_tile_px(size: Size, tile_px: int) -> int:
    """Edge of the tiles of an image: less than was asked for where a tile would be far larger.

    libvips refuses a file whose tiles have 256 pixels and twice the image's longer side, or more
    (measured with 8.18). One tile holds the image either way.
    """
    side_px = max(size.width_px, size.height_px)
    return tile_px if tile_px < 256 + 2 * side_px else max(256, -(-side_px // 16) * 16)


@dataclass(frozen=True)
class TileGrid:
    """Square tiles over one level, row by row from the top left; edge tiles are cropped."""

    size: Size
    tile_px: int

    @property
    def n_cols(self) -> int:
        """Number of tile columns."""
        return -(-self.size.width_px // self.tile_px)

    @property
    def n_rows(self) -> int:
        """Number of tile rows."""
        return -(-self.size.height_px // self.tile_px)

    @property
    def n_tiles(self) -> int:
        """Number of tiles."""
        return self.n_rows * self.n_cols

    def shape(self, row: int, col: int) -> tuple[int, int]:
        """(height, width) of the part of a tile that lies inside the image, in pixels."""
        return (
            min(self.tile_px, self.size.height_px - row * self.tile_px),
            min(self.tile_px, self.size.width_px - col * self.tile_px),
        )

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """(row, col) of every tile, in the order of a TIFF file."""
        for row in range(self.n_rows):
            for col in range(self.n_cols):
                yield row, col


@dataclass(frozen=True)
class Tiled:
    """An image cut into tiles of any size, row by row from the top left; edge tiles are cropped."""

    size: Size
    tile: Size

    @property
    def n_rows(self) -> int:
        """Number of tile rows."""
        return -(-self.size.height_px // self.tile.height_px)

    @property
    def n_cols(self) -> int:
        """Number of tile columns."""
        return -(-self.size.width_px // self.tile.width_px)

    @property
    def n_tiles(self) -> int:
        """Number of tiles of one plane."""
        return self.n_rows * self.n_cols


def pyramid_sizes(size: Size, tile_px: int) -> tuple[Size, ...]:
    """Sizes of all levels, level 0 included, halving until a level fits into one tile.

    Pixel (x, y) of level k is pixel (x * 2**k, y * 2**k) of level 0: subsampled, never averaged,
    so that no level holds a label that level 0 lacks there.
    """
    sizes = [size]
    while sizes[-1].width_px > tile_px or sizes[-1].height_px > tile_px:
        sizes.append(sizes[-1].halved())
    return tuple(sizes)
