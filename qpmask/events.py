"""Progress as plain data: what a run tells those who listen.

A listener is any callable that takes one event. It is called on the thread that drives the run,
never at the same time from two threads; an exception in it ends the run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from qpmask.common.words import images_text

if TYPE_CHECKING:
    from pathlib import Path

    from qpmask.plan import Plan
    from qpmask.report import ImageRecord, Report

Phase = Literal["reading", "drawing", "checking", "verifying", "counting"]


@dataclass(frozen=True)
class RunStarted:
    """The plan is made; nothing has been written yet."""

    plan: Plan

    def __str__(self) -> str:
        return f"RunStarted({images_text(len(self.plan.images))} of {self.plan.project.path})"


@dataclass(frozen=True)
class EngineStarting:
    """The engine is being started (for QuPath: its JVM).

    ``compiles`` says that parts of qpmask are compiled first, once on a machine, which takes up to
    a minute.
    """

    name: str
    compiles: bool = False


@dataclass(frozen=True)
class EngineReady:
    """The engine has started; ``description`` names it and its versions."""

    description: str


@dataclass(frozen=True)
class ImageStarted:
    """Work on one image begins."""

    entry_id: str
    name: str
    path: Path
    n_tiles: int


@dataclass(frozen=True)
class PhaseStarted:
    """An image enters a phase.

    ``reading`` its objects, ``drawing`` tiles and writing them, ``checking`` the file,
    ``verifying`` it by another engine, or ``counting`` the objects that left a pixel. ``n_tiles``
    is what :class:`TilesDone` will count up to.
    """

    entry_id: str
    phase: Phase
    n_tiles: int


@dataclass(frozen=True)
class TilesDone:
    """Tiles of the image's present phase that are done so far, as the engine itself counts."""

    entry_id: str
    done: int


@dataclass(frozen=True)
class JvmMemory:
    """Java heap of one process, in bytes."""

    used_bytes: int
    max_bytes: int


@dataclass(frozen=True)
class ImageFinished:
    """Work on one image has ended, well or not."""

    record: ImageRecord

    def __str__(self) -> str:
        return f"ImageFinished({self.record.image!r}, {self.record.status!r})"


@dataclass(frozen=True)
class RunFinished:
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


@dataclass(frozen=True)
class BatchStarted:
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


@dataclass(frozen=True)
class BatchWarning:
    """What people should know while it goes on."""

    text: str


@dataclass(frozen=True)
class ItemStarted:
    """Work on an item begins."""

    key: str
    name: str


@dataclass(frozen=True)
class StepsStarted:
    """An item enters a phase of so many steps; 0 where they are not counted."""

    key: str
    phase: str
    n_steps: int = 0


@dataclass(frozen=True)
class StepsDone:
    """Steps of the item's present phase that are done."""

    key: str
    done: int


@dataclass(frozen=True)
class ItemFinished:
    """Work on an item has ended; ``summary`` says with what, in a few words."""

    key: str
    name: str
    status: str
    summary: str


BatchEvent = BatchStarted | BatchWarning | ItemStarted | StepsStarted | StepsDone | ItemFinished
BatchListener = Callable[[BatchEvent], None]


def ignore(event: object) -> None:
    """The listener that does nothing."""
