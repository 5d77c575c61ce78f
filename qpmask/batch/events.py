"""What listeners of a batch are told. An item is known by its key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


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
class ItemStarted:
    """Work on an item begins."""

    key: str
    name: str


@dataclass(frozen=True)
class PhaseStarted:
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


BatchEvent = BatchStarted | ItemStarted | PhaseStarted | StepsDone | ItemFinished
BatchListener = Callable[[BatchEvent], None]
