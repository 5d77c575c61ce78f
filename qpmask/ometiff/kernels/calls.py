"""What is done with the tiles of strips: room for the kernels, and what is in it afterwards.

Arrays of pixels have the shape (n_tiles, tile area or more) and hold cropped tiles (see
:class:`~qpmask.ometiff.strips.TileStrip`).

Room is kept for the next call of the same thread, so that its pages are there already.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.ometiff.kernels import levels, lzwdecoder, lzwencoder, pixels
from qpmask.ometiff.kernels.library import I64, U8, Pixels
from qpmask.ometiff.runs import RunStrip
from qpmask.ometiff.strips import StripShape

paint = pixels.paint
count = pixels.count
crop = pixels.crop
compare = levels.compare


class Rooms(threading.local):
    """Arrays of this thread by name; what was in them may be there or not."""

    def __init__(self) -> None:
        self._arrays: dict[str, NDArray[Any]] = {}

    def array(self, name: str, n: int, dtype: type[Any]) -> NDArray[Any]:
        """Room for ``n`` numbers or more."""
        array = self._arrays.get(name)
        if array is None or len(array) < n:
            array = self._arrays[name] = np.empty(n + n // 4, dtype)
        return array

    def runs(self, n: int, n_tiles: int, name: str = "") -> RunStrip:
        """Room for ``n`` runs or more, and a new array for the starts of tiles."""
        values = self.array(f"{name} values", n, np.uint32)
        ends = self.array(f"{name} ends", n, np.int32)
        start = np.empty(n_tiles + 1, np.int64)
        start[0] = 0
        return RunStrip(values, ends, start)

    def phrases(self) -> I64:
        """Room for the decoders."""
        return self.array("phrases", 2 * 4096, np.int64)[: 2 * 4096].reshape(2, 4096)

    def encoder(self, period: int, n: int) -> lzwencoder.EncoderRoom:
        """Room for the encoder; for pixels of ``period`` bytes and tiles of ``n`` runs."""
        n_phrases = period * lzwencoder.MAX_SLOTS
        n_codes = n_phrases * (lzwencoder.MAX_PHRASE + 1)
        if "slot_of" not in self._arrays:
            # Filled before it is kept: Ctrl-C may come in between.
            self._arrays["slot_of"] = np.full(65536, -1, np.int32)
        return lzwencoder.EncoderRoom(
            self.array("codes", n_codes, np.uint16)[:n_codes].reshape(n_phrases, -1),
            self.array("longest", n_phrases, np.int32),
            self.array("slot_of", 65536, np.int32),
            self.array("label_of", lzwencoder.MAX_SLOTS, np.int64),
            self.array("tile values", n, np.uint32),
            self.array("tile ends", n, np.int32),
        )


_rooms = Rooms()


def copied(runs: RunStrip) -> RunStrip:
    """The runs that are there, without the room."""
    n = runs.start[-1]
    return RunStrip(runs.values[:n].copy(), runs.ends[:n].copy(), runs.start)


def runs_of(pixels_of: Pixels, labels: I64, shape: StripShape) -> RunStrip:
    """Runs of tiles, whose states are in ``labels``."""
    words = pixels_of.view(np.uint64)
    room = _rooms.runs(1 << 14, shape.n_tiles)
    while pixels.runs_of(pixels_of, words, labels, shape, room) < 0:
        room = _rooms.runs(2 * len(room.values), shape.n_tiles)
    return copied(room)


def assemble(below: Sequence[RunStrip], last_width: int, shape: StripShape) -> RunStrip:
    """Make a strip of a level of every second pixel of every second row of four strips below it.

    These are the upper left, upper right, lower left and lower right one; some may have no tiles.
    Tiles 2 k and 2 k + 1 of the upper strips and those of the lower strips make tile k, of which
    ``shape`` knows the size; ``last_width`` is that of the last tile of a row below. If one of them
    cannot be read, neither can it.
    """
    n = sum(len(runs.values) for runs in below) + 2 * shape.n_tiles * shape.height
    room = _rooms.runs(n, shape.n_tiles)
    upper_left, upper_right, lower_left, lower_right = below
    levels.assemble(upper_left, upper_right, lower_left, lower_right, last_width, shape, room)
    return copied(room)


def pack_runs(runs: RunStrip, period: int, shape: StripShape) -> tuple[U8, I64]:
    """Pack the tiles of more than one run by LZW, padded with 0.

    Parameters
    ----------
    period : int
        Bytes a pixel, 1, 2 or 4; little-endian.

    Returns
    -------
    packed : ndarray of uint8
        One segment a tile, one behind the other.
    n_bytes : ndarray of int64, shape (n_tiles,)
        Their lengths, 0 for tiles of one run.
    """
    most = int(np.diff(runs.start).max(initial=0))
    room = _rooms.encoder(period, most + 2 * shape.tile_height + 2)
    n_bytes = np.empty(shape.n_tiles, np.int64)
    out = _rooms.array("packed", 1 << 17, np.uint8)
    while (n := lzwencoder.pack_runs(runs, period, shape, out, n_bytes, room)) < 0:
        out = _rooms.array("packed", 2 * len(out), np.uint8)
    return out[:n].copy(), n_bytes


def unpack_runs(
    data: U8, starts: I64, n_bytes: I64, tiles: I64, period: int, shape: StripShape, labels: I64
) -> RunStrip:
    """Decode LZW segments of ``period`` bytes a pixel, little-endian, without making pixels.

    Segment i is ``n_bytes[i]`` bytes of ``data`` from ``starts[i]`` on and holds tile ``tiles[i]``;
    ``labels`` are the states of the others. A tile has no runs if it is damaged, or if this cannot
    decode it; :func:`unpack_pixels` can, or says so.
    """
    n = 2 * int(n_bytes.sum()) + shape.n_tiles * (shape.tile_height + 8)
    room = _rooms.runs(n, shape.n_tiles)
    whole = _rooms.runs(n, 1, "whole")
    phrases = _rooms.phrases()
    lzwdecoder.unpack_runs(
        data, starts, n_bytes, tiles, period, shape, labels, room, whole, phrases
    )
    return copied(room)


def unpack_pixels(
    data: U8, starts: I64, n_bytes: I64, tiles: I64, out: U8, failed: NDArray[np.bool_]
) -> None:
    """Decode LZW segments to pixels.

    Segment i is ``n_bytes[i]`` bytes of ``data`` from ``starts[i]`` on and goes to
    ``out[tiles[i]]``, which it must fill exactly; otherwise, or if it is damaged, ``failed[i]``.
    """
    lzwdecoder.unpack_pixels(
        data, starts, n_bytes, tiles, out, failed.view(np.uint8), _rooms.phrases()
    )
