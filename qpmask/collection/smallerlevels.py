"""Smaller levels: pixels picked of the chunks of a level, until the next is made of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from qpmask.collection.grid import Grid, Position


def every(pixels: NDArray[Any], step: int | None) -> bytes | None:
    """Every n-th pixel of a chunk, packed; None if all is background."""
    return None if step is None else packed(pixels[(slice(None, None, step),) * pixels.ndim])


def packed(small: NDArray[Any]) -> bytes | None:
    """Pixels to be kept a while; None if all are background."""
    if not small.any():
        return None
    return bytes(imagecodecs.zstd_encode(np.ascontiguousarray(small).tobytes(), 1))


def unpacked(small: bytes, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Pixels again that were packed."""
    raw = imagecodecs.zstd_decode(small, out=math.prod(shape) * dtype.itemsize)
    return np.frombuffer(raw, dtype).reshape(shape)


class Picked:
    """Every n-th pixel of the chunks of a level, packed, until another level is made of them.

    Attributes
    ----------
    step : int
        Every how many.
    """

    def __init__(self, source: Grid, target: Grid, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self._target = target
        self.step = target.scale // source.scale
        self._side = tuple(-(-c // self.step) for c in source.chunk)
        self._kept: dict[Position, dict[Position, bytes]] = {}

    def keep(self, at: Position, small: bytes) -> None:
        """Keep what was picked of a chunk."""
        self._kept.setdefault(self._into(at), {})[at] = small

    def pop(self, at: Position) -> NDArray[Any] | None:
        """A chunk of the level that is made. It is forgotten then."""
        parts = self._kept.pop(at, None)
        if not parts:
            return None
        full = np.zeros(self._target.chunk, self.dtype)
        for source, small in parts.items():
            start = [
                a * n - i * c for a, n, i, c in zip(source, self._side, at, full.shape, strict=True)
            ]
            # The last chunk of a level may be padded by more than the next level has room for.
            room = [min(n, c - s) for s, n, c in zip(start, self._side, full.shape, strict=True)]
            target = tuple(slice(s, s + r) for s, r in zip(start, room, strict=True))
            full[target] = unpacked(small, self._side, self.dtype)[tuple(slice(0, r) for r in room)]
        return full

    def _into(self, at: Position) -> Position:
        return tuple(a * n // c for a, n, c in zip(at, self._side, self._target.chunk, strict=True))


def picked_from(grids: Sequence[Grid], level: int, dtype: np.dtype[Any]) -> Picked | None:
    """What the level after `level` is made of; None where there is none."""
    return Picked(grids[level], grids[level + 1], dtype) if level + 1 < len(grids) else None
