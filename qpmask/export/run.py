"""Joins all stages: project, classes, plan, engine, file, check, report.

:func:`export_masks` is what the command line calls, and nothing more. Before the first pixel comes
:mod:`qpmask.export.precheck`, then the images (:mod:`qpmask.export.images`), each of which is the
business of :mod:`qpmask.export.job`, and in the end :mod:`qpmask.export.runreport`.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING

from qpmask.batch.planned import Times
from qpmask.common.arguments import check_callable, check_kind, named, path_of
from qpmask.engines.choice import EngineChoice, choose_engine, make_engines
from qpmask.engines.draworder import drawn_outlines
from qpmask.errors import EngineUnavailableError, Interrupted
from qpmask.events import Listener, RunFinished, RunStarted, ignore
from qpmask.export.images import ImagesOfRun
from qpmask.export.planned import of_plan
from qpmask.export.precheck import (
    Classes,
    check_out,
    checked_options,
    decided,
    plan_of,
    with_finding,
)
from qpmask.options import ExportOptions
from qpmask.outputs import OutputFolder
from qpmask.plan import Plan, look_at, read_images
from qpmask.project import Project
from qpmask.project.readonce import ReadOnce
from qpmask.report import Report

if TYPE_CHECKING:
    from qpmask.export.previews import Previews
    from qpmask.export.processes import ExportProcesses


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
    options = checked_options(options)
    plan = plan_of(project, folder, classes, options)
    if folder is None and all(job.fits_qupath for job in plan.jobs):
        return plan
    choice: EngineChoice | None
    rules: str | None
    try:
        choice = choose_engine(options, plan.jobs)
        rules = make_engines(choice, options)[0].probe().pixel_rules
    except EngineUnavailableError:
        choice, rules = None, None
    plan = with_finding(plan, choice)
    if folder is None:
        return plan
    check_out(folder, plan, options)
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
    options = checked_options(options)
    check_callable(progress, "progress", "a function that takes an event")
    check_kind(stop, threading.Event | None, "stop", "a threading.Event")
    emit = progress or ignore
    stop = stop or threading.Event()
    with ExitStack() as stack:
        pool = stack.enter_context(_processes(options.workers)) if options.workers > 1 else None
        once = ReadOnce(drawn_outlines(options.render.objects))
        keeps = pool is None and options.engine != "qupath"
        read = pool.read if pool else partial(read_images, once=once if keeps else None)
        plan, choice = decided(project, out, classes, options, read)
        if "native" not in (choice.name, choice.verifier):
            once.forget()
        engine, verifier = make_engines(choice, options, read=once.again)
        info = engine.probe()
        previews = _previews() if options.previews else None
        folder = stack.enter_context(OutputFolder(out))
        emit(RunStarted(plan))
        planned = of_plan(plan, (), choice, info.pixel_rules, out)
        elsewhere = None
        if pool is not None:
            elsewhere = partial(pool.masks, planned, folder, emit, stop)
        run = ImagesOfRun(
            plan, choice, engine, verifier, info, folder, emit, stop, previews, elsewhere
        )
        error: BaseException | None = None
        try:
            run.all_images()
        except (Interrupted, KeyboardInterrupt) as caught:
            error = caught
        finally:
            engine.close()
        trouble = previews.finish(folder) if previews is not None and error is None else []
        times = Times(started.isoformat(timespec="seconds"), time.monotonic() - clock)
        records = run.finished_records()
        report = planned.reported(folder, records, run.info or info, times, trouble)
    emit(RunFinished(report))
    if isinstance(error, KeyboardInterrupt):
        raise error
    return report


def _processes(n: int) -> ExportProcesses:
    """What reads and draws in several processes."""
    from qpmask.export.processes import ExportProcesses

    return ExportProcesses(n)


def _previews() -> Previews:
    """What makes previews; an error where what it needs is not installed."""
    from qpmask.export.previews import Previews

    return Previews()
