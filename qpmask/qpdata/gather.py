"""Copies many stretches of bytes into one, with numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def rows_at(data: bytes | bytearray, n_bytes: int) -> npt.NDArray[np.void]:
    """Give ``n_bytes`` bytes from every place of the data on, as one item each; a view."""
    n_rows = max(len(data) - n_bytes + 1, 0)
    rows: npt.NDArray[np.void] = np.ndarray((n_rows,), f"V{n_bytes}", data, 0, (1,))
    return rows


def gather(data: bytes, starts: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]) -> bytearray:
    """Join stretches of the data.

    Parameters
    ----------
    data : bytes
        The data.
    starts : ndarray of int64, shape (n,)
        Where each stretch starts.
    sizes : ndarray of int64, shape (n,)
        How many bytes each has; not negative, and all of them are in the data.

    Returns
    -------
    bytearray
        One stretch after the other.
    """
    targets = np.cumsum(sizes) - sizes
    out = bytearray(int(sizes.sum()))
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
