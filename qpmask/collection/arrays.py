"""Pixels of a collection's arrays: any box of any level, from the chunks that hold some of it."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.collection import chunkbits
from qpmask.collection.blosc import CodecError
from qpmask.collection.chunkbits import Bits
from qpmask.collection.codecs import read_index
from qpmask.collection.container import ROOT, Container
from qpmask.collection.grid import Box, Grid, Position
from qpmask.collection.metadatareader import ArrayInfo, read_array
from qpmask.common.machine import n_cores
from qpmask.errors import MaskError, TileError
from qpmask.ometiff.regions import Cut, Positions, cut_axis
from qpmask.ometiff.threads import in_threads
from qpmask.ometiff.tilecache import TileCache

THREADS = min(4, n_cores())
_FEW_PX = 16 << 20  # below this, in all chunks, threads cost more than they save
_FEW_MASK_PX = 64 << 20  # the same of a mask alone in its array, read in a tenth of the time


@dataclass(frozen=True, eq=False)
class _Share:
    """One chunk's share of a box."""

    at: Position
    out: tuple[slice, ...]
    inside: tuple[Any, ...]


class Layer:
    """A label image of a collection: its levels, from an open container. Safe for threads.

    Parameters
    ----------
    container : Container
        The open collection.
    path : str
        Of the image's group, "" for the root.
    cache : TileCache
        Keeps decoded chunks, shared by all layers.
    scales : sequence of int
        Of its levels, whose paths are their numbers.
    only : int, optional
        What a true-or-false mask is that is alone in it.
    """

    def __init__(
        self,
        container: Container,
        path: str,
        cache: TileCache,
        scales: Sequence[int],
        only: int | None = None,
    ) -> None:
        self.path = path
        self.only = only
        self._container = container
        self._cache = cache
        self._indices: dict[tuple[int, Position], list[tuple[int, int] | None] | None] = {}
        self._lock = threading.Lock()
        self.arrays: tuple[ArrayInfo, ...] = tuple(
            _array(container, f"{path}/{level}".lstrip("/"), scale)
            for level, scale in enumerate(scales)
        )

    @property
    def grids(self) -> tuple[Grid, ...]:
        """The levels."""
        return tuple(info.grid for info in self.arrays)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of its labels."""
        return self.arrays[0].dtype

    def blob(self, level: int, at: Position) -> bytes | None:
        """A chunk as it is stored; None where it is all background.

        Raises
        ------
        TileError
            It is damaged.
        """
        info = self.arrays[level]
        shard, number = info.grid.place(at)
        if not info.index_bytes:
            key = info.key(shard)
            return self._container.read(key) if self._container.n_bytes(key) else None
        places = self._index(level, shard)
        place = None if places is None else places[number]
        return None if place is None else self._container.read(info.key(shard), *place)

    def chunk(self, level: int, at: Position) -> NDArray[Any] | None:
        """A decoded chunk, padded at the edges, not to be written to; None if all background.

        Raises
        ------
        TileError
            It is damaged.
        """
        key = (self.path, level, at)
        pixels = self._cache.get(key)
        if pixels is None:
            blob = self.blob(level, at)
            if blob is None:
                return None
            info = self.arrays[level]
            try:
                pixels = info.codec.decode(blob, info.grid.chunk, info.dtype)
            except CodecError as error:
                raise self._error(level, at, str(error)) from error
            pixels.flags.writeable = False
            self._cache.put(key, pixels)
        return pixels

    def bits(self, level: int, at: Position, label: int) -> Bits | None:
        """Where a chunk has a label, of an array that holds no other; None if it is nowhere.

        Raises
        ------
        TileError
            It is damaged.
        """
        key = (self.path, level, at, "bits")
        bits = self._cache.get(key)
        if bits is None:
            blob = self.blob(level, at)
            if blob is None:
                return None
            info = self.arrays[level]
            try:
                bits = info.codec.decode_mask(blob, info.grid.chunk, info.dtype, label)
            except CodecError as error:
                raise self._error(level, at, str(error)) from error
            bits.flags.writeable = False
            self._cache.put(key, bits)
        return bits

    def shard(self, level: int, shard: Position) -> bytes | None:
        """A whole shard as it is stored; None where it is all background."""
        name = self.arrays[level].key(shard)
        return None if self._container.n_bytes(name) is None else self._container.read(name)

    def has(self, level: int, at: Position) -> bool:
        """Whether a chunk has any label, as far as can be told without decoding it."""
        info = self.arrays[level]
        shard, number = info.grid.place(at)
        if not info.index_bytes:
            return self._container.n_bytes(info.key(shard)) is not None
        places = self._index(level, shard)
        return places is not None and places[number] is not None

    def present(self, level: int) -> Iterator[Position]:
        """Chunks that are stored, shard by shard."""
        grid = self.arrays[level].grid
        for shard in grid.shards():
            if self._container.n_bytes(self.arrays[level].key(shard)) is None:
                continue
            for at in grid.chunks_of(shard):
                if at is not None and self.has(level, at):
                    yield at

    def read(
        self,
        level: int,
        where: tuple[Positions, ...],
        out: NDArray[Any],
        put: Callable[[NDArray[Any], NDArray[Any]], None],
        within: Box | None = None,
    ) -> None:
        """Bring pixels into an array that holds background.

        Parameters
        ----------
        level : int
            Which level.
        where : tuple of range or ndarray
            The pixels along each axis.
        out : ndarray
            Of their shape.
        put : callable
            Called with a part of `out` and the labels that belong there, from any thread.
        within : tuple of range, optional
            Beyond these pixels of the level nothing that is wanted is known to be.
        """

        def bring(share: _Share) -> None:
            pixels = self.chunk(level, share.at)
            if pixels is not None:
                put(out[share.out], _picked(pixels, share.inside))

        self._each(bring, level, where, within)

    def read_mask(
        self,
        level: int,
        where: tuple[Positions, ...],
        out: NDArray[Any],
        put: Callable[[NDArray[Any], NDArray[np.bool_]], None] | None = None,
        within: Box | None = None,
    ) -> None:
        """As :meth:`read`, of an array of a single mask: `put` is told where the mask is.

        Without `put`, `out` is of booleans, which become true there.
        """
        grid, label = self.arrays[level].grid, self.only
        assert label is not None

        def bring(share: _Share) -> None:
            bits = self.bits(level, share.at, label)
            if bits is None:
                return
            box = [range(*_bounds(inside)) for inside in share.inside]
            if put is None and all(map(_is_plain, (*share.inside, *share.out))):
                at = [part.start for part in share.out]
                chunkbits.mark(bits, grid.chunk, box, out, at)
                return
            pixels = chunkbits.part(bits, grid.chunk, box)
            inside = tuple(
                slice(i.start - b.start, i.stop - b.start, i.step) if isinstance(i, slice)
                else i - b.start
                for i, b in zip(share.inside, box, strict=True)
            )  # fmt: skip
            found = _picked(pixels, inside)
            if put is None:
                out[share.out] |= found
            else:
                put(out[share.out], found)

        self._each(bring, level, where, within, _FEW_MASK_PX)

    def _each(
        self,
        bring: Callable[[_Share], None],
        level: int,
        where: tuple[Positions, ...],
        within: Box | None,
        few_px: int = _FEW_PX,
    ) -> None:
        if self._container.is_closed:  # said even where no chunk is needed
            raise MaskError(f"{self._container.path} is closed.", hint="Open it again.")
        grid = self.arrays[level].grid
        shares = list(_shares(grid, where, within))
        if len(shares) * math.prod(grid.chunk) < few_px or THREADS == 1:
            for share in shares:
                bring(share)
        else:
            for _ in in_threads(bring, shares, THREADS):
                pass

    def _index(self, level: int, shard: Position) -> list[tuple[int, int] | None] | None:
        key = (level, shard)
        with self._lock:
            if key in self._indices:
                return self._indices[key]
        info = self.arrays[level]
        name = info.key(shard)
        length = self._container.n_bytes(name)
        places = None
        if length is not None:
            try:
                if length < info.index_bytes:
                    raise CodecError("it is shorter than its index")
                tail = self._container.read(name, length - info.index_bytes, info.index_bytes)
                places = read_index(tail, length - info.index_bytes, info.index_has_crc)
            except CodecError as error:
                raise self._error(level, shard, str(error), "shard") from error
        with self._lock:
            self._indices[key] = places
        return places

    def _error(self, level: int, at: Position, what: str, kind: str = "chunk") -> TileError:
        layer = f"the array {self.path!r}" if self.path else "the flattened mask"
        return TileError(
            f"The {kind} {at} at level {level} of {layer} in {self._container.path} cannot be "
            f"used: {what}.",
            hint="The file is damaged or incomplete; make it again.",
            what=what,
        )


def _is_plain(part: Any) -> bool:
    """Whether it is a slice of neighbours, the lowest first."""
    return isinstance(part, slice) and part.step in (None, 1)


def _bounds(inside: Any) -> tuple[int, int]:
    """First pixel that is wanted of an axis, and the one after the last."""
    if isinstance(inside, slice):
        return inside.start, inside.stop
    return int(inside[0]), int(inside[-1]) + 1


def _array(container: Container, path: str, scale: int) -> ArrayInfo:
    name = f"{path}/{ROOT}"
    if container.n_bytes(name) is None:
        raise MaskError(
            f"{container.path} has no {name}.", hint="It is damaged or was not copied whole."
        )
    return read_array(container.document(name), path, scale, str(container.path))


def _shares(grid: Grid, where: tuple[Positions, ...], within: Box | None) -> Iterator[_Share]:
    cuts: list[list[Cut]] = []
    for axis, positions in enumerate(where):
        length = grid.chunk[axis]
        if within is None:
            cuts.append(cut_axis(positions, length))
            continue
        box = within[axis]
        if not len(box):
            return
        inner, n_before = _cropped(positions, box)
        chunks = range(box[0] // length, box[-1] // length + 1)
        cuts.append(
            [
                Cut(cut.tile, _moved(cut.out, n_before), cut.inside) if n_before else cut
                for cut in cut_axis(inner, length)
                if cut.tile in chunks
            ]
        )
    for parts in itertools.product(*cuts):
        yield _Share(
            tuple(cut.tile for cut in parts),
            tuple(cut.out for cut in parts),
            tuple(cut.inside for cut in parts),
        )


def _cropped(positions: Positions, box: range) -> tuple[Positions, int]:
    """Pixels of an axis but for those before and after a box, and how many come before it.

    Rising ranges alone; of others, all.
    """
    if not isinstance(positions, range) or positions.step < 1:
        return positions, 0
    first, end = (
        min(len(positions), max(0, -(-(edge - positions.start) // positions.step)))
        for edge in (box.start, box.stop)
    )
    return positions[first:end], first


def _moved(part: slice, n: int) -> slice:
    return slice(part.start + n, part.stop + n)


def _picked(pixels: NDArray[Any], inside: tuple[Any, ...]) -> NDArray[Any]:
    if all(isinstance(part, slice) for part in inside):
        whole: NDArray[Any] = pixels[inside]
        return whole
    found: NDArray[Any] = pixels
    for axis, part in enumerate(inside):  # one axis after the other, as of a grid
        found = found[(slice(None),) * axis + (part,)]
    return found
