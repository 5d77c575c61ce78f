"""A slide read by tifffile: the TIFFs that OpenSlide cannot open, or opens without their levels.

Only the tiles or strips that a rectangle touches are read and decoded.
"""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from qpmask.errors import MaskError, OptionsError
from qpmask.geometry import Bounds, PixelSize, Size
from qpmask.geometry.pyramids import level_scales
from qpmask.geometry.units import um_per_unit
from qpmask.ometiff.omexml import from_ome_xml
from qpmask.slides.slide import block_of

_STRETCHED_PX = 4_000_000  # pixels that the contrast of a fluorescence image is taken from


class TiffSlide:
    """A slide that tifffile opened.

    Parameters
    ----------
    path : Path
        A TIFF of any kind that tifffile knows.
    series : int
        Which image of an OME-TIFF; the first one of any other file.

    Raises
    ------
    ValueError
        It holds no image that can be shown.
    """

    def __init__(self, path: Path, series: int = 0, size: Size | None = None) -> None:
        self._lock = threading.Lock()
        self._tif = tifffile.TiffFile(path)
        try:
            if series and not self._tif.is_ome:
                raise ValueError("it is no OME-TIFF, and readers count other files' series unlike")
            if series >= len(self._tif.series):
                raise ValueError(f"it has {len(self._tif.series)} series")
            if size is None:
                self._pages = [level.keyframe for level in self._tif.series[series].levels]
            else:
                self._pages = [_page_of(self._tif.pages, size)]
            # Further planes (channels, slices) are pages of their own; the first one is shown.
            first = self._pages[0]
            if first.imagedepth != 1:
                raise ValueError("it is a volume")
            self.levels: tuple[Size, ...] = tuple(
                Size(int(page.imagewidth), int(page.imagelength)) for page in self._pages
            )
            self.scales: tuple[tuple[float, float], ...] = level_scales(
                self.levels, [_tile_of(page) for page in self._pages]
            )
            self.bounds: Bounds | None = None
            self.pixel_size: PixelSize | None = _pixel_size(self._tif, first)
            self.magnification: float | None = None
            self.reader = "tifffile"
            self.is_rgb = first.samplesperpixel in (3, 4) and first.dtype == np.uint8
            self._black, self._white = (0.0, 255.0) if self.is_rgb else self._contrast()
        except BaseException:
            self._tif.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._tif.close()

    def read(self, level: int, x_px: int, y_px: int, size: Size) -> NDArray[np.uint8]:
        """Pixels of a rectangle."""
        try:
            pixels = self._read(level, x_px, y_px, size)
        except Exception as error:
            raise OptionsError(f"The slide cannot be read: {error}.") from error
        if self.is_rgb:
            return pixels[:, :, :3]
        return self._gray(pixels[:, :, 0])

    def block_size(self, level: int) -> Size:
        """A tile, or a strip."""
        return block_of(_segment_size(self._pages[level]), self.levels[level], least_px=64)

    def is_complete(self, level: int) -> bool:
        """Whether all tiles of a level are there; some scanners leave out empty ones."""
        return all(self._pages[level].databytecounts)

    # --- behind the scenes --------------------------------------------------------------------

    def _read(self, level: int, x_px: int, y_px: int, size: Size) -> NDArray[Any]:
        """Samples of a rectangle, shape (rows, columns, samples)."""
        page = self._pages[level]
        is_planar = page.planarconfig == 2 and page.samplesperpixel > 1
        n_samples = int(page.samplesperpixel) if self.is_rgb or not is_planar else 1
        out = np.zeros((size.height_px, size.width_px, n_samples), page.dtype)
        segment_size = _segment_size(page)
        width, height = segment_size.width_px, segment_size.height_px
        n_cols, n_rows = -(-page.imagewidth // width), -(-page.imagelength // height)
        for row in range(y_px // height, min(n_rows, -(-(y_px + size.height_px) // height))):
            for col in range(x_px // width, min(n_cols, -(-(x_px + size.width_px) // width))):
                for plane in range(n_samples if is_planar else 1):
                    index = (plane * n_rows + row) * n_cols + col
                    segment = self._segment(page, index)
                    if segment is None:
                        continue
                    samples = slice(plane, plane + 1) if is_planar else slice(0, n_samples)
                    _paste(out[:, :, samples], segment, row * height - y_px, col * width - x_px)
        return out

    def _segment(self, page: Any, index: int) -> NDArray[Any] | None:
        """A decoded tile or strip, shape (rows, columns, samples); None if it is empty."""
        with self._lock:  # also for what the page says: tifffile reads tags when they are asked for
            n_bytes = page.databytecounts[index]
            if n_bytes == 0:
                return None
            file = self._tif.filehandle
            file.seek(page.dataoffsets[index])
            data = file.read(n_bytes)
            tables = {"jpegtables": page.jpegtables} if page.jpegtables is not None else {}
            decode = page.decode
        pixels, _, _ = decode(data, index, **tables)
        return None if pixels is None else pixels[0]

    def _contrast(self) -> tuple[float, float]:
        """What is shown black and white: the range of the smallest level, without its extremes."""
        smallest = len(self.levels) - 1
        size = self.levels[smallest]
        first = self._pages[0]
        if first.dtype == np.uint8 or size.area_px > _STRETCHED_PX:
            limits = np.iinfo(first.dtype) if first.dtype.kind in "ui" else None
            return (float(limits.min), float(limits.max)) if limits else (0.0, 1.0)
        low, high = np.percentile(self._read(smallest, 0, 0, size)[:, :, 0], (0.1, 99.9))
        return float(low), float(max(high, low + 1e-9))

    def _gray(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        scaled = (values.astype(np.float32) - self._black) * (255 / (self._white - self._black))
        gray = np.clip(np.nan_to_num(scaled), 0, 255).astype(np.uint8)
        return np.repeat(gray[:, :, None], 3, axis=2)


def _page_of(pages: Any, size: Size) -> Any:
    """The first tiled page of a size: levels need not be a series, as tifffile sees them."""
    for page in pages:
        if (page.imagewidth, page.imagelength) == (size.width_px, size.height_px) and page.is_tiled:
            return page
    raise ValueError(f"it has no page of {size} pixels")


def _segment_size(page: Any) -> Size:
    """Width and height of the tiles of a page, or of its strips."""
    if page.is_tiled:
        return Size(int(page.tilewidth), int(page.tilelength))
    return Size(int(page.imagewidth), min(int(page.rowsperstrip), int(page.imagelength)))


def _paste(out: NDArray[Any], segment: NDArray[Any], top: int, left: int) -> None:
    """Write a segment whose corner lies at (top, left) of `out` to the part that both share."""
    height, width = segment.shape[:2]
    rows = slice(max(0, top), min(out.shape[0], top + height))
    cols = slice(max(0, left), min(out.shape[1], left + width))
    out[rows, cols] = segment[rows.start - top : rows.stop - top,
                              cols.start - left : cols.stop - left, : out.shape[2]]  # fmt: skip


def _tile_of(page: Any) -> Size | None:
    return Size(int(page.tilewidth), int(page.tilelength)) if page.is_tiled else None


def _pixel_size(tif: tifffile.TiffFile, page: Any) -> PixelSize | None:
    """Of the first series of an OME-TIFF; else from the resolution, in ImageJ's unit or TIFF's."""
    if tif.is_ome and page is tif.series[0].keyframe:
        with contextlib.suppress(MaskError):
            found = from_ome_xml(tif.ome_metadata or "").pixel_size
            if found is not None:
                return found
    factor = {2: 25_400.0, 3: 10_000.0}.get(int(page.resolutionunit or 1))
    unit = (tif.imagej_metadata or {}).get("unit") if tif.is_imagej else None
    if isinstance(unit, str):
        factor = um_per_unit(unit)
    try:
        x, y = page.resolution
    except (TypeError, ValueError):
        return None
    if factor is None or not (x > 0 and y > 0):
        return None
    width_um, height_um = factor / x, factor / y
    # 72 or 96 dots per inch are a screen's, not a microscope's.
    return PixelSize(width_um, height_um) if max(width_um, height_um) < 100 else None
