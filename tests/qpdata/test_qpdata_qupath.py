"""Column by column against QuPath's own reader."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from qpdata.qpdata_builder import Obj, Roi, data_file
from qpdata.qpdata_by_hand import wkb
from qpdata.qpdata_reference import Reference
from qpdata.qpdata_samples import EMPTY, SAMPLES, VARIED
from qpdata.qpdata_varied import make_samples, write_varied

from qpmask.imageobjects import ImageObjects, RoiKind
from qpmask.qpdata import read_qpdata

pytestmark = pytest.mark.qupath
LIVER = Path(__file__).resolve().parents[3] / "shared" / "real" / "liver-0.7.0"


@pytest.fixture(scope="module")
def reference(qupath: object) -> Reference:
    return Reference()


@pytest.fixture(scope="module")
def samples(qupath: object) -> ModuleType:
    return make_samples()


def as_qupath_reads(values: np.ndarray) -> np.ndarray:
    """Coordinates of a geometry as QuPath 0.6 and later has them after reading.

    ``GeometryTools`` has a ``PrecisionModel(-0.01)``, for which JTS divides by the step and
    multiplies by it again (with Java's ``Math.round``), and keeps the coordinates as float32.
    """
    steps = values / 0.01
    whole = np.floor(steps)
    whole += steps - whole >= 0.5
    return (whole * 0.01).astype(np.float32).astype(np.float64)


def check_roi(objects: ImageObjects, number: int, expected: dict[str, Any] | None) -> None:
    if expected is None:
        assert number == -1
        return
    rois = objects.rois
    assert rois.kind[number] == expected["kind"]
    assert (rois.c[number], rois.z[number], rois.t[number]) == expected["plane"]
    is_line, is_point = bool(rois.is_line[number]), bool(rois.is_point[number])
    flags = (not (is_line or is_point), is_line, is_point)
    assert flags == expected["area_line_point"]
    bounds = rois.bounds_px0[number]
    if "box" in expected:
        assert tuple(rois.box_px0[number]) == expected["box"]
    elif "rings" in expected:
        found = list(rois.rings(number))
        assert len(found) == len(expected["rings"])
        for ring, expected_ring in zip(found, expected["rings"], strict=True):
            assert ring.dtype == np.float32
            assert ring.tobytes() == expected_ring.tobytes()
    else:
        rings = slice(rois.ring_offsets[number], rois.ring_offsets[number + 1])
        parts: list[tuple[int, int, bool, np.ndarray]] = []
        assert rois.geometry_type[number] == wkb(expected["wkb"], 0, parts)[0]
        assert rois.ring_kind[rings].tolist() == [part[0] for part in parts]
        assert rois.ring_part[rings].tolist() == [part[1] for part in parts]
        assert rois.ring_is_hole[rings].tolist() == [part[2] for part in parts]
        expected_rings = [part[3] for part in parts]
        for ring, expected_ring in zip(rois.rings(number), expected_rings, strict=True):
            if not np.array_equal(ring, expected_ring):  # QuPath before 0.6 does not round
                assert np.array_equal(as_qupath_reads(ring), expected_ring)
                bounds = as_qupath_reads(rois.bounds_px0[number])
        if not parts:
            return  # QuPath has a box of width -1 for nothing
    assert np.allclose(bounds, expected["bounds"], rtol=0, atol=1e-6, equal_nan=True)


def check(path: Path, reference: Reference, *, colors: bool = True) -> int:
    expected = reference.objects(path)
    objects = read_qpdata(path)
    assert len(objects) == len(expected)
    for i, record in enumerate(expected):
        for name in ("kind", "parent", "locked", "missing"):
            assert getattr(objects, name)[i] == record[name], (i, name)
        assert objects.names[i] == record["name"]
        assert objects.id_of(i) in (None, record["id"])
        found = objects.class_of(i)
        assert (found and found.name) == record["class"]
        if colors:
            assert (found and found.color_argb) == record["color"]
        check_roi(objects, int(objects.roi[i]), record["roi"])
        check_roi(objects, int(objects.nucleus_roi[i]), record["nucleus"])
    return len(expected)


@pytest.mark.parametrize("path", (*SAMPLES, *EMPTY, *VARIED), ids=lambda path: path.stem)
def test_samples(path: Path, reference: Reference) -> None:
    assert check(path, reference) in (0, 28, 60)


@pytest.mark.skipif(not LIVER.is_dir(), reason=f"needs the real project {LIVER}")
def test_real_project(reference: Reference) -> None:
    paths = sorted(LIVER.glob("data/*/data.qpdata"))
    assert sum(check(path, reference, colors=False) for path in paths) >= len(paths) > 0


def test_new_file(
    tmp_path: Path, reference: Reference, samples: ModuleType, qupath: object
) -> None:
    full, empty = samples.write_samples(tmp_path)
    assert check(full, reference) == 28
    assert check(empty, reference) == 0
    assert all(read_qpdata(full).id_of(i) is not None for i in range(28))


def test_cells(tmp_path: Path, reference: Reference, samples: ModuleType) -> None:
    """Many cells, as a cell detection leaves them."""
    make = samples.Maker()
    rng = np.random.default_rng(1)
    image_data = samples.new_image_data(make)
    classes = [None, *map(make.path_class.fromString, ("Tumor", "Tumor: Positive", "Stroma"))]
    parent = make.objects.createAnnotationObject(
        make.rois.createRectangleROI(0.0, 0.0, 1e4, 1e4, make.plane())
    )
    for i in range(1500):
        angles = np.linspace(0, 2 * np.pi, int(rng.integers(3, 30)), endpoint=False)
        x, y = rng.random(2) * 1e4
        radius = 5 + rng.random(len(angles))
        outline = make.polygon(x + radius * np.cos(angles), y + radius * np.sin(angles))
        nucleus = make.polygon(x + np.cos(angles), y + np.sin(angles)) if i % 9 else None
        if i % 7 == 0:
            outline.getArea()
        cell = make.objects.createCellObject(outline, nucleus, classes[i % 4], None)
        cell.getMeasurementList().put("Area", float(i))
        if i % 2:
            cell.getMeasurementList().close()
        parent.addChildObject(cell)
    image_data.getHierarchy().getRootObject().addChildObject(parent)
    path = tmp_path / "cells.qpdata"
    samples.write(make, image_data, path)
    assert check(path, reference) == 1501


def test_varied_objects(tmp_path: Path, reference: Reference, samples: ModuleType) -> None:
    """Objects that differ in all that objects can differ in."""
    path = tmp_path / "varied.qpdata"
    write_varied(samples, path, 1500, seed=1)
    assert check(path, reference) == 1500


def test_geometries_off_the_grid(tmp_path: Path, reference: Reference, samples: ModuleType) -> None:
    """Coordinates are read as they are stored; QuPath rounds them as it reads."""
    coordinates = [1 / 3, 2.005, 10.12345, 0.5, 7.777, 9.995, 1 / 3, 2.005]
    wkb = np.array(coordinates, ">f8").tobytes()
    stored = b"\0\0\0\0\3\0\0\0\1\0\0\0\4" + wkb
    path = tmp_path / "data.qpdata"
    path.write_bytes(data_file([Obj(roi=Roi("GeometryROI", stored))]))
    check(path, reference)
    (ring,) = read_qpdata(path).rois.rings(0)
    assert ring[0].tolist() == [1 / 3, 2.005]


def test_hand_made_files(tmp_path: Path, reference: Reference) -> None:
    """What old versions wrote, according to the files written by hand for the other tests."""
    triangle = Roi("PolygonROI", ([0.1, 10.5, 3], [1, 2, 30]))
    items = [
        Obj(name="old", locked=None, path_class=("Lung", "Alveoli"), roi=triangle),
        Obj(path_class=(), roi=Roi("RectangleROI", (0.1, 5, 0.7, 1), (0, 1, 2))),
        Obj("TMACoreObject", missing=True, roi=Roi("EllipseROI", (1, 2, 9, 9)), children=[Obj()]),
        Obj("PathCellObject", roi=triangle, nucleus=Roi("AreaROI", [([1, 2, 3], [1, 5, 3])])),
        Obj(metadata={"Object ID": "1-2-3-4-5", "more": "x"}, roi=Roi("LineROI", (9, 8, 1, 2))),
        Obj(roi=Roi("PolylineROI", ([1, 2], [3, 4])), locked=True),
        Obj(roi=Roi("PointsROI", ([1, 2], [3, 4])), path_class=(" spaced ", " out ")),
        Obj(uuid=0x0123456789ABCDEF0123456789ABCDEF, roi=triangle),
    ]
    path = tmp_path / "data.qpdata"
    path.write_bytes(data_file(items))
    check(path, reference, colors=False)
    objects = read_qpdata(path)
    assert objects.id_of(5) == "00000001-0002-0003-0004-000000000005"
    assert objects.id_of(8) == "01234567-89ab-cdef-0123-456789abcdef"
    assert objects.rois.kind[objects.nucleus_roi[4]] == RoiKind.AREA
