"""The colours of labels, measured: also as colour-blind people see them."""

from __future__ import annotations

import numpy as np
import pytest
from viewer.viewer_colors import ciede2000, distances, lab

from qpmask.ometiff.omexml import ClassRow
from qpmask.viewer.palette import OKABE_ITO, PALETTE, Painter, label_color, palette_color


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    # From the table of Sharma, Wu and Dalal (2005): pairs 1, 7, 13, 17, 20, 25, 34.
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((50, 2.5, 0), (58, 24, 15), 19.4535),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_the_distance_is_the_published_one(
    one: tuple[float, ...], other: tuple[float, ...], expected: float
) -> None:
    assert ciede2000(np.array(one), np.array(other)) == pytest.approx(expected, abs=1e-4)


def test_the_simulation_confuses_what_colour_blind_people_confuse() -> None:
    """A red and a green of one lightness for deuteranopes; white and black stay what they are."""
    red, green = np.array([[190, 60, 40]]), np.array([[120, 110, 20]])
    seen = ciede2000(lab(red), lab(green))
    blind = ciede2000(lab(red, "deuteranopia"), lab(green, "deuteranopia"))
    assert blind < seen / 3
    for vision in ("normal", "protanopia", "deuteranopia"):
        assert lab(np.array([[255, 255, 255]]), vision)[0] == pytest.approx([100, 0, 0], abs=0.1)


@pytest.mark.parametrize(("n", "least"), [(7, 11.6), (24, 9.3), (32, 7.6)])
def test_labels_can_be_told_apart_with_any_vision(n: int, least: float) -> None:
    """A difference of 2.3 is just noticeable."""
    colors = np.array(PALETTE[:n])
    found = distances(colors, colors) + 1000 * np.eye(n)
    assert found.min() >= least


def test_no_color_is_lost_on_glass_or_looks_like_a_hole() -> None:
    assert distances(np.array(PALETTE), np.array([(255, 255, 255)])).min() > 7.5
    assert distances(np.array(PALETTE), np.array([(0, 0, 0)])).min() > 7.5


def test_few_labels_have_the_colors_of_okabe_and_ito() -> None:
    assert [palette_color(label) for label in range(1, 8)] == list(OKABE_ITO)
    assert palette_color(len(PALETTE) + 1) == OKABE_ITO[0]
    assert len(set(PALETTE)) == len(PALETTE) == 32


def test_a_mask_keeps_its_own_colors() -> None:
    classes = {1: ClassRow(1, "Tumor", (1, 2, 3)), 2: ClassRow(2, "Stroma")}
    assert label_color(1, classes) == (1, 2, 3)
    assert label_color(2, classes) == PALETTE[1]
    assert label_color(9, classes) == PALETTE[8]
    assert label_color(0, {0: ClassRow(0, "Glass", (9, 9, 9))}) is None


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_pixels_get_the_color_of_their_label(dtype: str) -> None:
    classes = {
        2: ClassRow(2, "Stroma", (10, 20, 30)),
        0: ClassRow(0, "Glass", (9, 9, 9)),
        200: ClassRow(200, "Nerve"),
    }
    largest = np.iinfo(dtype).max
    labels = np.array([[0, 1, 2], [200, largest, 0]], dtype)
    painter = Painter(classes)
    for picture in (labels, labels[:, :2], np.zeros_like(labels), labels):
        painted = painter.paint(picture)
        assert painted.dtype == np.uint8
        for (row, col), label in np.ndenumerate(picture):
            color = label_color(int(label), classes)
            expected = (0, 0, 0, 0) if color is None else (*color, 255)
            assert tuple(painted[row, col].tolist()) == expected


def test_a_picture_without_pixels_has_no_colors() -> None:
    assert Painter({}).paint(np.zeros((0, 3), np.uint8)).shape == (0, 3, 4)
