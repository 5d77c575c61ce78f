"""A run in several processes of this machine: ``--workers N``.

The run holds its output folders as one in a single process does; what its processes tell one
another stands in a hidden folder there, and goes with it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import shutil
import signal
import sys
import threading
import time
import types
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import Any, TypeVar

from qpmask.batch import Work
from qpmask.batch.planned import Outcome, PlanItem, Run, WorkRun
from qpmask.cluster.coordinator import Coordinator
from qpmask.cluster.workbench import scratch_of
from qpmask.cluster.workerprocess import BEGUN, STOP, Call, Order, work
from qpmask.errors import Interrupted, OptionsError, QpmaskError
from qpmask.events import ignore
from qpmask.outputs import OutputWriter

_FOLDER = "workers"
_TRIES = 2  # an item has, if its process dies
_AHEAD = 4  # small items that wait at a process, so that one message has several
_ENDING_S = 60.0
_DIED = (
    "The process that worked on it died, twice. It may have run out of memory: use fewer "
    "workers{more}."
)
_starting = threading.Lock()

ItemT = TypeVar("ItemT", bound=Any)
RecordT = TypeVar("RecordT", bound=Any)
ArgumentT = TypeVar("ArgumentT")
ResultT = TypeVar("ResultT")


def by_workers(
    what: Work[ItemT, RecordT],
    n: int,
    folder: OutputWriter,
    emit: Callable[[Any], None],
    stop: threading.Event,
    cost: Callable[[ItemT], float] | None = None,
) -> Callable[[list[ItemT]], Iterator[tuple[ItemT, RecordT]]] | None:
    """What does items of a :class:`~qpmask.batch.Batch` in several processes; None if `n` is 1.

    Parameters
    ----------
    what : Work
        What is done.
    n : int
        Processes, at most.
    folder, emit, stop
        As of :meth:`Processes.run`.
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
        with Processes(min(n, len(items))) as pool:
            for item, outcome in pool.run(WorkRun(what), items, folder, emit, stop):
                yield item.source, outcome.record

    return do


class _Worker:
    """A process, and its items: it is at the first."""

    def __init__(self) -> None:
        # Not fork: threads and open slides do not survive it.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.items: deque[PlanItem] = deque()
        self._to_tell: list[object] = []
        self.process = context.Process(target=work, args=(theirs,), daemon=False)
        with _without_main():
            self.process.start()
        theirs.close()  # so that its end is seen here

    def give(self, item: PlanItem) -> None:
        """Have it do an item after the others; what it is given goes with what it is told next."""
        self.items.append(item)
        self._to_tell.append(item)

    def tell(self, *what: object) -> None:
        """Tell it what it was given, and this."""
        told, self._to_tell = [*self._to_tell, *what], []
        if told:
            self.send(told)

    def send(self, what: object) -> None:
        """Send it something at once, before what it was given."""
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


class Processes:
    """A pool of processes; a context manager that ends them.

    They start as they are needed, and do one run (:meth:`run`); what they do before it
    (:meth:`each`) costs them no second start.

    Parameters
    ----------
    size : int
        How many, at most.
    """

    def __init__(self, size: int) -> None:
        self.size, self.ahead = size, _AHEAD * size
        self._workers: list[_Worker] = []
        self._order: Order | None = None
        self._emit: Callable[[Any], None] = ignore
        self._deaths: Counter[str] = Counter()
        self._any_begun = self._stopped = False

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *args: object) -> None:
        self.stop()
        workers, self._workers = self._workers, []
        try:
            for worker in workers:
                worker.tell(None)
            for worker in workers:
                worker.end()
        except BaseException:  # Ctrl-C again
            for worker in workers:
                worker.kill()
            raise

    def each(
        self, function: Callable[[ArgumentT], ResultT], arguments: Sequence[ArgumentT]
    ) -> list[ResultT]:
        """What a function gives for each of some arguments, in their order.

        This process does its part until all others have begun, and where none is left; and what
        one leaves that dies.
        """
        results: dict[int, ResultT] = {}
        left = deque(range(len(arguments)))
        while len(self._workers) < min(self.size, len(arguments)):
            self._start()
        calls: dict[_Worker, int] = {}
        starting = set(self._workers)
        while len(results) < len(arguments):
            for worker in self._workers:
                if left and worker not in calls:
                    calls[worker] = left.popleft()
                    worker.tell(Call(function, arguments[calls[worker]]))
            is_idle = bool(left) and (bool(starting) or not self._workers)
            called = {worker.connection: worker for worker in calls}
            for ready in wait(list(called), 0 if is_idle else None):
                worker = called[ready]  # type: ignore[index]
                k = calls.pop(worker)
                starting.discard(worker)
                results[k] = self._result(worker, function, arguments[k])
            if is_idle and left:
                k = left.popleft()
                results[k] = function(arguments[k])
        return [results[k] for k in range(len(arguments))]

    def _result(
        self, worker: _Worker, function: Callable[[ArgumentT], ResultT], argument: ArgumentT
    ) -> ResultT:
        try:
            (said,) = worker.connection.recv()
        except (EOFError, OSError):
            self._workers.remove(worker)
            worker.end()
            return function(argument)
        if isinstance(said, Exception):
            raise said
        result: ResultT = said.value
        return result

    def run(
        self,
        run: Run,
        items: Sequence[PlanItem],
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
        n_beside = min(self.size, len(items))
        self._order = order = Order(run, folder.work_file(_FOLDER), n_beside)
        self._emit, self._more = emit, more
        for worker in self._workers:
            worker.tell(order)
        try:
            yield from Coordinator(items, self, run.lost, stop).outcomes()
        finally:
            self.__exit__()
            shutil.rmtree(order.folder, ignore_errors=True)
        if stop.is_set():
            raise Interrupted("The run was interrupted.")

    def stop(self) -> None:
        """Tell the processes to end what they are at, and nothing more."""
        # No Event of multiprocessing: a process that is killed while it looks keeps its lock.
        self._stopped = True
        for worker in self._workers:
            worker.send(STOP)

    def is_busy(self) -> bool:
        """Whether anything is still being done."""
        return any(worker.items for worker in self._workers)

    def submit(self, item: PlanItem) -> None:
        """Have an item done by the process that has least to do."""
        worker = min(self._workers, key=lambda worker: len(worker.items), default=None)
        if worker is None or (worker.items and len(self._workers) < self.size):
            worker = self._start()
            worker.tell(self._order)
        worker.give(item)

    def _start(self) -> _Worker:
        if multiprocessing.current_process().daemon:
            raise OptionsError(
                "A daemonic process, such as one of a pool, cannot have workers.",
                hint="Use one worker there.",
            )
        try:
            with _without_interrupts():  # so that none is lost between its start and the list
                self._workers.append(_Worker())
        except OSError as error:
            raise QpmaskError(
                f"Another process cannot be started: {error.strerror or error}.",
                hint="Use fewer workers. What was done is kept.",
            ) from error
        return self._workers[-1]

    def ended(self, limit_s: float) -> Iterator[tuple[PlanItem, Outcome | str]]:
        """Items that ended, with what became of them, or why they are given up."""
        at_work = {w.connection: w for w in self._workers if w.items}
        for worker in at_work.values():
            worker.tell()
        for ready in wait(list(at_work), limit_s):
            worker = at_work[ready]  # type: ignore[index]
            try:
                told = worker.connection.recv()
            except (EOFError, OSError):
                yield from self._died(worker)
                continue
            for said in told:
                if said == BEGUN:
                    self._any_begun = True
                elif isinstance(said, Outcome):
                    yield worker.items.popleft(), said
                elif isinstance(said, Exception):
                    raise said
                else:
                    self._emit(said)

    def _died(self, worker: _Worker) -> Iterator[tuple[PlanItem, Outcome | str]]:
        assert self._order is not None
        self._workers.remove(worker)
        pid = worker.process.pid
        code = worker.end()
        assert pid is not None
        shutil.rmtree(scratch_of(self._order.folder, pid), ignore_errors=True)
        item, *waiting = worker.items
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
