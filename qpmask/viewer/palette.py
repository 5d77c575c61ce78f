"""Colours for labels: a mask's own, else a palette that colour-blind people can tell apart.

Labels 1 to 7 have the colours of Okabe and Ito (2008, https://jfly.uni-koeln.de/color/) without
black, which looks like a hole in a slide. Labels 8 to 32 have an extension, picked one after the
other: of a grid over sRGB with a lightness of 25 to 85 the colour whose least distance (CIEDE2000)
from white, black and all before it is largest, where the distance of two colours is the least of
those seen with normal vision, protanopia and deuteranopia (Machado, Oliveira and Fernandes 2009,
severity 1): at least 11.6 for 7 labels, 9.3 for 24, 7.6 for 32.
Further labels take the same 32 colours again. ``tests/viewer/viewer_colors.py`` holds the formulas.

The colour of a label depends on the label alone, so it is the same in every mask. Label 0 is the
background and transparent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.ometiff.omexml import ClassRow, Color

OKABE_ITO: tuple[Color, ...] = (
    (230, 159, 0),  # orange
    (86, 180, 233),  # sky blue
    (0, 158, 115),  # bluish green
    (240, 228, 66),  # yellow
    (0, 114, 178),  # blue
    (213, 94, 0),  # vermilion
    (204, 121, 167),  # reddish purple
)
EXTENSION: tuple[Color, ...] = (
    (150, 0, 0), (75, 90, 90), (0, 225, 165), (30, 60, 105),
    (30, 15, 210), (90, 105, 75), (165, 210, 225), (60, 135, 255),
    (120, 15, 45), (105, 120, 120), (180, 60, 0), (75, 90, 120),
    (180, 180, 180), (210, 165, 105), (60, 60, 75), (60, 150, 60),
    (105, 30, 255), (195, 15, 150), (30, 75, 60), (225, 120, 135),
    (225, 210, 120), (150, 210, 255), (90, 180, 195), (210, 210, 210),
    (45, 135, 195),
)  # fmt: skip
PALETTE: tuple[Color, ...] = OKABE_ITO + EXTENSION

_TABLE_LABELS = 1 << 20  # a table of colours up to this label takes 4 MB


def palette_color(label: int) -> Color:
    """Colour of a label for which a mask has none.

    Parameters
    ----------
    label : int
        1 or more.
    """
    return PALETTE[(label - 1) % len(PALETTE)]


def label_color(label: int, classes: Mapping[int, ClassRow]) -> Color | None:
    """Colour of a label: the mask's own, else the palette's; None for the background."""
    if label == 0:
        return None
    row = classes.get(label)
    return palette_color(label) if row is None or row.color is None else row.color


class Painter:
    """Turns labels into colours.

    Parameters
    ----------
    classes : mapping of int to ClassRow
        The class table, by label; colours that it lacks come from the palette.
    """

    def __init__(self, classes: Mapping[int, ClassRow]) -> None:
        self._classes = classes
        self._table: NDArray[np.uint8] = np.zeros((1, 4), np.uint8)

    def paint(self, labels: NDArray[Any]) -> NDArray[np.uint8]:
        """Red, green, blue and opacity (0 for the background, else 255) of each label.

        Parameters
        ----------
        labels : ndarray of unsigned int, shape (rows, columns)

        Returns
        -------
        ndarray of uint8, shape (rows, columns, 4)
        """
        largest = int(labels.max(initial=0))
        if largest < _TABLE_LABELS:
            if largest >= len(self._table):
                self._table = self._colors(np.arange(largest + 1))
            painted: NDArray[np.uint8] = self._table[labels]
            return painted
        found, places = np.unique(labels, return_inverse=True)
        return self._colors(found)[places.reshape(labels.shape)]

    def _colors(self, labels: NDArray[Any]) -> NDArray[np.uint8]:
        palette = np.array(PALETTE, np.uint8)
        colors = np.empty((len(labels), 4), np.uint8)
        colors[:, :3] = palette[(labels.astype(np.int64) - 1) % len(palette)]
        colors[:, 3] = 255
        own = [i for i, label in enumerate(labels.tolist()) if label in self._classes]
        for i in own:
            color = label_color(int(labels[i]), self._classes)
            if color is not None:
                colors[i, :3] = color
        colors[labels == 0] = 0
        return colors
