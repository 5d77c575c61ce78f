"""The directories of a mask file as bytes: little-endian TIFF, classic or BigTIFF.

All directories stand at the front of the file, in front of the tiles, because some readers (Pillow)
lose their way when the first one lies beyond 4 GiB. Their length depends only on what is known
before the first tile, so the writer leaves room and fills it in at the end.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qpmask._version import __version__
from qpmask.geometry import PixelSize, Size

COMPRESSION_TAGS = {
    "none": 1,
    "lzw": 5,
    "zlib": 8,
    "packbits": 32773,
    "png": 34933,
    "zstd": 50000,
}

_UINT32_MAX = 2**32 - 1
_UM_PER_CM = 10_000
_ASCII, _SHORT, _LONG, _RATIONAL, _IFD, _LONG8, _IFD8 = 2, 3, 4, 5, 13, 16, 18

_Entry = tuple[int, int, int, bytes]  # tag, type, count, values


class Directory(NamedTuple):
    """One image of the file: a plane, or a level of its pyramid.

    Parameters
    ----------
    size : Size
        Size of the image.
    tile_px : int
        Edge of a tile, or rows of a strip.
    bits : int
        Bits per pixel.
    compression : str
        A key of `COMPRESSION_TAGS`.
    offsets, bytecounts : ndarray of int64, shape (n_tiles,)
        Where the tiles are; the writer fills them in.
    is_level : bool
        Whether it is a smaller copy of another image. Without this mark (NewSubfileType) OpenSlide
        sees one level and GDAL none.
    resolution : tuple of Fraction, optional
        Pixels per centimetre in x and y.
    description : bytes, optional
        OME-XML, in the first directory only.
    levels : tuple of int
        Indices of the directories that are this one's levels (its SubIFDs).
    following : int, optional
        Index of the next directory in the chain.
    in_strips : bool
        Whether it has strips, as wide as the image, instead of tiles.
    """

    size: Size
    tile_px: int
    bits: int
    compression: str
    offsets: NDArray[np.int64]
    bytecounts: NDArray[np.int64]
    is_level: bool = False
    resolution: tuple[Fraction, Fraction] | None = None
    description: bytes | None = None
    levels: tuple[int, ...] = ()
    following: int | None = None
    in_strips: bool = False


def resolution_per_cm(pixel_size: PixelSize, level: int = 0) -> tuple[Fraction, Fraction]:
    """Pixels per centimetre at a level, in x and y, as fractions that TIFF can hold.

    Exact where numerator and denominator fit into 32 bits, which pixel sizes of up to about eight
    decimals do: 0.2527 µm is 100000000/2527. Else the nearest fraction that fits.
    """
    return (
        _fitting(_UM_PER_CM / (Fraction(repr(float(pixel_size.width_um))) * 2**level)),
        _fitting(_UM_PER_CM / (Fraction(repr(float(pixel_size.height_um))) * 2**level)),
    )


def _fitting(value: Fraction) -> Fraction:
    if value >= _UINT32_MAX:
        return Fraction(_UINT32_MAX)
    if value <= Fraction(1, _UINT32_MAX):
        return Fraction(1, _UINT32_MAX)
    largest_denominator = min(_UINT32_MAX, int(_UINT32_MAX / value))
    nearest = value.limit_denominator(largest_denominator)
    return nearest if nearest.numerator <= _UINT32_MAX else Fraction(int(value))


def pack_directories(directories: Sequence[Directory], *, big: bool) -> bytes:
    """The front of the file: its header and all directories.

    Parameters
    ----------
    directories : sequence of Directory
        The first one first; the others in any order.
    big : bool
        BigTIFF rather than classic TIFF.

    Returns
    -------
    bytes
        Its length depends on `big`, the numbers of tiles and the description, and on nothing else.
    """
    header_bytes = 16 if big else 8
    starts = [0] * len(directories)
    # The SubIFDs need the places of later directories: lay out once to learn them, then pack.
    place = header_bytes
    for i, directory in enumerate(directories):
        starts[i] = place
        place += len(_pack_one(directory, place, starts, big=big))
    header = struct.pack("<2sHHHQ", b"II", 43, 8, 0, starts[0]) if big else b""
    header = header or struct.pack("<2sHL", b"II", 42, starts[0])
    packed = (
        _pack_one(d, start, starts, big=big) for d, start in zip(directories, starts, strict=True)
    )
    return header + b"".join(packed)


def _pack_one(directory: Directory, start: int, starts: Sequence[int], *, big: bool) -> bytes:
    """One directory and, behind it, the values that are too long for an entry."""
    entries = _entries(directory, starts, big=big)
    inline_bytes = 8 if big else 4
    head = struct.pack("<Q" if big else "<H", len(entries))
    values_start = start + len(head) + len(entries) * (20 if big else 12) + inline_bytes
    table, values = [head], bytearray()
    for tag, kind, count, data in entries:
        table.append(struct.pack("<HHQ" if big else "<HHL", tag, kind, count))
        if len(data) <= inline_bytes:
            table.append(data.ljust(inline_bytes, b"\0"))
        else:
            table.append(struct.pack("<Q" if big else "<L", values_start + len(values)))
            values += data
            values += bytes(-len(values) % 8)
    following = 0 if directory.following is None else starts[directory.following]
    table.append(struct.pack("<Q" if big else "<L", following))
    packed = b"".join(table) + bytes(values)
    return packed + bytes(-len(packed) % 8)


def _entries(d: Directory, starts: Sequence[int], *, big: bool) -> list[_Entry]:
    n_tiles = len(d.offsets)
    offset_type, offset_dtype = (_LONG8, "<u8") if big else (_LONG, "<u4")
    resolution_x, resolution_y = d.resolution or (Fraction(1), Fraction(1))
    software = f"qpmask {__version__}".encode("ascii")
    entries = [
        _longs(254, 1 if d.is_level else 0),  # NewSubfileType
        _longs(256, d.size.width_px),
        _longs(257, d.size.height_px),
        _short(258, d.bits),
        _short(259, COMPRESSION_TAGS[d.compression]),
        _short(262, 1),  # PhotometricInterpretation: a palette would make readers give colours
        _short(277, 1),  # SamplesPerPixel
        _rational(282, resolution_x),
        _rational(283, resolution_y),
        _short(284, 1),  # PlanarConfiguration
        _short(296, 3 if d.resolution else 1),  # ResolutionUnit: centimetre or none
        (305, _ASCII, len(software) + 1, software + b"\0"),
        (_strip_tag(d, 324), offset_type, n_tiles, d.offsets.astype(offset_dtype).tobytes()),
        (_strip_tag(d, 325), _LONG, n_tiles, d.bytecounts.astype("<u4").tobytes()),
        _short(339, 1),  # SampleFormat: unsigned integer
    ]
    # RowsPerStrip, or TileWidth and TileLength
    entries += [_longs(tag, d.tile_px) for tag in ((278,) if d.in_strips else (322, 323))]
    if d.description is not None:
        text = d.description + b"\0"
        entries.append((270, _ASCII, len(text), text))
    if d.levels:
        places = struct.pack(
            f"<{len(d.levels)}{'Q' if big else 'L'}", *(starts[i] for i in d.levels)
        )
        entries.append((330, _IFD8 if big else _IFD, len(d.levels), places))
    return sorted(entries)


def _strip_tag(d: Directory, tag: int) -> int:
    """StripOffsets for TileOffsets, StripByteCounts for TileByteCounts, in a file of strips."""
    return {324: 273, 325: 279}[tag] if d.in_strips else tag


def _short(tag: int, value: int) -> _Entry:
    return tag, _SHORT, 1, struct.pack("<H", value)


def _longs(tag: int, *values: int) -> _Entry:
    return tag, _LONG, len(values), struct.pack(f"<{len(values)}L", *values)


def _rational(tag: int, value: Fraction) -> _Entry:
    return tag, _RATIONAL, 1, struct.pack("<LL", value.numerator, value.denominator)
