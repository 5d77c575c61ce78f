"""All objects of a project -> one GeoParquet file: one row an object, image by image.

The images are read twice, unless there is one: first for what was measured in any of them, which
becomes the columns. So memory is that of one image, whatever the number of rows.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from qpmask._version import __version__
from qpmask.annotations.images import ImageSource, ObjectReader
from qpmask.batch import Batch, Reporter
from qpmask.errors import ObjectFileError, OutputError, QpmaskError
from qpmask.events import BatchListener, BatchStarted
from qpmask.imageobjects import ObjectTable, no_measurements
from qpmask.objectfiles.geoparquet import TableWriter, read_members
from qpmask.objectfiles.record import ObjectFileRecord, ObjectFileReport
from qpmask.objectfiles.work import FileItem, Made, count_classes
from qpmask.objectfiles.writing import new_file

_MEMBER = "qpmask"


@dataclass(frozen=True)
class TableWork:
    """Makes the file; see :class:`qpmask.batch.Work`.

    Attributes
    ----------
    reader : ObjectReader
        Reads the objects of an image.
    sources : tuple of ImageSource
        The images.
    measurements : bool
        Whether measurements become columns.
    force : bool
        Whether a file is replaced that still holds, or that is not of qpmask.
    """

    reader: ObjectReader
    sources: tuple[ImageSource, ...]
    measurements: bool = True
    force: bool = False

    def standing(self, item: FileItem) -> ObjectFileRecord | None:
        """The record of a file that still holds, or must not be replaced."""
        if self.force or not item.path.exists():
            return None
        said = read_members(item.path).get(_MEMBER)
        if not isinstance(said, dict):
            strange = OutputError(
                f"{item.path} is there, and does not say that qpmask made it.",
                hint="Use --force to replace it, or another name.",
            )
            return self.record(item, "failed", strange)
        if said.get("made_from") != self._made_from():
            return None
        return _described(item, "skipped", said)

    def do(self, item: FileItem, reporter: Reporter) -> ObjectFileRecord:
        """Make it."""
        began = time.monotonic()
        made_from = self._made_from()
        warnings: list[str] = []
        measured: dict[str, None] = {}
        has_nuclei = False
        kept: Made | None = None
        reporter.phase("reading", len(self.sources))
        for n, source in enumerate(self.sources, 1):
            kept = self._read(source, reporter)
            table = kept.table
            has_nuclei |= bool((table.nucleus >= 0).any())
            used = np.unique(table.measurements.name).tolist()
            measured.update(dict.fromkeys(table.measurements.names[i] for i in used))
            warnings += [f"{source.name}: {warning}" for warning in kept.warnings]
            if ((table.parent >= 0) & (table.ids[table.parent] == b"")).any():
                warnings.append(f"{source.name}: its objects have no ids, so none has a parent.")
            reporter.done(n)
        n_objects = n_vertices = 0
        classes: Counter[str] = Counter()
        reporter.phase("writing", len(self.sources))
        item.path.parent.mkdir(parents=True, exist_ok=True)
        with new_file(item.path) as file, TableWriter(
            file, measured, has_nuclei=has_nuclei
        ) as writer:  # fmt: skip
            for n, source in enumerate(self.sources, 1):
                if kept is None or len(self.sources) > 1:
                    kept = self._read(source, reporter)
                for _ in writer.write(kept.table, source.name, source.entry.id):
                    reporter.check()
                n_objects += len(kept.table)
                n_vertices += len(kept.table.geometries.xy_px0)
                classes.update(count_classes(kept.table))
                reporter.done(n)
            if self._made_from() != made_from:  # the columns are of the first time
                raise ObjectFileError(
                    "The project was changed while it was read.", hint="Run the same command again."
                )
            said = {
                "version": __version__,
                "objects": n_objects,
                "vertices": n_vertices,
                "classes": dict(classes.most_common()),
                "made_from": made_from,
            }
            writer.finish({_MEMBER: said})
        record = _described(item, "done", said)
        seconds = round(time.monotonic() - began, 3)
        return replace(record, seconds=seconds, warnings=tuple(warnings))

    def _read(self, source: ImageSource, reporter: Reporter) -> Made:
        reporter.check()
        try:
            made = self.reader.read(source)
        except QpmaskError as error:
            raise ObjectFileError(
                f"{source.entry.label}: {error}",
                hint="Leave it out (--images), or mend it. Nothing was written.",
            ) from error
        if not self.measurements:
            bare: ObjectTable = replace(made.table, measurements=no_measurements(len(made.table)))
            made = replace(made, table=bare)
        return made

    def record(self, item: FileItem, status: str, error: QpmaskError | str) -> ObjectFileRecord:
        """Record of a file that came to nothing."""
        kind = type(error).__name__ if isinstance(error, QpmaskError) else None
        return ObjectFileRecord(item.key, item.name, status, error=str(error), error_type=kind)

    def plan(self, item: FileItem) -> ObjectFileRecord:
        """What a run would do. Writes nothing."""
        try:
            self._made_from()
            standing = self.standing(item)
        except QpmaskError as error:
            return self.record(item, "failed", error)
        return standing or ObjectFileRecord(item.key, item.name, "planned", str(item.path))

    def _made_from(self) -> dict[str, Any]:
        """All that decides its content, as plain data."""
        images = {s.key: [s.name, self.reader.made_from(s)["data"]] for s in self.sources}
        colors = [[name, None if c is None else list(c)] for name, c in self.reader.colors]
        return {
            "images": images,
            "objects": list(self.reader.kinds),
            "colors": colors,
            "measurements": self.measurements,
            "exact": self.reader.exact,
        }


def _described(item: FileItem, status: str, said: dict[str, Any]) -> ObjectFileRecord:
    return ObjectFileRecord(
        item.key, item.name, status,
        file=str(item.path),
        objects=said.get("objects"),
        vertices=said.get("vertices"),
        classes=said.get("classes") or {},
        bytes=item.path.stat().st_size,
    )  # fmt: skip


def make_table(
    work: TableWork,
    path: Path,
    progress: BatchListener | None = None,
    stop: threading.Event | None = None,
) -> ObjectFileReport:
    """Write the objects of a project as GeoParquet, whole or not at all."""
    started, clock = datetime.now(timezone.utc), time.monotonic()
    emit = progress or (lambda event: None)
    emit(BatchStarted(f"Objects of {len(work.sources)} images to {path}", 1, "file"))
    items: Sequence[FileItem] = [FileItem(path)]
    batch: Batch[FileItem, ObjectFileRecord] = Batch(work, items, emit, stop or threading.Event())
    records = batch.run()
    report = ObjectFileReport(
        path,
        started.isoformat(timespec="seconds"),
        time.monotonic() - clock,
        records,
        batch.interrupted is not None,
    )
    if isinstance(batch.interrupted, KeyboardInterrupt):
        raise batch.interrupted
    return report
