"""Masks in several processes of this machine, an engine each."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from qpmask.batch.planned import PlanItem
from qpmask.cluster.processes import in_processes
from qpmask.engines.base import EngineInfo
from qpmask.engines.choice import EngineChoice
from qpmask.events import EngineReady, EngineStarting, Event, Listener
from qpmask.export.planned import cost_of, of_plan
from qpmask.outputs import OutputWriter
from qpmask.plan import ImagePlan, Plan
from qpmask.report import ImageRecord


def masks_in_processes(
    plan: Plan,
    choice: EngineChoice,
    info: EngineInfo,
    folder: OutputWriter,
    images: Sequence[ImagePlan],
    emit: Listener,
    stop: threading.Event,
) -> Iterator[tuple[ImageRecord, EngineInfo | None]]:
    """Records of images as they come, in any order, and what drew them, if that started.

    Raises
    ------
    Interrupted
        The run was asked to stop; workers end after the tile they are at.
    EngineUnavailableError
        The engine does not start.
    """

    def pass_on(event: Event) -> None:
        if not isinstance(event, EngineStarting | EngineReady):  # said once for all
            emit(event)

    run = of_plan(plan, (), choice, info.pixel_rules, folder.path)
    items = [PlanItem(p.entry.id, p.entry.name, cost_of(p), source=p) for p in images]
    n, more = plan.options.workers, " or set --jvm-memory"
    for _, outcome in in_processes(run, items, n, folder, pass_on, stop, more=more):
        drawn_by = outcome.data["engine"]
        yield outcome.record, None if drawn_by is None else EngineInfo(**drawn_by)
