"""Slides to look at masks upon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile


def gradient(height: int, width: int) -> np.ndarray:
    """Red grows to the right, green downwards, blue is 128: each place has its own colour."""
    pixels = np.full((height, width, 3), 128, np.uint8)
    pixels[:, :, 0] = np.linspace(0, 255, width).astype(np.uint8)
    pixels[:, :, 1] = np.linspace(0, 255, height).astype(np.uint8)[:, None]
    return pixels


def write_slide(path: Path, pixels: np.ndarray, *, levels: int = 1, **options: Any) -> Path:
    """A TIFF; further levels lie in SubIFDs, as in an OME-TIFF."""
    options = {"photometric": "rgb", "metadata": None, **options}
    with tifffile.TiffWriter(path) as tif:
        tif.write(pixels, subifds=levels - 1 or None, **options)
        for level in range(1, levels):
            step = 2**level
            tif.write(np.ascontiguousarray(pixels[::step, ::step]), subfiletype=1, **options)
    return path


def write_scn(path: Path, pixels: np.ndarray, x_px: int, y_px: int, full: tuple[int, int]) -> Path:
    """A slide as Leica's scanners write it: a part was scanned, and OpenSlide knows its bounds.

    Parameters
    ----------
    x_px, y_px : int
        Where the pixels lie on the whole slide.
    full : tuple of int
        Width and height of the whole slide, in pixels.
    """
    nm = 500  # a pixel
    height, width = pixels.shape[:2]

    def image(ifd: int, size: tuple[int, int], view: tuple[int, int, int, int], lens: float) -> str:
        w, h, x, y = (n * nm for n in view)
        return (
            f'<image name="{ifd}" uuid="u"><creationDate>2011-01-01T00:00:00Z</creationDate>'
            f'<device model="Leica SCN400" version="1"/><pixels sizeX="{size[0]}" '
            f'sizeY="{size[1]}"><dimension sizeX="{size[0]}" sizeY="{size[1]}" r="0" '
            f'ifd="{ifd}"/></pixels><view sizeX="{w}" sizeY="{h}" offsetX="{x}" offsetY="{y}" '
            'spacingZ="0"/><scanSettings><objectiveSettings><objective>'
            f"{lens}</objective></objectiveSettings><illuminationSettings><numericalAperture>0.4"
            "</numericalAperture><illuminationSource>brightfield</illuminationSource>"
            "</illuminationSettings></scanSettings></image>"
        )

    description = (
        '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">'
        f'<collection name="c" uuid="u" sizeX="{full[0] * nm}" sizeY="{full[1] * nm}">'
        f"<barcode>MQ==</barcode>{image(0, (40, 30), (*full, 0, 0), 0.6)}"
        f"{image(1, (width, height), (width, height, x_px, y_px), 20)}</collection></scn>"
    )
    options: dict[str, Any] = {
        "tile": (32, 32), "compression": "zlib", "photometric": "rgb", "metadata": None,
    }  # fmt: skip
    with tifffile.TiffWriter(path, bigtiff=True) as tif:
        tif.write(np.full((30, 40, 3), 250, np.uint8), description=description, **options)
        tif.write(pixels, **options)
    return path


class FakeOpenSlide:
    """Answers as OpenSlide does: corners in pixels of level 0, RGBA, nothing beyond the slide."""

    def __init__(self, pixels: np.ndarray, properties: dict[str, str], n_levels: int = 1) -> None:
        self.levels = [pixels[:: 2**k, :: 2**k] for k in range(n_levels)]
        self.level_dimensions = tuple((p.shape[1], p.shape[0]) for p in self.levels)
        width, height = self.level_dimensions[0]
        self.level_downsamples = tuple(
            (width / w + height / h) / 2 for w, h in self.level_dimensions
        )
        self.properties = properties
        self.reads: list[tuple[Any, int, Any]] = []
        self.is_closed = False

    def read_region(self, corner: tuple[int, int], level: int, size: tuple[int, int]) -> Any:
        from PIL import Image

        self.reads.append((corner, level, size))
        x, y = (round(c / self.level_downsamples[level]) for c in corner)
        rgba = np.zeros((size[1], size[0], 4), np.uint8)
        part = self.levels[level][y : y + size[1], x : x + size[0]]
        rgba[: part.shape[0], : part.shape[1], :3] = part
        rgba[: part.shape[0], : part.shape[1], 3] = 255
        return Image.fromarray(rgba)

    def close(self) -> None:
        self.is_closed = True
