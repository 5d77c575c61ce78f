"""Masks in several processes, an engine each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qpmask.batch.processes import DIED, in_processes
from qpmask.common.machine import n_cores
from qpmask.engines.choice import EngineChoice, make_counter, make_engines
from qpmask.events import Listener
from qpmask.export.job import MaskMaker
from qpmask.export.records import record_for
from qpmask.outputs import OutputWriter
from qpmask.plan import ImagePlan, Plan

if TYPE_CHECKING:
    from qpmask.report import ImageRecord

#: What QuPath's JVM may take of the machine's memory where nothing else is said, as paquo has it.
_HEAP_PERCENT = 50.0


def masks_in_processes(
    plan: Plan,
    choice: EngineChoice,
    out: Path,
    images: list[ImagePlan],
    emit: Listener,
    stop: threading.Event,
) -> Iterator[ImageRecord]:
    """Records of images as they come, in any order.

    Raises
    ------
    Interrupted
        The run was asked to stop; workers end after the tile they are at.
    """
    workers = plan.options.workers
    heap_percent = _HEAP_PERCENT / workers if workers > 1 else None
    begin = partial(_maker, replace(plan, images=()), choice, out, heap_percent)
    for _, record in in_processes(begin, images, min(workers, len(images)), emit, stop, _died):
        yield record


def _maker(
    plan: Plan,
    choice: EngineChoice,
    out: Path,
    heap_percent: float | None,
    emit: Listener,
    stop: Any,
) -> Callable[[ImagePlan], ImageRecord]:
    """What makes a mask in a worker process."""
    options = plan.options
    cores = max(1, n_cores() // options.workers)
    engine, verifier = make_engines(choice, options, heap_percent=heap_percent, threads=cores)
    counter = make_counter(choice, engine, threads=cores)
    return MaskMaker(plan, engine, OutputWriter(out), emit, stop, verifier, counter).make


def _died(image: ImagePlan) -> ImageRecord:
    error = f"The process that made this mask {DIED.format(more=' or set --jvm-memory')}"
    return record_for(image, "failed", error=error)
