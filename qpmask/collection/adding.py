"""One mask brought into the spool: from an array, or block by block in any order.

Blocks are cut along chunks. Chunks that are not complete wait in memory, a bounded number of them;
one that has to go before is read back when more of it comes.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.collection import chunkbits
from qpmask.collection.arrays import THREADS
from qpmask.collection.grid import STEP, Grid, Position
from qpmask.collection.smallerlevels import packed
from qpmask.collection.sources import Added
from qpmask.collection.spool import Spool, SpooledMask
from qpmask.errors import OptionsError, OutsideMaskError, WrongTypeError
from qpmask.ometiff.regions import cut_axis
from qpmask.ometiff.threads import in_threads

_WAITING_BYTES = 64 << 20
_AT_ONCE = 16  # chunks side by side that are read together, as memory is read best in long rows
_SMALL_BYTES = 1 << 20  # chunks of no more are done in less time than threads are given them

#: The first of chunks side by side, an array that holds their pixels, and where.
_Part = tuple[Position, NDArray[Any], tuple[slice, ...]]


class BlockWriter:
    """Writes blocks of one mask; a context manager: the mask is there once it ends.

    Made by :meth:`qpmask.MaskCollection.writer`. May be shared by threads.
    """

    def __init__(self, spool: Spool, grid: Grid, mask: SpooledMask, replaces: bool) -> None:
        self._spool, self._grid, self._mask = spool, grid, mask
        self._replaces = replaces
        self._number = spool.begin(mask)
        self._dtype = np.dtype(mask.dtype)
        self._waiting: OrderedDict[Position, NDArray[Any]] = OrderedDict()
        self._most = max(2, _WAITING_BYTES // int(np.prod(grid.chunk) * self._dtype.itemsize))
        self._lock = threading.Lock()
        self._is_open = True

    def __enter__(self) -> BlockWriter:
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    def write(self, start: tuple[int, ...], block: Any) -> None:
        """Write a block; it replaces what was written there before.

        Parameters
        ----------
        start : tuple of int
            Its first pixel: (row, column) or (slice, row, column).
        block : array_like
            True or not 0 where the mask is; of the writer's type if it takes integers.

        Raises
        ------
        OutsideMaskError
            It reaches beyond the collection.
        """
        if not self._is_open:
            raise OptionsError(f"The mask {self._mask.name!r} is complete.")
        pixels = checked_type(np.asarray(block), self._mask)
        shape = self._grid.shape
        if pixels.ndim != len(shape) or len(start) != len(shape):
            raise OptionsError(
                f"A block of {self._mask.name!r} has {pixels.ndim} axes and a start of "
                f"{len(start)}; the collection has {len(shape)}."
            )
        begin = [int(n) for n in start]
        if any(s < 0 or s + n > m for s, n, m in zip(begin, pixels.shape, shape, strict=True)):
            raise OutsideMaskError(
                f"A block of {pixels.shape} pixels at {tuple(begin)} reaches beyond the collection "
                f"of {shape}."
            )
        ranges = [range(s, s + n) for s, n in zip(begin, pixels.shape, strict=True)]
        with self._lock:
            for at in self._grid.chunks_in(tuple(ranges)):
                cuts = [
                    next(c for c in cut_axis(r, side) if c.tile == i)
                    for r, side, i in zip(ranges, self._grid.chunk, at, strict=True)
                ]
                part = pixels[tuple(c.out for c in cuts)]
                if at not in self._waiting and at not in self._mask.chunks and not part.any():
                    continue
                self._chunk(at)[tuple(c.inside for c in cuts)] = part
            while len(self._waiting) > self._most:
                self._flush_whole(self._waiting.popitem(last=False))

    def write_chunk(self, at: Position, pixels: NDArray[Any]) -> None:
        """Write all of a chunk at once, cropped to the collection; nothing waits in memory."""
        pixels = checked_type(pixels, self._mask)
        self._flush(at, pixels, tuple(slice(0, n) for n in pixels.shape))

    def close(self) -> None:
        """Complete the mask; what is on the disk when this returns stays."""
        if not self._is_open:
            return
        with self._lock:
            self._is_open = False
            for _ in in_threads(self._flush_whole, self._waiting.items(), THREADS):
                pass
            self._waiting.clear()
            self._spool.commit(self._number, self._replaces)

    def abandon(self) -> None:
        """Forget the mask."""
        self._is_open = False
        self._waiting.clear()
        self._spool.abandon(self._number)

    def write_all(self, array: Any) -> None:
        """Write a whole mask, chunk by chunk, on a few threads; lazy ones are read in parts."""
        grid = self._grid

        def do(part: _Part) -> None:
            self._flush(*part)

        if isinstance(array, np.ndarray) and array.dtype == self._dtype:
            bands: Iterable[Iterable[_Part]] = [
                itertools.chain.from_iterable(map(self._parts, self._bands(array)))
            ]
        else:  # in whole rows of chunks, so that tiles are decoded once, one after the other
            bands = map(self._parts, self._bands(array))
        for parts in bands:
            if math.prod(grid.chunk) <= _SMALL_BYTES:
                for part in parts:
                    do(part)
                continue
            for _ in in_threads(do, parts, THREADS):
                pass

    def _bands(self, array: Any) -> Iterator[tuple[int, NDArray[Any]]]:
        """A mask as rows of chunks of the first axis: the number of each, and its pixels."""
        for first in range(self._grid.n_chunks[0]):
            head = self._grid.box((first, *(0,) * (len(self._grid.shape) - 1)))[0]
            band = array[head.start : head.stop]
            if not isinstance(array, np.ndarray):
                band = np.asarray(band)
            yield first, checked_type(band, self._mask)

    def _parts(self, numbered: tuple[int, NDArray[Any]]) -> Iterator[_Part]:
        """A row of chunks as chunks side by side: as many as one thread takes at a time."""
        first, band = numbered
        grid, n_last = self._grid, self._grid.n_chunks[-1]
        n = max(1, min(_AT_ONCE, math.prod(grid.n_chunks) // (4 * THREADS)))
        for middle in itertools.product(*map(range, grid.n_chunks[1:-1])):
            for last in range(0, n_last, n):
                at = (first, *middle, last)
                box = grid.box(at)[1:]
                end = grid.box((*at[:-1], min(n_last, last + n) - 1))[-1].stop
                inside = [slice(0, len(band)), *(slice(r.start, r.stop) for r in box)]
                inside[-1] = slice(box[-1].start, end)
                yield at, band, tuple(inside)

    def _chunk(self, at: Position) -> NDArray[Any]:
        pixels = self._waiting.pop(at, None)
        if pixels is None:
            held = self._mask.chunks.get(at)
            if held is None:
                pixels = np.zeros(self._grid.chunk, self._dtype)
            else:
                mask = Added(self._spool, self._mask, self._grid)
                found = mask.pixels(at)
                assert found is not None
                pixels = found if found.flags.writeable else found.copy()
        self._waiting[at] = pixels
        return pixels

    def _flush_whole(self, item: tuple[Position, NDArray[Any]]) -> None:
        at, pixels = item
        self._flush(at, pixels, tuple(slice(0, n) for n in pixels.shape))

    def _flush(self, at: Position, array: NDArray[Any], box: tuple[slice, ...]) -> None:
        """Bring chunks side by side, the last of them cropped perhaps, into the spool.

        Parameters
        ----------
        at : tuple of int
            The first chunk.
        array : ndarray
            Holds their pixels.
        box : tuple of slice
            Where.
        """
        *before, across = box
        *row, last = at
        if self._mask.dtype == "bool":
            for k, found in enumerate(chunkbits.measured(array, box, self._grid.chunk)):
                self._put_bits((*row, last + k), found)
            return
        width = self._grid.chunk[-1]
        for k, start in enumerate(range(across.start, across.stop, width)):
            where = (*before, slice(start, min(start + width, across.stop)))
            self._put_labels((*row, last + k), array[where])

    def _put_bits(self, at: Position, found: chunkbits.Measured | None) -> None:
        if found is None:
            self._spool.drop(self._number, at)
            return
        chunk, codec, bits, picked = self._grid.chunk, self._mask.codec, found.bits, b""
        if codec is None:
            blob = chunkbits.to_block(bits)
        else:
            one = np.dtype(np.uint8)
            blob = codec.encode_mask(bits, 1, one, lambda: chunkbits.unpack(bits, chunk).view(one))
            small = chunkbits.picked(bits, chunk, STEP[len(chunk)])
            picked = packed(small.view(np.uint8)) or b""
        self._put(at, blob, found.n_pixels, found.extent, picked)

    def _put_labels(self, at: Position, pixels: NDArray[Any]) -> None:
        n_pixels = int(np.count_nonzero(pixels))
        if not n_pixels:
            self._spool.drop(self._number, at)
            return
        full = np.zeros(self._grid.chunk, self._dtype)
        full[tuple(slice(0, n) for n in pixels.shape)] = pixels
        assert self._mask.codec is not None
        self._put(at, self._mask.codec.encode(full), n_pixels, chunkbits.extent_of(pixels))

    def _put(
        self,
        at: Position,
        blob: bytes,
        n_pixels: int,
        extent: chunkbits.Block,
        picked: bytes = b"",
    ) -> None:
        place = tuple(
            (first * side + low, first * side + high)
            for first, side, (low, high) in zip(at, self._grid.chunk, extent, strict=True)
        )
        self._spool.put(self._number, at, blob, n_pixels, place, picked)


def checked_type(pixels: NDArray[Any], mask: SpooledMask) -> NDArray[Any]:
    """Pixels of the type that a mask has."""
    if mask.dtype == "bool":
        if pixels.dtype == np.bool_:
            return pixels
        if pixels.dtype.kind in "ui":
            return np.asarray(pixels != 0)
    elif pixels.dtype.kind in "uib" and np.can_cast(pixels.dtype, mask.dtype):
        return pixels.astype(mask.dtype, copy=False)
    raise WrongTypeError(
        f"Pixels of {mask.name!r} are {pixels.dtype}; the mask takes {mask.dtype}.",
        hint="Give booleans, or convert them first.",
    )
