"""Objects as GeoParquet: valid by the specification, whole, exact, read by others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from conftest import DEMO, Cli, hash_tree
from intoqupath.import_samples import varied
from projects import data_file

from qpmask.annotations.convert import read_objects
from qpmask.imageobjects import ObjectTable, stored_id
from qpmask.objectfiles import geoparquet
from qpmask.objectfiles.geoparquet import TableWriter, measurement_columns, read_members
from qpmask.project.project import open_project

pq = pytest.importorskip("pyarrow.parquet")


def written(path: Path, table: ObjectTable, image: str = "A") -> Path:
    with path.open("wb") as file, TableWriter(file, table.measurements.names) as writer:
        list(writer.write(table, image, "1"))
        writer.finish({})
    return path


def check_by_the_specification(path: Path) -> None:
    """GeoParquet 1.1.0, as its JSON schema and its text have it."""
    geo = read_members(path)["geo"]
    schema = pq.read_schema(path)
    assert geo["version"] == "1.1.0"
    assert geo["primary_column"] in geo["columns"]
    for name, column in geo["columns"].items():
        field = schema.field(name)
        assert str(field.type) == "binary"
        assert column["encoding"] == "WKB"
        assert column["crs"] is None
        shapes = shapely.from_wkb(
            np.array(pq.read_table(path, columns=[name])[name].to_pylist(), object)
        )
        there = [one for one in shapes.tolist() if one is not None]
        assert set(column["geometry_types"]) == {one.geom_type for one in there}
        if there:
            np.testing.assert_array_equal(column["bbox"], shapely.total_bounds(there))


def test_every_kind_of_object_and_geometry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geoparquet, "_ROWS", 5)  # several groups of rows
    table = varied()
    path = written(tmp_path / "a.parquet", table)
    check_by_the_specification(path)
    assert pq.ParquetFile(path).num_row_groups == -(-len(table) // 5)
    rows = pq.read_table(path).to_pylist()
    columns = measurement_columns(table.measurements.names)
    assert len(rows) == len(table)
    for i, row in enumerate(rows):
        number = int(table.class_index[i])
        assert row["class"] == (None if number < 0 else table.classes[number].name)
        assert (row["id"] or "").encode() == table.ids[i]
        assert row["name"] == table.names[i]
        assert row["parent"] == (
            (table.ids[p].decode() or None) if (p := table.parent[i]) >= 0 else None
        )
        assert json.loads(row["metadata"] or "{}") == dict(table.metadata.get(i, {}))
        measured = {k: row[v] for k, v in columns.items() if row[v] is not None}
        assert repr(measured) == repr(
            dict(sorted(table.measurements.of(i).items(),
                                     key=lambda one: list(columns).index(one[0])))
        )  # fmt: skip
        for column, of in (("geometry", table.geometry), ("nucleus_geometry", table.nucleus)):
            if of[i] < 0:
                assert row[column] is None
                continue
            shape = shapely.from_wkb(row[column])
            rings = [ring for part in table.geometries.rings(int(of[i])) for ring in part]
            np.testing.assert_array_equal(shapely.get_coordinates(shape), np.concatenate(rings))


def test_a_measurement_that_is_called_as_a_column() -> None:
    assert measurement_columns(["Area", "name", "Area"]) == {
        "Area": "Area",
        "name": "name (measurement)",
    }


def test_a_project(qpmask_cli: Cli, tmp_path: Path) -> None:
    project = Path(shutil.copytree(DEMO, tmp_path / "project"))
    before = hash_tree(project)
    command = ("annotations", project, "-o", "all.parquet", "--objects", "all")

    code, shown, said = qpmask_cli(*command)

    assert code == 0, said
    assert "all.parquet" in shown
    path = tmp_path / "all.parquet"
    check_by_the_specification(path)
    rows = pq.read_table(path).to_pylist()
    for entry in open_project(project):
        table, _ = read_objects(entry.data_path)
        mine = [row for row in rows if row["entry_id"] == entry.id]
        assert {row["image"] for row in mine} == {entry.name}
        assert [row["id"].encode() for row in mine] == table.ids.tolist()
        assert all(stored_id(row["id"]) for row in mine)
    assert hash_tree(project) == before
    content = path.read_bytes()
    code, shown, _ = qpmask_cli(*command)
    assert code == 0
    assert "skipped" in shown
    assert path.read_bytes() == content
    assert "planned" in qpmask_cli(*command, "--no-measurements", "--dry-run")[1]


def test_what_must_not_be(qpmask_cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"something else")
    code, _, said = qpmask_cli("annotations", DEMO, "-o", "a.parquet")
    assert code == 1
    assert "does not say that qpmask made it" in said
    assert qpmask_cli("annotations", DEMO, "-o", "b.parquet", "--nested")[0] == 2
    project = Path(shutil.copytree(DEMO, tmp_path / "project"))
    damaged = data_file(project, "Prostate A")
    damaged.write_bytes(damaged.read_bytes()[:-100])
    code, _, said = qpmask_cli("annotations", project, "-o", "c.parquet")
    assert code == 1
    assert "Prostate A" in said
    assert not list(tmp_path.glob("*c.parquet*"))


def test_a_project_that_is_saved_meanwhile(
    qpmask_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read of the older file is not taken for what is in the newer one."""
    project = Path(shutil.copytree(DEMO, tmp_path / "project"))
    newer = data_file(project, "Prostate B").read_bytes()

    def read_and_save(path: Path, *colors: Any, **how: Any) -> Any:
        found = read_objects(path, *colors, **how)
        if path == data_file(project, "Prostate A"):
            path.write_bytes(newer)
        return found

    with monkeypatch.context() as patch:
        patch.setattr("qpmask.annotations.images.read_objects", read_and_save)
        assert qpmask_cli("annotations", project, "-o", "all", "--images", "Prostate A")[0] == 0
    (line,) = [
        one
        for one in qpmask_cli("annotations", project, "-o", "all", "--dry-run")[1].splitlines()
        if "Prostate A" in one
    ]
    assert "planned" in line

    shutil.rmtree(project)
    shutil.copytree(DEMO, project)
    with monkeypatch.context() as patch:
        patch.setattr("qpmask.annotations.images.read_objects", read_and_save)
        code, _, said = qpmask_cli("annotations", project, "-o", "all.parquet")
    assert code == 1
    assert "changed while it was read" in said
    assert not list(tmp_path.glob("*all.parquet*"))


def test_geopandas_reads_it(tmp_path: Path) -> None:
    geopandas = pytest.importorskip("geopandas")
    table = varied()
    frame = geopandas.read_parquet(written(tmp_path / "a.parquet", table))
    assert len(frame) == len(table)
    assert frame.crs is None
    assert frame.geometry.name == "geometry"
    assert frame["nucleus_geometry"].notna().sum() == (table.nucleus >= 0).sum()
    np.testing.assert_array_equal(
        frame.total_bounds, shapely.total_bounds(frame.geometry.dropna().to_numpy())
    )
