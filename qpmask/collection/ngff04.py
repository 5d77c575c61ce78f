"""A collection flattened into an OME-Zarr 0.4 folder: what Bio-Formats and QuPath read.

They know no 0.5, no zip, and no ``labels`` (QuPath 0.6 and 0.7, Bio-Formats' OME-Zarr reader
0.6.0), so the flattened mask is all that goes there: Zarr 2, one file a chunk.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np

from qpmask.collection import metadata
from qpmask.collection.arrays import THREADS
from qpmask.collection.collection import MaskCollection
from qpmask.collection.grid import Grid, Position, pyramid
from qpmask.errors import OutputError
from qpmask.ometiff.threads import in_threads
from qpmask.outputs import sync_folder, writing

_LEVEL = 5


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
                data = imagecodecs.blosc_encode(
                    full.tobytes(), level=_LEVEL, compressor="zstd", shuffle=2,
                    typesize=flat.dtype.itemsize, numthreads=1,
                )  # fmt: skip
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
    about = metadata.About(masks.shape, masks.spacing, masks.unit, masks.name)
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
        "compressor": {
            "id": "blosc", "cname": "zstd", "clevel": _LEVEL, "shuffle": 2, "blocksize": 0,
        },
        "fill_value": 0,
        "order": "C",
        "filters": None,
        "dimension_separator": "/",
    }  # fmt: skip


def _write_json(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")
