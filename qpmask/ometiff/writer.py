"""A stream of tiles in, a pyramidal OME-TIFF out that every reader we know can read.

The file: header and all directories at the front; behind them the tiles of all levels in the order
in which they are finished. The levels are both the main chain and the SubIFDs of the first
directory, because readers look for them in one place or the other; with several planes the main
chain is the planes, and the levels of each are its SubIFDs. Tiles of equal bytes are stored once,
and their entries share one offset and length. No tile is ever left out.

Memory holds the tiles under way, the half-finished tiles of one row of each level, and a hash of
each distinct tile; it does not grow with the number of pixels.
"""

from __future__ import annotations

import contextlib
import hashlib
import operator
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from qpmask.errors import MaskError, OptionsError, OutputError
from qpmask.geometry import Size, TileGrid
from qpmask.ometiff.codecs import encode_tile
from qpmask.ometiff.ifd import Directory, pack_directories, resolution_per_cm
from qpmask.ometiff.labels import constant_label, count_labels
from qpmask.ometiff.layout import MaskLayout, PackedTile, Tile, WriteResult
from qpmask.ometiff.metadata import MaskMetadata, to_ome_xml
from qpmask.ometiff.pyramid import Pixels, PyramidBuilder, subsample

__all__ = ["MaskLayout", "PackedTile", "Tile", "WriteResult", "write_mask"]

_CLASSIC_MAX_BYTES = 2**32 - 1
_WINDOW = 32  # tiles under way at one time: 8 MB of pixels at 512 x 512


def write_mask(
    path: Path | str,
    layout: MaskLayout,
    metadata: MaskMetadata,
    tiles: Iterable[Tile],
    *,
    on_tile: Callable[[int], None] | None = None,
    threads: int | None = None,
    _big: bool = False,
) -> WriteResult:
    """Write a mask file and sync it to disk.

    Parameters
    ----------
    path : Path or str
        The file, which is overwritten. The caller gives a temporary name and renames it.
    layout : MaskLayout
        Sizes, pixel type, compression.
    metadata : MaskMetadata
        What the file says about itself; its sizes and type must be the layout's.
    tiles : iterable of Tile
        All tiles of level 0, plane by plane, in each plane row by row from the top left. An array
        has the shape of the part of the tile inside the image and the layout's type.
    on_tile : callable, optional
        Called with the number of tiles of level 0 finished so far, on the caller's thread.
    threads : int, optional
        Threads that compress; by default as many as there are processors, four at most.

    Returns
    -------
    WriteResult
        Pixel counts, sizes.

    Raises
    ------
    MaskError
        If a tile does not fit the layout, or there are too few or too many.
    OptionsError
        If layout and metadata contradict each other.
    OutputError
        If the file cannot be written. Exceptions of `tiles` and `on_tile` pass through as they
        are. Whatever is raised, no file is left.
    """
    path = Path(path)
    _check_agreement(layout, metadata)
    threads = threads or min(4, os.cpu_count() or 1)
    with _Sink.open(path) as sink, ThreadPoolExecutor(threads, "qpmask-encode") as pool:
        try:
            job = _Job(layout, metadata, sink, pool)
            job.run(tiles, on_tile)
            return job.finish(big=_big)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _check_agreement(layout: MaskLayout, metadata: MaskMetadata) -> None:
    for name in ("size", "size_c", "size_z", "size_t", "dtype"):
        theirs, ours = getattr(metadata, name), getattr(layout, name)
        if theirs != ours:
            raise OptionsError(f"The mask's metadata say {name} = {theirs}, its layout {ours}.")


class _Sink:
    """The file being written; its trouble becomes :class:`OutputError`."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self.path = path
        self._file = file
        self.n_bytes = 0

    @classmethod
    @contextlib.contextmanager
    def open(cls, path: Path) -> Iterator[_Sink]:
        """Open for writing; on any exception close and remove it."""
        with _output_errors(path):
            file = path.open("wb", buffering=1 << 20)
        try:
            yield cls(path, file)
            with _output_errors(path):
                file.close()
        except BaseException:
            with contextlib.suppress(OSError):
                file.close()
            with contextlib.suppress(OSError):
                if path.is_file():  # and no device
                    path.unlink()
            raise

    def append(self, data: bytes) -> int:
        """Write at the end; returns the offset."""
        offset = self.n_bytes
        with _output_errors(self.path):
            self._file.write(data)
        self.n_bytes += len(data)
        return offset

    def finish(self, front: bytes) -> None:
        """Fill in the front and sync."""
        with _output_errors(self.path):
            self._file.seek(0)
            self._file.write(front)
            self._file.flush()
            os.fsync(self._file.fileno())


@contextlib.contextmanager
def _output_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"The mask {path} cannot be written: {error.strerror or error}.",
            hint="Is there room on the disk, and may you write there?",
        ) from error


@dataclass(frozen=True)
class _Place:
    """Where a tile belongs."""

    plane: int
    level: int
    row: int
    col: int


@dataclass(frozen=True)
class _Ready:
    """A tile that is ready to be stored."""

    label: int | None  # where it has one label only
    data: bytes | None  # None only with a label: the constant tile of this label
    counts: dict[int, int] = field(default_factory=dict)
    quarter: Pixels | None = None  # its pixels in the next level


class _Job:
    """One file on its way from tiles to bytes."""

    def __init__(
        self, layout: MaskLayout, metadata: MaskMetadata, sink: _Sink, pool: ThreadPoolExecutor
    ) -> None:
        self._layout = layout
        self._sink = sink
        self._pool = pool
        self._sizes = layout.level_sizes
        self._grids = [TileGrid(size, layout.tile_px) for size in self._sizes]
        self._directories = _directories(layout, metadata, self._sizes)
        self._builder = PyramidBuilder(self._sizes, layout.tile_px, layout.pixel_dtype)
        self._window: deque[tuple[_Place, _Ready | Future[_Ready]]] = deque()
        self._segments: dict[bytes, tuple[int, int]] = {}
        self._constants: dict[int, tuple[int, int]] = {}
        self._counts: list[dict[int, int]] = [{} for _ in range(layout.n_planes)]
        self._n_done = 0
        # Room for BigTIFF's directories, which are the longer ones: which kind of TIFF it must be
        # is known for certain only when the last tile is there.
        sink.append(bytes(len(pack_directories(self._directories, big=True))))

    def run(self, tiles: Iterable[Tile], on_tile: Callable[[int], None] | None) -> None:
        """Take all tiles of level 0 and store those of all levels."""
        stream = iter(tiles)
        n_tiles = self._layout.n_planes * self._layout.grid.n_tiles
        for plane in range(self._layout.n_planes):
            for row, col in self._layout.grid:
                place = _Place(plane, 0, row, col)
                tile = next(stream, None)
                if tile is None:
                    raise MaskError(f"The tiles ended before {self._where(place)} of {n_tiles:,}.")
                self._take(place, tile)
                self._drain(_WINDOW, on_tile)
        if next(stream, None) is not None:
            raise MaskError(
                f"There are more tiles than the {n_tiles:,} of {self._layout.size} pixels."
            )
        self._drain(0, on_tile)

    def finish(self, *, big: bool) -> WriteResult:
        """Write the directories and say what was written."""
        big = big or self._sink.n_bytes > _CLASSIC_MAX_BYTES
        self._sink.finish(pack_directories(self._directories, big=big))
        largest = max(max(counts) for counts in self._counts)
        table = np.zeros((self._layout.n_planes, largest + 1), np.int64)
        for plane, counts in enumerate(self._counts):
            for label, n_pixels in counts.items():
                table[plane, label] = n_pixels
        return WriteResult(
            path=self._sink.path,
            counts=table,
            levels=self._sizes,
            file_bytes=self._sink.n_bytes,
            n_tiles=sum(len(directory.offsets) for directory in self._directories),
            n_segments=len(self._segments),
            is_bigtiff=big,
        )

    def _where(self, place: _Place) -> str:
        of_plane = f" of plane {place.plane}" if self._layout.n_planes > 1 else ""
        return f"tile (row {place.row}, column {place.col}){of_plane}"

    def _take(self, place: _Place, tile: Tile) -> None:
        """Check a tile of level 0 and put it in line."""
        data = None
        if isinstance(tile, PackedTile):
            if not tile.data:
                raise MaskError(f"The packed {self._where(place)} has no bytes.")
            data, tile = tile.data, tile.pixels
        shape = self._grids[0].shape(place.row, place.col)
        if isinstance(tile, np.ndarray) and tile.ndim > 0:
            if tile.shape != shape or tile.dtype != self._layout.pixel_dtype:
                raise MaskError(
                    f"The {self._where(place)} is {tile.dtype} of shape {tile.shape}; "
                    f"expected {self._layout.dtype} of shape {shape} (rows, columns)."
                )
            expected = tuple(self._counts[place.plane])
            job = self._pool.submit(self._prepare, place, tile, data, expected)
            self._window.append((place, job))
            return
        try:
            label = operator.index(tile)
        except TypeError as error:
            raise MaskError(
                f"The {self._where(place)} is a {type(tile).__name__}, not a label or an array."
            ) from error
        if not 0 <= label <= np.iinfo(self._layout.pixel_dtype).max:
            raise MaskError(
                f"The {self._where(place)} has the label {label}, "
                f"which {self._layout.dtype} cannot hold."
            )
        counts = {label: shape[0] * shape[1]}
        self._window.append((place, _Ready(label, data, counts, label)))

    def _prepare(
        self, place: _Place, tile: NDArray[Any], data: bytes | None, expected: tuple[int, ...]
    ) -> _Ready:
        """Count, compress and subsample one tile; runs on any thread."""
        label = constant_label(tile)
        if label is not None:
            return _Ready(label, data, {label: tile.size}, label)
        return _Ready(
            label=None,
            data=data or self._encode(tile),
            counts=count_labels(tile, expected) if place.level == 0 else {},
            quarter=subsample(tile) if self._builder.wants(place.level) else None,
        )

    def _encode(self, tile: NDArray[Any]) -> bytes:
        edge_px = self._layout.tile_px
        if tile.shape != (edge_px, edge_px):
            padded = np.zeros((edge_px, edge_px), tile.dtype)
            padded[: tile.shape[0], : tile.shape[1]] = tile
            tile = padded
        return encode_tile(tile, self._layout.compression, one_bit=self._layout.one_bit)

    def _drain(self, n_left: int, on_tile: Callable[[int], None] | None) -> None:
        """Store tiles in order until so many are left in line.

        Which tiles are stored when depends on their number alone, never on which thread is faster:
        the same tiles give the same file.
        """
        while len(self._window) > n_left:
            place, job = self._window.popleft()
            ready = job.result() if isinstance(job, Future) else job
            self._store(place, ready)
            if place.level == 0:
                for label, n_pixels in ready.counts.items():
                    counts = self._counts[place.plane]
                    counts[label] = counts.get(label, 0) + n_pixels
                self._n_done += 1
                if on_tile is not None:
                    on_tile(self._n_done)

    def _store(self, place: _Place, ready: _Ready) -> None:
        directory = self._directories[place.plane * len(self._sizes) + place.level]
        index = place.row * self._grids[place.level].n_cols + place.col
        offset, n_bytes = self._segment(ready)
        directory.offsets[index] = offset
        directory.bytecounts[index] = n_bytes
        if not self._builder.wants(place.level):
            return
        quarter = ready.label if ready.label is not None else ready.quarter
        assert quarter is not None
        tile = self._builder.add(place.level, place.row, place.col, quarter)
        if tile is None:
            return
        above = _Place(place.plane, place.level + 1, place.row // 2, place.col // 2)
        if isinstance(tile, int):
            self._window.append((above, _Ready(tile, None)))
        else:
            self._window.append((above, self._pool.submit(self._prepare, above, tile, None, ())))

    def _segment(self, ready: _Ready) -> tuple[int, int]:
        """Offset and length of the tile's bytes, which are written if they are new."""
        if ready.data is not None:
            return self._segment_of(ready.data)
        assert ready.label is not None
        segment = self._constants.get(ready.label)
        if segment is None:
            # An edge tile of one label is padded with it, not with 0, and so is the same as all
            # other tiles of this label. Readers crop the padding.
            shape = (self._layout.tile_px, self._layout.tile_px)
            tile = np.full(shape, ready.label, self._layout.pixel_dtype)
            segment = self._segment_of(self._encode(tile))
            self._constants[ready.label] = segment
        return segment

    def _segment_of(self, data: bytes) -> tuple[int, int]:
        digest = hashlib.blake2b(data, digest_size=16).digest()
        segment = self._segments.get(digest)
        if segment is None:
            segment = (self._sink.append(data), len(data))
            self._segments[digest] = segment
        return segment


def _directories(
    layout: MaskLayout, metadata: MaskMetadata, sizes: tuple[Size, ...]
) -> list[Directory]:
    """Directories of all planes and levels, plane by plane, with room for the tiles' places."""
    n_levels = len(sizes)
    directories = []
    for plane in range(layout.n_planes):
        for level, size in enumerate(sizes):
            index = plane * n_levels + level
            following: int | None
            if layout.n_planes == 1:
                following = index + 1 if level + 1 < n_levels else None
            else:
                following = index + n_levels if level == 0 and plane + 1 < layout.n_planes else None
            n_tiles = TileGrid(size, layout.tile_px).n_tiles
            directories.append(
                Directory(
                    size=size,
                    tile_px=layout.tile_px,
                    bits=layout.bits_per_pixel,
                    compression=layout.compression,
                    offsets=np.zeros(n_tiles, np.int64),
                    bytecounts=np.zeros(n_tiles, np.int64),
                    is_level=level > 0,
                    resolution=(
                        None
                        if metadata.pixel_size is None
                        else resolution_per_cm(metadata.pixel_size, level)
                    ),
                    description=to_ome_xml(metadata) if index == 0 else None,
                    levels=tuple(range(index + 1, index + n_levels)) if level == 0 else (),
                    following=following,
                )
            )
    return directories
