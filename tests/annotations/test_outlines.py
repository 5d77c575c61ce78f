"""Outlines that surely do not cross themselves are made by a kernel as all others are."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import shapely
from hypothesis import example, given
from hypothesis import strategies as st
from qpdata.qpdata_builder import Obj, Roi, data_file

from qpmask.annotations import rings
from qpmask.annotations.rings import geometries_of
from qpmask.geojson.outlines import normalised_outlines
from qpmask.qpdata import read_qpdata_bytes

Ring = list[tuple[float, float]]

PENTAGRAM = [(np.cos(4 * np.pi * i / 5), np.sin(4 * np.pi * i / 5)) for i in range(5)]
NOTCHED = [(0.0, 0.0), (10.0, 0.0), (10.0, 9.0), (5.0, 1.0), (0.0, 9.0)]


def around(n: int, seed: int, far: float) -> Ring:
    """A ring of vertices that go around, as cells have them; on few of its sides twice the same."""
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.random(n) * 2 * np.pi) * (-1 if seed % 2 else 1)
    radius = 5 + rng.random(n)
    xy = np.stack([far + radius * np.cos(angles), far / 2 + radius * np.sin(angles)], axis=1)
    return [(x, y) for x, y in xy.round(seed % 3).tolist()]


some_rings = st.one_of(
    st.builds(around, st.integers(3, 40), st.integers(0, 999), st.sampled_from([0.0, 9e4, -1e6])),
    st.lists(st.tuples(*[st.integers(-4, 4).map(float)] * 2), max_size=9),
    st.lists(st.tuples(*[st.floats(-1e6, 1e6, width=32)] * 2), max_size=6),
)


def by_no_kernel(first: object, size: object, xy: object, room: object, out: object,
                 n_out: np.ndarray) -> int:  # fmt: skip
    n_out[:] = 0
    return 0


@given(st.lists(some_rings, min_size=1, max_size=8))
@example([PENTAGRAM, NOTCHED])
def test_they_are_what_is_made_of_all_others(made: list[Ring]) -> None:
    items = [
        Obj(roi=Roi("PolygonROI", tuple(zip(*ring, strict=True)) or ((), ()))) for ring in made
    ]
    rois = read_qpdata_bytes(data_file(items)).rois

    found, number, n_mended = geometries_of(rois)
    with patch.object(rings, "normalised_outlines", by_no_kernel):
        expected, other_number, other_mended = geometries_of(rois)

    assert n_mended == other_mended
    for one, other in zip(number.tolist(), other_number.tolist(), strict=True):
        assert found.type[one] == expected.type[other]
        parts = [found.rings(one), expected.rings(other)]
        a, b = ([[ring.tolist() for ring in part] for part in whole] for whole in parts)
        assert a == b


def made_of(made: list[Ring]) -> list[np.ndarray]:
    """What the kernel makes of them, and the same as plain Python, which checks every place."""
    sizes = np.array([len(ring) for ring in made])
    xy = np.array([vertex for ring in made for vertex in ring], np.float32).reshape(-1, 2)
    answers = []
    for run in (normalised_outlines, normalised_outlines.function):  # type: ignore[attr-defined]
        n_out = np.full(len(made), -1)
        out = np.full((int(sizes.sum()) + len(made), 2), np.nan)
        n = run(np.cumsum(sizes) - sizes, sizes, xy, np.empty((sizes.max(), 2)), out, n_out)
        assert n == n_out.sum()
        assert not np.isnan(out[:n]).any()
        answers.append((n_out.tolist(), out[:n].tolist()))
    assert answers[0] == answers[1]
    return np.split(out[:n], np.cumsum(n_out)[:-1])


def taken(made: list[Ring]) -> list[bool]:
    """Whether the kernel makes them."""
    return [len(outline) > 0 for outline in made_of(made)]


def test_a_star_and_what_cannot_be_seen_from_its_middle_are_left() -> None:
    square = [(0.0, 0.0), (0.0, 2.0), (2.0, 2.0), (2.0, 0.0)]
    twice = [*square, *square]

    assert taken([square, square[::-1], twice, NOTCHED]) == [True, True, False, False]
    assert taken([[(10 * x, 10 * y) for x, y in PENTAGRAM], square[:2]]) == [False, False]


@given(st.lists(some_rings.filter(len), min_size=1, max_size=8))
def test_what_is_taken_does_not_cross_itself(made: list[Ring]) -> None:
    for outline in made_of(made):
        assert shapely.is_valid(shapely.Polygon(outline))
