"""All slides: :func:`make_patches`, which is what the command line calls."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qpmask.batch import Batch
from qpmask.cluster.processes import by_workers
from qpmask.common.arguments import named
from qpmask.errors import OptionsError
from qpmask.events import BatchListener, BatchStarted
from qpmask.outputs import REPORT_CSV, REPORT_JSON, OutputFolder, OutputWriter
from qpmask.patches.h5file import require_h5py
from qpmask.patches.job import PatchWork
from qpmask.patches.options import PatchOptions
from qpmask.patches.precheck import check_asked, check_classes
from qpmask.patches.report import CSV_COLUMNS, PatchRecord, PatchReport
from qpmask.patches.sources import (
    SlideSource,
    check_inputs,
    cost_of,
    images_of,
    project_of,
    slides_of,
    with_masks,
)

if TYPE_CHECKING:
    from qpmask.events import Listener
    from qpmask.options import ExportOptions
    from qpmask.plan.planrecords import ImagePlan
    from qpmask.project import Project
    from qpmask.report import ImageRecord

PathLike = str | os.PathLike[str]
MASKS_FOLDER = "masks"


@dataclass(frozen=True)
class PatchPlan:
    """The slides of a run.

    Attributes
    ----------
    options : PatchOptions
        What is asked for.
    sources : tuple of SlideSource
        The slides; those of a project do not have their masks yet.
    project : Project or None
        The project, if that is the input.
    """

    options: PatchOptions
    sources: tuple[SlideSource, ...]
    project: Project | None


def plan_patches(inputs: PathLike | Sequence[PathLike], options: PatchOptions) -> PatchPlan:
    """The slides of some inputs. Opens no slide, writes nothing.

    Raises
    ------
    OptionsError, ProjectError
        An input is not there, or options contradict each other.
    """
    many = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
    paths = [Path(path).expanduser() for path in many]
    if not paths:
        raise OptionsError("There is no input.", hint="Name slides, a folder, a list or a project.")
    check_inputs(paths)
    project = project_of(paths)
    if project is None:
        if options.images:
            raise OptionsError("--images chooses images of a project, and there is none.")
        sources = slides_of(paths, recursive=options.recursive, mpp_by_name=options.mpp_by_name)
    else:
        sources = images_of(project, options.images, options.slides, options.mpp_by_name)
    if options.masks is not None:
        sources = with_masks(sources, options.masks.expanduser())
    check_asked(options, project, sources)
    return PatchPlan(options, tuple(sources), project)


def dry_run(plan: PatchPlan, out: PathLike | None = None) -> tuple[PatchRecord, ...]:
    """What would be cut of each slide: sizes and places. Writes nothing.

    Parameters
    ----------
    plan : PatchPlan
        The slides.
    out : path-like, optional
        The output folder: then records also say what would be skipped, and what made again and why.

    Raises
    ------
    QpmaskError
        What would end the run before a slide is cut.
    """
    folder = None if out is None else Path(out).expanduser().absolute()
    work = PatchWork(plan.options, folder or Path())
    sources = _with_planned_masks(plan, folder)
    return tuple(work.dry_run(source, into_folder=folder is not None) for source in sources)


@named
def make_patches(
    inputs: PathLike | Sequence[PathLike],
    out: PathLike,
    options: PatchOptions,
    progress: BatchListener | None = None,
    stop: threading.Event | None = None,
    *,
    export_progress: Listener | None = None,
) -> PatchReport:
    """Cut slides into patches: one HDF5 a slide, in ``out/patches``.

    A file holds the corners of the patches in pixels of level 0, their share of tissue and, where
    there is a mask, the share of every class; :func:`qpmask.open_patches` reads it. Files that are
    there and still hold are skipped. A slide that fails does not keep the others from being made;
    look at :attr:`~qpmask.patches.report.PatchReport.ok`.

    Parameters
    ----------
    inputs : path-like or sequence of them
        Slides, folders, CSV or text lists, or a QuPath project, whose masks are made first (in
        ``out/masks``, as :func:`qpmask.export_masks` does).
    out : path-like
        The output folder; made if needed. It also gets ``report.json`` and ``report.csv``.
    options : PatchOptions
        What to cut; :func:`qpmask.patch_options` builds it from plain names.
    progress : callable, optional
        Called with each event of :mod:`qpmask.events`.
    stop : threading.Event, optional
        Set it to end the run cleanly: the report is written, and says it was interrupted.
    export_progress : callable, optional
        Called with the events of the export of a project's masks.

    Returns
    -------
    PatchReport
        One record a slide, in the order of the inputs.

    Raises
    ------
    OptionsError, ProjectError, ClassMapError
        Something about the whole run makes no sense.
    MissingExtraError
        h5py is not installed (the extra ``patches``).
    OutputError
        The output folder cannot be written to.
    """
    started, clock = datetime.now(timezone.utc), time.monotonic()
    require_h5py()
    plan = plan_patches(inputs, options)
    folder_path = Path(out).expanduser().absolute()
    stop = stop or threading.Event()
    emit = progress or (lambda event: None)
    with OutputFolder(folder_path) as folder:
        sources, warnings, stopped = _with_project_masks(plan, folder_path, stop, export_progress)
        # What listens to the export of the masks has shown its warnings.
        told = () if export_progress is not None else tuple(warnings)
        emit(BatchStarted(f"Patches in {folder_path}", len(sources), "slide", told))
        work = PatchWork(plan.options, folder_path)
        workers = by_workers(work, plan.options.workers, folder, emit, stop, cost_of)
        batch = Batch(work, sources, emit, stop, workers)
        records = batch.run()
        error = batch.interrupted
        report = PatchReport(
            output=folder_path,
            started=started.isoformat(timespec="seconds"),
            seconds=time.monotonic() - clock,
            options=options_data(plan.options),
            records=records,
            warnings=tuple(warnings),
            interrupted=error is not None or stopped,
        )
        write_report(folder, report)
    if isinstance(error, KeyboardInterrupt):
        raise error
    return report


def write_report(folder: OutputWriter, report: PatchReport) -> None:
    """Write what a run leaves beside its patch files."""
    folder.write_csv(REPORT_CSV, CSV_COLUMNS, (r.as_row() for r in report), sync=False)
    folder.write_json(REPORT_JSON, report.as_dict())


def export_of(plan: PatchPlan) -> tuple[Project, ExportOptions] | None:
    """The export that makes the masks of a project's slides; None where none are wanted."""
    options, project = plan.options, plan.project
    if project is None or not options.labels or options.masks is not None:
        return None
    wanted = [s.entry.id for s in plan.sources if s.error is None and s.entry is not None]
    if not wanted:
        return None
    from qpmask.options import export_options

    return project, export_options(
        images=tuple(wanted), engine=options.engine, workers=options.workers, slides=options.slides
    )


def _with_planned_masks(plan: PatchPlan, out: Path | None) -> list[SlideSource]:
    """The slides of a project with their masks, or with what would be made of them."""
    export = export_of(plan)
    if export is None:
        return list(plan.sources)
    from qpmask.export.run import plan_export

    folder = None if out is None else out / MASKS_FOLDER
    masks = plan_export(export[0], folder, plan.options.classes, export[1])
    check_classes(plan.options.choice, [entry.name for entry in masks.class_map.entries])
    images = {image.entry.id: image for image in masks.images}
    return [_with_plan(s, images.get(s.key), folder) for s in plan.sources]


def _with_plan(source: SlideSource, image: ImagePlan | None, folder: Path | None) -> SlideSource:
    if source.error is not None or image is None:
        return source
    if image.error is not None:
        return replace(source, error=f"Its mask could not be made: {image.error}")
    if folder is None or image.standing is None:
        return source
    if image.standing.holds:
        return replace(source, mask=folder / image.mask_name)
    why = "; ".join(image.standing.changes) or "there is none yet"
    return replace(source, mask_to_come=f"its mask is made ({why})")


def _with_project_masks(
    plan: PatchPlan, out: Path, stop: threading.Event, progress: Listener | None
) -> tuple[list[SlideSource], list[str], bool]:
    """The slides of a project with masks of their annotations, made now unless they stand."""
    export = export_of(plan)
    if export is None:
        return list(plan.sources), [], False
    # Drawing masks takes much that cutting slides does not need.
    from qpmask.export.run import export_masks, plan_export

    folder, classes, choice = out / MASKS_FOLDER, plan.options.classes, plan.options.choice
    if choice.only or choice.tissue_classes:
        masks = plan_export(export[0], None, classes, export[1])
        check_classes(choice, [entry.name for entry in masks.class_map.entries])
    report = export_masks(export[0], folder, classes, export[1], progress, stop)
    by_id = {record.entry_id: record for record in report}
    return (
        [with_mask_of(s, by_id.get(s.key), out) for s in plan.sources],
        list(report.warnings),
        report.interrupted,
    )


def with_mask_of(source: SlideSource, record: ImageRecord | None, out: Path) -> SlideSource:
    """A slide of a project with the mask that a record of its export tells of."""
    if record is None or source.error is not None:
        return source
    if not record.ok or record.mask is None:
        return replace(source, error=f"Its mask could not be made: {record.error}")
    return replace(source, mask=out / MASKS_FOLDER / record.mask)


def options_data(options: PatchOptions) -> dict[str, Any]:
    """Options as plain data, for the report."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(k): plain(v) for k, v in value.items()}
        if isinstance(value, tuple | list):
            return [plain(v) for v in value]
        return str(value) if isinstance(value, Path) else value

    found = plain(asdict(options))
    assert isinstance(found, dict)
    return found
