"""The decoded tiles that were used last, within a bound of bytes, shared by threads."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAX_OFFERED = 4096  # tiles that came once and are not forgotten


class TileCache:
    """Keeps tiles by any key and forgets those that were not used for longest.

    Parameters
    ----------
    max_bytes : int
        Bytes of pixels to keep at most; 0 keeps nothing.

    Notes
    -----
    What goes in comes out again, to several threads: only arrays that nobody writes to.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.n_bytes = 0
        self._tiles: OrderedDict[Hashable, NDArray[Any]] = OrderedDict()
        self._offered: OrderedDict[Hashable, None] = OrderedDict()  # tiles that came once
        self._lock = threading.Lock()
        _caches.add(self)

    def get(self, key: Hashable) -> NDArray[Any] | None:
        """The tile, or None where it is not kept."""
        if not self.max_bytes:
            return None
        with self._lock:
            tile = self._tiles.get(key)
            if tile is not None:
                self._tiles.move_to_end(key)
            return tile

    def offer(self, key: Hashable, tile: NDArray[Any]) -> None:
        """Keep a tile if it is offered for the second time.

        Most tiles are used once, and memory that is used again is much faster than fresh memory.
        """
        if not self.max_bytes:
            return
        with self._lock:
            if key not in self._offered:
                self._offered[key] = None
                if len(self._offered) > _MAX_OFFERED:
                    self._offered.popitem(last=False)
                return
            del self._offered[key]
        self.put(key, tile)

    def put(self, key: Hashable, tile: NDArray[Any]) -> None:
        """Keep a tile."""
        n_bytes = _held_bytes(tile)
        if n_bytes > self.max_bytes:
            return
        with self._lock:
            old = self._tiles.pop(key, None)
            self.n_bytes += n_bytes - (0 if old is None else _held_bytes(old))
            self._tiles[key] = tile
            while self.n_bytes > self.max_bytes:
                _, dropped = self._tiles.popitem(last=False)
                self.n_bytes -= _held_bytes(dropped)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._tiles.clear()
            self._offered.clear()
            self.n_bytes = 0

    def renew(self) -> None:
        """Start again, with a lock that nobody holds."""
        self._lock = threading.Lock()
        self._tiles = OrderedDict()
        self._offered = OrderedDict()
        self.n_bytes = 0


def _held_bytes(tile: NDArray[Any]) -> int:
    """Bytes that a tile keeps alive: a view keeps all of its base."""
    base: Any = tile
    while isinstance(base.base, np.ndarray):
        base = base.base
    return max(int(tile.nbytes), int(base.nbytes))


_caches: weakref.WeakSet[TileCache] = weakref.WeakSet()


def _renew_all() -> None:
    for cache in list(_caches):
        cache.renew()


if hasattr(os, "register_at_fork"):
    # Another thread may have held a lock in the moment of the fork; in the child it is not there
    # to let go of it.
    os.register_at_fork(after_in_child=_renew_all)
