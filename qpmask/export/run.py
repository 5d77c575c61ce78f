"""Joins all stages: project, classes, plan, engine, file, check, report.

The only module that knows them all. :func:`export_masks` is what the command line calls, and
nothing more. One image is the business of :mod:`qpmask.export.job`, processes that of
:mod:`qpmask.export.processes`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qpmask.classes import ClassMap, class_map_from_dict, class_names, load_class_map
from qpmask.common.arguments import check_callable, check_kind, named, path_of
from qpmask.common.words import masks_text
from qpmask.engines.base import Engine, EngineInfo
from qpmask.engines.choice import EngineChoice, choose_engine, make_counter, make_engines
from qpmask.errors import EngineUnavailableError, HiddenObjectsError, Interrupted, OutputError
from qpmask.events import (
    EngineReady,
    EngineStarting,
    ImageFinished,
    Listener,
    RunFinished,
    RunStarted,
    ignore,
)
from qpmask.export.job import MaskMaker
from qpmask.export.records import record_for, standing_record
from qpmask.options import ExportOptions
from qpmask.outputs import (
    AREAS_CSV,
    CLASSES_FILE,
    REPORT_CSV,
    REPORT_JSON,
    SIDECAR_SUFFIX,
    OutputFolder,
    OutputWriter,
    read_json,
)
from qpmask.plan import (
    NOTHING,
    ImagePlan,
    Plan,
    Standing,
    blanked_masks,
    foreign_masks,
    look_at,
    make_plan,
)
from qpmask.plan.classcheck import kept_choices
from qpmask.project import Project, open_project
from qpmask.report import CSV_COLUMNS, ImageRecord, Report
from qpmask.report.areas import area_table
from qpmask.report.hiddenobjects import check_hidden

if TYPE_CHECKING:
    from qpmask.export.previews import Previews

Classes = ClassMap | Mapping[str, int] | str | os.PathLike[str] | None


@named
def plan_export(
    project: Project | str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    classes: Classes = None,
    options: ExportOptions | None = None,
) -> Plan:
    """What :func:`export_masks` would do with the same arguments. Draws and writes nothing.

    Returns
    -------
    Plan
        One record an image with its size, classes, output name and findings, and with `out` what
        stands there already.

    Raises
    ------
    ProjectError, ClassMapError, OptionsError, OutputError
        As :func:`export_masks`.
    """
    folder = None if out is None else path_of(out, "out").expanduser()
    options = _options(options)
    plan = _plan(project, folder, classes, options)
    if folder is None and all(job.fits_qupath for job in plan.jobs):
        return plan
    choice: EngineChoice | None
    rules: str | None
    try:
        choice = choose_engine(options, plan.jobs)
        rules = make_engines(choice, options)[0].probe().pixel_rules
    except EngineUnavailableError:
        choice, rules = None, None
    plan = _with_finding(plan, choice)
    if folder is None:
        return plan
    _check_out(folder, plan, options)
    verified = options.engine == "both"
    standing = (
        look_at(p, plan.class_map, rules, folder, verified=verified, force=options.force)
        for p in plan.images
    )
    images = (replace(p, standing=s) for p, s in zip(plan.images, standing, strict=True))
    return replace(plan, images=tuple(images))


@named
def export_masks(
    project: Project | str | os.PathLike[str],
    out: str | os.PathLike[str],
    classes: Classes = None,
    options: ExportOptions | None = None,
    progress: Listener | None = None,
    stop: threading.Event | None = None,
) -> Report:
    """Write one label mask for every image of a QuPath project.

    Each mask is a pyramidal OME-TIFF (uint8, uint16 or uint32, the smallest that holds its labels;
    background 0) beside a JSON sidecar; the folder also gets ``report.json``, ``report.csv``,
    ``areas.csv`` (the area of each class in each image) and ``classes.yaml``, the class map as
    used. Masks that are there and still hold are skipped. An image that fails does not keep the
    others from being made; look at :attr:`Report.ok`.

    Parameters
    ----------
    project : Project or path-like
        A ``.qpproj`` file or its folder. It is never written to.
    out : path-like
        The output folder; made if needed.
    classes : ClassMap, mapping, path-like or None
        A class map, a mapping of class names to labels, or a YAML, JSON or CSV file. None takes
        ``classes.yaml`` of the output folder if an earlier run left one, else the project's class
        list in its order.
    options : ExportOptions, optional
        What to draw and how to write it; see also :func:`qpmask.export_options`.
    progress : callable, optional
        Called with each event of :mod:`qpmask.events`.
    stop : threading.Event, optional
        Set it to end the run cleanly: the report is written, and says it was interrupted.

    Returns
    -------
    Report
        One record an image, in the project's order.

    Raises
    ------
    ProjectError
        The project cannot be read, or the selection of images matches nothing.
    ClassMapError
        The class map cannot be read; :class:`UnmappedClassError` if a class in use is not in it.
    OptionsError
        Options contradict each other or the class map.
    NoQuPathError
        There is no usable QuPath.
    OutputError
        The output folder cannot be written to, or holds masks of another project (`force` goes on).
    """
    started = datetime.now(timezone.utc)
    clock = time.monotonic()
    out = path_of(out, "out").expanduser().absolute()
    options = _options(options)
    check_callable(progress, "progress", "a function that takes an event")
    check_kind(stop, threading.Event | None, "stop", "a threading.Event")
    emit = progress or ignore
    plan, choice = decided(project, out, classes, options)
    engine, verifier = make_engines(choice, options)
    info = engine.probe()
    previews = _previews() if options.previews else None
    with OutputFolder(out) as folder:
        emit(RunStarted(plan))
        run = _Run(
            plan, choice, engine, verifier, info, folder, emit, stop or threading.Event(), previews
        )
        error: BaseException | None = None
        try:
            run.all_images()
        except (Interrupted, KeyboardInterrupt) as caught:
            error = caught
        finally:
            engine.close()
        trouble = previews.finish(folder) if previews is not None and error is None else []
        if run.info is not None:
            info = run.info
        mine = {image.mask_name for image in plan.images}
        report = Report(
            project=plan.project.path,
            output=out,
            engine=info,
            engine_reason=choice.reason,
            started=started.isoformat(timespec="seconds"),
            seconds=time.monotonic() - clock,
            options=options_data(options),
            classes=plan.class_map.as_dict(),
            records=run.finished_records(),
            warnings=(
                *plan.findings,
                *beside_findings(out, plan.class_map, mine, nothing_drawn=plan.nothing_drawn),
                *trouble,
            ),
            interrupted=error is not None,
            nothing_drawn=plan.nothing_drawn,
        )
        write_report(folder, report, plan.class_map)
    emit(RunFinished(report))
    if isinstance(error, KeyboardInterrupt):
        raise error
    return report


def decided(
    project: Project | str | os.PathLike[str],
    out: Path,
    classes: Classes,
    options: ExportOptions,
) -> tuple[Plan, EngineChoice]:
    """The plan of a run that may write to its folder, and the engine that draws it.

    Raises
    ------
    QpmaskError
        As :func:`export_masks`.
    """
    plan = _plan(project, out, classes, options)
    _check_out(out, plan, options)
    choice = choose_engine(options, plan.jobs)
    return _with_finding(plan, choice), choice


class ShareMaker:
    """Makes masks of images one by one in a folder that others write to as well.

    Starts its engine when the first image has to be drawn, and keeps it.

    Parameters
    ----------
    plan : Plan
        What all images have in common; its own are not looked at.
    choice : EngineChoice
        What draws.
    folder : OutputWriter
        Where to, with a work folder of its own.
    emit : callable
        Listener of events.
    stop : threading.Event
        Set when the work should end.
    """

    def __init__(
        self,
        plan: Plan,
        choice: EngineChoice,
        folder: OutputWriter,
        emit: Listener,
        stop: threading.Event,
    ) -> None:
        self._engine, verifier = make_engines(choice, plan.options)
        self.info = self._engine.probe()
        plan = replace(plan, images=())
        self._run = _Run(plan, choice, self._engine, verifier, self.info, folder, emit, stop, None)
        self._maker: MaskMaker | None = None

    def close(self) -> None:
        """End the engine."""
        self._engine.close()

    def make(self, image: ImagePlan) -> ImageRecord:
        """The record of an image: of a mask that stands and holds, or of one made now."""
        record = self._run.without_drawing(image)
        if record is None:
            if self._maker is None:
                self._maker = self._run.started()
                self.info = self._run.info or self.info
            record = self._maker.make(image)
        return self._run.noted(record)


class _Run:
    """The images of one run, one after the other or in worker processes."""

    def __init__(
        self,
        plan: Plan,
        choice: EngineChoice,
        engine: Engine,
        verifier: Engine | None,
        info: EngineInfo,
        folder: OutputWriter,
        emit: Listener,
        stop: threading.Event,
        previews: Previews | None,
    ) -> None:
        self._plan = plan
        self._choice = choice
        self._engine = engine
        self._verifier = verifier
        self._probed = info
        self._folder = folder
        self._emit = emit
        self._stop = stop
        self._records: dict[str, ImageRecord] = {}
        self._previews = previews
        self._by_id = {image.entry.id: image for image in plan.images}
        self._again: dict[str, str] = {}  # why a mask is made again, by entry id
        self.info: EngineInfo | None = None

    def all_images(self) -> None:
        """Skip what holds, make the rest.

        Raises
        ------
        Interrupted
            The run was asked to stop; records of what was finished are kept.
        """
        todo = []
        for image in self._plan.images:
            self._check_stop()
            record = self.without_drawing(image)
            if record is None:
                todo.append(image)
            else:
                self._finish(record)
        if not todo:
            return
        workers = min(self._plan.options.workers, len(todo))
        for record in self._in_workers(todo, workers) if workers > 1 else self._here(todo):
            self._finish(record)

    def finished_records(self) -> tuple[ImageRecord, ...]:
        """Records of all images, those not reached included, in the project's order."""
        return tuple(
            self._records.get(image.entry.id)
            or record_for(image, "interrupted", error="The run ended before this image.")
            for image in self._plan.images
        )

    def without_drawing(self, image: ImagePlan) -> ImageRecord | None:
        """The record of an image that needs no drawing, or cannot be drawn."""
        if image.error is not None:
            return record_for(image, "failed", error=image.error)
        standing = look_at(
            image,
            self._plan.class_map,
            self._probed.pixel_rules,
            self._folder.path,
            verified=self._choice.verifier is not None,
            force=self._plan.options.force,
        )
        if standing.holds:
            return self._standing(image, standing)
        if standing.changes:
            self._again[image.entry.id] = "; ".join(standing.changes)
        return None

    def _standing(self, image: ImagePlan, standing: Standing) -> ImageRecord | None:
        """The record of a mask that holds; None if it is to say what it does not know."""
        record = standing_record(replace(image, standing=standing), self._folder)
        if self._plan.options.hidden != "error":
            return record
        if record.hidden is None:  # made by a version that did not count
            return None
        try:
            check_hidden(record.hidden, image.entry.label)
        except HiddenObjectsError as error:
            return record_for(image, "failed", error=error)
        return record

    def _here(self, todo: Iterable[ImagePlan]) -> Iterator[ImageRecord]:
        maker = self.started()
        for image in todo:
            self._check_stop()
            yield maker.make(image)

    def started(self) -> MaskMaker:
        """What makes masks, with its engine started."""
        counter = make_counter(self._choice, self._engine)
        compiles = self._engine.compiles or (counter is not None and counter.compiles)
        self._emit(EngineStarting(self._probed.name, compiles))
        self.info = self._engine.start()
        ready = f"{_describe(self.info)} ({self._choice.reason})"
        if self._verifier is not None:
            ready += f"; each mask is verified by {self._verifier.start()}"
        self._emit(EngineReady(ready))
        return MaskMaker(
            self._plan,
            self._engine,
            self._folder,
            self._emit,
            self._stop,
            self._verifier,
            counter,
        )

    def _in_workers(self, todo: list[ImagePlan], workers: int) -> Iterator[ImageRecord]:
        from qpmask.export.processes import masks_in_processes

        self._emit(EngineStarting(self._probed.name, self._engine.compiles))
        self._engine.compile()
        self._emit(EngineReady(f"{self._probed}, {workers} processes ({self._choice.reason})"))
        yield from masks_in_processes(
            self._plan, self._choice, self._folder.path, todo, self._emit, self._stop
        )

    def _finish(self, record: ImageRecord) -> None:
        record = self.noted(record)
        if self._previews is not None:
            record = self._previews.add(self._folder, self._by_id[record.entry_id], record)
        self._records[record.entry_id] = record
        self._emit(ImageFinished(record))
        if record.status == "interrupted":
            raise Interrupted("The run was interrupted.")

    def noted(self, record: ImageRecord) -> ImageRecord:
        """The record with why its mask was made again, if it was."""
        if record.status != "done":
            return record
        return replace(record, made_again=self._again.get(record.entry_id))

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise Interrupted("The run was interrupted.")


def _previews() -> Previews:
    """What makes previews; an error where what it needs is not installed."""
    from qpmask.export.previews import Previews

    return Previews()


def _plan(
    project: Project | str | os.PathLike[str],
    out: Path | None,
    classes: Classes,
    options: ExportOptions,
) -> Plan:
    class_map = _class_map(classes, out)
    if not isinstance(project, Project):
        project = open_project(project)
    plan = make_plan(project, class_map, options)
    if classes is None and class_map is not None and out is not None:
        kept = kept_choices(class_map, options)
        if kept:
            text = f"As {out / CLASSES_FILE} has it from an earlier run: {'; '.join(kept)}."
            plan = replace(plan, findings=(text, *plan.findings))
    return plan


def _with_finding(plan: Plan, choice: EngineChoice | None) -> Plan:
    """The plan with what the choice of an engine means for its images."""
    if choice is None or choice.finding is None:
        return plan
    return replace(plan, findings=(*plan.findings, choice.finding))


def _check_out(out: Path, plan: Plan, options: ExportOptions) -> None:
    """Raise :class:`OutputError` unless a run of this plan may write to the folder.

    It may not where QuPath keeps its own files, nor, unless forced, where masks of another project
    are (their names and labels would be taken for those of this one), or masks with objects that
    would become blank.
    """
    project = plan.project
    folder = project.folder.resolve()
    data = folder / "data"
    if out.resolve() == folder or out.resolve().is_relative_to(data):
        raise OutputError(
            f"{out} belongs to the project, which is never written to.",
            hint=f"Choose another folder, such as {folder / 'masks'}.",
        )
    if options.force:
        return
    for owner, masks in foreign_masks(out, project).items():
        raise OutputError(
            f"{out} holds {masks_text(len(masks))} of another project, {owner}, such as "
            f"{masks[0]}.",
            hint="Choose another folder. --force (in Python force=True) goes on: masks of the same "
            "name are replaced, and labels follow the folder's classes.yaml.",
        )
    blanked = blanked_masks(out, plan.images)
    if blanked:
        why = next(text for text in blanked[0].findings if text.startswith(NOTHING))
        raise OutputError(
            f"{masks_text(len(blanked))} with objects in {out} would be replaced by blank ones, "
            f"such as {blanked[0].mask_name}, though nothing changed in QuPath. {why}",
            hint="Change the options, or choose another folder. --force (in Python force=True) "
            "replaces them.",
        )


def _options(options: ExportOptions | None) -> ExportOptions:
    check_kind(
        options, ExportOptions | None, "options", "ExportOptions, as qpmask.export_options makes it"
    )
    return options or ExportOptions()


def _class_map(classes: Classes, out: Path | None) -> ClassMap | None:
    if isinstance(classes, ClassMap):
        return classes
    if isinstance(classes, Mapping):
        return replace(class_map_from_dict({"classes": dict(classes)}, "classes"), origin="given")
    if classes is not None:
        what = "a class map, a mapping of names to labels or a path"
        check_kind(classes, str | os.PathLike, "classes", what)
        return replace(load_class_map(classes), origin=str(classes))
    saved = None if out is None else out / CLASSES_FILE
    return load_class_map(saved) if saved is not None and saved.is_file() else None


def beside_findings(
    out: Path, class_map: ClassMap, mine: Collection[str], *, nothing_drawn: bool
) -> list[str]:
    """What a run finds when it is done, for its report.

    Parameters
    ----------
    out : Path
        The folder.
    class_map : ClassMap
        As used.
    mine : collection of str
        File names of the run's masks.
    nothing_drawn : bool
        Whether there are objects, and none is drawn in any image.
    """
    said = "Nothing is drawn in any image, though there are objects; the masks are all background."
    return [*([said] if nothing_drawn else []), *_stale_masks(out, class_map, mine)]


def _stale_masks(out: Path, class_map: ClassMap, mine: Collection[str]) -> list[str]:
    """A warning about masks in the folder that were made with other labels, not in this run."""
    labels = {name: row.label for row in class_map.rows for name in class_names(row)}
    other = []
    for path in sorted(out.glob(f"*{SIDECAR_SUFFIX}")):
        mask = path.name.removesuffix(SIDECAR_SUFFIX)
        if mask in mine:
            continue
        made_from = (read_json(path) or {}).get("made_from")
        if isinstance(made_from, dict):
            then = _labels_then(made_from)
            # Without rules: a mask of instances, whose labels are objects.
            if then != {} and then != labels:
                other.append(mask)
    if not other:
        return []
    listed = ", ".join(other[:3]) + (f" and {len(other) - 3} more" if len(other) > 3 else "")
    return [
        f"The folder also holds {masks_text(len(other))} made with another class map: {listed}. "
        "Their labels may mean something else; export them again or use another folder."
    ]


def _labels_then(made_from: Mapping[str, Any]) -> dict[str | None, int] | None:
    """Labels by the names of classes, in whatever order they were drawn; None if not known."""
    try:
        return dict(made_from["rules"])
    except (TypeError, ValueError, LookupError):
        return None


def write_report(folder: OutputWriter, report: Report, class_map: ClassMap) -> None:
    """Write what a run leaves beside its masks: report, areas, the class map as used."""
    folder.write_text(CLASSES_FILE, class_map.to_yaml())
    folder.write_csv(REPORT_CSV, CSV_COLUMNS, (r.as_row() for r in report))
    folder.write_csv(AREAS_CSV, *area_table(folder.path, report))
    folder.write_json(REPORT_JSON, report.as_dict())


def options_data(options: ExportOptions) -> dict[str, Any]:
    """Options as plain data."""
    data = asdict(options)
    data["slides"] = [str(p) for p in options.slides]
    data["images"] = list(options.images)
    return data


def _describe(info: EngineInfo) -> str:
    java = info.details.get("java")
    return f"{info} (Java {java})" if java else str(info)
