"""A collection flattened into an OME-Zarr 0.4 folder: what Bio-Formats and QuPath read.

They know no 0.5, no zip, and no ``labels`` (QuPath 0.6 and 0.7, Bio-Formats' OME-Zarr reader
0.6.0), so the flattened mask is all that goes there: Zarr 2, one file a chunk. Chunks are zlib's:
Bio-Formats itself has no library for Blosc. It takes the pixel size from ``OME/METADATA.ome.xml``
alone, which QuPath's own OME-Zarr has too.
"""

from __future__ import annotations

import json
import os
import shutil
import xml.etree.ElementTree as ElementTree
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from qpmask.collection import metadata
from qpmask.collection.arrays import THREADS
from qpmask.collection.collection import MaskCollection
from qpmask.collection.grid import Grid, Position, pyramid
from qpmask.collection.records import About
from qpmask.errors import OutputError
from qpmask.ometiff.threads import in_threads
from qpmask.outputs import sync_folder, writing

_LEVEL = 5
_OME = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


def write_ngff04(masks: MaskCollection, target: Path) -> Path:
    """Write the flattened mask, with names and colours, as OME-Zarr 0.4.

    Parameters
    ----------
    masks : MaskCollection
        Open to read.
    target : Path
        The folder; none may be there.

    Raises
    ------
    OutputError
        It is there already, or cannot be written.
    """
    if target.exists():
        raise OutputError(f"{target} is there already.", hint="Remove it, or choose another name.")
    grids = pyramid(masks.shape)
    flat = masks.flat_pixels()
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    with writing(target, "The folder"):
        part.mkdir()
    try:
        with writing(target, "The folder"):
            _write_json(part / ".zgroup", {"zarr_format": 2})
            _write_json(part / ".zattrs", _attributes(masks, grids))
            (part / "OME").mkdir()
            xml = _ome_xml(masks, flat.dtype)
            (part / "OME" / "METADATA.ome.xml").write_bytes(xml)
        for level, grid in enumerate(grids):
            folder = part / str(level)
            with writing(target, "The folder"):
                folder.mkdir()
                _write_json(folder / ".zarray", _array(grid, flat.dtype))

            def write(at: Position, level: int = level, grid: Grid = grid) -> None:
                box = grid.box(at)
                found = flat.read(level, box)
                if not found.any():
                    return
                full = np.zeros(grid.chunk, flat.dtype.newbyteorder("<"))
                full[tuple(slice(0, len(r)) for r in box)] = found
                data = zlib.compress(full.tobytes(), _LEVEL)
                path = part / str(level) / "/".join(map(str, at))
                with writing(target, "The folder"):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(data)

            for _ in in_threads(write, _chunks(grid), THREADS):
                pass
        with writing(target, "The folder"):
            part.rename(target)
            sync_folder(target.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target


def _chunks(grid: Grid) -> Iterator[Position]:
    return grid.chunks_in(tuple(map(range, grid.shape)))


def _attributes(masks: MaskCollection, grids: tuple[Grid, ...]) -> dict[str, Any]:
    about = About(masks.shape, masks.spacing, masks.unit, masks.name)
    ome = metadata.image_document(about, grids, masks.rows())
    (image,) = ome["multiscales"]
    label = {**ome["image-label"], "version": "0.4"}
    return {"multiscales": [{**image, "version": "0.4"}], "image-label": label}


def _array(grid: Grid, dtype: np.dtype[Any]) -> dict[str, Any]:
    return {
        "zarr_format": 2,
        "shape": list(grid.shape),
        "chunks": list(grid.chunk),
        "dtype": dtype.newbyteorder("<").str,
        "compressor": {"id": "zlib", "level": _LEVEL},
        "fill_value": 0,
        "order": "C",
        "filters": None,
        "dimension_separator": "/",
    }


def _ome_xml(masks: MaskCollection, dtype: np.dtype[Any]) -> bytes:
    """Size and pixel size for Bio-Formats."""
    image = ElementTree.Element("Image", ID="Image:0", Name=masks.name or masks.path.stem)
    shape = dict(zip("XYZ", masks.shape[::-1], strict=False))
    about = {"ID": "Pixels:0", "DimensionOrder": "XYZCT", "Type": dtype.name}
    about |= {f"Size{axis}": str(shape.get(axis, 1)) for axis in "XYZCT"}
    if masks.spacing is not None:
        unit = "mm" if masks.unit == "millimeter" else "\u00b5m"
        for axis, length in zip("XYZ", masks.spacing[::-1], strict=False):
            about |= {f"PhysicalSize{axis}": repr(length), f"PhysicalSize{axis}Unit": unit}
    pixels = ElementTree.SubElement(image, "Pixels", about)
    ElementTree.SubElement(pixels, "Channel", ID="Channel:0:0", SamplesPerPixel="1")
    ElementTree.SubElement(pixels, "MetadataOnly")
    root = ElementTree.Element("OME", xmlns=_OME)
    root.append(image)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _write_json(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")
