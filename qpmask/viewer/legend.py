"""Which classes are shown, in which colour, and how much of the picture each takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.ometiff.omexml import ClassRow, Color
from qpmask.viewer.palette import label_color

BACKGROUND_NAME = "(background)"

_COUNTED_LABELS = 1 << 20
_ROWS = 256


@dataclass(frozen=True)
class LegendRow:
    """One label of a picture.

    Parameters
    ----------
    label : int
        The label.
    name : str
        Its class, or ``label 3`` where the mask does not say.
    color : tuple of int, optional
        Red, green, blue; None for the background.
    share : float
        Part of the pixels shown, 0 to 1. Pixels outside the mask do not count.
    """

    label: int
    name: str
    color: Color | None
    share: float

    @property
    def percent(self) -> str:
        """The share as people read it: ``12.3 %``, ``< 0.1 %``."""
        percent = 100 * self.share
        if percent < 0.1:
            return "< 0.1 %"
        # Nothing that leaves room for another class may read 100.
        if 99.9 < percent < 100:
            return "> 99.9 %"
        return f"{percent:.1f} %"


def name_of(label: int, classes: Mapping[int, ClassRow]) -> str:
    """Name of a label for people."""
    row = classes.get(label)
    if row is not None and row.name:
        return row.name
    return BACKGROUND_NAME if label == 0 else f"label {label}"


def legend_of(labels: NDArray[Any], classes: Mapping[int, ClassRow]) -> tuple[LegendRow, ...]:
    """The legend of a picture: every label in it, in the order of the labels, background last.

    Parameters
    ----------
    labels : ndarray of unsigned int
        All pixels that show the mask.
    classes : mapping of int to ClassRow
        The class table, by label.
    """
    if labels.size == 0:
        return ()
    largest = int(labels.max())
    if largest < _COUNTED_LABELS:
        counts = np.zeros(largest + 1, np.int64)
        for row in range(0, len(labels), _ROWS):  # bincount makes eight bytes of each label
            counts += np.bincount(labels[row : row + _ROWS].ravel(), minlength=largest + 1)
        found = np.flatnonzero(counts)
        numbers = counts[found]
    else:
        found, numbers = np.unique(labels, return_counts=True)
    rows = [
        LegendRow(label, name_of(label, classes), label_color(label, classes), n / labels.size)
        for label, n in zip(found.tolist(), numbers.tolist(), strict=True)
    ]
    return tuple(sorted(rows, key=lambda row: (row.label == 0, row.label)))


def fitting(
    rows: tuple[LegendRow, ...], n_rows: int
) -> tuple[tuple[LegendRow, ...], tuple[LegendRow, ...]]:
    """The rows with the largest shares that fit, in their order, and those left out."""
    if len(rows) <= n_rows:
        return rows, ()
    largest = sorted(range(len(rows)), key=lambda i: -rows[i].share)[: max(0, n_rows)]
    kept = set(largest)
    return (
        tuple(row for i, row in enumerate(rows) if i in kept),
        tuple(row for i, row in enumerate(rows) if i not in kept),
    )
