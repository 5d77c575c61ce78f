"""Slides to cut, and masks that lie upon them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from mask_files import write
from slides.slide_samples import write_slide

from qpmask.geometry import Affine
from qpmask.geometry.frames import FRAME_KEY

UM = 0.5


def tissue_picture(height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Red, green and blue of a piece of tissue on glass, and where it is."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    inside = ((x - width * 0.45) / (width * 0.3)) ** 2 + ((y - height / 2) / (height * 0.35)) ** 2
    found = inside < 1
    pixels = np.full((height, width, 3), 243, np.uint8)
    pixels[found] = (210, 130, 180)
    pixels = pixels + rng.integers(-3, 4, pixels.shape)
    return np.clip(pixels, 0, 255).astype(np.uint8), found


def place_colors(height: int, width: int) -> np.ndarray:
    """Each pixel has a colour of its own: its x and y can be told from it."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x % 256, y % 256, (x // 256) * 16 + y // 256], axis=2).astype(np.uint8)


def slide_file(
    path: Path, pixels: np.ndarray, um: float | None = UM, levels: int = 1, **options: Any
) -> Path:
    """A TIFF with a pixel size."""
    if um is not None:
        options = {"resolution": (1e4 / um, 1e4 / um), "resolutionunit": "CENTIMETER", **options}
    return write_slide(path, pixels, levels=levels, tile=(64, 64), **options)


def mask_file(
    path: Path, labels: np.ndarray, matrix: Affine | None, slide: Path, slide_size: tuple[int, int]
) -> Path:
    """A mask; its sidecar says where it lies upon the slide, if anywhere."""
    write(path, labels, tile_px=64)
    if matrix is not None:
        frame = {
            "mask_to_file": list(matrix.values),
            "unknown": None, "steps": [], "notes": [], "file": slide.name, "reader": "OpenSlide",
            "series": None, "series_name": None, "read_px0": list(slide_size), "origin": "level 0",
        }  # fmt: skip
        path.with_name(path.name + ".json").write_text(json.dumps({FRAME_KEY: frame}))
    return path
