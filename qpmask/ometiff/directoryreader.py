"""Reads the directories of a TIFF: a file goes in, a :class:`.directories.Structure` comes out.

``tifffile`` reads the tags; here they are put in order and everything is checked that later code
relies upon, so that a damaged or foreign file is a :class:`~qpmask.errors.MaskError` and nothing
else.
"""

from __future__ import annotations

import contextlib
import logging
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from qpmask.errors import MaskError
from qpmask.geometry import Size
from qpmask.ometiff.codecs import COMPRESSION_NAMES
from qpmask.ometiff.directories import Image, Level, Structure

_log = logging.getLogger(__name__)

_MOST_UNLISTED = 4  # samples whose bits some programs say once for all
_MAX_TILE_PX = 2**26  # a tile of more pixels is damage, or no tile in any useful sense
_COLOR = (2, 6)  # PhotometricInterpretation: RGB, YCbCr
_CUT_STRIP_BYTES = 2**18
_DTYPES = {1: "u1", 8: "u1", 16: "u2", 32: "u4"}
_IMAGEJ_UNIT = re.compile(r"^unit=(.+)$", re.MULTILINE)


def read_structure(path: Path) -> Structure:
    """Read the directories of a file.

    Raises
    ------
    MaskError
        If it is not a TIFF of whole numbers, or is damaged.
    """
    try:
        with _tifffile_logs(), tifffile.TiffFile(path) as tif:
            return _read(tif, path)
    except MaskError:
        raise
    except OSError as error:
        raise MaskError(
            f"The mask {path} cannot be opened: {error.strerror or error}.",
            hint="Is the path right, and may you read it?",
        ) from error
    except Exception as error:
        # Whatever a library makes of damaged bytes, callers see one error.
        raise MaskError(
            f"{path} cannot be read as a TIFF: {error}.",
            hint="It is damaged, incomplete, or not a TIFF at all.",
        ) from error


def is_in_color(path: Path) -> bool:
    """Whether a file is a TIFF of three samples a pixel, such as a slide; False if in doubt."""
    try:
        with _tifffile_logs(), tifffile.TiffFile(path) as tif:
            page = tif.pages.first
            return int(page.samplesperpixel) >= 3 and int(page.photometric) in _COLOR
    except Exception:  # damaged, or no TIFF at all: whoever reads it says so
        return False


@contextlib.contextmanager
def _tifffile_logs() -> Iterator[None]:
    """Hand on what tifffile logs about a damaged file in this thread at the level DEBUG.

    It logs a line for each broken tag at ERROR, which ends up on people's terminals; they get our
    one error instead.
    """
    this_thread = threading.get_ident()

    def keep(record: logging.LogRecord) -> bool:
        if record.thread != this_thread:
            return True
        _log.debug("tifffile: %s", record.getMessage())
        return False

    logger = logging.getLogger("tifffile")
    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)


def _read(tif: Any, path: Path) -> Structure:
    pages = list(tif.pages)
    if not pages:
        raise MaskError(f"{path} is a TIFF without an image.")
    file_bytes = int(tif.filehandle.size)
    first = _image(pages[0], tif.byteorder, path)
    planes, levels_in_chain = [], []
    by_offset: dict[int, Image] = {}
    for page in pages:
        image = first if page is pages[0] else _try_image(page, tif.byteorder, path)
        if image is None:
            continue
        by_offset[int(page.offset)] = image
        if image.subfile_type & 1:
            levels_in_chain.append(image)
        elif _same_kind(image, first) and image.level.size == first.level.size:
            planes.append((page, image))
    if not planes:
        planes = [(pages[0], first)]
    images = []
    for page, image in planes:
        if all(int(offset) in by_offset for offset in page.subifds or ()):
            # Ours are in the main chain as well: no need to read them twice.
            levels = [by_offset[int(offset)] for offset in page.subifds or ()]
        else:
            levels = [_image(sub_page, tif.byteorder, path) for sub_page in page.pages]
        if not levels and len(planes) == 1:
            levels = levels_in_chain
        images.append((image, *_shrinking(image, levels)))
    n_levels = 0
    for same_level in zip(*images, strict=False):
        if any(image.level != same_level[0].level for image in same_level):
            break
        n_levels += 1
    if n_levels == 0:
        raise MaskError(f"The planes of {path} have tiles of different sizes.")
    return Structure(
        byte_order=tif.byteorder,
        is_bigtiff=bool(tif.is_bigtiff),
        file_bytes=file_bytes,
        images=tuple(levels[:n_levels] for levels in images),
        chain=tuple(int(page.offset) for page in pages),
        sub_directories=tuple(int(offset) for offset in pages[0].subifds or ()),
        ome_xml=_ome_xml(pages[0]),
        imagej_unit=_imagej_unit(pages[0]),
    )


def _same_kind(image: Image, first: Image) -> bool:
    kinds = [(i.dtype, i.n_bits, i.n_samples) for i in (image, first)]
    return kinds[0] == kinds[1]


def _shrinking(base: Image, levels: list[Image]) -> list[Image]:
    """Those images that are levels of a pyramid upon the base, each smaller than the one before."""
    kept: list[Image] = []
    for image in levels:
        size, above = image.level.size, (kept[-1] if kept else base).level.size
        smaller = size.width_px <= above.width_px and size.height_px <= above.height_px
        if _same_kind(image, base) and smaller and size != above:
            kept.append(image)
    return kept


def _try_image(page: Any, byte_order: str, path: Path) -> Image | None:
    """A further directory of the chain, or None if it is none of a mask, such as a thumbnail."""
    try:
        return _image(page, byte_order, path)
    except MaskError as error:
        _log.debug("directory ignored: %s", error)
        return None


def _image(page: Any, byte_order: str, path: Path) -> Image:
    size = Size(int(page.imagewidth), int(page.imagelength))
    if size.width_px < 1 or size.height_px < 1:
        raise MaskError(f"{path} holds an image of {size} pixels.", hint="It is damaged.")
    is_tiled = bool(page.is_tiled)
    tile = Size(int(page.tilewidth), int(page.tilelength)) if is_tiled else _strip(page, size)
    if tile.width_px < 1 or tile.height_px < 1:
        raise MaskError(f"{path} has tiles of {tile} pixels.", hint="It is damaged.")
    if tile.area_px > _MAX_TILE_PX:
        raise MaskError(
            f"{path} has {'tiles' if is_tiled else 'strips'} of {tile} pixels.",
            hint="It is damaged." if is_tiled else "Write it in tiles, so that parts can be read.",
        )
    if int(getattr(page, "imagedepth", 1)) != 1 or int(getattr(page, "tiledepth", 1)) != 1:
        raise MaskError(f"{path} has tiles with a depth; a mask has flat ones.")
    n_bits, sample_format = page.bitspersample, page.sampleformat
    if not isinstance(n_bits, int) or n_bits not in _DTYPES or sample_format not in (1, 2, None):
        what = page.dtype if n_bits in (8, 16, 32, 64) else f"{n_bits} bits"
        raise MaskError(
            f"{path} has pixels of type {what}; labels are whole numbers of 1, 8, 16 or 32 bits.",
            hint="Write it as uint8, uint16 or uint32.",
        )
    compression = COMPRESSION_NAMES.get(int(page.compression))
    if compression is None:
        method = getattr(page.compression, "name", "unknown")
        raise MaskError(
            f"{path} is compressed by a method that qpmask does not read: {method} "
            f"({int(page.compression)}).",
            hint="Write it with LZW, deflate or zstd. JPEG changes labels.",
        )
    if int(page.predictor) not in (1, 2):
        raise MaskError(f"{path} uses the predictor {int(page.predictor)}, for floats only.")
    if int(page.predictor) == 2 and n_bits == 1:
        raise MaskError(f"{path} uses a predictor for pixels of 1 bit, which makes no sense.")
    if int(page.fillorder) != 1:
        raise MaskError(f"{path} stores its bits in the opposite order (FillOrder 2).")
    n_samples, is_planar = int(page.samplesperpixel), int(page.planarconfig) == 2
    bits_tag = page.tags.get(258)
    n_listed = 1 if bits_tag is None else int(bits_tag.count)
    if n_samples > max(n_listed, _MOST_UNLISTED):
        raise MaskError(
            f"{path} counts {n_samples:,} samples a pixel, but says the bits of {n_listed:,} only.",
            hint="It is damaged.",
        )
    level = Level(size, tile)
    # A PNG has a byte order of its own, and is decoded to the machine's.
    order = "=" if compression == "png" else byte_order
    image = Image(
        level=level,
        dtype=np.dtype(order + _DTYPES[n_bits]),
        n_samples=n_samples,
        is_planar=is_planar and n_samples > 1,
        compression=compression,
        has_predictor=int(page.predictor) == 2,
        subfile_type=int(page.subfiletype),
        photometric=int(page.photometric),
        has_colormap=320 in page.tags,
        resolution=_resolution(page),
        offsets=np.asarray(page.dataoffsets, np.int64),
        bytecounts=np.asarray(page.databytecounts, np.int64),
        directory_offset=int(page.offset),
        n_bits=n_bits,
        is_signed=sample_format == 2,
        is_tiled=is_tiled,
    )
    if compression == "none" and not is_tiled and len(image.offsets) == 1:
        image = _cut_strip(image)
        level = image.level
    n_expected = level.n_tiles * (n_samples if image.is_planar else 1)
    if n_samples < 1 or len(image.offsets) != n_expected or len(image.bytecounts) != n_expected:
        raise MaskError(
            f"{path} lists {len(image.offsets):,} tiles where an image of {size} pixels has "
            f"{n_expected:,}.",
            hint="It is damaged or incomplete.",
        )
    return image


def _strip(page: Any, size: Size) -> Size:
    """Size of a strip, the last one apart."""
    return Size(size.width_px, max(1, min(int(page.rowsperstrip), size.height_px)))


def _cut_strip(image: Image) -> Image:
    """An image that is one strip without compression, as one of shorter strips: the same bytes."""
    n_rows = max(1, _CUT_STRIP_BYTES // image.row_bytes)
    level = replace(image.level, tile=Size(image.level.tile.width_px, n_rows))
    n_left = int(image.bytecounts[0])
    starts = np.arange(level.n_tiles, dtype=np.int64) * n_rows * image.row_bytes
    lengths = np.clip(n_left - starts, 0, n_rows * image.row_bytes)
    return image._replace(level=level, offsets=image.offsets[0] + starts, bytecounts=lengths)


def _resolution(page: Any) -> tuple[float, float, int] | None:
    """Tags XResolution, YResolution and ResolutionUnit, or None where one has no value."""
    tags = [page.tags.get(code) for code in (282, 283)]
    unit = page.tags.get(296)
    if None in tags:
        return None
    values = []
    for tag in tags:
        numerator, denominator = tag.value
        if not denominator:
            return None
        values.append(numerator / denominator)
    return values[0], values[1], int(unit.value) if unit is not None else 2


def _ome_xml(page: Any) -> str | None:
    text = _description(page)
    return text if "<OME" in text else None


def _imagej_unit(page: Any) -> str | None:
    text = _description(page)
    unit = _IMAGEJ_UNIT.search(text) if text.startswith("ImageJ=") else None
    return unit.group(1) if unit is not None else None


def _description(page: Any) -> str:
    description = page.tags.get(270)
    if description is None:
        return ""
    value = description.value
    return value if isinstance(value, str) else bytes(value).decode("utf-8", "replace")
