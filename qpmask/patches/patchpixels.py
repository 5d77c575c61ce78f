"""Pixels of patches: read at one level of the slide, and resampled if need be."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qpmask.errors import OptionsError
from qpmask.geometry import Size
from qpmask.patches.table import PatchTable
from qpmask.slides import GLASS, Slide, open_slide
from qpmask.slides.manyregions import Region, RegionError, regions_in_order
from qpmask.slides.openslide_by_tifffile import faster_slide

_FEW = 32  # patches; for fewer, looking for something faster takes longer than it saves


def level_scales(slide: Slide) -> tuple[float, ...]:
    """Pixels of level 0 in a pixel of each level."""
    return tuple((x + y) / 2 for x, y in slide.scales)


class PatchReader:
    """Reads the patches of one slide; safe from several threads.

    Parameters
    ----------
    path : Path
        The slide.
    table : PatchTable
        The patches.

    Raises
    ------
    OptionsError
        The slide cannot be opened, or is not the one that they were cut from.
    """

    def __init__(self, path: Path, table: PatchTable) -> None:
        self._path = path
        self._table = table
        found = table.attributes
        self._patch_px = int(found["patch_size"])
        self._patch_px0 = int(found["patch_size_level0"])
        self._slide: Slide = open_slide(path)
        self._twin: tuple[Slide, int] | None = None
        self._lock = threading.Lock()
        self._looked = False
        size = self._slide.levels[0]
        said = found.get("level0_width"), found.get("level0_height")
        if None not in said and said != (size.width_px, size.height_px):
            self._slide.close()
            raise OptionsError(
                f"{path} has {size} pixels, but the patches were cut from a slide of "
                f"{said[0]} x {said[1]}.",
                hint="Name the right slide.",
            )
        levels = np.unique(table.read[:, 4]).tolist()
        if len(levels) > 1 or (levels and not 0 <= levels[0] < len(self._slide.levels)):
            self._slide.close()
            raise OptionsError(f"{path} has no level {levels[-1]}, which its patches name.")
        self._level = levels[0] if levels else 0
        self._scale = level_scales(self._slide)[self._level]

    def __enter__(self) -> PatchReader:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the slide."""
        self._slide.close()
        if self._twin is not None:
            self._twin[0].close()

    def read(self, index: int) -> NDArray[np.uint8]:
        """Pixels of one patch, shape (patch_size, patch_size, 3)."""
        region = self._region(index)
        size = self._slide.levels[self._level]
        x0, y0 = max(0, region.x_px), max(0, region.y_px)
        x1 = min(size.width_px, region.x_px + region.width_px)
        y1 = min(size.height_px, region.y_px + region.height_px)
        page = np.full((region.height_px, region.width_px, 3), GLASS, np.uint8)
        if x1 > x0 and y1 > y0:
            try:
                page[y0 - region.y_px : y1 - region.y_px, x0 - region.x_px : x1 - region.x_px] = (
                    self._slide.read(self._level, x0, y0, Size(x1 - x0, y1 - y0))
                )
            except OptionsError as error:
                self._slide = open_slide(self._path)  # OpenSlide reads nothing after an error
                raise self._error(index, error) from error
        return self._finish(index, page)

    def in_order(
        self,
        which: Sequence[int],
        threads: int = 2,
        then: Callable[[int, NDArray[np.uint8]], None] = lambda index, pixels: None,
    ) -> Iterator[NDArray[np.uint8]]:
        """Pixels of patches in an order, each tile decoded once where it follows the rows.

        `then` is called with each, by the thread that made it.
        """

        def finish(k: int, page: NDArray[np.uint8]) -> NDArray[np.uint8]:
            pixels = self._finish(which[k], page)
            then(which[k], pixels)
            return pixels

        slide, level = self._slide, self._level
        if len(which) >= _FEW:
            with self._lock:
                if not self._looked:
                    self._twin = faster_slide(slide, self._path, level)
                    self._looked = True
            if self._twin is not None:
                slide, level = self._twin
        regions = [self._region(i) for i in which]
        try:
            yield from regions_in_order(slide, level, regions, finish, threads)
        except RegionError as error:
            x, y = round(error.x_px * self._scale), round(error.y_px * self._scale)
            self._slide = open_slide(self._path)
            raise OptionsError(
                f"{self._path} cannot be read near ({x}, {y}): {error.message}"
            ) from error

    def _corner(self, index: int) -> tuple[float, float]:
        """Corner of a patch in pixels of the level, not rounded."""
        x, y = self._table.read[index, :2].tolist()
        return x / self._scale, y / self._scale

    def _region(self, index: int) -> Region:
        """Whole pixels of the level that a patch touches."""
        left, top = self._corner(index)
        width, height = self._table.read[index, 2:4].tolist()
        if self._is_whole(left) and self._is_whole(top):
            return Region(round(left), round(top), width, height)
        side = self._patch_px0 / self._scale
        x, y = int(np.floor(left)), int(np.floor(top))
        return Region(x, y, int(np.ceil(left + side)) - x, int(np.ceil(top + side)) - y)

    @staticmethod
    def _is_whole(value: float) -> bool:
        return abs(value - round(value)) < 1e-6

    def _finish(self, index: int, page: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resample to the size of a patch, unless it has it already."""
        n = self._patch_px
        left, top = self._corner(index)
        side = self._patch_px0 / self._scale
        whole = self._is_whole(left) and self._is_whole(top)
        if whole and page.shape[:2] == (n, n) and abs(side - n) < 1e-6:
            return page
        from PIL import Image

        x, y = (0.0, 0.0) if whole else (left - np.floor(left), top - np.floor(top))
        box = (x, y, min(x + side, page.shape[1]), min(y + side, page.shape[0]))
        resized = Image.fromarray(page).resize((n, n), Image.Resampling.BICUBIC, box=box)
        return np.array(resized)

    def _error(self, index: int, error: OptionsError) -> OptionsError:
        x, y = self._table.coords[index].tolist()
        return OptionsError(f"{self._path} cannot be read at ({x}, {y}): {error.message}")
