"""Objects as GeoJSON text."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import chain
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qpmask.errors import OptionsError
from qpmask.geojson import write
from qpmask.geojson.write import WriteOptions, geojson_of
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


def shapes_of(described: list[tuple[GeometryType, Any]]) -> Geometries:
    """Geometries of GeoJSON coordinates."""
    parts, rings, vertices = [0], [0], [0]
    xy: list[list[float]] = []
    for kind, coordinates in described:
        nested = {
            GeometryType.POINT: lambda c: [[[c]]],
            GeometryType.MULTI_POINT: lambda c: [[c]],
            GeometryType.LINE: lambda c: [[c]],
            GeometryType.POLYGON: lambda c: [c],
            GeometryType.MULTI_LINE: lambda c: [[line] for line in c],
            GeometryType.MULTI_POLYGON: lambda c: c,
        }[kind](coordinates)
        for part in nested:
            for ring in part:
                xy += ring
                vertices.append(len(xy))
            rings.append(len(vertices) - 1)
        parts.append(len(rings) - 1)
    return geometries(
        np.array([kind for kind, _ in described], np.uint8),
        np.array(parts), np.array(rings), np.array(vertices),
        np.array(xy, float).reshape(-1, 2),
    )  # fmt: skip


def written(table: ObjectTable, **options: Any) -> Any:
    return json.loads(b"".join(geojson_of(table, WriteOptions(**options))))


SQUARE = [[[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]]
HOLE = [[0.5, 0.5], [0.5, 1.25], [1.5, 0.5], [0.5, 0.5]]
DESCRIBED = [
    (GeometryType.POINT, [1.5, -2]),
    (GeometryType.MULTI_POINT, [[1, 2], [3, 4]]),
    (GeometryType.LINE, [[0, 0], [100_000.01, 7]]),
    (GeometryType.MULTI_LINE, [[[0, 0], [1, 1]], [[2, 2], [3, 3], [4, 5]]]),
    (GeometryType.POLYGON, [*SQUARE, HOLE]),
    (GeometryType.MULTI_POLYGON, [SQUARE, [[[9, 9], [10, 9], [9, 10], [9, 9]], HOLE]]),
]


def test_all_kinds_of_geometries() -> None:
    found = written(plain_objects(shapes_of(DESCRIBED)))

    assert found["type"] == "FeatureCollection"
    assert [f["geometry"]["coordinates"] for f in found["features"]] == [c for _, c in DESCRIBED]
    assert [f["geometry"]["type"] for f in found["features"]] == [
        "Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon"
    ]  # fmt: skip
    assert {f["properties"]["objectType"] for f in found["features"]} == {"annotation"}


def table() -> ObjectTable:
    """A core with a cell in it, and a point elsewhere."""
    shapes = shapes_of([DESCRIBED[4], DESCRIBED[4], (GeometryType.POLYGON, SQUARE), DESCRIBED[0]])
    shapes = replace(
        shapes,
        z=np.array([0, 0, 0, 3], np.int32),
        is_ellipse=np.array([True, False, False, False]),
    )
    plain = plain_objects(shapes, [ObjectClass("Tumor: Positive", -3670016), ObjectClass("X")])
    return replace(
        plain.take(np.arange(3)),
        kind=np.array([ObjectKind.TMA_CORE, ObjectKind.CELL, ObjectKind.ANNOTATION], np.uint8),
        geometry=np.array([0, 1, 3], np.int32),
        nucleus=np.array([-1, 2, -1], np.int32),
        parent=np.array([-1, 0, -1], np.int32),
        class_index=np.array([-1, 0, 1], np.int32),
        names=["A-1", None, 'say "hi"\n'],
        ids=np.array([b"", b"00000000-0000-0000-0000-000000000001", b""], "S36"),
        color_argb=np.array([1 << 40, 1 << 40, -1], np.int64),
        locked=np.array([True, False, False]),
        missing=np.array([True, False, False]),
        measurements=Measurements(
            ("area", "d"), np.array([0, 0, 2, 2]), np.array([0, 1], np.int32),
            np.array([0.1, np.nan]),
        ),
        metadata={1: {"k": "v"}},
    )  # fmt: skip


def test_what_is_known_of_an_object_is_said_as_qupath_says_it() -> None:
    core, cell, point = written(table(), collection=False)

    assert "id" not in core and cell["id"].endswith("1")
    assert core["geometry"]["isEllipse"] is True
    assert core["properties"] == {
        "objectType": "tmaCore", "name": "A-1", "isLocked": True, "isMissing": True,
    }  # fmt: skip
    assert cell["nucleusGeometry"] == {"type": "Polygon", "coordinates": SQUARE}
    assert cell["properties"] == {
        "objectType": "cell",
        "classification": {"names": ["Tumor", "Positive"], "color": [200, 0, 0]},
        "measurements": {"area": 0.1, "d": "NaN"},
        "metadata": {"k": "v"},
    }
    assert point["geometry"]["plane"] == {"c": -1, "z": 3, "t": 0}
    assert point["properties"]["color"] == [255, 255, 255]
    assert point["properties"]["name"] == 'say "hi"\n'
    assert point["properties"]["classification"] == {"name": "X"}


def test_a_form_for_older_qupaths() -> None:
    core, cell, _ = written(table(), dialect="portable")["features"]

    assert core["properties"]["object_type"] == "tma_core"
    assert cell["properties"]["classification"] == {
        "name": "Tumor: Positive", "color": [200, 0, 0], "colorRGB": -3670016,
    }  # fmt: skip
    assert cell["properties"]["measurements"] == [{"name": "area", "value": 0.1}]


def test_children_inside_their_parents() -> None:
    core, point = written(table(), nested=True)["features"]

    (cell,) = core["properties"]["childObjects"]
    assert cell["properties"]["objectType"] == "cell"
    assert "childObjects" not in point["properties"]
    assert "measurements" not in written(table(), measurements=False)["features"][1]["properties"]


def test_a_coordinate_that_is_no_number_is_an_error() -> None:
    with pytest.raises(OptionsError, match="no number"):
        written(plain_objects(shapes_of([(GeometryType.POINT, [np.nan, 0])])))


@given(st.lists(st.floats(-1e9, 1e9), min_size=1))
def test_coordinates_have_two_decimals(values: list[float]) -> None:
    shapes = shapes_of([(GeometryType.POINT, [v, -v]) for v in values])

    found = [f["geometry"]["coordinates"] for f in written(plain_objects(shapes))["features"]]

    assert np.allclose(found, [[v, -v] for v in values], atol=0.00500001, rtol=0)
    assert all(round(number, 2) == number for point in found for number in point)


coordinates = st.floats(-9e14, 9e14) | st.floats(-1e6, 1e6, width=32) | st.floats(-1e-4, 1e-4)


@given(st.lists(st.tuples(coordinates, coordinates), min_size=1))
@example([(1e-5, -5e-324), (9.999999999999999e-06, 0.1), (-0.0, 123456789012345.6), (-3.0, 7.0)])
def test_exact_coordinates_are_read_back_as_they_were(points: list[tuple[float, float]]) -> None:
    objects = plain_objects(shapes_of([(GeometryType.MULTI_POINT, [list(xy) for xy in points])]))
    expected = [list(xy) for xy in points]

    (found,) = written(objects, exact=True)["features"]

    assert found["geometry"]["coordinates"] == expected
    for value in chain.from_iterable(found["geometry"]["coordinates"]):
        assert isinstance(value, int) == float(value).is_integer()


@given(st.integers(1, 60), st.integers(1, 4000))
def test_many_objects_are_the_same_as_few(n_objects: int, n_vertices: int) -> None:
    ring = [[i, i % 7] for i in range(n_vertices)]
    shapes = shapes_of([(GeometryType.LINE, ring)] * n_objects)

    found = written(plain_objects(shapes))["features"]

    assert [f["geometry"]["coordinates"] for f in found] == [ring] * n_objects


numbers = st.one_of(st.floats(), st.floats(1e-6, 1e16), st.floats(0, 1e6, width=32))


@given(st.lists(numbers, min_size=1, max_size=50))
@example([1e-5, 1e15, 99_999_999_999_999.98, 2.0**49, 0.3, -0.0, 5e-324, 123456789012345.6])
def test_measurements_are_read_back_as_they_were(values: list[float]) -> None:
    """Number by number: those that are written by a kernel, and the others."""
    n = len(values)
    one = plain_objects(shapes_of([DESCRIBED[0], DESCRIBED[2]]))
    names = tuple(f'{i} "ü"' for i in range(n))
    measured = Measurements(
        names, np.array([0, 0, n]), np.arange(n, dtype=np.int32), np.array(values)
    )
    objects = replace(one, measurements=measured)

    bare, found = written(objects)["features"]
    assert "measurements" not in bare["properties"]
    for name, value in zip(names, values, strict=True):
        got = found["properties"]["measurements"][name]
        assert float(got) == value or (got == "NaN" and np.isnan(value))
        assert isinstance(got, float) == bool(np.isfinite(value))

    portable = written(objects, dialect="portable")["features"][1]["properties"]["measurements"]
    finite = {name: v for name, v in zip(names, values, strict=True) if np.isfinite(v)}
    assert {one["name"]: one["value"] for one in portable} == finite


def test_the_kernel_stays_inside_its_arrays() -> None:
    """As plain Python, which raises where a place is outside; and where there is little room."""
    objects = table()
    expected = b"".join(geojson_of(objects))
    with patch.object(write, "write_features", write.write_features.function):  # type: ignore[attr-defined]
        assert b"".join(geojson_of(objects)) == expected
        exact = b"".join(geojson_of(objects, WriteOptions(exact=True)))
        assert exact == expected  # no coordinate needs more
    with patch.object(write, "_FIRST_ROOM", 70):
        assert b"".join(geojson_of(objects)) == expected


def test_room_may_end_anywhere() -> None:
    """Also in the last of many objects, whose text alone would fit."""
    ids = np.array([f"00000000-0000-0000-0000-00000000000{i}" for i in range(6)], "S36")
    objects = replace(plain_objects(shapes_of(DESCRIBED)), ids=ids)
    expected = b"".join(geojson_of(objects))
    for room in range(64, len(expected) + 64):
        with patch.object(write, "_FIRST_ROOM", room):
            assert b"".join(geojson_of(objects)) == expected, room
