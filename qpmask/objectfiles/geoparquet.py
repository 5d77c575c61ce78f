"""Objects -> GeoParquet 1.1: one row an object, for tables of millions.

Geometries are well-known binary in pixels of the image at full resolution, y downwards; such
coordinates lie on no earth, so the file says that there is no coordinate reference system
(``"crs": null``). https://geoparquet.org/releases/v1.1.0/

This is the one module that imports pyarrow.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from qpmask.common.extras import install_hint, needed
from qpmask.common.ragged import items_of, offsets_of
from qpmask.imageobjects import NO_COLOR, Geometries, GeometryType, ObjectKind, ObjectTable

#: Endings of the files that are written so.
PARQUET_SUFFIXES: Final = (".parquet", ".geoparquet")

_GEOMETRY: Final = "geometry"
_NUCLEUS: Final = "nucleus_geometry"
_ROWS: Final = 1 << 15
_VERTICES: Final = 1 << 20
_CELLS: Final = 1 << 22  # measurements, there or not
_KINDS: Final = {
    ObjectKind.ANNOTATION: "annotation",
    ObjectKind.DETECTION: "detection",
    ObjectKind.CELL: "cell",
    ObjectKind.TILE: "tile",
    ObjectKind.TMA_CORE: "tmaCore",
}
_NAMES: Final = {
    GeometryType.POINT: "Point",
    GeometryType.LINE: "LineString",
    GeometryType.POLYGON: "Polygon",
    GeometryType.MULTI_POINT: "MultiPoint",
    GeometryType.MULTI_LINE: "MultiLineString",
    GeometryType.MULTI_POLYGON: "MultiPolygon",
}
_FIXED: Final = (
    "image", "entry_id", "id", "kind", "class", "class_color", "name", "color", "parent",
    "locked", "missing", "c", "z", "t", "is_ellipse", "metadata", _GEOMETRY, _NUCLEUS,
)  # fmt: skip


@dataclass
class _GeometryColumn:
    """What the file says of a column of geometries."""

    types: set[str]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def as_dict(self) -> dict[str, Any]:
        """By the specification."""
        found: dict[str, Any] = {
            "encoding": "WKB",
            "geometry_types": sorted(self.types),
            "crs": None,
        }
        if np.isfinite(self.low).all():
            found["bbox"] = [*self.low.tolist(), *self.high.tolist()]
        return found


def pyarrow() -> Any:
    """The library.

    Raises
    ------
    MissingExtraError
        It is not installed.
    """
    with needed("GeoParquet needs pyarrow", install_hint("parquet")):
        import pyarrow
        import pyarrow.parquet
    return pyarrow


class TableWriter:
    """Writes tables of objects into one file, in groups of rows; a context manager.

    Parameters
    ----------
    file : binary file
        Open for writing.
    measured : iterable of str
        Names of all measurements that come, which become columns.
    has_nuclei : bool
        Whether any nuclei come.
    """

    def __init__(
        self, file: BinaryIO, measured: Iterable[str] = (), *, has_nuclei: bool = True
    ) -> None:
        self._arrow = pyarrow()
        self._measured = measurement_columns(measured)
        self._has_nuclei = has_nuclei
        nowhere = np.full(2, np.inf)
        self._geo = {
            name: _GeometryColumn(set(), nowhere.copy(), -nowhere)
            for name in (_GEOMETRY, _NUCLEUS)[: 1 + has_nuclei]
        }
        self._writer = self._arrow.parquet.ParquetWriter(
            file, self._schema(), compression="zstd", write_statistics=True
        )

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()

    def _schema(self) -> Any:
        pa = self._arrow
        words = pa.dictionary(pa.int32(), pa.string())
        types = {
            "image": words, "entry_id": words, "kind": words, "class": words,
            "class_color": words, "locked": pa.bool_(), "missing": pa.bool_(),
            "is_ellipse": pa.bool_(), "c": pa.int32(), "z": pa.int32(), "t": pa.int32(),
            _GEOMETRY: pa.binary(), _NUCLEUS: pa.binary(),
        }  # fmt: skip
        fields = [(name, types.get(name, pa.string())) for name in _FIXED]
        fields += [(column, pa.float64()) for column in self._measured.values()]
        return pa.schema([f for f in fields if self._has_nuclei or f[0] != _NUCLEUS])

    def write(self, table: ObjectTable, image: str = "", entry_id: str = "") -> Iterator[int]:
        """Write objects of an image; yield how many are written, group by group."""
        most = max(1, min(_ROWS, _CELLS // max(1, len(self._measured))))
        for first, end in table.parts(_VERTICES, most):
            self._writer.write_table(
                self._arrow.table(self._columns(table, first, end, image, entry_id),
                                  schema=self._writer.schema)
            )  # fmt: skip
            yield end

    def finish(self, members: Mapping[str, Any]) -> None:
        """Add what the file says of itself: ``geo``, and `members` as JSON by their names."""
        geo = {
            "version": "1.1.0",
            "primary_column": _GEOMETRY,
            "columns": {name: column.as_dict() for name, column in self._geo.items()},
        }
        texts = {"geo": geo, **members}
        self._writer.add_key_value_metadata(
            {name: json.dumps(value, ensure_ascii=False) for name, value in texts.items()}
        )

    def _columns(
        self, table: ObjectTable, first: int, end: int, image: str, entry_id: str
    ) -> dict[str, Any]:
        pa, n, rows = self._arrow, end - first, slice(first, end)

        def repeated(text: str) -> Any:
            return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), pa.array([text]))

        def chosen(numbers: NDArray[Any], texts: list[str | None]) -> Any:
            """Texts by number, null for -1 and where there is no text."""
            known = [text for text in texts if text is not None]
            at = np.cumsum([text is not None for text in texts], dtype=np.int32) - 1
            place = [-1 if text is None else i for text, i in zip(texts, at, strict=True)]
            numbers = np.array([*place, -1], np.int32)[numbers]
            return pa.DictionaryArray.from_arrays(
                pa.array(numbers, mask=numbers < 0), pa.array(known, pa.string())
            )

        kinds = [_KINDS.get(kind, "annotation") for kind in ObjectKind]
        kind_number = {int(kind): i for i, kind in enumerate(ObjectKind)}
        kind = np.array([kind_number[k] for k in table.kind[rows].tolist()], np.int32)
        class_index = table.class_index[rows]
        ids = [one.decode() or None for one in table.ids.tolist()[rows]]
        all_ids = table.ids
        parent = [
            None if p < 0 else all_ids[p].decode() or None for p in table.parent[rows].tolist()
        ]
        geometry = table.geometry[rows]
        has = geometry >= 0
        place = np.where(has, geometry, 0)
        shapes = table.geometries

        def of_shape(column: NDArray[Any]) -> Any:
            values = column[place] if len(column) else np.zeros(n, column.dtype)
            return pa.array(values, mask=~has)

        is_core = table.kind[rows] == ObjectKind.TMA_CORE
        found = {
            "image": repeated(image),
            "entry_id": repeated(entry_id),
            "id": pa.array(ids, pa.string()),
            "kind": chosen(kind, list(kinds)),
            "class": chosen(class_index, [c.name for c in table.classes]),
            "class_color": chosen(class_index, [_hex(c.color_argb) for c in table.classes]),
            "name": pa.array([table.names[i] for i in range(first, end)], pa.string()),
            "color": pa.array([_hex(v) for v in table.color_argb[rows].tolist()], pa.string()),
            "parent": pa.array(parent, pa.string()),
            "locked": pa.array(table.locked[rows]),
            "missing": pa.array(table.missing[rows], mask=~is_core),
            "c": of_shape(shapes.c),
            "z": of_shape(shapes.z),
            "t": of_shape(shapes.t),
            "is_ellipse": of_shape(shapes.is_ellipse),
            "metadata": pa.array(
                [
                    json.dumps(dict(table.metadata[i]), ensure_ascii=False)
                    if i in table.metadata
                    else None
                    for i in range(first, end)
                ],
                pa.string(),
            ),
            _GEOMETRY: self._binary(shapes, geometry, _GEOMETRY),
        }
        if self._has_nuclei:
            found[_NUCLEUS] = self._binary(shapes, table.nucleus[rows], _NUCLEUS)
        return found | self._measurements(table, first, end)

    def _binary(self, shapes: Geometries, numbers: NDArray[np.int32], column: str) -> Any:
        """Geometries as well-known binary, null for -1."""
        import shapely

        geometries = np.full(len(numbers), None, object)
        has = np.flatnonzero(numbers >= 0)
        types = shapes.type[numbers[has]]
        about = self._geo[column]
        for code in np.unique(types).tolist():
            kind = GeometryType(code)
            if kind == GeometryType.NONE:
                continue
            rows = has[types == code]
            made = _shapely(shapes, numbers[rows].astype(np.int64), kind)
            geometries[rows] = made
            about.types.add(_NAMES[kind])
            x1, y1, x2, y2 = shapely.total_bounds(made)
            about.low = np.fmin(about.low, [x1, y1])
            about.high = np.fmax(about.high, [x2, y2])
        return self._arrow.array(shapely.to_wkb(geometries), self._arrow.binary())

    def _measurements(self, table: ObjectTable, first: int, end: int) -> dict[str, Any]:
        m = table.measurements
        a, b = m.offsets[[first, end]].tolist()
        name = m.name[a:b]
        row = np.repeat(np.arange(end - first), np.diff(m.offsets[first : end + 1]))
        used = {m.names[i]: i for i in np.unique(name).tolist()}
        found = {}
        for text, column in self._measured.items():
            values, has = np.zeros(end - first), np.zeros(end - first, np.bool_)
            if text in used:
                of_it = name == used[text]
                values[row[of_it]] = m.value[a:b][of_it]
                has[row[of_it]] = True
            found[column] = self._arrow.array(values, mask=~has)
        return found


def measurement_columns(names: Iterable[str]) -> dict[str, str]:
    """The column of each measurement: its name, unless another column is called so."""
    taken = set(_FIXED)
    columns = {}
    for name in dict.fromkeys(names):
        column = name
        while column in taken:
            column += " (measurement)"
        taken.add(column)
        columns[name] = column
    return columns


def read_members(path: Path) -> dict[str, Any]:
    """What a file says of itself, by name; empty where it is no Parquet."""
    pa = pyarrow()
    try:
        stored = pa.parquet.read_metadata(path).metadata or {}
    except (OSError, pa.ArrowException):
        return {}
    found = {}
    for key, text in stored.items():
        try:
            found[key.decode()] = json.loads(text)
        except ValueError:
            continue
    return found


def _hex(argb: int | None) -> str | None:
    """A packed colour as #rrggbb, #rrggbbaa where it is not opaque."""
    if argb is None or argb == NO_COLOR:
        return None
    alpha = argb >> 24 & 0xFF
    return f"#{argb & 0xFFFFFF:06x}" + ("" if alpha == 0xFF else f"{alpha:02x}")


def _shapely(shapes: Geometries, chosen: NDArray[np.int64], kind: GeometryType) -> Any:
    """Geometries of one type."""
    import shapely

    parts = items_of(shapes.part_offsets, chosen)
    rings = items_of(shapes.ring_offsets, parts)
    xy = shapes.xy_px0[items_of(shapes.vertex_offsets, rings)].astype(np.float64)
    vertices = offsets_of(np.diff(shapes.vertex_offsets)[rings])
    of_parts = offsets_of(np.diff(shapes.ring_offsets)[parts])
    of_all = offsets_of(np.diff(shapes.part_offsets)[chosen])
    name, nested = {
        GeometryType.POINT: ("POINT", ()),
        GeometryType.MULTI_POINT: ("MULTIPOINT", (vertices,)),
        GeometryType.LINE: ("LINESTRING", (vertices,)),
        GeometryType.MULTI_LINE: ("MULTILINESTRING", (vertices, of_all)),
        GeometryType.POLYGON: ("POLYGON", (vertices, of_parts)),
        GeometryType.MULTI_POLYGON: ("MULTIPOLYGON", (vertices, of_parts, of_all)),
    }[kind]
    return shapely.from_ragged_array(shapely.GeometryType[name], xy, nested or None)
