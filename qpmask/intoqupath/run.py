"""All of an import: :func:`import_objects`, :func:`add_objects`, :func:`restore_project`."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.batch import Batch
from qpmask.common.arguments import check_callable, check_kind, path_of, paths_of
from qpmask.errors import ImportRefusedError, NoSuchImageError, OptionsError, ProjectError
from qpmask.events import BatchListener, BatchStarted
from qpmask.imageobjects import ObjectTable
from qpmask.intoqupath.arrays import table_of
from qpmask.intoqupath.backups import BackupSet, Replacing, locked
from qpmask.intoqupath.classlist import class_list_path, extended_list
from qpmask.intoqupath.inputs import Input, Matching, inputs_of
from qpmask.intoqupath.job import ImportItem, ImportWork
from qpmask.intoqupath.options import ImportOptions
from qpmask.intoqupath.report import ImportRecord, ImportReport
from qpmask.intoqupath.runningqupath import running_qupath
from qpmask.project import ImageEntry, Project, open_project

_log = logging.getLogger(__name__)

PathLike = str | os.PathLike[str]


def import_objects(
    inputs: PathLike | Sequence[PathLike],
    project: PathLike,
    options: ImportOptions | None = None,
    *,
    image: str | None = None,
    dry_run: bool = False,
    progress: BatchListener | None = None,
    stop: threading.Event | None = None,
) -> ImportReport:
    """Put GeoJSON and masks into the images of a QuPath project, through QuPath.

    Each image's data file is kept first, replaced whole or not at all, and read back; see
    :mod:`qpmask.intoqupath.backups`. The slides need not be there. QuPath should be closed: what
    it has open it may write over what is imported.

    Parameters
    ----------
    inputs : path-like or sequence of them
        GeoJSON files, masks, or folders of them.
    project : path-like
        The ``.qpproj`` file, or its folder.
    options : ImportOptions, optional
        What becomes of objects, and of those that are there.
    image : str, optional
        The image that all inputs go to, by name, entry id or pattern. By default each input says
        by its sidecar or by its name.
    dry_run : bool
        Say what would be done; write nothing.
    progress : callable, optional
        Called with each event of :mod:`qpmask.events`.
    stop : threading.Event, optional
        Set it to end the run cleanly.

    Returns
    -------
    ImportReport
        One record an image.

    Raises
    ------
    OptionsError
        There is no such input, or no image for any of them.
    ImportRefusedError
        QuPath runs, or another import.
    NoQuPathError
        There is no QuPath 0.6 or later.
    """
    given = paths_of(inputs, "inputs")
    check_kind(options, ImportOptions | None, "options", "ImportOptions")
    check_kind(image, str | None, "image", "text")
    check_callable(progress, "progress", "a function that takes an event")
    check_kind(stop, threading.Event | None, "stop", "a threading.Event")
    opened = open_project(project)
    items, unmatched = _matched(inputs_of(given), opened, image)
    return _run(opened, items, options or ImportOptions(), dry_run, progress, stop, unmatched)


def add_objects(
    project: PathLike,
    image: str,
    polygons: ObjectTable | NDArray[np.floating] | Sequence[object],
    classes: Sequence[str | None] | str | None = None,
    measurements: Mapping[str, Sequence[float] | NDArray[np.floating]] | None = None,
    *,
    nuclei: Sequence[object] | NDArray[np.floating] | None = None,
    options: ImportOptions | None = None,
) -> ImportReport:
    """Put objects from Python into one image of a QuPath project.

    Parameters
    ----------
    project : path-like
        The ``.qpproj`` file, or its folder.
    image : str
        Name or entry id of the image.
    polygons : sequence of arrays (n, 2), array (m, n, 2), shapely geometries or ObjectTable
        The objects: x and y in pixels of the image at full resolution (``px0``), unless `options`
        give a downsample or a frame.
    classes : str or sequence of (str or None), optional
        Class of all, or of each.
    measurements : mapping of str to sequence of float, optional
        Values of each object by name of the measurement.
    nuclei : like `polygons`, optional
        Nuclei of cells, None where a cell has none; objects then become cells.
    options : ImportOptions, optional
        What becomes of objects (by default detections), and of those that are there; `source`
        names where they come from ("Python" by default).

    Returns
    -------
    ImportReport
        One record.

    Raises
    ------
    OptionsError
        Arguments make no sense, or an object's geometry cannot be used.
    QpmaskError
        Nothing was imported, and why.

    Examples
    --------
    >>> qpmask.add_objects("project.qpproj", "slide.svs", contours, "Tumor", {"score": scores})
    """
    path_of(project, "project")
    check_kind(image, str, "image", "the name or entry id of an image")
    check_kind(options, ImportOptions | None, "options", "ImportOptions")
    options = options or ImportOptions(as_kind="cells" if nuclei is not None else "detections")
    if options.source is None:
        options = replace(options, source="Python")
    table = table_of(polygons, classes, measurements, nuclei, options.as_kind)
    opened = open_project(project)
    entry = _one_image(opened, image)
    assert options.source is not None
    item = ImportItem(entry, (Input(options.source or "Python", table=table),))
    report = _run(opened, [item], options, False, None, None, ())
    (record,) = report.records
    if record.error is not None:
        raise ImportRefusedError(f"{entry.label}: {record.error}")
    return report


def _matched(
    inputs: Sequence[Input], project: Project, image: str | None
) -> tuple[list[ImportItem], tuple[tuple[str, str], ...]]:
    """Images with what they get, in the project's order, and inputs without an image."""
    unmatched = []
    wanted: dict[str, list[Input]] = {}
    matching = Matching(project)
    chosen = None if image is None else _one_image(project, image)
    for one in inputs:
        try:
            entry = chosen or matching.find(one)
        except NoSuchImageError as error:
            unmatched.append((one.name, str(error)))
            continue
        wanted.setdefault(entry.id, []).append(one)
    items = [ImportItem(e, tuple(wanted[e.id])) for e in project.images if e.id in wanted]
    if not items:
        first = unmatched[0][1]
        raise NoSuchImageError(f"No input belongs to an image of {project.path}. {first}")
    return items, tuple(unmatched)


def _one_image(project: Project, image: str) -> ImageEntry:
    found = project.select([image])
    if len(found) != 1:
        listed = ", ".join(entry.label for entry in found[:5])
        raise OptionsError(f"{image!r} is several images: {listed}.", hint="Give the entry id.")
    return found[0]


def _run(
    project: Project,
    items: Sequence[ImportItem],
    options: ImportOptions,
    dry_run: bool,
    progress: BatchListener | None,
    stop: threading.Event | None,
    unmatched: tuple[tuple[str, str], ...],
) -> ImportReport:
    begun = time.monotonic()
    emit = progress or (lambda event: None)
    warnings = [] if dry_run else _closed(project, force=options.force)
    n = sum(len(item.inputs) for item in items)
    files = "1 input" if n == 1 else f"{n} inputs"
    what = f"{'Plan of an import' if dry_run else 'Import'} of {files} into {project.path}"
    emit(BatchStarted(what, len(items), "image", tuple(warnings)))
    replacing = Replacing(project, f"import of {files}")
    work = ImportWork(project, options, replacing, dry_run=dry_run)
    batch: Batch[ImportItem, ImportRecord] = Batch(work, items, emit, stop or threading.Event())
    if dry_run:
        records = batch.run()
    else:
        with locked(project):
            records = batch.run()
            if options.add_classes and work.new_classes:
                try:
                    replacing.replace_bytes(
                        class_list_path(project), extended_list(project, work.new_classes.values())
                    )
                except (ProjectError, OSError) as error:
                    warnings.append(f"The class list was left as it is: {error}")
    kept = replacing.backup
    report = ImportReport(
        project=project.path,
        records=records,
        backup=None if kept is None else kept.folder,
        unmatched=unmatched,
        warnings=tuple(warnings),
        seconds=time.monotonic() - begun,
        dry_run=dry_run,
        interrupted=batch.interrupted is not None,
    )
    if isinstance(batch.interrupted, KeyboardInterrupt):
        raise batch.interrupted
    return report


def _closed(project: Project, *, force: bool) -> list[str]:
    """Refuse where QuPath runs; what people should know where that cannot be told."""
    found = running_qupath()
    if found is None:
        return ["Whether QuPath is open cannot be told here. It must not have the project open."]
    if not found:
        return []
    if not force:
        raise ImportRefusedError(
            f"QuPath is running: {', '.join(found)}. If it has {project.path} open, it may write "
            "the objects that it holds over what is written now.",
            hint="Close it; or, if it has another project open, add --force.",
        )
    return [f"QuPath is running: {', '.join(found)}. It must not have the project open."]


def restore_project(
    project: PathLike,
    name: str | None = None,
    *,
    force: bool = False,
    warn: Callable[[str], None] | None = None,
) -> tuple[str, tuple[str, ...]]:
    """Take back an import: put the files back that it replaced.

    Parameters
    ----------
    project : path-like
        The ``.qpproj`` file, or its folder.
    name : str, optional
        Which backup, as :func:`qpmask.intoqupath.backups.backup_sets` lists them. By default the
        last one that was not taken back.
    force : bool
        Take it back though QuPath runs, or files were changed since.
    warn : callable, optional
        Called with what people should know, such as that QuPath runs; by default that is logged.

    Returns
    -------
    tuple
        The name of the backup, and the files that were put back.

    Raises
    ------
    OptionsError
        There is no such backup.
    ImportRefusedError
        A file was changed since, or QuPath runs.
    """
    from qpmask.intoqupath.backups import backup_sets, take_back

    opened = open_project(project)
    sets = backup_sets(opened)
    fitting = [one for one in sets if one.name == name or (name is None and not one.restored
               and not one.what.startswith("restored"))]  # fmt: skip
    if not fitting:
        raise _no_such_backup(opened, name, sets)
    for warning in _closed(opened, force=force):
        (warn or _log.warning)(warning)
    with locked(opened):
        files = take_back(opened, fitting[-1], force=force)
    return fitting[-1].name, tuple(one.path for one in files)


def _no_such_backup(project: Project, name: str | None, sets: Sequence[BackupSet]) -> OptionsError:
    """What to say where there is nothing to take back."""
    if not sets:
        return OptionsError(f"{project.folder} has no backups: nothing was imported into it.")
    listed = ", ".join(one.name for one in sets)
    if name is not None:
        return OptionsError(f"{project.folder} has no backup {name!r}.", hint=f"It has {listed}.")
    return OptionsError(
        f"All imports into {project.folder} were taken back already.",
        hint=f"--which NAME takes one back once more, or what was restored: {listed}.",
    )


def backups_of(project: PathLike) -> list[dict[str, Any]]:
    """The backups of a project, the oldest first, as plain data."""
    from qpmask.intoqupath.backups import as_dict, backup_sets

    return [as_dict(one) for one in backup_sets(open_project(project))]
