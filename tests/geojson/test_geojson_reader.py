"""Reading GeoJSON: the dialects, features that are wrong, files in pieces."""

from __future__ import annotations

import gzip
import json
import math
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import qpmask.geojson.text as text_module
from qpmask.errors import ObjectFileError
from qpmask.geojson.problems import told
from qpmask.geojson.reader import ObjectsRead, read_objects, read_objects_bytes
from qpmask.imageobjects import NO_COLOR, GeometryType, ObjectKind

SQUARE = [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]
ID = "abcdef01-0000-4000-8000-000000000001"


def polygon(*rings: list, **more: object) -> dict:
    return {"type": "Polygon", "coordinates": list(rings), **more}


def feature(geometry: object = None, *, outside: dict | None = None, **properties: object) -> dict:
    shape = polygon(SQUARE) if geometry is None else geometry
    return {"type": "Feature", "geometry": shape, "properties": properties, **(outside or {})}


def read(*features: object) -> ObjectsRead:
    return read_objects_bytes(json.dumps(list(features)).encode())


def one(item: object) -> dict:
    """All that was read of one feature, in plain words."""
    found = read(item)
    table = found.table
    assert len(table) == 1, found.problems
    index = int(table.class_index[0])
    color = int(table.color_argb[0])
    shapes, number = table.geometries, int(table.geometry[0])
    return {
        "kind": ObjectKind(table.kind[0]).name,
        "class": None if index < 0 else table.classes[index].name,
        "class_color": None if index < 0 else table.classes[index].color_argb,
        "measurements": table.measurements.of(0),
        "name": table.names[0],
        "id": table.ids[0].decode() or None,
        "color": None if color == NO_COLOR else color,
        "locked": bool(table.locked[0]),
        "plane": tuple(int(a[number]) for a in (shapes.c, shapes.z, shapes.t)),
        "metadata": table.metadata.get(0),
        "nucleus": int(table.nucleus[0]) >= 0,
        "problems": [p.what for p in found.problems],
    }


RED, ARGB = -65536, -16710915  # opaque (255, 0, 0) and (1, 2, 253)

DIALECTS = {
    "QuPath 0.2": (
        feature(
            outside={"id": "PathDetectionObject"},
            classification={"name": "Tumor", "colorRGB": RED},
            isLocked=False,
            measurements=[{"name": "Area", "value": 3.5}],
        ),
        {"kind": "DETECTION", "class": "Tumor", "class_color": RED, "measurements": {"Area": 3.5}},
    ),
    "QuPath 0.3": (
        feature(
            outside={"id": ID},
            object_type="tma_core",
            classification={"name": "Positive", "parentClass": {"name": "Tumor"}, "colorRGB": RED},
            isLocked=True,
        ),
        {"kind": "TMA_CORE", "class": "Tumor: Positive", "locked": True, "id": ID},
    ),
    "QuPath 0.4 to 0.7": (
        feature(
            polygon(SQUARE, plane={"c": -1, "z": 2, "t": 1}),
            outside={"id": ID, "nucleusGeometry": polygon(SQUARE)},
            objectType="cell",
            name="one",
            color=[1, 2, 253],
            classification={"names": ["Tumor", "Positive"], "color": [255, 0, 0]},
            measurements={"Area": "NaN", "Mean": 1},
            metadata={"key": "value"},
        ),
        {
            "kind": "CELL",
            "class": "Tumor: Positive",
            "class_color": RED,
            "name": "one",
            "color": ARGB,
            "plane": (-1, 2, 1),
            "metadata": {"key": "value"},
            "nucleus": True,
        },
    ),
    "TIAToolbox": (
        feature(
            outside={"id": "object_0", "objectType": "detection", "name": "nucleus"},
            classification={"name": "Stroma", "color": [1, 2, 253]},
        ),
        {"kind": "DETECTION", "class": "Stroma", "class_color": ARGB, "name": "nucleus"},
    ),
    "dlup": (
        feature(objectType="annotation", classification={"name": "Stroma"}),
        {"kind": "ANNOTATION", "class": "Stroma", "class_color": None},
    ),
    "HistoQC": (
        feature(object_type="annotation", isLocked=False),
        {"kind": "ANNOTATION", "class": None},
    ),
    "GeoPandas": (
        feature(
            outside={"id": "0", "bbox": [0, 0, 10, 10]},
            classification='{"name": "Tumor", "color": [255, 0, 0]}',
            objectType="detection",
            measurements='{"Area": 3.5}',
        ),
        {"kind": "DETECTION", "class": "Tumor", "class_color": RED, "measurements": {"Area": 3.5}},
    ),
    "QuPath's, written again by GDAL": (
        feature(id=ID, objectType="cell", classification=None, isLocked=1.0, measurements=None),
        {"kind": "CELL", "class": None, "id": ID, "locked": True, "nucleus": False},
    ),
    "a class as text": (feature(classification="Tumor:Positive"), {"class": "Tumor: Positive"}),
    "no class": (feature(classification=None), {"class": None}),
    "a class without a name": (feature(classification={"name": None}), {"class": None}),
    "a plane in the properties": (feature(plane={"z": 3}), {"plane": (-1, 3, 0)}),
    "null": (
        {"type": "Feature", "geometry": polygon(SQUARE), "properties": None},
        {"kind": "ANNOTATION", "class": None, "name": None},
    ),
    "a bare geometry": (polygon(SQUARE), {"kind": "ANNOTATION", "class": None}),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_dialect_is_read_without_a_complaint(dialect: str) -> None:
    item, expected = DIALECTS[dialect]
    found = one(item)
    assert {key: found[key] for key in expected} == expected
    assert found["problems"] == []


def test_a_measurement_that_is_not_a_number_in_json() -> None:
    found = one(feature(measurements={"a": "NaN", "b": "-inf", "c": None, "d": 2}))
    assert math.isnan(found["measurements"].pop("a"))
    assert found["measurements"] == {"b": -math.inf, "d": 2.0}
    assert found["problems"] == ["a measurement of it is no number"]


WRONG = {
    "it has no geometry": {"type": "Feature", "geometry": None, "properties": {}},
    "its geometry is empty": feature(polygon()),
    "its geometry has the unknown type 'Circle'": feature({"type": "Circle"}),
    "its geometry mixes areas, lines and points": feature(
        {
            "type": "GeometryCollection",
            "geometries": [polygon(SQUARE), {"type": "Point", "coordinates": [1, 2]}],
        }
    ),
    "its coordinates are not pairs of numbers": feature(polygon([[0, 0], ["1", 0], [1, 1]])),
    "its coordinates are not nested as those of its type": feature(
        {"type": "Polygon", "coordinates": [1, 2]}
    ),
    "a coordinate of it is NaN or infinite": feature(polygon([[0, 0], [math.nan, 0], [1, 1]])),
    "a coordinate of it lies beyond any image": feature(polygon([[0, 0], [1e300, 0], [1, 1]])),
    "a ring of it has fewer than three points": feature(polygon([[0, 0], [1, 1], [0, 0]])),
    "a line of it has fewer than two points": feature(
        {"type": "LineString", "coordinates": [[1, 2]]}
    ),
    "it has no area": feature(polygon([[0, 0], [5, 0], [9, 0], [0, 0]])),
    "it crosses itself so that its inside is not clear": feature(polygon([*SQUARE[:-1], *SQUARE])),
    "its plane is none": feature(polygon(SQUARE, plane={"z": "top"})),
    "it is no feature": 7,
}


@pytest.mark.parametrize("what", WRONG)
def test_a_feature_that_cannot_be_used_is_named_and_costs_no_other(what: str) -> None:
    found = read(feature(name="before"), WRONG[what], feature(name="after"))
    assert found.table.names == ["before", "after"]
    assert [(p.where, p.what, p.is_lost) for p in found.problems] == [("feature 2", what, True)]
    assert found.n_lost == 1
    assert found.n_features == 3


def rings_of(found: ObjectsRead, index: int = 0) -> list[list[list[list[float]]]]:
    parts = found.table.geometries.rings(int(found.table.geometry[index]))
    return [[ring.tolist() for ring in part] for part in parts]


def test_what_has_one_mend_is_mended_and_said() -> None:
    found = read(
        feature(polygon(SQUARE[:-1])),
        feature(polygon([[0, 0], [10, 10], [10, 0], [0, 10], [0, 0]])),  # a bow tie
        feature(polygon([[0, 0, 7], [10, 0, 7], [10, 10, 7], [0, 0, 7]])),
        feature(objectType="blob"),
        feature(polygon(SQUARE, [[1, 1], [2, 2], [1, 1]])),
        feature(polygon(SQUARE, [[5, 5], [15, 5], [15, 6], [5, 6], [5, 5]])),
    )
    assert [(p.what, p.mend) for p in found.problems] == [
        ("its type of object is unknown", "taken for an annotation"),
        ("its points have a third coordinate", "taken without"),
        ("a ring of it is not closed", "closed"),
        ("it crosses itself", "mended"),
        ("a ring of it has fewer than three points", "taken without that"),
        ("its holes overlap or reach beyond it", "mended"),
    ]
    assert not found.n_lost
    assert rings_of(found, 0) == [[SQUARE]]
    assert sorted(len(ring) for part in rings_of(found, 1) for ring in part) == [4, 4]
    assert rings_of(found, 2) == [[[[0, 0], [10, 0], [10, 10], [0, 0]]]]
    assert rings_of(found, 4) == [[SQUARE]]
    assert len(rings_of(found, 5)[0]) == 1  # the hole was at the edge: no hole any more


def test_a_ring_that_touches_itself_is_left_as_it_is() -> None:
    ring = [[0, 0], [4, 0], [4, 4], [8, 4], [8, 8], [4, 8], [4, 4], [0, 4], [0, 0]]
    found = read(feature(polygon(ring)))
    assert not found.problems
    assert rings_of(found) == [[ring]]


def test_collections_of_one_sort_become_its_multi_type() -> None:
    collection = {
        "type": "GeometryCollection",
        "geometries": [
            polygon(SQUARE),
            {"type": "MultiPolygon", "coordinates": [[[[20, 20], [30, 20], [30, 30], [20, 20]]]]},
        ],
    }
    found = read(feature(collection))
    assert found.table.geometries.type.tolist() == [GeometryType.MULTI_POLYGON]
    assert len(rings_of(found)) == 2


def test_children_know_their_parents_also_when_one_is_lost() -> None:
    leaf = feature(name="leaf")
    lost = {"type": "Feature", "geometry": None, "properties": {"childObjects": [leaf]}}
    found = read(feature(name="top", childObjects=[lost, feature(name="second")]))
    assert found.table.names == ["top", "leaf", "second"]
    assert found.table.parent.tolist() == [-1, 0, 0]
    assert [p.where for p in found.problems] == ["feature 1, child 1"]


def test_the_same_id_twice() -> None:
    found = read(feature(outside={"id": ID}), feature(outside={"id": ID.upper()}))
    assert found.table.ids.tolist() == [ID.encode(), b""]
    assert [p.what for p in found.problems] == ["another feature has its id"]


def test_a_class_by_another_property() -> None:
    data = json.dumps([feature(label="Tumor"), feature(label=3)]).encode()
    table = read_objects_bytes(data, class_key="label").table
    assert [c.name for c in table.classes] == ["Tumor", "3"]


def test_strict_refuses_and_says_why(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps([feature(polygon(SQUARE[:-1]))]))
    assert len(read_objects(path).table) == 1
    with pytest.raises(ObjectFileError, match="feature 1: a ring of it is not closed"):
        read_objects(path, strict=True)


def test_problems_are_told_once_with_the_first_features() -> None:
    found = read(*[feature(polygon()) for _ in range(8)])
    assert told(found.problems) == [
        "feature 1, feature 2, feature 3, feature 4, feature 5 and 3 more: its geometry is empty "
        "(left out)."
    ]


@pytest.mark.parametrize("pack", ["plain", "gzip", "zip", "bom"])
def test_files(tmp_path: Path, pack: str) -> None:
    data = json.dumps({"type": "FeatureCollection", "features": [feature(name="é")]}).encode()
    path = tmp_path / "a.geojson"
    if pack == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.geojson", data)
    else:
        path.write_bytes(
            {"gzip": gzip.compress(data), "bom": b"\xef\xbb\xbf" + data}.get(pack, data)
        )
    assert read_objects(path).table.names == ["é"]


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[1, 2", b'{"type": 3}', b"\xff\xfe", b"[" * 5_000, b'"text"', b"\x1f\x8b"],
)
def test_what_is_no_geojson_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.geojson"
    path.write_bytes(data)
    with pytest.raises(ObjectFileError, match=r"a\.geojson"):
        read_objects(path)


@given(
    names=st.lists(st.text(max_size=8), max_size=20),
    indent=st.sampled_from([None, 1]),
    collection=st.booleans(),
    piece=st.integers(1, 400),
)
def test_a_file_in_pieces_is_the_whole_file(
    names: list[str], indent: int | None, collection: bool, piece: int
) -> None:
    children = [feature(name=f'x}}, {{"type": "{i}"}}') for i in range(2)]
    features = [feature(name=name, childObjects=children[: i % 3]) for i, name in enumerate(names)]
    whole = {"type": "FeatureCollection", "features": features} if collection else features
    data = json.dumps(whole, indent=indent).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_module, "_PIECE_BYTES", piece)
        found = [f for part in text_module.feature_pieces(data, Path("a")) for f in part]
    assert found == features


def test_a_file_that_ends_early_is_refused_in_pieces_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_module, "_PIECE_BYTES", 100)
    data = json.dumps([feature(name=str(i)) for i in range(20)]).encode()
    with pytest.raises(ObjectFileError, match="damaged"):
        read_objects_bytes(data[:-40])


def test_numbers_come_through_as_they_are() -> None:
    ring = [[0.1, 1e-3], [123456.789, 2], [7, 1 / 3], [0.1, 1e-3]]
    found = read(feature(polygon(ring)))
    assert rings_of(found) == [[ring]]
    assert found.table.geometries.xy_px0.dtype == np.float64
