"""Label arrays, and masks made of them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import strategies as st

from qpmask.geometry import PixelSize, Size
from qpmask.ometiff import ClassRow, MaskLayout, MaskMetadata, WriteResult, write_mask

AWKWARD_NAME = "Tümör <&> \"'µ' \t\n\x01\ud800\U0001f600 肝"

PIXEL_SIZE = PixelSize(0.2527, 0.25)

CLASSES = (
    ClassRow(1, AWKWARD_NAME, (200, 0, 0)),
    ClassRow(2, "Stroma", (0, 255, 7)),
    ClassRow(3, "Necrosis: late"),
    ClassRow(200, "", (0, 0, 0)),
)


def size_of(array: np.ndarray) -> Size:
    return Size(array.shape[-1], array.shape[-2])


def cut(array: np.ndarray, tile_px: int) -> Iterator[np.ndarray]:
    """The tiles of an array (planes, rows, columns) or (rows, columns), in the writer's order."""
    planes = array if array.ndim == 3 else array[None]
    for plane in planes:
        for y in range(0, plane.shape[0], tile_px):
            for x in range(0, plane.shape[1], tile_px):
                yield plane[y : y + tile_px, x : x + tile_px]


def blobs(height: int, width: int, dtype: str = "uint8", n: int = 12, seed: int = 0) -> np.ndarray:
    """Discs of the labels of `CLASSES` on background."""
    rng = np.random.default_rng(seed)
    array = np.zeros((height, width), dtype)
    y, x = np.mgrid[:height, :width]
    for i in range(n):
        cy, cx = rng.integers(0, height), rng.integers(0, width)
        r = rng.integers(3, max(4, min(height, width) // 4))
        array[(y - cy) ** 2 + (x - cx) ** 2 < r * r] = CLASSES[i % 4].label
    return array


def levels_of(array: np.ndarray, n_levels: int) -> list[np.ndarray]:
    """What each level must hold, by the definition."""
    return [array[..., :: 2**level, :: 2**level] for level in range(n_levels)]


def histogram(array: np.ndarray) -> dict[int, int]:
    labels, numbers = np.unique(array, return_counts=True)
    return {int(label): int(n) for label, n in zip(labels, numbers, strict=True)}


def write(
    path: Path,
    array: np.ndarray,
    tiles: Sequence[Any] | None = None,
    *,
    tile_px: int = 64,
    compression: str = "lzw",
    pyramid: bool = True,
    size_c: int = 1,
    size_z: int = 1,
    size_t: int = 1,
    big: bool = False,
    pixel_size: PixelSize | None = PIXEL_SIZE,
    classes: tuple[ClassRow, ...] = CLASSES,
    **metadata: Any,
) -> WriteResult:
    """Write an array as a mask."""
    size = size_of(array)
    sizes = {"size_c": size_c, "size_z": size_z, "size_t": size_t, "dtype": array.dtype.name}
    layout = MaskLayout(size, tile_px, compression=compression, pyramid=pyramid, **sizes)
    record = MaskMetadata(
        "a mask", size, pixel_size=pixel_size, classes=classes, **sizes, **metadata
    )
    return write_mask(path, layout, record, tiles or cut(array, tile_px), _big=big)


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """A file with some bytes changed: in its first directory, in all of them, or anywhere."""
    changed = bytearray(content)
    end = draw(st.sampled_from([200, 2000, len(content)]))
    places = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=20)
    for place, value in draw(places):
        changed[int(place * (end - 1))] = value
    return bytes(changed)


def assert_others_read(path: Path, expected: np.ndarray) -> None:
    """These are the pixels that tifffile, Pillow and GDAL find in the first page."""
    assert np.array_equal(tifffile.imread(path, series=0, level=0), expected)
    image_module = pytest.importorskip("PIL.Image", reason="Pillow reads masks")
    with image_module.open(path) as image:
        assert np.array_equal(np.asarray(image), expected)
    rasterio = pytest.importorskip("rasterio", reason="rasterio is GDAL for Python")
    with warnings.catch_warnings():
        # A slide has no place on Earth.
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path) as dataset:
            assert np.array_equal(dataset.read(1), expected)
