"""Tissue is found on glass, and nothing else is; shares are exact."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from qpmask.errors import OptionsError
from qpmask.geometry import Size
from qpmask.slides.with_pillow import ImageSlide
from qpmask.tissue import Picture, TissueArea, TissueRules, find_tissue, slide_picture
from qpmask.tissue.components import drop_small, fill_small_holes
from qpmask.tissue.polygons import read_geojson

UM = 8.0
GLASS = np.array([241, 240, 243])


def scene(*stains: tuple[int, int, int], size: int = 300, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Discs of some colours in a row on glass, with noise; and where they are."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:size, 0 : size * len(stains)]
    pixels = np.broadcast_to(GLASS, (*y.shape, 3)).astype(float)
    found = np.zeros(y.shape, bool)
    for k, stain in enumerate(stains):
        disc = (x - (k + 0.5) * size) ** 2 + (y - size / 2) ** 2 < (size * 0.35) ** 2
        pixels[disc] = stain
        found |= disc
    return np.clip(pixels + rng.normal(0, 2, pixels.shape), 0, 255).astype(np.uint8), found


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return np.count_nonzero(a & b) / max(1, np.count_nonzero(a | b))


STAINS = {
    "hematoxylin and eosin": (200, 120, 180),
    "faint eosin": (236, 218, 232),
    "brown (DAB)": (170, 120, 80),
    "faint blue": (214, 220, 236),
    "dark": (90, 50, 110),
}


@pytest.mark.parametrize("stain", STAINS.values(), ids=STAINS)
def test_stains(stain: tuple[int, int, int]) -> None:
    pixels, expected = scene(stain)
    assert overlap(find_tissue(Picture(pixels, 16, UM)).found, expected) > 0.97


def test_faint_tissue_beside_dark() -> None:
    """One threshold between glass and dark nuclei would lose the faint piece."""
    pixels, expected = scene(STAINS["dark"], STAINS["faint eosin"], STAINS["dark"])
    assert overlap(find_tissue(Picture(pixels, 16, UM)).found, expected) > 0.95


def test_nothing_on_glass_alone() -> None:
    rng = np.random.default_rng(1)
    glass = np.clip(GLASS + rng.normal(0, 2, (400, 500, 3)), 0, 255).astype(np.uint8)
    for picture in (glass, np.full((50, 60, 3), 255, np.uint8), np.zeros((50, 60, 3), np.uint8)):
        assert not find_tissue(Picture(picture, 16, UM)).found.any()


@pytest.mark.parametrize("padding", [0, 255])
def test_padding_is_no_tissue_and_moves_no_threshold(padding: int) -> None:
    pixels, expected = scene(STAINS["faint eosin"])
    padded = np.full((600, 900, 3), padding, np.uint8)
    padded[100:400, 200:500] = pixels
    found = find_tissue(Picture(padded, 16, UM)).found
    assert overlap(found[100:400, 200:500], expected) > 0.97
    found[100:400, 200:500] = False
    assert not found.any()


@pytest.mark.parametrize("ink", [(20, 20, 22), (30, 140, 60), (40, 60, 190), (205, 25, 35)])
def test_pens_are_no_tissue(ink: tuple[int, int, int]) -> None:
    pixels, expected = scene(STAINS["hematoxylin and eosin"])
    pixels[5:25] = ink  # a thick line beside the tissue
    found = find_tissue(Picture(pixels, 16, UM)).found
    assert not found[:30].any()
    assert overlap(found, expected) > 0.97


def test_dust_goes_and_small_holes_close() -> None:
    pixels, _ = scene(STAINS["hematoxylin and eosin"])
    pixels[4:8, 4:8] = STAINS["dark"]  # 1,000 µm²
    pixels[148:154, 148:154] = GLASS  # a vessel of 2,300 µm²
    pixels[60:80, 140:160] = GLASS  # one of 25,600 µm²
    rules = TissueRules(closing_um=16)
    found = find_tissue(Picture(pixels, 16, UM), rules).found
    assert not found[:12, :12].any()
    assert found[150, 150]
    assert not found[70, 150]


def test_the_same_on_every_call() -> None:
    pixels, _ = scene(*STAINS.values(), seed=3)
    one, two = (find_tissue(Picture(pixels.copy(), 16, UM)).found for _ in range(2))
    np.testing.assert_array_equal(one, two)


# --- shares ---------------------------------------------------------------------------------------


@given(
    hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)),
    st.integers(1, 9), st.integers(1, 60), st.integers(1, 50),
)  # fmt: skip
def test_shares_are_exact(found: np.ndarray, scale: int, size: int, step: int) -> None:
    full = found.repeat(scale, 0).repeat(scale, 1)
    x, y = np.arange(0, full.shape[1] + size, step), np.arange(0, full.shape[0] + size, step)
    shares = TissueArea(found, scale).shares(x, y, size)
    expected = [[full[b : b + size, a : a + size].sum() / size**2 for a in x] for b in y]
    np.testing.assert_allclose(shares, expected, atol=1e-12)


def test_a_scale_that_is_no_whole_number() -> None:
    area = TissueArea(np.array([[True, False]]), 10.5)
    np.testing.assert_allclose(
        area.shares(np.array([0, 5, 10, 11]), np.array([0]), 2), [[1, 1, 0.25, 0]]
    )


# --- connected parts ------------------------------------------------------------------------------


def brute_parts(found: np.ndarray, corners: bool) -> list[list[tuple[int, int]]]:
    seen, parts = set(), []
    near = [(0, 1), (1, 0), (0, -1), (-1, 0)]
    near += [(1, 1), (1, -1), (-1, 1), (-1, -1)] if corners else []
    for start in zip(*np.nonzero(found), strict=True):
        if start in seen:
            continue
        part, todo = [], [start]
        seen.add(start)
        while todo:
            row, col = todo.pop()
            part.append((row, col))
            for dy, dx in near:
                at = row + dy, col + dx
                inside = 0 <= at[0] < found.shape[0] and 0 <= at[1] < found.shape[1]
                if inside and found[at] and at not in seen:
                    seen.add(at)
                    todo.append(at)
        parts.append(part)
    return parts


maps = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=14))


@given(maps, st.integers(0, 20))
def test_small_parts_go(found: np.ndarray, least: int) -> None:
    expected = np.zeros_like(found)
    for part in brute_parts(found, corners=True):
        if len(part) >= least:
            expected[tuple(zip(*part, strict=True))] = True
    np.testing.assert_array_equal(drop_small(found, least), expected)


@given(maps, st.integers(0, 20))
def test_small_holes_are_filled(found: np.ndarray, most: int) -> None:
    expected = found.copy()
    rows, cols = found.shape
    for part in brute_parts(~found, corners=False):
        at_edge = any(r in (0, rows - 1) or c in (0, cols - 1) for r, c in part)
        if len(part) <= most and not at_edge:
            expected[tuple(zip(*part, strict=True))] = True
    np.testing.assert_array_equal(fill_small_holes(found, most), expected)


# --- the picture ----------------------------------------------------------------------------------


class Levels(ImageSlide):
    """A slide with levels of some scales."""

    def __init__(self, pixels: np.ndarray, scales: tuple[int, ...]) -> None:
        super().__init__(pixels)
        self._arrays = [pixels[::s, ::s] for s in scales]
        self.levels = tuple(Size(a.shape[1], a.shape[0]) for a in self._arrays)
        self.read_levels: set[int] = set()

    def read(self, level: int, x_px: int, y_px: int, size: Size) -> np.ndarray:
        self.read_levels.add(level)
        return self._arrays[level][y_px : y_px + size.height_px, x_px : x_px + size.width_px]


@pytest.mark.parametrize(
    ("scales", "mpp", "level", "um"),
    [((1, 4, 16, 32), 0.25, 3, 8.0), ((1, 4, 16, 64), 0.25, 2, 8.0), ((1,), 0.5, 0, 8.0),
     ((1, 2, 4), 0.5, 2, 8.0), ((1, 16), 0.5, 1, 8.0), ((1,), 10.0, 0, 10.0)],
)  # fmt: skip
def test_a_picture_of_about_8_micrometres(
    scales: tuple[int, ...], mpp: float, level: int, um: float
) -> None:
    slide = Levels(np.full((400, 500, 3), 77, np.uint8), scales)
    picture = slide_picture(slide, [float(s) for s in scales], mpp)
    assert slide.read_levels == {level}
    assert picture.um == pytest.approx(um)
    assert picture.scale == pytest.approx(um / mpp)
    assert picture.pixels.shape[0] == -(-400 // round(picture.scale))
    assert (picture.pixels == 77).all()


# --- GeoJSON --------------------------------------------------------------------------------------


def square(x: float, y: float, side: float) -> dict:
    ring = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
    return {"type": "Polygon", "coordinates": [ring]}


def feature(geometry: dict, name: str | None = None) -> dict:
    found = {"type": "Feature", "geometry": geometry, "properties": {}}
    if name:
        found["properties"] = {"classification": {"name": name}}
    return found


X = Y = np.array([0, 10, 20])


@pytest.mark.parametrize("wrap", [list, lambda f: {"type": "FeatureCollection", "features": f}])
def test_shares_of_polygons(tmp_path: Path, wrap) -> None:
    path = tmp_path / "a.geojson"
    features = [feature(square(5, 5, 10), "Tissue"), feature(square(5, 5, 10)),
                feature(square(0, 20, 10), "Pen")]  # fmt: skip
    path.write_text(json.dumps(wrap(features)))
    shares = read_geojson(path, ("Tissue",)).shares(X, Y, 10)
    np.testing.assert_allclose(shares, [[0.25, 0.25, 0], [0.25, 0.25, 0], [0, 0, 0]])
    shares = read_geojson(path).shares(X, Y, 10)
    np.testing.assert_allclose(shares, [[0.25, 0.25, 0], [0.25, 0.25, 0], [1, 0, 0]])


@pytest.mark.parametrize(
    "classification",
    [{"name": "Tumor: Positive"}, {"names": ["Tumor", "Positive"]}, "Tumor:Positive"],
)
def test_classes_of_polygons_are_found_in_qupaths_form(
    tmp_path: Path, classification: object
) -> None:
    path = tmp_path / "a.geojson"
    area = {**feature(square(5, 5, 10)), "properties": {"classification": classification}}
    path.write_text(json.dumps([area]))
    for name in ("Tumor: Positive", "Tumor:Positive "):
        assert read_geojson(path, (name,)).shares(X, Y, 10).max() == 0.25
    with pytest.raises(OptionsError, match="no areas of the class Tumor"):
        read_geojson(path, ("Tumor",))


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "7", '{"type": "Point", "coordinates": [1, 2]}',
                '[{"geometry": {"type": "Polygon", "coordinates": "x"}}]', "[[[[]]]]"],
)  # fmt: skip
def test_what_holds_no_area(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.geojson"
    path.write_text(content)
    with pytest.raises(OptionsError, match=r"a\.geojson"):
        read_geojson(path)
