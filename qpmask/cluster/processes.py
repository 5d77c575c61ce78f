"""A run in several processes of this machine: ``--workers N``.

The run holds its output folders as one in a single process does; what its processes tell one
another stands in a hidden folder there, and goes with it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import shutil
import signal
import sys
import threading
import time
import types
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from qpmask.batch import EndsRun, Work
from qpmask.batch.planned import Outcome, PlanItem, Run, WorkRun
from qpmask.cluster.bench import Bench, scratch_of
from qpmask.cluster.coordinator import Coordinator
from qpmask.cluster.records import Found, file_key
from qpmask.errors import Interrupted, OptionsError, QpmaskError
from qpmask.outputs import OutputWriter
from qpmask.outputs.claims import CLAIMS_FOLDER

_FOLDER = "workers"
_TRIES = 2  # an item has, if its process dies
_ENDING_S = 60.0
_DIED = (
    "The process that worked on it died, twice. It may have run out of memory: use fewer "
    "workers{more}."
)
_BEGUN, _STOP = "begun", "stop"  # what processes tell and are told beside events and items
_TOGETHER_S = 0.05  # events may wait for others
_starting = threading.Lock()

ItemT = TypeVar("ItemT", bound=Any)
RecordT = TypeVar("RecordT", bound=Any)


@dataclass(frozen=True)
class _OwnPlace:
    """A run that holds its output folders itself."""

    run: Run
    folder: Path

    @property
    def claims_folder(self) -> Path:
        return self.folder / CLAIMS_FOLDER

    @property
    def kept_from_runs(self) -> tuple[Path, ...]:
        return ()


def in_processes(
    run: Run,
    items: Sequence[PlanItem],
    n: int,
    folder: OutputWriter,
    emit: Callable[[Any], None],
    stop: threading.Event,
    *,
    more: str = "",
) -> Iterator[tuple[PlanItem, Outcome]]:
    """Items and what became of them as they end, in any order.

    Parameters
    ----------
    run : Run
        What does them; each process gets it.
    items : sequence of PlanItem
        What is done.
    n : int
        Processes, at most.
    folder : OutputWriter
        An output folder that the run holds.
    emit : callable
        Listener of the processes' events, called here.
    stop : threading.Event
        Set when the run should end.
    more : str
        What helps beside fewer workers where memory is short.

    Raises
    ------
    Interrupted
        The run was asked to stop; processes end after the step they are at.
    OptionsError
        This process may not have others.
    QpmaskError
        Nothing of it can be done, such as where an engine cannot start.
    """
    if multiprocessing.current_process().daemon:
        raise OptionsError(
            "A daemonic process, such as one of a pool, cannot have workers.",
            hint="Use one worker there.",
        )
    place = _OwnPlace(run, folder.work_file(_FOLDER))
    try:
        with _Processes(place, min(n, len(items)), emit, more) as pool:
            yield from Coordinator(place, items, pool, 1, {}, stop).outcomes()
    finally:
        shutil.rmtree(place.folder, ignore_errors=True)
    if stop.is_set():
        raise Interrupted("The run was interrupted.")


def by_workers(
    work: Work[ItemT, RecordT],
    n: int,
    folder: OutputWriter,
    emit: Callable[[Any], None],
    stop: threading.Event,
    cost: Callable[[ItemT], float] | None = None,
) -> Callable[[list[ItemT]], Iterator[tuple[ItemT, RecordT]]] | None:
    """What does items of a :class:`~qpmask.batch.Batch` in several processes; None if `n` is 1.

    Parameters
    ----------
    work : Work
        What is done.
    n, folder, emit, stop
        As of :func:`in_processes`.
    cost : callable, optional
        What an item is thought to take, beside the others.
    """
    if n < 2:
        return None

    def do(sources: Sequence[ItemT]) -> Iterator[tuple[ItemT, RecordT]]:
        items = [
            PlanItem(f"{k:06}", source.name, 0.0 if cost is None else cost(source), source=source)
            for k, source in enumerate(sources)
        ]
        for item, outcome in in_processes(WorkRun(work), items, n, folder, emit, stop):
            yield item.source, outcome.record

    return do


class _Worker:
    """A process, and its items: it is at the first."""

    def __init__(self, place: _OwnPlace, n: int) -> None:
        # Not fork: threads and open slides do not survive it.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.items: deque[PlanItem] = deque()
        self.process = context.Process(target=_work, args=(theirs, place, n), daemon=False)
        with _without_main():
            self.process.start()
        theirs.close()  # so that its end is seen here

    def give(self, item: PlanItem) -> None:
        self.items.append(item)
        self.tell(item)

    def tell(self, what: object) -> None:
        with contextlib.suppress(OSError):  # it is dead, which shows when it is listened to
            self.connection.send(what)

    def end(self) -> int | None:
        """Wait for its end; what it still says is of no use. Its exit code."""
        end = time.monotonic() + _ENDING_S
        self.tell(None)
        with contextlib.suppress(EOFError, OSError):
            while self.connection.poll(max(0.0, end - time.monotonic())):
                self.connection.recv_bytes()
        self.process.join(max(0.0, end - time.monotonic()))
        self.kill()
        self.process.join()
        code = self.process.exitcode
        self.connection.close()
        self.process.close()
        return code

    def kill(self) -> None:
        with contextlib.suppress(ValueError):  # it was closed
            self.process.kill()


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Begin processes without the script that is run: each would run it again, if it has a file.

    They need nothing of it. Otherwise scripts need ``if __name__ == "__main__"``, and those that
    come by a pipe cannot have processes.
    """
    with _starting:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ctrl-C reaches all processes of a terminal: one that begins must not die of it, in words."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # if a process has to start it, it lets interrupts in again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # it is inherited
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Processes:
    """A pool of processes, started as they are needed; a context manager that ends them."""

    def __init__(self, place: _OwnPlace, size: int, emit: Callable[[Any], None], more: str) -> None:
        self._place, self._emit, self._more = place, emit, more
        self.size = self.ahead = size
        self._workers: list[_Worker] = []
        self._deaths: Counter[str] = Counter()
        self._any_begun = self._stopped = False

    def __enter__(self) -> _Processes:
        return self

    def __exit__(self, *args: object) -> None:
        self.stop()
        try:
            for worker in self._workers:
                worker.end()
        except BaseException:  # Ctrl-C again
            for worker in self._workers:
                worker.kill()
            raise

    def stop(self) -> None:
        """Tell the processes to end what they are at, and nothing more."""
        # No Event of multiprocessing: a process that is killed while it looks keeps its lock.
        self._stopped = True
        for worker in self._workers:
            worker.tell(_STOP)

    def is_busy(self) -> bool:
        """Whether anything is still being done."""
        return any(worker.items for worker in self._workers)

    def submit(self, item: PlanItem, before: Found | None = None) -> None:
        """Have an item done by the process that has least to do."""
        worker = min(self._workers, key=lambda worker: len(worker.items), default=None)
        if worker is None or (worker.items and len(self._workers) < self.size):
            worker = self._started()
        worker.give(item)

    def _started(self) -> _Worker:
        try:
            with _without_interrupts():  # so that none is lost between its start and the list
                self._workers.append(_Worker(self._place, self.size))
        except OSError as error:
            raise QpmaskError(
                f"Another process cannot be started: {error.strerror or error}.",
                hint="Use fewer workers. What was done is kept.",
            ) from error
        return self._workers[-1]

    def ended(self, limit_s: float) -> Iterator[tuple[PlanItem, Outcome | str]]:
        """Items that ended, with what became of them, or why they are given up."""
        at_work = {w.connection: w for w in self._workers if w.items}
        for ready in wait(list(at_work), limit_s):
            worker = at_work[ready]  # type: ignore[index]
            try:
                told = worker.connection.recv()
            except (EOFError, OSError):
                yield from self._died(worker)
                continue
            for said in told:
                if said == _BEGUN:
                    self._any_begun = True
                elif isinstance(said, Outcome):
                    yield worker.items.popleft(), said
                elif isinstance(said, Exception):
                    raise said
                else:
                    self._emit(said)

    def _died(self, worker: _Worker) -> Iterator[tuple[PlanItem, Outcome | str]]:
        self._workers.remove(worker)
        pid = worker.process.pid
        code = worker.end()
        assert pid is not None
        shutil.rmtree(scratch_of(self._place.folder, pid), ignore_errors=True)
        item, *waiting = worker.items
        # Where nobody can tell that its holder is dead, the next one would wait for it.
        for claim in self._place.claims_folder.glob(f"{file_key(item.claimed_as)}.*.claim"):
            claim.unlink(missing_ok=True)
        self._deaths[item.key] += 1
        if not self._any_begun and self._deaths.total() >= _TRIES:
            raise QpmaskError(
                f"Processes end before they have begun (exit code {code}).",
                hint="Look at what they said, and for memory; one worker needs no process.",
            )
        if self._stopped:
            for ended in worker.items:
                yield ended, Outcome("interrupted", False, "The run was interrupted.", {})
            return
        is_lost = self._deaths[item.key] >= _TRIES
        for again in waiting if is_lost else worker.items:
            self.submit(again)
        if is_lost:
            yield item, _DIED.format(more=self._more)


# -- in the process -----------------------------------------------------------------------------


def _work(connection: Connection, place: _OwnPlace, n: int) -> None:
    """Do items as they come, until None does."""
    # The run decides what Ctrl-C means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stop, told = threading.Event(), SimpleQueue[Any]()
    teller = _Teller(connection)
    listening = threading.Thread(target=_listen, args=(connection, teller, told, stop), daemon=True)
    listening.start()
    teller.tell(_BEGUN)
    try:
        with Bench(place, 1, teller.event, stop, n) as bench:
            while (item := told.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                teller.tell(bench.settle(item, None))
    except EndsRun as ended:
        teller.tell(ended.error)
    except Exception as error:
        teller.tell(_sent(error))


class _Teller:
    """Tells the run what happens; events that follow one another at once go together."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._waiting: list[object] = []
        self._told = 0.0

    def event(self, event: object) -> None:
        """Tell an event, soon."""
        with self._lock:
            self._waiting.append(event)
            if time.monotonic() - self._told > _TOGETHER_S:
                self._send()

    def tell(self, what: object) -> None:
        """Tell what the run waits for, now."""
        with self._lock:
            self._waiting.append(what)
            self._send()

    def flush(self) -> None:
        """Tell what waits."""
        with self._lock:
            if self._waiting:
                self._send()

    def _send(self) -> None:
        self._told = time.monotonic()
        told, self._waiting = self._waiting, []
        try:
            self._connection.send(told)
        except OSError:
            os._exit(1)  # the run is gone


def _listen(
    connection: Connection, teller: _Teller, told: SimpleQueue[Any], stop: threading.Event
) -> None:
    """Hear what the run tells, whatever is being done meanwhile; die with it."""
    while True:
        try:
            while not connection.poll(_TOGETHER_S):
                teller.flush()
            said = connection.recv()
        except (EOFError, OSError):
            os._exit(1)
        except Exception as error:  # an item that cannot be read
            said = error
        if said == _STOP:
            stop.set()
        else:
            told.put(said)


def _sent(error: Exception) -> Exception:
    """An error, or what it says if it cannot be told another process."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return QpmaskError(f"{type(error).__name__}: {error}")
    return error
