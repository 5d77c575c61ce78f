"""The images of a run: what stands and holds is skipped, the rest is made."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from qpmask.common.machine import n_cores
from qpmask.engines.base import Engine, EngineInfo
from qpmask.engines.choice import EngineChoice, make_counter, make_engines
from qpmask.errors import HiddenObjectsError, Interrupted
from qpmask.events import EngineReady, EngineStarting, ImageFinished, Listener
from qpmask.export.job import MaskMaker
from qpmask.export.records import record_for, standing_record
from qpmask.outputs import OutputWriter
from qpmask.plan import ImagePlan, Plan, Standing, look_at
from qpmask.report import ImageRecord
from qpmask.report.hiddenobjects import check_hidden

if TYPE_CHECKING:
    from qpmask.batch.planned import Desk
    from qpmask.export.previews import Previews


#: What QuPath's JVM may take of the machine's memory where nothing else is said, as paquo has it.
_HEAP_PERCENT = 50.0

#: Makes masks of images in other processes; gives their records as they come, and what drew them.
Elsewhere = Callable[[Sequence[ImagePlan]], Iterator[tuple[ImageRecord, EngineInfo | None]]]


class ShareMaker:
    """Makes masks of images one by one in a folder that others write to as well.

    Starts its engine when the first image has to be drawn, and keeps it.

    Parameters
    ----------
    plan : Plan
        What all images have in common; its own are not looked at.
    choice : EngineChoice
        What draws.
    folder : OutputWriter
        Where to, with a work folder of its own.
    desk : Desk
        Who listens, what ends it, and how many share this machine.
    """

    def __init__(self, plan: Plan, choice: EngineChoice, folder: OutputWriter, desk: Desk) -> None:
        n = desk.n_beside
        self._engine, verifier = make_engines(
            choice,
            plan.options,
            heap_percent=_HEAP_PERCENT / n if n > 1 else None,
            threads=_threads(n),
        )
        self.info = self._engine.probe()
        self._run = ImagesOfRun(
            replace(plan, images=()),
            choice,
            self._engine,
            verifier,
            self.info,
            folder,
            desk.emit,
            desk.stop,
            n_beside=n,
        )
        self._maker: MaskMaker | None = None

    def close(self) -> None:
        """End the engine."""
        self._engine.close()

    def make(self, image: ImagePlan) -> ImageRecord:
        """The record of an image: of a mask that stands and holds, or of one made now."""
        record = self._run.without_drawing(image)
        if record is None:
            if self._maker is None:
                self._maker = self._run.started()
                self.info = self._run.info or self.info
            record = self._maker.make(image)
        return self._run.noted(record)


class ImagesOfRun:
    """The images of one run, one after the other or in worker processes."""

    def __init__(
        self,
        plan: Plan,
        choice: EngineChoice,
        engine: Engine,
        verifier: Engine | None,
        info: EngineInfo,
        folder: OutputWriter,
        emit: Listener,
        stop: threading.Event,
        previews: Previews | None = None,
        elsewhere: Elsewhere | None = None,
        n_beside: int = 1,
    ) -> None:
        self._plan = plan
        self._choice = choice
        self._engine = engine
        self._verifier = verifier
        self._probed = info
        self._folder = folder
        self._emit = emit
        self._stop = stop
        self._records: dict[str, ImageRecord] = {}
        self._previews = previews
        self._elsewhere = elsewhere
        self._n_beside = n_beside
        self._by_id = {image.entry.id: image for image in plan.images}
        self._again: dict[str, str] = {}  # why a mask is made again, by entry id
        self.info: EngineInfo | None = None

    def all_images(self) -> None:
        """Skip what holds, make the rest.

        Raises
        ------
        Interrupted
            The run was asked to stop; records of what was finished are kept.
        """
        todo = []
        for image in self._plan.images:
            self._check_stop()
            record = self.without_drawing(image)
            if record is None:
                todo.append(image)
            else:
                self._finish(record)
        if not todo:
            return
        elsewhere = self._elsewhere if len(todo) > 1 else None
        made = self._here(todo) if elsewhere is None else self._in_workers(todo, elsewhere)
        with closing(made) as records:
            for record in records:
                self._finish(record)

    def finished_records(self) -> tuple[ImageRecord, ...]:
        """Records of all images, those not reached included, in the project's order."""
        return tuple(
            self._records.get(image.entry.id)
            or record_for(image, "interrupted", error="The run ended before this image.")
            for image in self._plan.images
        )

    def without_drawing(self, image: ImagePlan) -> ImageRecord | None:
        """The record of an image that needs no drawing, or cannot be drawn."""
        if image.error is not None:
            return record_for(image, "failed", error=image.error)
        standing = look_at(
            image,
            self._plan.class_map,
            self._probed.pixel_rules,
            self._folder.path,
            verified=self._choice.verifier is not None,
            force=self._plan.options.force,
        )
        if standing.holds:
            return self._standing(image, standing)
        if standing.changes:
            self._again[image.entry.id] = "; ".join(standing.changes)
        return None

    def _standing(self, image: ImagePlan, standing: Standing) -> ImageRecord | None:
        """The record of a mask that holds; None if it is to say what it does not know."""
        record = standing_record(replace(image, standing=standing), self._folder)
        if self._plan.options.hidden != "error":
            return record
        if record.hidden is None:  # made by a version that did not count
            return None
        try:
            check_hidden(record.hidden, image.entry.label)
        except HiddenObjectsError as error:
            return record_for(image, "failed", error=error)
        return record

    def _here(self, todo: Iterable[ImagePlan]) -> Generator[ImageRecord]:
        maker = self.started()
        left = deque(todo)

        def until_stopped() -> Iterator[ImagePlan]:
            while left and not self._stop.is_set():
                yield left.popleft()

        yield from maker.make_each(until_stopped())
        if left:
            self._check_stop()

    def started(self) -> MaskMaker:
        """What makes masks, with its engine started."""
        threads = _threads(self._n_beside)
        counter = make_counter(self._choice, self._engine, threads=threads)
        compiles = self._engine.compiles or (counter is not None and counter.compiles)
        self._emit(EngineStarting(self._probed.name, compiles))
        self.info = self._engine.start()
        ready = f"{_describe(self.info)} ({self._choice.reason})"
        if self._verifier is not None:
            ready += f"; each mask is verified by {self._verifier.start()}"
        self._emit(EngineReady(ready))
        return MaskMaker(
            self._plan,
            self._engine,
            self._folder,
            self._emit,
            self._stop,
            self._verifier,
            counter,
        )

    def _in_workers(
        self, todo: Sequence[ImagePlan], elsewhere: Elsewhere
    ) -> Generator[ImageRecord]:
        self._emit(EngineStarting(self._probed.name, self._engine.compiles))
        self._engine.compile()
        n = min(self._plan.options.workers, len(todo))
        self._emit(EngineReady(f"{self._probed}, {n} processes ({self._choice.reason})"))
        for record, drawn_by in elsewhere(todo):
            self.info = drawn_by or self.info
            yield record

    def _finish(self, record: ImageRecord) -> None:
        record = self.noted(record)
        if self._previews is not None:
            record = self._previews.add(self._folder, self._by_id[record.entry_id], record)
        self._records[record.entry_id] = record
        self._emit(ImageFinished(record))
        if record.status == "interrupted":
            raise Interrupted("The run was interrupted.")

    def noted(self, record: ImageRecord) -> ImageRecord:
        """The record with why its mask was made again, if it was."""
        if record.status != "done":
            return record
        return replace(record, made_again=self._again.get(record.entry_id))

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise Interrupted("The run was interrupted.")


def _threads(n_beside: int) -> int | None:
    """How many threads an engine has that shares the machine; None to choose itself."""
    return max(1, n_cores() // n_beside) if n_beside > 1 else None


def _describe(info: EngineInfo) -> str:
    java = info.details.get("java")
    return f"{info} (Java {java})" if java else str(info)
