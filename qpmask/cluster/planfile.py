"""A plan as a file: what an export will do, labels and options fixed for all who work on it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from qpmask._version import __version__
from qpmask.classes import ClassMap, class_map_from_dict
from qpmask.errors import OptionsError, QpmaskError
from qpmask.export.run import Classes, plan_export
from qpmask.options import ExportOptions, export_options
from qpmask.outputs import CLASSES_FILE, OutputFolder, write_file
from qpmask.outputs.claims import CLAIMS_FOLDER, PLANS_FOLDER
from qpmask.plan import ImagePlan, Plan
from qpmask.project import Project, open_project

_FORMAT = 1
# What an image is thought to cost, in seconds of one core, as measured for the native engine: a
# share that starts with what takes longest ends with what fills it up.
_S_PER_GIGAPIXEL = 0.35
_S_PER_OBJECT = 2.5e-5
_S_PER_IMAGE = 0.03


@dataclass(frozen=True)
class PlanItem:
    """One image of a plan.

    Attributes
    ----------
    key : str
        Its entry id in the project.
    name : str
        As people know it.
    cost : float
        What it is thought to take, in seconds of one core.
    """

    key: str
    name: str
    cost: float


@dataclass(frozen=True)
class PlanFile:
    """What will be done.

    Attributes
    ----------
    project, out : Path
        The project, and the folder that masks go to; both absolute, the same on all machines.
    classes : ClassMap
        Labels, fixed for all images.
    options : ExportOptions
        What is drawn and how.
    items : tuple of PlanItem
        The images, in the project's order.
    warnings : tuple of str
        What the plan found, for the report.
    nothing_drawn : bool
        Whether there are objects, and none is drawn in any image.
    """

    project: Path
    out: Path
    classes: ClassMap
    options: ExportOptions
    items: tuple[PlanItem, ...]
    warnings: tuple[str, ...] = ()
    nothing_drawn: bool = False

    @cached_property
    def digest(self) -> str:
        """What tells it from other plans for the same folder."""
        text = json.dumps(_as_dict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def folder(self) -> Path:
        """Where claims and records of this plan are."""
        return self.out / PLANS_FOLDER / self.digest

    @property
    def claims_folder(self) -> Path:
        """Where those at work claim images."""
        return self.folder / CLAIMS_FOLDER

    def text(self) -> str:
        """What its file holds."""
        return json.dumps(_as_dict(self), indent=1, ensure_ascii=False) + "\n"

    def plan_of(self, items: tuple[PlanItem, ...], *, workers: int = 1) -> Plan:
        """The plan of some images, read from their data files now."""
        from qpmask.plan import make_plan

        project = open_project(self.project)
        there = {entry.id for entry in project.images}
        kept = tuple(item.key for item in items if item.key in there)
        if not kept:
            raise OptionsError(
                f"The images of this share are not in {self.project} any more.",
                hint="Make the plan anew.",
            )
        return make_plan(project, self.classes, replace(self.options, images=kept, workers=workers))


def plan_to_file(
    path: Path,
    project: Project | Path,
    out: Path,
    classes: Classes = None,
    options: ExportOptions | None = None,
) -> PlanFile:
    """Plan an export and write it to a file; draws nothing.

    Parameters
    ----------
    path : Path
        The file, JSON.
    project, out, classes, options
        As of :func:`qpmask.export_masks`.

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
    plan = plan_export(project, None, _classes(classes, out), options)
    made = PlanFile(
        plan.project.path,
        out.expanduser().absolute(),
        plan.class_map,
        options,
        tuple(PlanItem(p.entry.id, p.entry.name, cost_of(p)) for p in plan.images),
        plan.findings,
        plan.nothing_drawn,
    )
    with OutputFolder(made.out) as folder:  # nobody else is writing there, and it can be written
        folder.write_text(CLASSES_FILE, made.classes.to_yaml())
    write_file(path, made.text())
    return made


def read_plan_file(path: Path) -> PlanFile:
    """Read a plan.

    Raises
    ------
    OptionsError
        It is no plan, of another version, or damaged.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise OptionsError(f"The plan {path} cannot be read: {error.strerror or error}.") from error
    try:
        raw = json.loads(text)
    except ValueError as error:
        raise OptionsError(f"{path} is not a plan: {error}.") from error
    if not isinstance(raw, dict) or raw.get("format") != _FORMAT:
        raise OptionsError(
            f"{path} is not a plan of this version of qpmask.",
            hint="Make it with: qpmask export PROJECT -o DIR --plan FILE",
        )
    try:
        return PlanFile(
            Path(raw["project"]),
            Path(raw["out"]),
            replace(
                class_map_from_dict(raw["classes"], str(path)), origin=raw["classes"]["origin"]
            ),
            export_options(**raw["options"]),
            tuple(PlanItem(**item) for item in raw["items"]),
            tuple(raw["warnings"]),
            bool(raw["nothing_drawn"]),
        )
    except (KeyError, TypeError, ValueError, QpmaskError) as error:
        raise OptionsError(f"The plan {path} is damaged: {error}.", hint="Make it anew.") from error


def cost_of(image: ImagePlan) -> float:
    """What an image is thought to take, in seconds of one core."""
    job = image.job
    if job is None:
        return 0.0
    pixels = job.size.area_px * job.n_channels * job.entry.size_z * job.entry.size_t
    return round(_S_PER_IMAGE + _S_PER_GIGAPIXEL * pixels / 1e9 + _S_PER_OBJECT * image.drawn, 4)


def _classes(classes: Classes, out: Path) -> Classes:
    """The map that was given, else the one that an earlier run left in the folder."""
    saved = out.expanduser() / CLASSES_FILE
    return saved if classes is None and saved.is_file() else classes


def _as_dict(plan: PlanFile) -> dict[str, Any]:
    return {
        "qpmask": __version__,
        "format": _FORMAT,
        "command": "export",
        "project": str(plan.project),
        "out": str(plan.out),
        "options": _options_dict(plan.options),
        "classes": plan.classes.as_dict(),
        "warnings": list(plan.warnings),
        "nothing_drawn": plan.nothing_drawn,
        "items": [vars(item) for item in plan.items],
    }


def _options_dict(options: ExportOptions) -> Mapping[str, Any]:
    """Options by the names that :func:`qpmask.export_options` has for them."""
    data = asdict(options)
    data |= data.pop("render") | data.pop("file")
    data["slides"] = [str(path) for path in options.slides]
    data["images"] = list(options.images)
    return data
