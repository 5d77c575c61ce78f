"""The legend as pixels: it is readable, and takes any name."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from qpmask.viewer.legend import LegendRow
from qpmask.viewer.palette import palette_color
from qpmask.viewer.panel import (
    WIDTH_PX,
    PanelText,
    draw_panel,
    nice_length,
    readable,
    scale_bar,
)

HEAD = PanelText("a mask", ("x 0 to 1, y 0 to 1",))


def rows_of(*names: str) -> tuple[LegendRow, ...]:
    return tuple(LegendRow(i, n, palette_color(i), 0.5**i) for i, n in enumerate(names, 1))


def has_color(panel: np.ndarray, color: tuple[int, int, int] | None) -> bool:
    return bool((panel == color).all(axis=2).sum() > 50)


def ink(panel: np.ndarray) -> int:
    """Dark pixels: letters."""
    return int((panel.max(axis=2) < 100).sum())


def test_every_class_has_its_swatch_and_its_line() -> None:
    rows = rows_of(*(f"Class {i}" for i in range(24)))
    panel = draw_panel(HEAD, rows)
    assert panel.dtype == np.uint8
    assert panel.shape[1:] == (WIDTH_PX, 3)
    assert all(has_color(panel, row.color) for row in rows)
    shorter = draw_panel(HEAD, rows[:-1])
    assert len(shorter) < len(panel)
    assert not has_color(shorter, rows[-1].color)
    assert ink(draw_panel(HEAD, rows_of("Tumor"))) > ink(draw_panel(HEAD, rows_of(".")))


def test_a_panel_of_a_given_height_shows_the_largest_shares() -> None:
    rows = rows_of(*(f"Class {i}" for i in range(24)))
    panel = draw_panel(HEAD, rows, height_px=200)
    assert panel.shape == (200, WIDTH_PX, 3)
    shown = [has_color(panel, row.color) for row in rows]
    assert 1 <= sum(shown) < 12
    assert shown == sorted(shown, reverse=True), "here shares fall with the label"
    assert draw_panel(HEAD, rows, height_px=3).shape == (3, WIDTH_PX, 3)


def test_thousands_of_labels_do_not_make_an_endless_panel() -> None:
    rows = tuple(LegendRow(i, f"label {i}", palette_color(i), 1e-4) for i in range(1, 5000))
    assert len(draw_panel(HEAD, rows)) < 1500


@pytest.mark.parametrize(
    "name",
    ["Supercalifragilisticexpialidocious" * 20, "many words " * 50, "肝臓 печень كبد हिन्दी 😀",
     "$IL-2^{bad$", r"\frac{1}{2} $\alpha", "a\nb\tc\x00\ud800\U000e0001", "_hidden", "",
     "%s {} {0}"],
)  # fmt: skip
def test_any_name_is_drawn_within_the_panel(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        panel = draw_panel(PanelText(name, (name,), note=name or None), rows_of(name, "after"))
    assert has_color(panel, palette_color(2))
    assert (panel[:, :10] == 255).all(), "nothing left of the margin"
    assert (panel[:, -9:] == 255).all(), "nothing right of it"


def test_a_long_name_does_not_touch_its_share() -> None:
    panel = draw_panel(HEAD, rows_of("W" * 300))
    swatch = (panel == palette_color(1)).all(axis=2)
    first_line = int(np.flatnonzero(swatch.any(axis=1))[0])
    gap = panel[first_line:, WIDTH_PX - 12 - 62 - 9 : WIDTH_PX - 12 - 62]
    assert (gap == 255).all()
    assert ink(panel[first_line:, : WIDTH_PX - 12 - 62]) > 500, "the name is there"


def test_large_labels_have_room() -> None:
    rows = (LegendRow(4_294_967_295, "label 4294967295", (1, 200, 3), 1.0),)
    panel = draw_panel(HEAD, rows)
    swatch = (panel == (1, 200, 3)).all(axis=2)
    assert swatch.sum() > 100, "the label does not cover its swatch"


def test_a_finer_screen_gets_a_larger_panel() -> None:
    small, large = (draw_panel(HEAD, rows_of("Tumor"), scale=scale) for scale in (1, 2))
    assert large.shape[1] == 2 * WIDTH_PX
    assert abs(len(large) - 2 * len(small)) <= 1
    assert ink(large) > 2 * ink(small)


@pytest.mark.parametrize(
    ("name", "text"),
    [("a b", "a b"), (" a \n\t b ", "a b"), ("a\x00b\ud800", "a\ufffdb\ufffd"), ("肝 é", "肝 é")],
)
def test_names_are_made_readable(name: str, text: str) -> None:
    assert readable(name) == text


@pytest.mark.parametrize(
    ("most", "length"), [(120, 100), (99, 50), (49.9, 20), (10, 10), (0.3, 0.2), (9.99e5, 5e5)]
)
def test_round_lengths(most: float, length: float) -> None:
    assert nice_length(1e-3, most) == pytest.approx(length)


@pytest.mark.parametrize(
    ("pixel_um", "downsample", "bar"),
    [
        (0.5, 3, (100 / 1.5, "100 µm")),
        (0.25, 86, (2000 / 21.5, "2 mm")),
        (0.25, 1 / 64, (0.2 / 0.25 * 64, "0.2 µm")),
        (None, 4, (50.0, "200 pixels of the mask")),
        (None, 1 / 64, (64.0, "1 pixels of the mask")),
    ],
)
def test_scale_bars(pixel_um: float | None, downsample: float, bar: tuple[float, str]) -> None:
    found = scale_bar(pixel_um, downsample)
    assert found is not None
    assert found[1] == bar[1]
    assert found[0] == pytest.approx(bar[0])
    assert found[0] <= 120
