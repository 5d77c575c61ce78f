"""Which objects leave a pixel: what a rendering saw while it drew, and what covers the rest.

The kernels note of each shape whether it has a pixel, and whether one of these has its label when
all is drawn (:meth:`.Plane.found`). What covers those without one is looked up afterwards, in
the strips where they lie. How much of a class is covered is counted only where the areas of its
objects leave it open whether that is more than half.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from qpmask.common.ragged import items_at
from qpmask.engines.base import CoveredShare, Sight
from qpmask.engines.draworder import Drawn, areas
from qpmask.engines.native.plane import Plane
from qpmask.geometry import Size
from qpmask.imageobjects import Rois
from qpmask.ometiff.runs import TileRuns

_MOST_AT_ONCE = 65535
_MOST_ROUNDS = 64
_STEPS_PER_PX2 = 2e4  # of qpmask.engines.draworder.areas

DrawPlane = Callable[[Drawn, int], Plane]
"""How a plane of some objects is drawn; the number is that of the plane."""


class Watcher:
    """Collects what is seen, plane by plane.

    Parameters
    ----------
    rois : Rois
    drawn : Drawn
        What the job draws.
    classes : ndarray of int32 or None
        Of an instance mask the class of each of these objects, whose shares are looked at.
    draw : callable
        Draws other planes on the same tiles.
    draw_mask : callable
        Draws a plane of the mask once more, by its number.
    """

    def __init__(
        self,
        rois: Rois,
        drawn: Drawn,
        classes: NDArray[np.int32] | None,
        draw: DrawPlane,
        draw_mask: Callable[[int], Plane],
    ) -> None:
        self._rois = rois
        self._drawn = drawn
        self._group = drawn.label if classes is None else classes
        self._draw = draw
        self._draw_mask = draw_mask
        self._has_pixel = np.zeros(len(drawn.row), np.bool_)
        self._left = np.zeros(len(drawn.row), np.bool_)
        self._covered_by: dict[int, tuple[int, ...]] = {}
        self._plane = np.full(len(drawn.row), -1, np.int32)
        self._sides_px = np.zeros((len(drawn.row), 2))

    @cached_property
    def _by_row(self) -> NDArray[np.int64]:
        return np.argsort(self._drawn.row)  # after the first plane: memory is short beside it

    def plane_done(self, plane: Plane, number: int) -> None:
        """Take what was found in a plane whose tiles were all drawn."""
        source, has_pixel, left, sides_px = plane.found()
        at = self._by_row[np.searchsorted(self._drawn.row[self._by_row], source)]
        self._has_pixel[at] = has_pixel
        self._left[at] = left
        self._plane[at] = number
        self._sides_px[at] = sides_px
        self._look_up(plane, number, at[has_pixel & ~left])

    def sight(
        self,
        left_px: Mapping[int, int] | None,
        image: Size,
        downsample: float,
    ) -> Sight:
        """All that was seen; ``left_px``, pixels of the mask by label, is None for no shares."""
        shares: tuple[CoveredShare, ...] = ()
        if left_px is not None:
            shares = tuple(self._shares(left_px, downsample))
        return Sight(
            rows=self._drawn.row,
            has_pixel=self._has_pixel,
            outside=self._outside(image),
            left=self._left,
            covered_by=self._covered_by,
            shares=shares,
        )

    def _outside(self, image: Size) -> NDArray[np.bool_]:
        """Which objects without a pixel lie wholly outside the image."""
        outside = np.zeros(len(self._drawn.row), np.bool_)
        lost = self._drawn.roi[~self._has_pixel]
        if len(lost):
            keep = np.zeros(len(self._rois), np.bool_)
            keep[lost] = True
            number = np.cumsum(keep)[lost] - 1
            x, y, x2, y2 = self._rois.only(keep).bounds_px0[number].T
            with np.errstate(invalid="ignore"):
                out = (x2 <= 0) | (y2 <= 0) | (x >= image.width_px) | (y >= image.height_px)
            outside[~self._has_pixel] = out
        return outside

    def _look_up(self, plane: Plane, number: int, hidden: NDArray[np.int64]) -> None:
        """Find the labels upon hidden objects.

        Objects that cover one another are taken apart in rounds: those on top first.
        """
        for _ in range(_MOST_ROUNDS):
            rest = []
            for first in range(0, len(hidden), _MOST_AT_ONCE):
                part = hidden[first : first + _MOST_AT_ONCE]
                numbers = np.arange(1, len(part) + 1, dtype=np.int32)
                alone = self._draw(_taken(self._drawn, part)._replace(label=numbers), number)
                upon: dict[int, Counter[int]] = defaultdict(Counter)
                for place in alone.busy_strips():
                    for mine, label, n in _joint(alone.strip(*place), plane.strip(*place)):
                        upon[mine][label] += n
                for i, at in enumerate(part.tolist(), 1):
                    if i in upon:
                        labels = tuple(label for label, _ in upon[i].most_common())
                        self._covered_by[int(self._drawn.row[at])] = labels
                    else:
                        rest.append(at)
            hidden = np.asarray(rest, np.int64)
            if not rest:
                return

    def _shares(self, left_px: Mapping[int, int], downsample: float) -> Iterator[CoveredShare]:
        """Groups of objects of which more than half is covered."""
        drawn, rois, group = self._drawn, self._rois, self._group
        width, height = self._sides_px.T
        around, in_box, area = 2 * (width + height) + 1, width * height, None
        for value in _distinct(group[self._has_pixel]):
            mine = np.flatnonzero((group == value) & self._has_pixel)
            labels = _distinct(drawn.label[mine])
            left = sum(left_px.get(label, 0) for label in labels)
            if 2 * left >= (in_box[mine] + around[mine]).sum():
                continue  # as most are: it needs no areas
            if area is None:
                area = areas(rois)[drawn.roi] / (_STEPS_PER_PX2 * downsample**2)
            if 2 * left >= (area[mine] + around[mine]).sum():
                continue
            n_pixels, upon = self._alone(mine)
            if 2 * left < n_pixels:
                by = [label for label, _ in upon.most_common() if label not in labels]
                first = int(mine[0])
                row, label = int(drawn.row[first]), int(drawn.label[first])
                yield CoveredShare(row, label, n_pixels, left, tuple(by))

    def _alone(self, at: NDArray[np.int64]) -> tuple[int, Counter[int]]:
        """Pixels that objects would have alone, and labels of the mask in these places."""
        upon: Counter[int] = Counter()
        for number in _distinct(self._plane[at]):
            mine = _taken(self._drawn, at[self._plane[at] == number])
            alone = self._draw(mine._replace(label=np.ones_like(mine.label)), number)
            mask = self._draw_mask(number)
            for place in alone.busy_strips():
                for _, label, n in _joint(alone.strip(*place), mask.strip(*place)):
                    upon[label] += n
        return upon.total(), upon


def _joint(one: TileRuns, other: TileRuns) -> list[tuple[int, int, int]]:
    """Pixels of two strips by both labels: (first, second, number), the first not background."""
    (begins, ends), (other_begins, other_ends) = map(_places, (one, other))
    mine = np.flatnonzero(one.runs.values)
    first = np.searchsorted(other_ends, begins[mine], side="right")
    size = np.searchsorted(other_ends, ends[mine]) + 1 - first
    mine, theirs = np.repeat(mine, size), items_at(first, size)
    label, below = one.runs.values[mine], other.runs.values[theirs]
    pairs = label.astype(np.uint64) << np.uint64(32) | below
    lengths = np.minimum(ends[mine], other_ends[theirs])
    lengths -= np.maximum(begins[mine], other_begins[theirs])
    pairs, index = np.unique(pairs, return_inverse=True)
    n_pixels = np.bincount(index, lengths).astype(np.int64)
    return [
        (pair >> 32, pair & 0xFFFFFFFF, n)
        for pair, n in zip(pairs.tolist(), n_pixels.tolist(), strict=True)
    ]


def _places(strip: TileRuns) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the runs of a strip begin and end, its pixels counted tile by tile."""
    before = np.concatenate([[0], np.cumsum(strip.shape.areas())[:-1]])
    ends = strip.runs.ends + np.repeat(before, np.diff(strip.runs.start))
    return np.concatenate([[0], ends[:-1]]), ends


def _distinct(numbers: NDArray[np.int32]) -> list[int]:
    """Each number once, ascending; ``np.unique`` first loads ``numpy.ma``, a tenth of a start."""
    return sorted(set(numbers.tolist()))


def _taken(drawn: Drawn, at: NDArray[np.int64]) -> Drawn:
    return Drawn(drawn.row[at], drawn.roi[at], drawn.label[at], drawn.order[at], drawn.channel[at])
