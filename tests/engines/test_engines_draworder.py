"""The order in which objects are drawn: areas, and layers that change nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from handmade_projects import put
from hypothesis import given
from hypothesis import strategies as st
from qpdata.qpdata_builder import Obj, Roi, data_file

from qpmask.engines import draworder
from qpmask.engines.draworder import areas, by_area, centroids_px0, layers
from qpmask.geometry import Size
from qpmask.imageobjects import Rois
from qpmask.qpdata import read_qpdata


def rois_of(tmp_path: Path, *rois: Roi) -> Rois:
    path = put(tmp_path / "data.qpdata", data_file([Obj(roi=roi) for roi in rois]))
    return read_qpdata(path).rois


def test_areas_and_centroids_of_every_kind(tmp_path: Path) -> None:
    """Twice the area, in hundredths of a pixel squared."""
    bow = ([0, 4, 4, 0], [0, 4, 0, 4])  # crosses itself: its halves cancel out, as in QuPath
    outer, inner = ([0, 10, 10, 0], [0, 0, 10, 10]), ([1, 1, 3, 3], [1, 3, 3, 1])
    rois = rois_of(
        tmp_path,
        Roi("RectangleROI", (1, 2, 4, 8)),
        Roi("EllipseROI", (0, 0, 4, 2)),
        Roi("PolygonROI", ([0, 4, 0], [0, 0, 3])),
        Roi("PolygonROI", ([0, 0, 4], [0, 3, 0])),
        Roi("PolygonROI", bow),
        Roi("AreaROI", (outer, inner)),
        Roi("LineROI", (0, 0, 9, 9)),
        Roi("PointsROI", ([1, 5], [1, 3])),
    )
    whole = [18, np.pi * 2, 6, 6, 0, 96, 0, 0]
    np.testing.assert_allclose(areas(rois), np.array(whole) * 2e4, atol=1)
    centroids = centroids_px0(rois)
    np.testing.assert_allclose(centroids[:3], [[2.5, 5], [2, 1], [4 / 3, 1]])
    np.testing.assert_allclose(centroids[5], [(500 - 8) / 96, (500 - 8) / 96])
    np.testing.assert_allclose(centroids[6:], [[4.5, 4.5], [3, 2]])


def test_equal_areas_keep_the_order_of_the_classes_then_of_the_file(tmp_path: Path) -> None:
    square = Roi("RectangleROI", (0, 0, 2, 2))
    rois = rois_of(tmp_path, square, Roi("RectangleROI", (0, 0, 3, 3)))
    order = by_area(rois, np.array([0, 1, 0, 0], np.int32), np.array([5, 9, 1, 5]))
    assert order.tolist() == [1, 2, 0, 3]


boxes = st.tuples(*[st.integers(-3, 40)] * 2, *[st.integers(1, 12)] * 2, st.integers(1, 3))


@given(st.lists(boxes, min_size=1, max_size=30), st.integers(0, 2))
def test_layers_change_nothing(rows: list[tuple[int, int, int, int, int]], margin: int) -> None:
    x, y, w, h, label = np.array(rows).T
    bounds = np.stack([x, y, x + w, y + h], axis=1).astype(np.float64)
    found = layers(bounds, label.astype(np.int32), Size(40, 40), float(margin))

    def painted(order: list[int]) -> np.ndarray:
        mask = np.zeros((64, 64), np.int64)
        for i in order:  # an object may have pixels as far as the margin from its bounds
            mask[
                max(0, y[i] - margin) : max(0, y[i] + h[i] + margin),
                max(0, x[i] - margin) : max(0, x[i] + w[i] + margin),
            ] = label[i]
        return mask[:40, :40]

    in_layers = sorted(range(len(rows)), key=lambda i: (found[i], label[i]))
    np.testing.assert_array_equal(painted(list(range(len(rows)))), painted(in_layers))


@pytest.mark.parametrize("at_a_time", [1, 7, 1000])
@pytest.mark.parametrize("name", ["objects-0.6.0", "varied-0.6.0"])
def test_some_rings_at_a_time_make_no_difference(
    monkeypatch: pytest.MonkeyPatch, name: str, at_a_time: int
) -> None:
    path = Path(__file__).parents[1] / "qpdata" / "data" / f"{name}.qpdata"
    rois = read_qpdata(path).rois
    expected = areas(rois), centroids_px0(rois)
    monkeypatch.setattr(draworder, "_VERTICES", at_a_time)
    np.testing.assert_array_equal(areas(rois), expected[0])
    np.testing.assert_array_equal(centroids_px0(rois), expected[1])
