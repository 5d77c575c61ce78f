"""Pixels of masks of a collection, read when asked for: of one, of several as one, of all.

They know arrays and bounding boxes, and nothing of indexing.
"""

from __future__ import annotations

import abc
import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.collection.arrays import Layer
from qpmask.collection.grid import Box, Grid
from qpmask.collection.records import MaskRow
from qpmask.mask.binarymask import is_one_of
from qpmask.ometiff.regions import Positions

Put = Callable[[NDArray[Any], NDArray[Any]], None]
"""Brings the labels of a part of an array into what is read."""


class Pixels(abc.ABC):
    """Pixels of any level, read when they are asked for."""

    dtype: np.dtype[Any]
    grids: Sequence[Grid]

    @abc.abstractmethod
    def read(self, level: int, where: tuple[Positions, ...]) -> NDArray[Any]:
        """Pixels at these positions along each axis of a level; the caller's own."""

    @abc.abstractmethod
    def token(self) -> tuple[object, ...]:
        """What tells two of them apart."""


class MaskPixels(Pixels):
    """Masks of a collection, as one.

    Parameters
    ----------
    layers : sequence of (Layer, rows)
        The arrays that hold them, and what of each counts.
    token : tuple
        What tells it from others.
    as_bool : bool
        Whether integers become true and false too.
    """

    def __init__(
        self,
        layers: Sequence[tuple[Layer, Sequence[MaskRow]]],
        token: tuple[object, ...],
        as_bool: bool = False,
    ) -> None:
        self._layers = layers
        self._token = token
        self.grids = layers[0][0].grids
        rows = [row for _, some in layers for row in some]
        kept = len(rows) == 1 and rows[0].dtype != "bool" and not as_bool
        self.dtype = np.dtype(rows[0].dtype if kept else np.bool_)

    def read(self, level: int, where: tuple[Positions, ...]) -> NDArray[Any]:
        """Pixels at these positions along each axis of a level."""
        out = np.zeros(tuple(map(len, where)), self.dtype)
        for layer, rows in self._layers:
            box = _box(rows, self.grids[level])
            if layer.only is not None:
                layer.read_mask(level, where, out, within=box)
            else:
                layer.read(level, where, out, self._putter(rows), box)
        return out

    def token(self) -> tuple[object, ...]:
        """What tells it from others."""
        return self._token

    def _putter(self, rows: Sequence[MaskRow]) -> Any:
        if rows[0].dtype != "bool":
            return _copy if self.dtype != np.bool_ else _mark_any
        labels = tuple(row.label for row in rows)
        if len(self._layers) == 1 and len(labels) == 1:
            return partial(_equal, labels[0])
        return partial(_mark, labels)


class FlatPixels(Pixels):
    """All masks flattened: at each pixel the label of the one that lies on top.

    Parameters
    ----------
    layers : sequence of (Layer, rows)
        All arrays and what they hold.
    order : sequence of MaskRow
        All masks, the topmost last.
    grids : sequence of Grid
        The levels.
    token : tuple
        What tells it from others.
    root : Layer, optional
        An array of the same, if there is one.
    """

    def __init__(
        self,
        layers: Sequence[tuple[Layer, Sequence[MaskRow]]],
        order: Sequence[MaskRow],
        grids: Sequence[Grid],
        token: tuple[object, ...],
        root: Layer | None = None,
    ) -> None:
        self._layers, self._token, self._root = layers, token, root
        self._rows = [row for _, rows in layers for row in rows]
        self.grids = grids
        highest = max((row.label for row in order), default=0)
        self.dtype = np.dtype(
            np.uint8 if highest < 256 else np.uint16 if highest < 65_536 else np.uint32
        )
        self._rank = np.zeros(highest + 1, np.uint32)
        self._rank[[row.label for row in order]] = np.arange(1, len(order) + 1)

    def read(self, level: int, where: tuple[Positions, ...]) -> NDArray[Any]:
        """Pixels at these positions along each axis of a level."""
        out = np.zeros(tuple(map(len, where)), self.dtype)
        if self._root is not None:
            self._root.read(level, where, out, _copy, _box(self._rows, self.grids[level]))
            return out
        for layer, rows in self._layers:
            put: Put
            box = _box(rows, self.grids[level])
            if layer.only is not None:
                layer.read_mask(level, where, out, partial(self._lay_one, rows[0].label), box)
                continue
            if rows[0].dtype != "bool":
                put = partial(self._lay_one, rows[0].label)
            elif len(self._layers) == 1:
                put = _copy
            else:
                put = self._lay
            layer.read(level, where, out, put, box)
        return out

    def token(self) -> tuple[object, ...]:
        """What tells it from others."""
        return self._token

    def _lay(self, out: NDArray[Any], labels: NDArray[Any]) -> None:
        np.copyto(out, labels, where=self._rank[labels] > self._rank[out], casting="unsafe")

    def _lay_one(self, label: int, out: NDArray[Any], labels: NDArray[Any]) -> None:
        np.copyto(out, label, where=(labels != 0) & (self._rank[label] > self._rank[out]))


class SlicePixels(Pixels):
    """One slice of a volume, at the levels that hold it.

    Parameters
    ----------
    volume : Pixels
        Of three axes.
    z_px : int
        Which slice, of level 0.
    """

    def __init__(self, volume: Pixels, z_px: int) -> None:
        self._volume, self._z_px = volume, z_px
        self.dtype = volume.dtype
        # A smaller level holds every n-th slice; a level that lacks this one ends the pyramid.
        held = itertools.takewhile(lambda grid: z_px % grid.scale == 0, volume.grids)
        self.grids = [Grid(g.shape[1:], g.chunk[1:], g.shard[1:], g.scale) for g in held]

    def read(self, level: int, where: tuple[Positions, ...]) -> NDArray[Any]:
        """Pixels at these rows and columns of a level."""
        at = self._z_px // self.grids[level].scale
        one: NDArray[Any] = self._volume.read(level, (range(at, at + 1), *where))[0]
        return one

    def token(self) -> tuple[object, ...]:
        """What tells it from others."""
        return *self._volume.token(), "slice", self._z_px


def _box(rows: Sequence[MaskRow], grid: Grid) -> Box:
    """Bounding box of masks at a level."""
    held = [row.box for row in rows if row.n_pixels]
    if not held:
        return (range(0),) * len(grid.shape)
    return tuple(
        range(min(b[a][0] for b in held) // grid.scale,
              (max(b[a][1] for b in held) - 1) // grid.scale + 1)
        for a in range(len(grid.shape))
    )  # fmt: skip


def _equal(label: int, out: NDArray[Any], labels: NDArray[Any]) -> None:
    np.equal(labels, label, out=out)


def _mark(labels: tuple[int, ...], out: NDArray[Any], found: NDArray[Any]) -> None:
    out |= is_one_of(found, labels)


def _mark_any(out: NDArray[Any], found: NDArray[Any]) -> None:
    out |= found != 0


def _copy(out: NDArray[Any], found: NDArray[Any]) -> None:
    np.copyto(out, found, casting="unsafe")
