"""Items of a run done in this process; where others do the same run, claimed, with records."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Callable
from os import getpid
from pathlib import Path
from typing import Any, Protocol

from qpmask.batch.planned import Desk, ItemMaker, Outcome, PlanItem, Run
from qpmask.cluster.records import Found, file_key, record_of_round, write_record
from qpmask.errors import OutputError
from qpmask.events import BatchWarning
from qpmask.outputs import writing
from qpmask.outputs.claims import Claims

_LOOKED_AT_S = 1.0  # other tasks that look at the lock hold it for a moment
_PATIENCE_S = 60.0  # while somebody collects, or is told that tasks are at work
_TRY_AGAIN_S = 1.0


class Place(Protocol):
    """A run, and where those who do it leave what they have to tell."""

    @property
    def run(self) -> Run:
        """What is done."""

    @property
    def folder(self) -> Path:
        """Where records are."""

    @property
    def claims_folder(self) -> Path:
        """Where those at work claim items."""

    @property
    def kept_from_runs(self) -> tuple[Path, ...]:
        """Output folders that no run may hold meanwhile."""


class Bench:
    """Does items of a run in this process; a context manager.

    It keeps the engine or model that the first one starts.

    Parameters
    ----------
    run : Run
        What is done.
    desk : Desk
        Where.
    """

    def __init__(self, run: Run, desk: Desk) -> None:
        self._run, self._desk = run, desk
        self._maker: ItemMaker | None = None

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *args: object) -> None:
        try:
            if self._maker is not None:
                self._maker.close()
        finally:
            shutil.rmtree(self._desk.scratch, ignore_errors=True)

    def make(self, item: PlanItem) -> Outcome:
        """Do an item."""
        with writing(self._desk.scratch, "The folder"):
            self._desk.scratch.mkdir(parents=True, exist_ok=True)
        if self._maker is None:
            self._maker = self._run.maker(self._desk)
        return self._maker.make(item)


class SharedBench(Bench):
    """A bench among others that do the same run: claims its items, and leaves a record of each.

    Parameters
    ----------
    place : Place
        The run.
    in_round : int
        The round.
    emit : callable
        Listener of events.
    stop : threading.Event
        Set when the work should end.
    n_beside : int
        How many processes of the run share this machine's cores and memory.
    """

    def __init__(
        self,
        place: Place,
        in_round: int,
        emit: Callable[[Any], None],
        stop: threading.Event,
        n_beside: int = 1,
    ) -> None:
        super().__init__(place.run, Desk(scratch_of(place.folder, getpid()), emit, stop, n_beside))
        self.place, self.round, self.stop = place, in_round, stop
        self._claims = Claims(place.claims_folder)

    def __enter__(self) -> SharedBench:
        self._claims.__enter__()
        return self

    def __exit__(self, *args: object) -> None:
        try:
            super().__exit__()
        finally:
            self._claims.__exit__()

    def settle(self, item: PlanItem, before: Found | None) -> Outcome:
        """Do an item, or wait until another one has; ``interrupted`` if it is told to stop."""
        while not self.stop.is_set():
            outcome = self.do(item, before)
            if outcome is not None:
                return outcome
            record = record_of_round(self.place.folder, item.key, self.round)
            if record is not None:
                return outcome_in(record)
            self.stop.wait(_TRY_AGAIN_S)  # one of another machine died with it, and may live yet
        return Outcome("interrupted", False, "The run was interrupted.", {})

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
            # A run looks for claims once it has its lock.
            if not wait_until_alone(self.place, self.stop, self._desk.emit):
                return None
            if record_of_round(self.place.folder, item.key, self.round) is not None:
                return None
            started = time.time()
            outcome = self.make(item)
            if outcome.status != "interrupted":
                record = record_data(outcome, started)
                status, folder = outcome.status, self.place.folder
                write_record(folder, item.key, status, self.round, record, before)
            return outcome
        finally:
            self._claims.give_back(key)


def scratch_of(folder: Path, pid: int) -> Path:
    """Where a process of this machine has what it is at, in the folder of a run."""
    return folder / f"work-{socket.gethostname()}-{pid}"


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


def wait_until_alone(place: Place, stop: threading.Event, emit: Callable[[Any], None]) -> bool:
    """Whether no run that is no task holds a folder; one that does not last is waited for.

    It is said that it waits. False if it was told to stop meanwhile.

    Raises
    ------
    OutputError
        A run holds one for long.
    """
    end = time.monotonic() + _PATIENCE_S
    said = False
    while not stop.is_set():
        try:
            check_alone(place)
            return True
        except OutputError as error:
            if time.monotonic() > end:
                raise
            if not said:
                said = True
                emit(BatchWarning(f"{error.message} It is waited for, {_PATIENCE_S:.0f} s."))
    return False


def check_alone(place: Place) -> None:
    """Raise if a run that is no task holds a folder."""
    for folder in place.kept_from_runs:
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
