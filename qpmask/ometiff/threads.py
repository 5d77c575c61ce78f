"""Work on many things by a few threads, in order and with bounded memory."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ClassVar, TypeVar

from qpmask.common.machine import n_cores

FEW_STRIPS = 16
"""A plane of fewer strips is the work of one thread."""

_WORTH_S = 0.6e-3  # Python's own part of shorter pieces of work keeps other threads waiting
_WORTH_BESIDE_S = 2e-3  # where another mask is at work, which has a thread
_MAX_WAITING = 16  # results for each thread that wait for one before them
_WAIT_S = 10e-3  # of what takes so long with hardly any work, others can be done meanwhile

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def threads_for(n_strips: int) -> int:
    """Threads that so many strips are worth: one, the caller's, where there are few.

    Python between kernels is done by one thread at a time, so several cost more than they bring.
    """
    return 1 if n_strips < FEW_STRIPS else n_cores()


class Pace:
    """How long pieces of work take of late: whether threads are worth it.

    Of several at work in a process, from :meth:`begin` to :meth:`end`, each has a thread of its own
    already.

    Parameters
    ----------
    asked : bool
        Whether the caller asked for threads: then they are.
    """

    _at_work: ClassVar[set[Pace]] = set()

    def __init__(self, *, asked: bool) -> None:
        self._asked = asked
        self._n = 0
        self._busy_s = self._all_s = 0.0  # means of the first ones, then more of the last ones

    def begin(self) -> None:
        """Be one of those that are at work."""
        self._at_work.add(self)

    def end(self) -> None:
        """Be it no more."""
        self._at_work.discard(self)

    def timed(self, do: Callable[..., _Result]) -> Callable[..., _Result]:
        """The same function, with an eye on the time that a call takes."""

        def do_timed(*arguments: Any) -> _Result:
            busy_s, all_s = time.thread_time(), time.perf_counter()
            result = do(*arguments)
            self._n = min(self._n + 1, 16)
            self._busy_s += (time.thread_time() - busy_s - self._busy_s) / self._n
            self._all_s += (time.perf_counter() - all_s - self._all_s) / self._n
            return result

        return do_timed

    @property
    def is_worth_threads(self) -> bool:
        """Whether threads make it faster."""
        worth_s = _WORTH_S if len(self._at_work) <= 1 else _WORTH_BESIDE_S
        return self._asked or self._busy_s > worth_s or self._all_s > _WAIT_S


def in_threads(
    do: Callable[[_Item], _Result],
    items: Iterable[_Item],
    threads: int,
    *,
    ahead: int | None = None,
    at_once: Callable[[_Item], _Result | None] = lambda item: None,
) -> Iterator[_Result]:
    """Results in the order of the items, a few of them worked on ahead by threads.

    Left early, by an error or by its user, it starts no more work and waits for what is under way.

    Parameters
    ----------
    do : callable
        The work, done by a thread.
    items : iterable
        What to do it for.
    threads : int
        How many.
    ahead : int, optional
        Results that threads may have or work on while one is used; by default twice as many as
        there are threads.
    at_once : callable, optional
        Gives the result of an item that is no work, so that a thread would cost more than it
        saves; None of any other. Called on the caller's thread.
    """
    window: deque[_Result | Future[_Result]] = deque()
    ahead = 2 * threads if ahead is None else ahead
    n_ahead = 0
    pool = ThreadPoolExecutor(max(1, threads), "qpmask-ahead")
    try:
        for item in items:
            ready = at_once(item)
            window.append(pool.submit(do, item) if ready is None else ready)
            n_ahead += ready is None
            # What was no work does not count: there may be much of it between two pieces of work.
            while window and (
                n_ahead > ahead
                or len(window) > _MAX_WAITING * threads
                or not isinstance(window[0], Future)
            ):
                first = window.popleft()
                n_ahead -= isinstance(first, Future)
                yield _result(first)
        while window:
            yield _result(window.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _result(ready: _Result | Future[_Result]) -> _Result:
    return ready.result() if isinstance(ready, Future) else ready
