"""Shares of a plan: all of it, nothing twice, and alike in cost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qpmask.batch.planned import PlanItem
from qpmask.cluster.queue import left_over, share

COSTS = st.lists(st.floats(0, 1000, allow_nan=False), max_size=60)


@given(COSTS, st.integers(1, 12))
def test_each_image_is_in_one_share(costs: list[float], n: int) -> None:
    items = tuple(PlanItem(str(i), f"image {i}", cost) for i, cost in enumerate(costs))
    shares = [share(items, k, n) for k in range(1, n + 1)]
    assert sorted(item.key for one in shares for item in one) == sorted(i.key for i in items)
    for one in shares:
        assert [i.cost for i in one] == sorted((i.cost for i in one), reverse=True)


@given(COSTS, st.integers(1, 12))
def test_shares_are_alike(costs: list[float], n: int) -> None:
    items = tuple(PlanItem(str(i), "", cost) for i, cost in enumerate(costs))
    least = max(max(costs, default=0.0), sum(costs) / n)  # no way of sharing does better
    largest = max(sum(item.cost for item in share(items, k, n)) for k in range(1, n + 1))
    assert largest <= least * 4 / 3 + 1e-6 + (max(costs, default=0.0) / 3)


def test_one_slide_that_takes_long_has_a_task_of_its_own() -> None:
    items = tuple(PlanItem(str(i), "", 30.0 if i == 7 else 1.0) for i in range(31))
    shares = [share(items, k, 2) for k in (1, 2)]
    assert [len(one) for one in shares] == [1, 30]


def test_helpers_begin_at_different_ones_of_what_is_left() -> None:
    items = tuple(PlanItem(str(i), "", float(i)) for i in range(5))
    assert [i.key for i in left_over(items, 1, 2)] == ["4", "2", "0"]
    assert [i.key for i in left_over(items, 2, 2)] == ["3", "1"]
    assert [left_over(items, task, 40)[0].key for task in (1, 2, 5, 6)] == ["4", "3", "0", "4"]
    assert left_over((), 3, 2) == []
