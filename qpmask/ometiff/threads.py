"""Work on many things by a few threads, in order and with bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def in_threads(
    do: Callable[[_Item], _Result], items: Iterable[_Item], threads: int
) -> Iterator[_Result]:
    """Results in the order of the items, a few of them worked on ahead by threads.

    Left early, by an error or by its user, it starts no more work and waits for what is under way.
    """
    window: deque[Future[_Result]] = deque()
    pool = ThreadPoolExecutor(max(1, threads), "qpmask-decode")
    try:
        for item in items:
            window.append(pool.submit(do, item))
            if len(window) > 8 * threads:
                yield window.popleft().result()
        while window:
            yield window.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
