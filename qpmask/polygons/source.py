"""What is traced: planes of a mask file, or arrays, as rows of tiles in runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from qpmask.common.machine import n_cores
from qpmask.errors import OptionsError, TileError, WrongTypeError
from qpmask.geometry import Size
from qpmask.ometiff import kernels
from qpmask.ometiff.reader import MaskFile
from qpmask.ometiff.runs import RunStrip, joined
from qpmask.ometiff.stripreader import StripReader
from qpmask.ometiff.strips import MIXED, StripShape
from qpmask.ometiff.threads import in_threads
from qpmask.polygons.striptracer import Rings, Tracer

_BLOCK_PX: Final = 4 << 20
_MAX_LABEL: Final = 2**32 - 1

Steps = Callable[[int], None]


class LabelArray(Protocol):
    """An array of labels, of NumPy, Dask, Zarr or another library."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""

    @property
    def dtype(self) -> Any:
        """Type of its numbers."""

    def __getitem__(self, key: Any, /) -> Any:
        """A part of it."""


class Plane(Protocol):
    """Something that can be traced."""

    @property
    def size(self) -> Size:
        """Its size in pixels."""

    def rows(self) -> Iterator[tuple[RunStrip, NDArray[np.int64], int]]:
        """Rows of tiles from the top: their runs, the widths of the tiles, their height."""


class FilePlane:
    """One plane of a mask file, level 0.

    Parameters
    ----------
    file : MaskFile
        The file.
    plane : int
        Which plane.
    """

    def __init__(self, file: MaskFile, plane: int = 0) -> None:
        self._file, self._plane = file, plane
        self._reader = StripReader(file)
        self.size = file.size

    def rows(self) -> Iterator[tuple[RunStrip, NDArray[np.int64], int]]:
        """Rows of tiles, read by threads a few rows ahead."""
        grid = self._reader.grids[0]
        width = grid.tile.width_px
        widths = np.full(grid.n_cols, width, np.int64)
        widths[-1] = self.size.width_px - width * (grid.n_cols - 1)
        for row, runs in enumerate(in_threads(self._row, range(grid.n_rows), _threads())):
            yield runs, widths, grid.shape(row, 0).height

    def _row(self, row: int) -> RunStrip:
        parts = []
        for number in range(self._reader.grids[0].n_strips):
            known = self._reader.known(0, self._plane, row, number)
            read = known or self._reader.read(0, self._plane, row, number)
            for k, what in read.errors.items():
                col = number * self._reader.grids[0].tiles_per_strip + k
                where = f"{self._file.path}: the tile in row {row}, column {col}"
                raise TileError(f"{where} cannot be read: {what}.", what=what)
            parts.append(read.tiles.runs)
        return joined(parts)


class ArrayPlane:
    """An array of labels of two dimensions: of NumPy, Dask, Zarr, or any that can be sliced.

    Parameters
    ----------
    array : array-like, shape (height, width)
        Whole numbers from 0 to 4,294,967,295, or truth values.

    Raises
    ------
    WrongTypeError
        It is no such array.
    """

    def __init__(self, array: LabelArray) -> None:
        shape, dtype = getattr(array, "shape", None), getattr(array, "dtype", None)
        if shape is None or dtype is None or len(shape) != 2:
            raise WrongTypeError(
                f"A mask is an array of rows and columns, not {_shown(array)}.",
                hint="Trace the planes of a larger array one by one.",
            )
        if np.dtype(dtype).kind not in "uib":
            raise WrongTypeError(
                f"A mask holds whole numbers, and this array is of {dtype}.",
                hint="Convert it: array.astype('uint8').",
            )
        if not (0 < shape[0] < 2**31 and 0 < shape[1] < 2**31):
            raise OptionsError(f"An array of shape {tuple(shape)} has no pixels to trace.")
        self._array = array
        self.size = Size(int(shape[1]), int(shape[0]))

    def rows(self) -> Iterator[tuple[RunStrip, NDArray[np.int64], int]]:
        """Blocks of whole rows, made runs by threads a few blocks ahead."""
        width = np.array([self.size.width_px], np.int64)
        blocks = list(self._blocks())
        made = in_threads(self._runs, blocks, _threads())
        for (first, end), runs in zip(blocks, made, strict=True):
            yield runs, width, end - first

    def _blocks(self) -> Iterator[tuple[int, int]]:
        """Rows that are taken at once: of an array in chunks, whole chunks."""
        height = self.size.height_px
        n_rows = max(1, _BLOCK_PX // self.size.width_px)
        chunks = getattr(self._array, "chunks", None)
        if chunks:
            of_rows = chunks[0]  # of Dask a size for each, of Zarr one for all
            sizes = of_rows if isinstance(of_rows, tuple) else [of_rows] * -(-height // of_rows)
            ends = np.minimum(np.cumsum(sizes), height).tolist()
            yield from pairwise([0, *ends])
            return
        for first in range(0, height, n_rows):
            yield first, min(height, first + n_rows)

    def _runs(self, rows: tuple[int, int]) -> RunStrip:
        block = np.asarray(self._array[rows[0] : rows[1]])
        height, width = block.shape
        pixels = _labels(block).ravel()
        per_word = 8 // pixels.itemsize
        if pixels.size % per_word or not pixels.flags.aligned or pixels.ctypes.data % 8:
            padded = np.empty(-(-pixels.size // per_word) * per_word, pixels.dtype)
            padded[: pixels.size] = pixels
            pixels = padded
        shape = StripShape(1, width, height, width, height)
        return kernels.runs_of(pixels[None], np.array([MIXED], np.int64), shape)


def _labels(block: NDArray[Any]) -> NDArray[Any]:
    """An array as unsigned numbers of 32 bits at most, in the machine's byte order."""
    if block.dtype.kind == "b":
        return np.ascontiguousarray(block).view(np.uint8)
    if block.dtype.kind == "i" or block.dtype.itemsize > 4:
        low, high = int(block.min(initial=0)), int(block.max(initial=0))
        if low < 0 or high > _MAX_LABEL:
            raise OptionsError(
                f"A label is {low if low < 0 else high}; labels are 0 to {_MAX_LABEL:,}."
            )
    bits = min(32, 8 * block.dtype.itemsize)
    return np.ascontiguousarray(block, dtype=f"u{bits // 8}")


def traced(
    plane: Plane, labels: NDArray[np.uint32] | None = None, steps: Steps = lambda n: None
) -> Rings:
    """Trace a plane.

    Parameters
    ----------
    plane : Plane
        What.
    labels : ndarray of uint32, optional
        The labels that count, sorted; all but 0 by default.
    steps : callable
        Told how many rows of pixels are done.
    """
    tracer = Tracer(plane.size.width_px)
    done = 0
    for runs, widths, height in plane.rows():
        tracer.add(runs if labels is None else _only(runs, labels), widths, height)
        done += height
        steps(done)
    return tracer.finish()


def _only(runs: RunStrip, labels: NDArray[np.uint32]) -> RunStrip:
    """The runs with all other labels turned to background."""
    at = np.minimum(np.searchsorted(labels, runs.values), len(labels) - 1)
    return runs._replace(values=np.where(labels[at] == runs.values, runs.values, np.uint32(0)))


def _threads() -> int:
    return min(4, n_cores())


def _shown(value: object) -> str:
    shape = getattr(value, "shape", None)
    return type(value).__name__ if shape is None else f"one of shape {tuple(shape)}"
