"""What must hold whatever is drawn."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from native.native_judge import assemble, to_shapes
from native.native_reference import thin_rings
from native.native_scenes import ALL_AREAS, EVERYTHING, scene

from qpmask.engines.native.plane import Plane, PlaneOptions, is_thin
from qpmask.engines.native.shapes import Kind, Shapes
from qpmask.engines.native.stripdraw import draw_strip
from qpmask.geometry import Size
from qpmask.jit.arguments import Packed
from qpmask.ometiff.strips import StripGrid

# Compiling the kernels may fall into the first example.
relaxed = settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

coordinates = st.one_of(
    st.integers(-20, 60).map(float),
    st.integers(-80, 240).map(lambda v: v / 4),
    st.floats(-20, 60, width=32),
)
rings = st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=12).map(
    lambda points: np.array(points, np.float32)
)


@relaxed
@given(st.lists(rings, min_size=1, max_size=3), st.booleans(), st.sampled_from([8, 16, 64]))
def test_same_as_the_plain_reference(
    several: list[np.ndarray], even_odd: bool, tile_px: int
) -> None:
    starts = np.cumsum([0] + [len(r) for r in several])
    kind = Kind.GEOMETRY if even_odd else Kind.POLYGON
    shapes = Shapes.rings(kind, np.concatenate(several), starts, 1, 0, ring_start=[0, len(several)])
    plane = Plane(shapes, PlaneOptions(Size(40, 24), tile_px=tile_px, n_threads=1))
    grid = plane.tile_grid
    for (row, col), tile in zip(grid, plane.tiles(), strict=True):
        shape = grid.shape(row, col)
        origin = (col * tile_px, row * tile_px)
        expected = thin_rings(several, origin, shape, even_odd=even_odd)
        np.testing.assert_array_equal(np.broadcast_to(tile, shape), expected)


class NarrowStrips(StripGrid):
    tiles_per_strip = 2


@relaxed
@given(st.integers(0, 2**32), st.sampled_from([1.0, 1.5, 2.7, 4.0]), st.sampled_from([16, 64]))
def test_threads_and_strips_make_no_difference(seed: int, downsample: float, tile_px: int) -> None:
    """Drawn by one thread, by three, tile by tile, and in strips of a different width."""
    rng = np.random.default_rng(seed)
    size = Size(*(int(v * downsample) for v in rng.integers(20, 300, 2)))
    kinds = EVERYTHING if is_thin(1, downsample) else ALL_AREAS
    shapes = to_shapes(scene(rng, size, kinds, 12, [1, 2, 3]))
    one = Plane(shapes, PlaneOptions(size, downsample, tile_px, n_threads=1))
    three = Plane(shapes, PlaneOptions(size, downsample, tile_px, n_threads=3))
    narrow = Plane(shapes, PlaneOptions(size, downsample, tile_px, n_threads=1))
    narrow._strip_grid = NarrowStrips(narrow.tile_grid.size, Size(tile_px, tile_px))
    for rc, a, b, c in zip(one.tile_grid, one.tiles(), three.tiles(), narrow.tiles(), strict=True):
        d = one.tile(*rc)
        assert type(a) is type(b) is type(c) is type(d)
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(a, d)


@relaxed
@given(st.integers(0, 2**32), st.sampled_from([1.0, 2.7]), st.sampled_from([1, 7, 16]))
def test_kernels_stay_within_their_arrays(seed: int, downsample: float, tile_px: int) -> None:
    """Run as plain Python, where NumPy checks each index, and equal to what is compiled."""
    rng = np.random.default_rng(seed)
    size = Size(*(int(v * downsample) for v in rng.integers(5, 40, 2)))
    kinds = EVERYTHING if is_thin(1, downsample) else ALL_AREAS
    shapes = to_shapes(scene(rng, size, kinds, 4, [1, 2, 3]))
    plane = Plane(shapes, PlaneOptions(size, downsample, tile_px, n_threads=1))
    compiled = list(plane.tiles())

    def as_python(*arguments: Any) -> int:
        plain = (a.value if isinstance(a, Packed) else a for a in arguments)
        with np.errstate(all="ignore"):
            return draw_strip.function(*plain)

    with patch("qpmask.engines.native.plane.draw_strip", as_python):
        for a, b in zip(compiled, plane.tiles(), strict=True):
            np.testing.assert_array_equal(a, b)


@relaxed
@given(st.integers(0, 2**32))
def test_an_int_is_a_tile_of_one_label_and_an_array_is_not(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = Size(200, 150)
    shapes = to_shapes(scene(rng, size, EVERYTHING, 10, [1, 2]))
    for tile in Plane(shapes, PlaneOptions(size, tile_px=32)).tiles():
        assert isinstance(tile, int) or len(np.unique(tile)) > 1


@relaxed
@given(st.integers(0, 2**32), st.sampled_from([1.0, 2.7]), st.sampled_from([6, 60]))
def test_each_label_is_where_it_would_be_alone_unless_overwritten(
    seed: int, downsample: float, n: int
) -> None:
    """Covering tiles, skipping and sorting pieces never change what drawing one by one gives.

    Of sixty drawings some tiles get more pieces than they have room for.
    """
    rng = np.random.default_rng(seed)
    size = Size(*(int(v * downsample) for v in rng.integers(20, 200, 2)))
    drawings = scene(rng, size, ALL_AREAS, n, [1, 2, 3])
    options = PlaneOptions(size, downsample, 32, n_threads=1)
    expected = None
    for label in (2, 1, 3):
        for drawing in drawings:
            if drawing.label == label:
                plane = Plane(to_shapes([drawing]), options)
                alone = assemble(plane.tile_grid, plane.tiles())
                expected = alone if expected is None else np.where(alone > 0, alone, expected)
    plane = Plane(to_shapes(drawings, [2, 1, 3]), options)
    np.testing.assert_array_equal(assemble(plane.tile_grid, plane.tiles()), expected)


def test_many_crossings_are_filled_in_bands() -> None:
    """More crossings than a band holds: a comb of 2,000 teeth."""
    teeth = np.arange(2000) * 0.25
    xy = np.empty((4000, 2), np.float32)
    xy[0::2] = np.stack([teeth, np.full(2000, 1.0)], axis=1)
    xy[1::2] = np.stack([teeth + 0.1, np.full(2000, 250.0)], axis=1)
    shapes = Shapes.rings(Kind.POLYGON, xy, [0, 4000], 1, 0)
    (tile,) = Plane(shapes, PlaneOptions(Size(512, 256), tile_px=512)).tiles()
    np.testing.assert_array_equal(tile, thin_rings([xy], (0, 0), (256, 512)))


def test_tiles_are_lazy_and_stop_cleanly() -> None:
    rng = np.random.default_rng(0)
    size = Size(3000, 3000)
    shapes = to_shapes(scene(rng, size, ALL_AREAS, 30, [1, 2]))
    drawn = Plane(shapes, PlaneOptions(size, tile_px=64, n_threads=2)).tiles()
    next(drawn)
    drawn.close()  # type: ignore[attr-defined]
