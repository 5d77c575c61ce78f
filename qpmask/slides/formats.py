"""Which formats slides have, and which library opens them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path


@dataclass(frozen=True)
class Reader:
    """A library that opens slides.

    Attributes
    ----------
    name : str
        What people call it.
    module : str
        Its module.
    extra : str
        Extra of qpmask that brings it; empty where it is always there.
    suffixes : tuple of str
        Endings of the files it is asked for, in lower case.
    formats : str
        In words.
    """

    name: str
    module: str
    extra: str
    suffixes: tuple[str, ...]
    formats: str

    @property
    def is_installed(self) -> bool:
        """Whether it can be imported."""
        return find_spec(self.module) is not None


READERS = (
    Reader(
        "OpenSlide", "openslide", "patches",
        (".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide", ".czi", ".dcm",
         ".tif", ".tiff"),
        "Aperio, Hamamatsu, 3DHISTECH, Leica, Ventana, Philips, Sakura, Trestle, Zeiss, DICOM",
    ),
    Reader(
        "tifffile", "tifffile", "", (".ome.tif", ".ome.tiff", ".tif", ".tiff", ".qptiff"),
        "OME-TIFF, QPTIFF, plain TIFF",
    ),
    Reader(
        "Pillow", "PIL", "patches", (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif"),
        "PNG, JPEG, BMP, WebP, GIF",
    ),
)  # fmt: skip

#: Endings of all of them.
SUFFIXES = tuple(dict.fromkeys(suffix for reader in READERS for suffix in reader.suffixes))


def has_slide_suffix(path: Path) -> bool:
    """Whether a file is named like a slide."""
    return path.name.lower().endswith(SUFFIXES)
