"""Objects as GeoJSON are what QuPath itself exports, value by value."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from qpdata.qpdata_reference import Reference
from qpdata.qpdata_samples import VARIED
from qpdata.qpdata_varied import make_samples, write_varied

from qpmask.annotations.convert import read_objects
from qpmask.geojson.write import WriteOptions, geojson_of

pytestmark = pytest.mark.qupath


@pytest.fixture(scope="module")
def reference(qupath: object) -> Reference:
    return Reference()


@pytest.fixture(scope="module")
def samples(qupath: object) -> ModuleType:
    return make_samples()


#: Kinds of geometries that QuPath up to 0.7 cannot export (qupath#2115).
NOT_BY_QUPATH = ("MultiLineString", "GeometryCollection")


def of_qupath(reference: Reference, path: Path) -> dict[str, dict[str, Any]]:
    """QuPath's export of a data file's objects, by id; None where it is no JSON."""
    gson = reference.jclass("qupath.lib.io.GsonTools").getInstance()
    found: dict[str, Any] = {}
    for item in reference.hierarchy(path).getRootObject().getDescendantObjects(None):
        roi = item.getROI()
        if roi is not None and str(roi.getGeometry().getGeometryType()) in NOT_BY_QUPATH:
            continue
        try:
            found[str(item.getID())] = json.loads(str(gson.toJson(item)))
        except ValueError:
            found[str(item.getID())] = None
    return found


def ours(path: Path) -> dict[str, dict[str, Any]]:
    table, _ = read_objects(path)
    return by_id(json.loads(b"".join(geojson_of(table, WriteOptions())))["features"])


def by_id(features: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {feature["id"]: feature for feature in features}


def compare(expected: dict[str, dict[str, Any]], found: dict[str, dict[str, Any]]) -> None:
    readable = {id_: theirs for id_, theirs in expected.items() if theirs is not None}
    assert len(readable) > 20
    assert len(expected) - len(readable) <= 2  # QuPath writes no JSON of some empty shapes
    for id_, theirs in readable.items():
        assert found[id_] == theirs
    for id_ in found.keys() - expected.keys():
        assert found[id_]["geometry"].get("type", NOT_BY_QUPATH[1]) in NOT_BY_QUPATH


@pytest.mark.parametrize("path", VARIED, ids=lambda p: p.name)
def test_files_of_all_versions(reference: Reference, path: Path) -> None:
    compare(of_qupath(reference, path), ours(path))


Tree = list[tuple[str, str, "Tree"]]


def tree(items: Any) -> Tree:
    """Ids and classes of QuPath's objects, each with those below it."""
    return [
        (str(one.getID()), str(one.getClass().getSimpleName()), tree(one.getChildObjects()))
        for one in items
    ]


@pytest.mark.parametrize("path", VARIED, ids=lambda p: p.name)
def test_nested(reference: Reference, path: Path, tmp_path: Path) -> None:
    """QuPath reads children, and cores of a microarray, below the parents that they have."""
    table, _ = read_objects(path)
    nested = tmp_path / "nested.geojson"
    nested.write_bytes(b"".join(geojson_of(table, WriteOptions(nested=True))))
    file = reference.jclass("java.nio.file.Paths").get(str(nested))
    read = tree(reference.path_io.readObjects(file))
    root = reference.hierarchy(path).getRootObject()
    assert read == tree(root.getChildObjects())


def test_varied_objects(reference: Reference, samples: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "data.qpdata"
    write_varied(samples, path, 600, seed=5, most_vertices=60)

    compare(of_qupath(reference, path), ours(path))
