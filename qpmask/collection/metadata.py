"""What a collection says of itself: records in, OME-Zarr 0.5 documents out, and back.

The root is a multiscale label image with the names and colours of all masks. Where masks overlap,
``labels/`` holds the arrays that are exact, and the root is what lies on top. What
OME-Zarr has no words for stands in the root's attribute ``qpmask``: a row a mask, in columns.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from qpmask.collection.codecs import MAX_CHUNK_BYTES, ChunkCodec, codec_from_json, index_bytes
from qpmask.collection.grid import Grid
from qpmask.errors import MaskError
from qpmask.ometiff.omexml import Color

FORMAT = 3
OME_VERSION = "0.5"
DTYPES = tuple(f"{kind}int{bits}" for kind in ("u", "") for bits in (8, 16, 32, 64))
ATTRIBUTE = "qpmask"
_MAX_JSON = 64 << 20
_MAX_MASKS = 1 << 24
_MAX_CHUNKS = 1 << 24  # with those of this qpmask, 70 million pixels a side
_UNITS = {"micrometer", "millimeter", None}
_DEVICES = {"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(10))}
"""Names that Windows gives to no file, whatever follows a dot."""
_LAYER = re.compile(r"labels/(?!\.\.?$)[^/\\]+")
_ODD = re.compile(r"[^A-Za-z0-9_.-]+")

Json = dict[str, Any]


class MaskRow(NamedTuple):
    """What is known of a mask without reading pixels.

    Parameters
    ----------
    name : str
        Its name, the collection's own spelling.
    label : int
        Its label: in the flattened mask, and in the array that it shares with others.
    dtype : str
        "bool", or the integer type of a mask of labels, which has an array of its own.
    layer : str
        Path of the array that holds it, "" for the root.
    n_pixels : int
        Pixels of level 0 that are not 0.
    box : tuple of (int, int)
        First pixel and the one after the last along each axis; (0, 0) of an empty mask.
    color : (int, int, int), optional
        Red, green, blue.
    group : str, optional
        A name that it shares with others.
    """

    name: str
    label: int
    dtype: str = "bool"
    layer: str = ""
    n_pixels: int = 0
    box: tuple[tuple[int, int], ...] = ()
    color: Color | None = None
    group: str | None = None


@dataclass(frozen=True)
class About:
    """What a collection says of itself apart from its masks.

    Parameters
    ----------
    shape : tuple of int
        (rows, columns) or (slices, rows, columns) of every mask.
    spacing : tuple of float, optional
        Length of a pixel along each axis, in `unit`.
    unit : str
        "micrometer" or "millimeter".
    name : str
        For viewers.
    extra : mapping
        Anything else that JSON holds, such as a slide's frame or the affine matrix of a volume.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...] | None = None
    unit: str = "micrometer"
    name: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def axes(self) -> str:
        """Names of the axes: "yx" or "zyx"."""
        return "zyx"[-len(self.shape) :]


# --- out ------------------------------------------------------------------------------------------


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


def only_value(path: str, rows: Sequence[MaskRow]) -> int | None:
    """What a true-or-false mask is where it has an array to itself: 1, at the root its label.

    None of an array of several masks, or of integers.
    """
    if len(rows) > 1 or rows[0].dtype != "bool":
        return None
    return 1 if path else rows[0].label


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


# --- back -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ArrayInfo:
    """One level as its metadata has it."""

    path: str
    grid: Grid
    dtype: np.dtype[Any]
    codec: ChunkCodec
    index_bytes: int
    index_has_crc: bool
    separator: str
    document: Json = field(repr=False)

    def key(self, shard: tuple[int, ...]) -> str:
        """Name of the entry that holds a shard."""
        return f"{self.path}/c{self.separator}{self.separator.join(map(str, shard))}"


def from_bytes(data: bytes, where: str) -> Json:
    """A document as it was stored.

    Raises
    ------
    MaskError
        It is no JSON object.
    """
    try:
        if len(data) > _MAX_JSON:
            raise ValueError("it is too long")
        document = json.loads(data)
        if not isinstance(document, dict):
            raise ValueError("it is no JSON object")
    except (ValueError, RecursionError) as error:
        raise MaskError(f"{where} cannot be read: {error}.") from error
    return document


def read_root(document: Json, where: str) -> tuple[About, list[MaskRow], int]:
    """A collection of ours from its root's document: what it is, its masks, scale of the root.

    Raises
    ------
    MaskError
        It is none, or contradicts itself.
    """
    attributes = document.get("attributes")
    mine = attributes.get(ATTRIBUTE) if isinstance(attributes, dict) else None
    if not isinstance(mine, dict) or not isinstance(attributes, dict):
        raise MaskError(
            f"{where} is no collection of masks: qpmask did not write it.",
            hint="Read it with ngff-zarr, bioio or zarr-python.",
        )
    if mine.get("format") != FORMAT:
        raise MaskError(
            f"{where} is a collection of format {mine.get('format')!r}, and this qpmask knows "
            f"{FORMAT}.",
            hint="A newer qpmask may read it.",
        )
    try:
        about, rows = _about(attributes, mine), _rows(attributes, mine)
        return about, rows, _whole(mine["root_scale"], 1)
    except (KeyError, TypeError, ValueError, LookupError, OverflowError, AttributeError) as error:
        raise MaskError(
            f"What {where} says of its masks contradicts itself ({error!r}).",
            hint="It is damaged; make it again.",
        ) from error


def masks_of_entry(root: bytes, entry: str) -> tuple[str, ...]:
    """Names of the masks that an entry is of, as far as the root's document can be read."""
    try:
        document = from_bytes(root, "it")
        rows = read_root(document, "it")[1]
    except MaskError:
        return ()
    folded = entry.casefold()
    return tuple(
        row.name for row in rows
        if (folded.startswith(f"{row.layer}/".casefold()) if row.layer
            else not folded.startswith("labels/"))
    )  # fmt: skip


def _about(attributes: Json, mine: Json) -> About:
    image = attributes["ome"]["multiscales"][0]
    shape = tuple(_whole(n, 1) for n in mine["shape"])
    if len(shape) not in (2, 3):
        raise ValueError("a collection has 2 or 3 axes")
    unit = image["axes"][-1].get("unit")
    scale = image["datasets"][0]["coordinateTransformations"][0]["scale"]
    ratio = _whole(mine["root_scale"], 1)
    spacing = tuple(float(n) / ratio for n in scale) if unit is not None else None
    if unit not in _UNITS or not isinstance(mine.get("extra", {}), dict):
        raise ValueError("its unit, or what is kept with it, makes no sense")
    if spacing is not None and not (
        len(spacing) == len(shape) and all(0 < n < float("inf") for n in spacing)
    ):
        raise ValueError("its pixel size makes no sense")
    return About(
        shape, spacing, str(unit or "micrometer"), str(image.get("name", "")), mine.get("extra", {})
    )


def _rows(attributes: Json, mine: Json) -> list[MaskRow]:
    label, shape = attributes["ome"]["image-label"], mine["shape"]
    n, n_axes = _whole(mine["n"], 0), len(mine["shape"])
    if n > _MAX_MASKS:
        raise ValueError(f"it cannot have {n} masks")
    named = {row["label-value"]: row["name"] for row in label.get("properties", [])}
    colors = {row["label-value"]: _color(row["rgba"]) for row in label.get("colors", [])}
    labels = _wholes(mine["labels"] if "labels" in mine else list(range(1, n + 1)), n, 1)
    names = [named[number] for number in labels]
    layers = _wholes(mine["layer"], n, 0)
    paths = _layer_paths(mine["layers"], dict(zip(layers, names, strict=True)))
    dtypes, groups = mine.get("dtypes") or [None] * n, mine.get("groups") or [None] * n
    if not (set(map(type, names)) <= {str} and {type(g) for g in groups} <= {str, type(None)}):
        raise ValueError("a name or a group is no text")
    unknown = set(dtypes) - {None, *DTYPES}
    if unknown:
        raise ValueError(f"the type {unknown.pop()!r} of a mask is not known")
    for key, values in (("name", names), ("label", labels)):
        if len(set(values)) != n:
            twice = next(v for v in values if values.count(v) > 1)
            raise ValueError(f"the {key} {twice!r} occurs twice")
    ends = _wholes(mine["boxes"], n * n_axes * 2, 0)
    found = np.array(ends, np.int64).reshape(n, n_axes, 2)
    outside = (found[..., 0] > found[..., 1]) | (found[..., 1] > np.array(shape))
    if outside.any():
        number = int(np.flatnonzero(outside.any(axis=1))[0])
        raise ValueError(f"the bounding box of {names[number]!r} lies outside")
    along = list(zip(ends[::2], ends[1::2], strict=True))
    boxes = zip(*(along[axis::n_axes] for axis in range(n_axes)), strict=True)
    columns = (
        names, labels, [dtype or "bool" for dtype in dtypes], [paths[layer] for layer in layers],
        _wholes(mine["pixels"], n, 0), boxes, map(colors.get, labels), groups,
    )  # fmt: skip
    make = partial(tuple.__new__, MaskRow)  # five times as fast as calling it
    return list(map(make, zip(*columns, strict=True)))


def _layer_paths(paths: list[Any], names: Mapping[int, Any]) -> list[str]:
    """Paths of arrays; `names` has a mask of each, for messages."""
    folded: dict[str, int] = {}
    for number, path in enumerate(paths):
        of = f"of the mask {names.get(number)!r}"
        if not isinstance(path, str) or (path and not re.fullmatch(_LAYER, path)):
            raise ValueError(f"the array {of} cannot be at {path!r}")
        other = folded.setdefault(path.casefold(), number)
        if other != number:
            raise ValueError(
                f"the array {of} is at {path!r}, where that of {names.get(other)!r} is, or would "
                "be where case does not count"
            )
    return paths


def _color(rgba: Any) -> Color:
    red, green, blue = _wholes(rgba[:3], 3, 0)
    if max(red, green, blue) > 255:
        raise ValueError(f"{rgba!r} is no colour")
    return red, green, blue


def _wholes(values: Any, n: int, least: int) -> list[int]:
    """A column of numbers, of which there must be so many, and none smaller."""
    if not isinstance(values, list) or len(values) != n or not set(map(type, values)) <= {int}:
        raise ValueError(f"a column is not {n} numbers")
    if n and not least <= min(values) <= max(values) < 2**62:
        raise ValueError(f"{min(values)} or {max(values)} is no number that it can be")
    return values


def read_levels(document: Json, where: str) -> list[str]:
    """Paths of the levels of a multiscale image, level 0 first."""
    try:
        image = document["attributes"]["ome"]["multiscales"][0]
        paths = [str(level["path"]) for level in image["datasets"]]
        if not paths or any(".." in path or path.startswith("/") for path in paths):
            raise ValueError("its levels have no paths")
    except (KeyError, TypeError, ValueError, LookupError, AttributeError) as error:
        raise MaskError(f"{where} is no multiscale image ({error!r}).") from error
    return paths


def read_array(document: Json, path: str, scale: int, where: str) -> ArrayInfo:
    """An array's metadata.

    Raises
    ------
    MaskError
        It is damaged, or not what is known here.
    """
    try:
        shape = tuple(_whole(n, 1) for n in document["shape"])
        dtype = np.dtype(document["data_type"])
        if dtype.name not in DTYPES or document["node_type"] != "array":
            raise ValueError(f"its type is {document['data_type']!r}")
        if document.get("fill_value", 0) not in (0, False):
            raise ValueError(f"its fill value is {document['fill_value']!r}")
        shard = tuple(_whole(n, 1) for n in document["chunk_grid"]["configuration"]["chunk_shape"])
        outer = document["codecs"]
        keys = document["chunk_key_encoding"]
        separator = keys.get("configuration", {}).get("separator", "/")
        if keys["name"] != "default" or separator not in "./":
            raise ValueError("its keys are not known")
        if outer[0]["name"] != "sharding_indexed" or len(outer) != 1:
            grid = Grid(shape, shard, shard, scale)
            info = ArrayInfo(
                path, grid, dtype, codec_from_json(outer), 0, False, separator, document
            )
        else:
            inner = outer[0]["configuration"]
            chunk = tuple(_whole(n, 1) for n in inner["chunk_shape"])
            if inner.get("index_location", "end") != "end":
                raise ValueError("the index of its shards is not at their end")
            has_crc = [c["name"] for c in inner["index_codecs"]] == ["bytes", "crc32c"]
            if any(s % c for s, c in zip(shard, chunk, strict=True)):
                raise ValueError("its shards are not whole chunks")
            grid = Grid(shape, chunk, shard, scale)
            n = math.prod(grid.chunks_per_shard)
            if n > 1 << 20:
                raise ValueError("its shards have too many chunks")
            info = ArrayInfo(
                path, grid, dtype, codec_from_json(inner["codecs"]), index_bytes(n, has_crc),
                has_crc, separator, document,
            )  # fmt: skip
        if not len(shape) == len(info.grid.chunk) == len(info.grid.shard) in (2, 3):
            raise ValueError("its axes are not 2 or 3")
        if math.prod(info.grid.chunk) * dtype.itemsize > MAX_CHUNK_BYTES:
            raise ValueError("its chunks are too large")
        if math.prod(info.grid.n_chunks) > _MAX_CHUNKS:
            raise ValueError("it has too many chunks")
    except (KeyError, TypeError, ValueError, LookupError, OverflowError, AttributeError) as error:
        raise MaskError(
            f"The array {path!r} of {where} cannot be used: {error}.",
            hint="It is damaged, or was written by another program.",
        ) from error
    return info


def _whole(value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**62:
        raise ValueError(f"{value!r} is no number that it can be")
    return value
