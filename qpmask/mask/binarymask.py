"""Where a class is: a mask seen as true and false, still lazy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.mask.lazypixels import LazyPixels
from qpmask.ometiff.directories import Level
from qpmask.ometiff.regions import Positions


class BinaryMask(LazyPixels):
    """True where a mask has one of some labels. Made by :meth:`qpmask.mask.Mask.binary`.

    Indexing, :meth:`region` and :meth:`thumbnail` are the mask's, and give booleans.

    Parameters
    ----------
    mask : LazyPixels
        The labels.
    labels : tuple of int
        Those that count as true.
    """

    def __init__(self, mask: LazyPixels, labels: tuple[int, ...]) -> None:
        self._mask = mask
        self.labels = labels

    def __repr__(self) -> str:
        return f"<BinaryMask of the labels {list(self.labels)} in {self._mask!r}>"

    @property
    def mask(self) -> LazyPixels:
        """The mask that it looks at."""
        return self._mask

    @property
    def dtype(self) -> np.dtype[Any]:
        """Pixel type: bool."""
        return np.dtype(np.bool_)

    @property
    def levels(self) -> tuple[Level, ...]:
        """The mask's levels."""
        return self._mask.levels

    @property
    def _name(self) -> str:
        return self._mask._name

    def fitting_level(self, downsample: float) -> int:
        """The level that :meth:`region` reads at a downsample."""
        return self._mask.fitting_level(downsample)

    def _read(self, level: int, rows: Positions, cols: Positions) -> NDArray[Any]:
        return is_one_of(self._mask._read(level, rows, cols), self.labels)

    def __dask_tokenize__(self) -> tuple[object, ...]:
        return (*self._mask.__dask_tokenize__(), self.labels)


def is_one_of(pixels: NDArray[Any], labels: tuple[int, ...]) -> NDArray[np.bool_]:
    """Where pixels have one of these labels."""
    if len(labels) <= 3:  # as fast as a table for so few, and without one
        found = np.zeros(pixels.shape, np.bool_)
        for label in labels:
            found |= pixels == label
        return found
    if pixels.dtype.itemsize > 2:
        return np.isin(pixels, labels)
    table = np.zeros(2 ** (8 * pixels.dtype.itemsize), np.bool_)
    table[list(labels)] = True
    found = table[pixels]
    return np.asarray(found, np.bool_)
