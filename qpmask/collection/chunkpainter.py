"""Chunks of an array, put together from what was before and what was added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.collection import chunkbits
from qpmask.collection.chunkbits import Bits
from qpmask.collection.codecs import ChunkCodec
from qpmask.collection.grid import Grid, Position
from qpmask.collection.records import MaskRow
from qpmask.collection.smallerlevels import every, packed
from qpmask.collection.sources import Added, Kept, Source

Chunk = tuple[bytes | None, bytes | None]
"""A chunk as it is stored, and what was picked of it for the next level, packed."""


class ChunkPainter:
    """Puts chunks together from sources: masks that do not overlap, or all, flattened.

    Parameters
    ----------
    sources : sequence of Source
        Where pixels come from.
    rows : sequence of MaskRow
        The masks; of a flattened array, those that lie on top last.
    dtype, codec
        Of the array.
    is_flat : bool
        Whether it is all masks, flattened.
    only : int, optional
        What the only mask is in it, of an array of a single one that is true or false.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        rows: Sequence[MaskRow],
        dtype: np.dtype[Any],
        codec: ChunkCodec,
        is_flat: bool = False,
        only: int | None = None,
    ) -> None:
        self.dtype, self.codec = dtype, codec
        self._only = only
        self._is_flat = is_flat
        self._rank = np.zeros(max((row.label for row in rows), default=0) + 1, np.uint32)
        self._rank[[row.label for row in rows]] = np.arange(1, len(rows) + 1)
        self._kept = [s for s in sources if isinstance(s, Kept)]
        self._added = [s for s in sources if isinstance(s, Added)]
        self._added.sort(key=lambda source: int(self._rank[source.mask.label]))
        self._at = {id(s): s.positions() for s in sources}
        self._is_integers = not is_flat and bool(rows) and rows[0].dtype != "bool"

    def chunk(self, at: Position, grid: Grid, step: int | None) -> Chunk:
        """A chunk of level 0 as it is stored, and every n-th pixel of it."""
        kept = [s for s in self._kept if at in self._at[id(s)]]
        added = [s for s in self._added if at in self._at[id(s)]]
        if not kept and not added:
            return None, None
        if self._is_integers and added:
            if step is None:
                return added[0].blob(at), None
            labels = added[0].pixels(at)
            assert labels is not None
            return added[0].blob(at), every(labels, step)
        if self._only is not None and not kept:
            small = None if step is None else added[0].picked(at)
            small_labels = None if small is None else packed(small * self.dtype.type(self._only))
            if self._only == 1 and added[0].mask.codec == self.codec and self.dtype == np.uint8:
                return added[0].blob(at), small_labels
            bits = added[0].bits(at)
            assert bits is not None
            return self._encoded(bits, grid.chunk), small_labels
        if len(kept) == 1 and not added and not kept[0].gone:
            same = self._same(kept[0], at)
            if same is not None:
                whole = kept[0].layer.chunk(0, at) if step is not None else None
                return same, None if whole is None else every(whole, step)
        labels = np.zeros(grid.chunk, self.dtype)
        for before in kept:
            self._lay(labels, before, at)
        for source in added:
            bits = source.bits(at)
            if bits is not None:
                chunkbits.paint(labels, bits, source.mask.label)
        if not labels.any():
            return None, None
        return self.encode(labels), every(labels, step)

    def picked(self, at: Position, grid: Grid, step: int) -> bytes | None:
        """Every n-th pixel of a chunk of level 0, packed."""
        each = (slice(None, None, step),) * len(grid.shape)
        small = np.zeros(tuple(-(-n // step) for n in grid.chunk), self.dtype)
        for source in self._kept:
            if at in self._at[id(source)]:
                self._lay(small, source, at, each)
        for added in self._added:
            where = added.picked(at)
            if where is not None:
                small[where] = added.mask.label
        return packed(small)

    def encode(self, labels: NDArray[Any]) -> bytes:
        """A chunk of any level."""
        if self._only is not None:
            return self._encoded(chunkbits.pack(labels != 0, labels.shape), labels.shape)
        return self.codec.encode(labels)

    def _encoded(self, bits: Bits, chunk: tuple[int, ...]) -> bytes:
        label = self._only
        assert label is not None
        return self.codec.encode_mask(
            bits, label, self.dtype, lambda: chunkbits.unpack(bits, chunk) * self.dtype.type(label)
        )

    def _same(self, source: Kept, at: Position) -> bytes | None:
        """A chunk of an array of before that can stay as it is."""
        if self._is_flat and source.rows[0].dtype != "bool":
            return None
        if source.layer.only not in (None, self._only or source.rows[0].label):
            return None
        info = source.layer.arrays[0]
        if (info.dtype, info.codec.kind, info.codec.has_crc) != (self.dtype, self.codec.kind, True):
            return None
        return source.layer.blob(0, at)

    def _lay(
        self, below: NDArray[Any], source: Kept, at: Position, each: tuple[slice, ...] = ()
    ) -> None:
        """Lay an array of before, or some pixels of it, upon what is there and lies lower."""
        labels = source.labels(at)
        if labels is None:
            return
        labels = labels[each]
        if self._is_flat and source.rows[0].dtype != "bool":
            labels = (labels != 0) * self.dtype.type(source.rows[0].label)
        if self._is_flat:
            higher = self._rank[labels] > self._rank[below]
            np.copyto(below, labels, where=higher, casting="unsafe")
        else:
            np.copyto(below, labels, where=labels != 0, casting="unsafe")
