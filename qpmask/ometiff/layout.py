"""What the writer is told and what it tells: layout, tiles, result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qpmask.common.frozen import dataclass
from qpmask.errors import OptionsError
from qpmask.geometry import Size, TileGrid, pyramid_sizes
from qpmask.ometiff.directorywriter import COMPRESSION_TAGS
from qpmask.ometiff.runs import TileRuns
from qpmask.ometiff.strips import TileStrip
from qpmask.options import PIXEL_TYPES

_LARGEST_TILE_PX = 8192  # what the reader takes for a tile and not for damage


@dataclass(frozen=True)
class MaskLayout:
    """How the pixels of a mask lie in its file.

    Parameters
    ----------
    size : Size
        Size of level 0.
    tile_px : int
        Edge of the square tiles, a multiple of 16 (TIFF's rule). 512 suits the readers we know.
    dtype : {"uint8", "uint16", "uint32"}
        Pixel type. Anything that NumPy takes for one of these is accepted.
    size_c, size_z, size_t : int
        Numbers of channels, slices and time points. Each combination is a plane of its own.
    compression : {"lzw", "zlib", "zstd", "packbits", "png", "none"}
        LZW is what every reader knows. OpenCV and Bio-Formats 6.7 cannot read zstd (7.3, in QuPath
        0.6, can); PNG inside a TIFF is for tifffile and qpmask alone, and of 8 or 16 bits a pixel.
    pyramid : bool
        Whether to add levels, each half of the one before, until one fits into a tile.
    one_bit : bool
        Whether a pixel takes one bit in the file: labels 0 and 1 only, of type uint8. Bio-Formats
        7.3 (QuPath 0.6) reads wrong pixels where a level's width is no multiple of 8.
    """

    size: Size
    tile_px: int = 512
    dtype: str = "uint8"
    size_c: int = 1
    size_z: int = 1
    size_t: int = 1
    compression: str = "lzw"
    pyramid: bool = True
    one_bit: bool = False

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "dtype", np.dtype(self.dtype).name)
        except TypeError as error:
            raise OptionsError(f"There is no pixel type {self.dtype!r}.") from error
        if self.dtype not in PIXEL_TYPES:
            raise OptionsError(
                f"A mask cannot have the pixel type {self.dtype}.",
                hint=f"Use one of: {', '.join(PIXEL_TYPES)}.",
            )
        if self.tile_px <= 0 or self.tile_px % 16:
            raise OptionsError(
                f"The tile size is {self.tile_px}; TIFF asks for a multiple of 16.",
                hint="Use 512 or 256.",
            )
        if self.tile_px > _LARGEST_TILE_PX:
            raise OptionsError(
                f"The tile size is {self.tile_px:,}; {_LARGEST_TILE_PX:,} is the largest.",
                hint="Use 512 or 256.",
            )
        if self.compression not in COMPRESSION_TAGS:
            raise OptionsError(
                f"There is no compression {self.compression!r}.",
                hint=f"Use one of: {', '.join(COMPRESSION_TAGS)}.",
            )
        if self.one_bit and (self.dtype != "uint8" or self.compression == "png"):
            raise OptionsError(
                f"A mask of 1 bit cannot be {self.dtype} with the compression {self.compression}.",
                hint="Use uint8 and lzw, zlib, zstd, packbits or none.",
            )
        if self.dtype == "uint32" and self.compression == "png":
            raise OptionsError(
                "A mask of uint32 cannot be stored as PNG, which has pixels of 8 or 16 bits.",
                hint="Use lzw, zlib, zstd, packbits or none.",
            )
        if min(self.size.width_px, self.size.height_px) < 1:
            raise OptionsError(f"A mask cannot be {self.size} pixels large.")
        if max(self.size.width_px, self.size.height_px) >= 2**31:
            raise OptionsError(f"A mask of {self.size} pixels does not fit into a TIFF.")
        if min(self.size_c, self.size_z, self.size_t) < 1:
            raise OptionsError("A mask has at least one channel, one slice and one time point.")

    @property
    def n_planes(self) -> int:
        """Number of planes. Plane ``c + size_c * (z + size_z * t)`` holds (c, z, t)."""
        return self.size_c * self.size_z * self.size_t

    @property
    def grid(self) -> TileGrid:
        """Tiles of level 0."""
        return TileGrid(self.size, self.tile_px)

    @property
    def level_sizes(self) -> tuple[Size, ...]:
        """Sizes of all levels, level 0 included."""
        return pyramid_sizes(self.size, self.tile_px) if self.pyramid else (self.size,)

    @property
    def bits_per_pixel(self) -> int:
        """Bits that a pixel takes in the file."""
        return 1 if self.one_bit else self.pixel_dtype.itemsize * 8

    @property
    def pixel_dtype(self) -> np.dtype[Any]:
        """Pixel type as NumPy has it, in the machine's byte order."""
        return np.dtype(self.dtype)


Tile: TypeAlias = "int | NDArray[Any]"
"""A tile of level 0: one label, or pixels cropped to the image."""

Tiles: TypeAlias = "Tile | TileStrip | TileRuns"
"""What a stream of tiles consists of: single ones, or a strip of them."""


def single_tiles(tiles: Iterable[Tiles]) -> Iterator[Tile]:
    """Tiles one by one, whether they come in strips or not."""
    for item in tiles:
        if isinstance(item, (TileStrip, TileRuns)):
            yield from item
        else:
            yield item


class WriteResult(NamedTuple):
    """What was written.

    Parameters
    ----------
    path : Path
        The file.
    counts : tuple of dict of int to int
        Pixels by label in level 0 of each plane, labels that occur only.
    levels : tuple of Size
        Sizes of the levels, level 0 first.
    file_bytes : int
        Size of the file.
    n_tiles : int
        Number of tiles of all levels and planes.
    n_segments : int
        Number of byte ranges that they share.
    is_bigtiff : bool
        Whether the file had to be a BigTIFF.
    """

    path: Path
    counts: tuple[dict[int, int], ...]
    levels: tuple[Size, ...]
    file_bytes: int
    n_tiles: int
    n_segments: int
    is_bigtiff: bool

    def counts_by_label(self, plane: int = 0) -> dict[int, int]:
        """Pixels by label in one plane, labels that occur only."""
        return self.counts[plane]
