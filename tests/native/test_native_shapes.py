"""Columns of shapes: rounding, repeats, bounds, concatenation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpmask.engines.native.plane import Plane, PlaneOptions
from qpmask.engines.native.shapes import Kind, Shapes, round_to_grid
from qpmask.errors import UnsupportedByEngineError
from qpmask.geometry import Size


def test_rounding_goes_to_the_nearest_step_halves_up() -> None:
    values = np.array([0.005, -0.005, 1.015, 0.00499999999999999, 2.5, -1.234, 150000.006])
    expected = [0.01, 0.0, 1.01, 0.0, 2.5, -1.23, 150000.01]
    # 1.015 / 0.01 is 101.49999999999999 in float64.
    assert round_to_grid(values, 0.01).astype("f4").tolist() == np.float32(expected).tolist()


@pytest.mark.qupath
def test_rounding_is_qupaths(qupath: object) -> None:
    """As QuPath reads well-known binary; values halfway between steps tell formulas apart."""
    import struct

    import jpype

    rng = np.random.default_rng(0)
    steps = rng.integers(-2_000_000, 15_000_000, 20_000)
    values = np.concatenate([(steps + 0.5) / 100, steps / 100, rng.uniform(-1e3, 15e4, 20_000)])
    xy = np.stack([values, values[::-1]], 1)
    wkb = struct.pack("<BII", 1, 2, len(xy)) + xy.astype("<f8").tobytes()
    factory = jpype.JClass("qupath.lib.roi.GeometryTools").getDefaultFactory()
    reader = jpype.JClass("org.locationtech.jts.io.WKBReader")(factory)
    read = reader.read(jpype.JArray(jpype.JByte)(np.frombuffer(wkb, np.int8)))
    theirs = np.array(read.getCoordinateSequence().getRawCoordinates()[:]).reshape(-1, 2)
    version = str(jpype.JClass("qupath.lib.common.GeneralTools").getVersion())
    if version < "0.6":
        pytest.skip(f"QuPath {version} does not round")
    np.testing.assert_array_equal(theirs, round_to_grid(xy, 0.01).astype(np.float32))


def test_rounding_just_below_a_half_goes_down() -> None:
    """Adding 0.5 and flooring would give 1 here."""
    assert round_to_grid(np.array([0.49999999999999994]), 1).tolist() == [0.0]


@given(st.integers(-(10**9), 10**9))
def test_rounding_keeps_what_is_on_the_grid(steps: int) -> None:
    value = np.array([steps / 100])
    assert round_to_grid(value, 0.01).astype(np.float32) == value.astype(np.float32)


def test_geometries_lose_closing_points_and_repeats() -> None:
    ring = [(0, 0), (0.001, 0.002), (4, 0), (4, 4), (4, 4), (0, 0)]
    shapes = Shapes.geometries(ring, [0, 6], [0, 1], 1, 0)
    assert shapes.xy.tolist() == [[0, 0], [4, 0], [4, 4]]
    assert shapes.vertex_start.tolist() == [0, 3]
    raw = Shapes.geometries(ring, [0, 6], [0, 1], 1, 0, grid=None)
    assert len(raw.xy) == 4


def test_repeats_are_found_before_coordinates_become_float32() -> None:
    """Two points that only float32 makes equal stay two: a boundary draws a pixel there."""
    ring = [(100_000, 0), (100_000.001, 0), (100_004, 4)]
    assert len(Shapes.geometries(ring, [0, 3], [0, 1], 1, 0, grid=None).xy) == 3


def test_lines_keep_their_last_point() -> None:
    path = [(0, 0), (1, 1), (1, 1)]
    shapes = Shapes.geometries(path, [0, 3], [0, 1], 1, 0, kind=Kind.POLYLINE)
    assert shapes.xy.tolist() == [[0, 0], [1, 1], [1, 1]]


def test_empty_rings_take_no_part() -> None:
    shapes = Shapes.rings(Kind.POLYGON, [(1, 1), (2, 2), (3, 1)], [0, 0, 3, 3], [1, 2, 3], 0)
    assert np.isnan(shapes.bounds()[[0, 2]]).all()
    assert shapes.bounds()[1].tolist() == [1, 1, 3, 2]


def test_bounds_are_rounded_as_qupath_rounds_them() -> None:
    shapes = Shapes.boxes(Kind.RECTANGLE, [(0.1, 0.7, 0.3, 0.9)], 1, 0)
    assert shapes.bounds()[0, 2] == 0.1 + (0.3 - 0.1)


def test_boxes_are_put_in_order_and_lines_are_not() -> None:
    assert Shapes.boxes(Kind.ELLIPSE, (5, 6, 1, 2), 1, 0).box.tolist() == [[1, 2, 5, 6]]
    line = Shapes.boxes(Kind.LINE, (5, 6, 1, 2), 1, 0)
    assert line.box.tolist() == [[5, 6, 1, 2]]
    assert line.bounds().tolist() == [[1, 2, 5, 6]]


def test_points_that_are_not_numbers_are_dropped() -> None:
    shapes = Shapes.point_sets(
        [(1, 2), (np.nan, 3), (4, 5), (np.nan, np.nan)], [0, 2, 3, 4], [1, 2, 3], 0
    )
    assert shapes.points.tolist() == [[1, 2], [4, 5]]
    assert shapes.point_start.tolist() == [0, 1, 2, 2]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_coordinates_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(UnsupportedByEngineError, match="Object 17"):
        Shapes.rings(Kind.POLYGON, [(0, 0), (bad, bad), (3, 1)], [0, 3], 1, 0, source=[17])
    with pytest.raises(UnsupportedByEngineError, match="Object 4"):
        Shapes.boxes(Kind.RECTANGLE, (0, 0, bad, 3), 1, 0, source=[4])


@pytest.mark.parametrize("far", [2.0**24 + 2, 1e19, 1e39, 1e60])
def test_coordinates_so_far_away_that_kernels_would_fail_are_refused(far: float) -> None:
    # 1e39 is finite as float64 and infinite as float32; ellipses of 1e19 were halved without end.
    for kind in (Kind.RECTANGLE, Kind.ELLIPSE, Kind.LINE):
        with pytest.raises(UnsupportedByEngineError, match="beyond 16,777,216 pixels"):
            Shapes.boxes(kind, (0, 100, 100, far), 1, 0)
    for kind in (Kind.POLYGON, Kind.POLYLINE):
        with pytest.raises(UnsupportedByEngineError, match="beyond"):
            Shapes.geometries([(-far, 10), (300, far), (300, 20)], [0, 3], [0, 1], 1, 0, kind=kind)


@pytest.mark.parametrize(
    ("kind", "downsample"),
    [
        *[(Kind.RECTANGLE, d) for d in (0.01, 1.0, 1000.0)],
        *[(Kind.ELLIPSE, d) for d in (0.01, 1.0, 2.7, 1000.0)],
        (Kind.LINE, 1.0),
    ],
)
def test_shapes_as_large_as_they_may_be_are_drawn(kind: Kind, downsample: float) -> None:
    far = 2.0**24
    shapes = Shapes.boxes(kind, [(-far, -far, far, far), (-far, 100, far, far)], [1, 2], [0, 1])
    options = PlaneOptions(Size(3, 2) if downsample < 1 else Size(5000, 4000), downsample)
    n_tiles = sum(1 for _ in Plane(shapes, options).tiles())
    assert n_tiles == options.tile_grid.n_tiles


def test_concatenate_keeps_what_belongs_together() -> None:
    square = [(0, 0), (2, 0), (2, 2), (0, 2)]
    hole = [(0.5, 0.5), (1, 0.5), (1, 1)]
    parts = [
        Shapes.rings(Kind.POLYGON, square + square, [0, 4, 8], [1, 2], [0, 1]),
        Shapes.boxes(Kind.RECTANGLE, (0, 0, 3, 3), 3, 2),
        Shapes.geometries(square + hole, [0, 4, 7], [0, 2], 4, 3),
        Shapes.point_sets([(1, 1)], [0, 1], 5, 4),
    ]
    shapes = Shapes.concatenate(parts)
    assert len(shapes) == 5
    assert shapes.kind.tolist() == [0, 0, 2, 1, 6]
    assert shapes.label.tolist() == [1, 2, 3, 4, 5]
    assert shapes.ring_start.tolist() == [0, 1, 2, 2, 4, 4]
    assert shapes.vertex_start.tolist() == [0, 4, 8, 12, 15]
    assert shapes.point_start.tolist() == [0, 0, 0, 0, 0, 1]
    assert len(shapes.xy) == 15
    assert len(Shapes.concatenate([])) == 0
