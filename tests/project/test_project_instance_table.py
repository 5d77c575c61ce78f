"""The table beside an instance mask: an object a row, whatever the object is."""

from __future__ import annotations

import csv
from pathlib import Path

import handmade_projects
import pytest
from qpdata.qpdata_builder import Obj, Roi

from qpmask import export_masks, export_options

SQUARE = Obj(name="square", roi=Roi("RectangleROI", (10, 20, 40, 60)))
BARE = Obj(name="bare")


@pytest.mark.parametrize("objects", [(SQUARE, BARE), (BARE, SQUARE), (BARE,)])
def test_an_object_without_a_roi_has_no_place(tmp_path: Path, objects: tuple[Obj, ...]) -> None:
    project = handmade_projects.with_objects(tmp_path / "p", objects, (100, 80))
    options = export_options(engine="native", instances=True)
    report = export_masks(project, tmp_path / "m", options=options)
    assert report.ok, report.records[0].error
    with (tmp_path / "m" / "A.ome.tif.instances.csv").open(newline="") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    places = ("x_px0", "y_px0", "width_px0", "height_px0", "centroid_x_px0", "centroid_y_px0")
    assert [rows["bare"][key] for key in (*places, "pixels")] == ["", "", "", "", "", "", "0"]
    if SQUARE in objects:
        found = [float(rows["square"][key]) for key in (*places, "pixels")]
        assert found == [10, 20, 30, 40, 25, 40, 1200]


def test_of_nuclei_it_tells_the_place_of_the_nucleus(tmp_path: Path) -> None:
    cell = Obj(
        "PathCellObject", roi=Roi("RectangleROI", (10, 20, 40, 60)),
        nucleus=Roi("RectangleROI", (12, 22, 16, 30)),
    )  # fmt: skip
    project = handmade_projects.with_objects(tmp_path / "p", [cell], (100, 80))
    options = export_options(engine="native", instances=True, objects="nuclei")
    export_masks(project, tmp_path / "m", options=options)
    with (tmp_path / "m" / "A.ome.tif.instances.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    keys = ("x_px0", "y_px0", "width_px0", "height_px0", "centroid_x_px0", "centroid_y_px0")
    assert [float(row[key]) for key in (*keys, "pixels")] == [12, 22, 4, 8, 14, 26, 32]
