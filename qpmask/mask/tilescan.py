"""Passes over all tiles of a mask: how many pixels of which label, and where they are.

Tiles that share their bytes are decoded once, tiles that are known to hold one label not at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.mask.binarymask import is_one_of
from qpmask.ometiff.labelcount import count_labels
from qpmask.ometiff.reader import MaskFile
from qpmask.ometiff.regions import cut_axis
from qpmask.ometiff.threads import in_threads


@dataclass(frozen=True)
class ClassArea:
    """How much of a mask has one label.

    Parameters
    ----------
    label : int
        The label.
    name : str
        Name of its class, "(background)" for label 0, "label 7 (no class)" if it has none.
    n_pixels : int
        Pixels of level 0.
    area_mm2 : float, optional
        Their area, where the pixel size is known.
    """

    label: int
    name: str
    n_pixels: int
    area_mm2: float | None


@dataclass(frozen=True, eq=False)
class MaskTile:
    """One tile of level 0.

    Parameters
    ----------
    x_px, y_px : int
        Its left column and upper row, in pixels of level 0.
    pixels : ndarray, shape (rows, columns)
        Its labels, cropped to the mask; the receiver's own.
    """

    x_px: int
    y_px: int
    pixels: NDArray[Any]


def count_all(
    file: MaskFile, plane: int, expected: tuple[int, ...], threads: int
) -> Iterator[dict[int, int]]:
    """Pixels by label of each distinct tile of level 0, times its occurrences.

    Parameters
    ----------
    file : MaskFile
        The file.
    plane : int
        Which plane.
    expected : tuple of int
        Labels that are likely, which makes counting faster.
    threads : int
        Threads that decode and count.
    """
    level = file.levels[0]
    first, which = file.distinct_tiles(0, plane)
    n_times = np.bincount(which, minlength=len(first)).tolist()

    def count(job: tuple[int, int]) -> dict[int, int]:
        index, times = job
        row, col = divmod(index, level.n_cols)
        pixels = file.shared_tile(0, plane, row, col)
        if isinstance(pixels, int):
            height, width = level.shape(row, col)
            return {pixels: height * width * times}
        return {label: n * times for label, n in count_labels(pixels, expected).items()}

    yield from in_threads(count, zip(first.tolist(), n_times, strict=True), threads)


def count_region(
    file: MaskFile, plane: int, expected: tuple[int, ...], rows: range, cols: range
) -> Iterator[dict[int, int]]:
    """Pixels by label of each tile's share of a region of level 0."""
    tile = file.levels[0].tile
    for y in cut_axis(rows, tile.height_px):
        for x in cut_axis(cols, tile.width_px):
            pixels = file.shared_tile(0, plane, y.tile, x.tile)
            if isinstance(pixels, int):
                yield {pixels: (y.out.stop - y.out.start) * (x.out.stop - x.out.start)}
            else:
                yield count_labels(pixels[y.inside, x.inside], expected)


def find_tiles(
    file: MaskFile, plane: int, labels: tuple[int, ...], threads: int
) -> Iterator[MaskTile]:
    """Tiles of level 0 that hold any of these labels, row by row."""
    level = file.levels[0]
    _, which = file.distinct_tiles(0, plane)
    # Distinct tiles that were looked at and have none of the labels. Threads only ever add.
    lacking: set[int] = set()

    def look(index: int) -> MaskTile | None:
        row, col = divmod(index, level.n_cols)
        pixels = file.shared_tile(0, plane, row, col)
        if isinstance(pixels, int):
            found = pixels in labels
            own = np.full(level.shape(row, col), pixels, file.dtype) if found else None
        else:
            found = bool(is_one_of(pixels, labels).any())
            own = np.array(pixels, order="C") if found else None
        if own is None:
            lacking.add(int(which[index]))
            return None
        return MaskTile(col * level.tile.width_px, row * level.tile.height_px, own)

    candidates = (i for i, distinct in enumerate(which.tolist()) if distinct not in lacking)
    for tile in in_threads(look, candidates, threads):
        if tile is not None:
            yield tile
