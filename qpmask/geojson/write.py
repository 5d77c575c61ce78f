"""Objects as GeoJSON text, as QuPath 0.4 to 0.7 write it, or so that 0.3 reads it too.

The keys and their values are those of QuPath's ``QuPathTypeAdapters`` and ``ROITypeAdapters``
(0.6.0; 0.7.0 writes the same): coordinates with two decimals at most, ``plane`` and ``isEllipse``
inside the geometry, ``nucleusGeometry`` beside it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from qpmask.errors import OptionsError
from qpmask.geojson.coordinates import write_coordinates
from qpmask.geojson.objects import NO_COLOR, Geometries, GeometryType, ObjectClass, ObjectTable
from qpmask.qpdata import ObjectKind

_AT_ONCE: Final = 1 << 17  # vertices, if an object has no more
_MOST_OBJECTS: Final = 4096
_LARGEST: Final = 1e15  # a coordinate, in pixels

_TYPES: Final = {
    GeometryType.POINT: "Point",
    GeometryType.LINE: "LineString",
    GeometryType.POLYGON: "Polygon",
    GeometryType.MULTI_POINT: "MultiPoint",
    GeometryType.MULTI_LINE: "MultiLineString",
    GeometryType.MULTI_POLYGON: "MultiPolygon",
}
_KINDS: Final = {
    ObjectKind.ANNOTATION: "annotation",
    ObjectKind.DETECTION: "detection",
    ObjectKind.CELL: "cell",
    ObjectKind.TILE: "tile",
    ObjectKind.TMA_CORE: "tmaCore",
}

Dialect = Literal["qupath", "portable"]


@dataclass(frozen=True)
class WriteOptions:
    """How objects are written.

    Attributes
    ----------
    collection : bool
        A FeatureCollection, or an array of features (what QuPath writes unless told otherwise).
    dialect : {"qupath", "portable"}
        As QuPath 0.4 to 0.7 write it; or with what 0.3 wants beside it, which all of them read.
    nested : bool
        Children inside their parents (``childObjects``), which QuPath 0.4 and later read.
    measurements : bool
        Whether measurements are written.
    members : mapping
        Further members of the FeatureCollection, before its features.
    """

    collection: bool = True
    dialect: Dialect = "qupath"
    nested: bool = False
    measurements: bool = True
    members: Mapping[str, Any] = field(default_factory=dict)


def geojson_of(table: ObjectTable, options: WriteOptions | None = None) -> Iterator[bytes]:
    """Yield the text of a GeoJSON file, a few thousand objects at a time.

    Raises
    ------
    OptionsError
        A coordinate is no number.
    """
    options = options or WriteOptions()
    head, foot = "[\n", "\n]\n"
    if options.collection:
        members = "".join(f"{_json(k)}:{_json(v)}," for k, v in options.members.items())
        head = '{"type":"FeatureCollection",' + members + '"features":[\n'
        foot = "\n]}\n"
    yield head.encode()
    features = _Features(table, options)
    first = True
    for texts in features.nested() if options.nested else features.flat():
        text = ",\n".join(texts)
        yield (text if first else ",\n" + text).encode()
        first = False
    yield foot.encode()


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class _Features:
    """Makes features of objects."""

    def __init__(self, table: ObjectTable, options: WriteOptions) -> None:
        self._table = table
        self._options = options
        self._portable = options.dialect == "portable"
        self._class_texts = [class_json(c, portable=self._portable) for c in table.classes]
        self._measured = [_json(name) + ":" for name in table.measurements.names]
        self._properties: dict[tuple[int, ...], str] = {}

    def flat(self) -> Iterator[list[str]]:
        """Yield some features at a time."""
        for first, end in _chunks(self._table):
            heads, tails = self._texts(np.arange(first, end))
            yield [head + tail for head, tail in zip(heads, tails, strict=True)]

    def nested(self) -> Iterator[list[str]]:
        """Yield the features without a parent, each with all that is below it."""
        table = self._table
        children: list[list[int]] = [[] for _ in range(len(table))]
        tops: list[int] = []
        for i, parent in enumerate(table.parent.tolist()):
            (tops if parent < 0 else children[parent]).append(i)
        heads: list[str] = []
        tails: list[str] = []
        for first, end in _chunks(table):
            more = self._texts(np.arange(first, end))
            heads += more[0]
            tails += more[1]
        for top in tops:
            parts: list[str] = []
            stack: list[tuple[int, Iterator[int]]] = []
            self._begin(top, heads, children, parts, stack)
            while stack:
                number, rest = stack[-1]
                child = next(rest, None)
                if child is not None:
                    if parts[-1] != "[":
                        parts.append(",")
                    self._begin(child, heads, children, parts, stack)
                    continue
                stack.pop()
                if children[number]:
                    parts.append("]")
                parts.append(tails[number])
            yield ["".join(parts)]

    @staticmethod
    def _begin(
        number: int, heads: list[str], children: list[list[int]], parts: list[str],
        stack: list[tuple[int, Iterator[int]]],
    ) -> None:  # fmt: skip
        parts.append(heads[number])
        if children[number]:
            parts += [',"childObjects":', "["]
        stack.append((number, iter(children[number])))

    def _texts(self, numbers: NDArray[np.int64]) -> tuple[list[str], list[str]]:
        """Features up to the last property, and what closes them."""
        table = self._table
        shapes = self._geometry_texts(table.geometry[numbers])
        nuclei = self._geometry_texts(table.nucleus[numbers], none="")
        ids = table.ids[numbers].astype(str).tolist()
        keys = zip(
            *(
                column[numbers].tolist()
                for column in (table.kind, table.class_index, table.color_argb, table.locked,
                               table.missing)
            ),
            strict=True,
        )  # fmt: skip
        measured: Iterator[str] | repeat[str] = repeat("")
        if self._options.measurements and len(table.measurements.value):
            measured = iter(self._measurement_texts(numbers))
        heads = []
        for i, id_, shape, nucleus, key, numbers_of in zip(
            numbers.tolist(), ids, shapes, nuclei, keys, measured, strict=False
        ):
            properties = self._properties.get(key)
            if properties is None:
                properties = self._properties[key] = self._property_text(key)
            name = table.names[i]
            heads.append(
                '{"type":"Feature",'
                + (f'"id":"{id_}",' if id_ else "")
                + f'"geometry":{shape},'
                + (f'"nucleusGeometry":{nucleus},' if nucleus else "")
                + properties
                + ("" if name is None else f',"name":{_json(name)}')
                + numbers_of
                + (f',"metadata":{_json(dict(table.metadata[i]))}' if i in table.metadata else "")
            )
        return heads, ["}}"] * len(heads)

    def _property_text(self, key: tuple[int, ...]) -> str:
        """What many objects have in common of their properties."""
        kind, class_index, color, locked, missing = key
        name = _KINDS.get(ObjectKind(kind), "annotation")
        text = f'"properties":{{"objectType":"{name}"'
        if self._portable:
            text += f',"object_type":"{"tma_core" if name == "tmaCore" else name}"'
        if color != NO_COLOR:
            text += f',"color":{_json(rgb(color))}'
        if class_index >= 0:
            text += f',"classification":{self._class_texts[class_index]}'
        if locked or self._portable:
            text += f',"isLocked":{_json(bool(locked))}'
        if kind == ObjectKind.TMA_CORE:
            text += f',"isMissing":{_json(bool(missing))}'
        return text

    def _measurement_texts(self, numbers: NDArray[np.int64]) -> Iterator[str]:
        measurements, names = self._table.measurements, self._measured
        open_, close = (',"measurements":[', "]") if self._portable else (',"measurements":{', "}")
        for i in numbers.tolist():
            part = slice(*measurements.offsets[i : i + 2].tolist())
            values = map(_number, measurements.value[part].tolist())
            which = measurements.name[part].tolist()
            if not which:
                yield ""
            elif self._portable:  # no NaN, as QuPath 0.3 reads none
                texts = [
                    f'{{"name":{names[k][:-1]},"value":{text}}}'
                    for k, text in zip(which, values, strict=True)
                    if text[0] != '"'
                ]
                yield open_ + ",".join(texts) + close
            else:
                texts = [names[k] + text for k, text in zip(which, values, strict=True)]
                yield open_ + ",".join(texts) + close

    def _geometry_texts(self, numbers: NDArray[np.int32], none: str = "{}") -> list[str]:
        """Geometries by their numbers; ``none`` for -1."""
        shapes = self._table.geometries
        wanted = np.flatnonzero(numbers >= 0)
        texts = [none] * len(numbers)
        if not len(wanted):
            return texts
        chosen = numbers[wanted].astype(np.int64)
        default = (shapes.c[chosen] == -1) & (shapes.z[chosen] == 0) & (shapes.t[chosen] == 0)
        plain = default & ~shapes.is_ellipse[chosen]
        coordinates = coordinate_texts(shapes, chosen)
        types = shapes.type[chosen].tolist()
        for at, g, type_, is_plain, text in zip(
            wanted.tolist(), chosen.tolist(), types, plain.tolist(), coordinates, strict=True
        ):
            if type_ == GeometryType.NONE:
                continue
            more = "" if is_plain else self._special(g)
            texts[at] = f'{{"type":"{_TYPES[type_]}","coordinates":{text}{more}}}'
        return texts

    def _special(self, geometry: int) -> str:
        """Plane and shape of a geometry that has others than most."""
        shapes = self._table.geometries
        c, z, t = (int(column[geometry]) for column in (shapes.c, shapes.z, shapes.t))
        text = ""
        if (c, z, t) != (-1, 0, 0):
            text = f',"plane":{{"c":{c},"z":{z},"t":{t}}}'
        return text + (',"isEllipse":true' if shapes.is_ellipse[geometry] else "")


def _chunks(table: ObjectTable) -> Iterator[tuple[int, int]]:
    """Cut objects into some that are written at a time."""
    shapes = table.geometries
    sizes = np.zeros(len(table), np.int64)
    if len(shapes):
        n_vertices = np.diff(shapes.first_vertex)
        for column in (table.geometry, table.nucleus):
            sizes += np.where(column >= 0, n_vertices[column], 0)
    until = np.cumsum(sizes)
    first = 0
    while first < len(table):
        before = until[first - 1] if first else 0
        end = int(np.searchsorted(until, before + _AT_ONCE, "right"))
        end = min(max(end, first + 1), first + _MOST_OBJECTS)
        yield first, end
        first = end


def coordinate_texts(shapes: Geometries, chosen: NDArray[np.int64]) -> list[str]:
    """What stands after ``"coordinates":`` of some geometries.

    Raises
    ------
    OptionsError
        A coordinate is no number, or farther away than any pixel.
    """
    texts: list[str] = [""] * len(chosen)
    at = 0
    while at < len(chosen):  # those that follow one another at once
        run = 1
        while at + run < len(chosen) and chosen[at + run] == chosen[at] + run:
            run += 1
        g0, g1 = int(chosen[at]), int(chosen[at]) + run
        texts[at : at + run] = _run_of_texts(shapes, g0, g1)
        at += run
    return texts


def _run_of_texts(shapes: Geometries, g0: int, g1: int) -> list[str]:
    p0, p1 = shapes.part_offsets[[g0, g1]].tolist()
    r0, r1 = shapes.ring_offsets[[p0, p1]].tolist()
    v0, v1 = shapes.vertex_offsets[[r0, r1]].tolist()
    hundredths = _hundredths(shapes.xy_px0[v0:v1])
    end = np.empty(g1 - g0, np.int64)
    out = np.empty(24 * (v1 - v0) + 64 * (r1 - r0) + 256, np.uint8)
    while True:
        n = write_coordinates(
            np.ascontiguousarray(shapes.type[g0:g1]),
            shapes.part_offsets[g0 : g1 + 1] - p0,
            shapes.ring_offsets[p0 : p1 + 1] - r0,
            np.ascontiguousarray(shapes.vertex_offsets[r0 : r1 + 1]),
            hundredths, v0, out, end,
        )  # fmt: skip
        if n >= 0:
            break
        out = np.empty(2 * len(out), np.uint8)
    text = out[:n].tobytes().decode("ascii")
    ends = end.tolist()
    return [text[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)]


def _hundredths(xy_px0: NDArray[Any]) -> NDArray[np.int64]:
    """Coordinates in 1/100 pixel, rounded as Java's NumberFormat does: half to even."""
    if xy_px0.dtype.kind == "i":
        return xy_px0.astype(np.int64) * 100
    xy = xy_px0.astype(np.float64)
    if not (np.abs(xy) < _LARGEST).all():
        raise OptionsError("A coordinate is no number, or farther away than any pixel.")
    hundredths: NDArray[np.int64] = np.rint(xy * 100).astype(np.int64)
    return hundredths


def _number(value: float) -> str:
    """A measurement, as QuPath writes it."""
    if math.isfinite(value):
        return repr(value)
    return '"NaN"' if math.isnan(value) else '"Infinity"' if value > 0 else '"-Infinity"'


def rgb(argb: int) -> list[int]:
    """Red, green and blue of a packed colour."""
    return [argb >> shift & 255 for shift in (16, 8, 0)]


def class_json(entry: ObjectClass, *, portable: bool = False) -> str:
    """A class as GeoJSON has it."""
    names = entry.name.split(": ")
    made: dict[str, Any] = {"name": entry.name}
    if not portable and len(names) > 1:
        made = {"names": names}
    if entry.color_argb is not None:
        alpha = entry.color_argb >> 24 & 255
        made["color"] = rgb(entry.color_argb) + ([] if alpha in (0, 255) else [alpha])
        if portable:
            made["colorRGB"] = entry.color_argb
    return _json(made)
