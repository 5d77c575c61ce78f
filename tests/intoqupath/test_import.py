"""Objects into projects through QuPath: what comes, what goes, what stays whatever happens."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Cli, hash_tree
from intoqupath.import_masks import label_image, mask_of
from intoqupath.import_samples import SQUARE, TRIANGLE, feature, geometry, varied

from qpmask import (
    ImportOptions,
    add_objects,
    export_masks,
    export_options,
    import_objects,
    open_mask,
    restore_project,
)
from qpmask.engines.qupath.datafilewriter import DataFile
from qpmask.errors import EngineError, ImportRefusedError, NoSuchImageError, OptionsError
from qpmask.imageobjects import ImageObjects
from qpmask.intoqupath import job as job_module
from qpmask.intoqupath import run as run_module
from qpmask.intoqupath.options import MARK
from qpmask.project import open_project
from qpmask.qpdata import read_qpdata

BY_QUPATH = pytest.param("qupath", marks=pytest.mark.qupath)
BACKUPS = "qpmask-backups"


@pytest.fixture(params=["native", BY_QUPATH])
def engine(request: pytest.FixtureRequest) -> Any:
    """Who writes."""
    if request.param == "qupath":
        request.getfixturevalue("qupath")
    return request.param


@pytest.fixture(autouse=True)
def qupath_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests, or a user, may have one open."""
    monkeypatch.setattr(run_module, "running_qupath", lambda: ())


@pytest.fixture
def project(demo: Path) -> Path:
    """The demo project without its slides."""
    shutil.rmtree(demo / "slides")
    return demo


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    path = tmp_path / "Prostate A.geojson"
    path.write_text(
        json.dumps(
            [
                feature(
                    geometry("Polygon", [[[x, 50], [x + 9, 50], [x + 4, 61], [x, 50]]]),
                    objectType="detection",
                    classification="Tumor" if x % 20 else "Neutrophil",
                    measurements={"Area": x / 3},
                )
                for x in range(100, 1000, 10)
            ]
        )
    )
    return path


def objects(project: Path, entry_id: str = "1") -> ImageObjects:
    return read_qpdata(project / "data" / entry_id / "data.qpdata")


def by_class(found: ImageObjects) -> Counter[str]:
    return Counter(c.name if (c := found.class_of(i)) else "" for i in range(len(found)))


def tree(project: Path) -> dict[str, str]:
    return {k: v for k, v in hash_tree(project).items() if not k.startswith(BACKUPS)}


def test_objects_are_added_to_what_is_there_though_the_slide_is_missing(
    project: Path, engine: Any, cells: Path
) -> None:
    before, files = objects(project), tree(project)
    report = import_objects(cells, project, ImportOptions(engine=engine))
    (record,) = report.records
    assert (record.status, record.before, record.added, record.after) == ("done", 8, 90, 98)
    assert report.ok
    after = objects(project)
    assert after.names[:8] == before.names
    np.testing.assert_array_equal(after.ids[:8], before.ids)
    assert by_class(after) == by_class(before) + Counter({"Tumor": 45, "Neutrophil": 45})
    assert all(c.color_argb is not None for c in after.classes)
    now = tree(project)
    assert {name for name in now if now[name] != files.get(name)} == {
        "data/1/data.qpdata",
        "data/1/summary.json",
    }
    summary = json.loads((project / "data/1/summary.json").read_text())
    assert summary["hierarchy"]["nObjects"] == 99
    assert summary["hierarchy"]["detectionClassificationCounts"] == {
        "Tumor": 45,
        "Neutrophil": 45,
    }


@pytest.mark.qupath
def test_qupath_reads_what_was_imported(
    project: Path, engine: Any, tmp_path: Path, java_class: Any
) -> None:
    table = varied().take(np.array([i for i in range(16) if i != 13]))  # it is elsewhere
    table.geometries.z[:] = table.geometries.t[:] = 0
    add_objects(project, "1", table, options=ImportOptions(source="test", engine=engine))
    path = java_class("java.nio.file.Paths").get(str(project / "data/1/data.qpdata"))
    hierarchy = java_class("qupath.lib.io.PathIO").readHierarchy(path)
    found = list(hierarchy.getRootObject().getDescendantObjects(None))[8:]
    assert [o.getName() and str(o.getName()) for o in found] == list(table.names)
    assert [str(o.getMetadata().get(MARK)) for o in found] == ["test"] * len(table)
    cell = found[1]
    measured = cell.getMeasurementList()
    assert float(measured.get("Area")) == 3.5
    assert float(measured.get("0.1 is no float")) == 0.1
    assert np.isnan(float(measured.get("none")))
    assert str(cell.getPathClass()) == "Tumor: Positive"
    assert cell.getNucleusROI() is not None
    assert str(found[0].getMetadata().get("a")) == "b"
    assert found[0].isLocked()
    assert int(found[3].getColor()) == -16711165


@pytest.mark.qupath
@pytest.mark.parametrize(
    ("replace", "left"),
    [
        ("class", {"Tumor", "Neutrophil"}),  # no annotation goes, for detections come
        ("all", set()),
        ("imported", {"Tumor", "Neutrophil"}),
    ],
)
def test_what_is_there_goes_as_asked(
    project: Path, cells: Path, replace: Any, left: set[str]
) -> None:
    before = by_class(objects(project))
    import_objects(cells, project)
    (record,) = import_objects(cells, project, ImportOptions(replace=replace)).records
    came = Counter({"Tumor": 45, "Neutrophil": 45})
    if replace == "all":
        assert record.removed == 98
        assert by_class(objects(project)) == came
    else:
        assert record.removed == 90
        assert by_class(objects(project)) == before + came


def test_a_second_import_is_refused_unless_it_is_said_what_becomes_of_the_first(
    project: Path, cells: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """QuPath is asked for neither."""
    monkeypatch.setattr(job_module, "DataFiles", None)
    import_objects(cells, project)
    files = tree(project)
    (record,) = import_objects(cells, project).records
    assert record.status == "failed"
    assert "imported from 'Prostate A.geojson' before" in (record.error or "")
    assert tree(project) == files
    (record,) = import_objects(cells, project, ImportOptions(again=True)).records
    assert record.after == 188
    ids = objects(project).ids.tolist()
    assert len(set(ids)) == len(ids)


def test_a_second_import_of_one_object(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first object of an import has a form of its own in the data file."""
    monkeypatch.setattr(job_module, "DataFiles", None)
    path = tmp_path / "Prostate A.geojson"
    path.write_text(json.dumps([feature(geometry("Polygon", [SQUARE]))]))
    import_objects(path, project)
    (record,) = import_objects(path, project).records
    assert "It holds 1 object imported from" in (record.error or "")
    options = ImportOptions(replace="imported", engine="native")
    (record,) = import_objects(path, project, options).records
    assert "only QuPath takes objects out" in (record.error or "")
    other = ImportOptions(source="another")
    assert import_objects(path, project, other).records[0].after == 10


def test_an_image_that_was_never_saved(project: Path, engine: Any, cells: Path) -> None:
    for name in ("data.qpdata", "summary.json"):
        (project / "data/1" / name).unlink()
    files = tree(project)
    (record,) = import_objects(cells, project, ImportOptions(engine=engine)).records
    assert (record.before, record.after) == (0, 90)
    assert len(objects(project)) == 90
    assert restore_project(project)[1] == ("data/1/data.qpdata", "data/1/summary.json")
    assert tree(project) == files


def test_restore_takes_it_back_and_can_be_taken_back(
    project: Path, engine: Any, cells: Path
) -> None:
    files = tree(project)
    import_objects(cells, project, ImportOptions(add_classes=True, engine=engine))
    imported = tree(project)
    classes = json.loads((project / "classifiers/classes.json").read_text())["pathClasses"]
    assert classes[-1]["name"] == "Neutrophil"
    assert isinstance(classes[-1]["color"], int)
    name, put_back = restore_project(project)
    assert set(put_back) == {
        "data/1/data.qpdata",
        "data/1/summary.json",
        "classifiers/classes.json",
    }
    assert tree(project) == files
    with pytest.raises(OptionsError, match="were taken back already"):
        restore_project(project)
    backups = sorted(p.name for p in (project / BACKUPS).iterdir() if p.is_dir())
    assert backups[0] == name
    restore_project(project, backups[1])
    assert tree(project) == imported


@pytest.mark.qupath
def test_restore_leaves_what_was_changed_since(project: Path, cells: Path) -> None:
    import_objects(cells, project)
    import_objects(cells, project, ImportOptions(replace="all"))
    first = sorted(p.name for p in (project / BACKUPS).iterdir() if p.is_dir())[0]
    files = tree(project)
    with pytest.raises(ImportRefusedError, match="were changed since"):
        restore_project(project, first)
    assert tree(project) == files
    restore_project(project, first, force=True)
    assert len(objects(project)) == 8


@pytest.mark.qupath
def test_a_dry_run_says_the_same_and_writes_nothing(project: Path, cells: Path) -> None:
    files = hash_tree(project)
    options = ImportOptions(replace="class")
    (plan,) = import_objects(cells, project, options, dry_run=True).records
    assert hash_tree(project) == files
    (record,) = import_objects(cells, project, options).records
    for name in ("before", "removed", "added", "after", "classes", "new_classes"):
        assert getattr(plan, name) == getattr(record, name)


def test_restore_says_that_qupath_runs(
    project: Path, cells: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OptionsError, match="nothing was imported into it"):
        restore_project(project)
    import_objects(cells, project)
    monkeypatch.setattr(run_module, "running_qupath", lambda: ("QuPath (process 7)",))
    with pytest.raises(ImportRefusedError, match="QuPath is running"):
        restore_project(project)
    said: list[str] = []
    restore_project(project, force=True, warn=said.append)
    assert len(said) == 1
    assert "QuPath (process 7)" in said[0]


def test_what_is_wrong_with_a_nucleus_is_said_of_its_cell(project: Path) -> None:
    squares = [np.array(SQUARE)] * 4
    for bad, what in (
        (np.array([[0, 0], [9, 9], [9, 0], [0, 9], [0, 0]]), "nucleus 2"),
        (np.zeros((3, 3)), r"nuclei\[2\] has the shape"),
    ):
        with pytest.raises(OptionsError, match=what):
            add_objects(project, "1", squares, nuclei=[np.array(TRIANGLE), None, bad, None])


def test_only_qupath_takes_objects_out(project: Path, cells: Path) -> None:
    files = tree(project)
    options = ImportOptions(replace="all", engine="native")
    (record,) = import_objects(cells, project, options).records
    assert record.status == "failed"
    assert "only QuPath takes objects out" in (record.error or "")
    assert tree(project) == files


@pytest.mark.qupath
def test_whatever_fails_leaves_the_data_file(
    project: Path, cells: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = tree(project)
    wrote = DataFile.write

    def half(self: DataFile, path: Path) -> None:
        wrote(self, path)
        path.write_bytes(path.read_bytes()[:2000])

    def none(self: DataFile, path: Path) -> None:
        raise EngineError("The disk is full.")

    def changed(self: DataFile, path: Path) -> None:
        wrote(self, path)
        data = project / "data/1/data.qpdata"
        data.write_bytes(data.read_bytes())

    def lost(self: DataFile, path: Path) -> None:
        self._root.removeChildObjects(list(self._root.getChildObjects())[:1])
        wrote(self, path)

    for write in (half, none, lost, changed):
        assert tree(project) == files
        monkeypatch.setattr(DataFile, "write", write)
        options = ImportOptions(engine="qupath")
        (record,) = import_objects(cells, project, options).records
        assert record.status == "failed", write
    assert len(objects(project)) == 8
    assert not list(project.rglob("*.qpmask-new"))


def test_a_damaged_data_file_is_refused_and_the_other_images_are_done(
    project: Path, engine: Any, cells: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "predictions"
    folder.mkdir()
    for name in ("Prostate A", "Prostate B"):
        shutil.copy(cells, folder / f"{name}.geojson")
    data = project / "data/1/data.qpdata"
    data.write_bytes(data.read_bytes()[:3000])
    files = tree(project)
    report = import_objects(folder, project, ImportOptions(engine=engine))
    assert {r.name: r.status for r in report} == {"Prostate A": "failed", "Prostate B": "done"}
    assert tree(project)["data/1/data.qpdata"] == files["data/1/data.qpdata"]


def test_a_running_qupath_is_refused(
    project: Path, cells: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = hash_tree(project)
    monkeypatch.setattr(run_module, "running_qupath", lambda: ("QuPath (process 7)",))
    with pytest.raises(ImportRefusedError, match=r"QuPath is running: QuPath \(process 7\)"):
        import_objects(cells, project)
    assert hash_tree(project) == files
    report = import_objects(cells, project, ImportOptions(force=True))
    assert report.ok
    assert "QuPath is running" in report.warnings[0]


def test_inputs_find_their_image(project: Path, cells: Path, tmp_path: Path) -> None:
    other = tmp_path / "nobody.geojson"
    shutil.copy(cells, other)
    report = import_objects([cells, other], project)
    assert [r.name for r in report] == ["Prostate A"]
    assert [name for name, _ in report.unmatched] == ["nobody.geojson"]
    assert not report.ok
    with pytest.raises(NoSuchImageError, match="No input belongs to an image"):
        import_objects(other, project)
    assert import_objects(other, project, image="Prostate B").ok


def test_coordinates_of_another_frame_are_noticed(
    project: Path, engine: Any, tmp_path: Path
) -> None:
    far = tmp_path / "Prostate A.geojson"
    far.write_text(
        json.dumps([feature(geometry("Polygon", [[[9000, 1], [9001, 1], [9000, 2], [9000, 1]]]))])
    )
    (record,) = import_objects(far, project).records
    assert "lie beyond the image of 3,000 x 2,200 pixels" in (record.error or "")
    (record,) = import_objects(far, project, ImportOptions(downsample=0.25, engine=engine)).records
    assert record.status == "done"


def test_arrays_from_python(project: Path) -> None:
    squares = np.array(SQUARE, float) + 100 * np.arange(5)[:, None, None]
    scores = np.arange(5) / 7
    report = add_objects(
        project, "Prostate A", squares, ["Tumor", None, "Tumor", "A:B", None], {"score": scores}
    )
    assert report.ok
    found = objects(project)
    assert [c.name if (c := found.class_of(i)) else None for i in range(8, 13)] == [
        *("Tumor", None, "Tumor", "A: B", None),
    ]
    nuclei = [np.array(TRIANGLE), None, *[np.array(TRIANGLE)] * 3]
    add_objects(project, "1", squares, "Cell", nuclei=nuclei, options=ImportOptions(source="cells"))
    found = objects(project)
    assert [int(roi) >= 0 for roi in found.nucleus_roi[13:]] == [True, False, True, True, True]
    with pytest.raises(OptionsError, match="classes for 5 polygons"):
        add_objects(project, "1", squares, ["Tumor"])
    with pytest.raises(OptionsError, match="polygon 0: it crosses itself"):
        add_objects(project, "1", [[[0, 0], [10, 10], [10, 0], [0, 10]]])


@pytest.mark.qupath
@pytest.mark.parametrize(
    ("split", "downsample", "writes"),
    [("component", 1, "native"), ("class", 4, "native"), ("component", 4, "qupath")],
)
def test_a_mask_comes_back_in_every_pixel(
    project: Path, tmp_path: Path, split: Any, downsample: int, writes: Any
) -> None:
    (project / "data/1/data.qpdata").unlink()
    labels = label_image(2200 // downsample, 3000 // downsample)
    names = {i: f"Class {i}" for i in range(1, 6)}
    path = mask_of(tmp_path / "Prostate A.ome.tif", labels, names)
    options = ImportOptions(split=split, engine=writes)
    report = import_objects(path, project, options)
    assert [r.error for r in report] == [None]
    export_masks(
        project, tmp_path / "again", classes={name: label for label, name in names.items()},
        options=export_options(engine="both", downsample=downsample, images=["1"]),
    )  # fmt: skip
    with open_mask(tmp_path / "again" / "Prostate A.ome.tif") as mask:
        np.testing.assert_array_equal(mask[:, :], labels)


@pytest.mark.qupath
def test_a_mask_of_qpmask_comes_back_by_its_sidecar(project: Path, tmp_path: Path) -> None:
    export_masks(project, tmp_path / "masks", options=export_options(engine="native", images=["2"]))
    (path,) = (tmp_path / "masks").glob("*.ome.tif")
    moved = tmp_path / "prediction 7.ome.tif"
    path.rename(moved)
    path.with_name(path.name + ".json").rename(tmp_path / "prediction 7.ome.tif.json")
    report = import_objects(moved, project, ImportOptions(replace="all"))
    assert [(r.key, r.error) for r in report] == [("2", None)]
    export_masks(
        project, tmp_path / "again", classes=tmp_path / "masks" / "classes.yaml",
        options=export_options(engine="native", images=["2"]),
    )  # fmt: skip
    with open_mask(moved) as one, open_mask(tmp_path / "again" / path.name) as other:
        np.testing.assert_array_equal(one[:, :], other[:, :])


@pytest.mark.qupath
def test_on_the_command_line(project: Path, cells: Path, qpmask_cli: Cli) -> None:
    code, out, err = qpmask_cli("import", cells, "-p", project)
    assert code == 0
    assert "90" in out
    assert "qpmask restore" in out
    assert "lacks 'Neutrophil'" in err
    code, out, err = qpmask_cli("import", cells, "-p", project)
    assert code == 1
    assert "--replace imported" in err
    code, out, _ = qpmask_cli("import", cells, "-p", project, "--replace", "imported", "--json")
    assert code == 0
    assert json.loads(out)["images"][0]["removed"] == 90
    code, out, _ = qpmask_cli("restore", project, "--list")
    assert code == 0
    assert len(out.splitlines()) == 2
    assert qpmask_cli("restore", project)[0] == 0
    assert len(objects(project)) == 98
    assert open_project(project).images[0].data_path.exists()


@pytest.mark.qupath
@pytest.mark.parametrize("entry_id", ["1", "2"])
def test_geojson_of_qupath_comes_back_as_the_same_objects(
    project: Path, tmp_path: Path, java_class: Any, entry_id: str
) -> None:
    """QuPath's own export, into a project without objects, and exported once more."""
    path_io = java_class("qupath.lib.io.PathIO")
    options = java_class("qupath.lib.io.PathIO$GeoJsonExportOptions")
    data = project / "data" / entry_id / "data.qpdata"

    def exported(name: str) -> list[Any]:
        target = java_class("java.nio.file.Paths").get(str(tmp_path / name))
        hierarchy = path_io.readHierarchy(java_class("java.nio.file.Paths").get(str(data)))
        found = hierarchy.getRootObject().getDescendantObjects(None)
        path_io.exportObjectsAsGeoJSON(target, found, [options.FEATURE_COLLECTION])
        return json.loads((tmp_path / name).read_text())["features"]  # type: ignore[no-any-return]

    first = exported("first.geojson")
    data.unlink()
    report = import_objects(
        tmp_path / "first.geojson", project, ImportOptions(source=""), image=entry_id
    )
    assert report.ok
    for one, other in zip(first, exported("second.geojson"), strict=True):
        for key in ("geometry", "nucleusGeometry"):
            if one.get(key, {}).get("isEllipse"):
                # QuPath keeps its bounds alone, and wrote them to 0.01 pixels.
                vertices = [np.array(f[key].pop("coordinates")[0]) for f in (one, other)]
                bounds = [np.concatenate([v.min(axis=0), v.max(axis=0)]) for v in vertices]
                np.testing.assert_allclose(*bounds, atol=0.021)
        assert other == one


def test_the_native_engine_does_not_start_qupath(
    project: Path, cells: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qpmask.intoqupath.splice.MOST_BYTES", 0)
    files = tree(project)
    report = import_objects(cells, project, ImportOptions(engine="native"))
    (record,) = report.records
    assert not report.ok
    assert "Only QuPath can add" in (record.error or "")
    assert tree(project) == files
