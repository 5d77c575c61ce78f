"""The calls of the table of programs: a mask file and a level in, labels out."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Call = Callable[[Any, Path, int, str], Any]
CALLS: dict[str, tuple[str, Call]] = {}


def call(name: str, module: str) -> Callable[[Call], Call]:
    """Say of which program it is, and what has to be imported for it."""

    def register(function: Call) -> Call:
        CALLS[name] = module, function
        return function

    return register


@call("tifffile", "tifffile")
def tifffile(module: Any, path: Path, level: int, dtype: str) -> Any:
    return module.imread(path, series=0, level=level)


@call("OpenSlide", "openslide")
def openslide(module: Any, path: Path, level: int, dtype: str) -> Any:
    with module.OpenSlide(path) as slide:
        whole = slide.read_region((0, 0), level, slide.level_dimensions[level])
        return np.asarray(whole)[..., 0]


@call("tiffslide", "tiffslide")
def tiffslide(module: Any, path: Path, level: int, dtype: str) -> Any:
    with module.TiffSlide(path) as slide:
        size = slide.level_dimensions[level]
        return slide.read_region((0, 0), level, size, as_array=True)


@call("GDAL, rasterio", "rasterio")
def rasterio(module: Any, path: Path, level: int, dtype: str) -> Any:
    options = {"overview_level": level - 1} if level else {}
    with warnings.catch_warnings():
        # A slide has no place on Earth.
        warnings.simplefilter("ignore", module.errors.NotGeoreferencedWarning)
        with module.open(path, **options) as dataset:
            return dataset.read(1)


@call("libvips, pyvips", "pyvips")
def pyvips(module: Any, path: Path, level: int, dtype: str) -> Any:
    return module.Image.tiffload(str(path), page=level).numpy()


@call("Pillow", "PIL.Image")
def pillow(module: Any, path: Path, level: int, dtype: str) -> Any:
    with module.open(path) as image:
        image.seek(level)
        return np.asarray(image)


@call("OpenCV", "cv2")
def opencv(module: Any, path: Path, level: int, dtype: str) -> Any:
    if level == 0:
        return module.imread(str(path), module.IMREAD_UNCHANGED)
    return module.imreadmulti(str(path), flags=module.IMREAD_UNCHANGED)[1][level]


@call("scikit-image, imageio", "imageio.v3")
def imageio(module: Any, path: Path, level: int, dtype: str) -> Any:
    return module.imread(path) if level == 0 else module.imread(path, index=level)


@call("SimpleITK", "SimpleITK")
def simpleitk(module: Any, path: Path, level: int, dtype: str) -> Any:
    kind = getattr(module, f"sitk{dtype[0].upper()}I{dtype[2:]}")
    return module.GetArrayFromImage(module.ReadImage(str(path), kind)) if level == 0 else None


@call("ITK", "itk")
def itk(module: Any, path: Path, level: int, dtype: str) -> Any:
    kind = {"uint8": module.UC, "uint16": module.US, "uint32": module.UI}[dtype]
    return module.array_from_image(module.imread(path, kind)) if level == 0 else None


@call("large-image", "large_image_source_tiff")
def large_image(module: Any, path: Path, level: int, dtype: str) -> Any:
    source = module.open(str(path))
    z = source.levels - 1 - level
    edge = source.tileWidth
    width, height = -(-source.sizeX // 2**level), -(-source.sizeY // 2**level)
    rows = [
        [
            source.getTile(x, y, z, numpyAllowed="always")[:edge, :edge, 0]
            for x in range(-(-width // edge))
        ]
        for y in range(-(-height // edge))
    ]
    return np.block(rows)[:height, :width]


@call("fastslide", "fastslide")
def fastslide(module: Any, path: Path, level: int, dtype: str) -> Any:
    with module.FastSlide.from_file_path(str(path)) as slide:
        return slide.read_region((0, 0), level, slide.level_dimensions[level]).numpy()


@call("cuCIM", "cucim")
def cucim(module: Any, path: Path, level: int, dtype: str) -> Any:
    image = module.CuImage(str(path))
    size = image.resolutions["level_dimensions"][level]
    return np.asarray(image.read_region((0, 0), size, level))[..., 0]


@call("bioio", "bioio_ome_tiff")
def bioio(module: Any, path: Path, level: int, dtype: str) -> Any:
    reader = module.Reader(path)
    if level:
        reader.set_resolution_level(level)
    return reader.data


def reading(name: str, path: Path, level: int, expected: np.ndarray) -> str:
    """What the program makes of a level: ``right``, ``wrong`` or ``refused``."""
    module_name, function = CALLS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = importlib.import_module(module_name)
        try:
            found = function(module, path, level, expected.dtype.name)
        except Exception:  # whatever a program raises: it said that it cannot
            return "refused"
    if found is None:
        return "refused"
    found = np.squeeze(np.asarray(found))
    return "right" if np.array_equal(found, np.squeeze(expected)) else "wrong"
