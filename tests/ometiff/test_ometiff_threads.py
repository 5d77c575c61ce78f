"""Work ahead by threads: in order, side by side, and not too much of it."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qpmask.ometiff.threads import in_threads


@settings(max_examples=30)
@given(st.lists(st.booleans(), max_size=200), st.integers(1, 4))
def test_results_come_in_the_order_of_the_items(is_work: list[bool], threads: int) -> None:
    items = list(enumerate(is_work))
    found = in_threads(lambda item: item, items, threads, at_once=lambda i: None if i[1] else i)
    assert list(found) == items


def test_work_goes_on_side_by_side_whatever_lies_between() -> None:
    """Blank strips between those that are drawn, as most of a slide has them."""
    both = threading.Barrier(2, timeout=60)
    works = (0, 20)

    def do(item: int) -> int:
        both.wait()
        return item

    at_once = lambda item: None if item in works else item  # noqa: E731
    assert list(in_threads(do, range(25), 2, at_once=at_once)) == list(range(25))


@pytest.mark.parametrize("ahead", [1, 2, 5, None])
def test_no_more_than_asked_is_done_ahead(ahead: int | None) -> None:
    begun: list[int] = []
    found = in_threads(lambda item: begun.append(item), range(50), 2, ahead=ahead)
    for n_used, _ in enumerate(found, 1):
        assert len(begun) <= n_used + (4 if ahead is None else ahead)
    assert sorted(begun) == list(range(50))


def test_what_waits_for_one_that_takes_long_is_bounded() -> None:
    asked = threading.Semaphore(0)

    def items():
        for item in range(1000):
            asked.release()
            yield item

    def do(item: int) -> int:
        for _ in range(20):
            assert asked.acquire(timeout=60)
        while asked.acquire(timeout=0.2):  # until no more are asked for
            n_asked.append(1)
        return item

    n_asked = [1] * 20
    found = in_threads(do, items(), 2, at_once=lambda item: item or None)
    assert list(found) == list(range(1000))
    assert len(n_asked) < 100
