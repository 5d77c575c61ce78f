"""Settled before the first pixel: class map, plan, and whether the folder may be used."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from qpmask.classes import ClassMap, class_map_from_dict, load_class_map
from qpmask.common.arguments import check_kind
from qpmask.common.words import masks_text
from qpmask.engines.choice import EngineChoice, choose_engine
from qpmask.errors import OutputError
from qpmask.options import ExportOptions
from qpmask.outputs import CLASSES_FILE
from qpmask.plan import (
    NOTHING,
    Plan,
    ReadImages,
    blanked_masks,
    foreign_masks,
    make_plan,
    read_images,
)
from qpmask.plan.classcheck import kept_choices
from qpmask.project import Project, open_project

Classes = ClassMap | Mapping[str, int] | str | os.PathLike[str] | None


def plan_of(
    project: Project | str | os.PathLike[str],
    out: Path | None,
    classes: Classes,
    options: ExportOptions,
    read: ReadImages = read_images,
) -> Plan:
    """The plan of an export, with the class map of an earlier run where none is given."""
    class_map = _class_map(classes, out)
    if not isinstance(project, Project):
        project = open_project(project)
    plan = make_plan(project, class_map, options, read)
    if classes is None and class_map is not None and out is not None:
        kept = kept_choices(class_map, options)
        if kept:
            text = f"As {out / CLASSES_FILE} has it from an earlier run: {'; '.join(kept)}."
            plan = replace(plan, findings=(text, *plan.findings))
    return plan


def with_finding(plan: Plan, choice: EngineChoice | None) -> Plan:
    """The plan with what the choice of an engine means for its images."""
    if choice is None or choice.finding is None:
        return plan
    return replace(plan, findings=(*plan.findings, choice.finding))


def check_out(out: Path, plan: Plan, options: ExportOptions) -> None:
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


def checked_options(options: ExportOptions | None) -> ExportOptions:
    """The options, or those of an export that was asked for none."""
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


def decided(
    project: Project | str | os.PathLike[str],
    out: Path,
    classes: Classes,
    options: ExportOptions,
    read: ReadImages = read_images,
) -> tuple[Plan, EngineChoice]:
    """The plan of a run that may write to its folder, and the engine that draws it.

    ``read`` is that of :func:`~qpmask.plan.make_plan`.

    Raises
    ------
    QpmaskError
        As :func:`qpmask.export_masks`.
    """
    plan = plan_of(project, out, classes, options, read)
    check_out(out, plan, options)
    choice = choose_engine(options, plan.jobs)
    return with_finding(plan, choice), choice
