"""``annotations --exact``: imported into a copy of the project, the same ROIs and masks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from conftest import DEMO, Cli
from handmade_projects import with_objects
from hypothesis import given
from hypothesis import strategies as st
from qpdata.qpdata_builder import Obj, Roi, data_file

from qpmask import export_masks, export_options, open_mask
from qpmask.annotations.convert import read_objects
from qpmask.annotations.exact import exact_geometries_of
from qpmask.geojson.reader import read_objects_bytes
from qpmask.geojson.write import WriteOptions, geojson_of
from qpmask.imageobjects import Rois
from qpmask.intoqupath import run as run_module
from qpmask.project import open_project
from qpmask.qpdata import read_qpdata, read_qpdata_bytes

STEP = 40
Make = Callable[[np.random.Generator, float, float], Roi]


@pytest.fixture(autouse=True)
def qupath_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "running_qupath", lambda: ())


def around(rng: np.random.Generator, x: float, y: float, least: float = 8) -> np.ndarray:
    """Vertices that go around, either way, as odd as float32 has them."""
    angles = np.sort(rng.random(12)) * 2 * np.pi * rng.choice([-1, 1])
    radius = least + rng.random(12) * 9
    xy = np.stack([x + 20 + radius * np.cos(angles), y + 20 + radius * np.sin(angles)], axis=1)
    return xy.astype(np.float32)


def by_vertices(kind: str, n: int | None = None) -> Make:
    return lambda rng, x, y: Roi(kind, tuple(around(rng, x, y)[:n].T.tolist()))


def by_box(kind: str) -> Make:
    def make(rng: np.random.Generator, x: float, y: float) -> Roi:
        x1, y1, x2, y2 = (rng.random(4) * 15 + [x, y, x + 18, y + 18]).tolist()
        return Roi(kind, (x1, y1, x1 + (x2 - x1), y1 + (y2 - y1)))

    return make


def wkb(shape: Any) -> Roi:
    return Roi("GeometryROI", shapely.to_wkb(shape, byte_order=0))


def odd_area(rng: np.random.Generator, x: float, y: float) -> Any:
    xy = around(rng, x, y).astype(np.float64) + rng.random((12, 2)) / 512
    return shapely.Polygon(xy).buffer(0)


def with_hole(rng: np.random.Generator, x: float, y: float) -> Roi:
    hole = odd_area(rng, 0, 0)
    hole = shapely.transform(hole, lambda xy: (xy - 20) / 4 + [x + 20, y + 20])
    return wkb(odd_area(rng, x, y).difference(hole))


def in_two_parts(rng: np.random.Generator, x: float, y: float) -> Roi:
    one, other = (
        shapely.transform(odd_area(rng, 0, 0), lambda xy, at=at: (xy - 20) / 3 + at)
        for at in ([x + 10, y + 10], [x + 28, y + 28])
    )
    return wkb(shapely.MultiPolygon([one, other]))


def rectangle_of_four(rng: np.random.Generator, x: float, y: float) -> Roi:
    """A polygon that stands as rectangles do."""
    x1, y1, x2, y2 = by_box("RectangleROI")(rng, x, y).values  # type: ignore[misc]
    return Roi("PolygonROI", ((x1, x2, x2, x1), (y1, y1, y2, y2)))


def geometry_of_four(rng: np.random.Generator, x: float, y: float) -> Roi:
    x1, y1, x2, y2 = by_box("RectangleROI")(rng, x, y).values  # type: ignore[misc]
    return wkb(shapely.Polygon([(x1, y1), (x2, y1), (x2, y2), (x1, y2)]))


def touching_itself(rng: np.random.Generator, x: float, y: float) -> Roi:
    return Roi(
        "PolygonROI",
        ([x + v for v in (1.3, 10.7, 20.1, 30.9, 20.1, 10.7)],
         [y + v for v in (5.2, 2.1, 5.2, 9.9, 5.2, 15.3)]),
    )  # fmt: skip


MAKERS: dict[str, Make] = {
    "polygon": by_vertices("PolygonROI"),
    "closed polygon": lambda rng, x, y: Roi(
        "PolygonROI", tuple(around(rng, x, y)[[*range(12), 0]].T.tolist())
    ),
    "four": rectangle_of_four,
    "rectangle": by_box("RectangleROI"),
    "ellipse": by_box("EllipseROI"),
    "line": by_box("LineROI"),
    "polyline": by_vertices("PolylineROI"),
    "points": by_vertices("PointsROI"),
    "point": by_vertices("PointsROI", 1),
    "geometry": lambda rng, x, y: wkb(odd_area(rng, x, y)),
    "geometry of four": geometry_of_four,
    "touching itself": touching_itself,
    "line geometry": lambda rng, x, y: wkb(shapely.LineString(around(rng, x, y)[:5] + 0.001)),
    "geometry with a hole": with_hole,
    "geometry of two": in_two_parts,
    "lines": lambda rng, x, y: wkb(
        shapely.MultiLineString([around(rng, x, y)[:6], around(rng, x, y)[6:]])
    ),
}
#: Kinds that come back as ROIs of another kind, in which the same is drawn.
OTHERS = {"closed polygon", "geometry", "geometry of four", "line geometry"}


def objects(n: int, far: float = 0.0) -> tuple[list[Obj], list[str]]:
    """So many of each kind side by side, and cells; and what each is."""
    rng = np.random.default_rng(5)
    made, names = [], []
    for i in range(n):
        for j, (name, make) in enumerate(MAKERS.items()):
            roi = make(rng, far + STEP * i, far + STEP * j)
            made.append(Obj(roi=roi, path_class=(name,), name=f"{name} {i}"))
            names.append(name)
        inside = around(rng, far + STEP * i, far + STEP * len(MAKERS))
        middle = inside.mean(axis=0)
        nucleus = Roi("PolygonROI", tuple(((inside - middle) / 2 + middle).T.tolist()))
        cell = Roi("PolygonROI", tuple(inside.T.tolist()))
        made.append(Obj("PathCellObject", roi=cell, nucleus=nucleus, path_class=("cell",)))
        names.append("cell")
    return made, names


def there_and_back(qpmask_cli: Cli, project: Path, copy: Path, *options: str) -> None:
    """All objects of a project through GeoJSON into a copy of it that has none."""
    code, _, said = qpmask_cli(
        "annotations", project, "-o", "out", "--objects", "all", "--force", *options
    )
    assert code == 0, said
    shutil.copytree(project.parent, copy)
    for entry in open_project(copy):
        if entry.data_path.exists():
            entry.data_path.unlink()
            path = Path("out") / f"{Path(entry.name).stem}.geojson"
            code, _, said = qpmask_cli(
                "import", path, "--project", copy, "--image", entry.id, "--source", ""
            )
            assert code == 0, said


def n_different(project: Path, copy: Path, folder: Path, engine: Any = "native", **how: Any) -> int:
    """Pixels of the masks of two projects that differ."""
    classes = folder / "one" / "classes.yaml"
    options = export_options(engine=engine, **how)
    for report in (
        export_masks(project, folder / "one", options=options),
        export_masks(copy, folder / "other", classes=classes, options=options),
    ):
        assert [record.error for record in report if record.error] == []
    n = 0
    masks = sorted((folder / "one").glob("*.ome.tif"))
    assert masks
    for path in masks:
        with open_mask(path) as one, open_mask(folder / "other" / path.name) as other:
            pixels = one[:, :]
            assert len(np.unique(pixels)) > 1
            n += int((pixels != other[:, :]).sum())
    return n


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return with_objects(tmp_path / "project", objects(12)[0], (STEP * 13, STEP * 19))


@pytest.mark.parametrize("engine", ["native", pytest.param("qupath", marks=pytest.mark.qupath)])
def test_masks_are_the_same_with_every_kind_of_roi(
    qpmask_cli: Cli, project: Path, tmp_path: Path, engine: Any, request: pytest.FixtureRequest
) -> None:
    if engine == "qupath":
        request.getfixturevalue("qupath")
    there_and_back(qpmask_cli, project, tmp_path / "copy", "--exact")

    for i, how in enumerate(
        ({"objects": "annotations"}, {"objects": "cells", "boundary_label": 200},
         {"objects": "annotations", "downsample": 2, "boundary_label": 200})
    ):  # fmt: skip
        folder = tmp_path / f"masks {i}"
        assert n_different(project, tmp_path / "copy", folder, engine, **how) == 0


def test_rounded_they_are_not(qpmask_cli: Cli, project: Path, tmp_path: Path) -> None:
    """Else the test above could not fail."""
    there_and_back(qpmask_cli, project, tmp_path / "copy")
    assert n_different(project, tmp_path / "copy", tmp_path / "masks") > 0


def test_masks_of_the_demo_project_are_the_same(qpmask_cli: Cli, tmp_path: Path) -> None:
    project = Path(shutil.copytree(DEMO, tmp_path / "project"))
    (path,) = project.glob("*.qpproj")
    there_and_back(qpmask_cli, path, tmp_path / "copy", "--exact")
    assert n_different(project, tmp_path / "copy", tmp_path / "masks") == 0


@pytest.mark.parametrize("far", [0.0, 190_000.0])
def test_rois_come_back_as_they_were(qpmask_cli: Cli, tmp_path: Path, far: float) -> None:
    made, names = objects(4, far)
    project = with_objects(tmp_path / "project", made, (200_000, 200_000))
    there_and_back(qpmask_cli, project, tmp_path / "copy", "--exact")

    before, after = (
        read_qpdata(path / "data" / "1" / "data.qpdata")
        for path in (tmp_path / "project", tmp_path / "copy")
    )

    assert after.names == before.names
    for i, name in enumerate(names):
        if name not in OTHERS:
            assert of_roi(after.rois, after.roi[i]) == of_roi(before.rois, before.roi[i])
        if name == "cell":
            nuclei = after.nucleus_roi[i], before.nucleus_roi[i]
            assert of_roi(after.rois, nuclei[0]) == of_roi(before.rois, nuclei[1])


def of_roi(rois: Rois, i: int) -> list[Any]:
    """All that a ROI is; of a polygon of four vertices, whichever is the first."""
    rings = [ring.tolist() for ring in rois.rings(i)]
    if len(rings) == 1 and len(rings[0]) == 4:
        rings[0] = sorted(rings[0])
    plain = [rois.kind[i], rois.geometry_type[i], rois.c[i], rois.z[i], rois.t[i]]
    return [*map(int, plain), str(rois.box_px0[i].tolist()), rings]


def test_default_and_exact_are_different_files(qpmask_cli: Cli, project: Path) -> None:
    command = ("annotations", project, "--objects", "all", "--json", "-o")
    for name in ("a.geojson", "a.parquet"):
        if name.endswith("parquet"):
            pytest.importorskip("pyarrow")
        for options, status in (((), "done"), (("--exact",), "done"), (("--exact",), "skipped")):
            code, shown, said = qpmask_cli(*command, name, *options)
            assert code == 0, said
            assert [f["status"] for f in json.loads(shown)["files"]] == [status]


def test_geoparquet_has_the_same_geometries(qpmask_cli: Cli, project: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    command = ("annotations", project, "--objects", "all", "--exact", "-o")
    for name in ("a.geojson", "a.parquet"):
        assert qpmask_cli(*command, name)[0] == 0
    rows = pq.read_table("a.parquet").to_pylist()
    features = json.loads(Path("a.geojson").read_text())["features"]
    assert len(rows) == len(features)
    for row, feature in zip(rows, features, strict=True):
        mine = shapely.from_geojson(json.dumps(feature["geometry"]))
        assert shapely.equals_identical(shapely.from_wkb(row["geometry"]), mine)


def test_what_does_not_come_back_is_told(tmp_path: Path) -> None:
    path = tmp_path / "data.qpdata"
    line = Roi("PolylineROI", ((0.1, 9.3), (0.1, 9.7)))
    area = Roi("AreaROI", [((0.1, 9.3, 9.3), (0.1, 9.7, 0.1))])
    longer = Roi("PolylineROI", ((0.1, 9.3, 4), (0.1, 9.7, 4)))
    of_two = wkb(shapely.LineString([(0, 0), (3, 4)]))
    path.write_bytes(data_file([Obj(roi=roi) for roi in (line, area, longer, of_two)]))
    first, second = read_objects(path, exact=True)[1]
    assert "2 polylines of two vertices" in first
    assert "1 areas of QuPath 0.1" in second
    assert not read_objects(path)[1]


def test_outlines_that_cross_themselves_are_told_and_written_as_areas(tmp_path: Path) -> None:
    bow = Roi("PolygonROI", ((0.1, 9.3, 9.3, 0.1), (0.1, 9.7, 0.1, 9.7)))
    path = tmp_path / "data.qpdata"
    path.write_bytes(data_file([Obj(roi=bow)]))
    table, (warning,) = read_objects(path, exact=True)
    assert "1 outlines cross themselves" in warning
    text = b"".join(geojson_of(table, WriteOptions(exact=True)))
    read = read_objects_bytes(text)
    assert not read.problems
    assert int(read.table.geometries.type[0]) == 6


boxes = st.tuples(*[st.floats(-1e5, 1e5)] * 2, *[st.floats(1e-3, 1e5)] * 2)


@given(st.lists(boxes, min_size=1))
def test_an_ellipse_has_the_bounds_that_it_had(made: list[tuple[float, ...]]) -> None:
    items = [Obj(roi=Roi("EllipseROI", (x, y, x + w, y + h))) for x, y, w, h in made]
    rois = read_qpdata_bytes(data_file(items)).rois
    shapes, number, _ = exact_geometries_of(rois)
    assert shapes.is_ellipse.all()
    for i, geometry in enumerate(number.tolist()):
        ((ring,),) = shapes.rings(geometry)
        bounds = [*ring.min(axis=0), *ring.max(axis=0)]
        assert bounds == rois.box_px0[i].tolist()
        assert (ring[0] == ring[-1]).all()
