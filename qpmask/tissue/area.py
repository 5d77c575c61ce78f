"""Tissue as a map of true and false, and its exact share in rectangles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class TissueArea:
    """Where tissue is.

    Parameters
    ----------
    found : ndarray of bool, shape (rows, columns)
        True where there is tissue; its corner lies upon the slide's.
    scale : float
        Pixels of level 0 in one of the map.
    """

    found: NDArray[np.bool_]
    scale: float

    def shares(
        self, x_px0: NDArray[np.int64], y_px0: NDArray[np.int64], size_px0: int
    ) -> NDArray[np.float64]:
        """Share of tissue in squares: exact, since a square may cut the map's pixels.

        Parameters
        ----------
        x_px0, y_px0 : ndarray of int64
            Left edges of columns and upper edges of rows of squares, in pixels of level 0.
        size_px0 : int
            Width and height of a square. Beyond the map there is no tissue.

        Returns
        -------
        ndarray of float64, shape (len(y_px0), len(x_px0))
        """
        side = size_px0 / self.scale
        rows = _between(self.found, y_px0 / self.scale, side)
        both = _between(np.ascontiguousarray(rows.T), x_px0 / self.scale, side).T
        shares: NDArray[np.float64] = np.minimum(both / (side * side), 1.0)
        return shares


def _between(values: NDArray[np.generic], start: NDArray[np.float64], length: float
) -> NDArray[np.float64]:  # fmt: skip
    """Integral over stretches of the first axis, whose values are constant within a pixel."""
    n = values.shape[0]
    whole = values.dtype.kind == "b"
    sums = np.zeros((n + 1, *values.shape[1:]), np.int32 if whole else np.float64)
    np.cumsum(values, axis=0, out=sums[1:], dtype=sums.dtype)

    def up_to(edges: NDArray[np.float64]) -> NDArray[np.float64]:
        edges = np.clip(edges, 0, n)
        below = np.minimum(edges.astype(np.int64), max(0, n - 1))
        part = (edges - below)[:, None]
        at = sums[below]
        found: NDArray[np.float64] = at + part * (sums[np.minimum(below + 1, n)] - at)
        return found

    return up_to(start + length) - up_to(start)
