"""Sizes, pixel sizes and tile grids: plain numbers with their frame in their name.

Coordinate frames, named once and used as suffixes everywhere:

``px0``
    Pixels of the image at full resolution, the frame of QuPath's ROIs. Origin at the top left
    corner of the top left pixel, x to the right, y down.
``px``
    Pixels of the mask at one level (level 0 unless said otherwise).
``file_px0``
    Pixels of level 0 of the slide's file. That is not the image where QuPath rotates, crops or
    transforms the file, or cuts it to its scanned part; an :class:`Affine` leads from one frame
    to the other, and :mod:`qpmask.geometry.frames` reads it from the project.
``um``
    Micrometres.

Geometry is (x, y); arrays are (rows, columns) = (y, x). ``row`` and ``col`` count tiles.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple


class Size(NamedTuple):
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


class PixelSize(NamedTuple):
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


class Bounds(NamedTuple):
    """A rectangle of whole pixels, such as the part of a slide that was scanned.

    Attributes
    ----------
    x_px0, y_px0 : int
        Its upper left corner.
    size : Size
        Its width and height.
    """

    x_px0: int
    y_px0: int
    size: Size


class Affine(NamedTuple):
    """Leads from one frame to another: (a x + b y + c, d x + e y + f).

    Points are continuous: pixel (i, j) covers x from i to i + 1 and y from j to j + 1, so the
    middle of the first pixel is (0.5, 0.5). The order of the six numbers is that of rasterio and
    of ESRI's world files read row by row, not that of Java's ``AffineTransform``.
    """

    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0
    e: float = 1.0
    f: float = 0.0

    @classmethod
    def scale(cls, x: float, y: float | None = None) -> Affine:
        """Stretch by a factor along x and y (the same where `y` is not given)."""
        return cls(a=x, e=x if y is None else y)

    @classmethod
    def shift(cls, x: float, y: float) -> Affine:
        """Move by a distance."""
        return cls(c=x, f=y)

    def __call__(self, x: float, y: float) -> tuple[float, float]:
        """Where a point goes."""
        return self.a * x + self.b * y + self.c, self.d * x + self.e * y + self.f

    def __matmul__(self, first: Affine) -> Affine:
        """``(self @ first)(x, y) == self(*first(x, y))``."""
        return Affine(
            self.a * first.a + self.b * first.d,
            self.a * first.b + self.b * first.e,
            self.a * first.c + self.b * first.f + self.c,
            self.d * first.a + self.e * first.d,
            self.d * first.b + self.e * first.e,
            self.d * first.c + self.e * first.f + self.f,
        )

    @property
    def determinant(self) -> float:
        """Area of what a unit square becomes; negative where it is mirrored."""
        return self.a * self.e - self.b * self.d

    def inverse(self) -> Affine:
        """Lead back.

        Raises
        ------
        ValueError
            It cannot: areas become lines or points.
        """
        area = self.determinant
        if not (math.isfinite(area) and area != 0):
            raise ValueError(f"{self} cannot be inverted")
        # Plus zero: -0.0 would be written into files as such.
        a, b, d, e = (v / area + 0.0 for v in (self.e, -self.b, -self.d, self.a))
        return Affine(
            a, b, -(a * self.c + b * self.f) + 0.0, d, e, -(d * self.c + e * self.f) + 0.0
        )

    @property
    def values(self) -> tuple[float, float, float, float, float, float]:
        """The six numbers, a to f."""
        return self.a, self.b, self.c, self.d, self.e, self.f

    @property
    def is_upright(self) -> bool:
        """Whether it scales and moves alone: no turn, no mirror, no shear."""
        return self.b == self.d == 0 and self.a > 0 and self.e > 0

    @property
    def keeps_axes(self) -> bool:
        """Whether rows stay rows or become columns: turns by 90 degrees, mirrors, scales."""
        return (self.b == self.d == 0) or (self.a == self.e == 0)

    @property
    def step_x(self) -> float:
        """Length of what a step of 1 along x becomes."""
        return math.hypot(self.a, self.d)

    @property
    def step_y(self) -> float:
        """Length of what a step of 1 along y becomes."""
        return math.hypot(self.b, self.e)

    def box(
        self, x: float, y: float, width: float, height: float
    ) -> tuple[float, float, float, float]:
        """Least upright rectangle around what a rectangle becomes: x, y, width, height."""
        corners = [self(x + dx, y + dy) for dx in (0, width) for dy in (0, height)]
        left, top = (min(corner[axis] for corner in corners) for axis in (0, 1))
        right, bottom = (max(corner[axis] for corner in corners) for axis in (0, 1))
        return left, top, right - left, bottom - top


def useful_tile_px(size: Size, tile_px: int) -> int:
    """Edge of the tiles of an image: less than was asked for where a tile would be far larger.

    libvips refuses a file whose tiles are larger than twice the image's longer side, rounded up to
    128 pixels (measured with 8.18). One tile holds the image either way.
    """
    side_px = max(size.width_px, size.height_px)
    largest_px = 2 * 128 * -(-side_px // 128)
    return tile_px if tile_px <= largest_px else max(256, -(-side_px // 16) * 16)


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
