"""Things done in several processes: handed out one by one, events brought back.

A process that dies (killed, crashed, out of memory) costs at most the item it was at: the others
that it had are tried again, each in a process of its own.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol, TypeVar

from qpmask.errors import Interrupted

_POLL_S = 0.1

DIED = (
    "died, twice. It may have run out of memory: use fewer workers{more}. A Python script that "
    "starts workers needs 'if __name__ == \"__main__\":' around what it does."
)
"""What a record says of an item whose process died."""

ItemT = TypeVar("ItemT")
RecordT = TypeVar("RecordT")
_In = TypeVar("_In", contravariant=True)
_Out = TypeVar("_Out", covariant=True)


class Begin(Protocol[_In, _Out]):
    """Sets up a process; it is pickled."""

    def __call__(self, emit: Callable[[Any], None], stop: Any) -> Callable[[_In], _Out]:
        """What does an item; it may emit events, and ends early where ``stop`` is set."""


def in_processes(
    begin: Begin[ItemT, RecordT],
    items: list[ItemT],
    workers: int,
    emit: Callable[[Any], None],
    stop: threading.Event,
    died: Callable[[ItemT], RecordT],
) -> Iterator[tuple[ItemT, RecordT]]:
    """Items and their records as they come, in any order.

    Parameters
    ----------
    begin : callable
        Sets up a process, and gives what does an item there.
    items : list
        What is to be done.
    workers : int
        Processes.
    emit : callable
        Listener of events, called here.
    stop : Event
        Set when the run should end.
    died : callable
        Record of an item whose process died twice.

    Raises
    ------
    Interrupted
        The run was asked to stop; processes end after the step they are at.
    """
    # Not fork: threads and open slides do not survive it.
    context = multiprocessing.get_context("spawn")
    events: Any = context.Queue()
    stop_them: Any = context.Event()

    def pass_on() -> None:
        while True:
            try:
                emit(events.get_nowait())
            except (queue.Empty, EOFError, OSError):
                return

    def run(some: list[ItemT], n: int, lost: list[ItemT]) -> Iterator[tuple[ItemT, RecordT]]:
        pool = ProcessPoolExecutor(
            n, mp_context=context, initializer=_begin, initargs=(begin, events, stop_them)
        )
        try:
            pending: dict[Future[RecordT], ItemT] = {pool.submit(_do, item): item for item in some}
            while pending:
                pass_on()
                if stop.is_set():
                    stop_them.set()
                    for future in pending:
                        future.cancel()
                done, _ = wait(pending, timeout=_POLL_S, return_when=FIRST_COMPLETED)
                for future in done:
                    item = pending.pop(future)
                    if future.cancelled():
                        continue
                    try:
                        record = future.result()
                    except BrokenProcessPool:
                        lost.append(item)
                        continue
                    pass_on()
                    yield item, record
            if stop.is_set():
                raise Interrupted("The run was interrupted.")
        except BaseException:
            stop_them.set()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            pass_on()

    try:
        lost: list[ItemT] = []
        yield from run(items, workers, lost)
        for item in lost:
            again: list[ItemT] = []
            yield from run([item], 1, again)
            if again:
                yield item, died(item)
    finally:
        stop_them.set()
        events.cancel_join_thread()
        events.close()


# -- in the process -----------------------------------------------------------------------------

_do_item: Callable[[Any], Any]


def _begin(begin: Begin[Any, Any], events: Any, stop: Any) -> None:
    global _do_item
    # Ctrl-C reaches all processes of a terminal; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    _do_item = begin(events.put, stop)


def _do(item: Any) -> Any:
    return _do_item(item)


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
