"""Objects as GeoJSON are what QuPath itself exports, value by value."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from qpdata.qpdata_reference import Reference
from qpdata.qpdata_samples import SAMPLES, VARIED
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


def of_qupath(reference: Reference, path: Path, out: Path) -> list[dict[str, Any]]:
    """QuPath's export of a data file's objects."""
    root = reference.hierarchy(path).getRootObject()
    options = reference.jclass("qupath.lib.io.PathIO$GeoJsonExportOptions")
    feature_collection = options.FEATURE_COLLECTION
    target = reference.jclass("java.io.File")(str(out))
    reference.path_io.exportObjectsAsGeoJSON(
        target, root.getDescendantObjects(None), feature_collection
    )
    return json.loads(out.read_text(encoding="utf-8"))["features"]


def ours(path: Path) -> list[dict[str, Any]]:
    table, _ = read_objects(path)
    return json.loads(b"".join(geojson_of(table, WriteOptions())))["features"]


def compare(expected: list[dict[str, Any]], found: list[dict[str, Any]]) -> None:
    assert len(found) == len(expected)
    for theirs, mine in zip(expected, found, strict=True):
        assert mine == theirs


@pytest.mark.parametrize("path", [*SAMPLES, *VARIED], ids=lambda p: p.name)
def test_files_of_all_versions(reference: Reference, path: Path, tmp_path: Path) -> None:
    compare(of_qupath(reference, path, tmp_path / "a.geojson"), ours(path))


def test_varied_objects(reference: Reference, samples: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "data.qpdata"
    write_varied(samples, path, 600, seed=5, most_vertices=60)

    compare(of_qupath(reference, path, tmp_path / "a.geojson"), ours(path))
