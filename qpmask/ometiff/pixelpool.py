"""Room for the pixels of strips, used again and again.

Fresh memory costs more than what is done with it: the operating system clears each page as it is
touched for the first time, which for strips of a few megabytes takes as long as drawing them.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAX_BYTES = 48 << 20  # that wait to be used again
_lock = threading.Lock()
_free: dict[int, list[NDArray[np.uint8]]] = {}  # by their length
_n_bytes = 0
_made: weakref.WeakValueDictionary[int, NDArray[np.uint8]] = weakref.WeakValueDictionary()


def new_pixels(n_tiles: int, tile_px: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Room for the tiles of a strip.

    Returns
    -------
    ndarray of `dtype`, shape (n_tiles, tile_px, rounded up to whole 64-bit numbers)
        Its values are anything.
    """
    global _n_bytes
    per_tile = -(-tile_px // 8) * 8
    wanted = n_tiles * per_tile * dtype.itemsize
    with _lock:
        waiting = _free.get(wanted)
        room = waiting.pop() if waiting else None
        if room is not None:
            _n_bytes -= wanted
    if room is None:
        room = np.empty(wanted, np.uint8)
        with _lock:
            _made[id(room)] = room
    return room.view(dtype).reshape(n_tiles, per_tile)


def give_back(pixels: NDArray[Any]) -> None:
    """Leave an array of :func:`new_pixels` to its next user; nobody may look at it any more.

    Any other array is left alone.
    """
    global _n_bytes
    room = pixels
    while isinstance(room.base, np.ndarray):
        room = room.base  # the array that was made first
    with _lock:
        waiting = _free.setdefault(room.size, [])
        is_ours = _made.get(id(room)) is room and all(room is not other for other in waiting)
        if is_ours and _n_bytes + room.size <= _MAX_BYTES:
            waiting.append(room)
            _n_bytes += room.size


def _renew_lock() -> None:
    """In a child that was forked while the lock was held, nobody will give it back."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
