"""What a collection is put together from: masks of the spool, and arrays of before."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from qpmask.collection import chunkbits
from qpmask.collection.arrays import Layer
from qpmask.collection.chunkbits import Bits
from qpmask.collection.grid import STEP, Grid, Position
from qpmask.collection.records import MaskRow
from qpmask.collection.smallerlevels import unpacked
from qpmask.collection.spool import Spool, SpooledMask


class Source(Protocol):
    """Something that holds labels chunk by chunk: a mask that was added, an array of before."""

    @property
    def can_share(self) -> bool:
        """Whether other masks may stand in the same array."""

    @property
    def is_layer(self) -> bool:
        """Whether it is an array of before rather than a single mask."""

    @property
    def n_pixels(self) -> int:
        """Pixels that are not 0."""

    def positions(self) -> set[Position]:
        """Chunks of level 0 that may hold anything."""

    def bits(self, at: Position) -> Bits | None:
        """Where a chunk of level 0 has any label; None where it has none."""


@dataclass(frozen=True, eq=False)
class Added:
    """A mask of the spool."""

    spool: Spool
    mask: SpooledMask
    grid: Grid

    is_layer = False

    @property
    def can_share(self) -> bool:
        """Whether other masks may stand in the same array."""
        return self.mask.dtype == "bool"

    @property
    def n_pixels(self) -> int:
        """Pixels that are not 0."""
        return self.mask.n_pixels

    @property
    def has_picked(self) -> bool:
        """Whether pixels for the next level were picked when it was added."""
        return self.mask.dtype == "bool" and self.mask.codec is not None

    def positions(self) -> set[Position]:
        """Chunks that hold anything."""
        return set(self.mask.chunks)

    def bits(self, at: Position) -> Bits | None:
        """Where the mask is."""
        held = self.mask.chunks.get(at)
        if held is None:
            return None
        blob, chunk, codec = self.spool.blob(held), self.grid.chunk, self.mask.codec
        if codec is None:
            return chunkbits.from_block(blob, math.prod(chunk) // 8)
        if self.mask.dtype == "bool":
            return codec.decode_mask(blob, chunk, np.dtype(np.uint8), 1)
        return np.packbits(self._integers(blob) != 0, bitorder="little")

    def pixels(self, at: Position) -> NDArray[Any] | None:
        """A chunk of the mask, of its own type."""
        if self.mask.dtype == "bool":
            bits = self.bits(at)
            return None if bits is None else chunkbits.unpack(bits, self.grid.chunk)
        blob = self.blob(at)
        return None if blob is None else self._integers(blob)

    def picked(self, at: Position) -> NDArray[np.bool_] | None:
        """Every n-th pixel of a chunk, those of the next level; None where all is background."""
        held, step = self.mask.chunks.get(at), STEP[len(self.grid.chunk)]
        if held is None:
            return None
        if held.n_picked:
            side = tuple(-(-n // step) for n in self.grid.chunk)
            return unpacked(self.spool.picked(held), side, np.dtype(np.uint8)).view(np.bool_)
        if self.has_picked:
            return None  # they were looked at when it was written
        bits = self.bits(at)
        return None if bits is None else chunkbits.picked(bits, self.grid.chunk, step)

    def blob(self, at: Position) -> bytes | None:
        """A chunk as it is stored."""
        held = self.mask.chunks.get(at)
        return None if held is None else self.spool.blob(held)

    def _integers(self, blob: bytes) -> NDArray[Any]:
        assert self.mask.codec is not None
        return self.mask.codec.decode(blob, self.grid.chunk, np.dtype(self.mask.dtype))


@dataclass(frozen=True, eq=False)
class Kept:
    """An array of before, without what was deleted from it."""

    layer: Layer
    rows: tuple[MaskRow, ...]
    gone: tuple[int, ...]  # labels

    is_layer = True

    @property
    def can_share(self) -> bool:
        """Whether other masks may stand in the same array."""
        return all(row.dtype == "bool" for row in self.rows)

    @property
    def n_pixels(self) -> int:
        """Pixels that are not 0."""
        return sum(row.n_pixels for row in self.rows)

    def positions(self) -> set[Position]:
        """Chunks that may hold anything."""
        return set(self.layer.present(0))

    def labels(self, at: Position) -> NDArray[Any] | None:
        """Labels of a chunk."""
        pixels = self.layer.chunk(0, at)
        if pixels is None:
            return None
        label = self.rows[0].label
        if self.layer.only not in (None, label):  # a mask with an array of its own is 1 there
            return np.asarray((pixels != 0) * stored_type("bool", label).type(label))
        if not self.gone:
            return pixels
        return np.where(np.isin(pixels, self.gone), pixels.dtype.type(0), pixels)

    def bits(self, at: Position) -> Bits | None:
        """Where any of its masks is."""
        if self.layer.only is not None and not self.gone:
            return self.layer.bits(0, at, self.layer.only)
        labels = self.labels(at)
        return None if labels is None else np.packbits(labels != 0, bitorder="little")


def stored_type(dtype: str, label: int) -> np.dtype[Any]:
    """Type of the array that holds a mask."""
    if dtype != "bool":
        return np.dtype(dtype)
    return np.dtype(np.uint8 if label < 256 else np.uint16 if label < 65_536 else np.uint32)
