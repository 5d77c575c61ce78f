"""A run in several processes of this machine: ``--workers N``.

The run holds its output folders as one in a single process does; what its processes tell one
another stands in a hidden folder there, and goes with it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, TypeVar

from qpmask.batch import EndsRun, Work
from qpmask.batch.planned import Outcome, PlanItem, Run, WorkRun
from qpmask.cluster.bench import Bench, scratch_of
from qpmask.cluster.coordinator import Coordinator
from qpmask.cluster.records import Found
from qpmask.errors import Interrupted, QpmaskError
from qpmask.outputs import OutputWriter
from qpmask.outputs.claims import CLAIMS_FOLDER

_FOLDER = "workers"
_TRIES = 2  # an item has, if its process dies
_ENDING_S = 60.0
_DIED = (
    "The process that worked on it died, twice. It may have run out of memory: use fewer "
    "workers{more}. A Python script that starts workers needs 'if __name__ == \"__main__\":' "
    "around what it does."
)

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
    QpmaskError
        Nothing of it can be done, such as where an engine cannot start.
    """
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
    """A process, and the item that it is at."""

    def __init__(self, place: _OwnPlace, stop: Any, n: int) -> None:
        # Not fork: threads and open slides do not survive it.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.item: PlanItem | None = None
        self.process = context.Process(target=_work, args=(theirs, place, stop, n), daemon=False)
        with _without_interrupts():
            self.process.start()
        theirs.close()  # so that its end is seen here

    def give(self, item: PlanItem) -> None:
        self.item = item
        with contextlib.suppress(OSError):  # it is dead, which shows when it is listened to
            self.connection.send(item)

    def end(self) -> None:
        """Wait for its end; what it still says is of no use."""
        end = time.monotonic() + _ENDING_S
        with contextlib.suppress(EOFError, OSError):
            self.connection.send(None)
            while self.connection.poll(max(0.0, end - time.monotonic())):
                self.connection.recv()
        self.process.join(max(0.0, end - time.monotonic()))
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.connection.close()
        self.process.close()


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ctrl-C reaches all processes of a terminal: one that begins must not die of it, in words."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # it is inherited
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Processes:
    """A pool of processes, started as they are needed; a context manager that ends them."""

    def __init__(self, place: _OwnPlace, size: int, emit: Callable[[Any], None], more: str) -> None:
        self._place, self.size, self._emit, self._more = place, size, emit, more
        self._stop = multiprocessing.get_context("spawn").Event()
        self._workers: list[_Worker] = []
        self._deaths: Counter[str] = Counter()

    def __enter__(self) -> _Processes:
        return self

    def __exit__(self, *args: object) -> None:
        self.stop()
        for worker in self._workers:
            worker.end()

    def stop(self) -> None:
        """Tell the processes to end what they are at, and nothing more."""
        self._stop.set()

    def submit(self, item: PlanItem, before: Found | None = None) -> None:
        """Have an item done by an idle process."""
        worker = next((worker for worker in self._workers if worker.item is None), None)
        if worker is None:
            worker = _Worker(self._place, self._stop, self.size)
            self._workers.append(worker)
        worker.give(item)

    def ended(self, limit_s: float) -> Iterator[tuple[PlanItem, Outcome | str]]:
        """Items that ended, with what became of them, or why they are given up."""
        at_work = {w.connection: w for w in self._workers if w.item is not None}
        for ready in wait(list(at_work), limit_s):
            worker = at_work[ready]  # type: ignore[index]
            item = worker.item
            assert item is not None
            try:
                said = worker.connection.recv()
            except (EOFError, OSError):
                yield from self._died(worker, item)
                continue
            if isinstance(said, Outcome):
                worker.item = None
                yield item, said
            elif isinstance(said, Exception):
                raise said
            else:
                self._emit(said)

    def _died(self, worker: _Worker, item: PlanItem) -> Iterator[tuple[PlanItem, Outcome | str]]:
        self._workers.remove(worker)
        pid = worker.process.pid
        worker.end()
        assert pid is not None
        shutil.rmtree(scratch_of(self._place.folder, pid), ignore_errors=True)
        self._deaths[item.key] += 1
        if self._stop.is_set():
            yield item, Outcome("interrupted", False, "The run was interrupted.", {})
            return
        if self._deaths[item.key] < _TRIES:
            self.submit(item)
            return
        yield item, _DIED.format(more=self._more)


# -- in the process -----------------------------------------------------------------------------


def _work(connection: Connection, place: _OwnPlace, stop: Any, n: int) -> None:
    """Do items as they come, until None does."""
    # The run decides what Ctrl-C means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    sending = threading.Lock()

    def send(what: object) -> None:
        with sending:
            connection.send(what)

    try:
        with Bench(place, 1, send, stop, n) as bench:
            while (item := connection.recv()) is not None:
                send(bench.settle(item, None))
    except EndsRun as ended:
        send(ended.error)
    except EOFError:
        return  # the run is gone
    except Exception as error:
        try:
            send(error)
        except Exception:  # one that cannot be pickled
            send(QpmaskError(f"{type(error).__name__}: {error}"))


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
