"""The labels that a viewport shows: one label for each pixel of the picture, and no others read.

A mask with no smaller levels (QuPath writes one level unless told otherwise) gets an overview when
it is first seen as a whole, so that only the first look at it reads every tile.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.geometry import Size
from qpmask.mask import Mask
from qpmask.viewer.viewport import Viewport

_OVERVIEW_PX = 4096  # longest edge of an overview: 16 MB at most for uint8
_MANY_TILES = 600  # a look that needs more tiles than this is worth an overview


@dataclass(frozen=True, eq=False)
class Sample:
    """The labels in a viewport.

    Parameters
    ----------
    labels : ndarray of unsigned int, shape (rows, columns) of the picture
        0 outside the mask.
    inside : tuple of slice
        Rows and columns of the picture that lie in the mask.
    """

    labels: NDArray[Any]
    inside: tuple[slice, slice]

    @property
    def labels_inside(self) -> NDArray[Any]:
        """The labels that are the mask's."""
        return self.labels[self.inside]


class Sampler:
    """Takes the labels of viewports from a mask.

    Parameters
    ----------
    mask : Mask
        An open mask.
    """

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._overview: NDArray[Any] | None = None

    @property
    def size(self) -> Size:
        """Size of level 0."""
        return self._mask.levels[0].size

    def sample(self, viewport: Viewport) -> Sample:
        """The label that each pixel of the picture shows.

        At a whole downsample d the picture is ``mask[y::d, x::d]``: labels are picked, never mixed.

        Raises
        ------
        MaskError
            A tile is missing or does not decode.
        """
        out = viewport.out
        x_px = _positions(viewport.x_px, viewport.downsample, out.width_px)
        y_px = _positions(viewport.y_px, viewport.downsample, out.height_px)
        cols, rows = _within(x_px, self.size.width_px), _within(y_px, self.size.height_px)
        labels = np.zeros((out.height_px, out.width_px), self._mask.dtype)
        x_px, y_px = x_px[cols], y_px[rows]
        if x_px.size and y_px.size:
            labels[rows, cols] = self._read(x_px, y_px, viewport.downsample)
        return Sample(labels, (rows, cols))

    def label_at(self, x_px: int, y_px: int) -> int | None:
        """The label of a pixel of level 0, None outside the mask."""
        if not (0 <= x_px < self.size.width_px and 0 <= y_px < self.size.height_px):
            return None
        return int(self._mask[y_px, x_px])

    # --- behind the scenes --------------------------------------------------------------------

    def _read(
        self, x_px: NDArray[np.int64], y_px: NDArray[np.int64], downsample: float
    ) -> NDArray[Any]:
        """Labels at these columns and rows of level 0, which are evenly spaced."""
        if self._wants_overview(downsample):
            pixels = self._get_overview()
            step = self._overview_step()
            at_y = np.minimum((y_px / step).astype(np.int64), len(pixels) - 1)
            at_x = np.minimum((x_px / step).astype(np.int64), pixels.shape[1] - 1)
            seen: NDArray[Any] = pixels[np.ix_(at_y, at_x)]
            return seen
        x0, y0 = int(x_px[0]), int(y_px[0])
        if downsample < 1:
            width, height = int(x_px[-1]) - x0 + 1, int(y_px[-1]) - y0 + 1
            found = self._mask.region(x0, y0, width, height)
            return found[np.ix_(y_px - y0, x_px - x0)]
        # A length that has just as many samples, or one more, which is dropped.
        width, height = (math.ceil(n * downsample) for n in (len(x_px), len(y_px)))
        found = self._mask.region(x0, y0, width, height, downsample, fill=0)
        return found[: len(y_px), : len(x_px)]

    def _wants_overview(self, downsample: float) -> bool:
        level = self._mask.fitting_level(downsample)
        return (
            level == self._mask.fitting_level(math.inf)
            and self._mask.levels[level].n_tiles > _MANY_TILES
            and downsample >= self._overview_step()
        )

    def _overview_step(self) -> float:
        return max(self.size.width_px, self.size.height_px) / _OVERVIEW_PX

    def _get_overview(self) -> NDArray[Any]:
        if self._overview is None:
            self._overview = self._mask.thumbnail(_OVERVIEW_PX)
        return self._overview


def _positions(start_px: float, downsample: float, n: int) -> NDArray[np.int64]:
    """Which pixel of level 0 each pixel of the picture shows."""
    if downsample >= 1:
        # Whole pixels at the start, as the mask's own regions have them; nobody sees the rest.
        at = math.floor(start_px) + np.floor(np.arange(n) * downsample * (1 + 1e-9))
    else:
        at = np.floor(start_px + (np.arange(n) + 0.5) * downsample)
    return np.asarray(at, np.int64)


def _within(position_px: NDArray[np.int64], size_px: int) -> slice:
    """Which of them lie in the mask."""
    first, last = np.searchsorted(position_px, [0, size_px], side="left")
    return slice(int(first), int(last))
