"""A mask once more, as one level in TIFF strips: for programs that read no tiles.

In: a mask in tiles. Out: the same pixels, read back and compared. SimpleITK, ITK and ImageJ read
such files (``examples/readers.md``); slide readers do not. (The strips of
:mod:`qpmask.ometiff.strips` are something else: a few tiles that are worked on together.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.errors import MaskCheckError, MaskError
from qpmask.ometiff.codecs import encode_tile
from qpmask.ometiff.directorywriter import Directory, pack_directories, resolution_per_cm
from qpmask.ometiff.growingfile import Sink
from qpmask.ometiff.omexml import to_ome_xml
from qpmask.ometiff.reader import MaskFile

LAYOUT_KEY, STRIPS = "layout", "strips"
"""What such a mask says about itself, in its ``extra`` metadata."""

ROWS_PER_STRIP = 16  # a tile's edge is a multiple of it

_CLASSIC_MAX_BYTES = 2**32 - 1


def write_in_strips(source: Path, path: Path, *, on_row: Callable[[], None] = lambda: None) -> None:
    """Write level 0 of a mask in strips and compare each pixel.

    Parameters
    ----------
    source : Path
        A mask of ours; its compression and metadata are kept.
    path : Path
        The file to write; it is overwritten.
    on_row : callable
        Called for each row of tiles; what it raises ends the work.

    Raises
    ------
    MaskError
        If `source` cannot be read.
    OutputError
        If the file cannot be written; none is left then.
    MaskCheckError
        If it was read back and is not the same.
    """
    with MaskFile(source) as mask, Sink.open(path) as sink:
        directories = _directories(mask)
        sink.append(bytes(len(pack_directories(directories, big=True))))
        written: dict[bytes, tuple[int, int]] = {}
        for plane, y_px, rows in _rows(mask, on_row):
            for y in range(0, len(rows), ROWS_PER_STRIP):
                data = encode_tile(rows[y : y + ROWS_PER_STRIP], mask.compression)
                digest = hashlib.blake2b(data, digest_size=16).digest()
                if digest not in written:
                    written[digest] = sink.append(data), len(data)
                strip = (y_px + y) // ROWS_PER_STRIP
                directory = directories[plane]
                directory.offsets[strip], directory.bytecounts[strip] = written[digest]
        sink.finish(pack_directories(directories, big=sink.n_bytes > _CLASSIC_MAX_BYTES))
    with MaskFile(source) as mask, MaskFile(path) as strips:
        for plane, y_px, rows in _rows(mask, on_row):
            if not np.array_equal(strips.read(0, plane, y_px, y_px + len(rows)), rows):
                raise MaskCheckError(
                    f"The mask {path} in strips differs from the one in tiles, near row {y_px:,}.",
                    hint="Is the disk faulty? Otherwise please report it.",
                )


def _rows(mask: MaskFile, on_row: Callable[[], None]) -> Iterator[tuple[int, int, NDArray[Any]]]:
    """Plane, first row and pixels of each row of tiles."""
    height_px, step = mask.size.height_px, mask.levels[0].tile.height_px
    for plane in range(mask.n_planes):
        for y_px in range(0, height_px, step):
            on_row()
            yield plane, y_px, mask.read(0, plane, y_px, min(y_px + step, height_px))


def _directories(mask: MaskFile) -> list[Directory]:
    """One for each plane, with room for the strips' places."""
    metadata = mask.metadata
    if metadata is None:
        raise MaskError(f"{mask.path} has no OME-XML.")
    metadata = replace(metadata, extra={**metadata.extra, LAYOUT_KEY: STRIPS})
    size = metadata.pixel_size
    resolution = None if size is None else resolution_per_cm(size)
    n_strips = -(-mask.size.height_px // ROWS_PER_STRIP)
    return [
        Directory(
            size=mask.size,
            tile_px=ROWS_PER_STRIP,
            in_strips=True,
            bits=mask.dtype.itemsize * 8,
            compression=mask.compression,
            offsets=np.zeros(n_strips, np.int64),
            bytecounts=np.zeros(n_strips, np.int64),
            resolution=resolution,
            description=None if plane else to_ome_xml(metadata),
            following=plane + 1 if plane + 1 < mask.n_planes else None,
        )
        for plane in range(mask.n_planes)
    ]
