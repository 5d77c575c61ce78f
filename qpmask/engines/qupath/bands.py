"""What QuPath writes in one go: bands of tile rows, from the top down, and how they are compressed.

QuPath's compression takes a third of its time, and its TIFF writer rewrites the list of all tiles
for each tile. Bands of a few rows, not compressed, spare both, and bound the scratch space. A mask
of several planes or of another resolution is one band, since a region of such an image may fall
differently on its pixels.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from qpmask.engines.base import RenderJob
from qpmask.geometry import Size

_BAND_BYTES = 256 << 20  # of a scratch file; two are there at a time
_MAX_RAW_BYTES = 1 << 30  # of one that is not compressed and cannot be cut into bands


@dataclass(frozen=True)
class Band:
    """Some rows of the mask, from ``y_px`` on, and the file that QuPath writes them to."""

    y_px: int
    size: Size
    path: Path


def bands_of(job: RenderJob, scratch: Path) -> list[Band]:
    """What QuPath writes in one go, from the top down."""
    size, tile_px = job.size, job.tile_px
    row_bytes = size.width_px * tile_px * (2 if job.dtype == "uint16" else 1)
    n_rows = max(1, _BAND_BYTES // row_bytes)
    if job.n_planes > 1 or job.downsample != 1:
        return [Band(0, size, scratch)]
    files = (scratch, scratch.with_name(f"next-{scratch.name}"))
    return [
        Band(y, Size(size.width_px, min(n_rows * tile_px, size.height_px - y)), files[i % 2])
        for i, y in enumerate(range(0, size.height_px, n_rows * tile_px))
    ]


def scratch_compression(job: RenderJob, folder: Path) -> str:
    """How QuPath compresses a mask that is one band: ``none``, ``zlib`` or ``lzw``."""
    packed = "zlib" if job.file.compression == "zlib" else "lzw"
    raw_bytes = job.size.area_px * job.n_planes * (2 if job.dtype == "uint16" else 1)
    if raw_bytes <= _MAX_RAW_BYTES and shutil.disk_usage(folder).free > 4 * raw_bytes:
        return "none"
    return packed
