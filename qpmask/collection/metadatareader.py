"""What a collection says of itself, read: OME-Zarr 0.5 documents in, records out, or an error."""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from operator import gt
from typing import Any

import numpy as np

from qpmask.collection.codecs import MAX_CHUNK_BYTES, ChunkCodec, codec_from_json, index_bytes
from qpmask.collection.grid import Grid
from qpmask.collection.metadata import ATTRIBUTE, FORMAT, Json
from qpmask.collection.records import DTYPES, About, MaskRows
from qpmask.errors import MaskError
from qpmask.ometiff.omexml import Color

_MAX_JSON = 64 << 20
_MAX_MASKS = 1 << 24
_MAX_CHUNKS = 1 << 24  # with those of this qpmask, 70 million pixels a side
_UNITS = {"micrometer", "millimeter", None}
_LAYER = re.compile(r"labels/(?!\.\.?$)[^/\\]+")


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
        return _json(data)
    except (ValueError, RecursionError) as error:
        raise MaskError(f"{where} cannot be read: {error}.") from error


def _json(data: bytes) -> Json:
    if len(data) > _MAX_JSON:
        raise ValueError("it is too long")
    document = json.loads(data)
    if not isinstance(document, dict):
        raise ValueError("it is no JSON object")
    return document


def read_root(document: Json, where: str) -> tuple[About, MaskRows, int]:
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
        row.name for row in rows.every
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


def _rows(attributes: Json, mine: Json) -> MaskRows:
    label, n = attributes["ome"]["image-label"], _whole(mine["n"], 0)
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
    columns = (
        names, labels, [dtype or "bool" for dtype in dtypes], [paths[layer] for layer in layers],
        _wholes(mine["pixels"], n, 0), list(map(colors.get, labels)), list(groups),
    )  # fmt: skip
    if any(len(column) != n for column in columns):
        raise ValueError(f"a column is not of {n} masks")
    _check_boxes(mine["boxes"], mine["shape"], names)
    return MaskRows(columns, mine["boxes"])


def _check_boxes(ends: Any, shape: list[int], names: list[str]) -> None:
    """Bounding boxes must lie within the shape."""
    step = 2 * len(shape)
    found = _ints(ends, step * len(names))
    for axis, length in enumerate(shape):
        first, end = found[2 * axis :: step], found[2 * axis + 1 :: step]
        if names and (min(first) < 0 or max(end) > length or any(map(gt, first, end))):
            boxes = zip(names, first, end, strict=True)
            name = next(n for n, a, b in boxes if not 0 <= a <= b <= length)
            raise ValueError(f"the bounding box of {name!r} lies outside")


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
    found = _ints(values, n)
    if n and not least <= min(found) <= max(found) < 2**62:
        raise ValueError(f"{min(found)} or {max(found)} is no number that it can be")
    return found


def _ints(values: Any, n: int) -> list[int]:
    if not isinstance(values, list) or len(values) != n or not set(map(type, values)) <= {int}:
        raise ValueError(f"a column is not {n} numbers")
    found: list[int] = values
    return found


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


def read_array(data: bytes, path: str, scale: int, where: str) -> ArrayInfo:
    """An array's metadata.

    Parameters
    ----------
    data : bytes
        Its document.
    path : str
        Of the array.
    scale : int
        Every how many pixels of level 0 it holds one.
    where : str
        The collection, for messages.

    Raises
    ------
    MaskError
        It is damaged, or not what is known here.
    """
    try:
        return replace(_array(data, scale), path=path)
    except (
        KeyError, TypeError, ValueError, LookupError, OverflowError, AttributeError, RecursionError,
    ) as error:  # fmt: skip
        raise MaskError(
            f"The array {path!r} of {where} cannot be used: {error}.",
            hint="It is damaged, or was written by another program.",
        ) from error


@functools.lru_cache(maxsize=64)
def _array(data: bytes, scale: int) -> ArrayInfo:
    """An array but for its path: collections of one size have many with equal documents."""
    document = _json(data)
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
        info = ArrayInfo("", grid, dtype, codec_from_json(outer), 0, False, separator, document)
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
            "", grid, dtype, codec_from_json(inner["codecs"]), index_bytes(n, has_crc),
            has_crc, separator, document,
        )  # fmt: skip
    if not len(shape) == len(info.grid.chunk) == len(info.grid.shard) in (2, 3):
        raise ValueError("its axes are not 2 or 3")
    if math.prod(info.grid.chunk) * dtype.itemsize > MAX_CHUNK_BYTES:
        raise ValueError("its chunks are too large")
    if math.prod(info.grid.n_chunks) > _MAX_CHUNKS:
        raise ValueError("it has too many chunks")
    return info


def _whole(value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**62:
        raise ValueError(f"{value!r} is no number that it can be")
    return value
