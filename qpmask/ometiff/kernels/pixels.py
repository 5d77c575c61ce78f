"""Pixels to runs, and back."""

from __future__ import annotations

import numpy as np

from qpmask import jit
from qpmask.jit import kernel
from qpmask.ometiff.kernels.library import I32, I64, LIBRARY, U32, U64, Pixels
from qpmask.ometiff.runs import RunStrip
from qpmask.ometiff.strips import MIXED, StripShape


@LIBRARY.entry
def runs_of(
    pixels: jit.PIXELS_2D, words: jit.U64_2D, labels: jit.I64_1D, shape: StripShape, out: RunStrip
) -> int:
    """See :func:`.calls.runs_of`; the number of runs, or -1 where there is not room for all."""
    return add_runs(pixels, words, labels, shape, np.int64(0), shape.n_tiles, out)


@kernel
def add_runs(
    pixels: Pixels, words: U64, labels: I64, shape: StripShape, first: int, last: int, out: RunStrip
) -> int:
    """Add the runs of tiles ``first`` to ``last - 1``, whose pixels are the first of the array.

    The number of runs then in ``out``, or -1 where there is not room for all.
    """
    values, ends, start = out.values, out.ends, out.start
    n_runs = start[first]
    for k in range(first, last):
        width = shape.last_width if k == shape.n_tiles - 1 else shape.tile_width
        n_pixels = width * shape.height
        label = labels[k - first]
        if n_runs == len(values):
            return -1
        if label >= 0:
            values[n_runs] = label
            ends[n_runs] = n_pixels
            n_runs += 1
        elif label == MIXED:
            tile, tile_words = pixels[k - first], words[k - first]
            at, n_runs = _find_runs(tile, tile_words, n_pixels, values, ends, n_runs)
            if at < n_pixels:
                return -1
        start[k + 1] = n_runs
    return int(n_runs)


@kernel
def _find_runs(
    pixels: Pixels, words: U64, n_pixels: int, values: U32, ends: I32, n_runs: int
) -> tuple[int, int]:
    """Find runs, as many as there is room for; where it stopped, and how many.

    ``words`` are the same pixels as 64-bit numbers, the first pixel in the lowest bits.
    """
    per_word = 8 // pixels.itemsize
    n_words = n_pixels // per_word
    # 1 in each pixel of a word.
    repeats = np.uint64(0x0000000100000001)
    if per_word == 4:
        repeats = np.uint64(0x0001000100010001)
    elif per_word == 8:
        repeats = np.uint64(0x0101010101010101)
    at, word, skipped = 0, 0, 0
    while n_runs < len(values):
        label = np.int64(pixels[at])
        pattern = np.uint64(label) * repeats
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


@LIBRARY.entry
def paint(runs: RunStrip, k: int, shape: StripShape, out: jit.PIXELS_1D) -> None:
    """Pixels of tile ``k`` in full, row by row into ``out``; 0 outside the image."""
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


@LIBRARY.entry
def count(runs: RunStrip, counts: jit.I64_1D) -> None:
    """Add the pixels of each label to ``counts``."""
    for k in range(len(runs.start) - 1):
        at = 0
        for i in range(runs.start[k], runs.start[k + 1]):
            counts[runs.values[i]] += runs.ends[i] - at
            at = runs.ends[i]


@LIBRARY.entry
def crop(pixels: jit.PIXELS_2D, shape: StripShape, k: int) -> None:
    """Turn a full tile into one that is cropped to the image, in place."""
    width = shape.last_width if k == shape.n_tiles - 1 else shape.tile_width
    for y in range(1, shape.height):
        source, target = y * shape.tile_width, y * width
        for x in range(width):
            pixels[k, target + x] = pixels[k, source + x]
