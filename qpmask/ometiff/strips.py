"""Strips: neighbouring tiles of one row of tiles, the unit in which masks are made and read.

A strip keeps Python out of the way of the pixels: one call of a kernel looks at all its tiles,
which for most slides is a whole row of them. Where a strip must have its pixels in memory, it has
them part by part (:meth:`StripShape.parts`).
Tiles of one label are a number and have no pixels. Strips lie in a grid of their own
(:class:`StripGrid`), so that two strips of two rows make one strip of the next level.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qpmask.geometry import Size, Tiled

MIXED = -1
"""State of a tile that has pixels."""

UNKNOWN = -2
"""State of a tile that cannot be read."""

STRIP_PX = 64 << 20
"""Pixels of a strip, at most (but for tiles so large that two of them have more)."""

PART_PX = 8 << 20
"""Pixels of a part of a strip, at most (but for a tile that has more)."""


class StripShape(NamedTuple):
    """Tiles of a strip and their sizes, in pixels; only the last tile may be narrower."""

    n_tiles: int
    tile_width: int
    tile_height: int
    last_width: int
    height: int

    def width(self, k: int) -> int:
        """Width of the part of tile ``k`` that lies inside the image."""
        return self.last_width if k == self.n_tiles - 1 else self.tile_width

    def area(self, k: int) -> int:
        """Number of pixels of tile ``k`` inside the image."""
        return self.width(k) * self.height

    def part(self, first: int, end: int) -> StripShape:
        """Tiles ``first`` to ``end - 1`` alone."""
        return self._replace(n_tiles=end - first, last_width=self.width(end - 1))

    def parts(self) -> Iterator[tuple[int, StripShape]]:
        """The strip in parts whose pixels fit into memory: first tile and shape of each."""
        n_tiles = max(1, PART_PX // (self.tile_width * self.tile_height))
        for first in range(0, self.n_tiles, n_tiles):
            yield first, self.part(first, min(first + n_tiles, self.n_tiles))

    def areas(self) -> NDArray[np.int64]:
        """Number of pixels of each tile inside the image, shape (n_tiles,)."""
        areas = np.full(self.n_tiles, self.tile_width * self.height, np.int64)
        areas[-1] = self.last_width * self.height
        return areas


@dataclass(frozen=True)
class StripGrid(Tiled):
    """The strips of one level, row by row from the top left.

    Parameters
    ----------
    size, tile : Size
        Of the level and of its tiles, in pixels.
    """

    @property
    def tiles_per_strip(self) -> int:
        """Tiles of a strip, a power of two; the last strip of a row may have fewer."""
        return strip_tiles(self.tile)

    @property
    def n_strips(self) -> int:
        """Number of strips of one tile row."""
        return -(-self.n_cols // self.tiles_per_strip)

    def shape(self, row: int, strip: int) -> StripShape:
        """Sizes of the tiles of a strip."""
        first = strip * self.tiles_per_strip
        last = min(first + self.tiles_per_strip, self.n_cols) - 1
        width, height = self.tile.width_px, self.tile.height_px
        return StripShape(
            n_tiles=last - first + 1,
            tile_width=width,
            tile_height=height,
            last_width=min(width, self.size.width_px - last * width),
            height=min(height, self.size.height_px - row * height),
        )


class StripPlace(NamedTuple):
    """Where in a file a strip belongs: strip ``number`` of a tile row of a level of a plane."""

    plane: int
    level: int
    row: int
    number: int


@functools.cache
def strip_tiles(tile: Size) -> int:
    """Tiles of a strip: a power of two, two at least, 256 at most."""
    n_tiles = 2
    while n_tiles < 256 and 2 * n_tiles * tile.area_px <= STRIP_PX:
        n_tiles *= 2
    return n_tiles


@dataclass(frozen=True, eq=False)
class TileStrip:
    """Tiles of one strip of a :class:`StripGrid`.

    Parameters
    ----------
    shape : StripShape
        Sizes of the tiles.
    labels : ndarray of int64, shape (n_tiles,)
        The label of a tile that has one label only, else `MIXED`.
    pixels : ndarray of uint8, uint16 or uint32, shape (n_tiles, tile_width * tile_height)
        Of a mixed tile the first ``width * height`` values, row by row, are its pixels; nothing
        else of it counts.
    """

    shape: StripShape
    labels: NDArray[np.int64]
    pixels: NDArray[Any]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels."""
        return self.pixels.dtype

    def __iter__(self) -> Iterator[int | NDArray[Any]]:
        """The tiles one by one: a number, or pixels of shape (height, width)."""
        for k, label in enumerate(self.labels.tolist()):
            yield self.tile(k) if label == MIXED else label

    def tile(self, k: int) -> NDArray[Any]:
        """Pixels of mixed tile ``k``, shape (height, width), as a view."""
        width, height = self.shape.width(k), self.shape.height
        tile: NDArray[Any] = self.pixels[k, : width * height].reshape(height, width)
        return tile
