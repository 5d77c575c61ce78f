"""Reads a mask: any TIFF of labels, ours, QuPath's, or another program's.

:class:`MaskFile` gives the levels, the metadata, tiles and regions of any level, lazily and from
any thread. Whatever is wrong with the file, it raises :class:`~qpmask.errors.MaskError`; a tile
that is not there is an error too, never background.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.errors import MaskError, OptionsError
from qpmask.geometry import Size
from qpmask.ometiff.codecs import decode_segment
from qpmask.ometiff.directories import Level, Structure
from qpmask.ometiff.directoryreader import read_structure
from qpmask.ometiff.labelcount import constant_label
from qpmask.ometiff.omexml import MaskMetadata
from qpmask.ometiff.regions import Cut, cut_axis, put_together
from qpmask.ometiff.segmentfile import ABSENT, SegmentFile
from qpmask.ometiff.threads import in_threads
from qpmask.ometiff.tilecache import TileCache

__all__ = ["Level", "MaskFile"]

_REMEMBERED = 4096  # tiles of one label that are recognised by their packed bytes
_REMEMBERED_BYTES = 4096  # longer segments are seldom of one label


class MaskFile:
    """A mask on disk, opened for reading. A context manager; reads are safe from any thread.

    Parameters
    ----------
    path : Path or str
        A TIFF or BigTIFF of either byte order, of bits or integers of 8, 16 or 32 bits. Strips are
        read as tiles of the image's width.
    cache_bytes : int
        Bytes of decoded tiles that :meth:`gather` and :meth:`shared_tile` may keep for the next
        time; none by default.

    Raises
    ------
    MaskError
        If it is not such a file, or its structure is broken.

    Notes
    -----
    Plane ``c + size_c * (z + size_z * t)`` is channel c of slice z and time t. In a file with
    several samples per pixel the samples are the channels.
    """

    def __init__(self, path: Path | str, *, cache_bytes: int = 0) -> None:
        self._path = Path(path)
        self._structure: Structure = read_structure(self._path)
        self._levels = self._structure.levels
        self._n_planes = self._structure.n_planes
        self._segments = SegmentFile(self._path, self._structure)
        self._labels: dict[tuple[int, int, tuple[int, int]], int] = {}
        self._labels_by_bytes: dict[tuple[bytes, tuple[int, int]], int] = {}
        self._cache = TileCache(cache_bytes)

    def close(self) -> None:
        """Close the file; reading from it is an error afterwards."""
        self._segments.close()
        self._cache.clear()

    @property
    def cache_bytes(self) -> int:
        """Bytes of decoded tiles that it may keep."""
        return self._cache.max_bytes

    @property
    def changed_ns(self) -> int:
        """When the file was last changed before it was opened, in nanoseconds since 1970."""
        return self._segments.changed_ns

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._segments.is_closed

    def __enter__(self) -> MaskFile:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<MaskFile {self._path} {self.size} {self.dtype}, {len(self.levels)} levels>"

    # --- what it is ---------------------------------------------------------------------------

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def size(self) -> Size:
        """Size of level 0."""
        return self.levels[0].size

    @property
    def dtype(self) -> np.dtype[Any]:
        """Pixel type, in the machine's byte order."""
        return self._structure.dtype

    @property
    def n_planes(self) -> int:
        """Number of planes."""
        return self._n_planes

    @property
    def levels(self) -> tuple[Level, ...]:
        """Sizes and tile sizes of the levels, level 0 first."""
        return self._levels

    @property
    def metadata(self) -> MaskMetadata | None:
        """What the file says about itself, or None without OME-XML that can be read."""
        return self._structure.metadata

    @property
    def compression(self) -> str:
        """Compression of level 0: "lzw", "zlib", "zstd", "packbits" or "none"."""
        return self._structure.images[0][0].compression

    @property
    def structure(self) -> Structure:
        """All directories as they are in the file."""
        return self._structure

    # --- tiles --------------------------------------------------------------------------------

    def segments(
        self, level: int = 0, plane: int = 0
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Offsets and lengths of the tiles of one level, row by row.

        Returns
        -------
        offsets, bytecounts : ndarray of int64, shape (n_rows * n_cols,)
            Tiles that share their bytes share their entries.
        """
        return self._segments.table(level, plane)

    def packed(self, level: int = 0, plane: int = 0, row: int = 0, col: int = 0) -> bytes:
        """Bytes of one tile as they are in the file.

        Raises
        ------
        MaskError
            If the tile is missing, or lies beyond the end of the file.
        """
        where = (level, plane, row, col)
        return self._segments.read(*self._segments.find(*where), where)

    def read_into(self, offset: int, buffer: NDArray[np.uint8]) -> bool:
        """Fill a contiguous array with bytes of the file; whether it could be filled."""
        return self._segments.read_into(offset, buffer)

    def tile(self, level: int = 0, plane: int = 0, row: int = 0, col: int = 0) -> NDArray[Any]:
        """Pixels of one tile, cropped to the image.

        Returns
        -------
        ndarray of `dtype`, shape (rows, columns)
            The caller's own.

        Raises
        ------
        MaskError
            If the tile is missing or does not decode.
        """
        pixels = self.label_or_tile(level, plane, row, col)
        if isinstance(pixels, int):
            return np.full(self.levels[level].shape(row, col), pixels, self.dtype)
        return pixels

    def label_or_tile(
        self, level: int = 0, plane: int = 0, row: int = 0, col: int = 0
    ) -> int | NDArray[Any]:
        """Like :meth:`tile`, but a number where all pixels have one label."""
        pixels = self.shared_tile(level, plane, row, col)
        return pixels if isinstance(pixels, int) else np.array(pixels, order="C")

    def shared_tile(
        self, level: int = 0, plane: int = 0, row: int = 0, col: int = 0
    ) -> int | NDArray[Any]:
        """Like :meth:`label_or_tile`, but the array is read-only: it may be in use elsewhere."""
        known = self.known_label(level, plane, row, col)
        return self._decode(level, plane, row, col) if known is None else known

    def known_label(self, level: int = 0, plane: int = 0, row: int = 0, col: int = 0) -> int | None:
        """Label of a tile whose bytes were met before and had one label only, else None.

        Costs nothing: neither reads nor decodes.
        """
        segment = self._segments.find(level, plane, row, col)
        if segment == ABSENT:
            return 0
        return self._labels.get((*segment, self._crop_key(level, plane, row, col)))

    def read(
        self,
        level: int = 0,
        plane: int = 0,
        y0: int = 0,
        y1: int | None = None,
        x0: int = 0,
        x1: int | None = None,
    ) -> NDArray[Any]:
        """Read a region of one level.

        Parameters
        ----------
        level, plane : int
            Which level and plane.
        y0, y1, x0, x1 : int
            First row and row behind the last one, likewise columns, in pixels of the level; the
            whole level by default.

        Returns
        -------
        ndarray of `dtype`, shape (y1 - y0, x1 - x0)

        Raises
        ------
        OptionsError
            If the region does not lie within the level.
        MaskError
            If a tile is missing or does not decode.
        """
        self._segments.image(level, plane)
        place = self.levels[level]
        y1 = place.size.height_px if y1 is None else y1
        x1 = place.size.width_px if x1 is None else x1
        if not (0 <= y0 <= y1 <= place.size.height_px and 0 <= x0 <= x1 <= place.size.width_px):
            raise OptionsError(
                f"The region of rows {y0} to {y1} and columns {x0} to {x1} does not lie within "
                f"level {level} of {self._path}, which is {place.size} pixels."
            )
        out = np.empty((y1 - y0, x1 - x0), self.dtype)
        rows = cut_axis(range(y0, y1), place.tile.height_px)
        self.gather(level, plane, rows, cut_axis(range(x0, x1), place.tile.width_px), out)
        return out

    def gather(
        self,
        level: int,
        plane: int,
        rows: Sequence[Cut],
        cols: Sequence[Cut],
        out: NDArray[Any],
        threads: int = 1,
    ) -> None:
        """Collect pixels of one level, from the tiles that hold some of them alone.

        Parameters
        ----------
        level, plane : int
            Which level and plane.
        rows, cols : sequence of Cut
            The rows and columns, cut by the level's tiles (:func:`.regions.cut_axis`).
        out : ndarray of `dtype`
            Where they go, all of it.
        threads : int
            Threads that decode where there are many tiles to decode.

        Raises
        ------
        MaskError
            If a tile is missing or does not decode, or the file is closed.
        """
        if self.is_closed:
            raise MaskError(f"The mask {self._path} is closed.", hint="Open it again to read it.")
        tile, known = (
            partial(self.shared_tile, level, plane),
            partial(self.known_label, level, plane),
        )
        put_together(out, (rows, cols), tile, known, threads)

    def distinct_tiles(
        self, level: int = 0, plane: int = 0
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Which tiles of a level are the same because they share their bytes.

        Costs no reading: it looks at the offsets alone.

        Returns
        -------
        first : ndarray of int64, shape (n,)
            For each distinct tile its first occurrence, counted row by row.
        which : ndarray of int64, shape (n_rows * n_cols,)
            For each tile of the level, which of the `n` it is.
        """
        return self._segments.distinct(level, plane)

    def iter_tiles(
        self, level: int = 0, plane: int = 0, threads: int = 2
    ) -> Iterator[tuple[int, int, int | NDArray[Any]]]:
        """All tiles of one level, row by row, decoded on a few threads.

        Parameters
        ----------
        level, plane : int
            Which level and plane.
        threads : int
            Threads that decode.

        Yields
        ------
        row, col : int
            Place of the tile.
        pixels : int or ndarray
            The tile cropped to the image; a number where all its pixels have one label.
        """
        self._segments.image(level, plane)
        place = self.levels[level]

        def known(at: tuple[int, int]) -> tuple[int, int, int] | None:
            label = self.known_label(level, plane, *at)
            return None if label is None else (*at, label)

        def decoded(at: tuple[int, int]) -> tuple[int, int, int | NDArray[Any]]:
            return (*at, self.label_or_tile(level, plane, *at))

        tiles = ((row, col) for row in range(place.n_rows) for col in range(place.n_cols))
        yield from in_threads(decoded, tiles, threads, at_once=known)

    # --- behind the scenes --------------------------------------------------------------------

    def _crop_key(self, level: int, plane: int, row: int, col: int) -> tuple[int, int]:
        """What decides, besides the bytes, which pixels a tile has."""
        image, sample = self._segments.image(level, plane)
        height, width = self.levels[level].shape(row, col)
        return height, width * self._structure.n_samples + (0 if image.is_planar else sample)

    def _decode(self, level: int, plane: int, row: int, col: int) -> int | NDArray[Any]:
        where = (level, plane, row, col)
        offset, n_bytes = self._segments.find(*where)
        crop = self._crop_key(*where)
        kept = self._cache.get((offset, n_bytes, crop))
        if kept is not None:
            return kept
        data = self._segments.read(offset, n_bytes, where)
        label = self._labels_by_bytes.get((data, crop)) if n_bytes <= _REMEMBERED_BYTES else None
        if label is None:
            image, sample = self._segments.image(level, plane)
            try:
                raw = decode_segment(data, image.compression, image.segment_bytes(row))
                pixels = image.unpack(raw, sample)
            except ValueError as error:
                raise self._segments.error(where, str(error)) from error
            height, width = self.levels[level].shape(row, col)
            pixels = pixels[:height, :width]
            label = constant_label(pixels)
            if label is None:
                pixels = pixels.astype(self.dtype, copy=False)  # of the machine's byte order
                pixels.flags.writeable = False
                self._cache.offer((offset, n_bytes, crop), pixels)
                return pixels
            if n_bytes <= _REMEMBERED_BYTES and len(self._labels_by_bytes) < _REMEMBERED:
                self._labels_by_bytes[data, crop] = label
        if len(self._labels) < 64 * _REMEMBERED:
            self._labels[offset, n_bytes, crop] = label
        return label
