"""Objects for the tests of the way back into QuPath."""

from __future__ import annotations

import json
from dataclasses import replace

from qpmask.geojson.reader import read_objects_bytes
from qpmask.imageobjects import ObjectTable

SQUARE = [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]
TRIANGLE = [[0, 0], [5.25, 1], [3, 7.5], [0, 0]]
HOLE = [[2, 2], [2, 4], [4, 4], [2, 2]]
ID = "abcdef01-0000-4000-8000-000000000001"


def geometry(kind: str, coordinates: list, **more: object) -> dict:
    return {"type": kind, "coordinates": coordinates, **more}


def feature(shape: dict, *, outside: dict | None = None, **properties: object) -> dict:
    return {"type": "Feature", "geometry": shape, "properties": properties, **(outside or {})}


def table_of(*features: dict) -> ObjectTable:
    read = read_objects_bytes(json.dumps(features).encode())
    assert not read.problems
    return read.table


def varied() -> ObjectTable:
    """Every kind of object and of ROI, children, texts that are hard to write."""
    polygon = geometry("Polygon", [SQUARE])
    tumor = {"name": "Tumor", "color": [255, 0, 0]}
    table = table_of(
        feature(polygon, outside={"id": ID}, classification=tumor, isLocked=True),
        feature(
            geometry("Polygon", [TRIANGLE], plane={"c": 2, "z": 3, "t": 4}),
            outside={"nucleusGeometry": geometry("Polygon", [[*TRIANGLE[:2], [3, 5], [0, 0]]])},
            objectType="cell",
            classification="Tumor: Positive",
            measurements={"Area": 3.5, "0.1 is no float": 0.1, "none": "NaN"},
        ),
        feature(polygon, objectType="cell", measurements={"Area": 1.5}),
        feature(geometry("Polygon", [TRIANGLE]), objectType="tile", color=[1, 2, 3]),
        feature(geometry("Polygon", [TRIANGLE], isEllipse=True), objectType="detection"),
        feature(polygon, objectType="tmaCore", isMissing=True, metadata={"Case ID": "7"}),
        feature(geometry("Point", [1, 2])),
        feature(geometry("MultiPoint", [[1, 2], [3.5, 4]])),
        feature(geometry("LineString", [[1, 2], [3, 4]])),
        feature(geometry("LineString", [[1, 2], [3, 4], [9, 9.5]])),
        feature(geometry("MultiLineString", [[[1, 2], [3, 4]], [[5, 6], [7, 8], [9, 9]]])),
        feature(geometry("Polygon", [SQUARE, HOLE])),
        feature(geometry("MultiPolygon", [[SQUARE, HOLE], [[[20, 0], [30, 0], [30, 5], [20, 0]]]])),
        feature(geometry("Polygon", [[[2e5, 0.3], [2e5 + 0.1, 9], [2e5, 9], [2e5, 0.3]]])),
        feature(
            geometry("Polygon", [TRIANGLE]),
            name="é\0😀",
            childObjects=[
                feature(polygon, name="child", childObjects=[feature(polygon, name="below it")]),
                feature(polygon, objectType="detection", name="second child"),
            ],
        ),
        feature(polygon, name="last"),
    )
    return replace(table, metadata={**table.metadata, 0: {"a": "b"}, 2: {"a": "b"}})
