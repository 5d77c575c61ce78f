"""The directories of a TIFF as a mask has them: planes, levels, where the tiles are.

``tifffile`` reads the tags; here they are put in order and everything is checked that later code
relies upon, so that a damaged or foreign file is a :class:`~qpmask.errors.MaskError` and nothing
else.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
from numpy.typing import NDArray

from qpmask.errors import MaskError
from qpmask.geometry import Size, Tiled
from qpmask.ometiff.codecs import COMPRESSION_NAMES
from qpmask.ometiff.omexml import MaskMetadata, from_ome_xml

_log = logging.getLogger(__name__)

_MAX_TILE_PX = 2**26  # a tile of more pixels is damage, or no tile in any useful sense
_COLOR = (2, 6)  # PhotometricInterpretation: RGB, YCbCr
_CUT_STRIP_BYTES = 2**18
_DTYPES = {1: "u1", 8: "u1", 16: "u2", 32: "u4"}


@dataclass(frozen=True)
class Level(Tiled):
    """One level: its size and the size of its tiles (edge tiles are cropped)."""

    def shape(self, row: int, col: int) -> tuple[int, int]:
        """(height, width) of the part of a tile that lies inside the image, in pixels."""
        return (
            min(self.tile.height_px, self.size.height_px - row * self.tile.height_px),
            min(self.tile.width_px, self.size.width_px - col * self.tile.width_px),
        )


class Image(NamedTuple):
    """One directory of the file.

    Parameters
    ----------
    level : Level
        Size and tile size.
    dtype : numpy.dtype
        Pixel type in the file's byte order.
    n_samples : int
        Samples per pixel.
    is_planar : bool
        Whether each sample has tiles of its own, all tiles of the first sample first.
    compression : str
        A value of `COMPRESSION_NAMES`.
    has_predictor : bool
        Whether the tiles hold differences from the pixel at the left.
    subfile_type, photometric : int
        The tags of these names.
    has_colormap : bool
        Whether there is a palette.
    resolution : tuple of (float, float, int), optional
        XResolution, YResolution and ResolutionUnit.
    offsets, bytecounts : ndarray of int64
        Where the tiles are.
    directory_offset : int
        Where the directory itself is.
    n_bits : int
        Bits a sample; samples of one bit are uint8 here.
    is_signed : bool
        Whether the file has signed integers. Labels are not negative, so `dtype` is unsigned.
    is_tiled : bool
        Whether the file has tiles. Strips are tiles as wide as the image here.
    """

    level: Level
    dtype: np.dtype[Any]
    n_samples: int
    is_planar: bool
    compression: str
    has_predictor: bool
    subfile_type: int
    photometric: int
    has_colormap: bool
    resolution: tuple[float, float, int] | None
    offsets: NDArray[np.int64]
    bytecounts: NDArray[np.int64]
    directory_offset: int
    n_bits: int
    is_signed: bool = False
    is_tiled: bool = True

    @property
    def row_bytes(self) -> int:
        """Length of a row of a decoded tile."""
        samples = 1 if self.is_planar else self.n_samples
        if self.n_bits == 1:  # each row fills its last byte
            return -(-self.level.tile.width_px * samples // 8)
        return self.level.tile.width_px * samples * self.dtype.itemsize

    def segment_bytes(self, row: int = 0) -> int:
        """Length of a decoded tile; the last strip is shorter, tiles at an edge are not."""
        n_rows = self.level.tile.height_px if self.is_tiled else self.level.shape(row, 0)[0]
        return self.row_bytes * n_rows

    def unpack(self, raw: NDArray[np.uint8], sample: int) -> NDArray[Any]:
        """Pixels of one sample of a decoded tile, shape (rows, tile width).

        Raises
        ------
        ValueError
            If one of them is negative.
        """
        samples = 1 if self.is_planar else self.n_samples
        n_rows = len(raw) // self.row_bytes
        shape = (n_rows, self.level.tile.width_px, samples)
        if self.n_bits == 1:
            rows = raw.reshape(n_rows, self.row_bytes)
            bits = np.unpackbits(rows, axis=1, count=shape[1] * samples).reshape(shape)
            return bits[:, :, 0 if self.is_planar else sample]
        pixels = raw.view(self.dtype).reshape(shape)
        if self.has_predictor:
            pixels = np.cumsum(pixels, axis=1, dtype=self.dtype.newbyteorder("="))
        if self.is_signed and (largest := int(pixels.max(initial=0))) >> (self.n_bits - 1):
            raise ValueError(f"it has the label {largest - 2**self.n_bits}")
        return pixels[:, :, 0 if self.is_planar else sample]


_IMAGEJ_UNIT = re.compile(r"^unit=(.+)$", re.MULTILINE)
_CREATOR = re.compile(r"""\bCreator\s*=\s*["']([^"']*)""")


@dataclass(frozen=True, eq=False)
class Structure:
    """The whole file.

    Parameters
    ----------
    byte_order : {"<", ">"}
        Little- or big-endian.
    is_bigtiff : bool
        BigTIFF or classic TIFF.
    file_bytes : int
        Size of the file.
    images : tuple of tuple of Image
        By page of the main chain that is a plane, then by level.
    chain, sub_directories : tuple of int
        Offsets of the directories in the main chain, and of the first one's SubIFDs.
    ome_xml : str, optional
        The description of the first directory, if it is OME-XML.
    imagej_unit : str, optional
        The unit of the resolution in a file of ImageJ, which TIFF's own tag does not know.
    """

    byte_order: str
    is_bigtiff: bool
    file_bytes: int
    images: tuple[tuple[Image, ...], ...]
    chain: tuple[int, ...]
    sub_directories: tuple[int, ...]
    ome_xml: str | None
    imagej_unit: str | None = None

    @property
    def metadata(self) -> MaskMetadata | None:
        """What the OME-XML says, read when it is asked for."""
        return self._parsed[0]

    @property
    def writer(self) -> str:
        """What wrote the file: "qpmask", "Bio-Formats" (and so QuPath), or "other"."""
        xml = self.ome_xml or ""
        creator = _CREATOR.search(xml[:4096])
        name = creator.group(1) if creator is not None else ""
        m = self.metadata
        if name.startswith("qpmask") or (m is not None and (m.classes or m.extra)):
            return "qpmask"
        return "Bio-Formats" if "Bio-Formats" in name else "other"

    @functools.cached_property
    def n_absent(self) -> int:
        """Tiles that a sparse file of another program leaves out: they are background."""
        if self.writer != "other":
            return 0
        return sum(
            int(np.count_nonzero((image.offsets == 0) & (image.bytecounts == 0)))
            for levels in self.images
            for image in levels
        )

    @property
    def note(self) -> str | None:
        """What people should know of the file, for one line."""
        if not self.n_absent:
            return None
        are = "tile is" if self.n_absent == 1 else "tiles are"
        return f"{self.n_absent:,} {are} not in the file, as in sparse TIFFs: counted as background"

    @property
    def metadata_problem(self) -> str | None:
        """Why there are no metadata although there is OME-XML."""
        return self._parsed[1]

    @functools.cached_property
    def _parsed(self) -> tuple[MaskMetadata | None, str | None]:
        if self.ome_xml is None:
            return None, None
        try:
            return from_ome_xml(self.ome_xml), None
        except MaskError as error:
            return None, str(error)

    @property
    def levels(self) -> tuple[Level, ...]:
        """Sizes and tile sizes of the levels."""
        return tuple(image.level for image in self.images[0])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Pixel type in the machine's byte order."""
        dtype: np.dtype[Any] = self.images[0][0].dtype.newbyteorder("=")
        return dtype

    @property
    def n_samples(self) -> int:
        """Samples per pixel."""
        return self.images[0][0].n_samples

    @property
    def n_planes(self) -> int:
        """Number of planes."""
        return len(self.images) * self.n_samples


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
