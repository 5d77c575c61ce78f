"""``qpmask annotations``: a project's objects as GeoJSON, and the project untouched."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from conftest import DEMO, Cli, hash_tree
from projects import data_file

from qpmask.project.project import open_project
from qpmask.qpdata import read_qpdata


def test_a_file_for_each_image_and_the_project_untouched(qpmask_cli: Cli, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(DEMO, project)
    before = hash_tree(project)

    code, shown, _ = qpmask_cli("annotations", project, "-o", "out", "--objects", "all")

    assert code == 0, shown
    assert hash_tree(project) == before
    for entry in open_project(project):
        path = tmp_path / "out" / f"{Path(entry.name).stem}.geojson"
        found = json.loads(path.read_text(encoding="utf-8"))
        objects = read_qpdata(entry.data_path)
        assert found["qpmask"]["entry_id"] == entry.id
        assert [f.get("id") for f in found["features"]] == [
            objects.id_of(i) for i in range(len(objects))
        ]
    code, shown, _ = qpmask_cli("annotations", project, "-o", "out", "--objects", "all", "--json")
    assert {f["status"] for f in json.loads(shown)["files"]} == {"skipped"}
    assert hash_tree(project) == before


def test_one_image_and_some_kinds(qpmask_cli: Cli, tmp_path: Path) -> None:
    code, _, _ = qpmask_cli(
        "annotations", DEMO, "-o", "a.json", "--images", "Prostate A", "--array"
    )

    assert code == 0
    found = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert {f["properties"]["objectType"] for f in found} == {"annotation"}


def test_a_damaged_image_fails_and_the_others_go_on(qpmask_cli: Cli, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(DEMO, project)
    damaged = data_file(project, "Prostate A")
    damaged.write_bytes(damaged.read_bytes()[:-100])

    code, shown, said = qpmask_cli("annotations", project, "-o", "out")

    assert code == 1
    assert "Prostate A" in said
    assert "done" in shown
    assert not (tmp_path / "out" / "Prostate A.geojson").exists()


def test_no_project(qpmask_cli: Cli, tmp_path: Path) -> None:
    assert qpmask_cli("annotations", tmp_path / "none", "-o", "out")[0] == 2
    assert qpmask_cli("annotations", DEMO)[0] == 2
    assert qpmask_cli("annotations", DEMO, "-o", "a.geojson")[0] == 2
