"""The bytes of a mask's tiles: where they lie in the file, and the file itself."""

from __future__ import annotations

import os
import threading
import weakref
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qpmask.errors import MaskError, OptionsError, TileError
from qpmask.ometiff.directories import Image, Structure

__all__ = ["ABSENT", "SegmentFile"]

#: Place of a tile that a sparse file of another program leaves out: background.
ABSENT = (0, 0)

_MISSING = "it is missing from the file"


class SegmentFile:
    """The open file of a mask. Reads are safe from any thread.

    Parameters
    ----------
    path : Path
        The file.
    structure : Structure
        Its directories.

    Raises
    ------
    MaskError
        If it cannot be opened.
    """

    def __init__(self, path: Path, structure: Structure) -> None:
        self._path = path
        self._images = structure.images
        self._levels = structure.levels
        self._n_samples = structure.n_samples
        self._n_planes = structure.n_planes
        self._file_bytes = structure.file_bytes
        self._may_be_sparse = structure.n_absent > 0
        self._lock = threading.Lock()
        try:
            self._file = path.open("rb", buffering=0)
        except OSError as error:
            raise MaskError(f"The mask {path} cannot be opened: {error.strerror}.") from error
        self.changed_ns = os.fstat(self._file.fileno()).st_mtime_ns
        # A mask that is just dropped, as in an interactive session, closes its file in silence.
        weakref.finalize(self, self._file.close)

    def close(self) -> None:
        """Close the file; reading from it is an error afterwards."""
        self._file.close()

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._file.closed

    def check_open(self) -> None:
        """Raise :class:`MaskError` if the file was closed."""
        if self.is_closed:
            raise MaskError(f"The mask {self._path} is closed.", hint="Open it again to read it.")

    def image(self, level: int, plane: int) -> tuple[Image, int]:
        """Directory of a level of a plane, and the sample in it."""
        if not 0 <= level < len(self._levels):
            raise OptionsError(f"{self._path} has {len(self._levels)} levels and no level {level}.")
        if not 0 <= plane < self._n_planes:
            raise OptionsError(f"{self._path} has {self._n_planes} planes and no plane {plane}.")
        page, sample = divmod(plane, self._n_samples)
        return self._images[page][level], sample

    def table(self, level: int, plane: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Offsets and lengths of the tiles of one level, row by row."""
        image, sample = self.image(level, plane)
        n_tiles = self._levels[level].n_tiles
        start = sample * n_tiles if image.is_planar else 0
        return image.offsets[start : start + n_tiles], image.bytecounts[start : start + n_tiles]

    def distinct(self, level: int, plane: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First of each kind of tile, and which kind each tile is.

        See :meth:`qpmask.ometiff.reader.MaskFile.distinct_tiles`.
        """
        offsets, bytecounts = self.table(level, plane)
        place = self._levels[level]
        _, by_offset = np.unique(offsets, return_inverse=True)
        lengths, by_length = np.unique(bytecounts, return_inverse=True)
        # Cropped at an edge, the same bytes are another tile.
        rows, cols = np.divmod(np.arange(place.n_tiles), place.n_cols)
        is_low = ((rows + 1) * place.tile.height_px > place.size.height_px).astype(np.int64)
        is_narrow = ((cols + 1) * place.tile.width_px > place.size.width_px).astype(np.int64)
        key = ((by_offset.reshape(-1) * len(lengths) + by_length.reshape(-1)) * 2 + is_low) * 2
        _, first, which = np.unique(key + is_narrow, return_index=True, return_inverse=True)
        return first.astype(np.int64), which.reshape(-1).astype(np.int64)

    def find(self, level: int, plane: int, row: int, col: int) -> tuple[int, int]:
        """Offset and length of one tile; `ABSENT` where a sparse file leaves it out.

        Raises
        ------
        OptionsError
            If there is no such tile.
        TileError
            If its bytes are missing.
        """
        image, sample = self.image(level, plane)
        place = self._levels[level]
        if not (0 <= row < place.n_rows and 0 <= col < place.n_cols):
            raise OptionsError(
                f"Level {level} of {self._path} has {place.n_rows} x {place.n_cols} tiles "
                f"(rows, columns) and no tile ({row}, {col})."
            )
        index = row * place.n_cols + col + (sample * place.n_tiles if image.is_planar else 0)
        offset, n_bytes = int(image.offsets[index]), int(image.bytecounts[index])
        if offset == n_bytes == 0 and self._may_be_sparse:
            return ABSENT
        if offset == 0 or n_bytes == 0:
            raise self.error((level, plane, row, col), _MISSING)
        return offset, n_bytes

    def read(self, offset: int, n_bytes: int, where: tuple[int, int, int, int]) -> bytes:
        """Bytes of the tile at ``where`` (level, plane, row, column).

        Raises
        ------
        TileError
            If they are not all there.
        MaskError
            If the file was closed.
        """
        if (offset, n_bytes) == ABSENT:
            raise self.error(where, _MISSING)
        if offset + n_bytes > self._file_bytes:
            raise self.error(
                where, f"its bytes lie beyond the file's end of {self._file_bytes:,} bytes"
            )
        try:
            if hasattr(os, "pread"):
                data = os.pread(self._file.fileno(), n_bytes, offset)
            else:
                with self._lock:
                    self._file.seek(offset)
                    data = self._file.read(n_bytes) or b""
        except (OSError, ValueError) as error:  # ValueError: the file is closed
            self.check_open()
            raise self.error(where, f"it cannot be read ({error})") from error
        if len(data) != n_bytes:
            raise self.error(where, "the file ends within it")
        return data

    def read_into(self, offset: int, buffer: NDArray[np.uint8]) -> bool:
        """Fill a contiguous array with bytes of the file; whether it could be filled."""
        view = buffer.data.cast("B")
        try:
            if hasattr(os, "preadv"):
                return os.preadv(self._file.fileno(), [view], offset) == len(view)
            with self._lock:
                self._file.seek(offset)
                return self._file.readinto(view) == len(view)
        except (OSError, ValueError):  # ValueError: the file is closed
            return False

    def error(self, where: tuple[int, int, int, int], what: str) -> TileError:
        """What is wrong with the tile at ``where`` (level, plane, row, column), as an error."""
        level, plane, row, col = where
        of_plane = f", plane {plane}" if self._n_planes > 1 else ""
        return TileError(
            f"The tile at level {level}{of_plane}, row {row}, column {col} of {self._path} "
            f"cannot be used: {what}.",
            hint="The mask is damaged or incomplete; make it again."
            + (
                " (A sparse file leaves background out; write all of it.)"
                if what == _MISSING
                else ""
            ),
            what=what,
        )
