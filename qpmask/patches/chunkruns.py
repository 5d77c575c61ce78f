"""Rectangles of one label in a mask of a collection, by chunks: what ``classfractions`` counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.collection.flatmask import CollectionMask
from qpmask.ometiff.threads import in_threads

#: Beginning and end along x and along y, and label; each of shape (n,).
Rectangles = tuple[NDArray[np.int64], ...]


def chunk_rectangles(
    mask: CollectionMask, top_px: int, bottom_px: int, threads: int
) -> Iterator[Rectangles]:
    """The rectangles of a mask between two rows, some at a time; they tile what is no background.

    Parameters
    ----------
    mask : CollectionMask
        A flattened collection, or one of its masks.
    top_px, bottom_px : int
        First row, and the one after the last.
    threads : int
        Threads that read and decode.
    """

    def read(place: tuple[range, range]) -> Rectangles:
        rows, cols = place
        pixels = np.asarray(mask[rows.start : rows.stop, cols.start : cols.stop])
        return _rectangles(pixels, cols.start, rows.start)

    blocks = mask.labelled_blocks(range(top_px, bottom_px), range(mask.shape[1]))
    yield from in_threads(read, blocks, threads)


def _rectangles(pixels: NDArray[Any], left_px: int, top_px: int) -> Rectangles:
    """Runs of each row; rows that are like the one above belong to its rectangles."""
    begins = np.ones(len(pixels) + 1, np.bool_)
    begins[1:-1] = (pixels[1:] != pixels[:-1]).any(axis=1)
    first = np.flatnonzero(begins)  # and the one after the last
    rows = pixels[first[:-1]]
    steps = np.ones((rows.shape[0], rows.shape[1] + 1), np.bool_)
    steps[:, 1:-1] = rows[:, 1:] != rows[:, :-1]
    row, edge = np.nonzero(steps)
    runs = np.flatnonzero(edge < rows.shape[1])  # the last edge of a row begins nothing
    label = rows[row[runs], edge[runs]].astype(np.int64)
    runs, label = runs[label != 0], label[label != 0]
    row = row[runs]
    x0, x1 = edge[runs] + left_px, edge[runs + 1] + left_px
    return x0, x1, first[row] + top_px, first[row + 1] + top_px, label
