"""Mask files of many layouts, with the arrays that they must hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from hypothesis import strategies as st
from ometiff.mask_samples import CLASSES, blobs, write


def write_foreign(
    path: Path,
    base: np.ndarray,
    *,
    n_levels: int = 3,
    byteorder: str = ">",
    bigtiff: bool = False,
    description: str | None = None,
    **options: Any,
) -> None:
    """As QuPath and others have it: SubIFDs, sizes rounded down, tiles not shared."""
    options = {"compression": "lzw", "tile": (64, 64), "metadata": None, **options}
    with tifffile.TiffWriter(path, byteorder=byteorder, bigtiff=bigtiff) as tif:
        tif.write(base, subifds=n_levels - 1, description=description, **options)
        for level in range(1, n_levels):
            tif.write(foreign_level(base, level), subfiletype=1, **options)


def foreign_level(base: np.ndarray, level: int) -> np.ndarray:
    step = 2**level
    rows, cols = (max(1, n // step) for n in base.shape[:2])
    return base[::step, ::step][:rows, :cols]


BASE = blobs(200, 330)


@dataclass(frozen=True)
class Layout:
    """How a test's mask is made."""

    rows: int
    cols: int
    seed: int
    dtype: str
    tile: tuple[int, int]
    compression: str | None
    pyramid: bool
    is_ours: bool
    big: bool
    byteorder: str
    predictor: bool
    strip_rows: int | None = None  # strips instead of tiles
    is_signed: bool = False

    def array(self) -> np.ndarray:
        array = blobs(self.rows, self.cols, self.dtype, n=self.seed % 7, seed=self.seed)
        factor = {"uint8": 1, "uint16": 257, "uint32": 10_000_019}[self.dtype]
        array = array * np.array(factor, self.dtype)
        return array & (np.iinfo(self.dtype).max >> 1) if self.is_signed else array

    def write(self, path: Path) -> np.ndarray:
        base = self.array()
        if self.is_ours:
            write(
                path, base, tile_px=self.tile[0], compression=self.compression or "none",
                pyramid=self.pyramid, big=self.big,
            )  # fmt: skip
            return base
        has_predictor = self.predictor and self.compression in ("lzw", "zlib")
        as_written = base.astype(self.dtype.removeprefix("u")) if self.is_signed else base
        cut = {"tile": self.tile} if self.strip_rows is None else {
            "tile": None, "rowsperstrip": self.strip_rows
        }  # fmt: skip
        write_foreign(
            path, as_written, n_levels=3 if self.pyramid else 1, byteorder=self.byteorder,
            bigtiff=self.big, compression=self.compression, predictor=has_predictor,
            photometric="minisblack", **cut,
        )  # fmt: skip
        return base


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    is_ours = draw(st.booleans())
    dtype = draw(st.sampled_from(["uint8", "uint16", "uint32"]))
    has_png = is_ours and dtype != "uint32"
    edge = st.sampled_from([16, 32, 64])
    return Layout(
        rows=draw(st.integers(1, 150)),
        cols=draw(st.integers(1, 150)),
        seed=draw(st.integers(0, 1000)),
        dtype=dtype,
        tile=(draw(edge), draw(edge)),
        compression=draw(
            st.sampled_from(["lzw", "zlib", "zstd", "packbits", None] + ["png"] * has_png)
        ),
        pyramid=draw(st.booleans()),
        is_ours=is_ours,
        big=draw(st.booleans()),
        byteorder=draw(st.sampled_from("<>")),
        predictor=draw(st.booleans()),
        strip_rows=None if is_ours else draw(st.none() | st.sampled_from([1, 16, 200])),
        is_signed=not is_ours and draw(st.booleans()),
    )


__all__ = [
    "BASE",
    "CLASSES",
    "Layout",
    "blobs",
    "foreign_level",
    "layouts",
    "write",
    "write_foreign",
]
