"""Objects of features, read one by one or many at once -> one :class:`ObjectTable`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from qpmask.common.ragged import offsets_of
from qpmask.geojson.featurerules import FeatureRules, id_of, kind_of, properties_of
from qpmask.geojson.problems import FeatureProblem
from qpmask.geojson.shapes import NoGeometryError, ShapeColumns
from qpmask.geojson.validity import mend_geometries
from qpmask.geojson.values import number as number_of
from qpmask.imageobjects import (
    Geometries,
    Measurements,
    ObjectKind,
    ObjectTable,
    joined_geometries,
    stored_id,
)

_MAX_DEPTH: Final = 200


@dataclass(frozen=True, eq=False)
class ManyObjects:
    """Objects of many features.

    Attributes
    ----------
    feature : ndarray of int64, shape (n,)
        Number of the feature of each, from 1.
    kind, geometry, nucleus, class_index, ids, color_argb, locked, missing, names, metadata
        As :class:`ObjectTable` has them; geometries are those of ``shapes``.
    n_values : ndarray of int64, shape (n,)
        Measurements of each.
    value_name : ndarray of int32
        Number of each measurement's name in :class:`Columns`.
    value : ndarray of float64
        Measurements.
    shapes : Geometries
        Geometries; some may be no object's.
    """

    feature: NDArray[np.int64]
    kind: NDArray[np.uint8]
    geometry: NDArray[np.int32]
    nucleus: NDArray[np.int32]
    class_index: NDArray[np.int32]
    ids: NDArray[np.bytes_]
    color_argb: NDArray[np.int64]
    locked: NDArray[np.bool_]
    missing: NDArray[np.bool_]
    names: Sequence[str | None]
    metadata: dict[int, dict[str, str]]
    n_values: NDArray[np.int64]
    value_name: NDArray[np.int32]
    value: NDArray[np.float64]
    shapes: Geometries


class Columns:
    """Collects objects.

    Parameters
    ----------
    class_key : str, optional
        The property that names an object's class, where it is not ``classification``.
    """

    def __init__(self, class_key: str | None) -> None:
        self.rules = FeatureRules(class_key)
        self.shapes = ShapeColumns()
        self.problems: list[FeatureProblem] = []
        self.n_features = 0
        self._many: list[ManyObjects] = []
        self._feature: list[int] = []
        self._where: list[str] = []
        self._kind: list[int] = []
        self._geometry: list[int] = []
        self._nucleus: list[int] = []
        self._parent: list[int] = []
        self._class: list[int] = []
        self._ids: list[bytes] = []
        self._names: list[str | None] = []
        self._colors: list[int] = []
        self._locked: list[bool] = []
        self._missing: list[bool] = []
        self._metadata: dict[int, dict[str, str]] = {}
        self._n_values: list[int] = []
        self._measured: dict[str, int] = {}
        self._value_names: list[int] = []
        self._values: list[float] = []

    def measured(self, name: str) -> int:
        """Number of a measurement's name."""
        return self._measured.setdefault(name, len(self._measured))

    def add_many(self, many: ManyObjects, n_features: int) -> None:
        """Add objects of so many features."""
        self.n_features += n_features
        self._many.append(many)

    def add(self, feature: Any, number: int) -> None:
        """Add a feature, the so many-th of the file, and its children."""
        self._add(feature, number, f"feature {number}", -1, 0)

    def _add(self, feature: Any, number: int, where: str, parent: int, depth: int) -> None:
        self.n_features += 1
        if not isinstance(feature, dict):
            self.lose(where, "it is no feature")
            return
        feature, properties = properties_of(feature)
        made = self._add_object(feature, properties, number, where, parent)
        children = properties.get("childObjects", properties.get("children"))
        if isinstance(children, list):
            if depth >= _MAX_DEPTH:
                self.lose(where, f"its children are nested {_MAX_DEPTH} levels deep")
                return
            for i, child in enumerate(children):
                above = parent if made is None else made
                self._add(child, number, f"{where}, child {i + 1}", above, depth + 1)

    def _add_object(
        self,
        feature: dict[str, Any],
        properties: dict[str, Any],
        feature_number: int,
        where: str,
        parent: int,
    ) -> int | None:
        kind, is_known = kind_of(feature, properties)
        if kind is None:
            return None
        try:
            geometry = self.shapes.add(feature.get("geometry"), properties.get("plane"))
        except NoGeometryError as error:
            self.lose(where, str(error))
            return None
        row = len(self._kind)
        if not is_known:
            self.mend(where, *UNKNOWN_KIND)
        nucleus = -1
        if kind == ObjectKind.CELL and feature.get("nucleusGeometry") is not None:
            try:
                nucleus = self.shapes.add(feature["nucleusGeometry"], properties.get("plane"))
            except NoGeometryError as error:
                self.mend(where, f"of its nucleus, {error}", "taken without a nucleus")
        described = self.rules.describe(feature, properties)
        for mend in described.mends:
            self.mend(where, *mend)
        given = id_of(feature, properties)
        self._feature.append(feature_number)
        self._where.append(where)
        self._kind.append(kind)
        self._geometry.append(geometry)
        self._nucleus.append(nucleus)
        self._parent.append(parent)
        self._class.append(described.class_index)
        self._ids.append(stored_id(given) if isinstance(given, str) and "-" in given else b"")
        self._names.append(described.name if isinstance(described.name, str) else None)
        self._colors.append(described.color_argb)
        self._locked.append(described.locked)
        self._missing.append(described.missing)
        if described.metadata is not None:
            self._metadata[row] = described.metadata
        before = len(self._values)
        for name, value in described.measured.items():
            found = value if type(value) is float else number_of(value)
            if found is None:
                self.mend(where, *NO_NUMBER)
                continue
            self._value_names.append(self.measured(name))
            self._values.append(found)
        self._n_values.append(len(self._values) - before)
        return row

    def lose(self, where: str, what: str) -> None:
        """Note what is wrong with a feature that is left out."""
        self.problems.append(FeatureProblem(where, what))

    def mend(self, where: str, what: str, mend: str) -> None:
        """Note what is wrong with a feature, and what was done about it."""
        self.problems.append(FeatureProblem(where, what, mend))

    def _one_by_one(self) -> ManyObjects:
        """What was added feature by feature."""
        n = len(self._kind)
        return ManyObjects(
            feature=np.array(self._feature, np.int64),
            kind=np.array(self._kind, np.uint8),
            geometry=np.array(self._geometry, np.int32),
            nucleus=np.array(self._nucleus, np.int32),
            class_index=np.array(self._class, np.int32),
            ids=np.array(self._ids, "S36") if n else np.zeros(0, "S36"),
            color_argb=np.array(self._colors, np.int64),
            locked=np.array(self._locked, np.bool_),
            missing=np.array(self._missing, np.bool_),
            names=self._names,
            metadata=self._metadata,
            n_values=np.array(self._n_values, np.int64),
            value_name=np.array(self._value_names, np.int32),
            value=np.array(self._values, np.float64),
            shapes=self.shapes.build(),
        )

    def build(self) -> ObjectTable:
        """All of them in the order of the file, with valid geometries."""
        first = self._one_by_one()
        parts = [first, *self._many] if self._many else [first]
        n_first, n = len(first.kind), sum(len(part.kind) for part in parts)
        parent = np.full(n, -1, np.int32)
        parent[:n_first] = self._parent
        feature = np.concatenate([part.feature for part in parts])
        whole = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("kind", "class_index", "ids", "color_argb", "locked", "missing")
        }
        n_shapes = offsets_of([len(part.shapes) for part in parts])
        for name in ("geometry", "nucleus"):
            columns = [getattr(part, name) for part in parts]
            whole[name] = np.concatenate(
                [
                    np.where(one < 0, -1, one + start)
                    for one, start in zip(columns, n_shapes[:-1], strict=True)
                ]
            ).astype(np.int32)
        starts = offsets_of([len(part.kind) for part in parts]).tolist()
        table = ObjectTable(
            **whole,
            parent=parent,
            classes=tuple(self.rules.classes),
            names=[name for part in parts for name in part.names],
            measurements=Measurements(
                tuple(self._measured),
                offsets_of(np.concatenate([part.n_values for part in parts])),
                np.concatenate([part.value_name for part in parts]),
                np.concatenate([part.value for part in parts]),
            ),
            metadata={
                i + start: one
                for part, start in zip(parts, starts, strict=False)
                for i, one in part.metadata.items()
            },
            geometries=joined_geometries([part.shapes for part in parts]),
        )
        order = np.argsort(feature, kind="stable")  # children stay behind their parents
        if not (order[:-1] < order[1:]).all():
            table, feature = table.take(order), feature[order]
        child = {row: self._where[i] for row, i in _rows_of(order, n_first)}

        def where(row: int) -> str:
            return child.get(row) or f"feature {feature[row]}"

        return self._with_valid_shapes(self._with_own_ids(table, where), where)

    def _with_own_ids(self, table: ObjectTable, where: Callable[[int], str]) -> ObjectTable:
        """No id twice: the second one is taken away."""
        seen: set[bytes] = set()
        ids = table.ids.tolist()
        if len(set(ids)) + ids.count(b"") - (b"" in ids) == len(ids):
            return table
        for row, one in enumerate(ids):
            if one and one in seen:
                self.mend(where(row), "another feature has its id", "gets a new id")
                table.ids[row] = b""
            seen.add(one)
        return table

    def _with_valid_shapes(self, table: ObjectTable, where: Callable[[int], str]) -> ObjectTable:
        owner = np.full(len(table.geometries) + 1, -1, np.int64)
        rows = np.arange(len(table))
        owner[table.geometry] = rows
        is_nucleus = np.zeros(len(owner), np.bool_)
        is_nucleus[table.nucleus] = True
        owner[table.nucleus] = rows
        owner[-1] = -1
        for number in sorted(self.shapes.with_height):
            of = "of its nucleus, " if is_nucleus[number] else ""
            what = f"{of}its points have a third coordinate"
            self.mend(where(int(owner[number])), what, "taken without")
        mended = mend_geometries(table.geometries, self.shapes.broken)
        lost: set[int] = set()
        geometry, nucleus = table.geometry.copy(), table.nucleus.copy()
        for fault in mended.faults:
            row = int(owner[fault.geometry])
            if row < 0:
                continue  # of no object
            of = "of its nucleus, " if is_nucleus[fault.geometry] else ""
            if fault.mend:
                self.mend(where(row), of + fault.what, fault.mend)
            elif of:
                self.mend(where(row), of + fault.what, "taken without a nucleus")
                nucleus[row] = -1
            else:
                self.lose(where(row), fault.what)
                lost.add(row)
        for old, new in mended.replaced.items():
            if owner[old] >= 0:
                (nucleus if is_nucleus[old] else geometry)[owner[old]] = new
        table = replace(table, geometry=geometry, nucleus=nucleus, geometries=mended.geometries)
        if lost:
            table = table.take(np.array([i for i in rows.tolist() if i not in lost], np.int64))
        return table


UNKNOWN_KIND: Final = ("its type of object is unknown", "taken for an annotation")
NO_NUMBER: Final = ("a measurement of it is no number", "taken without that")


def _rows_of(order: NDArray[np.int64], n: int) -> Iterator[tuple[int, int]]:
    """Where the first n rows came to be, and which they were."""
    found = np.flatnonzero(order < n)
    return zip(found.tolist(), order[found].tolist(), strict=True)
