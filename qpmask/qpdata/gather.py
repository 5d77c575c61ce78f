"""Copies many stretches of bytes into one, with numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def rows_at(data: bytes | npt.NDArray[np.uint8], n_bytes: int) -> npt.NDArray[np.void]:
    """Give ``n_bytes`` bytes from every place of the data on, as one item each; a view."""
    n_rows = max(len(data) - n_bytes + 1, 0)
    rows: npt.NDArray[np.void] = np.ndarray((n_rows,), f"V{n_bytes}", data, 0, (1,))
    return rows


class Growing:
    """An array that grows; what is behind its end is room.

    NumPy asks the system for large pages, which makes new memory several times cheaper than that of
    a ``bytearray``.

    Parameters
    ----------
    dtype : dtype
        Of its numbers.
    n_columns : int
        In a row.
    """

    def __init__(self, dtype: npt.DTypeLike, n_columns: int) -> None:
        self._room = np.empty((0, n_columns), dtype)
        self._n = 0

    def add(self, n: int) -> npt.NDArray[Any]:
        """Add so many rows, to be filled; a view, which is good until the next call."""
        first, self._n = self._n, self._n + n
        if self._n > len(self._room):
            more = np.empty((max(self._n, 2 * len(self._room)), self._room.shape[1]),
                            self._room.dtype)  # fmt: skip
            more[:first] = self._room[:first]
            self._room = more
        return self._room[first : self._n]

    def take(self) -> npt.NDArray[Any]:
        """All rows; the array is empty afterwards."""
        rows = self._room[: self._n]
        self.__init__(rows.dtype, rows.shape[1])  # type: ignore[misc]
        return rows


def gather(
    data: bytes,
    starts: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int64],
    room: npt.NDArray[np.uint8] | None = None,
) -> npt.NDArray[np.uint8]:
    """Join stretches of the data.

    Parameters
    ----------
    data : bytes
        The data.
    starts : ndarray of int64, shape (n,)
        Where each stretch starts.
    sizes : ndarray of int64, shape (n,)
        How many bytes each has; not negative, and all of them are in the data.

    room : ndarray of uint8, shape (m,), optional
        Where they go, if they have room in it.

    Returns
    -------
    ndarray of uint8, shape (sizes.sum(),)
        One stretch after the other.
    """
    targets = np.cumsum(sizes) - sizes
    n_bytes = int(sizes.sum())
    if room is None or len(room) < n_bytes:
        room = np.empty(n_bytes, np.uint8)
    out = room[:n_bytes]
    # A stretch of n bytes is its first and its last 2**k bytes, which overlap, where 2**k is the
    # greatest power of two that n has room for: so there are few widths to copy.
    powers = np.frexp(sizes)[1] - 1
    for power in range(int(powers.max(initial=-1)) + 1):
        chosen = np.flatnonzero(powers == power)
        if len(chosen):
            width = 1 << power
            rows, out_rows = rows_at(data, width), rows_at(out, width)
            start, target = starts[chosen], targets[chosen]
            out_rows[target] = rows[start]
            rest = sizes[chosen] - width
            out_rows[target + rest] = rows[start + rest]
    return out
