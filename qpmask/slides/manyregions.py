"""Many regions of one level in one order, each piece of the file decoded once.

A level is divided into blocks: the tiles of the file where they can be read one by one, else larger
squares. A block is read when the first region that needs it comes, by a few threads ahead of it,
and forgotten after the last one.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from qpmask.errors import OptionsError
from qpmask.geometry import Size
from qpmask.slides.slide import GLASS, Slide

_Result = TypeVar("_Result")
_AHEAD = 8  # blocks, and regions, under way for each thread


class RegionError(OptionsError):
    """A block cannot be read.

    Parameters
    ----------
    message : str
        Why.
    x_px, y_px : int
        Its corner, in pixels of the level.
    """

    def __init__(self, message: str, x_px: int = 0, y_px: int = 0) -> None:
        super().__init__(message)
        self.x_px, self.y_px = x_px, y_px


@dataclass(frozen=True)
class Region:
    """A rectangle of a level, in its pixels; it may reach beyond the level."""

    x_px: int
    y_px: int
    width_px: int
    height_px: int


def regions_in_order(
    slide: Slide,
    level: int,
    regions: Sequence[Region],
    finish: Callable[[int, NDArray[np.uint8]], _Result],
    threads: int = 2,
) -> Iterator[_Result]:
    """Read regions in their order.

    Parameters
    ----------
    slide : Slide
        The slide; its `read` must be safe from several threads.
    level : int
        Which level.
    regions : sequence of Region
        What to read; neighbours should follow each other, row by row.
    finish : callable
        Called, by a thread, with the number of a region and its pixels (uint8, shape (rows,
        columns, 3), its own); where there is no slide they are white.
    threads : int
        How many.

    Yields
    ------
    object
        What `finish` returns, in the order of the regions.
    """
    size, block = slide.levels[level], slide.block_size(level)
    needs = [_blocks_of(region, block, size) for region in regions]
    uses: dict[tuple[int, int], int] = {}
    for need in needs:
        for at in need:
            uses[at] = uses.get(at, 0) + 1  # in the order in which they are needed first

    def read(at: tuple[int, int]) -> NDArray[np.uint8]:
        row, col = at
        x, y = col * block.width_px, row * block.height_px
        try:
            return read_block(x, y)
        except OptionsError as error:
            raise RegionError(error.message, x, y) from error

    def read_block(x: int, y: int) -> NDArray[np.uint8]:
        return slide.read(level, x, y, Size(min(block.width_px, size.width_px - x),
                                            min(block.height_px, size.height_px - y)))  # fmt: skip

    def make(index: int, parts: list[tuple[tuple[int, int], NDArray[np.uint8]]]) -> _Result:
        region = regions[index]
        page = np.empty((region.height_px, region.width_px, 3), np.uint8)
        is_inside = (
            0 <= region.x_px <= size.width_px - region.width_px
            and 0 <= region.y_px <= size.height_px - region.height_px
        )
        if not is_inside:
            page[:] = GLASS
        for (row, col), pixels in parts:
            _paste(page, pixels, row * block.height_px - region.y_px,
                   col * block.width_px - region.x_px)  # fmt: skip
        return finish(index, page)

    with ThreadPoolExecutor(max(1, threads), "qpmask-blocks") as pool:
        order = iter(list(uses))
        coming: dict[tuple[int, int], Future[NDArray[np.uint8]]] = {}
        ready: dict[tuple[int, int], NDArray[np.uint8]] = {}
        done: deque[Future[_Result]] = deque()
        try:
            for index, need in enumerate(needs):
                for ahead in itertools.islice(order, max(0, _AHEAD * threads - len(coming))):
                    coming[ahead] = pool.submit(read, ahead)
                parts = []
                for at in need:
                    while at not in ready:
                        if at not in coming:
                            ahead = next(order)
                            coming[ahead] = pool.submit(read, ahead)
                        else:
                            ready[at] = coming.pop(at).result()
                    parts.append((at, ready[at]))
                    uses[at] -= 1
                    if not uses[at]:
                        del ready[at]
                done.append(pool.submit(make, index, parts))
                if len(done) > _AHEAD * threads:
                    yield done.popleft().result()
            while done:
                yield done.popleft().result()
        finally:
            for block_read in coming.values():
                block_read.cancel()
            for made in done:
                made.cancel()


def _blocks_of(region: Region, block: Size, size: Size) -> list[tuple[int, int]]:
    """The blocks that a region touches, as (row, col)."""
    x0, y0 = max(0, region.x_px), max(0, region.y_px)
    x1 = min(size.width_px, region.x_px + region.width_px)
    y1 = min(size.height_px, region.y_px + region.height_px)
    return [
        (row, col)
        for row in range(y0 // block.height_px, -(-y1 // block.height_px))
        for col in range(x0 // block.width_px, -(-x1 // block.width_px))
        if x1 > x0
    ]


def _paste(page: NDArray[np.uint8], pixels: NDArray[np.uint8], top: int, left: int) -> None:
    """Write a block whose corner lies at (top, left) of a page to the part that both share."""
    rows = slice(max(0, top), min(page.shape[0], top + pixels.shape[0]))
    cols = slice(max(0, left), min(page.shape[1], left + pixels.shape[1]))
    page[rows, cols] = pixels[rows.start - top : rows.stop - top,
                              cols.start - left : cols.stop - left]  # fmt: skip
