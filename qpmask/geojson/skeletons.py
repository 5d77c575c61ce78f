"""Many features at once: what the scan cut out, put together with what Python reads of skeletons.

A skeleton (:mod:`.scan`) is parsed as a feature once, and read by the same rules as any other; the
objects of all features that have it are made of columns. Features without one are read by Python,
and so is all of a file in which something is not as expected.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from qpmask.common.ragged import items_at, offsets_of
from qpmask.errors import ObjectFileError
from qpmask.geojson import scanrecord as k
from qpmask.geojson.columns import NO_NUMBER, UNKNOWN_KIND, Columns, ManyObjects
from qpmask.geojson.featurerules import Described, id_of, kind_of, properties_of
from qpmask.geojson.scan import scan_features
from qpmask.geojson.shapes import NoGeometryError, plane_of
from qpmask.geojson.text import features_of, first_feature, parse
from qpmask.geojson.values import number as number_of
from qpmask.imageobjects import Geometries, GeometryType, ObjectKind, stored_id

_WINDOW_BYTES: Final = 8 << 20
_MOST_SKELETONS: Final = 512
_ARENA_BYTES: Final = 1 << 20
#: Types that are nested as the scan takes it: GeoJSON's name, and the depth of the coordinates.
_DEPTHS: Final = {
    "Point": (GeometryType.POINT, 1),
    "MultiPoint": (GeometryType.MULTI_POINT, 2),
    "LineString": (GeometryType.LINE, 2),
    "Polygon": (GeometryType.POLYGON, 3),
    "MultiPolygon": (GeometryType.MULTI_POLYGON, 4),
}
_LISTS: Final = re.compile(rb'"features"\s*:')
_CUT: Final = re.compile(rb"\x01.|[\x02-\x04]")


@dataclass(frozen=True)
class _Shape:
    """A geometry of a skeleton: which of those that were cut out, its type and plane."""

    cut: int
    type: GeometryType
    plane: tuple[int, int, int]
    is_ellipse: bool


@dataclass(frozen=True, eq=False)
class _Template:
    """What a skeleton says of all features that have it.

    ``name_ids`` are numbers of names of measurements; ``cuts`` say which number that was cut out
    each is, or -1 where it is that in ``values``. ``id_cut`` and ``name_cut`` are -1 where none
    was cut out.
    """

    kind: ObjectKind
    geometry: _Shape
    nucleus: _Shape | None
    described: Described
    id_cut: int
    name_cut: int
    name_ids: list[int]
    cuts: list[int]
    values: list[float]
    mends: list[tuple[str, str]]


def scanned(data: bytes, path: Path, class_key: str | None) -> Columns | None:
    """Read a file by scanning it; None where Python should read it."""
    start = first_feature(data)
    words = b"" if class_key is None else class_key.encode()
    if start < 0 or class_key in k.WORDS or not words.isascii() or b'"' in words or b"\\" in words:
        return None
    columns = Columns(class_key)
    scanner = _Scanner(data, path, columns, words)
    try:
        end = scanner.run(start)
        if end < 0:
            return None
        # What stands around the list has to be GeoJSON with this one list.
        text = data[:start] + data[end - 1 :]
        around = parse(text, path)
        is_other = isinstance(around, dict) and "features" not in around
        if is_other or features_of(around, path) or len(_LISTS.findall(text)) > 1:
            return None
    except (ValueError, RecursionError, ObjectFileError):
        return None  # reading it as JSON tells what is wrong
    return columns


class _Scanner:
    """Scans a file window by window."""

    def __init__(self, data: bytes, path: Path, columns: Columns, class_key: bytes) -> None:
        self._data, self._path, self._columns = data, path, columns
        self._bytes = np.frombuffer(data, np.uint8)
        texts = [word.encode() for word in k.WORDS] + ([class_key] if class_key else [])
        self._words = np.frombuffer(b"".join(texts), np.uint8)
        self._word_ends = offsets_of([len(text) for text in texts])[1:]
        self._tables = k.powers_of_ten()
        self._templates: dict[bytes, _Template | None] = {}
        self._n_features = 0

    def run(self, start: int) -> int:
        """Read all features; where the list ends, or -1 where Python should read the file."""
        size = _WINDOW_BYTES
        scan = self._room(size)
        pos = start
        while True:
            stop = min(pos + size, len(self._data))
            scan.counts[:] = 0
            scan.table[:, 1] = 0
            end = scan_features(self._bytes, pos, stop, scan)
            status, n = int(scan.counts[k.STATUS]), int(scan.counts[k.FEATURES])
            if status == k.DAMAGED or (status == k.END and not n and pos != start):
                return -1
            if n:
                self._take(scan, n)
            if status == k.END:
                return end
            if not n:
                if stop == len(self._data):
                    return -1
                size *= 2
                scan = self._room(size)
            pos = end

    def _room(self, size: int) -> k.Scan:
        """Arrays for all that a window can hold; of most of them little is ever touched."""
        powers, tens, twos = self._tables
        vertices = size // 6 + 8
        return k.Scan(
            counts=np.zeros(k.N_COUNTS, np.int64),
            features=np.empty((size // 2 + 8, 7), np.int64),
            geometries=np.empty((vertices, 2), np.int64),
            parts=np.empty(vertices, np.int64),
            rings=np.empty(vertices, np.int64),
            xy=np.empty(2 * vertices, np.float64),
            values=np.empty(size // 2 + 8, np.float64),
            ids=np.empty((size // 40 + 8, 36), np.uint8),
            names=np.empty((size // 8 + 8, 2), np.int64),
            hard=np.empty((size // 2 + 8, 3), np.int64),
            arena=np.empty(_ARENA_BYTES, np.uint8),
            skeletons=np.zeros(_MOST_SKELETONS, np.int64),
            table=np.zeros((4 * _MOST_SKELETONS, 2), np.int64),
            words=self._words,
            word_ends=self._word_ends,
            powers=powers,
            tens=tens,
            twos=twos,
        )

    def _take(self, scan: k.Scan, n: int) -> None:
        """Make objects of the features of a window."""
        count = scan.counts
        for place, a, b in scan.hard[: count[k.HARD]].tolist():
            value = float(self._data[a:b])
            if place >= 0:
                scan.xy[place] = value
            else:
                scan.values[~place] = value
        ends = scan.skeletons[: count[k.SKELETONS]].tolist()
        arena = scan.arena[: ends[-1] if ends else 0].tobytes()
        numbers = self._n_features + 1 + np.arange(n)
        # In the order of the file, since the first feature of a class decides its colour.
        skeleton = scan.features[:n, 2]
        known, at = np.unique(skeleton, return_index=True)
        first_of = dict(zip(known.tolist(), at.tolist(), strict=True))
        is_slow = skeleton < 0
        templates: list[_Template | None] = []
        done = 0
        for s, (a, b) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
            first = first_of.get(s, done)
            self._take_one_by_one(scan, np.flatnonzero(is_slow[done:first]) + done)
            done = first
            templates.append(self._template(arena[a:b]))
            if templates[s] is None:
                is_slow[skeleton == s] = True
        self._take_one_by_one(scan, np.flatnonzero(is_slow[done:]) + done)
        rows = scan.features[:n][~is_slow]
        if len(rows):
            many = _Many(scan, self._data, templates, rows, numbers[~is_slow])
            self._columns.add_many(many.objects(), len(rows))
            for i in np.flatnonzero([bool(one and one.mends) for one in templates]).tolist():
                one = templates[i]
                assert one is not None
                for number in many.numbers[many.skeleton == i].tolist():
                    for mend in one.mends:
                        self._columns.mend(f"feature {number}", *mend)
        self._columns.shapes.settle()
        self._n_features += n

    def _take_one_by_one(self, scan: k.Scan, rows: NDArray[np.int64]) -> None:
        """Read features of a window as JSON."""
        for i in rows.tolist():
            a, b = scan.features[i, :2].tolist()
            self._columns.add(parse(self._data[a:b], self._path), self._n_features + 1 + i)

    def _template(self, skeleton: bytes) -> _Template | None:
        if skeleton not in self._templates:
            self._templates[skeleton] = _template(skeleton, self._columns)
        return self._templates[skeleton]


def _template(skeleton: bytes, columns: Columns) -> _Template | None:
    """Read a skeleton; None where its features must be read one by one."""
    depths: list[int] = []
    n = dict.fromkeys(range(1, 5), 0)

    def numbered(cut: re.Match[bytes]) -> bytes:
        code = cut[0][0]
        n[code] += 1
        if code == k.CUT_GEOMETRY:
            depths.append(cut[0][1] - ord("0"))
        is_text = code in (k.CUT_ID, k.CUT_NAME)
        return (b"[%d]" if is_text else b" %d ") % (n[code] - 1)

    feature = json.loads(_CUT.sub(numbered, skeleton).decode())
    if "geometry" not in feature:
        return None
    feature, properties = properties_of(feature)
    kind, is_known = kind_of(feature, properties)
    geometry = _shape(feature["geometry"], properties, depths)
    if kind is None or geometry is None:
        return None
    nucleus = None
    if kind == ObjectKind.CELL and feature.get("nucleusGeometry") is not None:
        nucleus = _shape(feature["nucleusGeometry"], properties, depths)
        if nucleus is None:
            return None
    given = id_of(feature, properties)
    if isinstance(given, str) and stored_id(given):
        return None  # of one feature alone
    if isinstance(properties.get("measurements"), int | float | str):
        return None  # numbers in a text were not cut out
    if "name" not in properties and isinstance(feature.get("name"), list):
        return None  # no cut
    described = columns.rules.describe(feature, properties)
    mends = [] if is_known else [UNKNOWN_KIND]
    mends += described.mends
    name_ids, cuts, values = [], [], []
    for name, value in described.measured.items():
        is_cut = type(value) is int
        found = 0.0 if is_cut else number_of(value)
        if found is None:
            mends.append(NO_NUMBER)
            continue
        name_ids.append(columns.measured(name))
        cuts.append(value if is_cut else -1)
        values.append(found)
    name = described.name
    return _Template(
        kind=kind,
        geometry=geometry,
        nucleus=nucleus,
        described=described,
        id_cut=given[0] if isinstance(given, list) else -1,
        name_cut=name[0] if isinstance(name, list) else -1,
        name_ids=name_ids,
        cuts=cuts,
        values=values,
        mends=mends,
    )


def _shape(geometry: Any, properties: dict[str, Any], depths: list[int]) -> _Shape | None:
    name = geometry.get("type") if isinstance(geometry, dict) else None
    if not isinstance(name, str) or name not in _DEPTHS:
        return None
    kind, depth = _DEPTHS[name]
    cut = geometry.get("coordinates")
    if type(cut) is not int or depths[cut] != depth:
        return None
    try:
        plane = plane_of(geometry.get("plane", properties.get("plane")))
    except NoGeometryError:
        return None
    return _Shape(cut, kind, plane, geometry.get("isEllipse") is True)


class _Many:
    """The objects of features of a window that have a template.

    Parameters
    ----------
    rows : ndarray of int64, shape (n, 7)
        Of ``Scan.features``.
    numbers : ndarray of int64, shape (n,)
        Of the features.
    """

    def __init__(
        self,
        scan: k.Scan,
        data: bytes,
        templates: list[_Template | None],
        rows: NDArray[np.int64],
        numbers: NDArray[np.int64],
    ) -> None:
        self._scan, self._data, self._rows, self.numbers = scan, data, rows, numbers
        self._templates = templates
        self.skeleton = rows[:, 2]

    def _of_each(self, what: Any, dtype: Any) -> NDArray[Any]:
        """What the template of each feature says."""
        values = [0 if one is None else what(one) for one in self._templates]
        return np.array(values, dtype)[self.skeleton]

    def _cut(self, column: int, what: Any) -> NDArray[np.int64]:
        """Which of what was cut out in the window each feature has; -1 for none."""
        own = self._of_each(what, np.int64)
        return np.where(own < 0, -1, own + self._rows[:, column])

    def objects(self) -> ManyObjects:
        """All of them."""
        geometry = self._cut(3, lambda t: t.geometry.cut)
        nucleus = self._cut(3, lambda t: -1 if t.nucleus is None else t.nucleus.cut)
        n_values, value_name, value = self._values()
        return ManyObjects(
            feature=self.numbers,
            kind=self._of_each(lambda t: t.kind, np.uint8),
            geometry=geometry.astype(np.int32),
            nucleus=nucleus.astype(np.int32),
            class_index=self._of_each(lambda t: t.described.class_index, np.int32),
            ids=self._ids(),
            color_argb=self._of_each(lambda t: t.described.color_argb, np.int64),
            locked=self._of_each(lambda t: t.described.locked, np.bool_),
            missing=self._of_each(lambda t: t.described.missing, np.bool_),
            names=self._names(),
            metadata=self._metadata(),
            n_values=n_values,
            value_name=value_name,
            value=value,
            shapes=self._shapes(geometry, nucleus),
        )

    def _ids(self) -> NDArray[np.bytes_]:
        cut = self._cut(5, lambda t: t.id_cut)
        texts = self._scan.ids[: self._scan.counts[k.IDS] + 1].view("S36").reshape(-1)
        ids: NDArray[np.bytes_] = texts[cut]
        ids[cut < 0] = b""
        return ids

    def _names(self) -> list[str | None]:
        cut = self._cut(6, lambda t: t.name_cut)
        names: list[str | None] = [None] * len(cut)
        for i, one in enumerate(self._templates):
            if one is not None and isinstance(one.described.name, str):
                for row in np.flatnonzero(self.skeleton == i).tolist():
                    names[row] = one.described.name
        spans = self._scan.names[cut].tolist()
        for row in np.flatnonzero(cut >= 0).tolist():
            a, b = spans[row]
            names[row] = self._data[a:b].decode("ascii")
        return names

    def _metadata(self) -> dict[int, dict[str, str]]:
        found: dict[int, dict[str, str]] = {}
        for i, one in enumerate(self._templates):
            if one is not None and one.described.metadata is not None:
                rows = np.flatnonzero(self.skeleton == i).tolist()
                found.update(dict.fromkeys(rows, one.described.metadata))
        return found

    def _values(self) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]:
        """Number of measurements of each object, their names and values."""
        known = [[] if one is None else one.name_ids for one in self._templates]
        per_skeleton = np.array([len(one) for one in known], np.int64)
        starts = offsets_of(per_skeleton)
        name_ids = np.array([n for one in known for n in one], np.int32)
        cuts, fixed = (
            np.array([v for one in self._templates if one for v in getattr(one, name)], dtype)
            for name, dtype in (("cuts", np.int64), ("values", np.float64))
        )
        n_values = per_skeleton[self.skeleton]
        own = items_at(starts[self.skeleton], n_values)
        places = cuts[own] + np.repeat(self._rows[:, 4], n_values)
        value = np.where(cuts[own] >= 0, self._scan.values[places], fixed[own])
        return n_values, name_ids[own], value

    def _shapes(self, geometry: NDArray[np.int64], nucleus: NDArray[np.int64]) -> Geometries:
        scan, count = self._scan, self._scan.counts
        n = int(count[k.GEOMETRIES])
        type_ = np.zeros(n, np.uint8)
        is_ellipse = np.zeros(n, np.bool_)
        planes = np.tile(np.array([-1, 0, 0], np.int32), (n, 1))
        for numbers, shape_of in (
            (geometry, lambda t: t.geometry),
            (nucleus, lambda t: t.nucleus or t.geometry),
        ):
            has = numbers >= 0
            some = numbers[has]
            type_[some] = self._of_each(lambda t, of=shape_of: of(t).type, np.uint8)[has]
            is_ellipse[some] = self._of_each(lambda t, of=shape_of: of(t).is_ellipse, np.bool_)[has]
            for axis in range(3):
                column = self._of_each(lambda t, of=shape_of, a=axis: of(t).plane[a], np.int32)
                planes[some, axis] = column[has]
        zero = np.zeros(1, np.int64)
        n_vertices = int(count[k.VERTICES])
        return Geometries(
            type=type_,
            is_ellipse=is_ellipse,
            c=planes[:, 0].copy(),
            z=planes[:, 1].copy(),
            t=planes[:, 2].copy(),
            part_offsets=np.concatenate([zero, scan.geometries[:n, 1]]),
            ring_offsets=np.concatenate([zero, scan.parts[: count[k.PARTS]]]),
            vertex_offsets=np.concatenate([zero, scan.rings[: count[k.RINGS]]]),
            xy_px0=scan.xy[: 2 * n_vertices].reshape(-1, 2).copy(),
        )
