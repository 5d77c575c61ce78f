"""The legend counts what is shown."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from qpmask.ometiff.omexml import ClassRow
from qpmask.viewer.legend import LegendRow, fitting, legend_of
from qpmask.viewer.palette import PALETTE

CLASSES = {
    1: ClassRow(1, "Tumor", (200, 0, 0)),
    2: ClassRow(2, "Stroma"),
    3: ClassRow(3, ""),
    4: ClassRow(4, "not there", (1, 1, 1)),
}


def test_classes_that_are_shown_with_their_shares() -> None:
    labels = np.array([[1, 1, 1, 2], [0, 0, 3, 9]], np.uint8)
    assert legend_of(labels, CLASSES) == (
        LegendRow(1, "Tumor", (200, 0, 0), 3 / 8),
        LegendRow(2, "Stroma", PALETTE[1], 1 / 8),
        LegendRow(3, "label 3", PALETTE[2], 1 / 8),
        LegendRow(9, "label 9", PALETTE[8], 1 / 8),
        LegendRow(0, "(background)", None, 2 / 8),
    )


def test_a_named_background_keeps_its_name_and_has_no_color() -> None:
    rows = legend_of(np.zeros((2, 2), np.uint8), {0: ClassRow(0, "Glass", (5, 5, 5))})
    assert rows == (LegendRow(0, "Glass", None, 1.0),)


def test_nothing_shown_has_no_legend() -> None:
    assert legend_of(np.zeros((0, 7), np.uint8), CLASSES) == ()


@given(
    hnp.arrays(
        st.sampled_from([np.uint8, np.uint16, np.uint32]),
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=300),
        elements=st.integers(0, 255),
        fill=st.integers(0, 255),
    ),
    st.sampled_from([1, 2**24]),
)
def test_shares_are_those_of_the_pixels(labels: np.ndarray, factor: int) -> None:
    if factor > 1:
        labels = labels.astype(np.uint32) * np.uint32(factor)
    rows = legend_of(labels, {})
    found, numbers = np.unique(labels, return_counts=True)
    assert {row.label: row.share for row in rows} == {
        int(label): n / labels.size for label, n in zip(found, numbers, strict=True)
    }
    assert [row.label for row in rows] == sorted(
        found.tolist(), key=lambda label: (label == 0, label)
    )


@pytest.mark.parametrize(
    ("share", "text"),
    [(1.0, "100.0 %"), (0.99999, "> 99.9 %"), (0.999, "99.9 %"), (0.25, "25.0 %"),
     (0.001, "0.1 %"), (0.00099, "< 0.1 %"), (1e-9, "< 0.1 %")],
)  # fmt: skip
def test_shares_as_people_read_them(share: float, text: str) -> None:
    """Neither 0 % for what is there, nor 100 % where something else is."""
    assert LegendRow(1, "Tumor", None, share).percent == text


def test_the_largest_stay_where_not_all_fit() -> None:
    rows = tuple(LegendRow(i, str(i), None, share) for i, share in enumerate((0.1, 0.5, 0.1, 0.3)))
    assert fitting(rows, 4) == (rows, ())
    assert fitting(rows, 2) == ((rows[1], rows[3]), (rows[0], rows[2]))
    assert fitting(rows, 0) == fitting(rows, -3) == ((), rows)
