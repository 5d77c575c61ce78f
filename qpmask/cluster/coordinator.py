"""Hands out the items of a run to processes, and tells what became of them.

The processes are those of a pool: of this machine (:mod:`qpmask.cluster.processes`), or of a Dask
cluster (:mod:`qpmask.cluster.dasktasks`). In each of them a :class:`~qpmask.cluster.bench.Bench`
does what tasks of ``qpmask work`` do: it claims an item, does it, and leaves its record. They keep
their engine or model from item to item. One that dies costs its item one more try; an item that
kills them is given up and named.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from qpmask.batch.planned import Outcome, PlanItem
from qpmask.cluster.bench import Place, record_data
from qpmask.cluster.queue import largest_first
from qpmask.cluster.records import Found, write_record

_POLL_S = 0.1
_MANY = 8  # items a process are left: what waits at one of them is not missed elsewhere at the end
_ENDING_S = 60.0  # how long what is being done may take to see that it should end


class Pool(Protocol):
    """Processes that do items."""

    @property
    def size(self) -> int:
        """How many items may be under way; it may change."""

    @property
    def ahead(self) -> int:
        """How many more may wait at the processes, so that none waits for the next item."""

    def submit(self, item: PlanItem, before: Found | None) -> None:
        """Have an item done; ``before`` is its record of an earlier round."""

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
    place : Place
        The run.
    items : sequence of PlanItem
        What is done.
    pool : Pool
        What does them.
    in_round : int
        The round.
    before : mapping of str to Found
        Records of earlier rounds.
    stop : threading.Event
        Set it to end the run after the step that each process is at.
    """

    def __init__(
        self,
        place: Place,
        items: Sequence[PlanItem],
        pool: Pool,
        in_round: int,
        before: Mapping[str, Found],
        stop: threading.Event,
    ) -> None:
        self._place, self._pool, self._round = place, pool, in_round
        self._before, self._stop = before, stop
        self._queue = deque(largest_first(items))
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
        """Give each process an item, and others ahead as long as many are left."""
        size = self._pool.size
        limit = size + (self._pool.ahead if len(self._queue) > _MANY * size else 0)
        while self._queue and len(self._under_way) < limit:
            item = self._queue.popleft()
            if item.claimed_as in self._under_way:
                self._waiting.setdefault(item.claimed_as, []).append(item)
                continue
            self._under_way[item.claimed_as] = item
            self._pool.submit(item, self._before.get(item.key))

    def _ended(self) -> Iterator[tuple[PlanItem, Outcome]]:
        for item, outcome in self._pool.ended(_POLL_S):
            del self._under_way[item.claimed_as]
            self._queue.extendleft(self._waiting.pop(item.claimed_as, ()))
            if isinstance(outcome, str):
                outcome = self._given_up(item, outcome)
            if outcome.status != "interrupted":
                yield item, outcome

    def _given_up(self, item: PlanItem, why: str) -> Outcome:
        outcome = self._place.run.lost(item, why)
        write_record(
            self._place.folder, item.key, "failed", self._round,
            record_data(outcome, time.time()), self._before.get(item.key),
        )  # fmt: skip
        return outcome
