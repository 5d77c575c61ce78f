"""What a collection says of itself, written: records in, OME-Zarr 0.5 documents out.

The root is a multiscale label image with the names and colours of all masks. Where masks overlap,
``labels/`` holds the arrays that are exact, and the root is what lies on top. What
OME-Zarr has no words for stands in the root's attribute ``qpmask``: a row a mask, in columns.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from qpmask.collection.codecs import ChunkCodec
from qpmask.collection.grid import Grid
from qpmask.collection.records import About, MaskRow, only_value

FORMAT = 3
OME_VERSION = "0.5"
ATTRIBUTE = "qpmask"
_DEVICES = {"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(10))}
"""Names that Windows gives to no file, whatever follows a dot."""
_ODD = re.compile(r"[^A-Za-z0-9_.-]+")

Json = dict[str, Any]


def root_document(about: About, grids: Sequence[Grid], rows: Sequence[MaskRow]) -> Json:
    """The root's group: a label image that knows all masks."""
    ome = image_document(about, grids, rows)
    mine: Json = {
        "format": FORMAT,
        "shape": list(about.shape),
        "root_scale": grids[0].scale,
        "n": len(rows),
        "layers": sorted({row.layer for row in rows}),
        "pixels": [row.n_pixels for row in rows],
        "boxes": [n for row in rows for pair in row.box for n in pair],
    }
    labels = [row.label for row in rows]
    if labels != list(range(1, len(rows) + 1)):
        mine["labels"] = labels
    mine["layer"] = [mine["layers"].index(row.layer) for row in rows]
    for key, values in (
        ("dtypes", [None if row.dtype == "bool" else row.dtype for row in rows]),
        ("groups", [row.group for row in rows]),
    ):
        if any(values):
            mine[key] = values
    if about.extra:
        mine["extra"] = dict(about.extra)
    return _group({"ome": ome, ATTRIBUTE: mine})


def labels_document(paths: Iterable[str]) -> Json:
    """The group ``labels``."""
    return _group({"ome": {"version": OME_VERSION, "labels": list(paths)}})


def layer_document(about: About, grids: Sequence[Grid], rows: Sequence[MaskRow]) -> Json:
    """A label image in ``labels``."""
    name = rows[0].name if len(rows) == 1 else ""
    only = only_value("labels", rows)
    if only is not None:
        rows = [rows[0]._replace(label=only)]
    return _group({"ome": image_document(replace(about, name=name), grids, rows)})


def array_document(grid: Grid, dtype: np.dtype[Any], codec: ChunkCodec, axes: str) -> Json:
    """One level of one label image."""
    n_bytes = int(np.prod(grid.chunk)) * dtype.itemsize
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(grid.shape),
        "data_type": dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(grid.shard)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [
            {
                "name": "sharding_indexed",
                "configuration": {
                    "chunk_shape": list(grid.chunk),
                    "codecs": codec.to_json(dtype, n_bytes),
                    "index_codecs": [
                        {"name": "bytes", "configuration": {"endian": "little"}},
                        {"name": "crc32c"},
                    ],
                    "index_location": "end",
                },
            }
        ],
        "attributes": {},
        "dimension_names": list(axes),
    }


def to_bytes(document: Json) -> bytes:
    """A document as it is stored."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=True).encode()


def paths_of(names: Iterable[str]) -> list[str]:
    """Names below ``labels`` for arrays: like the mask, where every system takes that.

    Parameters
    ----------
    names : iterable of str
        Of the only mask in each array, "" for an array of several.
    """
    seen = {"zarr.json"}
    paths = []
    for name in names:
        stem = _ODD.sub("_", name)[:80].strip("._")
        if not stem.strip("_-"):
            stem = ""
        if stem.split(".")[0].casefold() in _DEVICES:
            stem = f"mask_{stem}"
        path, number = stem or "layer_1", 1
        while path.casefold() in seen:
            number += 1
            path = f"{stem or 'layer'}_{number}"
        seen.add(path.casefold())
        paths.append(path)
    return paths


def _group(attributes: Json) -> Json:
    return {"zarr_format": 3, "node_type": "group", "attributes": attributes}


def image_document(about: About, grids: Sequence[Grid], rows: Sequence[MaskRow]) -> Json:
    """A multiscale label image, as the attribute ``ome`` has it."""
    unit = {"unit": about.unit} if about.spacing else {}
    spacing = about.spacing or (1.0,) * len(about.shape)
    datasets = []
    for number, grid in enumerate(grids):
        transformations: list[Json] = [
            {"type": "scale", "scale": [length * grid.scale for length in spacing]}
        ]
        if grid.scale > 1:  # a pixel stands for the block that it was picked from
            shift = (grid.scale - 1) / 2
            transformations.append(
                {"type": "translation", "translation": [length * shift for length in spacing]}
            )
        datasets.append({"path": str(number), "coordinateTransformations": transformations})
    label: Json = {"version": OME_VERSION}
    colors = [{"label-value": r.label, "rgba": [*r.color, 255]} for r in rows if r.color]
    if colors:
        label["colors"] = colors
    if rows:
        label["properties"] = [{"label-value": r.label, "name": r.name} for r in rows]
    return {
        "version": OME_VERSION,
        "multiscales": [
            {
                **({"name": about.name} if about.name else {}),
                "axes": [{"name": axis, "type": "space", **unit} for axis in about.axes],
                "datasets": datasets,
            }
        ],
        "image-label": label,
    }
