"""Reads a mask strip by strip, for those who want all of it: its check, an engine's scratch file.

One read of the file and one call of a compiled function for several tiles, where the file allows it
(tiles of one sample, LZW or not compressed); tile by tile through
:class:`~qpmask.ometiff.reader.MaskFile` where it does not, and where a tile is damaged, so that the
two always agree on what a tile holds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qpmask.errors import TileError
from qpmask.ometiff import kernels
from qpmask.ometiff.codecs import decode_into
from qpmask.ometiff.directories import Image
from qpmask.ometiff.pixelpool import give_back, new_pixels
from qpmask.ometiff.reader import MaskFile
from qpmask.ometiff.runs import RunStrip, TileRuns, constant_runs, joined
from qpmask.ometiff.strips import MIXED, UNKNOWN, StripGrid, StripShape

_MAX_GAP = 64 << 10  # bytes between two tiles that are read rather than skipped
_MAX_REMEMBERED = 1 << 18  # constant tiles


class StripRead(NamedTuple):
    """A strip as it was read.

    Parameters
    ----------
    tiles : TileRuns
        Its tiles; one that cannot be read has no runs.
    errors : dict of int to str
        Why, by its number in the strip.
    """

    tiles: TileRuns
    errors: dict[int, str]


class StripReader:
    """Reads strips of a mask; safe from any thread.

    Parameters
    ----------
    mask : MaskFile
        An open mask of uint8, uint16 or uint32.
    """

    def __init__(self, mask: MaskFile) -> None:
        self._mask = mask
        self._constants: dict[tuple[int, ...], int] = {}
        self.grids = tuple(StripGrid(level.size, level.tile) for level in mask.levels)

    def known(self, level: int, plane: int, row: int, number: int) -> StripRead | None:
        """A strip whose tiles all share their bytes with tiles of one label that were read before.

        None if it has others. Costs no reading.
        """
        shape, _, kinds = self._locate(level, plane, row, number)
        labels = kinds.labels(self._constants)
        if (labels == MIXED).any():
            return None
        return StripRead(TileRuns(shape, constant_runs(shape, labels), self._mask.dtype), {})

    def read(self, level: int, plane: int, row: int, number: int) -> StripRead:
        """Read strip ``number`` of a tile row."""
        shape, segments, kinds = self._locate(level, plane, row, number)
        labels = kinds.labels(self._constants)
        unread = np.flatnonzero(labels == MIXED).tolist()
        errors: dict[int, str] = {}
        runs = self._decode_runs(shape, labels, segments, unread)
        if runs is None:
            parts = []
            for first, part in shape.parts():
                end = first + part.n_tiles
                col = number * self.grids[level].tiles_per_strip + first
                wanted = [k - first for k in unread if first <= k < end]
                runs, failed = self._decode_pixels(
                    part, labels[first:end], segments.part(first, end), wanted,
                    (level, plane, row, col),
                )  # fmt: skip
                errors.update({first + k: what for k, what in failed.items()})
                parts.append(runs)
            runs = joined(parts)
        if unread and len(self._constants) < _MAX_REMEMBERED:
            read = np.array(unread, np.int64)
            constant = read[runs.start[read + 1] - runs.start[read] == 1]
            settled = runs.values[runs.start[constant]].tolist()
            self._constants.update(zip(kinds.keys_of(constant), settled, strict=True))
        return StripRead(TileRuns(shape, runs, self._mask.dtype), errors)

    def _locate(
        self, level: int, plane: int, row: int, number: int
    ) -> tuple[StripShape, _Segments, _Kinds]:
        """Sizes and places of the tiles, and what decides, for each, which pixels it has."""
        grid = self.grids[level]
        shape = grid.shape(row, number)
        page, sample = divmod(plane, self._mask.structure.n_samples)
        image = self._mask.structure.images[page][level]
        first = row * grid.n_cols + number * grid.tiles_per_strip
        first += sample * grid.n_rows * grid.n_cols if image.is_planar else 0
        offsets = image.offsets[first : first + shape.n_tiles]
        lengths = image.bytecounts[first : first + shape.n_tiles]
        kinds = _kinds(shape, offsets, lengths, sample)
        file_bytes = self._mask.structure.file_bytes
        return shape, _Segments(image, offsets.tolist(), lengths.tolist(), file_bytes), kinds

    def _decode_runs(
        self, shape: StripShape, labels: NDArray[np.int64], segments: _Segments, unread: list[int]
    ) -> RunStrip | None:
        """The strip without making pixels of it; None if that cannot be done, for any reason."""
        dtype = segments.image.dtype
        if not (segments.are_simple_lzw and dtype == dtype.newbyteorder("<")):
            return None
        sound = segments.sound(unread)
        gathered = self._gather(segments, sound)
        if len(sound) < len(unread) or gathered is None:
            return None
        data, starts = gathered
        n_bytes = np.array([segments.lengths[k] for k in sound], np.int64)
        tiles = np.array(sound, np.int64)
        runs = kernels.unpack_runs(data, starts, n_bytes, tiles, dtype.itemsize, shape, labels)
        return None if (runs.start[1:] == runs.start[:-1]).any() else runs

    def _decode_pixels(
        self,
        shape: StripShape,
        labels: NDArray[np.int64],
        segments: _Segments,
        unread: list[int],
        where: tuple[int, int, int, int],
    ) -> tuple[RunStrip, dict[int, str]]:
        """A part of a strip by way of pixels, and what is wrong with its tiles."""
        errors: dict[int, str] = {}
        image = segments.image
        pixels = new_pixels(shape.n_tiles, image.level.tile.area_px, self._mask.dtype)
        sound = segments.sound(unread)
        if segments.are_simple_lzw:
            sound = self._unpack(segments, sound, pixels)
        elif segments.are_raw:
            sound = self._copy(segments, sound, pixels)
        elif segments.are_plain:
            sound = self._decompress(segments, sound, pixels)
        else:
            sound = []
        for k in sound:
            if not image.dtype.isnative and image.dtype.itemsize > 1:
                pixels[k].byteswap(inplace=True)
            if shape.width(k) < shape.tile_width:
                kernels.crop(pixels, shape, k)
        level, plane, row, first_col = where
        for k in unread:
            if k in sound:
                continue
            try:
                tile = self._mask.shared_tile(level, plane, row, first_col + k)
            except TileError as error:
                labels[k] = UNKNOWN
                errors[k] = error.what
                continue
            if isinstance(tile, int):
                labels[k] = tile
            else:
                pixels[k, : tile.size].reshape(tile.shape)[:] = tile
        runs = kernels.runs_of(pixels, labels, shape)
        give_back(pixels)
        return runs, errors

    def _unpack(self, segments: _Segments, tiles: list[int], pixels: NDArray[Any]) -> list[int]:
        """Decode LZW tiles; returns those that could be decoded."""
        gathered = self._gather(segments, tiles)
        if gathered is None:
            return []
        n_bytes = np.array([segments.lengths[k] for k in tiles], np.int64)
        failed = np.zeros(len(tiles), np.bool_)
        kernels.unpack_pixels(
            *gathered, n_bytes, np.array(tiles, np.int64), pixels.view(np.uint8), failed
        )
        return [k for k, bad in zip(tiles, failed.tolist(), strict=True) if not bad]

    def _decompress(self, segments: _Segments, tiles: list[int], pixels: NDArray[Any]) -> list[int]:
        """Decode tiles by any codec; returns those that could be decoded."""
        gathered = self._gather(segments, tiles)
        if gathered is None:
            return []
        data, starts = gathered
        room = pixels.view(np.uint8)
        image = segments.image
        good = []
        for k, start in zip(tiles, starts.tolist(), strict=True):
            packed = data[start : start + segments.lengths[k]]
            with contextlib.suppress(ValueError):
                decode_into(packed, image.compression, room[k])
                good.append(k)
        return good

    def _copy(self, segments: _Segments, tiles: list[int], pixels: NDArray[Any]) -> list[int]:
        """Read tiles that are not compressed; returns those that could be read."""
        room = pixels.view(np.uint8)
        tile_bytes = segments.image.segment_bytes()
        good = []
        first = 0
        for i, k in enumerate(tiles):
            follows = i + 1 < len(tiles) and (
                tiles[i + 1] == k + 1
                and segments.offsets[k + 1] == segments.offsets[k] + tile_bytes
            )
            if not follows:  # tiles first to i are one behind the other here and in the file
                adjacent = tiles[first : i + 1]
                target = room[adjacent[0] : adjacent[-1] + 1]
                if self._mask.read_into(segments.offsets[adjacent[0]], target):
                    good += adjacent
                first = i + 1
        return good

    def _gather(
        self, segments: _Segments, tiles: list[int]
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]] | None:
        """Bytes of some tiles, and where each starts in them; None if they cannot be read."""
        starts = dict.fromkeys(tiles, 0)
        parts = []
        n_bytes = 0
        for group in _groups(tiles, segments):
            first = segments.offsets[group[0]]
            part = np.empty(max(map(segments.end, group)) - first, np.uint8)
            if not self._mask.read_into(first, part):
                return None
            for k in group:
                starts[k] = n_bytes + segments.offsets[k] - first
            parts.append(part)
            n_bytes += part.size
        data = parts[0] if len(parts) == 1 else np.concatenate([*parts, np.empty(0, np.uint8)])
        return data, np.array([starts[k] for k in tiles], np.int64)


class _Kinds(NamedTuple):
    """What decides which pixels tiles have; alike for neighbours that share their bytes.

    ``keys`` are the place of their bytes, their size and sample; ``which`` is each tile's key.
    """

    keys: Sequence[tuple[int, ...]]
    which: NDArray[np.int64]

    def labels(self, constants: dict[tuple[int, ...], int]) -> NDArray[np.int64]:
        """The label of each tile whose key is known, else `MIXED`."""
        return np.array([constants.get(key, MIXED) for key in self.keys], np.int64)[self.which]

    def keys_of(self, tiles: NDArray[np.int64]) -> list[tuple[int, ...]]:
        """Keys of some tiles."""
        return [self.keys[at] for at in self.which[tiles].tolist()]


def _kinds(
    shape: StripShape, offsets: NDArray[np.int64], lengths: NDArray[np.int64], sample: int
) -> _Kinds:
    """Most tiles of a strip are like their neighbours: looked at once, not tile by tile."""
    starts = np.ones(shape.n_tiles, np.bool_)
    starts[1:] = (offsets[1:] != offsets[:-1]) | (lengths[1:] != lengths[:-1])
    starts[-1] |= shape.last_width != shape.tile_width
    first = np.flatnonzero(starts)
    widths = np.full(len(first), shape.tile_width)
    widths[first == shape.n_tiles - 1] = shape.last_width
    columns = offsets[first].tolist(), lengths[first].tolist(), widths.tolist()
    keys = list(zip(*columns, repeat(shape.height), repeat(sample), strict=False))
    return _Kinds(keys, np.cumsum(starts) - 1)


class _Segments(NamedTuple):
    """Where the tiles of a strip are in the file."""

    image: Image
    offsets: list[int]
    lengths: list[int]
    file_bytes: int

    def part(self, first: int, end: int) -> _Segments:
        """Those of some of the tiles."""
        return self._replace(offsets=self.offsets[first:end], lengths=self.lengths[first:end])

    def end(self, k: int) -> int:
        return self.offsets[k] + self.lengths[k]

    @property
    def are_raw(self) -> bool:
        return self.image.compression == "none" and self.are_plain

    @property
    def are_simple_lzw(self) -> bool:
        return self.image.compression == "lzw" and self.are_plain

    @property
    def are_plain(self) -> bool:
        image = self.image
        return (
            (image.n_samples == 1 or image.is_planar)
            and not (image.has_predictor or image.is_signed)
            and image.is_tiled
            and image.n_bits == image.dtype.itemsize * 8
            and image.level.tile.area_px % 8 == 0
        )

    def sound(self, tiles: list[int]) -> list[int]:
        """Those that lie in the file and have a length that is possible."""
        full = self.image.segment_bytes()
        shortest, longest = (full, full) if self.are_raw else (1, 2 * full + 4096)
        return [
            k
            for k in tiles
            if 0 < self.offsets[k] <= self.file_bytes - self.lengths[k]
            and shortest <= self.lengths[k] <= longest
        ]


def _groups(tiles: list[int], segments: _Segments) -> list[list[int]]:
    """Tiles in the order of the file, apart where there is much between them."""
    groups: list[list[int]] = []
    end = 0
    for k in sorted(tiles, key=lambda k: segments.offsets[k]):
        if not groups or segments.offsets[k] > end + _MAX_GAP:
            groups.append([])
        groups[-1].append(k)
        end = max(end, segments.end(k))
    return groups
