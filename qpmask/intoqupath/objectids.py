"""The ids of objects (UUIDs): kept, or made anew where one is missing or taken."""

from __future__ import annotations

import os
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from qpmask.imageobjects import ObjectTable


def with_ids(table: ObjectTable, taken: Collection[bytes] = frozenset()) -> NDArray[np.bytes_]:
    """The ids of objects; those without one, or with one that is taken, get a new one.

    Parameters
    ----------
    taken : collection of bytes
        Ids in lower case, 36 bytes.
    """
    ids = table.ids.astype("S36")
    needs = ids == b""
    if taken and not needs.all():
        needs |= np.isin(ids, np.array(list(taken), "S36"))
    ids[needs] = _new_ids(int(needs.sum()))
    return ids


def _new_ids(n: int) -> NDArray[np.bytes_]:
    """Random UUIDs (version 4) as text."""
    raw = np.frombuffer(os.urandom(16 * n), np.uint8).reshape(n, 16).copy()
    raw[:, 6] = raw[:, 6] & 0x0F | 0x40
    raw[:, 8] = raw[:, 8] & 0x3F | 0x80
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    text = np.full((n, 36), ord("-"), np.uint8)
    places = [i for i in range(36) if i not in (8, 13, 18, 23)]
    text[:, places[::2]] = digits[raw >> 4]
    text[:, places[1::2]] = digits[raw & 15]
    found: NDArray[np.bytes_] = text.view("S36").reshape(n)
    return found
