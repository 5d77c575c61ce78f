"""Dice, IoU and kappa: numbers worked out by hand, and the textbook's formulas on random masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpmask.agreement import Agreement
from qpmask.agreement.scores import ClassKey
from qpmask.agreement.tables import matrix_header, matrix_rows, score_rows
from qpmask.errors import OptionsError

REST = ClassKey(0, True, 0, "(background)")
A, B, C = (ClassKey(0, False, i, name) for i, name in enumerate("ABC", 1))


def of_arrays(first: np.ndarray, second: np.ndarray) -> Agreement:
    keys = {0: REST, 1: A, 2: B, 3: C}
    pairs: dict[tuple[ClassKey, ClassKey], int] = {}
    for one, other in zip(first.ravel().tolist(), second.ravel().tolist(), strict=True):
        pair = keys[one], keys[other]
        pairs[pair] = pairs.get(pair, 0) + 1
    return Agreement(pairs)


def test_numbers_worked_out_by_hand() -> None:
    """Twelve pixels; A is 4 in the first, 3 in the second, 2 in both."""
    first = np.array([1, 1, 1, 1, 2, 2, 0, 0, 0, 0, 0, 0])
    second = np.array([1, 1, 2, 0, 2, 2, 1, 0, 0, 0, 0, 0])
    found = of_arrays(first, second)
    a, b, rest = found.scores
    assert (a.n_first, a.n_second, a.n_both) == (4, 3, 2)
    assert a.dice == pytest.approx(4 / 7) and a.iou == pytest.approx(2 / 5)
    # 9 of 12 pixels are told alike (2 A, 7 not A); by chance (4 * 3 + 8 * 9) / 144 = 7 / 12.
    assert a.kappa == pytest.approx((9 / 12 - 7 / 12) / (1 - 7 / 12)) == pytest.approx(0.4)
    assert b.dice == pytest.approx(0.8) and b.iou == pytest.approx(2 / 3)
    assert rest.is_background and rest.dice == pytest.approx(10 / 12)
    assert found.accuracy == pytest.approx(9 / 12)
    # By chance: (4 * 3 + 2 * 3 + 6 * 6) / 144 = 54 / 144.
    assert found.kappa == pytest.approx((0.75 - 0.375) / 0.625) == pytest.approx(0.6)
    assert found.mean_dice == pytest.approx((4 / 7 + 0.8) / 2), "without the background"
    assert found.mean_iou == pytest.approx((2 / 5 + 2 / 3) / 2)
    assert found.matrix().tolist() == [[2, 1, 1], [0, 2, 0], [1, 0, 5]]


def test_what_scikit_learn_says_of_the_same_pixels() -> None:
    """Printed by scikit-learn 1.9.1: its kappa, F1, Jaccard index and confusion matrix."""
    random = np.random.default_rng(7)
    first = random.integers(0, 4, 500)
    second = np.where(random.random(500) < 0.6, first, random.integers(0, 4, 500))
    found = of_arrays(first, second)
    assert found.kappa == pytest.approx(SKLEARN["kappa"], abs=1e-9)
    assert [s.dice for s in found.scores] == pytest.approx(SKLEARN["f1"], abs=1e-9)
    assert [s.iou for s in found.scores] == pytest.approx(SKLEARN["jaccard"], abs=1e-9)
    assert found.matrix().tolist() == SKLEARN["matrix"]


SKLEARN = {
    "kappa": 0.6235301656467271,
    "f1": [0.6753246753246753, 0.7410358565737052, 0.7372262773722628, 0.7131147540983607],
    "jaccard": [0.5098039215686274, 0.5886075949367089, 0.5838150289017341, 0.554140127388535],
    "matrix": [[78, 10, 15, 11], [13, 93, 12, 10], [12, 9, 101, 14], [14, 11, 10, 87]],
}


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 4))
def test_the_formulas_on_any_labels(seed: int, n: int, n_labels: int) -> None:
    random = np.random.default_rng(seed)
    first, second = random.integers(0, n_labels, (2, n))
    found = of_arrays(first, second)
    for score in found.scores:
        assert score.label is not None
        a, b = first == score.label, second == score.label
        both, either = np.count_nonzero(a & b), np.count_nonzero(a | b)
        assert score.iou == pytest.approx(both / either)
        assert score.dice == pytest.approx(2 * both / (a.sum() + b.sum()))
        by_chance = a.mean() * b.mean() + (~a).mean() * (~b).mean()
        if by_chance == 1:
            assert score.kappa is None
        else:
            expected = (np.mean(a == b) - by_chance) / (1 - by_chance)
            assert score.kappa == pytest.approx(expected, abs=1e-12)


def test_scores_that_would_be_nothing_divided_by_nothing() -> None:
    found = Agreement({(A, A): 10})
    assert found.scores[0].kappa is None and found.kappa is None
    assert found.scores[0].dice == 1.0 and found.accuracy == 1.0
    assert Agreement({}).accuracy is None and Agreement({}).mean_dice is None


def test_more_pixels_than_a_float_can_square() -> None:
    n = 10**11
    found = Agreement({(A, A): n, (REST, REST): n, (A, REST): 1, (REST, A): 1})
    assert found.kappa is not None and 0.99999999 < found.kappa < 1


def test_masks_are_pooled_by_pixels_not_by_scores() -> None:
    parts = Agreement({(A, A): 1, (A, REST): 1}), Agreement({(A, A): 98})
    assert Agreement.pooled(parts).scores[0].dice == pytest.approx(2 * 99 / (100 + 99))


def test_channels_have_scores_of_their_own_and_no_common_kappa() -> None:
    keys = [(ClassKey(c, False, 255, n), ClassKey(c, True, 0, f"(not {n})")) for c, n in
            enumerate("AB")]  # fmt: skip
    found = Agreement(
        {(keys[0][0], keys[0][0]): 30, (keys[0][0], keys[0][1]): 70,
         (keys[1][1], keys[1][1]): 99, (keys[1][0], keys[1][0]): 1}
    )  # fmt: skip
    assert found.kappa is None
    assert [s.name for s in found.scores] == ["A", "(not A)", "B", "(not B)"]
    assert found.scores[0].n_pixels == 100 and found.scores[2].kappa == 1.0
    assert found.matrix()[:2, 2:].sum() == 0, "pixels of one channel are not those of another"


def test_tables() -> None:
    found = Agreement({(A, A): 2, (A, REST): 1, (REST, REST): 5})
    assert matrix_header(found) == ["first \\ second", "A", "(background)"]
    assert list(matrix_rows(found)) == [["A", 2, 1], ["(background)", 0, 5]]
    rows = list(score_rows("m.tif", found))
    assert rows[0] == ["m.tif", "A", "1", 3, 2, 2, "0.8", "0.666667", "0.714286"]
    assert rows[-1][:6] == ["m.tif", "(all)", "", 8, 8, 7]


def test_a_matrix_of_objects_is_refused() -> None:
    keys = [ClassKey(0, False, i, f"label {i}") for i in range(1, 5000)]
    found = Agreement({(key, key): 1 for key in keys})
    with pytest.raises(OptionsError, match="4,999 labels"):
        matrix_header(found)
