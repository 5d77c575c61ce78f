"""Sizes are rounded once; one lattice covers a slide, nothing twice and nothing missed."""

from __future__ import annotations

import inspect
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpmask.errors import OptionsError
from qpmask.geometry import PixelSize, Size
from qpmask.patches.lattice import (
    SlideScale,
    make_lattice,
    nominal_magnification,
    patch_size,
    slide_scale,
)
from qpmask.patches.options import ChoiceOptions, GridOptions, PatchOptions, patch_options


def size_of(mpp: float, magnification: float = 40, levels: tuple[float, ...] = (1,), **options):
    return patch_size(GridOptions(**options), SlideScale(mpp, magnification), levels, "a.svs")


# The worked example of the design note: 256 pixels at 0.5 µm.
@pytest.mark.parametrize(
    ("mpp", "expected"),
    [(0.25, 512), (0.2528, 506), (0.2531, 506), (0.2431, 527), (0.5, 256), (0.2500001, 512)],
)
def test_the_size_at_level_0_follows_from_micrometres(mpp: float, expected: int) -> None:
    found = size_of(mpp, patch_size=256, target_mpp=0.5)
    assert (found.patch_px0, found.step_px0) == (expected, expected)
    assert found.mpp == pytest.approx(mpp * expected / 256)
    by_name = size_of(mpp, patch_size=256, target_mag=20)
    assert by_name.patch_px0 == expected, "20x is 0.5 µm, whatever the scanner calls 20x"


def test_the_nominal_rule_gives_what_atlaspatch_and_trident_give() -> None:
    found = size_of(0.2528, patch_size=256, target_mag=20, by="magnification")
    assert (found.patch_px0, found.target_magnification) == (512, 20)
    assert found.mpp == pytest.approx(0.5056)


def test_the_step_is_rounded_from_its_own_exact_value() -> None:
    """Rounding the size and the overlap apart would give 506 - 63 = 443."""
    found = size_of(0.2528, patch_size=256, target_mpp=0.5, overlap=32)
    assert found.step_px0 == round(224 * 0.5 / 0.2528) == 443
    found = size_of(0.2531, patch_size=256, target_mpp=0.5, overlap=100)
    assert found.step_px0 == round(156 * 0.5 / 0.2531)


def test_the_level_is_the_smallest_that_has_enough_pixels() -> None:
    assert size_of(0.25, levels=(1, 2, 4), target_mpp=0.5).level == 1
    assert size_of(0.25, levels=(1, 4, 16), target_mpp=0.5).level == 0
    exact = size_of(0.25, levels=(1, 2, 4), target_mpp=0.5)
    assert (exact.read_px, exact.is_exact) == (256, True)
    assert not size_of(0.2528, levels=(1, 2), target_mpp=0.5).is_exact


def test_a_target_finer_than_the_slide_is_an_error() -> None:
    with pytest.raises(
        OptionsError, match=r"0\.25 µm a pixel are finer than a\.svs, which has 0\.5"
    ):
        size_of(0.5, target_mpp=0.25)
    with pytest.raises(OptionsError, match=r"40x .* finer than a\.svs, which has 20x"):
        size_of(0.5, 20, target_mag=40, by="magnification")
    # A scanner's 20x is not finer or coarser than another's.
    assert size_of(0.5028, target_mpp=0.5).patch_px0 == 255


@pytest.mark.parametrize("um", [None, 0.001, 0.0, 35.0, float("nan"), float("inf")])
def test_pixel_sizes_that_cannot_be(um: float | None) -> None:
    pixel = None if um is None else PixelSize(um, um)
    with pytest.raises(OptionsError, match=r"a\.svs .*--slide-mpp"):
        slide_scale(pixel, None, "a.svs")


def test_pixels_that_are_not_square() -> None:
    with pytest.raises(OptionsError, match="not square"):
        slide_scale(PixelSize(0.25, 0.5), None, "a.svs")
    assert slide_scale(PixelSize(0.25, 0.252), None, "a.svs").mpp == pytest.approx(0.251)


def test_nominal_magnifications() -> None:
    assert [nominal_magnification(um) for um in (0.1, 0.25, 0.5, 1.0, 2.0, 5.0)] == [
        80, 40, 20, 10, 5, 2,
    ]  # fmt: skip
    assert slide_scale(PixelSize(0.25, 0.25), 63, "a").magnification == 63


lengths = st.integers(1, 200)


@given(lengths, lengths, st.integers(1, 120), st.integers(1, 150))
def test_dropped_at_the_edge(width: int, height: int, size: int, step: int) -> None:
    lattice = make_lattice(Size(width, height), size, step, "drop")
    coords = lattice.coords(np.ones((lattice.n_rows, lattice.n_cols), bool))
    assert (coords >= 0).all()
    assert (coords + size <= (width, height)).all(), "none beyond the slide"
    assert len(np.unique(coords, axis=0)) == len(coords) == lattice.n_cells, "none twice"
    expected = {
        (x, y)
        for x in range(0, width, step)
        for y in range(0, height, step)
        if x + size <= width and y + size <= height
    }
    assert {tuple(c) for c in coords.tolist()} == expected, "none missed"
    order = coords[:, 1] * 10_000 + coords[:, 0]
    assert (np.diff(order) > 0).all(), "by y, then by x"
    assert (lattice.padded() == 0).all()


@given(lengths, lengths, st.integers(1, 120), st.integers(1, 150))
def test_padded_at_the_edge(width: int, height: int, size: int, step: int) -> None:
    lattice = make_lattice(Size(width, height), size, step, "pad")
    x, y = lattice.x_px0(), lattice.y_px0()
    for start, length in ((x, width), (y, height)):
        covered = np.zeros(length, bool)
        for s in start.tolist():
            assert s < length, "each has a pixel of the slide"
            covered[s : s + size] = True
        reachable = np.zeros(length, bool)
        for s in range(0, length, step):
            reachable[s : s + size] = True
        np.testing.assert_array_equal(covered, reachable)
        assert len(start) == 1 or start[-2] + size < length, "none that only repeats"
    beyond = np.maximum(x + size - width, 0)[None, :], np.maximum(y + size - height, 0)[:, None]
    inside = (size - beyond[0]) * (size - beyond[1])
    np.testing.assert_allclose(lattice.padded(), 1 - inside / size**2, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "resolution of the patches"),
        ({"target_mpp": 0.5, "target_mag": 20}, "resolution of the patches"),
        ({"target_mpp": 0.5, "by": "magnification"}, "--target-mag"),
        ({"target_mpp": 0.5, "overlap": 256}, "overlap"),
        ({"target_mpp": 0.5, "overlap": 3, "step_size": 3}, "say the same"),
        ({"target_mpp": 0.5, "step_size": 0}, "step_size"),
        ({"target_mpp": 0.5, "min_tissue": 1.5}, "share"),
        ({"target_mpp": 0.5, "edge": "cut"}, "drop, pad"),
        ({"target_mpp": 0.5, "patch_size": "256"}, "patch_size is '256'; it must be a whole"),
        ({"target_mpp": "0.5"}, "target_mpp is '0.5'; it must be a number"),
        ({"target_mpp": 0.5, "force": "no"}, "force is 'no'"),
    ],
)
def test_options_that_make_no_sense(options: dict, message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        patch_options(**options)


def test_all_options_stand_in_one_signature_with_their_defaults() -> None:
    homes = [f for part in (GridOptions, ChoiceOptions, PatchOptions) for f in fields(part)]
    expected = {f.name: f.default for f in homes if f.name not in ("grid", "choice")}
    parameters = inspect.signature(patch_options).parameters
    assert {p.name: p.default for p in parameters.values()} == {**expected, "mpp_by_name": None}
