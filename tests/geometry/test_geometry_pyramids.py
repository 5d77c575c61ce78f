"""Scales of levels from their sizes: rounded, padded to tiles, or of no plan at all."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpmask.geometry import Size
from qpmask.geometry.pyramids import level_scales

T = 512


def tiles(n: int, side: int = T) -> list[Size]:
    return [Size(side, side)] * n


def padded(n: int, side: int = T) -> int:
    return -(-n // side) * side


def test_a_slide_of_camelyon() -> None:
    """Sizes of a slide of CAMELYON16: the ratios say 1 to 96, the levels are 2 ** k."""
    sizes = [Size(97792, 221184), Size(48896, 110592), Size(24576, 55296), Size(12288, 27648),
             Size(6144, 13824), Size(3072, 7168), Size(1536, 3584), Size(1024, 2048),
             Size(512, 1024)]  # fmt: skip
    assert level_scales(sizes, tiles(9)) == tuple((2.0**k, 2.0**k) for k in range(9))


@given(
    st.integers(1, 200_000), st.integers(1, 200_000), st.sampled_from([64, 256, 512]),
    st.sampled_from([1, 2]), st.booleans(),
)  # fmt: skip
def test_padded_levels_have_powers_of_two(
    width: int, height: int, side: int, step: int, pads_the_base: bool
) -> None:
    base = Size(padded(width, side), padded(height, side)) if pads_the_base else Size(width, height)
    sizes = [base]
    for k in range(step, 20, step):
        size = Size(*(padded(-(-n // 2**k), side) for n in (base.width_px, base.height_px)))
        if size in (sizes[-1], base) or size.width_px > base.width_px or (
            size.height_px > base.height_px
        ):  # fmt: skip
            break
        sizes.append(size)
    found = level_scales(sizes, tiles(len(sizes), side))
    if len(sizes) > 1 and step == 1:
        assert found == tuple((2.0**k, 2.0**k) for k in range(len(sizes)))
    for scale, (x, y) in itertools.pairwise(found):
        assert scale[0] < x == y, "each level is smaller than the one before"


@given(st.integers(1, 100_000), st.integers(1, 100_000), st.booleans())
def test_rounded_levels_need_no_tiles(width: int, height: int, up: bool) -> None:
    sizes = [Size(width, height)]
    while max(sizes[-1].width_px, sizes[-1].height_px) > 300:
        scale = 2 ** len(sizes)
        sizes.append(
            Size(*((-(-n // scale) if up else max(1, n // scale)) for n in (width, height)))
        )
    expected = tuple((2.0**k, 2.0**k) for k in range(len(sizes)))
    assert level_scales(sizes) == expected
    assert level_scales(sizes, tiles(len(sizes))) == expected


@pytest.mark.parametrize(
    ("level", "scale"),
    [
        (Size(21942, 17447), (4.0, 4.0)),
        (Size(1920, 1526), (87768 / 1920, 69789 / 1526)),  # an SVS's last level
        (Size(29256, 23263), (3.0, 3.0)),
    ],
)
def test_levels_of_no_power_of_two(level: Size, scale: tuple[float, float]) -> None:
    base = Size(87768, 69789)
    assert level_scales([base, level], tiles(2, 256))[1] == scale
