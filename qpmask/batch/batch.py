"""Runs a work over its items: skip, do, record; Ctrl-C ends it cleanly."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

from qpmask.errors import Interrupted, QpmaskError
from qpmask.events import (
    BatchEvent,
    BatchListener,
    ItemFinished,
    ItemStarted,
    StepsDone,
    StepsStarted,
)

log = logging.getLogger(__name__)

_SAY_EVERY_S = 0.05


class Item(Protocol):
    """What is worked on."""

    @property
    def key(self) -> str:
        """Tells it from the others."""

    @property
    def name(self) -> str:
        """What people call it."""


class Record(Protocol):
    """What became of an item."""

    @property
    def status(self) -> str:
        """``done``, ``skipped``, ``failed`` or ``interrupted``."""

    @property
    def summary(self) -> str:
        """With what, in a few words: what was made, or why not."""


ItemT = TypeVar("ItemT", bound=Item)
RecordT = TypeVar("RecordT", bound=Record)
_In = TypeVar("_In", contravariant=True)
_Out = TypeVar("_Out", covariant=True)


class Reporter:
    """What an item's work tells those who listen, and where it hears that it should end.

    Parameters
    ----------
    key : str
        Of the item.
    emit : callable
        Listener.
    stop : Event
        Set when the run should end.
    """

    def __init__(self, key: str, emit: Callable[[BatchEvent], None], stop: Any) -> None:
        self._key, self._emit, self._stop = key, emit, stop
        self._said = 0.0

    def phase(self, name: str, n_steps: int = 0) -> None:
        """A phase begins."""
        self.check()
        self._emit(StepsStarted(self._key, name, n_steps))

    def done(self, n: int) -> None:
        """So many steps of the phase are done."""
        now = time.monotonic()
        if now - self._said >= _SAY_EVERY_S:
            self._said = now
            self.check()
            self._emit(StepsDone(self._key, n))

    def check(self) -> None:
        """Raise :class:`~qpmask.errors.Interrupted` if the run should end."""
        if self._stop.is_set():
            raise Interrupted("The run was interrupted.")


class EndsRun(Exception):  # noqa: N818 - no error of its own: it carries one
    """What a work raises where nothing of the run can be done: an extractor that cannot be loaded.

    It leaves :meth:`Batch.run`; whoever called that raises `error`.
    """

    def __init__(self, error: QpmaskError) -> None:
        super().__init__(error)
        self.error = error


class Work(Protocol[_In, _Out]):
    """What a batch does; it may be pickled, so that processes get one each."""

    def standing(self, item: _In) -> _Out | None:
        """Record of an item that needs no work: it stands already, or can only fail."""

    def do(self, item: _In, reporter: Reporter) -> _Out:
        """Do one item, and leave nothing half done whatever happens."""

    def record(self, item: _In, status: str, error: QpmaskError | str) -> _Out:
        """Record of an item that came to nothing."""


def attempt(
    work: Work[ItemT, RecordT], item: ItemT, emit: Callable[[BatchEvent], None], stop: Any
) -> RecordT:
    """Do one item; whatever goes wrong ends up in its record, but what ends the run."""
    emit(ItemStarted(item.key, item.name))
    try:
        return work.do(item, Reporter(item.key, emit, stop))
    except EndsRun:
        raise
    except Interrupted as error:
        return work.record(item, "interrupted", error)
    except QpmaskError as error:
        return work.record(item, "failed", error)
    except MemoryError:
        return work.record(item, "failed", "Python ran out of memory.")
    except OSError as error:
        return work.record(item, "failed", f"{error}.")
    except Exception as error:  # a mistake of ours must not cost the other items
        log.debug("while working on %s", item.name, exc_info=error)
        return work.record(
            item,
            "failed",
            f"qpmask did not expect this ({type(error).__name__}: {error}). Please report it, "
            "with what -v shows.",
        )


def settle(
    work: Work[ItemT, RecordT], item: ItemT, emit: Callable[[BatchEvent], None], stop: Any
) -> RecordT:
    """Do one item unless it stands."""
    return _standing(work, item) or attempt(work, item, emit, stop)


def _standing(work: Work[ItemT, RecordT], item: ItemT) -> RecordT | None:
    try:
        return work.standing(item)
    except Exception as error:  # doing it comes to the same, and makes a record of it
        log.debug("while looking whether %s stands", item.name, exc_info=error)
        return None


class Batch(Generic[ItemT, RecordT]):
    """A work and its items.

    Parameters
    ----------
    work : Work
        What to do.
    items : sequence of Item
        To what.
    emit : callable
        Listener.
    stop : threading.Event
        Set it to end the run after the step it is at.
    elsewhere : callable, optional
        Does several items in other processes; gives each and its record as they come. By default
        they are done here, one after the other.
    """

    def __init__(
        self,
        work: Work[ItemT, RecordT],
        items: Sequence[ItemT],
        emit: BatchListener,
        stop: threading.Event,
        elsewhere: Callable[[list[ItemT]], Iterator[tuple[ItemT, RecordT]]] | None = None,
    ) -> None:
        self._work, self._items = work, items
        self._emit, self._stop, self._elsewhere = emit, stop, elsewhere
        self._records: dict[str, RecordT] = {}
        self.interrupted: BaseException | None = None

    def run(self) -> tuple[RecordT, ...]:
        """Do all of it. A record for each item, in their order; those not reached say so."""
        try:
            for item, record in self._all():
                self._records[item.key] = record
                self._emit(ItemFinished(item.key, item.name, record.status, record.summary))
                if record.status == "interrupted":
                    raise Interrupted("The run was interrupted.")
        except (Interrupted, KeyboardInterrupt) as error:
            self.interrupted = error
        return tuple(
            self._records.get(item.key)
            or self._work.record(item, "interrupted", "The run ended before this one.")
            for item in self._items
        )

    def _all(self) -> Iterator[tuple[ItemT, RecordT]]:
        todo = []
        for item in self._items:
            self._check()
            record = _standing(self._work, item)
            if record is None:
                todo.append(item)
            else:
                yield item, record
        if self._elsewhere is not None and len(todo) > 1:
            yield from self._elsewhere(todo)
            return
        for item in todo:
            self._check()
            yield item, attempt(self._work, item, self._emit, self._stop)

    def _check(self) -> None:
        if self._stop.is_set():
            raise Interrupted("The run was interrupted.")
