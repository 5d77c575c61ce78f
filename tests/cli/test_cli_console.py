"""Numbers as people read them."""

from __future__ import annotations

import pytest

from qpmask.cli.console import human_area


@pytest.mark.parametrize(
    ("um2", "text"),
    [
        (0, "0 µm²"), (0.0625, "0.0625 µm²"), (87.53, "87.5 µm²"), (2345.6, "2,346 µm²"),
        (9999, "9,999 µm²"), (1e4, "0.010 mm²"), (1.2345e6, "1.234 mm²"),
        (4.2e9, "4,200.000 mm²"),
    ],
)  # fmt: skip
def test_areas_have_the_unit_that_suits_them(um2: float, text: str) -> None:
    assert human_area(um2) == text
