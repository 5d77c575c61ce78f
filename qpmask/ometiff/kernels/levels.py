"""The runs of tiles: subsampled and put together, compared, cut to another size."""

from __future__ import annotations

import numpy as np

from qpmask import jit
from qpmask.jit import kernel
from qpmask.ometiff.kernels.library import I32, LIBRARY, U32
from qpmask.ometiff.runs import RunStrip
from qpmask.ometiff.strips import StripShape


@kernel
def add(values: U32, ends: I32, first: int, n_runs: int, label: int, end: int) -> int:
    """Add a run to a tile whose runs begin at ``first``; the number of runs behind it."""
    if n_runs > first and values[n_runs - 1] == label:
        ends[n_runs - 1] = end
        return n_runs
    values[n_runs] = label
    ends[n_runs] = end
    return n_runs + 1


@LIBRARY.entry
def assemble(
    upper_left: RunStrip,
    upper_right: RunStrip,
    lower_left: RunStrip,
    lower_right: RunStrip,
    last_width: int,
    shape: StripShape,
    out: RunStrip,
) -> None:
    """See :func:`.calls.assemble`.

    ``out`` has room for the runs of the strips below, and two more for each row of each tile.
    """
    half_width, half_height = shape.tile_width // 2, shape.tile_height // 2
    values, ends, start = out.values, out.ends, out.start
    n_runs = 0
    n_left = len(upper_left.start) - 1
    n_below = n_left + len(upper_right.start) - 1
    for k in range(shape.n_tiles):
        width = np.int64(shape.last_width if k == shape.n_tiles - 1 else shape.tile_width)
        first = n_runs
        for down in range(2):
            height = min(half_height, shape.height - down * half_height)
            if height <= 0:
                break
            left = 2 * k
            a_width = np.int64(last_width if left == n_below - 1 else shape.tile_width)
            b_width = np.int64(last_width if left == n_below - 2 else shape.tile_width)
            if left < n_left:
                strip = upper_left if down == 0 else lower_left
            else:
                strip = upper_right if down == 0 else lower_right
                left -= n_left
            a, a_end = strip.start[left], strip.start[left + 1]
            b, b_end = a_end, a_end
            if width > half_width:
                b_end = strip.start[left + 2]
            if a == a_end or (width > half_width and b == b_end):
                n_runs = first  # a tile below is unknown
                break
            alike = b == b_end or (b + 1 == b_end and strip.values[a] == strip.values[b])
            if a + 1 == a_end and alike:
                end = (down * half_height + height) * width
                n_runs = add(values, ends, first, n_runs, np.int64(strip.values[a]), end)
                continue
            for y in range(height):
                done = (down * half_height + y) * width
                a, n_runs = _add_row(strip, a, 2 * y, a_width, done, values, ends, first, n_runs)
                if width > half_width:
                    done += half_width
                    b, n_runs = _add_row(
                        strip, b, 2 * y, b_width, done, values, ends, first, n_runs
                    )
        start[k + 1] = n_runs


@kernel
def _add_row(
    strip: RunStrip,
    i: int,
    y: int,
    width: int,
    done: int,
    values: U32,
    ends: I32,
    first: int,
    n_runs: int,
) -> tuple[int, int]:
    """Add every second pixel of row ``y`` of a tile whose run ``i`` is not over.

    Returns the run at its end, and the number of runs after it.
    """
    row = y * width
    while strip.ends[i] <= row:
        i += 1
    at = done
    while True:
        last = min(np.int64(strip.ends[i]) - row, width)
        end = done + (last + 1) // 2
        if end > at:  # a run of one pixel may have none
            n_runs = add(values, ends, first, n_runs, np.int64(strip.values[i]), end)
            at = end
        if last == width:
            return i, n_runs
        i += 1


@LIBRARY.entry
def compare(runs: RunStrip, expected: RunStrip, n_wrong: jit.I64_1D) -> None:
    """Count the pixels of each tile that differ; where either cannot be read, there are none."""
    for k in range(len(runs.start) - 1):
        i, i_end = runs.start[k], runs.start[k + 1]
        j, j_end = expected.start[k], expected.start[k + 1]
        wrong = 0
        if i < i_end and j < j_end:
            at = 0
            while i < i_end and j < j_end:
                end = min(runs.ends[i], expected.ends[j])
                if runs.values[i] != expected.values[j]:
                    wrong += end - at
                at = end
                if runs.ends[i] == end:
                    i += 1
                if expected.ends[j] == end:
                    j += 1
        n_wrong[k] = wrong


@kernel
def recut(
    runs: RunStrip, k: int, width: int, new_width: int, new_height: int, values: U32, ends: I32
) -> int:
    """A tile of another size, cropped or padded with 0; the number of runs written.

    There must be room for a run more for each row of the new tile, and two more.
    """
    i, i_end = runs.start[k], runs.start[k + 1]
    height = np.int64(runs.ends[i_end - 1]) // width
    shown = min(width, new_width)
    n_runs = 0
    for y in range(min(height, new_height)):
        row = y * width
        done = y * new_width
        while runs.ends[i] <= row:
            i += 1
        while True:
            last = min(np.int64(runs.ends[i]) - row, shown)
            n_runs = add(values, ends, 0, n_runs, np.int64(runs.values[i]), done + last)
            if last == shown:
                break
            i += 1
        if new_width > shown:
            n_runs = add(values, ends, 0, n_runs, 0, done + new_width)
    if new_height > height:
        n_runs = add(values, ends, 0, n_runs, 0, new_width * new_height)
    return n_runs
