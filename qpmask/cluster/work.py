"""A share of a plan is done, and then what is left, beside any number of others in one folder."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from qpmask.batch import EndsRun
from qpmask.batch.planned import Outcome, PlanItem
from qpmask.cluster.planfile import PlanFile
from qpmask.cluster.queue import left_over, share
from qpmask.cluster.records import Found, file_key, join_round, latest_records
from qpmask.cluster.workbench import SharedBench, wait_until_alone
from qpmask.errors import OptionsError, OutputError
from qpmask.events import ItemFinished, ignore
from qpmask.outputs.claims import claimed, live_claims

_LOOKS, _LOOK_AGAIN_S = 4, 0.25


@dataclass(frozen=True)
class WorkDone:
    """What a task did.

    Attributes
    ----------
    outcomes : dict of str to Outcome
        Of the items that it made, skipped or failed at, by key.
    elsewhere : tuple of str
        Keys of items that other tasks were at when it ended.
    interrupted : bool
        Whether it was asked to stop.
    """

    outcomes: dict[str, Outcome]
    elsewhere: tuple[str, ...] = ()
    interrupted: bool = False

    @property
    def ok(self) -> bool:
        """Whether nothing of what it did failed."""
        return not self.interrupted and all(outcome.ok for outcome in self.outcomes.values())


def work_on(
    plan: PlanFile,
    task: tuple[int, int] = (1, 1),
    progress: Callable[[Any], None] | None = None,
    stop: threading.Event | None = None,
) -> WorkDone:
    """Do a share of a plan, then what is left of other shares.

    Each item is claimed first; one that another task is at is left to it, one whose task died is
    taken up. What holds is skipped, as by the plain command. A record an item is left for
    :func:`~qpmask.cluster.collect.collect`; what another task of the same round has a record of is
    left alone.

    Parameters
    ----------
    plan : PlanFile
        The plan.
    task : tuple of int
        Which share, from 1, and of how many.
    progress : callable, optional
        Called with events of items.
    stop : threading.Event, optional
        Set it to end after the step that is being done.

    Raises
    ------
    OptionsError
        There is no such share.
    OutputError
        The folder cannot be written to, or a run, or tasks of another plan, work in it.
    """
    number, n_tasks = task
    if not 1 <= number <= n_tasks:
        raise OptionsError(f"There is no task {number} of {n_tasks}.", hint="Tasks are 1/N to N/N.")
    emit, stop = progress or ignore, stop or threading.Event()
    if not wait_until_alone(plan, stop, emit):
        return WorkDone({}, interrupted=True)
    _check_other_plans(plan)
    in_round = join_round(plan.folder, f"{number}-{n_tasks}", plan.claims_folder)
    outcomes: dict[str, Outcome] = {}
    with SharedBench(plan, in_round, emit, stop) as bench:
        queue = _Queue(plan, number, n_tasks, in_round)
        for item in queue.items():
            if stop.is_set():
                return WorkDone(outcomes, interrupted=True)
            try:
                outcome = bench.do(item, queue.before.get(item.key))
            except EndsRun as ended:
                raise ended.error from ended
            if outcome is None:
                continue
            emit(ItemFinished(item.key, item.name, outcome.status, outcome.summary))
            if outcome.status == "interrupted":
                return WorkDone(outcomes, interrupted=True)
            outcomes[item.key] = outcome
            queue.n_done += 1
        return WorkDone(outcomes, tuple(item.key for item in queue.elsewhere))


class _Queue:
    """What a task has to try, in its order; looks again at what is left when it is through."""

    def __init__(self, plan: PlanFile, number: int, n_tasks: int, in_round: int) -> None:
        self._plan, self._task, self._n_tasks = plan, number, n_tasks
        self._round = in_round
        self.before: dict[str, Found] = {}
        self.elsewhere: list[PlanItem] = []
        self.n_done = 0

    def items(self) -> Iterator[PlanItem]:
        self.before = latest_records(self._plan.folder)
        yield from self._open(share(self._plan.items, self._task, self._n_tasks))
        in_vain = 0
        while True:
            self.before = latest_records(self._plan.folder)
            left = list(self._open(self._plan.items))
            claims = self._plan.claims_folder
            taken = {key for key, lives in claimed(claims, ask=True).items() if lives}
            free = [item for item in left if file_key(item.claimed_as) not in taken]
            self.elsewhere = [item for item in left if file_key(item.claimed_as) in taken]
            if not free or in_vain == _LOOKS:
                return
            before = self.n_done
            yield from left_over(free, self._task, len(taken) + 1)
            in_vain = 0 if self.n_done > before else in_vain + 1
            if in_vain:  # what others did meanwhile is not always seen at once
                time.sleep(_LOOK_AGAIN_S * in_vain)

    def _open(self, items: Iterable[PlanItem]) -> Iterator[PlanItem]:
        """Items that have no record of this round, as far as was seen."""
        for item in items:
            record = self.before.get(item.key)
            if record is None or record.round < self._round:
                yield item


def _check_other_plans(plan: PlanFile) -> None:
    for folder in plan.run.folders:
        busy = live_claims(folder, but=plan.claims_folder)
        if busy:
            raise OutputError(
                f"{busy[0]} works on another plan in {folder}.",
                hint="Wait for it to end, or make the plan for another folder.",
            )
