"""Lets go of outlines that nobody asks for, while a data file is read.

Most of a data file of cells is vertices, and half of these are those of nuclei. Who draws the
cells, or counts them, has no use for them: memory holds them no longer than a few megabytes of the
file take to read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.model import Rois

Wanted = Callable[
    [npt.NDArray[np.uint8], npt.NDArray[np.bool_], npt.NDArray[np.int32], npt.NDArray[np.int32]],
    npt.NDArray[np.int32],
]
"""Which ROIs are wanted, given the columns ``kind``, ``missing``, ``roi`` and ``nucleus_roi`` of
some objects: their numbers; -1 is none."""

_STEP_VERTICES: Final = 1 << 18
_OF_RINGS: Final = ("ring_first", "ring_size", "ring_kind", "ring_part", "ring_is_hole")


def no_outlines(*columns: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """For who wants to know of objects and ROIs, but not where they are (see :data:`Wanted`)."""
    return np.zeros(0, np.int32)


class OutlineSieve:
    """Drops rings and vertices of ROIs that are not wanted, from the columns of the parser.

    Parameters
    ----------
    wanted : callable
        Says which ones are.
    arrays : dict
        The columns.
    n : ndarray of int64
        The parser's counts.
    """

    def __init__(
        self, wanted: Wanted, arrays: dict[str, npt.NDArray[Any]], n: npt.NDArray[np.int64]
    ) -> None:
        self._wanted = wanted
        self._arrays = arrays
        self._n = n
        self._open = np.zeros(0, np.int64)
        self._kept = np.zeros(0, np.bool_)
        self._empty = [np.zeros(0, np.bool_)]
        self._done = np.zeros_like(n)
        n[k.SIFT_AT] = _STEP_VERTICES

    def is_empty(self) -> npt.NDArray[np.bool_]:
        """Whether each ROI that was looked through is without a point, dropped or not."""
        return np.concatenate(self._empty)

    def sift(self, open_objects: npt.NDArray[np.int64]) -> bool:
        """Look through what was read since the last time, ROIs of objects that are complete.

        Parameters
        ----------
        open_objects : ndarray of int64
            Numbers of the objects that are not.

        Returns
        -------
        bool
            False where an object refers to a ROI of long before that was dropped.
        """
        n, arrays, done = self._n, self._arrays, self._done.copy()
        keep = self._wanted_of(self._complete(open_objects), int(done[k.ROIS]), int(n[k.ROIS]))
        if keep is None:
            return False
        rois = self._new_rois()
        self._empty.append(rois.is_empty)
        kept = rois.with_outlines(keep)
        if kept is not rois:
            ring, first = int(done[k.RINGS]), kept.ring_first
            first += np.where(kept.ring_in_64, done[k.VERTICES64], done[k.VERTICES32])
            n[k.RINGS] = ring + len(first)
            for name in _OF_RINGS:
                arrays[name][ring : n[k.RINGS]] = getattr(kept, name)
            arrays["ring_offsets"][done[k.ROIS] : n[k.ROIS] + 1] = ring + kept.ring_offsets
            for count, (name, pool) in _pools(arrays).items():
                vertices = getattr(kept, f"{name}_px0")
                n[count] = done[count] + len(vertices)
                pool[done[count] : n[count]] = vertices
        self._done[: k.N_COUNTS] = n[: k.N_COUNTS]
        n[k.SIFT_AT] = n[k.VERTICES32] + n[k.VERTICES64] + _STEP_VERTICES
        return True

    def _new_rois(self) -> Rois:
        """The ROIs that were read since the last time."""
        arrays, n, done = self._arrays, self._n, self._done
        rois, boxes, rings = (slice(done[of], n[of]) for of in (k.ROIS, k.BOXES, k.RINGS))
        pools = {
            f"{name}_px0": pool[done[count] : n[count]]
            for count, (name, pool) in _pools(arrays).items()
        }
        offsets = arrays["ring_offsets"][rois.start : rois.stop + 1]
        return Rois(
            kind=arrays["roi_kind"][rois],
            boxes_px0=arrays["boxes"].view(np.float64).reshape(-1, 4)[boxes],
            ring_offsets=offsets - offsets[0],
            **{name: arrays[name][rois] for name in ("c", "z", "t", "geometry_type")},
            **{name: arrays[name][rings] for name in _OF_RINGS},
            **pools,
        )

    def _complete(self, open_objects: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Objects that were completed since the last time."""
        new = np.arange(self._done[k.OBJECTS], self._n[k.OBJECTS])
        rows = np.concatenate([self._open, new])
        is_open = np.isin(rows, open_objects)
        self._open = rows[is_open]
        return rows[~is_open]

    def _wanted_of(
        self, rows: npt.NDArray[np.int64], first: int, end: int
    ) -> npt.NDArray[np.bool_] | None:
        """Which of the ROIs from ``first`` to ``end`` are wanted of objects; see :meth:`sift`."""
        arrays = self._arrays
        roi = self._wanted(
            arrays["kind"][rows],
            arrays["missing"][rows].view(np.bool_),
            arrays["roi"][rows],
            arrays["nucleus_roi"][rows],
        )
        if not self._kept[roi[(roi >= 0) & (roi < first)]].all():
            return None
        keep = np.zeros(end - first, np.bool_)
        keep[roi[roi >= first] - first] = True
        self._kept = np.concatenate([self._kept, keep])
        return keep


def _pools(arrays: dict[str, npt.NDArray[Any]]) -> dict[int, tuple[str, npt.NDArray[Any]]]:
    """Vertices as (x, y), by what counts them."""
    return {
        count: (name, arrays[name].view(dtype).reshape(-1, 2))
        for count, name, dtype in (
            (k.VERTICES32, "vertices32", np.float32),
            (k.VERTICES64, "vertices64", np.float64),
        )
    }
