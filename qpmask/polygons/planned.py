"""Polygons of masks as a plan: a mask an item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar

from qpmask.batch.planned import (
    Desk,
    ItemMaker,
    Outcome,
    PlanItem,
    PlannedRun,
    Times,
    WorkMaker,
    by_key,
    outcome_of,
    plain,
    records_of,
)
from qpmask.common.frozen import dataclass
from qpmask.errors import OptionsError
from qpmask.geojson.write import WriteOptions
from qpmask.objectfiles.record import ObjectFileRecord, ObjectFileReport
from qpmask.objectfiles.run import RunOptions, work_of
from qpmask.objectfiles.work import FileItem, ObjectFileWork
from qpmask.outputs import REPORT_JSON, OutputWriter, path_bytes
from qpmask.polygons.masks import MaskTracer
from qpmask.polygons.trace import TraceOptions


@dataclass(frozen=True)
class PlannedPolygons(PlannedRun[ObjectFileReport]):
    """Polygons of masks.

    Attributes
    ----------
    masks : tuple of Path
        The masks, in the order of the items.
    trace : TraceOptions
        What becomes of a mask.
    options : RunOptions
        Where files go, and how they are written.
    """

    command: ClassVar[str] = "polygons"
    word: ClassVar[str] = "mask"

    masks: tuple[Path, ...]
    trace: TraceOptions
    options: RunOptions

    def data(self) -> dict[str, Any]:
        """All that decides the files, as plain data."""
        options = self.options
        return {
            "masks": [str(path) for path in self.masks],
            "trace": plain(self.trace),
            "write": {k: v for k, v in asdict(options.write).items() if k != "members"},
            "suffix": options.suffix,
            "force": options.force,
        }

    @classmethod
    def from_data(
        cls, folders: tuple[Path, ...], items: tuple[PlanItem, ...], data: Mapping[str, Any]
    ) -> PlannedPolygons:
        """What :meth:`data` made plain."""
        trace = {**data["trace"], "classes": tuple(data["trace"]["classes"])}
        write = WriteOptions(**data["write"])
        return cls(
            folders,
            items,
            tuple(Path(path) for path in data["masks"]),
            TraceOptions(**trace),
            RunOptions(folders[0], write, data["suffix"], data["force"], word=cls.word),
        )

    def _sources(self) -> list[FileItem]:
        return [FileItem(path) for path in self.masks]

    def _work(self) -> ObjectFileWork[FileItem]:
        return work_of(MaskTracer(self.trace), self._sources(), self.options)

    def maker(self, desk: Desk) -> ItemMaker:
        """What traces masks in this process."""
        return WorkMaker(self._work(), desk, by_key(self.items, self._sources()))

    def lost(self, item: PlanItem, why: str) -> Outcome:
        """The outcome of a mask whose process died."""
        return outcome_of(_record(by_key(self.items, self._sources())[item.key], "failed", why))

    def report(
        self, folder: OutputWriter, found: Sequence[Mapping[str, Any] | None], times: Times
    ) -> ObjectFileReport:
        """Write report.json."""
        records = records_of(found, self._sources(), ObjectFileRecord, _record, _gone)
        interrupted = any(record.status == "interrupted" for record in records)
        report = ObjectFileReport(self.out, times.started, times.seconds, records, interrupted)
        folder.write_json(REPORT_JSON, report.as_dict())
        return report


def _gone(source: FileItem, record: ObjectFileRecord) -> str | None:
    if record.file is None or Path(record.file).is_file():
        return None
    return f"Its file {record.file} is gone; it was made."


def _record(source: FileItem, status: str, why: str) -> ObjectFileRecord:
    return ObjectFileRecord(source.key, source.name, status, error=why)


def plan_polygons_run(
    masks: Sequence[FileItem], trace: TraceOptions, options: RunOptions
) -> PlannedPolygons:
    """Plan polygons for tasks. Writes nothing.

    Raises
    ------
    OptionsError
        They are to go into one file.
    """
    if options.is_file:
        raise OptionsError(
            f"{options.out} is one file, which tasks cannot share.", hint="Name a folder."
        )
    out = options.out.expanduser().absolute()
    sources = [replace(source, path=source.path.expanduser().absolute()) for source in masks]
    items = tuple(
        PlanItem(str(number), source.name, round(path_bytes(source.path) / 1e6, 6))
        for number, source in enumerate(sources, 1)
    )
    paths = tuple(source.path for source in sources)
    return PlannedPolygons((out,), items, paths, trace, replace(options, out=out))
