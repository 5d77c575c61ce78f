"""A share of a plan is done, beside any number of others in one folder."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from qpmask.cluster.itemrecords import file_key, read_record, write_record
from qpmask.cluster.planfile import PlanFile, PlanItem
from qpmask.cluster.shares import share
from qpmask.errors import OptionsError, OutputError
from qpmask.events import ImageFinished, Listener, ignore
from qpmask.export.run import ShareMaker
from qpmask.outputs import OutputWriter, writing
from qpmask.outputs.claims import Claims
from qpmask.report import ImageRecord

_READ_AT_ONCE = 32  # data files whose objects are held at a time
_LOOKED_AT_S = 1.0  # other tasks that look at the lock hold it for a moment


@dataclass(frozen=True)
class WorkDone:
    """What a task did.

    Attributes
    ----------
    records : tuple of ImageRecord
        Of the images that it made, skipped or failed at.
    elsewhere : tuple of str
        Keys of images that another task was at.
    interrupted : bool
        Whether it was asked to stop before the end of its share.
    """

    records: tuple[ImageRecord, ...]
    elsewhere: tuple[str, ...] = ()
    interrupted: bool = False

    @property
    def ok(self) -> bool:
        """Whether nothing failed and nothing is left of the share but what others are at."""
        return not self.interrupted and all(record.ok for record in self.records)


def work_on(
    plan: PlanFile,
    task: tuple[int, int] = (1, 1),
    progress: Listener | None = None,
    stop: threading.Event | None = None,
) -> WorkDone:
    """Do a share of a plan.

    Each image is claimed first; one that another task is at is left to it, one whose task died is
    taken up. A mask that is there and holds is skipped, as :func:`qpmask.export_masks` does. A
    record an image is left for :func:`~qpmask.cluster.collect.collect`.

    Parameters
    ----------
    plan : PlanFile
        The plan.
    task : tuple of int
        Which share, from 1, and of how many.
    progress : callable, optional
        Called with events of images.
    stop : threading.Event, optional
        Set it to end after the tile that is drawn.

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
    items = share(plan.items, number, n_tasks)
    stop = stop or threading.Event()
    if not items:
        return WorkDone(())
    scratch = plan.folder / f"work-{socket.gethostname()}-{os.getpid()}"
    with writing(scratch, "The folder"):
        scratch.mkdir(parents=True, exist_ok=True)
    try:
        with Claims(plan.claims_folder) as claims:
            worker = _Worker(plan, claims, scratch, progress or ignore, stop)
            try:
                for start in range(0, len(items), _READ_AT_ONCE):
                    worker.do(items[start : start + _READ_AT_ONCE])
            finally:
                worker.close()
        return WorkDone(tuple(worker.records), tuple(worker.elsewhere), worker.interrupted)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


class _Worker:
    def __init__(
        self,
        plan: PlanFile,
        claims: Claims,
        scratch: Path,
        emit: Listener,
        stop: threading.Event,
    ) -> None:
        self._plan, self._claims, self._scratch = plan, claims, scratch
        self._emit, self._stop = emit, stop
        self._maker: ShareMaker | None = None
        self.records: list[ImageRecord] = []
        self.elsewhere: list[str] = []
        self.interrupted = False

    def do(self, items: Sequence[PlanItem]) -> None:
        """Some images of the share; their data files are read together."""
        if self._stop.is_set():
            self.interrupted = True
            return
        mine = [item for item in items if self._claimed(item)]
        try:
            if mine:
                check_alone(self._plan.out)  # a run looks for claims once it has its lock
                self._make(tuple(mine))
        finally:
            for item in mine:
                self._claims.give_back(file_key(item.key))

    def close(self) -> None:
        """End the engine."""
        if self._maker is not None:
            self._maker.__exit__()

    def _claimed(self, item: PlanItem) -> bool:
        if self._claims.take(file_key(item.key)):
            return True
        self.elsewhere.append(item.key)
        return False

    def _make(self, items: tuple[PlanItem, ...]) -> None:
        plan = self._plan.plan_of(items)
        if self._maker is None:
            writer = OutputWriter(self._plan.out, self._scratch)
            self._maker = ShareMaker(plan, writer, self._emit, self._stop)
        by_key = {image.entry.id: image for image in plan.images}
        for item in items:
            if self._stop.is_set():
                self.interrupted = True
                return
            started = time.time()
            image = by_key.get(item.key)
            if image is None:
                record = ImageRecord(
                    item.key, item.name, "failed",
                    error=f"It is not in {self._plan.project} any more.",
                )  # fmt: skip
            else:
                record = self._maker.make(image)
            self._emit(ImageFinished(record))
            if record.status == "interrupted":
                self.interrupted = True
                return
            self.records.append(record)
            self._keep(item, record, started)
            self._claims.give_back(file_key(item.key))

    def _keep(self, item: PlanItem, record: ImageRecord, started: float) -> None:
        assert self._maker is not None
        keep_record(self._plan, item, record, self._maker, started)


def keep_record(
    plan: PlanFile, item: PlanItem, record: ImageRecord, maker: ShareMaker, started: float
) -> None:
    """Write what became of an image, unless what stands there says more of the same mask."""
    before = read_record(plan.folder, item.key)
    if record.status == "skipped" and before is not None and before["status"] == "done":
        return
    write_record(
        plan.folder,
        item.key,
        record.status,
        {
            "status": record.status,
            "record": record.as_dict(),
            "engine": asdict(maker.info),
            "engine_reason": maker.engine_reason,
            "started": started,
            "finished": time.time(),
            "host": socket.gethostname(),
            "pid": os.getpid(),
        },
    )


def check_alone(out: Path) -> None:
    """Raise unless no run that is no task holds the folder."""
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
