"""Pixels that are read when they are asked for: what a mask and its boolean views share.

The frame of all positions is that of the mask: x to the right, y down, in pixels of level 0.
Arrays are (rows, columns).
"""

from __future__ import annotations

import abc
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.common.arguments import whole_number
from qpmask.errors import OptionsError, OutsideMaskError
from qpmask.geometry import Size
from qpmask.geometry.pyramids import level_scales
from qpmask.mask.indexing import select
from qpmask.mask.levelchoice import fitting_level, n_samples, sampled
from qpmask.ometiff.directories import Level
from qpmask.ometiff.regions import Positions

MAX_SILENT_BYTES = 2**30
"""Largest array that ``np.asarray`` makes of a mask."""

_FARTHEST_PX = 2**40  # beyond any image, and far from overflow


class LazyPixels(abc.ABC):
    """An array of two axes whose pixels stay in the file until they are asked for."""

    # What a child must give.

    @property
    @abc.abstractmethod
    def dtype(self) -> np.dtype[Any]:
        """Pixel type."""

    @property
    @abc.abstractmethod
    def levels(self) -> tuple[Level, ...]:
        """Size (``size``) and tile size (``tile``) of each level, level 0 first."""

    @abc.abstractmethod
    def _read(self, level: int, rows: Positions, cols: Positions) -> NDArray[Any]:
        """Pixels at these rows and columns of a level, in an array of the caller's own."""

    @property
    @abc.abstractmethod
    def _name(self) -> str:
        """What messages call it."""

    @abc.abstractmethod
    def __dask_tokenize__(self) -> tuple[object, ...]:
        """What tells Dask whether two are the same."""

    # What it gives in turn.

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of level 0."""
        size = self.levels[0].size
        return size.height_px, size.width_px

    @property
    def ndim(self) -> int:
        """Number of axes: 2."""
        return 2

    @property
    def size(self) -> int:
        """Number of pixels of level 0."""
        return self.levels[0].size.area_px

    @property
    def nbytes(self) -> int:
        """Bytes that all pixels of level 0 would take as an array."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def level_scales(self) -> tuple[tuple[float, float], ...]:
        """How many pixels of level 0 a pixel of each level spans, in x and y."""
        return level_scales(
            [level.size for level in self.levels], [level.tile for level in self.levels]
        )

    def fitting_level(self, downsample: float) -> int:
        """The level that :meth:`region` reads at a downsample."""
        return fitting_level(self.level_scales, downsample)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (int, float, np.generic, np.ndarray, list)):
            return self is other
        raise TypeError(
            f"{self._name} is not compared pixel by pixel as a whole. Use mask[...] == label for a "
            "part, or mask.binary(label)."
        )

    __hash__ = object.__hash__

    def __contains__(self, label: object) -> bool:
        raise TypeError(f"Use mask.present() for the labels of {self._name}.")

    def __getitem__(self, key: Any) -> Any:
        """Pixels of level 0 by NumPy's rules for integers, slices, ``...`` and ``None``.

        Reads and decodes the tiles that hold selected pixels, and no others.

        Returns
        -------
        ndarray or scalar
            As NumPy would give; an array is the caller's own.

        Raises
        ------
        OutsideMaskError
            If an integer lies outside (also an ``IndexError``). Slices are cropped.
        OptionsError
            If the index is no basic one, such as a list or an array.
        MaskError
            If a tile is missing or damaged, or the mask is closed.
        """
        chosen = select(key, self.shape)
        pixels = self._read(0, *chosen.ranges).reshape(chosen.shape)
        return pixels[()] if chosen.is_scalar else pixels

    def region(
        self,
        x_px: int,
        y_px: int,
        width_px: int,
        height_px: int,
        downsample: float = 1.0,
        *,
        fill: int | None = None,
    ) -> NDArray[Any]:
        """Read a region, smaller if wanted, from the level that fits.

        Parameters
        ----------
        x_px, y_px : int
            Its left column and its upper row, in pixels of level 0.
        width_px, height_px : int
            Its extent in pixels of level 0.
        downsample : float
            Every how many pixels to take one, at least 1. Labels are picked, never averaged.
        fill : int, optional
            Label of pixels beyond the mask. Without it, a region that reaches beyond is an error.

        Returns
        -------
        ndarray of `dtype`
            Of shape (ceil(height_px / downsample), ceil(width_px / downsample)), the caller's own.
            For a whole number d it is what ``mask[y:y+h:d, x:x+w:d]`` gives, exactly so for masks
            of ours where x and y are multiples of d and d is a power of two; else a pixel may come
            from a place less than one of its widths further up or left.

        Raises
        ------
        OutsideMaskError
            If it reaches beyond the mask and there is no `fill`.
        OptionsError
            If a number makes no sense.
        MaskError
            If a tile is missing or damaged, or the mask is closed.
        """
        x_px, y_px = whole_number(x_px, "x_px"), whole_number(y_px, "y_px")
        width_px, height_px = (
            whole_number(width_px, "width_px"),
            whole_number(height_px, "height_px"),
        )
        label = None if fill is None else self._checked_fill(fill)
        self._check_region(x_px, y_px, width_px, height_px, is_filled=fill is not None)
        downsample = _downsample(downsample)
        base = self.levels[0].size
        level = self.fitting_level(downsample)
        scale_x, scale_y = self.level_scales[level]
        size = self.levels[level].size
        inside_x, cols = sampled(x_px, width_px, downsample, scale_x, base.width_px, size.width_px)
        inside_y, rows = sampled(
            y_px, height_px, downsample, scale_y, base.height_px, size.height_px
        )
        found = self._read(level, rows, cols)
        if fill is None:
            return found
        shape = n_samples(height_px, downsample), n_samples(width_px, downsample)
        if found.shape == shape:
            return found
        out = np.full(shape, label, self.dtype)
        out[inside_y, inside_x] = found
        return out

    def thumbnail(self, max_px: int = 1024) -> NDArray[Any]:
        """The whole mask, reduced until its longer side has at most this many pixels.

        Parameters
        ----------
        max_px : int
            Length of the longer side. A mask that is smaller comes in its own size.

        Returns
        -------
        ndarray of `dtype`
            Labels picked as in :meth:`region`.
        """
        max_px = whole_number(max_px, "max_px")
        if max_px < 1:
            raise OptionsError(f"A thumbnail cannot be {max_px} pixels large.")
        height_px, width_px = self.shape
        downsample = max(1.0, max(height_px, width_px) / max_px)
        return self.region(0, 0, width_px, height_px, downsample)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise OptionsError(
                f"{self._name} cannot become an array without a copy: its pixels are in a file."
            )
        n_bytes = self.size * np.dtype(dtype or self.dtype).itemsize
        if n_bytes > MAX_SILENT_BYTES:
            raise OptionsError(
                f"{self._name} would take {n_bytes / 1e9:.1f} GB as an array; this is done "
                f"without asking up to {MAX_SILENT_BYTES / 1e9:.1f} GB.",
                hint="Read parts with mask[y0:y1, x0:x1] or mask.region(...), work with "
                "dask.array.from_array(mask) or mask.aszarr(), or say mask[:] to have it all.",
            )
        pixels: NDArray[Any] = self[:]
        return pixels if dtype is None else pixels.astype(dtype, copy=False)

    def _check_region(
        self,
        x_px: int,
        y_px: int,
        width_px: int,
        height_px: int,
        *,
        is_filled: bool,
        can_fill: bool = True,
    ) -> None:
        what = (
            f"The region at x {x_px}, y {y_px} of {width_px} x {height_px} pixels (width x height)"
        )
        if width_px < 1 or height_px < 1:
            raise OptionsError(f"{what} is empty.", hint="Give a width and a height of at least 1.")
        if max(abs(x_px), abs(y_px), width_px, height_px) > _FARTHEST_PX:
            raise OptionsError(f"{what} makes no sense.")
        rows, cols = self.shape
        if not is_filled and (
            min(x_px, y_px) < 0 or x_px + width_px > cols or y_px + height_px > rows
        ):
            name = self._name[:1].lower() + self._name[1:]
            raise OutsideMaskError(
                f"{what} reaches beyond {name}, which is {Size(cols, rows)} pixels.",
                hint="Give fill=0 (or another label) to have the rest filled with it."
                if can_fill
                else "Crop it to the mask.",
            )

    def _checked_fill(self, fill: int) -> Any:
        try:
            if np.can_cast(np.min_scalar_type(fill), self.dtype):
                return fill
            if self.dtype == np.bool_ and fill in (0, 1):
                return bool(fill)
        except (TypeError, ValueError):
            pass
        raise OptionsError(f"fill={fill!r} is no value that a pixel of type {self.dtype} can have.")


def _downsample(value: Any) -> float:
    try:
        downsample = float(value)
        if 1 <= downsample <= _FARTHEST_PX:
            return downsample
    except (TypeError, ValueError):
        pass
    raise OptionsError(
        f"A region cannot be read at a downsample of {value!r}.",
        hint="Give a number of at least 1.",
    )
