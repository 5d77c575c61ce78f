"""Traces a mask strip by strip: rows of tiles as runs in, rings out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from qpmask.ometiff.runs import RunStrip
from qpmask.polygons import library as at
from qpmask.polygons.library import Sweep
from qpmask.polygons.sweep import sweep

_SMALLEST: Final = 1 << 12
_ROWS: Final = ("x_end", "label", "left", "right", "component", "partner", "across")
_NODES: Final = ("node_x", "node_y", "node_next")
_ENDS: Final = ("end_node", "end_other")
_RINGS: Final = ("ring_end", "ring_component", "ring_area2")


@dataclass(frozen=True, eq=False)
class Rings:
    """The boundaries of all regions of a mask.

    Attributes
    ----------
    xy_px : ndarray of int32, shape (n_vertices, 2)
        Corners of pixels. The last vertex of a ring repeats its first one.
    end : ndarray of int64, shape (n_rings,)
        Where each ring ends in ``xy_px``.
    region : ndarray of int64, shape (n_rings,)
        The region that it bounds: a number from 0 on, in the order of their upper left corners.
    area2_px : ndarray of int64, shape (n_rings,)
        Twice the area inside, in pixels; negative for holes. A region has one outer ring.
    label : ndarray of int64, shape (n_regions,)
        Label of each region.
    """

    xy_px: NDArray[np.int32]
    end: NDArray[np.int64]
    region: NDArray[np.int64]
    area2_px: NDArray[np.int64]
    label: NDArray[np.int64]


class Tracer:
    """Traces a mask whose rows come from the top.

    Parameters
    ----------
    width_px : int
        Width of the mask.
    """

    def __init__(self, width_px: int) -> None:
        self._width = width_px
        n = _SMALLEST
        arrays: dict[str, NDArray[Any]] = {
            **{name: np.zeros((2, width_px + 1), np.int64) for name in _ROWS},
            **{name: np.empty(n, np.int32) for name in (*_NODES, *_ENDS, "parent")},
            **{name: np.empty(n, np.int64) for name in (*_RINGS, "of_label")},
        }
        self._s = Sweep(
            counts=np.zeros(at.N_COUNTS, np.int64),
            cursor=np.zeros((2, 1), np.int64),
            xy=np.empty(4 * n, np.int32),
            stack=np.empty(2 * n, np.int32),
            seen=np.zeros((2, n), np.int64),
            **arrays,
        )
        counts = self._s.counts
        counts[[at.NODE_FREE, at.END_FREE]] = -1
        counts[at.N_ABOVE] = 1  # what is above the mask has no label
        self._s.x_end[0, 0] = width_px
        self._parts: list[tuple[NDArray[Any], ...]] = []
        self._n_vertices = 0

    def add(self, runs: RunStrip, widths_px: NDArray[np.int64], height_px: int) -> None:
        """Go on with a row of tiles.

        Parameters
        ----------
        runs : RunStrip
            The tiles, from the left to the right end of the mask; all readable.
        widths_px : ndarray of int64, shape (n_tiles,)
            Their widths.
        height_px : int
            Their height.
        """
        cursor = np.stack([runs.start[:-1], runs.start[:-1]])
        self._s = self._s._replace(cursor=np.ascontiguousarray(cursor))
        self._s.counts[at.ROW] = 0
        while sweep(runs, widths_px, height_px, self._s):
            self._take()
            self._grow()

    def finish(self) -> Rings:
        """All rings; the tracer cannot be used any more."""
        end = np.array([self._width], np.int32)
        below = RunStrip(np.zeros(1, np.uint32), end, np.array([0, 1], np.int64))
        self.add(below, end.astype(np.int64), 1)  # what is below the mask has no label
        self._take()
        xy, ends, component, area2 = (
            np.concatenate(parts) for parts in zip(*self._parts, strict=True)
        )
        self._parts.clear()
        n = int(self._s.counts[at.COMPONENTS])
        parent = self._s.parent[:n]
        while (parent[parent] != parent).any():
            parent = parent[parent]
        roots = np.flatnonzero(parent == np.arange(n))
        region = np.cumsum(parent == np.arange(n)) - 1
        return Rings(xy, ends, region[parent[component]], area2, self._s.of_label[roots])

    def _take(self) -> None:
        """Take the rings that were given out."""
        s, counts = self._s, self._s.counts
        n_vertices, n_rings = int(counts[at.VERTICES]), int(counts[at.RINGS])
        self._parts.append((
            s.xy[: 2 * n_vertices].reshape(-1, 2).copy(),
            s.ring_end[:n_rings] + self._n_vertices,
            s.ring_component[:n_rings].copy(),
            s.ring_area2[:n_rings].copy(),
        ))  # fmt: skip
        self._n_vertices += n_vertices
        counts[[at.VERTICES, at.RINGS]] = 0

    def _grow(self) -> None:
        """Make room for the next row, and for some more of its kind."""
        s, counts = self._s, self._s.counts
        most = int(counts[at.ROOM_FOR])
        runs = min(2 * (self._width + 1), most)
        corners = 2 * (int(counts[at.CORNERS]) + 4 * runs)
        wanted = dict.fromkeys((*_NODES, *_RINGS), most)
        wanted |= dict.fromkeys(_ENDS, int(counts[at.ENDS_MADE]) + 2 * runs)
        wanted |= dict.fromkeys(("parent", "of_label"), int(counts[at.COMPONENTS]) + runs)
        wanted |= {"xy": 4 * most, "stack": 2 * most}
        self._s = s._replace(**{name: _longer(getattr(s, name), n) for name, n in wanted.items()})
        if corners > s.seen.shape[1]:
            self._s = self._s._replace(
                seen=np.zeros((2, 1 << (corners - 1).bit_length()), np.int64)
            )


def _longer(array: NDArray[Any], n: int) -> NDArray[Any]:
    """An array of ``n`` entries or more that starts with these."""
    if n <= len(array):
        return array
    longer = np.empty(n + n // 2, array.dtype)
    longer[: len(array)] = array
    return longer
