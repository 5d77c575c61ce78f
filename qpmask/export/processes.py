"""Worker processes: an engine each, images handed out one by one, events brought back.

A worker that dies (killed, crashed, out of memory) costs at most the image it was at: the others
that it had are tried again, each in a process of its own.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qpmask.engines.choice import EngineChoice, make_counter, make_engines
from qpmask.errors import Interrupted
from qpmask.events import Listener
from qpmask.export.job import MaskMaker, record_for
from qpmask.outputs import OutputWriter
from qpmask.plan import ImagePlan, Plan

if TYPE_CHECKING:
    from qpmask.report import ImageRecord

_POLL_S = 0.1
#: What QuPath's JVM may take of the machine's memory where nothing else is said, as paquo has it.
_HEAP_PERCENT = 50.0


class WorkerPool:
    """Makes masks in several processes; a context manager."""

    def __init__(
        self,
        plan: Plan,
        choice: EngineChoice,
        out: Path,
        emit: Listener,
        stop: threading.Event,
    ) -> None:
        self._plan = plan
        self._choice = choice
        self._workers = plan.options.workers
        self._out = out
        self._emit = emit
        self._stop = stop
        # Not fork: a process with a running JVM or threads does not survive it.
        self._context = multiprocessing.get_context("spawn")
        self._events: Any = self._context.Queue()
        self._stop_workers: Any = self._context.Event()

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *args: object) -> None:
        self._stop_workers.set()
        self._events.cancel_join_thread()
        self._events.close()

    def make_masks(self, images: list[ImagePlan]) -> Iterator[ImageRecord]:
        """Records as they come, in any order.

        Raises
        ------
        Interrupted
            The run was asked to stop; workers end after the tile they are at.
        """
        lost: list[ImagePlan] = []
        yield from self._run(images, min(self._workers, len(images)), lost)
        for image in lost:
            again: list[ImagePlan] = []
            yield from self._run([image], 1, again)
            if again:
                yield record_for(
                    image,
                    "failed",
                    error="The process that made this mask died, twice. It may have run out of "
                    "memory: use fewer workers or set --jvm-memory. A Python script that starts "
                    "workers needs 'if __name__ == \"__main__\":' around what it does.",
                )

    def _run(
        self, images: list[ImagePlan], workers: int, lost: list[ImagePlan]
    ) -> Iterator[ImageRecord]:
        share = (_HEAP_PERCENT / self._workers) if self._workers > 1 else None
        pool = ProcessPoolExecutor(
            workers,
            mp_context=self._context,
            initializer=_begin,
            initargs=(self._events, self._stop_workers, replace(self._plan, images=()),
                      self._choice, str(self._out), share),
        )  # fmt: skip
        try:
            pending: dict[Future[ImageRecord], ImagePlan] = {
                pool.submit(_work, image): image for image in images
            }
            while pending:
                self._pass_on()
                if self._stop.is_set():
                    self._stop_workers.set()
                    for future in pending:
                        future.cancel()
                done, _ = wait(pending, timeout=_POLL_S, return_when=FIRST_COMPLETED)
                for future in done:
                    image = pending.pop(future)
                    if future.cancelled():
                        continue
                    try:
                        record = future.result()
                    except BrokenProcessPool:
                        lost.append(image)
                        continue
                    self._pass_on()
                    yield record
            if self._stop.is_set():
                raise Interrupted("The run was interrupted.")
        except BaseException:
            self._stop_workers.set()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            self._pass_on()

    def _pass_on(self) -> None:
        while True:
            try:
                event = self._events.get_nowait()
            except (queue.Empty, EOFError, OSError):
                return
            self._emit(event)


# -- in the worker ------------------------------------------------------------------------------

_maker: MaskMaker


def _begin(
    events: Any, stop: Any, plan: Plan, choice: EngineChoice, out: str, share: float | None
) -> None:
    """Set up a worker process."""
    global _maker
    # Ctrl-C reaches all processes of a terminal; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    options = plan.options
    cores = max(1, (os.cpu_count() or 1) // options.workers)
    engine, verifier = make_engines(choice, options, heap_percent=share, threads=cores)
    counter = make_counter(choice, engine, threads=cores)
    _maker = MaskMaker(plan, engine, OutputWriter(Path(out)), events.put, stop, verifier, counter)


def _work(image: ImagePlan) -> ImageRecord:
    """Make one mask in a worker process."""
    return _maker.make(image)


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
