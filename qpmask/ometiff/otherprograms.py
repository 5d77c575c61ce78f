"""What other programs make of masks: the README's table as data, for warnings and for tests.

Each entry was measured with the version it names, by the call it names, and is proved again by
``tests/readers`` wherever the program is installed.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Reading = Literal["right", "wrong", "refused"]
"""Labels as they are; other labels and no error; an error (or no image)."""

Levels = Literal["all", "whole", "one"]
"""Smaller levels: any part of them; only all of one at a time; level 0 alone."""


class Program(NamedTuple):
    """How one program reads masks.

    Attributes
    ----------
    name : str
        As people call it.
    package, version : str
        The distribution that was measured; no package for programs in Java.
    library : str
        Version of the program itself, where the distribution has another.
    call : str
        The call that gives labels; ``f`` is the file, ``k`` a level, ``(x, y)`` level 0 pixels.
    uint8, uint16, uint32 : Reading
        Pixel types, in LZW.
    zlib, zstd, none : Reading
        Compressions, of uint8.
    strips : Reading
        Masks ``--for simpleitk`` of uint8.
    is_mended : bool
        Whether such masks are right in every pixel type.
    levels : Levels
        Smaller levels of an ordinary mask.
    note : str
        What else there is to know.
    """

    name: str
    package: str
    version: str
    call: str
    uint8: Reading = "right"
    uint16: Reading = "right"
    uint32: Reading = "right"
    zlib: Reading = "right"
    zstd: Reading = "right"
    none: Reading = "right"
    strips: Reading = "right"
    is_mended: bool = False
    levels: Levels = "all"
    note: str = ""
    library: str = ""

    @property
    def versions(self) -> str:
        """What was measured, for people."""
        own = f"{self.package} {self.version}"
        return f"{self.library} ({own})" if self.library else self.version


PROGRAMS: tuple[Program, ...] = (
    Program(
        "QuPath", "", "0.6.0", "opened as an image (Bio-Formats)",
        note="says of uint32 that it does not support it, and reads it",
    ),
    Program(
        "tifffile", "tifffile", "2026.3.3", "imread(f, series=0, level=k)",
        note="`aszarr=True` for Zarr and Dask",
    ),
    Program(
        "OpenSlide", "openslide-python", "1.4.7", "read_region((0, 0), k, level_dimensions[k])",
        uint16="wrong", uint32="refused", strips="refused", levels="whole", library="4.0.1",
        note="take one channel (red is the label). A part of a smaller level mixes labels unless "
        "mask and levels halve exactly and x and y are multiples of the downsample: take parts "
        "from level 0, or use tiffslide. uint16 gives label // 256, and worse at the right edge",
    ),
    Program(
        "tiffslide", "tiffslide", "3.0.1", "read_region((x, y), k, size, as_array=True)",
    ),
    Program(
        "GDAL, rasterio", "rasterio", "1.4.4", "open(f, overview_level=k - 1).read(1)",
        note="level 0 without `overview_level`; `overviews(1)` lists each level twice",
    ),
    Program(
        "libvips, pyvips", "pyvips-binary", "8.18.7", "Image.tiffload(f, page=k)",
        zstd="wrong",
        note="zstd is zeros, without an error, in this build; resize with kernel nearest",
    ),
    Program(
        "Pillow", "pillow", "13.0.0", "Image.open(f); seek(k)",
        note="`convert('L')` cuts labels off at 255",
    ),
    Program(
        "OpenCV", "opencv-python-headless", "5.0.0.93", "imread(f, IMREAD_UNCHANGED)",
        zstd="refused",
        note="smaller levels by `imreadmulti`; without the flag uint16 is scaled. None for zstd",
    ),
    Program(
        "scikit-image, imageio", "imageio", "2.38.1", "imread(f)", levels="one",
        note="by tifffile, where it is installed",
    ),
    Program(
        "SimpleITK", "simpleitk", "2.5.7", "ReadImage(f, sitkUInt8)",
        uint16="wrong", uint32="refused", zstd="refused", is_mended=True, levels="one",
        note="without the type four components, as float label x 255; all types are right in "
        "masks `--for simpleitk`",
    ),
    Program(
        "ITK", "itk", "5.4.7", "imread(f, itk.UC)",
        uint16="wrong", uint32="refused", zstd="refused", is_mended=True, levels="one",
        note="as SimpleITK",
    ),
    Program(
        "ImageJ", "", "1.54k", "IJ.openImage(f)",
        uint8="refused", uint16="refused", uint32="refused", zlib="refused", zstd="refused",
        none="refused", is_mended=True, levels="one",
        note="without the Bio-Formats plugin; reads masks `--for simpleitk` of up to 4 GB",
    ),
    Program(
        "large-image", "large-image-source-tiff", "1.35.6",
        "getTile(x, y, z, numpyAllowed='always')", strips="refused",
        note="x and y count tiles. PNG tiles hold uint8 labels, and the high byte of uint16; JPEG "
        "tiles and sizes between two levels change labels",
    ),
    Program(
        "fastslide", "fastslide", "0.8.1", "read_region((x_k, y_k), k, size).numpy()",
        none="refused",
        note="x and y count pixels of the level",
    ),
    Program(
        "cuCIM", "cucim-cu12", "26.10.0", "read_region((x, y), size, k)",
        uint16="wrong", uint32="refused", zlib="refused", zstd="refused",
        note="gives RGBA; red is the label",
    ),
    Program(
        "bioio", "bioio-ome-tiff", "1.4.0", "Reader(f).data", levels="one",
    ),
)  # fmt: skip
"""Every program that was measured."""

_WORDS = {
    "wrong": "give wrong labels, without an error, in",
    "refused": "cannot be read by",
}
_CHOICES = {
    "uint16": "uint16 (labels above 255)",
    "uint32": "uint32 (labels above 65,535)",
    "zlib": "Compressed by zlib",
    "zstd": "Compressed by zstd",
    "none": "Not compressed",
    "strips": "In strips (--for simpleitk)",
}


def shut_out(dtype: str, compression: str, *, strips: bool = False) -> list[str]:
    """Which programs do not read such masks right: one sentence for each choice that costs any.

    Parameters
    ----------
    dtype : {"uint8", "uint16", "uint32"}
        Pixel type.
    compression : str
        As in :class:`~qpmask.options.FileOptions`.
    strips : bool
        Whether the file is one for SimpleITK.
    """
    usual = tuple(
        p
        for p in PROGRAMS
        if (p.strips if strips else p.uint8) == "right" and not (strips and p.is_mended)
    )
    choices = {"strips": PROGRAMS} if strips else {}
    choices |= {dtype: usual, compression: usual}
    sentences = []
    for choice, programs in choices.items():
        if choice not in _CHOICES:
            continue
        parts = []
        for reading, words in _WORDS.items():
            if names := [p.name for p in programs if getattr(p, choice) == reading]:
                parts.append(f"{words} {_and(names)}")
        if parts:
            sentences.append(f"{_CHOICES[choice]}: such masks {' and '.join(parts)}.")
            if choice in ("uint16", "uint32") and not strips:
                sentences[-1] += " For SimpleITK and ITK there is --for simpleitk."
    return sentences


def _and(names: list[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
