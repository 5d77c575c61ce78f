"""What is done by others, here or elsewhere: a run and its items.

Each command that can be planned has a :class:`PlannedRun` in its room (``planned.py``), with all
that decides its results fixed; what does them in several processes or on many machines
(:mod:`qpmask.cluster`) knows no more of a command than this.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, field, is_dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

from qpmask.batch.batch import ItemT, Record, Work, settle
from qpmask.batch.report import record_from
from qpmask.common.frozen import dataclass
from qpmask.outputs import OutputWriter


@dataclass(frozen=True)
class PlanItem:
    """One thing of a plan that is done at a time.

    Attributes
    ----------
    key : str
        Tells it from the others of the plan; short.
    name : str
        As people know it.
    cost : float
        What it is thought to take, beside the others.
    claim : str
        What nobody else may be at meanwhile: the same for items that write the same file. By
        default the key.
    source : object
        What it stands for, where processes of this machine are handed it; no plan file holds it.
    """

    key: str
    name: str
    cost: float
    claim: str = ""
    source: Any = field(default=None, compare=False, repr=False)

    @property
    def claimed_as(self) -> str:
        """What is claimed for it."""
        return self.claim or self.key


@dataclass(frozen=True)
class Outcome:
    """What became of an item.

    Attributes
    ----------
    status : str
        ``done``, ``skipped``, ``failed`` or ``interrupted``.
    ok : bool
        Whether what was asked for is there.
    summary : str
        With what, in a few words.
    data : mapping
        All that the report needs to know of it, as plain data.
    record : Record or None
        The same as the room that made it has it; files do not hold it.
    """

    status: str
    ok: bool
    summary: str
    data: Mapping[str, Any]
    record: Any = field(default=None, compare=False)


class Times(NamedTuple):
    """When a run began (ISO 8601, UTC), and how long it took in seconds."""

    started: str
    seconds: float


class Desk(NamedTuple):
    """Where items are done.

    Attributes
    ----------
    scratch : Path
        A folder that no other process has, on the file system of the output.
    emit : callable
        Listener of events.
    stop : threading.Event
        Set when the work should end.
    n_beside : int
        How many processes of one run share this machine's cores and memory.
    """

    scratch: Path
    emit: Callable[[Any], None]
    stop: threading.Event
    n_beside: int = 1


class ItemMaker(Protocol):
    """Does items one after the other, and keeps what they have in common: an engine, a model."""

    def make(self, item: PlanItem) -> Outcome:
        """Do one, or see that it holds; whatever goes wrong with it alone is in the outcome."""

    def close(self) -> None:
        """Let go of all that is kept."""


class Run(Protocol):
    """What does items in any process; it is pickled, or made anew of a plan file."""

    def maker(self, desk: Desk) -> ItemMaker:
        """What does items in this process."""

    def lost(self, item: PlanItem, why: str) -> Outcome:
        """The outcome of an item whose process died."""


ReportT = TypeVar("ReportT")
RunT = TypeVar("RunT", bound="PlannedRun[Any]")


@dataclass(frozen=True)
class PlannedRun(ABC, Generic[ReportT]):
    """A command, its options and its items.

    Attributes
    ----------
    folders : tuple of Path
        All output folders, absolute; the first gets the report.
    items : tuple of PlanItem
        What is done, in the order of the report.
    """

    command: ClassVar[str]
    word: ClassVar[str]  #: what an item is called

    folders: tuple[Path, ...]
    items: tuple[PlanItem, ...]

    @property
    def out(self) -> Path:
        """The folder that gets the report, and what the work leaves on its way."""
        return self.folders[0]

    @property
    def source(self) -> str:
        """Of what the items are, for people; empty if there is nothing to say."""
        return ""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What people should know before."""
        return ()

    @abstractmethod
    def data(self) -> dict[str, Any]:
        """All else that decides the results, as plain data."""

    @classmethod
    @abstractmethod
    def from_data(
        cls: type[RunT],
        folders: tuple[Path, ...],
        items: tuple[PlanItem, ...],
        data: Mapping[str, Any],
    ) -> RunT:
        """What :meth:`data` made plain."""

    def prepare(self, folder: OutputWriter) -> None:
        """Write what the first folder gets before any item is done."""

    @abstractmethod
    def maker(self, desk: Desk) -> ItemMaker:
        """What does items in this process."""

    @abstractmethod
    def lost(self, item: PlanItem, why: str) -> Outcome:
        """The outcome of an item whose process died."""

    @abstractmethod
    def report(
        self, folder: OutputWriter, found: Sequence[Mapping[str, Any] | None], times: Times
    ) -> ReportT:
        """Write the one report, as a plain run does, and return it.

        Parameters
        ----------
        folder : OutputWriter
            The first folder.
        found : sequence of mapping or None
            ``data`` of the outcomes, in the order of the items; None where there is none yet.
        times : Times
            From the first item to the last.
        """


NOT_DONE = "No task has finished it."  #: why an item has no outcome, as reports say it


class WorkMaker(Generic[ItemT]):
    """Does items by a :class:`~qpmask.batch.Work`.

    Parameters
    ----------
    work : Work
        What is done to each.
    desk : Desk
        Where.
    sources : mapping of str to Item, optional
        What it is done to, by the key of the plan's item, where that has no source.
    """

    def __init__(
        self, work: Work[ItemT, Any], desk: Desk, sources: Mapping[str, ItemT] | None = None
    ) -> None:
        self._work, self._sources, self._desk = work, sources, desk

    def make(self, item: PlanItem) -> Outcome:
        """Do one, unless it stands."""
        source = item.source if self._sources is None else self._sources[item.key]
        return outcome_of(settle(self._work, source, self._desk.emit, self._desk.stop))

    def close(self) -> None:
        """Let go of what the work keeps."""
        close = getattr(self._work, "close", None)
        if close is not None:
            close()


@dataclass(frozen=True)
class WorkRun(Generic[ItemT]):
    """A :class:`~qpmask.batch.Work` as a run, of items that have their sources.

    Attributes
    ----------
    work : Work
        What is done to each.
    """

    work: Work[ItemT, Any]

    def maker(self, desk: Desk) -> ItemMaker:
        """What does the work in this process."""
        return WorkMaker(self.work, desk)

    def lost(self, item: PlanItem, why: str) -> Outcome:
        """The outcome of an item whose process died."""
        return outcome_of(self.work.record(item.source, "failed", why))


class _AnyRecord(Record, Protocol):
    @property
    def ok(self) -> bool: ...

    def as_dict(self) -> dict[str, Any]: ...


SourceT = TypeVar("SourceT")
RecordT = TypeVar("RecordT", bound=_AnyRecord)


def outcome_of(record: _AnyRecord) -> Outcome:
    """A record as an outcome; its data is the record's."""
    return Outcome(record.status, record.ok, record.summary, record.as_dict(), record)


def by_key(items: Sequence[PlanItem], sources: Iterable[SourceT]) -> dict[str, SourceT]:
    """What is worked on, by the keys of the plan's items; both in one order."""
    return {item.key: source for item, source in zip(items, sources, strict=True)}


def records_of(
    found: Sequence[Mapping[str, Any] | None],
    sources: Iterable[SourceT],
    kind: type[RecordT],
    came_to_nothing: Callable[[SourceT, str, str], RecordT],
    gone: Callable[[SourceT, RecordT], str | None],
) -> tuple[RecordT, ...]:
    """The records of a report, from what tasks told.

    Parameters
    ----------
    found : sequence of mapping or None
        As :meth:`PlannedRun.report` gets it.
    sources : iterable
        What was worked on, in the same order.
    kind : type
        Of the records.
    came_to_nothing : callable
        Makes a record of a source, a status and why.
    gone : callable
        Says why what a task made is not there any more; None where it is.
    """
    records = []
    for source, data in zip(sources, found, strict=True):
        if data is None:
            records.append(came_to_nothing(source, "interrupted", NOT_DONE))
            continue
        record = record_from(kind, data)
        why = gone(source, record) if record.ok else None
        records.append(record if why is None else came_to_nothing(source, "failed", why))
    return tuple(records)


def plain(value: Any) -> Any:
    """Options as data that JSON holds; paths absolute, since tasks have other working folders."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    return str(value.expanduser().absolute()) if isinstance(value, Path) else value


def flat(data: Mapping[str, Any], *parts: str) -> dict[str, Any]:
    """Plain options with those of some of their parts beside the others, as functions take them."""
    found = dict(data)
    for part in parts:
        found |= found.pop(part)
    return found
