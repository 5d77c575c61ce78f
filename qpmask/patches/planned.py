"""Patches as a plan: a slide an item; of a project, its mask is made with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from qpmask.batch.batch import settle
from qpmask.batch.planned import (
    Desk,
    ItemMaker,
    Outcome,
    PlanItem,
    PlannedRun,
    Times,
    by_key,
    flat,
    plain,
    records_of,
)
from qpmask.common.frozen import dataclass
from qpmask.outputs import OutputWriter
from qpmask.patches.h5file import require_h5py
from qpmask.patches.job import PatchWork
from qpmask.patches.options import PatchOptions, patch_options
from qpmask.patches.precheck import check_classes
from qpmask.patches.report import PatchRecord, PatchReport
from qpmask.patches.run import (
    MASKS_FOLDER,
    PathLike,
    export_of,
    options_data,
    plan_patches,
    with_mask_of,
    write_report,
)
from qpmask.patches.sources import SlideSource, cost_of

if TYPE_CHECKING:
    from qpmask.export.planned import PlannedExport

_NO_PATHS = ("auto", "annotations", "none", "sam2")  # what --tissue may be beside a path


@dataclass(frozen=True)
class PlannedPatches(PlannedRun[PatchReport]):
    """Patches of slides; their names, masks and pixel sizes are fixed.

    Attributes
    ----------
    options : PatchOptions
        What is asked for.
    sources : tuple of SlideSource
        The slides, in the order of the items; those of a project without their entries.
    project : Path or None
        The project, if they are of one.
    masks : PlannedExport or None
        The export of the project's masks, into a folder of the output.
    """

    command: ClassVar[str] = "patches"
    word: ClassVar[str] = "slide"

    options: PatchOptions
    sources: tuple[SlideSource, ...]
    project: Path | None = None
    masks: PlannedExport | None = None

    @property
    def source(self) -> str:
        """The project."""
        return str(self.project or "")

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the plan of the masks found."""
        return () if self.masks is None else self.masks.warnings

    def data(self) -> dict[str, Any]:
        """All that decides the patches, as plain data."""
        return {
            "options": flat(plain(self.options), "grid", "choice"),
            "sources": [
                plain([s.key, s.name, s.path, s.mask, s.mpp, s.error]) for s in self.sources
            ],
            "project": None if self.project is None else str(self.project),
            "masks": None if self.masks is None else self.masks.data(),
            "masks_of": [] if self.masks is None else [item.key for item in self.masks.items],
        }

    @classmethod
    def from_data(
        cls, folders: tuple[Path, ...], items: tuple[PlanItem, ...], data: Mapping[str, Any]
    ) -> PlannedPatches:
        """What :meth:`data` made plain."""
        options = dict(data["options"])
        for name in ("masks", "classes"):
            options[name] = _path(options[name])
        options["slides"] = tuple(Path(folder) for folder in options["slides"])
        sources = tuple(
            SlideSource(key, name, _path(path), mask=_path(mask), mpp=mpp, error=error)
            for key, name, path, mask, mpp, error in data["sources"]
        )
        masks = None
        if data["masks"] is not None:
            from qpmask.export.planned import PlannedExport

            wanted = set(data["masks_of"])
            of_masks = tuple(item for item in items if item.key in wanted)
            masks = PlannedExport.from_data(folders[1:], of_masks, data["masks"])
        return cls(folders, items, patch_options(**options), sources, _path(data["project"]), masks)

    def prepare(self, folder: OutputWriter) -> None:
        """Write the class map of the masks."""
        if self.masks is not None:
            self.masks.prepare(OutputWriter(self.masks.out))

    def maker(self, desk: Desk) -> ItemMaker:
        """What cuts slides in this process."""
        return _PatchMaker(self, desk)

    def lost(self, item: PlanItem, why: str) -> Outcome:
        """The outcome of a slide whose process died."""
        source = by_key(self.items, self.sources)[item.key]
        return _outcome(self._work().record(source, "failed", why), None)

    def report(
        self, folder: OutputWriter, found: Sequence[Mapping[str, Any] | None], times: Times
    ) -> PatchReport:
        """Write report.json and report.csv, and those of the masks."""
        warnings: tuple[str, ...] = ()
        if self.masks is not None:
            of_key = by_key(self.items, (None if data is None else data["mask"] for data in found))
            of_masks = [of_key[item.key] for item in self.masks.items]
            writer = OutputWriter(self.masks.out)
            warnings = self.masks.report(writer, of_masks, times).warnings
        told = [None if data is None else data["record"] for data in found]
        records = records_of(told, self.sources, PatchRecord, self._work().record, self._gone)
        report = PatchReport(
            output=self.out,
            started=times.started,
            seconds=times.seconds,
            options=options_data(self.options),
            records=records,
            warnings=warnings,
            interrupted=any(record.status == "interrupted" for record in records),
        )
        write_report(folder, report)
        return report

    def _gone(self, source: SlideSource, record: PatchRecord) -> str | None:
        if record.file is None or (self.out / record.file).is_file():
            return None
        return f"Its patch file {record.file} is gone; it was made."

    def _work(self, scratch: Path | None = None) -> PatchWork:
        return PatchWork(self.options, self.out, scratch)


def plan_patches_run(
    inputs: PathLike | Sequence[PathLike], out: PathLike, options: PatchOptions
) -> PlannedPatches:
    """Plan patches for tasks; takes what :func:`qpmask.make_patches` takes. Writes nothing.

    Raises
    ------
    QpmaskError
        As :func:`qpmask.make_patches`.
    """
    require_h5py()
    folder = Path(out).expanduser().absolute()
    plan = plan_patches(inputs, _with_whole_paths(options))
    export = export_of(plan)
    masks = None
    if export is not None:
        from qpmask.export.planned import plan_export_run

        masks = plan_export_run(export[0], folder / MASKS_FOLDER, plan.options.classes, export[1])
        check_classes(plan.options.choice, [entry.name for entry in masks.classes.entries])
    is_project = plan.project is not None
    items = tuple(
        PlanItem(source.key if is_project else str(number), source.name, cost_of(source))
        for number, source in enumerate(plan.sources, 1)
    )
    return PlannedPatches(
        (folder,) if masks is None else (folder, masks.out),
        items,
        plan.options,
        tuple(replace(source, entry=None) for source in plan.sources),
        None if plan.project is None else plan.project.path.absolute(),
        masks,
    )


def _with_whole_paths(options: PatchOptions) -> PatchOptions:
    """The options with paths that hold in any working folder."""
    choice = options.choice
    if choice.tissue not in _NO_PATHS:
        choice = replace(choice, tissue=str(Path(choice.tissue).expanduser().absolute()))
    if choice.sam2 is not None and Path(choice.sam2).expanduser().exists():
        choice = replace(choice, sam2=str(Path(choice.sam2).expanduser().absolute()))
    return replace(options, choice=choice)


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _outcome(record: PatchRecord, mask: Mapping[str, Any] | None) -> Outcome:
    data = {"record": record.as_dict(), "mask": mask}
    return Outcome(record.status, record.ok, record.summary, data)


class _PatchMaker:
    """Cuts slides of a plan; of a project, makes their masks first."""

    def __init__(self, run: PlannedPatches, desk: Desk) -> None:
        self._run, self._desk = run, desk
        self._work = run._work(desk.scratch)
        keys = (item.key for item in run.items)
        self._sources = dict(zip(keys, run.sources, strict=True))
        self._entries = {}
        self._masks: ItemMaker | None = None
        self._with_mask = set()
        if run.project is not None:
            from qpmask.project import open_project

            self._entries = {entry.id: entry for entry in open_project(run.project).images}
        if run.masks is not None:
            self._with_mask = {item.key for item in run.masks.items}
            self._masks = run.masks.maker(desk)

    def make(self, item: PlanItem) -> Outcome:
        """Cut a slide, unless its patch file holds."""
        source = self._sources[item.key]
        if self._run.project is not None:
            source = replace(source, entry=self._entries.get(item.key))
            if source.entry is None and source.error is None:
                source = replace(source, error=f"It is not in {self._run.project} any more.")
        mask = None
        if self._masks is not None and item.key in self._with_mask:
            from qpmask.report import ImageRecord

            made = self._masks.make(item)
            if made.status == "interrupted":
                return Outcome("interrupted", False, made.summary, {})
            mask = made.data
            record = ImageRecord.from_dict(mask["record"])
            source = with_mask_of(source, record, self._run.out)
        desk = self._desk
        return _outcome(settle(self._work, source, desk.emit, desk.stop), mask)

    def close(self) -> None:
        """End what draws masks."""
        if self._masks is not None:
            self._masks.close()
