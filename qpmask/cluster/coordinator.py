"""Hands out the items of a run to processes, and tells what became of them.

The processes are those of a pool: of this machine (:mod:`qpmask.cluster.processes`), or of a Dask
cluster (:mod:`qpmask.cluster.dasktasks`). In each of them a
:class:`~qpmask.cluster.workbench.Bench` does items, and keeps its engine or model from item to
item. A process that dies costs its item one more try; an item that kills them is given up and
named.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from qpmask.batch.planned import Outcome, PlanItem
from qpmask.cluster.queue import largest_first

_POLL_S = 0.1
_MANY = 8  # times what an item is, and is thought to take, are left for each process
_ENDING_S = 60.0  # how long what is being done may take to see that it should end


class Pool(Protocol):
    """Processes that do items."""

    @property
    def size(self) -> int:
        """How many items may be under way; it may change."""

    @property
    def ahead(self) -> int:
        """How many more may wait at the processes, so that none waits for the next item."""

    def submit(self, item: PlanItem) -> None:
        """Have an item done."""

    def ended(self, limit_s: float) -> Iterator[tuple[PlanItem, Outcome | str]]:
        """Items that ended, as far as they do in time, with why those came to nothing that did.

        Raises
        ------
        QpmaskError
            Nothing of the run can be done there.
        """

    def stop(self) -> None:
        """Tell the processes to end what they are at, and nothing more."""

    def is_busy(self) -> bool:
        """Whether anything is still being done, or ended and was not told yet."""


class Coordinator:
    """Has the items of a run done by a pool.

    Parameters
    ----------
    items : sequence of PlanItem
        What is done.
    pool : Pool
        What does them.
    lost : callable
        The outcome of an item that is given up, of why.
    stop : threading.Event
        Set it to end the run after the step that each process is at.
    """

    def __init__(
        self,
        items: Sequence[PlanItem],
        pool: Pool,
        lost: Callable[[PlanItem, str], Outcome],
        stop: threading.Event,
    ) -> None:
        self._pool, self._lost, self._stop = pool, lost, stop
        self._queue = deque(largest_first(items))
        self._cost_left = sum(item.cost for item in items)
        self._under_way: dict[str, PlanItem] = {}
        self._waiting: dict[str, list[PlanItem]] = {}  # for one that writes the same file

    def outcomes(self) -> Iterator[tuple[PlanItem, Outcome]]:
        """Items and what became of them, as they end; none of those that were interrupted."""
        while not self._stop.is_set():
            self._hand_out()
            if not self._under_way:
                return
            yield from self._ended()
        self._pool.stop()
        end = time.monotonic() + _ENDING_S
        while self._under_way and self._pool.is_busy() and time.monotonic() < end:
            yield from self._ended()

    def _hand_out(self) -> None:
        """Give each process an item, and others ahead where they are small, several at once."""
        size, ahead = self._pool.size, self._pool.ahead
        if len(self._under_way) > size + ahead // 2:
            return
        while self._queue and len(self._under_way) < size + (ahead if self._next_is_small() else 0):
            item = self._queue.popleft()
            self._cost_left -= item.cost
            if item.claimed_as in self._under_way:
                self._waiting.setdefault(item.claimed_as, []).append(item)
                continue
            self._under_way[item.claimed_as] = item
            self._pool.submit(item)

    def _next_is_small(self) -> bool:
        """Whether so much is left that the next item is not missed elsewhere at the end."""
        many = _MANY * self._pool.size
        return len(self._queue) > many and self._cost_left >= many * self._queue[0].cost

    def _ended(self) -> Iterator[tuple[PlanItem, Outcome]]:
        for item, outcome in self._pool.ended(_POLL_S):
            del self._under_way[item.claimed_as]
            again = self._waiting.pop(item.claimed_as, ())
            self._queue.extendleft(again)
            self._cost_left += sum(item.cost for item in again)
            if isinstance(outcome, str):
                outcome = self._lost(item, outcome)
            if outcome.status != "interrupted":
                yield item, outcome
