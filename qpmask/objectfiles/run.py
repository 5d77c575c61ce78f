"""A run: sources -> files of objects, in one file or in a folder."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from qpmask.batch import Batch
from qpmask.batch.batch import Item
from qpmask.cluster.processes import by_workers
from qpmask.errors import OptionsError
from qpmask.events import BatchEvent, BatchListener, BatchStarted
from qpmask.geojson.write import WriteOptions
from qpmask.objectfiles.record import ObjectFileRecord, ObjectFileReport
from qpmask.objectfiles.work import Maker, ObjectFileWork
from qpmask.objectfiles.writing import SUFFIXES
from qpmask.outputs import REPORT_JSON, OutputFolder, slide_stem


@dataclass(frozen=True)
class RunOptions:
    """Where files of objects go, and how.

    Attributes
    ----------
    out : Path
        A file, if there is one source and the name ends as those of files of objects; else a
        folder.
    write : WriteOptions
        How they are written.
    suffix : str
        Ending of the files of a folder.
    force : bool
        Whether files are replaced that still hold, or that are not of qpmask.
    workers : int
        Processes.
    word : str
        What a source is called: "mask".
    """

    out: Path
    write: WriteOptions
    suffix: str = ".geojson"
    force: bool = False
    workers: int = 1
    word: str = "mask"

    @property
    def is_file(self) -> bool:
        """Whether one file is made."""
        return self.out.name.lower().endswith(SUFFIXES) and not self.out.is_dir()


def plan_files(
    maker: Maker[Any], sources: Sequence[Item], options: RunOptions
) -> tuple[ObjectFileRecord, ...]:
    """What a run would do. Writes nothing."""
    work: ObjectFileWork[Any] = work_of(maker, sources, options)
    return tuple(work.plan(source) for source in sources)


def make_files(
    maker: Maker[Any],
    sources: Sequence[Item],
    options: RunOptions,
    progress: BatchListener | None = None,
    stop: threading.Event | None = None,
) -> ObjectFileReport:
    """Make a file of objects of each source; one that fails does not keep the others from it.

    A folder gets a ``report.json`` too.

    Raises
    ------
    OptionsError
        Several sources are to go into one file.
    OutputError
        The folder cannot be written to, or another run does.
    """
    started, clock = datetime.now(timezone.utc), time.monotonic()
    work: ObjectFileWork[Any] = work_of(maker, sources, options)
    emit: Callable[[BatchEvent], None] = progress or (lambda event: None)
    with contextlib.ExitStack() as stack:
        folder = None if options.is_file else stack.enter_context(OutputFolder(options.out))
        emit(BatchStarted(f"Objects to {options.out}", len(sources), options.word))
        stop = stop or threading.Event()
        workers = None
        if folder is not None:
            workers = by_workers(work, options.workers, folder, emit, stop)
        batch = Batch(work, sources, emit, stop, workers)
        records = batch.run()
        error = batch.interrupted
        report = ObjectFileReport(
            options.out, started.isoformat(timespec="seconds"), time.monotonic() - clock,
            records, error is not None,
        )  # fmt: skip
        if folder is not None:
            folder.write_json(REPORT_JSON, report.as_dict())
    if isinstance(error, KeyboardInterrupt):
        raise error
    return report


def work_of(maker: Maker[Any], sources: Sequence[Item], options: RunOptions) -> ObjectFileWork[Any]:
    """The work of a run, which knows the file of each source."""
    if not sources:
        raise OptionsError(f"There is no {options.word} to read.")
    if options.is_file:
        if len(sources) > 1:
            raise OptionsError(
                f"{len(sources)} {options.word}s cannot go into one file, {options.out}.",
                hint="Name a folder, or choose one of them.",
            )
        targets = {sources[0].key: options.out}
    else:
        stems = {source.key: slide_stem(source.name) for source in sources}
        counts = Counter(stem.casefold() for stem in stems.values())
        taken = {folded for folded, count in counts.items() if count == 1}
        targets = {}
        for number, (key, stem) in enumerate(stems.items(), 1):
            if counts[stem.casefold()] > 1:
                stem += f"_{number}"
                while stem.casefold() in taken:  # another one is called so
                    stem += "_"
                taken.add(stem.casefold())
            targets[key] = options.out / f"{stem}{options.suffix}"
    return ObjectFileWork(maker, targets, options.write, options.force)
