"""Objects as GeoJSON says them, whatever they come from or go to, in columns.

What is read from GeoJSON, traced from a mask, or made of a data file becomes an
:class:`ObjectTable`; what is written as GeoJSON or Parquet, or put into a project, is made of one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from qpmask.common.frozen import dataclass
from qpmask.common.ragged import items_at, offsets_of
from qpmask.imageobjects.attributes import Measurements, ObjectClass, no_measurements
from qpmask.imageobjects.geometries import Geometries, joined_geometries
from qpmask.imageobjects.kinds import NO_COLOR, ObjectKind


@dataclass(frozen=True, eq=False, repr=False)
class ObjectTable:
    """Objects of one image; an object comes after its parent.

    Attributes
    ----------
    kind : ndarray of uint8, shape (n,)
        :class:`~.kinds.ObjectKind`.
    geometry : ndarray of int32, shape (n,)
        Number of its ROI in ``geometries``, -1 for none.
    nucleus : ndarray of int32, shape (n,)
        The same of a cell's nucleus.
    parent : ndarray of int32, shape (n,)
        Number of the parent object, -1 for none.
    class_index : ndarray of int32, shape (n,)
        Number in ``classes``, -1 for no class.
    classes : tuple of ObjectClass
        Classes of the objects.
    ids : ndarray of bytes (S36), shape (n,)
        UUID in lower case, or empty.
    names : tuple of (str or None), length n
        Name of each object.
    color_argb : ndarray of int64, shape (n,)
        Packed colour of the object itself as Java's signed int, or :data:`NO_COLOR`.
    locked, missing : ndarray of bool, shape (n,)
        Whether it is locked; whether it is a TMA core marked as missing.
    measurements : Measurements
        What was measured of them.
    metadata : mapping of int to mapping of str to str
        Metadata of the objects that have any.
    geometries : Geometries
        All geometries.
    """

    kind: NDArray[np.uint8]
    geometry: NDArray[np.int32]
    nucleus: NDArray[np.int32]
    parent: NDArray[np.int32]
    class_index: NDArray[np.int32]
    classes: tuple[ObjectClass, ...]
    ids: NDArray[np.bytes_]
    names: Sequence[str | None]
    color_argb: NDArray[np.int64]
    locked: NDArray[np.bool_]
    missing: NDArray[np.bool_]
    measurements: Measurements
    geometries: Geometries
    metadata: Mapping[int, Mapping[str, str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.kind)

    def __repr__(self) -> str:
        return f"<ObjectTable: {len(self):,} of {len(self.classes):,} classes>"

    def parts(self, most_vertices: int, most_objects: int) -> Iterator[tuple[int, int]]:
        """Cut it into runs of rows that are written at a time, so that memory is bounded.

        Yields
        ------
        (int, int)
            First row and the one after the last: at most `most_objects`, with at most
            `most_vertices` of ROIs and nuclei unless a single object has more.
        """
        sizes = np.zeros(len(self), np.int64)
        if len(self.geometries):
            n_vertices = np.diff(self.geometries.first_vertex)
            for column in (self.geometry, self.nucleus):
                sizes += np.where(column >= 0, n_vertices[column], 0)
        until = np.cumsum(sizes)
        first = 0
        while first < len(self):
            before = until[first - 1] if first else 0
            end = int(np.searchsorted(until, before + most_vertices, "right"))
            end = min(max(end, first + 1), first + most_objects, len(self))
            yield first, end
            first = end

    def take(self, chosen: NDArray[np.int64]) -> ObjectTable:
        """Some of the objects, each after its parent; geometries stay where they are.

        Children of an object that is left out go to the next one above it that is taken.
        """
        number = np.full(len(self) + 1, -1, np.int32)  # the last one is for no parent
        number[chosen] = np.arange(len(chosen), dtype=np.int32)
        parent = self.parent[chosen]
        while True:
            left_out = (parent >= 0) & (number[parent] < 0)
            if not left_out.any():
                break
            parent[left_out] = self.parent[parent[left_out]]
        m = self.measurements
        counts = np.diff(m.offsets)[chosen]
        offsets, rows = offsets_of(counts), items_at(m.offsets[chosen], counts)
        metadata = {int(number[i]): value for i, value in self.metadata.items() if number[i] >= 0}
        return replace(
            self,
            **{
                name: getattr(self, name)[chosen]
                for name in ("kind", "geometry", "nucleus", "class_index", "ids", "color_argb",
                             "locked", "missing")
            },
            parent=number[parent],
            names=[self.names[i] for i in chosen.tolist()],
            measurements=Measurements(m.names, offsets, m.name[rows], m.value[rows]),
            metadata=metadata,
        )  # fmt: skip


def plain_objects(
    shapes: Geometries,
    classes: Sequence[ObjectClass] = (),
    class_index: NDArray[np.int32] | None = None,
    *,
    kind: ObjectKind = ObjectKind.ANNOTATION,
    names: Sequence[str | None] | None = None,
) -> ObjectTable:
    """Objects of one kind, one a geometry, of which no more than the class is known."""
    n = len(shapes)
    none = np.full(n, -1, np.int32)
    return ObjectTable(
        kind=np.full(n, kind, np.uint8),
        geometry=np.arange(n, dtype=np.int32),
        nucleus=none,
        parent=none,
        class_index=none if class_index is None else class_index,
        classes=tuple(classes),
        ids=np.zeros(n, "S36"),
        names=[None] * n if names is None else names,
        color_argb=np.full(n, NO_COLOR, np.int64),
        locked=np.zeros(n, np.bool_),
        missing=np.zeros(n, np.bool_),
        measurements=no_measurements(n),
        geometries=shapes,
    )


def joined_tables(tables: Sequence[ObjectTable]) -> ObjectTable:
    """Objects of several tables, such as of several planes, one behind the other."""
    if len(tables) == 1:
        return tables[0]
    classes: dict[ObjectClass, int] = {}
    measured: dict[str, int] = {}
    columns: dict[str, list[NDArray[Any]]] = {}
    metadata: dict[int, Mapping[str, str]] = {}
    n_objects = n_geometries = 0
    for table in tables:
        of_class = np.array([*(classes.setdefault(c, len(classes)) for c in table.classes), -1])
        of_name = [measured.setdefault(name, len(measured)) for name in table.measurements.names]
        m = table.measurements
        for name, column in (
            ("class_index", of_class[table.class_index]),
            ("parent", np.where(table.parent < 0, -1, table.parent + n_objects)),
            ("geometry", np.where(table.geometry < 0, -1, table.geometry + n_geometries)),
            ("nucleus", np.where(table.nucleus < 0, -1, table.nucleus + n_geometries)),
            ("measured", np.array(of_name, np.int32)[m.name] if of_name else m.name),
            ("values", m.value),
            ("n_measured", np.diff(m.offsets)),
            *((name, getattr(table, name)) for name in _PLAIN),
        ):
            columns.setdefault(name, []).append(column)
        metadata.update({i + n_objects: value for i, value in table.metadata.items()})
        n_objects += len(table)
        n_geometries += len(table.geometries)
    whole = {name: np.concatenate(parts) for name, parts in columns.items()}
    offsets = np.zeros(n_objects + 1, np.int64)
    np.cumsum(whole["n_measured"], out=offsets[1:])
    made: dict[str, Any] = {name: whole[name] for name in _PLAIN}
    made |= {name: whole[name].astype(np.int32) for name in _NUMBERS}
    return ObjectTable(
        **made,
        classes=tuple(classes),
        names=[name for table in tables for name in table.names],
        measurements=Measurements(
            tuple(measured), offsets, whole["measured"].astype(np.int32), whole["values"]
        ),
        geometries=joined_geometries([table.geometries for table in tables]),
        metadata=metadata,
    )


_NUMBERS: Final = ("class_index", "parent", "geometry", "nucleus")
_PLAIN: Final = ("kind", "ids", "color_argb", "locked", "missing")
