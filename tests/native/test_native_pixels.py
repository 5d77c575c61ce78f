"""Hand-made pixel arrays, and what the renderer refuses."""

from __future__ import annotations

import numpy as np
import pytest
from native.native_cases import CASES, Case, polygon
from native.native_judge import Drawing, assemble, to_shapes

from qpmask.engines.native.plane import Plane, PlaneOptions, is_thin
from qpmask.engines.native.shapes import Kind, Shapes
from qpmask.errors import OptionsError, UnsupportedByEngineError
from qpmask.geometry import Size


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_hand_made_pixels(case: Case) -> None:
    plane = Plane(to_shapes(case.drawings, case.order), case.plane_options)
    mask = assemble(plane.tile_grid, plane.tiles())
    np.testing.assert_array_equal(mask, case.expected, err_msg=case.name)


def test_tiles_that_are_all_one_label_are_ints() -> None:
    shapes = to_shapes([polygon(3, (-1, -1), (9, -1), (9, 9), (-1, 9))])
    tiles = list(Plane(shapes, PlaneOptions(Size(12, 8), tile_px=4, n_threads=1)).tiles())
    kinds = [t if isinstance(t, int) else t.tolist() for t in tiles]
    mixed = [[3, 0, 0, 0]] * 4
    assert kinds[:2] == [3, 3]
    assert kinds[2] == mixed
    assert kinds[3:5] == [3, 3]


def test_a_tile_that_happens_to_be_filled_by_several_shapes_is_an_int() -> None:
    left = polygon(1, (0, 0), (2, 0), (2, 4), (0, 4))
    right = polygon(1, (2, 0), (4, 0), (4, 4), (2, 4))
    shapes = to_shapes([left, right])
    assert list(Plane(shapes, PlaneOptions(Size(4, 4), tile_px=4)).tiles()) == [1]


@pytest.mark.parametrize("upon_another", [False, True])
def test_a_comb_of_as_many_pieces_as_a_tile_has_room_for_and_of_more(upon_another: bool) -> None:
    teeth = [[(x, 0), (x + 1, 0), (x + 1, 16), (x, 16)] for x in range(1, 16, 2)]
    rings = np.array(teeth, np.float32).reshape(-1, 2)
    comb = Shapes.rings(
        Kind.GEOMETRY, rings, np.arange(0, 33, 4), label=2, order=9, ring_start=[0, 8]
    )
    beneath = to_shapes([polygon(7, (0, 0), (5, 0), (5, 3), (0, 3))] if upon_another else [])
    shapes = Shapes.concatenate([beneath, comb])
    plane = Plane(shapes, PlaneOptions(Size(16, 16), tile_px=16))
    (tile,) = plane.tiles()
    expected = np.zeros((16, 16), np.uint8)
    expected[:3, :5] = 7 if upon_another else 0
    expected[:, 1::2] = 2
    np.testing.assert_array_equal(tile, expected)
    assert plane.found()[2].all()


def test_edge_tiles_are_cropped() -> None:
    shapes = to_shapes([polygon(1, (0, 0), (30, 5), (0, 5))])
    tiles = list(Plane(shapes, PlaneOptions(Size(10, 6), tile_px=8)).tiles())
    assert [t.shape for t in tiles if not isinstance(t, int)] == [(6, 8), (6, 2)]


def test_no_shapes_at_all() -> None:
    options = PlaneOptions(Size(20, 10), tile_px=8, background=4)
    assert list(Plane(Shapes.empty(), options).tiles()) == [4] * 6


@pytest.mark.parametrize(
    ("label", "dtype"),
    [(255, "uint8"), (256, "uint16"), (65535, "uint16"), (65536, "uint32"), (2**31 - 1, "uint32")],
)
def test_the_smallest_type_that_holds_the_labels(label: int, dtype: str) -> None:
    shapes = to_shapes([polygon(label, (1, 1), (5, 1), (5, 4))])
    (tile,) = Plane(shapes, PlaneOptions(Size(8, 8), tile_px=8)).tiles()
    assert not isinstance(tile, int)
    assert tile.dtype == dtype
    assert set(np.unique(tile)) == {0, label}


def test_dtype_can_be_given() -> None:
    shapes = to_shapes([polygon(3, (1, 1), (5, 1), (5, 4))])
    (tile,) = Plane(shapes, PlaneOptions(Size(8, 8), tile_px=8, dtype="uint16")).tiles()
    assert not isinstance(tile, int)
    assert tile.dtype == np.uint16


@pytest.mark.parametrize(
    "options",
    [
        {"dtype": "uint8"},
        {"dtype": "float32"},
        {"background": -1},
        {"downsample": float("nan")},
        {"tile_px": 0},
    ],
)
def test_options_that_make_no_sense(options: dict[str, object]) -> None:
    shapes = to_shapes([polygon(300, (1, 1), (5, 1), (5, 4))])
    with pytest.raises(OptionsError):
        Plane(shapes, PlaneOptions(Size(8, 8), **options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "drawing",
    [
        Drawing(Kind.LINE, 1, (1, 1, 5, 5)),
        Drawing(Kind.POLYLINE, 1, [(1, 1), (5, 5), (6, 2)]),
    ],
)
def test_wide_lines_are_refused_by_name(drawing: Drawing) -> None:
    options = PlaneOptions(Size(16, 16), tile_px=16, line_thickness=2)
    with pytest.raises(UnsupportedByEngineError, match="cell 0 in slide 7"):
        Plane(to_shapes([drawing]), options, describe="cell {} in slide 7".format)
    outside = Drawing(drawing.kind, 1, np.asarray(drawing.data) + 1000)
    assert list(Plane(to_shapes([outside]), options).tiles()) == [0]


def test_wide_boundaries_are_refused() -> None:
    shapes = to_shapes([polygon(1, (1, 1), (5, 1), (5, 4))])
    options = PlaneOptions(Size(16, 16), tile_px=16, downsample=1.1, boundary_label=9)
    with pytest.raises(UnsupportedByEngineError, match="boundary of object 0"):
        Plane(shapes, options)


@pytest.mark.parametrize("downsample", [1, 2, 4, 1.5, 3.3, 10])
def test_thin_downsamples(downsample: float) -> None:
    assert is_thin(1, downsample)


@pytest.mark.parametrize("downsample", [1.1, 1.2, 2.7, 3.7])
def test_wide_downsamples(downsample: float) -> None:
    assert not is_thin(1, downsample)
    assert is_thin(0.9, downsample)


def test_one_channel_of_a_multichannel_mask() -> None:
    square = polygon(1, (0, 0), (3, 0), (3, 3), (0, 3))
    shapes = to_shapes([Drawing(square.kind, 255, square.data)])
    (tile,) = Plane(shapes, PlaneOptions(Size(4, 4), tile_px=4)).tiles()
    assert not isinstance(tile, int)
    assert tile.tolist() == [[255, 255, 255, 0]] * 3 + [[0, 0, 0, 0]]


def test_no_fill_takes_part_in_boundaries_only() -> None:
    square = polygon(-1, (0, 0), (3, 0), (3, 3), (0, 3))
    options = PlaneOptions(Size(4, 4), tile_px=4, boundary_label=255)
    (tile,) = Plane(to_shapes([square]), options).tiles()
    assert not isinstance(tile, int)
    assert tile.tolist() == [[255] * 4, [255, 0, 0, 255], [255, 0, 0, 255], [255] * 4]
