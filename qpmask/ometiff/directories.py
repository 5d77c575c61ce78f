"""The directories of a mask file as records: planes, levels, where their tiles are.

``directoryreader`` makes them of a file; ``structurecheck`` says what a mask of ours would have
otherwise.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qpmask.errors import MaskError
from qpmask.geometry import Tiled
from qpmask.ometiff.omexml import MaskMetadata, from_ome_xml

_CREATOR = re.compile(r"""\bCreator\s*=\s*["']([^"']*)""")


@dataclass(frozen=True)
class Level(Tiled):
    """One level: its size and the size of its tiles (edge tiles are cropped)."""

    def shape(self, row: int, col: int) -> tuple[int, int]:
        """(height, width) of the part of a tile that lies inside the image, in pixels."""
        return (
            min(self.tile.height_px, self.size.height_px - row * self.tile.height_px),
            min(self.tile.width_px, self.size.width_px - col * self.tile.width_px),
        )


class Image(NamedTuple):
    """One directory of the file.

    Parameters
    ----------
    level : Level
        Size and tile size.
    dtype : numpy.dtype
        Pixel type in the file's byte order.
    n_samples : int
        Samples per pixel.
    is_planar : bool
        Whether each sample has tiles of its own, all tiles of the first sample first.
    compression : str
        A value of `COMPRESSION_NAMES`.
    has_predictor : bool
        Whether the tiles hold differences from the pixel at the left.
    subfile_type, photometric : int
        The tags of these names.
    has_colormap : bool
        Whether there is a palette.
    resolution : tuple of (float, float, int), optional
        XResolution, YResolution and ResolutionUnit.
    offsets, bytecounts : ndarray of int64
        Where the tiles are.
    directory_offset : int
        Where the directory itself is.
    n_bits : int
        Bits a sample; samples of one bit are uint8 here.
    is_signed : bool
        Whether the file has signed integers. Labels are not negative, so `dtype` is unsigned.
    is_tiled : bool
        Whether the file has tiles. Strips are tiles as wide as the image here.
    """

    level: Level
    dtype: np.dtype[Any]
    n_samples: int
    is_planar: bool
    compression: str
    has_predictor: bool
    subfile_type: int
    photometric: int
    has_colormap: bool
    resolution: tuple[float, float, int] | None
    offsets: NDArray[np.int64]
    bytecounts: NDArray[np.int64]
    directory_offset: int
    n_bits: int
    is_signed: bool = False
    is_tiled: bool = True

    @property
    def row_bytes(self) -> int:
        """Length of a row of a decoded tile."""
        samples = 1 if self.is_planar else self.n_samples
        if self.n_bits == 1:  # each row fills its last byte
            return -(-self.level.tile.width_px * samples // 8)
        return self.level.tile.width_px * samples * self.dtype.itemsize

    def segment_bytes(self, row: int = 0) -> int:
        """Length of a decoded tile; the last strip is shorter, tiles at an edge are not."""
        n_rows = self.level.tile.height_px if self.is_tiled else self.level.shape(row, 0)[0]
        return self.row_bytes * n_rows

    def unpack(self, raw: NDArray[np.uint8], sample: int) -> NDArray[Any]:
        """Pixels of one sample of a decoded tile, shape (rows, tile width).

        Raises
        ------
        ValueError
            If one of them is negative.
        """
        samples = 1 if self.is_planar else self.n_samples
        n_rows = len(raw) // self.row_bytes
        shape = (n_rows, self.level.tile.width_px, samples)
        if self.n_bits == 1:
            rows = raw.reshape(n_rows, self.row_bytes)
            bits = np.unpackbits(rows, axis=1, count=shape[1] * samples).reshape(shape)
            return bits[:, :, 0 if self.is_planar else sample]
        pixels = raw.view(self.dtype).reshape(shape)
        if self.has_predictor:
            pixels = np.cumsum(pixels, axis=1, dtype=self.dtype.newbyteorder("="))
        if self.is_signed and (largest := int(pixels.max(initial=0))) >> (self.n_bits - 1):
            raise ValueError(f"it has the label {largest - 2**self.n_bits}")
        return pixels[:, :, 0 if self.is_planar else sample]


@dataclass(frozen=True, eq=False)
class Structure:
    """The whole file.

    Parameters
    ----------
    byte_order : {"<", ">"}
        Little- or big-endian.
    is_bigtiff : bool
        BigTIFF or classic TIFF.
    file_bytes : int
        Size of the file.
    images : tuple of tuple of Image
        By page of the main chain that is a plane, then by level.
    chain, sub_directories : tuple of int
        Offsets of the directories in the main chain, and of the first one's SubIFDs.
    ome_xml : str, optional
        The description of the first directory, if it is OME-XML.
    imagej_unit : str, optional
        The unit of the resolution in a file of ImageJ, which TIFF's own tag does not know.
    """

    byte_order: str
    is_bigtiff: bool
    file_bytes: int
    images: tuple[tuple[Image, ...], ...]
    chain: tuple[int, ...]
    sub_directories: tuple[int, ...]
    ome_xml: str | None
    imagej_unit: str | None = None

    @property
    def metadata(self) -> MaskMetadata | None:
        """What the OME-XML says, read when it is asked for."""
        return self._parsed[0]

    @property
    def writer(self) -> str:
        """What wrote the file: "qpmask", "Bio-Formats" (and so QuPath), or "other"."""
        xml = self.ome_xml or ""
        creator = _CREATOR.search(xml[:4096])
        name = creator.group(1) if creator is not None else ""
        m = self.metadata
        if name.startswith("qpmask") or (m is not None and (m.classes or m.extra)):
            return "qpmask"
        return "Bio-Formats" if "Bio-Formats" in name else "other"

    @functools.cached_property
    def n_absent(self) -> int:
        """Tiles that a sparse file of another program leaves out: they are background."""
        if self.writer != "other":
            return 0
        return sum(
            int(np.count_nonzero((image.offsets == 0) & (image.bytecounts == 0)))
            for levels in self.images
            for image in levels
        )

    @property
    def note(self) -> str | None:
        """What people should know of the file, for one line."""
        if not self.n_absent:
            return None
        are = "tile is" if self.n_absent == 1 else "tiles are"
        return f"{self.n_absent:,} {are} not in the file, as in sparse TIFFs: counted as background"

    @property
    def metadata_problem(self) -> str | None:
        """Why there are no metadata although there is OME-XML."""
        return self._parsed[1]

    @functools.cached_property
    def _parsed(self) -> tuple[MaskMetadata | None, str | None]:
        if self.ome_xml is None:
            return None, None
        try:
            return from_ome_xml(self.ome_xml), None
        except MaskError as error:
            return None, str(error)

    @property
    def levels(self) -> tuple[Level, ...]:
        """Sizes and tile sizes of the levels."""
        return tuple(image.level for image in self.images[0])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Pixel type in the machine's byte order."""
        dtype: np.dtype[Any] = self.images[0][0].dtype.newbyteorder("=")
        return dtype

    @property
    def n_samples(self) -> int:
        """Samples per pixel."""
        return self.images[0][0].n_samples

    @property
    def n_planes(self) -> int:
        """Number of planes."""
        return len(self.images) * self.n_samples
