"""Objects from Python -> an :class:`ObjectTable`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.classes.names import class_name
from qpmask.common.arguments import check_kind
from qpmask.common.ragged import offsets_of
from qpmask.errors import OptionsError, WrongTypeError
from qpmask.geojson.problems import FeatureProblem, told
from qpmask.geojson.validity import mend_geometries
from qpmask.imageobjects import (
    Geometries,
    GeometryType,
    Measurements,
    ObjectClass,
    ObjectKind,
    ObjectTable,
    geometries,
    plain_objects,
)
from qpmask.intoqupath.options import KINDS


def table_of(
    polygons: Any,
    classes: Sequence[str | None] | str | None = None,
    measurements: Mapping[str, Any] | None = None,
    nuclei: Any = None,
    kind: str | None = None,
) -> ObjectTable:
    """Objects of polygons; see :func:`qpmask.add_objects`.

    Raises
    ------
    OptionsError
        Something does not fit, or a polygon is none.
    """
    if isinstance(polygons, ObjectTable):
        if classes is not None or measurements is not None or nuclei is not None:
            raise OptionsError("An ObjectTable has its own classes, measurements and nuclei.")
        return polygons
    what = "a sequence of arrays or of shapely geometries"
    check_kind(polygons, Collection, "polygons", what)
    check_kind(nuclei, Collection | None, "nuclei", what)
    check_kind(classes, Iterable | None, "classes", "text or a sequence of it")
    check_kind(measurements, Mapping | None, "measurements", "a mapping of names to numbers")
    shapes = _shapes(polygons, "polygons", range(len(polygons)))
    n = len(shapes)
    owners = np.arange(n)
    nucleus = np.full(n, -1, np.int32)
    if nuclei is not None:
        has = np.array([one is not None for one in nuclei], np.bool_)
        if len(has) != n:
            raise OptionsError(f"There are {len(has):,} nuclei for {n:,} polygons.")
        with_one = np.flatnonzero(has)
        some = [one for one in nuclei if one is not None]
        inner = _shapes(some, "nuclei", with_one.tolist())
        nucleus[has] = n + np.arange(len(inner))
        shapes = _joined(shapes, inner)
        owners = np.concatenate([owners, with_one])
    shapes = _valid(shapes, n, owners)
    found, index = _classes(classes, n)
    first = plain_objects(
        shapes,
        found,
        kind=ObjectKind.CELL if nuclei is not None else KINDS[kind or "detections"],
    )
    table = first.take(np.arange(n))
    return replace(
        table, class_index=index, nucleus=nucleus, measurements=_measured(measurements, n)
    )


def _shapes(polygons: Any, what: str, numbers: Sequence[int]) -> Geometries:
    """Geometries of arrays of vertices, or of shapely's; ``numbers`` are those of the caller."""
    if isinstance(polygons, np.ndarray) and polygons.ndim == 3 and polygons.shape[2] == 2:
        m, n, _ = polygons.shape
        xy = np.asarray(polygons, np.float64).reshape(-1, 2)
        sizes = np.full(m, n)
    elif len(polygons) and hasattr(polygons[0], "geom_type"):
        return _from_shapely(np.asarray(polygons, object), what, numbers)
    else:
        try:
            rings = [np.asarray(one, np.float64) for one in polygons]
        except (TypeError, ValueError) as error:
            raise WrongTypeError(f"{what} must be arrays of x and y: {error}.") from None
        for i, ring in zip(numbers, rings, strict=True):
            if ring.ndim != 2 or ring.shape[1] != 2 or not len(ring):
                raise OptionsError(
                    f"{what}[{i}] has the shape {ring.shape}; it must be (n, 2): x and y."
                )
        sizes = np.array([len(ring) for ring in rings], np.int64)
        xy = np.concatenate([np.zeros((0, 2)), *rings])
    m = len(sizes)
    one_each = np.arange(m + 1, dtype=np.int64)
    kinds = np.full(m, GeometryType.POLYGON, np.uint8)
    return geometries(kinds, one_each, one_each, offsets_of(sizes), xy)


def _from_shapely(polygons: NDArray[np.object_], what: str, numbers: Sequence[int]) -> Geometries:
    import shapely

    kinds = {"Polygon": GeometryType.POLYGON, "MultiPolygon": GeometryType.MULTI_POLYGON}
    types, n_parts, n_rings, rings = [], [], [], []
    for i, one in zip(numbers, polygons, strict=True):
        name = getattr(one, "geom_type", None)
        if name not in kinds or one.is_empty:
            raise OptionsError(f"{what}[{i}] is no polygon: {name or type(one).__name__}.")
        types.append(kinds[name])
        parts = getattr(one, "geoms", [one])
        n_parts.append(len(parts))
        for part in parts:
            own = [part.exterior, *part.interiors]
            n_rings.append(len(own))
            rings += [shapely.get_coordinates(ring) for ring in own]
    return geometries(
        np.array(types, np.uint8),
        offsets_of(n_parts),
        offsets_of(n_rings),
        offsets_of([len(ring) for ring in rings]),
        np.concatenate([np.zeros((0, 2)), *rings]),
    )


def _joined(one: Geometries, other: Geometries) -> Geometries:
    def both(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.concatenate([a, a[-1] + b[1:]])

    return geometries(
        np.concatenate([one.type, other.type]),
        both(one.part_offsets, other.part_offsets),
        both(one.ring_offsets, other.ring_offsets),
        both(one.vertex_offsets, other.vertex_offsets),
        np.concatenate([one.xy_px0, other.xy_px0]),
    )


def _valid(shapes: Geometries, n: int, owners: NDArray[np.int64]) -> Geometries:
    """Rings closed; anything else that is wrong with a polygon is the caller's to mend.

    The first ``n`` are polygons, the others nuclei; ``owners`` are the polygons that they are of.
    """
    mended = mend_geometries(shapes)
    wrong = [
        FeatureProblem(f"{'polygon' if f.geometry < n else 'nucleus'} {owners[f.geometry]}", f.what)
        for f in mended.faults
        if f.mend != "closed"
    ]
    if wrong:
        raise OptionsError(
            " ".join(told(wrong)).replace(" (left out)", ""),
            hint="Mend them first, for example with shapely.make_valid.",
        )
    return mended.geometries


def _classes(
    classes: Sequence[str | None] | str | None, n: int
) -> tuple[list[ObjectClass], NDArray[np.int32]]:
    if classes is None or isinstance(classes, str):
        names: list[str | None] = [classes] * n
    else:
        names = list(classes)
        if len(names) != n:
            raise OptionsError(f"There are {len(names):,} classes for {n:,} polygons.")
    numbers: dict[str, int] = {}
    known: dict[str | None, int] = {None: -1}
    index = np.empty(n, np.int32)
    for i, name in enumerate(names):
        if name not in known:
            if not isinstance(name, str):
                raise WrongTypeError(f"classes[{i}] is {name!r}; it must be text or None.")
            formed = class_name(name)
            known[name] = -1 if formed is None else numbers.setdefault(formed, len(numbers))
        index[i] = known[name]
    return [ObjectClass(name) for name in numbers], index


def _measured(measurements: Mapping[str, Any] | None, n: int) -> Measurements:
    columns = []
    for name, values in (measurements or {}).items():
        try:
            column = np.asarray(values, np.float64)
        except (TypeError, ValueError):
            raise WrongTypeError(f"measurements[{name!r}] are no numbers.") from None
        if column.shape != (n,):
            raise OptionsError(
                f"measurements[{name!r}] have the shape {column.shape} for {n:,} polygons."
            )
        columns.append(column)
    k = len(columns)
    values = np.stack(columns, axis=1).reshape(-1) if k else np.zeros(0)
    return Measurements(
        tuple(measurements or ()),
        np.arange(n + 1, dtype=np.int64) * k,
        np.tile(np.arange(k, dtype=np.int32), n),
        values,
    )
