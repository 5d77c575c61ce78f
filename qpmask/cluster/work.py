"""A share of a plan is done, and then what is left, beside any number of others in one folder."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from os import getpid
from pathlib import Path
from typing import Any

from qpmask.batch import EndsRun
from qpmask.batch.planned import Desk, ItemMaker, Outcome, PlanItem
from qpmask.cluster.planfile import PlanFile
from qpmask.cluster.queue import left_over, share
from qpmask.cluster.records import (
    Found,
    file_key,
    join_round,
    latest_records,
    record_of_round,
    write_record,
)
from qpmask.errors import OptionsError, OutputError
from qpmask.events import ItemFinished, ignore
from qpmask.outputs import writing
from qpmask.outputs.claims import Claims, claimed

_LOOKED_AT_S = 1.0  # other tasks that look at the lock hold it for a moment
_PATIENCE_S = 60.0  # while somebody collects, or is told that tasks are at work
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
        The folder cannot be written to, or a run that is no task holds it.
    """
    number, n_tasks = task
    if not 1 <= number <= n_tasks:
        raise OptionsError(f"There is no task {number} of {n_tasks}.", hint="Tasks are 1/N to N/N.")
    emit, stop = progress or ignore, stop or threading.Event()
    check_alone(plan)
    in_round = join_round(plan.folder, f"{number}-{n_tasks}", plan.claims_folder)
    outcomes: dict[str, Outcome] = {}
    with Bench(plan, in_round, emit, stop) as bench:
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


class Bench:
    """Does items of a plan in this process, claimed, each with its record; a context manager.

    Parameters
    ----------
    plan : PlanFile
        The plan.
    in_round : int
        The round.
    emit : callable
        Listener of events.
    stop : threading.Event
        Set when the work should end.
    """

    def __init__(
        self, plan: PlanFile, in_round: int, emit: Callable[[Any], None], stop: threading.Event
    ) -> None:
        self.plan, self.round, self.stop = plan, in_round, stop
        scratch = plan.folder / f"work-{socket.gethostname()}-{getpid()}"
        self._desk = Desk(scratch, emit, stop)
        self._maker: ItemMaker | None = None
        self._claims = Claims(plan.claims_folder)

    def __enter__(self) -> Bench:
        self._claims.__enter__()
        return self

    def __exit__(self, *args: object) -> None:
        try:
            if self._maker is not None:
                self._maker.close()
        finally:
            self._claims.__exit__()
            shutil.rmtree(self._desk.scratch, ignore_errors=True)

    def do(self, item: PlanItem, before: Found | None) -> Outcome | None:
        """Do an item; None if another one is at it, or has done it in this round.

        Parameters
        ----------
        item : PlanItem
            The item.
        before : Found, optional
            Its record of an earlier round.
        """
        key = file_key(item.claimed_as)
        if not self._claims.take(key):
            return None
        try:
            if not self._is_alone():  # a run looks for claims once it has its lock
                return None
            if record_of_round(self.plan.folder, item.key, self.round) is not None:
                return None
            return self._make(item, before)
        finally:
            self._claims.give_back(key)

    def _is_alone(self) -> bool:
        """Whether no run holds a folder; one that does not last is waited for. False to stop."""
        end = time.monotonic() + _PATIENCE_S
        while not self.stop.is_set():
            try:
                check_alone(self.plan)
                return True
            except OutputError:
                if time.monotonic() > end:
                    raise
        return False

    def _make(self, item: PlanItem, before: Found | None) -> Outcome:
        started = time.time()
        with writing(self._desk.scratch, "The folder"):
            self._desk.scratch.mkdir(parents=True, exist_ok=True)
        if self._maker is None:
            self._maker = self.plan.run.maker(self._desk)
        outcome = self._maker.make(item)
        if outcome.status != "interrupted":
            record = record_data(outcome, started)
            write_record(self.plan.folder, item.key, outcome.status, self.round, record, before)
        return outcome


def record_data(outcome: Outcome, started: float) -> dict[str, Any]:
    """What a record holds."""
    return {
        "status": outcome.status,
        "ok": outcome.ok,
        "summary": outcome.summary,
        "data": dict(outcome.data),
        "started": started,
        "finished": time.time(),
        "host": socket.gethostname(),
        "pid": getpid(),
    }


def outcome_in(record: dict[str, Any]) -> Outcome:
    """The outcome that a record holds."""
    return Outcome(record["status"], bool(record["ok"]), record["summary"], record["data"])


def check_alone(plan: PlanFile) -> None:
    """Raise unless no run that is no task holds a folder of the plan."""
    for folder in plan.run.folders:
        _check_alone(folder)


def _check_alone(out: Path) -> None:
    from filelock import FileLock, Timeout

    lock = out / ".qpmask" / "lock"
    if not lock.exists():
        return
    try:
        with FileLock(lock, timeout=_LOOKED_AT_S):
            pass
    except Timeout as error:
        raise OutputError(
            f"A run of qpmask is writing to {out}.", hint="Wait for it to end."
        ) from error
    except OSError:
        return  # no locks there; a run that ended leaves none
