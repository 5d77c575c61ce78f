"""A stream of tiles in, a pyramidal OME-TIFF out that every reader we know can read.

The file: header and all directories at the front; behind them the tiles of all levels in the order
in which they are finished. The levels are both the main chain and the SubIFDs of the first
directory, because readers look for them in one place or the other; with several planes the main
chain is the planes, and the levels of each are its SubIFDs. Tiles of equal bytes are stored once,
and their entries share one offset and length. No tile is ever left out.

Work is done by strips, many neighbouring tiles each (:mod:`qpmask.ometiff.strips`). Memory holds
the strips under way, the half-finished tiles of one row of each level, and a hash of each distinct
tile; it does not grow with the number of pixels.
"""

from __future__ import annotations

import functools
import hashlib
import operator
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qpmask.errors import MaskError, OptionsError
from qpmask.geometry import Size, TileGrid
from qpmask.ometiff import kernels
from qpmask.ometiff.codecs import encode_tile
from qpmask.ometiff.directorywriter import Directory, pack_directories, resolution_per_cm
from qpmask.ometiff.growingfile import Sink
from qpmask.ometiff.labelcount import LabelCounter
from qpmask.ometiff.layout import MaskLayout, Tile, Tiles, WriteResult
from qpmask.ometiff.lzw import encode_strip
from qpmask.ometiff.omexml import MaskMetadata, to_ome_xml
from qpmask.ometiff.pixelpool import give_back, new_pixels
from qpmask.ometiff.pyramid import Above
from qpmask.ometiff.runs import RunStrip, TileRuns, joined
from qpmask.ometiff.stripqueue import StripQueue
from qpmask.ometiff.strips import MIXED, StripGrid, StripPlace, StripShape, TileStrip

__all__ = [
    "MaskLayout",
    "Tile",
    "TileRuns",
    "TileStrip",
    "Tiles",
    "WriteResult",
    "write_mask",
]

_CLASSIC_MAX_BYTES = 2**32 - 1


def write_mask(
    path: Path | str,
    layout: MaskLayout,
    metadata: MaskMetadata,
    tiles: Iterable[Tiles],
    *,
    on_tile: Callable[[int], None] | None = None,
    threads: int | None = None,
    sync: Callable[[int], object] | None = None,
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
    tiles : iterable of Tile, TileStrip or TileRuns
        All tiles of level 0, plane by plane, in each plane row by row from the top left. An array
        has the shape of the part of the tile inside the image and the layout's type. A strip must
        be the next one of the level's :class:`~qpmask.ometiff.strips.StripGrid`; it is the
        writer's from then on.
    on_tile : callable, optional
        Called with the number of tiles of level 0 finished so far, on the caller's thread.
    threads : int, optional
        Threads that compress; by default as many as there are processors, four at most.
    sync : callable, optional
        Gets the handle of the file when all is written, in place of ``os.fsync``; whoever does not
        wait for the disk there has to wait before the file gets its name.

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
    with Sink.open(path) as sink:
        job = _Job(layout, metadata, sink)
        job.run(tiles, on_tile, threads)
        return job.finish(big=_big, sync=sync)


def _check_agreement(layout: MaskLayout, metadata: MaskMetadata) -> None:
    for name in ("size", "size_c", "size_z", "size_t", "dtype"):
        theirs, ours = getattr(metadata, name), getattr(layout, name)
        if theirs != ours:
            raise OptionsError(f"The mask's metadata say {name} = {theirs}, its layout {ours}.")


class _Ready(NamedTuple):
    """A strip that is ready to be stored."""

    labels: NDArray[np.int64]  # of its tiles, or MIXED
    packed: bytes  # the mixed tiles, one behind the other
    n_bytes: NDArray[np.int64]  # their lengths, 0 for the others
    digests: tuple[bytes, ...]  # of the mixed tiles
    counts: dict[int, int]  # pixels by label, of level 0


class _Job:
    """One file on its way from tiles to bytes."""

    def __init__(self, layout: MaskLayout, metadata: MaskMetadata, sink: Sink) -> None:
        self._layout = layout
        self._sink = sink
        self._n_levels = len(layout.level_sizes)
        tile = Size(layout.tile_px, layout.tile_px)
        self._grids = [StripGrid(size, tile) for size in layout.level_sizes]
        self._directories = _directories(layout, metadata, layout.level_sizes)
        self._counter = LabelCounter(layout.pixel_dtype)
        self._segments: dict[bytes, tuple[int, int]] = {}
        self._constants: dict[int, tuple[int, int]] = {}
        self._counts: list[dict[int, int]] = [{} for _ in range(layout.n_planes)]
        self._n_done = 0
        # Room for BigTIFF's directories, which are the longer ones: which kind of TIFF it must be
        # is known for certain only when the last tile is there.
        sink.append(bytes(len(pack_directories(self._directories, big=True))))

    def run(
        self,
        tiles: Iterable[Tiles],
        on_tile: Callable[[int], None] | None,
        threads: int | None,
    ) -> None:
        """Take all tiles of level 0 and store those of all levels."""
        stream = iter(tiles)
        queue: StripQueue[TileRuns | Above, _Ready]
        with StripQueue(tuple(self._grids), self._prepare, self._plain, threads) as queue:
            for place, ready in queue.results(self._strips(stream)):
                self._store(place, ready)
                if place.level == 0:
                    counts = self._counts[place.plane]
                    for label, n_pixels in ready.counts.items():
                        counts[label] = counts.get(label, 0) + n_pixels
                    self._n_done += len(ready.labels)
                    if on_tile is not None:
                        on_tile(self._n_done)
        if next(stream, None) is not None:
            raise MaskError(
                f"There are more tiles than the {self._n_tiles:,} of {self._layout.size} pixels."
            )

    def finish(self, *, big: bool, sync: Callable[[int], object] | None) -> WriteResult:
        """Write the directories and say what was written."""
        big = big or self._sink.n_bytes > _CLASSIC_MAX_BYTES
        self._sink.finish(pack_directories(self._directories, big=big), sync)
        return WriteResult(
            path=self._sink.path,
            counts=tuple(dict(sorted(counts.items())) for counts in self._counts),
            levels=self._layout.level_sizes,
            file_bytes=self._sink.n_bytes,
            n_tiles=sum(len(directory.offsets) for directory in self._directories),
            n_segments=len(self._segments),
            is_bigtiff=big,
        )

    @property
    def _n_tiles(self) -> int:
        return self._layout.n_planes * self._layout.grid.n_tiles

    def _where(self, plane: int, row: int, col: int) -> str:
        of_plane = f" of plane {plane}" if self._layout.n_planes > 1 else ""
        return f"tile (row {row}, column {col}){of_plane}"

    # --- what comes in ----------------------------------------------------------------------------

    def _strips(self, stream: Iterator[Tiles]) -> Iterator[tuple[StripPlace, TileRuns]]:
        """All strips of level 0, each in its place."""
        grid = self._grids[0]
        for plane in range(self._layout.n_planes):
            for row in range(grid.n_rows):
                for number in range(grid.n_strips):
                    place = StripPlace(plane, 0, row, number)
                    yield place, self._next_strip(stream, place)

    def _next_strip(self, stream: Iterator[Tiles], place: StripPlace) -> TileRuns:
        """The strip that belongs here, put together from tiles unless it comes as one."""
        grid = self._grids[0]
        shape = grid.shape(place.row, place.number)
        first_col = place.number * grid.tiles_per_strip
        parts = []
        for first, part in shape.parts():
            gathered: TileStrip | None = None
            for k in range(part.n_tiles):
                where = self._where(place.plane, place.row, first_col + first + k)
                item = next(stream, None)
                if item is None:
                    raise MaskError(f"The tiles ended before {where} of {self._n_tiles:,}.")
                if isinstance(item, (TileStrip, TileRuns)):
                    if first or k or item.shape != shape or item.dtype != self._layout.pixel_dtype:
                        raise MaskError(
                            f"A strip of {item.dtype} tiles of {item.shape} does not belong at "
                            f"{where}."
                        )
                    if isinstance(item, TileRuns):
                        return item
                    self._check_labels(item.labels, where)
                    return TileRuns(shape, self._runs(item), item.dtype)
                if gathered is None:
                    gathered = self._empty_strip(part)
                self._put(gathered, k, item, where)
            assert gathered is not None
            parts.append(self._runs(gathered))
        return TileRuns(shape, joined(parts), self._layout.pixel_dtype)

    @staticmethod
    def _runs(strip: TileStrip) -> RunStrip:
        runs = kernels.runs_of(strip.pixels, strip.labels, strip.shape)
        give_back(strip.pixels)
        return runs

    def _check_labels(self, labels: NDArray[Any], where: str) -> None:
        """Raise MaskError if a label of a strip does not fit: kernels count on it."""
        most = int(labels.max(initial=0))
        if most > np.iinfo(self._layout.pixel_dtype).max:
            raise MaskError(
                f"The strip at {where} has the label {most}, which {self._layout.dtype} cannot "
                "hold."
            )

    def _empty_strip(self, shape: StripShape) -> TileStrip:
        area_px = self._layout.tile_px**2
        return TileStrip(
            shape=shape,
            labels=np.full(shape.n_tiles, MIXED, np.int64),
            pixels=new_pixels(shape.n_tiles, area_px, self._layout.pixel_dtype),
        )

    def _put(self, strip: TileStrip, k: int, tile: Tile, where: str) -> None:
        """Check a single tile and put it into its strip."""
        shape = (strip.shape.height, strip.shape.width(k))
        if isinstance(tile, np.ndarray) and tile.ndim > 0:
            if tile.shape != shape or tile.dtype != self._layout.pixel_dtype:
                raise MaskError(
                    f"The {where} is {tile.dtype} of shape {tile.shape}; "
                    f"expected {self._layout.dtype} of shape {shape} (rows, columns)."
                )
            strip.tile(k)[:] = tile
            return
        try:
            label = operator.index(tile)
        except TypeError as error:
            raise MaskError(
                f"The {where} is a {type(tile).__name__}, not a label or an array."
            ) from error
        if not 0 <= label <= np.iinfo(self._layout.pixel_dtype).max:
            raise MaskError(
                f"The {where} has the label {label}, which {self._layout.dtype} cannot hold."
            )
        strip.labels[k] = label

    # --- what is done with a strip ----------------------------------------------------------------

    def _plain(
        self, place: StripPlace, strip: TileRuns | Above, above: Above | None
    ) -> _Ready | None:
        """A strip that is no work."""
        tiles = strip.tiles if isinstance(strip, Above) else strip
        return None if tiles.runs.has_mixed else self._prepare(place, strip, above)

    def _prepare(self, place: StripPlace, strip: TileRuns | Above, above: Above | None) -> _Ready:
        """Count, subsample and compress the tiles of a strip; runs on any thread."""
        if isinstance(strip, Above):
            strip = strip.tiles
        else:
            first_col = place.number * self._grids[0].tiles_per_strip
            where = self._where(place.plane, place.row, first_col)
            self._check_labels(strip.runs.values, where)
        if above is not None:
            above.take(strip, place.row, place.number)
        data, n_bytes = self._encode(strip)
        digests = []
        end, bytes_of = 0, memoryview(data)
        for n in n_bytes.tolist():
            if n:
                digests.append(hashlib.sha256(bytes_of[end : end + n]).digest())
                end += n
        counts = self._counter.count(strip.runs) if place.level == 0 else {}
        return _Ready(strip.runs.labels(), data, n_bytes, tuple(digests), counts)

    def _encode(self, strip: TileRuns) -> tuple[bytes, NDArray[np.int64]]:
        """The mixed tiles, compressed, one behind the other; their lengths."""
        layout = self._layout
        if layout.compression == "lzw" and not layout.one_bit:
            return encode_strip(strip)
        n_bytes = np.zeros(strip.shape.n_tiles, np.int64)
        parts = []
        tile = np.empty(layout.tile_px**2, layout.pixel_dtype)
        labels = strip.runs.labels().tolist()
        for k, label in enumerate(labels):
            if label == MIXED:
                kernels.paint(strip.runs, k, strip.shape, tile)
                data = self._encode_tile(tile.reshape(layout.tile_px, layout.tile_px))
                n_bytes[k] = len(data)
                parts.append(data)
        return b"".join(parts), n_bytes

    def _encode_tile(self, tile: NDArray[Any]) -> bytes:
        return encode_tile(tile, self._layout.compression, one_bit=self._layout.one_bit)

    # --- what goes out ----------------------------------------------------------------------------

    def _store(self, place: StripPlace, ready: _Ready) -> None:
        directory = self._directories[place.plane * self._n_levels + place.level]
        grid = self._grids[place.level]
        first = place.row * grid.n_cols + place.number * grid.tiles_per_strip
        offsets = directory.offsets[first : first + len(ready.labels)]
        bytecounts = directory.bytecounts[first : first + len(ready.labels)]
        if not ready.digests and (ready.labels == ready.labels[0]).all():
            offsets[:], bytecounts[:] = self._constant(int(ready.labels[0]))
            return
        packed = ready.n_bytes > 0
        starts = np.cumsum(ready.n_bytes) - ready.n_bytes
        new = not any(digest in self._segments for digest in ready.digests)
        if new and len(set(ready.digests)) == len(ready.digests) == (ready.labels == MIXED).sum():
            if ready.digests:
                offsets[packed] = self._sink.append(ready.packed) + starts[packed]
                bytecounts[packed] = ready.n_bytes[packed]
                places = zip(offsets[packed].tolist(), bytecounts[packed].tolist(), strict=True)
                self._segments.update(zip(ready.digests, places, strict=True))
            for label in sorted(set(ready.labels[~packed].tolist())):
                alike = ready.labels == label
                offsets[alike], bytecounts[alike] = self._constant(label)
            return
        # In the same order, tile by tile.
        digests = iter(ready.digests)
        digest_of = [next(digests) if n else b"" for n in ready.n_bytes.tolist()]
        for k in np.argsort(ready.labels, kind="stable").tolist():
            if packed[k]:
                data = ready.packed[int(starts[k]) : int(starts[k] + ready.n_bytes[k])]
                offsets[k], bytecounts[k] = self._segment(digest_of[k], data)
            else:
                offsets[k], bytecounts[k] = self._constant(int(ready.labels[k]))

    def _constant(self, label: int) -> tuple[int, int]:
        """Offset and length of the tile of one label, which is written once."""
        segment = self._constants.get(label)
        if segment is None:
            # An edge tile of one label is padded with it, not with 0, and so is the same as all
            # other tiles of this label. Readers crop the padding.
            layout = self._layout
            data = _tile_of(
                label, layout.tile_px, layout.pixel_dtype, layout.compression, layout.one_bit
            )
            segment = self._segment(hashlib.sha256(data).digest(), data)
            self._constants[label] = segment
        return segment

    def _segment(self, digest: bytes, data: bytes) -> tuple[int, int]:
        segment = self._segments.get(digest)
        if segment is None:
            segment = (self._sink.append(data), len(data))
            self._segments[digest] = segment
        return segment


@functools.lru_cache(8)
def _tile_of(
    label: int, tile_px: int, dtype: np.dtype[Any], compression: str, one_bit: bool
) -> bytes:
    """A tile of one label, compressed; many files of a run have the same."""
    tile = np.full((tile_px, tile_px), label, dtype)
    return encode_tile(tile, compression, one_bit=one_bit)


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
                    description=to_ome_xml(metadata, sizes[1:]) if index == 0 else None,
                    levels=tuple(range(index + 1, index + n_levels)) if level == 0 else (),
                    following=following,
                )
            )
    return directories
