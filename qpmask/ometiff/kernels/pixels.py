"""Pixels to runs, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.jit import kernel
from qpmask.ometiff.runs import RunStrip
from qpmask.ometiff.strips import MIXED, StripShape

I64 = NDArray[np.int64]
I32 = NDArray[np.int32]
U8 = NDArray[np.uint8]
U16 = NDArray[np.uint16]
U64 = NDArray[np.uint64]
Pixels = NDArray[Any]


@kernel
def runs_of(pixels: Pixels, words: U64, labels: I64, shape: StripShape) -> RunStrip:
    """See :func:`.plain.runs_of`."""
    values = np.empty(4096, np.uint16)
    ends = np.empty(4096, np.int32)
    start = np.zeros(shape.n_tiles + 1, np.int64)
    n_runs = 0
    for k in range(shape.n_tiles):
        width = shape.last_width if k == shape.n_tiles - 1 else shape.tile_width
        n_pixels = width * shape.height
        if len(values) < n_runs + 1:
            values, ends = longer(values), longer(ends)
        if labels[k] >= 0:
            values[n_runs] = labels[k]
            ends[n_runs] = n_pixels
            n_runs += 1
        elif labels[k] == MIXED:
            at = 0
            while at < n_pixels:
                if len(values) < n_runs + 1024:
                    values, ends = longer(values), longer(ends)
                at, n_runs = _find_runs(pixels[k], words[k], n_pixels, at, values, ends, n_runs)
        start[k + 1] = n_runs
    return RunStrip(values[:n_runs].copy(), ends[:n_runs].copy(), start)


@kernel
def longer(array: Pixels) -> Pixels:
    """The same array with room for twice as much."""
    room = np.empty(2 * len(array), array.dtype)
    room[: len(array)] = array
    return room


@kernel
def _find_runs(
    pixels: Pixels, words: U64, n_pixels: int, at: int, values: U16, ends: I32, n_runs: int
) -> tuple[int, int]:
    """Find runs from pixel ``at`` on, as many as there is room for; where it stopped, and how many.

    ``words`` are the same pixels as 64-bit numbers, the first pixel in the lowest bits.
    """
    per_word = 8 // pixels.itemsize
    n_words = n_pixels // per_word
    word, skipped = at // per_word, at % per_word
    while n_runs < len(values):
        label = np.int64(pixels[at])
        if per_word == 8:
            pattern = np.uint64(label) * np.uint64(0x0101010101010101)
        else:
            pattern = np.uint64(label) * np.uint64(0x0001000100010001)
        different = np.uint64(0)
        if word < n_words:
            different = (words[word] ^ pattern) >> np.uint64(skipped * pixels.itemsize * 8)
            if different == 0:
                word += 1
                skipped = 0
                while word + 8 <= n_words:
                    for i in range(8):
                        different |= words[word + i] ^ pattern
                    if different != 0:
                        break
                    word += 8
                different = np.uint64(0)
                while word < n_words:
                    different = words[word] ^ pattern
                    if different != 0:
                        break
                    word += 1
        if different != 0:
            skipped += _first_pixel(different, per_word)
            at = word * per_word + skipped
        else:  # the last pixels, which are no whole word
            at = max(at, n_words * per_word)
            while at < n_pixels and pixels[at] == label:
                at += 1
            word, skipped = n_words, 0
        values[n_runs] = label
        ends[n_runs] = at
        n_runs += 1
        if at == n_pixels:
            break
    return at, n_runs


@kernel
def _first_pixel(different: np.uint64, per_word: int) -> int:
    """Number of the first pixel of a word that has a bit set."""
    n_pixels = 0
    if different & np.uint64(0xFFFFFFFF) == 0:
        n_pixels = per_word // 2
        different >>= np.uint64(32)
    if different & np.uint64(0xFFFF) == 0:
        n_pixels += per_word // 4
        different >>= np.uint64(16)
    if per_word == 8 and different & np.uint64(0xFF) == 0:
        n_pixels += 1
    return n_pixels


@kernel
def paint(runs: RunStrip, k: int, shape: StripShape, out: Pixels) -> None:
    """See :func:`.plain.paint`."""
    width = np.int64(shape.last_width if k == shape.n_tiles - 1 else shape.tile_width)
    is_full = width == shape.tile_width
    if not (is_full and shape.height == shape.tile_height):
        out[:] = 0
    at = 0
    for i in range(runs.start[k], runs.start[k + 1]):
        end = np.int64(runs.ends[i])
        if is_full:
            out[at:end] = runs.values[i]
        else:
            while at < end:  # row by row
                row = at // width
                stop = min(end, (row + 1) * width)
                skip = row * (shape.tile_width - width)
                out[at + skip : stop + skip] = runs.values[i]
                at = stop
        at = end


@kernel
def count(runs: RunStrip, counts: I64) -> None:
    """See :func:`.plain.count`."""
    for k in range(len(runs.start) - 1):
        at = 0
        for i in range(runs.start[k], runs.start[k + 1]):
            counts[runs.values[i]] += runs.ends[i] - at
            at = runs.ends[i]


@kernel
def crop(pixels: Pixels, shape: StripShape, k: int) -> None:
    """See :func:`.plain.crop`."""
    width = shape.last_width if k == shape.n_tiles - 1 else shape.tile_width
    for y in range(1, shape.height):
        source, target = y * shape.tile_width, y * width
        for x in range(width):
            pixels[k, target + x] = pixels[k, source + x]
