"""Tiles as runs: what a mask is made of, and what all but drawing and decoding works on.

A mixed tile of 512 x 512 pixels has about a thousand runs of one label. Counting, subsampling,
comparing and LZW take a hundredth of the steps on those that they take on pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qpmask import jit
from qpmask.ometiff.strips import MIXED, UNKNOWN, StripShape


class RunStrip(NamedTuple):
    """The tiles of a strip as runs.

    Attributes
    ----------
    values : ndarray of uint32, shape (n_runs,)
        The label of each run; neighbours within a tile differ.
    ends : ndarray of int32, shape (n_runs,)
        Where it ends: the pixels of a tile, cropped to the image, are counted row by row.
    start : ndarray of int64, shape (n_tiles + 1,)
        Runs ``start[k]`` to ``start[k + 1]`` are tile k's. A tile that cannot be read has none.
    """

    values: jit.U32_1D
    ends: jit.I32_1D
    start: jit.I64_1D

    @property
    def has_mixed(self) -> bool:
        """Whether any tile has more than one run."""
        n_tiles = len(self.start) - 1
        return bool(self.start[-1] > n_tiles or (self.start[1:] > self.start[:-1] + 1).any())

    def labels(self) -> NDArray[np.int64]:
        """State of each tile: its only label, `MIXED` or `UNKNOWN`; shape (n_tiles,)."""
        n_runs = self.start[1:] - self.start[:-1]
        if not len(self.values):
            return np.full(len(n_runs), UNKNOWN, np.int64)
        labels = self.values.take(self.start[:-1], mode="clip").astype(np.int64)
        labels[n_runs > 1] = MIXED
        labels[n_runs == 0] = UNKNOWN
        return labels


def constant_runs(shape: StripShape, labels: NDArray[np.int64]) -> RunStrip:
    """A strip whose tiles have one label each."""
    ends = shape.areas().astype(np.int32)
    start = np.arange(shape.n_tiles + 1, dtype=np.int64)
    return RunStrip(labels.astype(np.uint32), ends, start)


def joined(parts: Sequence[RunStrip]) -> RunStrip:
    """Strips one behind the other as one strip."""
    if len(parts) == 1:
        return parts[0]
    n_runs = 0
    starts = [np.zeros(1, np.int64)]
    for part in parts:
        starts.append(part.start[1:] + n_runs)
        n_runs += len(part.values)
    return RunStrip(
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.ends for part in parts]),
        np.concatenate(starts),
    )


def runs_of_tiles(tiles: Iterable[NDArray[Any] | int | None], shape: StripShape) -> RunStrip:
    """A strip of tiles: pixels cropped to the image, or one label, or None if it cannot be read."""
    values, ends, start = [np.empty(0, np.uint32)], [np.empty(0, np.int32)], [0]
    for k, tile in enumerate(tiles):
        if isinstance(tile, int):
            values.append(np.array([tile], np.uint32))
            ends.append(np.array([shape.area(k)], np.int32))
        elif tile is not None:
            flat = tile.ravel()
            last = np.append(np.flatnonzero(flat[1:] != flat[:-1]), flat.size - 1)
            values.append(flat[last].astype(np.uint32))
            ends.append((last + 1).astype(np.int32))
        start.append(start[-1] + (0 if tile is None else len(ends[-1])))
    return RunStrip(np.concatenate(values), np.concatenate(ends), np.array(start, np.int64))


def no_runs() -> RunStrip:
    """A strip without tiles."""
    return RunStrip(np.empty(0, np.uint32), np.empty(0, np.int32), np.zeros(1, np.int64))


@dataclass(frozen=True, eq=False)
class TileRuns:
    """Tiles of one strip of a :class:`~qpmask.ometiff.strips.StripGrid`, as runs.

    Parameters
    ----------
    shape : StripShape
        Sizes of the tiles.
    runs : RunStrip
        Their pixels.
    dtype : numpy.dtype
        Type of the pixels.
    """

    shape: StripShape
    runs: RunStrip
    dtype: np.dtype[Any]

    def __iter__(self) -> Iterator[int | NDArray[Any]]:
        """The tiles one by one: a number, or pixels of shape (height, width).

        Raises
        ------
        ValueError
            For a tile that cannot be read.
        """
        for k, label in enumerate(self.runs.labels().tolist()):
            if label == UNKNOWN:
                raise ValueError(f"tile {k} of the strip could not be read")
            yield label if label >= 0 else self.tile(k)

    def tile(self, k: int) -> NDArray[Any]:
        """Pixels of tile ``k``, shape (height, width)."""
        first, last = self.runs.start[k], self.runs.start[k + 1]
        lengths = np.diff(self.runs.ends[first:last], prepend=np.int32(0))
        tile: NDArray[Any] = np.repeat(self.runs.values[first:last].astype(self.dtype), lengths)
        return tile.reshape(self.shape.height, self.shape.width(k))
