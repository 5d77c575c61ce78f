"""Which level of a pyramid suits a downsample, and which of its pixels stand for which.

The rule of our own pyramids, used for all: pixel (x, y) of a level of scale s is pixel
(x * s, y * s) of level 0. A downsampled region takes every d-th pixel, the first one included.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from qpmask.ometiff.regions import Positions, as_range

# 4 / 1.15 * 1.15 and the like must not fall below the whole number that they are.
_ROUNDING = 1e-9


def fitting_level(scales: Sequence[tuple[float, float]], downsample: float) -> int:
    """The smallest level that still has a pixel for each pixel wanted."""
    fits = [i for i, s in enumerate(scales) if max(s) <= downsample * (1 + _ROUNDING)]
    return max(fits, key=lambda i: max(scales[i])) if fits else 0


def n_samples(length_px: int, downsample: float) -> int:
    """Number of pixels that a length has at a downsample: rounded up, as in ``[::downsample]``."""
    return max(1, math.ceil(length_px / downsample * (1 - _ROUNDING)))


def sampled(
    start_px: int, length_px: int, downsample: float, scale: float, limit_px: int, level_px: int
) -> tuple[slice, Positions]:
    """Pixels of a level that a downsampled stretch takes.

    Parameters
    ----------
    start_px, length_px : int
        The stretch, in pixels of level 0; it may reach beyond the image.
    downsample : float
        Every how many pixels of level 0, at least 1.
    scale : float
        Scale of the level.
    limit_px, level_px : int
        Length of level 0 and of the level.

    Returns
    -------
    inside : slice
        Which of the samples lie inside the image; the others lie before or behind it.
    positions : range or ndarray of int64
        Where those are, in pixels of the level.
    """
    if downsample == scale == 1:
        found = range(max(0, start_px), min(limit_px, start_px + length_px))
        return slice(found.start - start_px, found.start - start_px + len(found)), found
    n = n_samples(length_px, downsample)
    steps = np.floor(np.arange(n) * downsample * (1 + _ROUNDING)).astype(np.int64)
    at_px0 = start_px + np.minimum(steps, length_px - 1)
    first, behind = np.searchsorted(at_px0, (0, limit_px)).tolist()
    inside = at_px0[first:behind]
    at_px = inside // int(scale) if scale == int(scale) else (inside / scale).astype(np.int64)
    return slice(first, behind), as_range(np.minimum(at_px, level_px - 1))
