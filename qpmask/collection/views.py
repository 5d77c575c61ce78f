"""Masks of a collection as lazy arrays, planes and volumes: the ways of an array.

What is read comes from a :class:`.pixels.Pixels`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.collection.pixels import Pixels, SlicePixels
from qpmask.common.arguments import whole_number
from qpmask.errors import MaskError, OptionsError, OutsideMaskError, TileError
from qpmask.geometry import Size
from qpmask.mask.indexing import select
from qpmask.mask.lazypixels import MAX_SILENT_BYTES, LazyPixels
from qpmask.ometiff.directories import Level
from qpmask.ometiff.regions import Positions

Origin = Callable[[], tuple[Any, ...]]
"""Gives what makes a view again in another process, and its arguments, as pickle takes them."""


class _Remade:
    """A view is pickled as what makes it again."""

    _origin: Origin | None
    _what: str

    def __reduce__(self) -> tuple[Any, ...]:
        if self._origin is None:
            raise OptionsError(f"{self!r} cannot be pickled; pickle its collection.")
        try:
            return self._origin()
        except MaskError as error:
            raise named_error(self._what, error) from error


class PlaneView(_Remade, LazyPixels):
    """A mask of two axes, or several as one, as a lazy array; made by a collection.

    Indexing, :meth:`region`, :meth:`thumbnail` are those of :func:`qpmask.open_mask`.
    """

    def __init__(self, pixels: Pixels, name: str, origin: Origin | None = None) -> None:
        self._pixels = pixels
        self._what = name
        self._origin = origin
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


class VolumeView(_Remade):
    """A mask of three axes, or several as one, as a lazy array; made by a collection.

    Axes are (slices, rows, columns). ``mask[10:20, :, 5]`` decodes what it touches, and nothing
    beyond the mask's bounding box.
    """

    ndim = 3

    def __init__(self, pixels: Pixels, name: str, origin: Origin | None = None) -> None:
        self._pixels = pixels
        self._what = name
        self._origin = origin

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
        name = f"Slice {z_px} of {self._what}"
        origin: Origin = lambda: (VolumeView.slice, (self, z_px))  # noqa: E731
        return PlaneView(SlicePixels(self._pixels, z_px), name, origin)

    def __dask_tokenize__(self) -> tuple[object, ...]:
        return self._pixels.token()


def view_of(pixels: Pixels, name: str, origin: Origin | None = None) -> PlaneView | VolumeView:
    """A lazy array of two axes or three."""
    is_plane = len(pixels.grids[0].shape) == 2
    return (PlaneView if is_plane else VolumeView)(pixels, name, origin)


def _read(pixels: Pixels, level: int, where: tuple[Positions, ...], what: str) -> NDArray[Any]:
    try:
        return pixels.read(level, where)
    except MaskError as error:
        raise named_error(what, error) from error


def named_error(what: str, error: MaskError) -> MaskError:
    """An error that says which mask cannot be read."""
    message = f"{what} cannot be read. {error.message}"
    if isinstance(error, TileError):
        return TileError(message, hint=error.hint, what=error.what)
    return MaskError(message, hint=error.hint)
