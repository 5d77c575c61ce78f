"""The native renderer against a real QuPath: every pixel of every tile."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native.native_cases import CASES, Case
from native.native_judge import assemble, tiles, to_shapes
from native.native_scenes import ALL_AREAS, EVERYTHING, scene

from qpmask.engines.native.plane import Plane, PlaneOptions, is_thin
from qpmask.engines.native.shapes import Kind
from qpmask.geometry import Size

pytestmark = pytest.mark.qupath

ROUNDS = range(12)


@pytest.fixture(scope="module", autouse=True)
def qupath_06(qupath: object) -> None:
    """QuPath 0.6 began to round geometries when it reads them, and to keep multipolygons."""
    version = str(getattr(getattr(qupath, "install", None), "version", "0.6"))
    if version.startswith(("0.4", "0.5")):
        pytest.skip(f"QuPath {version} draws geometries by older rules")


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_hand_made_pixels_are_qupaths(case: Case) -> None:
    mask = assemble(
        case.plane_options.tile_grid, tiles(case.drawings, case.plane_options, case.order)
    )
    np.testing.assert_array_equal(mask, case.expected, err_msg=case.name)


@pytest.mark.parametrize("downsample", [1, 1.5, 2, 2.7, 3.7, 4, 10, 16.3])
@pytest.mark.parametrize("kind", list(EVERYTHING))
def test_each_kind(kind: Kind, downsample: float) -> None:
    if kind in (Kind.LINE, Kind.POLYLINE) and not is_thin(1, downsample):
        pytest.skip("a wide line, which the native renderer refuses")
    rng = np.random.default_rng([kind, int(downsample * 10)])
    for _ in range(3):
        size = Size(*(int(v * downsample) for v in rng.integers(100, 700, 2)))
        drawings = scene(rng, size, [kind], 15, [1, 2, 3])
        options = PlaneOptions(size, downsample=downsample, tile_px=int(rng.choice([64, 256, 512])))
        _same(drawings, options, [2, 1, 3])


@pytest.mark.parametrize("round_", ROUNDS)
def test_everything_at_once(round_: int) -> None:
    rng = np.random.default_rng(round_)
    downsample = float(rng.choice([1, 1, 1.5, 2, 2.7, 3.3, 4, 10]))
    thin = is_thin(1, downsample)
    size = Size(*(int(v * downsample) for v in rng.integers(100, 900, 2)))
    labels = [1, 2, 3] if round_ % 3 else [7, 300, 5000]
    drawings = scene(rng, size, EVERYTHING if thin else ALL_AREAS, 40, labels)
    options = PlaneOptions(
        size,
        downsample=downsample,
        tile_px=int(rng.choice([32, 64, 256, 512, 1024])),
        background=round_ % 2,
        boundary_label=9 if thin and round_ % 2 else None,
    )
    rng.shuffle(labels)
    _same(drawings, options, labels)


@pytest.mark.parametrize("round_", ROUNDS)
def test_far_from_the_origin(round_: int) -> None:
    """Where float32 coordinates are coarse: up to 150,000 pixels away."""
    rng = np.random.default_rng([round_, 150_000])
    downsample = float(rng.choice([1, 1.5, 2, 2.7, 3.7]))
    x, y = rng.uniform(0, 150_000, 2)
    w, h = rng.integers(100, 800, 2) * downsample
    size = Size(int(x + w), int(y + h))
    drawings = scene(rng, size, ALL_AREAS, 25, [1, 2, 3], (x, y, w, h))
    options = PlaneOptions(size, downsample=downsample, tile_px=256)
    plane = Plane(to_shapes(drawings, [3, 1, 2]), options)
    grid = plane.tile_grid
    only = [
        (row, col)
        for row in range(int(y / downsample / 256), grid.n_rows)
        for col in range(int(x / downsample / 256), grid.n_cols)
    ]
    for (row, col), theirs in zip(only, tiles(drawings, options, [3, 1, 2], only), strict=True):
        ours = np.broadcast_to(plane.tile(row, col), theirs.shape)
        np.testing.assert_array_equal(ours, theirs, err_msg=f"tile {row}, {col}")


@settings(max_examples=200)
@given(
    seed=st.integers(0, 2**32 - 1),
    kinds=st.sets(st.sampled_from(sorted(EVERYTHING)), min_size=1),
    downsample=st.sampled_from([1, 1.5, 2, 2.7, 3.7, 4, 10, 16.3]) | st.floats(1, 40, width=32),
    tile_px=st.sampled_from([32, 64, 256, 512, 1024]),
    n_objects=st.integers(1, 30),
    with_boundary=st.booleans(),
    background=st.integers(0, 1),
)
def test_hypothesis_finds_no_pixel_that_differs(
    seed: int,
    kinds: set[Kind],
    downsample: float,
    tile_px: int,
    n_objects: int,
    with_boundary: bool,
    background: int,
) -> None:
    thin = is_thin(1, downsample)
    drawn = sorted(kinds if thin else kinds & set(ALL_AREAS)) or [Kind.POLYGON]
    rng = np.random.default_rng(seed)
    # One pixel of a mask, cut to whole ones of the image, may be none, which QuPath cannot draw.
    size = Size(*(int(v * downsample) for v in rng.integers(2, 600, 2)))
    drawings = scene(rng, size, drawn, n_objects, [1, 2, 3])
    options = PlaneOptions(
        size,
        downsample=downsample,
        tile_px=tile_px,
        background=background,
        boundary_label=9 if thin and with_boundary else None,
    )
    _same(drawings, options, [3, 1, 2])


def _same(drawings: list, options: PlaneOptions, labels: list[int]) -> None:
    plane = Plane(to_shapes(drawings, labels), options)
    ours = assemble(plane.tile_grid, plane.tiles())
    theirs = assemble(plane.tile_grid, tiles(drawings, options, labels))
    np.testing.assert_array_equal(ours, theirs)
