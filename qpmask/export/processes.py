"""Masks in several processes of this machine, an engine each."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence

from qpmask.batch.planned import PlanItem
from qpmask.cluster.processes import Processes
from qpmask.engines.base import EngineInfo
from qpmask.errors import QpmaskError
from qpmask.events import EngineReady, EngineStarting, Event, Listener
from qpmask.export.planned import PlannedExport, cost_of
from qpmask.outputs import OutputWriter
from qpmask.plan import ImagePlan, read_image, read_images
from qpmask.project import ImageEntry
from qpmask.project.inventory import Inventory
from qpmask.report import ImageRecord

_MANY = 64  # images: to read them takes as long as processes take to begin
_AT_ONCE = 16


class ExportProcesses:
    """Processes that read the images of an export and draw them; a context manager.

    Parameters
    ----------
    n : int
        How many, at most. They start when there is enough to do.
    """

    def __init__(self, n: int) -> None:
        self._pool = Processes(n)

    def __enter__(self) -> ExportProcesses:
        return self

    def __exit__(self, *args: object) -> None:
        self._pool.__exit__(*args)

    def read(self, entries: Sequence[ImageEntry]) -> Iterable[Inventory | QpmaskError]:
        """What :func:`~qpmask.plan.read_images` gives.

        Few images are read in this process: if all masks stand, no other is needed.
        """
        if len(entries) < _MANY:
            yield from read_images(entries)
            return
        yield read_image(entries[0])  # so that what reads them is made once on a new machine
        shares = [entries[k : k + _AT_ONCE] for k in range(1, len(entries), _AT_ONCE)]
        for share in self._pool.each(_read_share, shares):
            yield from share

    def masks(
        self,
        run: PlannedExport,
        folder: OutputWriter,
        emit: Listener,
        stop: threading.Event,
        images: Sequence[ImagePlan],
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

        items = [PlanItem(p.entry.id, p.entry.name, cost_of(p), source=p) for p in images]
        more = " or set --jvm-memory"
        for _, outcome in self._pool.run(run, items, folder, pass_on, stop, more=more):
            drawn_by = outcome.data["engine"]
            yield outcome.record, None if drawn_by is None else EngineInfo(**drawn_by)


def _read_share(entries: Sequence[ImageEntry]) -> list[Inventory | QpmaskError]:
    return list(read_images(entries))
