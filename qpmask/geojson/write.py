"""Objects as GeoJSON text, as QuPath 0.4 to 0.7 write it, or so that 0.3 reads it too.

The keys and their values are those of QuPath's ``QuPathTypeAdapters`` and ``ROITypeAdapters``
(0.6.0; 0.7.0 writes the same): coordinates with two decimals at most unless all digits are asked
for, ``plane`` and ``isEllipse`` inside the geometry, ``nucleusGeometry`` beside it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from qpmask.common.ragged import offsets_of
from qpmask.errors import OptionsError
from qpmask.geojson.coordinates import NO_NUMBER, NO_ROOM, TINY_BYTES, Shapes
from qpmask.geojson.features import (
    CLOSE,
    COMMA,
    COORDINATES,
    END,
    GEOMETRY,
    ID,
    MEASURE_END,
    MEASURED,
    MEASURED_END,
    N_FIXED,
    NO_GEOMETRY,
    NONE,
    NUCLEUS,
    START,
    Objects,
    Texts,
    write_features,
)
from qpmask.geojson.numbers import LEAST, MOST, POWERS_OF_5, POWERS_OF_10
from qpmask.imageobjects import NO_COLOR, GeometryType, ObjectClass, ObjectKind, ObjectTable

_AT_ONCE: Final = 1 << 17  # vertices, if an object has no more
_MOST_OBJECTS: Final = 4096
_FIRST_ROOM: Final = 1 << 20  # bytes for the text of these
_TAIL: Final = b"}}"
_BETWEEN: Final = b",\n"

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
    exact : bool
        Coordinates with all the digits that it takes to read the same doubles again, or with two
        decimals at most, as QuPath writes them.
    members : mapping
        Further members of the FeatureCollection, before its features.
    """

    collection: bool = True
    dialect: Dialect = "qupath"
    nested: bool = False
    measurements: bool = True
    exact: bool = False
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
    for text in features.nested() if options.nested else features.flat():
        yield text if first else b",\n" + text
        first = False
    yield foot.encode()


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class _Features:
    """Makes features of objects: gathers texts and columns, which a kernel puts together."""

    def __init__(self, table: ObjectTable, options: WriteOptions) -> None:
        self._table = table
        self._options = options
        self._portable = options.dialect == "portable"
        self._class_texts = [class_json(c, portable=self._portable) for c in table.classes]
        self._first_vertex = table.geometries.first_vertex
        self._fixed = _fixed_texts(portable=self._portable)
        self._first_name = len(self._fixed)
        pattern = '{"name":%s,"value":' if self._portable else "%s:"
        self._fixed += [(pattern % _json(name)).encode() for name in table.measurements.names]
        self._properties: dict[int, int] = {}
        self._special: dict[tuple[int, ...], int] = {}
        self._out = np.empty(_FIRST_ROOM, np.uint8)

    def flat(self) -> Iterator[bytes]:
        """Yield some features at a time."""
        for first, end in self._table.parts(_AT_ONCE, _MOST_OBJECTS):
            text, _ = self._text(first, end)
            yield text[: -len(_BETWEEN)]

    def nested(self) -> Iterator[bytes]:
        """Yield the features without a parent, each with all that is below it."""
        table = self._table
        children: list[list[int]] = [[] for _ in range(len(table))]
        tops: list[int] = []
        for i, parent in enumerate(table.parent.tolist()):
            (tops if parent < 0 else children[parent]).append(i)
        heads: list[bytes] = []
        for first, end in table.parts(_AT_ONCE, _MOST_OBJECTS):
            text, ends = self._text(first, end)
            begins = [0, *(end + len(_TAIL + _BETWEEN) for end in ends)]
            heads += [text[a:b] for a, b in zip(begins, ends, strict=False)]
        for top in tops:
            parts: list[bytes] = []
            stack: list[tuple[int, Iterator[int]]] = []
            self._begin(top, heads, children, parts, stack)
            while stack:
                number, rest = stack[-1]
                child = next(rest, None)
                if child is not None:
                    if parts[-1] != b"[":
                        parts.append(b",")
                    self._begin(child, heads, children, parts, stack)
                    continue
                stack.pop()
                if children[number]:
                    parts.append(b"]")
                parts.append(_TAIL)
            yield b"".join(parts)

    @staticmethod
    def _begin(
        number: int, heads: list[bytes], children: list[list[int]], parts: list[bytes],
        stack: list[tuple[int, Iterator[int]]],
    ) -> None:  # fmt: skip
        parts.append(heads[number])
        if children[number]:
            parts += [b',"childObjects":', b"["]
        stack.append((number, iter(children[number])))

    def _text(self, first: int, end: int) -> tuple[bytes, list[int]]:
        """Features, each with what is between it and the next one; where their properties end.

        Raises
        ------
        OptionsError
            A coordinate is no number, or farther away than any pixel.
        """
        table, some = self._table, slice(first, end)
        properties = self._property_numbers(some)
        geometry, geometry_more = self._geometry_numbers(table.geometry[some])
        nucleus, nucleus_more = self._geometry_numbers(table.nucleus[some])
        texts = list(self._fixed)  # and those of these objects alone
        name, last = (np.full(end - first, NONE, np.int32) for _ in range(2))
        for i in range(first, end):
            if (said := table.names[i]) is not None:
                name[i - first] = _add(texts, f',"name":{_json(said)}')
            if i in table.metadata:
                last[i - first] = _add(texts, f',"metadata":{_json(dict(table.metadata[i]))}')
        offsets = np.zeros(end - first + 1, np.int64)
        m = table.measurements
        if self._options.measurements:
            offsets = m.offsets[first : end + 1] - m.offsets[first]
        measured = slice(int(m.offsets[first]), int(m.offsets[first] + offsets[-1]))
        values = np.ascontiguousarray(m.value[measured], np.float64)
        size = np.abs(values)
        odd = values[(size != 0) & ~((size >= LEAST) & (size < MOST))].tolist()
        # QuPath 0.3 reads no NaN.
        left_out = [self._portable and not math.isfinite(value) for value in odd]
        objects = Objects(
            np.ascontiguousarray(table.ids[some], "S36").view(np.uint8), geometry, nucleus,
            geometry_more, nucleus_more, properties, name, last, offsets,
            (m.name[measured] + self._first_name).astype(np.int32), values, values.view(np.int64),
            np.array([NONE if out else _add(texts, _odd_number(value))
                      for value, out in zip(odd, left_out, strict=True)], np.int32),
        )  # fmt: skip
        ends = np.empty(end - first, np.int64)
        text_ends = offsets_of([len(text) for text in texts])
        arguments = (
            Texts(np.frombuffer(b"".join(texts), np.uint8), text_ends), objects,
            self._shapes(np.concatenate([geometry, nucleus])), POWERS_OF_5, POWERS_OF_10,
            np.zeros(1, np.int64),
        )  # fmt: skip
        while (n := write_features(*arguments, self._out, ends)) == NO_ROOM:
            self._out = np.empty(2 * len(self._out), np.uint8)
        if n == NO_NUMBER:
            raise OptionsError("A coordinate is no number, or farther away than any pixel.")
        return self._out[:n].tobytes(), ends.tolist()

    def _shapes(self, numbers: NDArray[np.int64]) -> Shapes:
        """What the kernel needs to know of these geometries."""
        shapes = self._table.geometries
        numbers = numbers[numbers >= 0]
        base = stop = 0
        if len(numbers):
            base = int(self._first_vertex[numbers].min())
            stop = int(self._first_vertex[numbers + 1].max())
        xy = np.ascontiguousarray(shapes.xy_px0[base:stop], np.float64)
        bits, tiny = np.empty((0, 2), np.int64), np.empty(0)
        if self._options.exact:
            bits = xy.view(np.int64)
            tiny = np.unique(xy[(xy != 0) & (np.abs(xy) < LEAST)])
        texts = np.array([repr(value) for value in tiny.tolist()], f"S{TINY_BYTES}")
        return Shapes(
            np.ascontiguousarray(shapes.type), shapes.part_offsets, shapes.ring_offsets,
            shapes.vertex_offsets, xy, base, bits, tiny,
            texts.view(np.uint8).reshape(-1, TINY_BYTES), POWERS_OF_5, POWERS_OF_10,
        )  # fmt: skip

    def _geometry_numbers(
        self, numbers: NDArray[np.int32]
    ) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Geometries, and the text of the plane and shape of those that have others than most."""
        shapes = self._table.geometries
        found = numbers.astype(np.int64)
        chosen = np.flatnonzero(found >= 0)
        found[chosen[shapes.type[found[chosen]] == GeometryType.NONE]] = -1
        more = np.full(len(found), NONE, np.int32)
        chosen = np.flatnonzero(found >= 0)
        g = found[chosen]
        columns = (shapes.c, shapes.z, shapes.t, shapes.is_ellipse)
        others = (shapes.c[g] != -1) | (shapes.z[g] != 0) | (shapes.t[g] != 0)
        for at in chosen[others | shapes.is_ellipse[g]].tolist():
            key = tuple(int(column[found[at]]) for column in columns)
            if key not in self._special:
                self._special[key] = _add(self._fixed, _special(*key))
            more[at] = self._special[key]
        return found, more

    def _property_numbers(self, some: slice) -> NDArray[np.int32]:
        """Texts of what many objects have in common of their properties."""
        t = self._table
        code = t.color_argb[some] - (np.int64(1) << 31 << 1)
        for column, n in (
            (t.class_index, len(t.classes) + 1), (t.kind, 8), (t.locked, 2), (t.missing, 2)
        ):  # fmt: skip
            code = code * n + column[some]
        found, first, which = np.unique(code, return_index=True, return_inverse=True)
        for one, at in zip(found.tolist(), (first + some.start).tolist(), strict=True):
            if one not in self._properties:
                columns = (t.kind, t.class_index, t.color_argb, t.locked, t.missing)
                key = tuple(int(column[at]) for column in columns)
                self._properties[one] = _add(self._fixed, self._property_text(key))
        return np.array([self._properties[one] for one in found.tolist()], np.int32)[which]

    def _property_text(self, key: tuple[int, ...]) -> str:
        """What many objects have in common of their properties."""
        kind, class_index, color, locked, missing = key
        name = _KINDS.get(ObjectKind(kind), "annotation")
        text = f',"properties":{{"objectType":"{name}"'
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


def _special(c: int, z: int, t: int, is_ellipse: int) -> str:
    """Plane and shape of a geometry that has others than most."""
    text = "" if (c, z, t) == (-1, 0, 0) else f',"plane":{{"c":{c},"z":{z},"t":{t}}}'
    return text + (',"isEllipse":true' if is_ellipse else "")


def _fixed_texts(*, portable: bool) -> list[bytes]:
    """The texts that the kernel knows by their numbers."""
    texts = [b""] * N_FIXED
    texts[START] = b'{"type":"Feature"'
    texts[ID] = b',"id":"'
    texts[GEOMETRY], texts[NO_GEOMETRY] = b',"geometry":', b"{}"
    texts[NUCLEUS], texts[CLOSE], texts[COMMA] = b',"nucleusGeometry":', b"}", b","
    texts[END] = _TAIL + _BETWEEN
    texts[MEASURED], texts[MEASURED_END] = b',"measurements":{', b"}"
    if portable:
        texts[MEASURED], texts[MEASURED_END], texts[MEASURE_END] = b',"measurements":[', b"]", b"}"
    for type_, name in _TYPES.items():
        texts[COORDINATES + type_] = f'{{"type":"{name}","coordinates":'.encode()
    return texts


def _add(texts: list[bytes], text: str) -> int:
    """Add a text; give its number."""
    texts.append(text.encode())
    return len(texts) - 1


def _odd_number(value: float) -> str:
    """A measurement that is small, large or no number, as QuPath writes it."""
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
