"""How many pixels of a mask have a label in any of its channels, whose classes may overlap."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from qpmask.ometiff.reader import MaskFile
from qpmask.ometiff.runs import RunStrip
from qpmask.ometiff.stripreader import StripReader
from qpmask.ometiff.strips import StripShape
from qpmask.ometiff.threads import in_threads


def count_labelled(path: Path | str, n_channels: int, threads: int = 2) -> int:
    """Count the pixels of level 0 that have a label in any channel.

    Parameters
    ----------
    path : Path or str
        A mask whose tiles are sound.
    n_channels : int
        Planes that lie upon one another: plane ``c + n_channels * k`` is channel c of pixels that
        are counted once.
    threads : int
        Threads that read.

    Returns
    -------
    int
        Of all slices and time points together.
    """
    with MaskFile(path) as mask:
        reader = StripReader(mask)
        grid = reader.grids[0]
        places = [
            (first, row, number)
            for first in range(0, mask.n_planes, n_channels)
            for row in range(grid.n_rows)
            for number in range(grid.n_strips)
        ]

        def count(place: tuple[int, int, int]) -> int:
            first, row, number = place
            strips = [reader.read(0, first + c, row, number).tiles.runs for c in range(n_channels)]
            return covered(strips, grid.shape(row, number))

        return sum(in_threads(count, places, threads))


def covered(strips: Sequence[RunStrip], shape: StripShape) -> int:
    """Pixels that have a label in any of some strips of the same place."""
    areas = shape.areas()
    before = np.cumsum(areas) - areas
    ends_by_strip = [runs.ends + np.repeat(before, np.diff(runs.start)) for runs in strips]
    ends = np.unique(np.concatenate(ends_by_strip))
    has_label = np.zeros(len(ends), np.bool_)
    for runs, own_ends in zip(strips, ends_by_strip, strict=True):
        has_label |= runs.values[np.searchsorted(own_ends, ends)] != 0
    return int(np.diff(ends, prepend=0)[has_label].sum())
