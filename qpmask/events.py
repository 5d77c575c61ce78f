"""Progress as plain data: what a run tells those who listen.

A listener is any callable that takes one event. It is called on the thread that drives the run,
never at the same time from two threads; an exception in it ends the run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

from qpmask.common.words import images_text

if TYPE_CHECKING:
    from pathlib import Path

    from qpmask.plan import Plan
    from qpmask.report import ImageRecord, Report

Phase = Literal["reading", "drawing", "checking", "verifying", "counting"]


class RunStarted(NamedTuple):
    """The plan is made; nothing has been written yet."""

    plan: Plan

    def __str__(self) -> str:
        return f"RunStarted({images_text(len(self.plan.images))} of {self.plan.project.path})"


class EngineStarting(NamedTuple):
    """The engine is being started (for QuPath: its JVM).

    ``compiles`` says that parts of qpmask are compiled first, once on a machine, which takes up to
    a minute.
    """

    name: str
    compiles: bool = False


class EngineReady(NamedTuple):
    """The engine has started; ``description`` names it and its versions."""

    description: str


class ImageStarted(NamedTuple):
    """Work on one image begins."""

    entry_id: str
    name: str
    path: Path
    n_tiles: int


class PhaseStarted(NamedTuple):
    """An image enters a phase.

    ``reading`` its objects, ``drawing`` tiles and writing them, ``checking`` the file,
    ``verifying`` it by another engine, or ``counting`` the objects that left a pixel. ``n_tiles``
    is what :class:`TilesDone` will count up to.
    """

    entry_id: str
    phase: Phase
    n_tiles: int


class TilesDone(NamedTuple):
    """Tiles of the image's present phase that are done so far, as the engine itself counts."""

    entry_id: str
    done: int


class JvmMemory(NamedTuple):
    """Java heap of one process, in bytes."""

    used_bytes: int
    max_bytes: int


class ImageFinished(NamedTuple):
    """Work on one image has ended, well or not."""

    record: ImageRecord

    def __str__(self) -> str:
        return f"ImageFinished({self.record.image!r}, {self.record.status!r})"


class RunFinished(NamedTuple):
    """The run has ended; the report is written."""

    report: Report

    def __str__(self) -> str:
        counts = Counter(record.status for record in self.report)
        return f"RunFinished({dict(counts)})"


Event = (
    RunStarted
    | EngineStarting
    | EngineReady
    | ImageStarted
    | PhaseStarted
    | TilesDone
    | JvmMemory
    | ImageFinished
    | RunFinished
)
Listener = Callable[[Event], None]


# -- of batches (patches, features, objects): an item is known by its key ----------------------


class BatchStarted(NamedTuple):
    """Items are about to be worked on.

    Attributes
    ----------
    title : str
        What is done, and to what.
    n_items : int
        How many.
    word : str
        What one is called: "slide".
    warnings : tuple of str
        What people should know before.
    """

    title: str
    n_items: int
    word: str
    warnings: tuple[str, ...] = ()


class BatchWarning(NamedTuple):
    """What people should know while it goes on."""

    text: str


class ItemStarted(NamedTuple):
    """Work on an item begins."""

    key: str
    name: str


class StepsStarted(NamedTuple):
    """An item enters a phase of so many steps; 0 where they are not counted."""

    key: str
    phase: str
    n_steps: int = 0


class StepsDone(NamedTuple):
    """Steps of the item's present phase that are done."""

    key: str
    done: int


class ItemFinished(NamedTuple):
    """Work on an item has ended; ``summary`` says with what, in a few words."""

    key: str
    name: str
    status: str
    summary: str


BatchEvent = BatchStarted | BatchWarning | ItemStarted | StepsStarted | StepsDone | ItemFinished
BatchListener = Callable[[BatchEvent], None]


def ignore(event: object) -> None:
    """The listener that does nothing."""
