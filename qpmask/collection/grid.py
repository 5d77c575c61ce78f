"""How a collection's arrays are cut: levels, chunks, shards. Plain numbers, no pixels.

Axes are (y, x) or (z, y, x). A chunk is what is decoded at once, a shard what is one entry of the
file. Level k holds every ``scale``-th pixel of level 0 along each axis, the first of each block:
labels are picked, never mixed, as in our TIFFs. Steps are larger than theirs (16 in the plane, 4 in
a volume), as each mask has levels of its own, and level 0 is read at a gigapixel a second.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

Position = tuple[int, ...]
"""Of a chunk or a shard: its number along each axis."""
Box = tuple[range, ...]
"""Pixels along each axis."""

CHUNK = {2: 2048, 3: 64}
STEP = {2: 16, 3: 4}
_SMALL_PX = {2: 2048, 3: 512}  # what is not longer needs no smaller level
_EVEN = 80, 68, 40  # short rows compress best; and zstd, at a level, what is below 2**18 bytes
_MOST_CHUNKS = {2: 16, 3: 8}  # an array of no more along an axis is one shard; else shards are of 8
_CHUNKS = 8


@dataclass(frozen=True)
class Grid:
    """One level of one array.

    Parameters
    ----------
    shape : tuple of int
        Pixels along each axis.
    chunk, shard : tuple of int
        Pixels of a chunk and of a shard along each axis; a shard is whole chunks.
    scale : int
        Every how many pixels of level 0 this holds one.
    """

    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    shard: tuple[int, ...]
    scale: int = 1

    @property
    def n_chunks(self) -> tuple[int, ...]:
        """Chunks along each axis."""
        return tuple(-(-n // c) for n, c in zip(self.shape, self.chunk, strict=True))

    @property
    def n_shards(self) -> tuple[int, ...]:
        """Shards along each axis."""
        return tuple(-(-n // s) for n, s in zip(self.shape, self.shard, strict=True))

    @property
    def chunks_per_shard(self) -> tuple[int, ...]:
        """Chunks in a shard along each axis."""
        return tuple(s // c for s, c in zip(self.shard, self.chunk, strict=True))

    def box(self, at: Position) -> Box:
        """Pixels of a chunk, cropped to the array."""
        return tuple(
            range(i * c, min(n, (i + 1) * c))
            for i, c, n in zip(at, self.chunk, self.shape, strict=True)
        )

    def place(self, at: Position) -> tuple[Position, int]:
        """The shard of a chunk, and the chunk's number in the shard's index."""
        per_shard = self.chunks_per_shard
        number = 0
        for i, n in zip(at, per_shard, strict=True):
            number = number * n + i % n
        return tuple(i // n for i, n in zip(at, per_shard, strict=True)), number

    def chunks_of(self, shard: Position) -> Iterator[Position | None]:
        """Chunks of a shard in the order of its index; None for those beyond the array."""
        per_shard, limits = self.chunks_per_shard, self.n_chunks
        for inside in itertools.product(*map(range, per_shard)):
            at = tuple(s * n + i for s, n, i in zip(shard, per_shard, inside, strict=True))
            yield at if all(a < n for a, n in zip(at, limits, strict=True)) else None

    def shards(self) -> Iterator[Position]:
        """All shards, row by row."""
        return itertools.product(*map(range, self.n_shards))

    def chunks_in(self, box: Box) -> Iterator[Position]:
        """Chunks that hold any of these pixels, given in rising order."""
        return itertools.product(
            *(
                range(r[0] // c, r[-1] // c + 1) if len(r) else range(0)
                for r, c in zip(box, self.chunk, strict=True)
            )
        )


def first_grid(shape: tuple[int, ...], scale: int = 1) -> Grid:
    """The array of one level, of this shape."""
    n_axes = len(shape)
    if n_axes == 3 and max(shape) <= (_SMALL_PX[3] if scale == 1 else 2 * CHUNK[3]):
        chunk = _even(shape, scale)
    else:
        # A small array is one chunk that is not much larger than itself.
        chunk = tuple(min(CHUNK[n_axes], _whole(n, 16)) for n in shape)
    counts = [-(-n // c) for n, c in zip(shape, chunk, strict=True)]
    many = [n if n <= _MOST_CHUNKS[n_axes] else _CHUNKS for n in counts]
    shard = tuple(c * n for c, n in zip(chunk, many, strict=True))
    return Grid(shape, chunk, shard, scale)


def _even(shape: tuple[int, ...], scale: int) -> tuple[int, ...]:
    """Chunks of a volume with a single level: as even as they can be, which saves a few percent.

    They are whole steps, so that the picture at the root is put together from them; that has one.
    """
    if scale > 1:
        return tuple(_whole(n, 4) for n in shape)
    parts = (-(-n // longest) for n, longest in zip(shape, _EVEN, strict=True))
    return tuple(_whole(-(-n // k), STEP[3]) for n, k in zip(shape, parts, strict=True))


@functools.lru_cache(maxsize=64)
def pyramid(
    shape: tuple[int, ...], n_levels: int | None = None, first: int = 1
) -> tuple[Grid, ...]:
    """All levels of an image.

    Parameters
    ----------
    shape : tuple of int
        Of the collection, in pixels of its level 0.
    n_levels : int, optional
        How many; by default until the longest side is small.
    first : int
        Scale of the first one.
    """
    step = STEP[len(shape)]
    if n_levels is None:
        n_levels = 1
        while math.ceil(max(shape) / step ** (n_levels - 1)) > _SMALL_PX[len(shape)]:
            n_levels += 1
    scales = [first * step**k for k in range(n_levels)]
    return tuple(first_grid(tuple(-(-n // s) for n in shape), s) for s in scales)


def _whole(n: int, unit: int) -> int:
    return max(1, -(-n // unit)) * unit
