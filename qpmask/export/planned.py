"""An export as a plan: labels, options and engine fixed, an image an item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from qpmask.batch.planned import (
    NOT_DONE,
    Desk,
    Outcome,
    PlanItem,
    PlannedRun,
    Times,
    flat,
    plain,
)
from qpmask.classes import ClassMap, class_map_from_dict
from qpmask.common.frozen import dataclass
from qpmask.engines.base import EngineInfo
from qpmask.engines.choice import EngineChoice, make_engines
from qpmask.errors import (
    EngineUnavailableError,
    OptionsError,
    ProjectError,
    QpmaskError,
    UnmappedClassError,
)
from qpmask.export.images import ShareMaker
from qpmask.export.precheck import Classes, decided
from qpmask.export.runreport import beside_findings, options_data, write_report
from qpmask.options import ExportOptions, export_options
from qpmask.outputs import CLASSES_FILE, SUFFIX_OF_FORMAT, OutputWriter, mask_names
from qpmask.plan import ImagePlan, Plan, make_plan
from qpmask.project import ImageEntry, Project, open_project
from qpmask.report import ImageRecord, Report

# What an image is thought to cost, in seconds of one core, as measured for the native engine.
_S_PER_GIGAPIXEL = 0.35
_S_PER_OBJECT = 2.5e-5
_S_PER_IMAGE = 0.03


@dataclass(frozen=True)
class PlannedExport(PlannedRun[Report]):
    """An export; its items are images, by their entry ids.

    Attributes
    ----------
    project : Path
        The project.
    classes : ClassMap
        Labels, fixed for all images.
    options : ExportOptions
        What is drawn and how.
    choice : EngineChoice
        What draws.
    pixel_rules : str or None
        The family of QuPath versions whose pixels are drawn; None where only a machine that has
        the engine can tell.
    findings : tuple of str
        What the plan found.
    nothing_drawn : bool
        Whether there are objects, and none is drawn in any image.
    """

    command: ClassVar[str] = "export"
    word: ClassVar[str] = "image"

    project: Path
    classes: ClassMap
    options: ExportOptions
    choice: EngineChoice
    pixel_rules: str | None = None
    findings: tuple[str, ...] = ()
    nothing_drawn: bool = False

    @property
    def source(self) -> str:
        """The project."""
        return str(self.project)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the plan found."""
        return self.findings

    def data(self) -> dict[str, Any]:
        """All that decides the masks, as plain data."""
        return {
            "project": str(self.project),
            "options": flat(plain(self.options), "render", "file"),
            "classes": self.classes.as_dict(),
            "engine": self.choice._asdict(),
            "pixel_rules": self.pixel_rules,
            "findings": list(self.findings),
            "nothing_drawn": self.nothing_drawn,
        }

    @classmethod
    def from_data(
        cls, folders: tuple[Path, ...], items: tuple[PlanItem, ...], data: Mapping[str, Any]
    ) -> PlannedExport:
        """What :meth:`data` made plain."""
        classes = data["classes"]
        return cls(
            folders,
            items,
            Path(data["project"]),
            replace(class_map_from_dict(classes, "the plan"), origin=classes["origin"]),
            export_options(**data["options"]),
            EngineChoice(**data["engine"]),
            data["pixel_rules"],
            tuple(data["findings"]),
            bool(data["nothing_drawn"]),
        )

    def prepare(self, folder: OutputWriter) -> None:
        """Write the class map."""
        folder.write_text(CLASSES_FILE, self.classes.to_yaml())

    def maker(self, desk: Desk) -> ExportMaker:
        """What makes masks in this process."""
        return ExportMaker(self, desk)

    def lost(self, item: PlanItem, why: str) -> Outcome:
        """The outcome of an image whose process died."""
        return self.outcome(ImageRecord(item.key, item.name, "failed", error=why))

    def outcome(self, record: ImageRecord, engine: EngineInfo | None = None) -> Outcome:
        """A record as an outcome."""
        summary = record.error or (
            f"holds already ({record.mask})"
            if record.status == "skipped"
            else f"{record.mask} in {record.seconds:.1f} s"
        )
        data = {"record": record.as_dict(), "engine": None if engine is None else asdict(engine)}
        return Outcome(record.status, record.ok, summary, data, record)

    def report(
        self, folder: OutputWriter, found: Sequence[Mapping[str, Any] | None], times: Times
    ) -> Report:
        """Write report.json, report.csv, areas.csv and classes.yaml."""
        records = tuple(
            self._record(item, data) for item, data in zip(self.items, found, strict=True)
        )
        drawn = next((data["engine"] for data in found if data and data["engine"]), None)
        return self.reported(folder, records, EngineInfo(**drawn) if drawn else None, times)

    def reported(
        self,
        folder: OutputWriter,
        records: tuple[ImageRecord, ...],
        engine: EngineInfo | None,
        times: Times,
        trouble: Sequence[str] = (),
    ) -> Report:
        """Write the report of some records.

        Parameters
        ----------
        folder : OutputWriter
            The output folder.
        records : tuple of ImageRecord
            What became of each image.
        engine : EngineInfo or None
            What drew them.
        times : Times
            Of the run.
        trouble : sequence of str
            What went wrong beside the masks.
        """
        mine = {record.mask for record in records if record.mask is not None}
        beside = beside_findings(self.out, self.classes, mine, nothing_drawn=self.nothing_drawn)
        report = Report(
            project=self.project,
            output=self.out,
            engine=engine,
            engine_reason=self.choice.reason,
            started=times.started,
            seconds=times.seconds,
            options=options_data(self.options),
            classes=self.classes.as_dict(),
            records=records,
            warnings=(*self.findings, *beside, *trouble),
            interrupted=any(record.status == "interrupted" for record in records),
            nothing_drawn=self.nothing_drawn,
        )
        write_report(folder, report, self.classes)
        return report

    def _record(self, item: PlanItem, data: Mapping[str, Any] | None) -> ImageRecord:
        if data is None:
            return ImageRecord(item.key, item.name, "interrupted", error=NOT_DONE)
        record = ImageRecord.from_dict(data["record"])
        if record.mask is not None and not (self.out / record.mask).exists():
            gone = f"Its mask {record.mask} is gone; it was made."
            return ImageRecord(item.key, item.name, "failed", error=gone)
        return record


def plan_export_run(
    project: Project | Path,
    out: Path,
    classes: Classes = None,
    options: ExportOptions | None = None,
) -> PlannedExport:
    """Plan an export for tasks; takes what :func:`qpmask.export_masks` takes. Writes nothing.

    Raises
    ------
    QpmaskError
        As :func:`qpmask.export_masks`; :class:`OptionsError` for what tasks cannot share.
    """
    options = options or ExportOptions()
    if options.previews:
        raise OptionsError(
            "Previews are made by one run.", hint="Leave --previews out; export again with it."
        )
    out = out.expanduser().absolute()
    plan, choice = decided(project, out, classes, options)
    try:
        rules = make_engines(choice, options)[0].probe().pixel_rules
    except EngineUnavailableError:  # those that draw may have it
        rules = None
    items = tuple(PlanItem(p.entry.id, p.entry.name, cost_of(p)) for p in plan.images)
    return of_plan(plan, items, choice, rules, out)


def of_plan(
    plan: Plan,
    items: tuple[PlanItem, ...],
    choice: EngineChoice,
    pixel_rules: str | None,
    out: Path,
) -> PlannedExport:
    """The export of a plan, for several processes."""
    return PlannedExport(
        (out,),
        items,
        plan.project.path.absolute(),
        plan.class_map,
        plan.options,
        choice,
        pixel_rules,
        plan.findings,
        plan.nothing_drawn,
    )


def cost_of(image: ImagePlan) -> float:
    """What an image is thought to take, in seconds of one core."""
    job = image.job
    if job is None:
        return 0.0
    pixels = job.size.area_px * job.n_channels * job.entry.size_z * job.entry.size_t
    return round(_S_PER_IMAGE + _S_PER_GIGAPIXEL * pixels / 1e9 + _S_PER_OBJECT * image.drawn, 4)


class ExportMaker:
    """Makes masks of a plan's images; reads each image when it is at it, unless it is handed it."""

    def __init__(self, run: PlannedExport, desk: Desk) -> None:
        self._run, self._desk = run, desk
        self._options = replace(run.options, images=(), workers=1)
        # Not one that follows the project: each task would add other classes to it.
        self._classes = replace(run.classes, origin="plan")
        self._maker: ShareMaker | None = None

    def make(self, item: PlanItem) -> Outcome:
        """Make the mask of an image, unless one stands that holds."""
        try:
            image = item.source or self._planned(item)
            record = self._started().make(image)
        except EngineUnavailableError:
            raise  # of this machine
        except QpmaskError as error:
            record = ImageRecord(
                item.key, item.name, "failed", error=str(error), error_type=type(error).__name__
            )
        return self._run.outcome(record, None if self._maker is None else self._maker.info)

    @cached_property
    def _project(self) -> Project:
        return open_project(self._run.project)

    @cached_property
    def _entries(self) -> dict[str, ImageEntry]:
        return {entry.id: entry for entry in self._project.images}

    @cached_property
    def _names(self) -> dict[str, str]:
        return mask_names(self._project.images, SUFFIX_OF_FORMAT[self._run.options.file.format])

    def _planned(self, item: PlanItem) -> ImagePlan:
        entry = self._entries.get(item.key)
        if entry is None:
            raise ProjectError(f"It is not in {self._run.project} any more.")
        # Of this image alone: what a plan does for all of a project would be done again for each.
        alone = replace(self._project, images=(entry,))
        try:
            plan = make_plan(alone, self._classes, self._options)
        except UnmappedClassError as error:
            raise OptionsError(error.message, hint="Make the plan anew.") from error
        return replace(plan.images[0], mask_name=self._names[item.key])

    def _started(self) -> ShareMaker:
        if self._maker is None:
            # Of the project, who draws asks for its path alone; to read it takes a while.
            project = Project(self._run.project, None, "", (), ())
            plan = Plan(project, self._classes, self._options, (), ())
            writer = OutputWriter(self._run.out, self._desk.scratch)
            maker = ShareMaker(plan, self._run.choice, writer, self._desk)
            self._check_rules(maker.info)
            self._maker = maker
        return self._maker

    def _check_rules(self, info: EngineInfo) -> None:
        planned = self._run.pixel_rules
        if planned is not None and info.pixel_rules != planned:
            raise EngineUnavailableError(
                f"{info} on this machine draws other pixels ({info.pixel_rules}) than the plan "
                f"says ({planned}).",
                hint="Use one version of QuPath on all machines, or make the plan anew.",
            )

    def close(self) -> None:
        """End the engine."""
        if self._maker is not None:
            self._maker.close()
