"""Masks of a collection as lazy arrays: one, several as one, all flattened; planes and volumes.

What is read comes from a :class:`Pixels`, which knows arrays and bounding boxes and nothing of
indexing; :class:`PlaneView` and :class:`VolumeView` give it the ways of an array.
"""

from __future__ import annotations

import abc
import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.collection.arrays import Layer
from qpmask.collection.grid import Box, Grid
from qpmask.collection.records import MaskRow
from qpmask.common.arguments import whole_number
from qpmask.errors import MaskError, OptionsError, OutsideMaskError, TileError
from qpmask.geometry import Size
from qpmask.mask.binarymask import is_one_of
from qpmask.mask.indexing import select
from qpmask.mask.lazypixels import MAX_SILENT_BYTES, LazyPixels
from qpmask.ometiff.directoryreader import Level
from qpmask.ometiff.regiontiles import Positions

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


class PlaneView(LazyPixels):
    """A mask of two axes, or several as one, as a lazy array; made by a collection.

    Indexing, :meth:`region`, :meth:`thumbnail` are those of :func:`qpmask.open_mask`.
    """

    def __init__(self, pixels: Pixels, name: str) -> None:
        self._pixels = pixels
        self._what = name
        self._levels = tuple(
            Level(Size(g.shape[1], g.shape[0]), Size(g.chunk[1], g.chunk[0])) for g in pixels.grids
        )

    def __repr__(self) -> str:
        rows, cols = self.shape
        return f"<{self._what}: {rows:,} rows x {cols:,} columns, {self.dtype}>"

    @property
    def dtype(self) -> np.dtype[Any]:
        """Pixel type: bool, or that of the integers that were added."""
        return self._pixels.dtype

    @property
    def levels(self) -> tuple[Level, ...]:
        """Size and chunk size of each level, level 0 first."""
        return self._levels

    @property
    def level_scales(self) -> tuple[tuple[float, float], ...]:
        """How many pixels of level 0 a pixel of each level spans, in x and y."""
        return tuple((float(g.scale), float(g.scale)) for g in self._pixels.grids)

    @property
    def _name(self) -> str:
        return self._what

    def _read(self, level: int, rows: Positions, cols: Positions) -> NDArray[Any]:
        return _read(self._pixels, level, (rows, cols), self._what)

    def __dask_tokenize__(self) -> tuple[object, ...]:
        return self._pixels.token()


class VolumeView:
    """A mask of three axes, or several as one, as a lazy array; made by a collection.

    Axes are (slices, rows, columns). ``mask[10:20, :, 5]`` decodes what it touches, and nothing
    beyond the mask's bounding box.
    """

    ndim = 3

    def __init__(self, pixels: Pixels, name: str) -> None:
        self._pixels = pixels
        self._what = name

    def __repr__(self) -> str:
        z, y, x = self.shape
        return f"<{self._what}: {z:,} slices x {y:,} rows x {x:,} columns, {self.dtype}>"

    @property
    def dtype(self) -> np.dtype[Any]:
        """Pixel type: bool, or that of the integers that were added."""
        return self._pixels.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """(slices, rows, columns)."""
        return self._pixels.grids[0].shape

    @property
    def size(self) -> int:
        """Number of voxels."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that all voxels would take as an array."""
        return self.size * self.dtype.itemsize

    @property
    def scales(self) -> tuple[int, ...]:
        """Every how many voxels along each axis the levels hold one."""
        return tuple(grid.scale for grid in self._pixels.grids)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        """Voxels by NumPy's rules for integers, slices, ``...`` and ``None``."""
        chosen = select(key, self.shape)
        pixels = _read(self._pixels, 0, chosen.ranges, self._what).reshape(chosen.shape)
        return pixels[()] if chosen.is_scalar else pixels

    def region(
        self, start: Sequence[int], shape: Sequence[int], downsample: int = 1
    ) -> NDArray[Any]:
        """Read a box, smaller if wanted.

        Parameters
        ----------
        start, shape : sequence of int
            First voxel and extent: (slices, rows, columns) of full resolution.
        downsample : int
            Every how many voxels along each axis to take one.

        Raises
        ------
        OutsideMaskError
            It reaches beyond the volume.
        """
        begin, extent = ([whole_number(n, "n") for n in some] for some in (start, shape))
        step = whole_number(downsample, "downsample")
        if len(begin) != 3 or len(extent) != 3 or min(extent) < 1 or step < 1:
            raise OptionsError(f"A box of {tuple(extent)} voxels at {tuple(begin)} makes no sense.")
        if any(b < 0 or b + n > m for b, n, m in zip(begin, extent, self.shape, strict=True)):
            raise OutsideMaskError(
                f"The box of {tuple(extent)} voxels at {tuple(begin)} reaches beyond the volume, "
                f"which is {self.shape}."
            )
        level = max(
            (k for k, scale in enumerate(self.scales) if step % scale == 0
             and all(b % scale == 0 for b in begin)), default=0,
        )  # fmt: skip
        scale = self.scales[level]
        where = tuple(
            range(b // scale, -(-(b + n) // scale), step // scale)
            for b, n in zip(begin, extent, strict=True)
        )
        return _read(self._pixels, level, where, self._what)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise OptionsError(f"{self._what} cannot become an array without a copy.")
        n_bytes = self.size * np.dtype(dtype or self.dtype).itemsize
        if n_bytes > MAX_SILENT_BYTES:
            raise OptionsError(
                f"{self._what} would take {n_bytes / 1e9:.1f} GB as an array.",
                hint="Read parts of it, or say mask[:] to have it all.",
            )
        pixels: NDArray[Any] = self[:]
        return pixels if dtype is None else pixels.astype(dtype, copy=False)

    def slice(self, z_px: int) -> PlaneView:
        """One slice as a lazy array of two axes."""
        return PlaneView(SlicePixels(self._pixels, z_px), f"Slice {z_px} of {self._what}")

    def __dask_tokenize__(self) -> tuple[object, ...]:
        return self._pixels.token()


def view_of(pixels: Pixels, name: str) -> PlaneView | VolumeView:
    """A lazy array of two axes or three."""
    if len(pixels.grids[0].shape) == 2:
        return PlaneView(pixels, name)
    return VolumeView(pixels, name)


def _read(pixels: Pixels, level: int, where: tuple[Positions, ...], what: str) -> NDArray[Any]:
    try:
        return pixels.read(level, where)
    except TileError as error:
        message = f"{what} cannot be read. {error.message}"
        raise TileError(message, hint=error.hint, what=error.what) from error
    except MaskError as error:
        raise MaskError(f"{what} cannot be read. {error.message}", hint=error.hint) from error


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
