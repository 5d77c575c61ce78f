"""Stage 3: project + class map + options become jobs and findings. The dry run; nothing is drawn.

Every annotation of every selected image is read (without Java) before the first pixel is written,
so that a class that the map lacks stops the run at its beginning and not in its 200th image.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qpmask.classes import ClassMap, class_map_from_classes
from qpmask.engines.base import LabelRule, RenderJob
from qpmask.errors import (
    DataFileError,
    OptionsError,
    ProjectError,
    QpmaskError,
    UnmappedClassError,
)
from qpmask.geometry import PixelSize, TileGrid
from qpmask.inventory import Inventory, read_inventory
from qpmask.options import MAX_LABEL, ExportOptions, RenderOptions
from qpmask.outputs import file_sha256, mask_names
from qpmask.project import BACKUP_FILE, ImageEntry, Project, ProjectClass

#: How a finding about a slide that is not there begins; the mask is made all the same.
NO_SLIDE = "The slide is not"
UNCLASSIFIED_NAME = "Unclassified"
BOUNDARY_NAME = "Boundary"

#: A mask with more tiles than this has a size that no slide has.
_MAX_TILES = 1 << 26
_MAX_NAMED = 25  # classes in one message


@dataclass(frozen=True)
class LegendRow:
    """What a label of a mask means: goes into the file's class table and the sidecar."""

    label: int
    name: str
    color: tuple[int, int, int] | None
    objects: int


@dataclass(frozen=True)
class ImagePlan:
    """What will happen to one image.

    Attributes
    ----------
    job : RenderJob or None
        What to draw; None where ``error`` says why it cannot be drawn.
    legend : tuple of LegendRow
        The labels of the mask, background left out. For a multichannel mask, its planes in order.
    pixel_size : PixelSize or None
        Of the mask, micrometres.
    inventory : Inventory or None
        The objects of the image.
    drawn : int
        How many objects will be drawn.
    data_sha256 : str or None
        Hash of the data file; None where the image has none yet.
    slide : Path or None
        The slide on this machine, if it is there.
    findings : tuple of str
        What the user should know about this image.
    """

    entry: ImageEntry
    mask_name: str
    job: RenderJob | None = None
    legend: tuple[LegendRow, ...] = ()
    pixel_size: PixelSize | None = None
    inventory: Inventory | None = None
    drawn: int = 0
    data_sha256: str | None = None
    slide: Path | None = None
    findings: tuple[str, ...] = ()
    error: QpmaskError | None = None


@dataclass(frozen=True)
class Plan:
    """What a run will do."""

    project: Project
    class_map: ClassMap
    options: ExportOptions
    images: tuple[ImagePlan, ...]
    findings: tuple[str, ...] = ()

    def count(self, names: Iterable[str | None]) -> tuple[int, int]:
        """Objects, and images, of any of these classes."""
        wanted = set(names)
        per_image = [
            sum(
                n
                for name, n in p.inventory.counts(self.options.render.objects).items()
                if name in wanted
            )
            for p in self.images
            if p.inventory
        ]
        return sum(per_image), sum(n > 0 for n in per_image)


def count_classes(
    inventories: Iterable[Mapping[str | None, int]],
) -> dict[str | None, tuple[int, int]]:
    """(objects, images) of each class over several images."""
    objects: Counter[str | None] = Counter()
    images: Counter[str | None] = Counter()
    for counts in inventories:
        objects.update(counts)
        images.update(k for k, n in counts.items() if n)
    return {name: (objects[name], images[name]) for name in objects if objects[name]}


def make_plan(
    project: Project,
    class_map: ClassMap | None,
    options: ExportOptions,
) -> Plan:
    """Decide what to do for every selected image.

    Parameters
    ----------
    project : Project
        The project.
    class_map : ClassMap or None
        Labels; None takes the project's class list. A map whose origin is ``project`` gets classes
        that it lacks appended, any other one must hold all classes in use.
    options : ExportOptions
        What to draw and how.

    Raises
    ------
    UnmappedClassError
        A class in use is not in the map that was given (unless ``unknown`` is ``ignore``).
    OptionsError
        Options contradict each other or the class map.
    NoSuchImageError
        The selection matches nothing.
    """
    entries = project.select(options.images)
    if not entries:
        raise ProjectError(f"{project.path} has no images.", hint="Add some in QuPath.")
    names = mask_names(project.images)
    read: dict[str, Inventory | QpmaskError] = {}
    backups: dict[str, str] = {}
    for entry in entries:
        read[entry.id] = _read(entry)
        if options.use_backup and isinstance(read[entry.id], DataFileError):
            spare = replace(entry, data_name=BACKUP_FILE)
            found = _read(spare) if spare.data_path.exists() else None
            if isinstance(found, Inventory):
                backups[entry.id] = f"Read from QuPath's backup, which is older: {read[entry.id]}"
                read[entry.id] = found
    entries = tuple(replace(e, data_name=BACKUP_FILE) if e.id in backups else e for e in entries)
    inventories = {k: v for k, v in read.items() if isinstance(v, Inventory)}

    kind = options.render.objects
    used = count_classes(i.counts(kind) for i in inventories.values())
    follows_project = class_map is None or class_map.origin == "project"
    if follows_project:
        class_map = _project_map(project, class_map, inventories.values(), kind)
    assert class_map is not None
    findings = _check_classes(class_map, options, used, follows_project)
    if options.file.compression == "zstd":
        findings.append(
            "zstd is not known to all programs: Bio-Formats 6 (QuPath 0.4) and OpenCV do not read "
            "such masks."
        )
    unclassified = _unclassified(class_map, options, used)
    _check_labels(class_map, options, unclassified)

    images = []
    for entry in entries:
        base = ImagePlan(entry, names[entry.id], slide=project.find_slide(entry, options.slides))
        result = read[entry.id]
        if isinstance(result, QpmaskError):
            images.append(replace(base, error=result))
            continue
        try:
            made = _plan_image(project, base, result, class_map, unclassified, options)
            if entry.id in backups:
                made = replace(made, findings=(backups[entry.id], *made.findings))
            images.append(made)
        except QpmaskError as error:
            images.append(replace(base, inventory=result, error=error))
    return Plan(project, class_map, options, tuple(images), tuple(findings))


def _read(entry: ImageEntry) -> Inventory | QpmaskError:
    if entry.problem is not None and entry.size is None:
        return ProjectError(
            f"The image {entry.label} cannot be drawn: {entry.problem}.",
            hint="Open it in QuPath and save it, so that the project holds its size.",
        )
    try:
        return read_inventory(entry)
    except QpmaskError as error:
        return error
    except OSError as error:
        return DataFileError(
            f"{entry.data_path} of {entry.label} cannot be read: {error.strerror or error}."
        )


# -- classes ------------------------------------------------------------------------------------


def _project_map(
    project: Project, saved: ClassMap | None, inventories: Iterable[Inventory], kind: str
) -> ClassMap:
    """The map that follows the project's class list, or the saved one with new classes added."""
    colors: dict[str, tuple[int, int, int] | None] = {c.name: c.color for c in project.classes}
    for inventory in inventories:
        for name in inventory.counts(kind):
            if name is not None:
                colors.setdefault(name, inventory.colors.get(name))
    used = [ProjectClass(n, c) for n, c in colors.items()]
    wanted = class_map_from_classes(project.classes, used)
    if saved is None:
        return wanted
    return saved.extended(
        ProjectClass(e.name, e.color) for e in wanted.entries if not saved.ignores(e.name)
    )


def _check_classes(
    class_map: ClassMap,
    options: ExportOptions,
    used: Mapping[str | None, tuple[int, int]],
    follows_project: bool,
) -> list[str]:
    findings = []
    unknown = [
        name
        for name in used
        if name is not None and class_map.find(name) is None and not class_map.ignores(name)
    ]
    if unknown and not options.render.instances:
        lines = []
        for name in sorted(unknown):
            objects, images = used[name]
            near = class_map.nearest(name)
            also = f"; the map has {' or '.join(map(repr, near))}" if near else ""
            lines.append(f"{name!r} ({_objects(objects)} in {_images(images)}{also})")
        text = "; ".join(lines[:_MAX_NAMED])
        if len(lines) > _MAX_NAMED:
            text += f"; and {len(lines) - _MAX_NAMED} more ('qpmask classes' lists them all)"
        if options.unknown == "error" and not follows_project:
            raise UnmappedClassError(
                f"The class map ({class_map.origin}) lacks {len(unknown)} class(es) in use: "
                f"{text}.",
                hint="Add them to the map, name them as aliases or under 'ignore', or go on "
                "without them by --unknown ignore.",
            )
        findings.append(f"Not in the class map, left out: {text}.")
    ignored = sorted(n for n in used if n is not None and class_map.ignores(n))
    if ignored and not options.render.instances:
        parts = ", ".join(f"{n!r} ({_objects(used[n][0])})" for n in ignored)
        findings.append(f"Left out on purpose, as the class map says: {parts}.")
    return findings


def _unclassified(
    class_map: ClassMap, options: ExportOptions, used: Mapping[str | None, tuple[int, int]]
) -> int | None:
    """The label for objects without a class, or None to leave them out."""
    choice = options.unclassified
    if choice is None:
        choice = class_map.unclassified
    if choice == "error" and None in used:
        objects, images = used[None]
        raise UnmappedClassError(
            f"{_objects(objects)} in {_images(images)} have no class.",
            hint="Classify them in QuPath, or use --unclassified ignore or --unclassified LABEL.",
        )
    return choice if isinstance(choice, int) else None


def _check_labels(class_map: ClassMap, options: ExportOptions, unclassified: int | None) -> None:
    taken = {e.label: repr(e.name) for e in class_map.entries}
    render = options.render
    if render.instances:
        taken = {}
    if unclassified is not None:
        if unclassified in taken:
            raise OptionsError(
                f"The label {unclassified} for unclassified objects belongs to "
                f"{taken[unclassified]} already.",
                hint=f"Choose another, such as {class_map.max_label + 1}.",
            )
        taken[unclassified] = "unclassified objects"
    if render.boundary_label in taken:
        raise OptionsError(
            f"The boundary label {render.boundary_label} belongs to "
            f"{taken[render.boundary_label or 0]} already.",
            hint=f"Choose another, such as {max(taken, default=0) + 1}, or 0 for the background.",
        )


# -- one image ----------------------------------------------------------------------------------


def _plan_image(
    project: Project,
    base: ImagePlan,
    inventory: Inventory,
    class_map: ClassMap,
    unclassified: int | None,
    options: ExportOptions,
) -> ImagePlan:
    entry, render = base.entry, options.render
    assert entry.size is not None
    downsample = _downsample(entry, render)
    size = entry.size.downsampled(downsample)
    counts = inventory.counts(render.objects)
    findings = list(inventory.findings)
    if counts.get(None) and unclassified is None and not render.instances:
        findings.append(f"{_objects(counts[None])} without a class left out.")
    lost = inventory.outside_planes(render.objects)
    if lost:
        findings.append(f"{_objects(lost)} on slices or time points that the image does not have.")

    rules, legend = _rules(class_map, unclassified, counts, render)
    rows: tuple[int, ...] = ()
    if render.instances:
        rows = _instance_rows(inventory, class_map, options)
        drawn = len(rows)
        max_label = len(rows)
        if max_label > MAX_LABEL:
            raise OptionsError(
                f"{entry.label} has {max_label:,} objects to label, and a mask holds at most "
                f"{MAX_LABEL:,} labels.",
                hint="Leave classes out with a class map, or export classes instead.",
            )
        boundary = render.boundary_label
        if boundary is not None and 1 <= boundary <= max_label:
            raise OptionsError(
                f"The boundary label {boundary} is that of an object of {entry.label} already.",
                hint=f"Use 0, or more than {max_label:,}.",
            )
        left = sum(counts.values()) - drawn
        if left:
            findings.append(f"{_objects(left)} left out, as the class map and the options say.")
        legend = ()
    else:
        names = {r.class_name for r in rules}
        drawn = sum(n for name, n in counts.items() if name in names)
        max_label = max((row.label for row in legend), default=0)
    if render.boundary_label is not None:
        max_label = max(max_label, render.boundary_label)
        if render.boundary_label and not render.instances:
            legend = (*legend, LegendRow(render.boundary_label, BOUNDARY_NAME, None, 0))
    if not drawn:
        findings.append("No objects to draw: the mask is all background.")
    if base.slide is None:
        findings.append(_missing_slide(entry))

    n_channels = len(legend) if render.multichannel else 1
    if n_channels == 0:
        raise OptionsError(
            "A multichannel mask needs at least one class.", hint="Give a class map with classes."
        )
    job = RenderJob(
        project_path=project.path,
        entry=entry,
        size=size,
        downsample=downsample,
        rules=rules,
        n_channels=n_channels,
        max_label=255 if render.multichannel else max_label,
        render=render,
        file=options.file,
        instance_rows=rows,
        instance_ids=inventory.ids(rows),
    )
    if TileGrid(size, render.tile_px).n_tiles * job.n_planes > _MAX_TILES:
        raise ProjectError(
            f"The mask of {entry.label} would have {size} pixels in {job.n_planes} plane(s), more "
            "than any slide has.",
            hint="Check the image in QuPath, or use --downsample.",
        )
    return replace(
        base,
        job=job,
        legend=legend,
        pixel_size=entry.pixel_size.scaled(downsample) if entry.pixel_size else None,
        inventory=inventory,
        drawn=drawn,
        data_sha256=file_sha256(entry.data_path) if inventory.has_data else None,
        findings=tuple(findings),
    )


def _downsample(entry: ImageEntry, render: RenderOptions) -> float:
    if render.mpp is None:
        downsample = 1.0 if render.downsample is None else float(render.downsample)
    else:
        if entry.pixel_size is None:
            raise OptionsError(
                f"{entry.label} has no pixel size, and --mpp needs one.",
                hint="Set the pixel size in QuPath, or use --downsample.",
            )
        downsample = render.mpp / entry.pixel_size.mean_um
        if math.isclose(downsample, round(downsample), rel_tol=1e-6):
            downsample = float(round(downsample))
        if downsample < 1:
            raise OptionsError(
                f"{entry.label} has pixels of {entry.pixel_size.mean_um:g} µm, larger than the "
                f"{render.mpp:g} µm asked for; a mask cannot be finer than its image."
            )
    assert entry.size is not None
    if downsample > max(entry.size.width_px, entry.size.height_px):
        raise OptionsError(f"At a downsample of {downsample:g} nothing is left of {entry.label}.")
    return downsample


def _rules(
    class_map: ClassMap,
    unclassified: int | None,
    counts: Mapping[str | None, int],
    render: RenderOptions,
) -> tuple[tuple[LabelRule, ...], tuple[LegendRow, ...]]:
    """Rules in draw order and the legend. Objects without a class lie beneath all others."""
    if render.instances:
        return (), ()
    rules: list[LabelRule] = []
    legend: list[LegendRow] = []
    if unclassified is not None:
        rules.append(LabelRule(None, unclassified, 0))
        legend.append(LegendRow(unclassified, UNCLASSIFIED_NAME, None, counts.get(None, 0)))
    for entry in class_map.entries:
        names = (entry.name, *entry.aliases)
        channel = len(legend) if render.multichannel else 0
        rules += [LabelRule(name, entry.label, channel) for name in names]
        legend.append(
            LegendRow(entry.label, entry.name, entry.color, sum(counts.get(n, 0) for n in names))
        )
    return tuple(rules), tuple(legend)


def _instance_rows(
    inventory: Inventory, class_map: ClassMap, options: ExportOptions
) -> tuple[int, ...]:
    """Objects of an instance mask: all of the kind, but for classes left out on purpose.

    A class decides nothing about an instance's label, so objects without a class, and classes that
    a map lacks, are drawn unless the options say otherwise.
    """
    choice = options.unclassified if options.unclassified is not None else class_map.unclassified

    def wanted(name: str | None) -> bool:
        if name is None:
            return choice != "ignore"
        if class_map.find(name) is None and options.unknown == "ignore":
            return False
        return not class_map.ignores(name)

    return inventory.rows(options.render.objects, wanted)


def _missing_slide(entry: ImageEntry) -> str:
    if not entry.uris:
        return f"{NO_SLIDE} found: the project does not say where; the mask does not need it."
    where = entry.uris[0]
    if not where.startswith("file:"):
        return f"{NO_SLIDE} looked for: it is no file ({where}); the mask does not need it."
    return f"{NO_SLIDE} at {where}; the mask does not need it."


def fingerprint(plan: ImagePlan, class_map: ClassMap, pixel_rules: str) -> dict[str, Any]:
    """All that decides a mask, as plain data: a mask made from the same still holds.

    Kept in the sidecar as ``made_from`` and compared by the next run. Both the Python engines and
    the Groovy scripts write it.
    """
    job = plan.job
    assert job is not None and job.entry.size is not None
    return {
        "format": 1,
        "pixel_rules": pixel_rules,
        "data_sha256": plan.data_sha256,
        "image": [job.entry.size.width_px, job.entry.size.height_px, job.entry.size_z,
                  job.entry.size_t],
        "pixel_size_um": None
        if plan.pixel_size is None
        else [plan.pixel_size.width_um, plan.pixel_size.height_um],
        "downsample": job.downsample,
        "tile_px": job.render.tile_px,
        "objects": job.render.objects,
        "line_thickness": job.render.line_thickness,
        "boundary_label": job.render.boundary_label,
        "instances": _digest(job.instance_rows) if job.render.instances else None,
        "multichannel": job.render.multichannel,
        "compression": job.file.compression,
        "pyramid": job.file.pyramid,
        "classes": class_map.fingerprint(),
        "rules": [[r.class_name, r.label] for r in job.rules],
    }  # fmt: skip


def _digest(values: object) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()[:16]


def same_fingerprint(old: object, new: Mapping[str, Any]) -> bool:
    """Whether a sidecar's ``made_from`` says the same."""
    return isinstance(old, dict) and json.dumps(old, sort_keys=True) == json.dumps(
        new, sort_keys=True
    )


def _objects(count: int) -> str:
    return f"{count:,} object" + ("" if count == 1 else "s")


def _images(count: int) -> str:
    return f"{count:,} image" + ("" if count == 1 else "s")
