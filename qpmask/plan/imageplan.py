"""What is drawn of one image: its size, labels, objects, and what the user should know."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase

import numpy as np

from qpmask.classes import QUPATH_IGNORED, ClassMap, class_names
from qpmask.classes.names import UNCLASSIFIED
from qpmask.common.words import cores_text, count_text, kinds_text, objects_text
from qpmask.engines.base import LabelRule, RenderJob, refuse_beyond_qupath
from qpmask.engines.draworder import by_area, drawn_outlines, drawn_rois
from qpmask.errors import OptionsError, ProjectError
from qpmask.geometry import PixelSize, TileGrid
from qpmask.geometry.frames import Frame
from qpmask.options import ExportOptions, RenderOptions
from qpmask.plan.planrecords import ImagePlan, LegendRow
from qpmask.project import ImageEntry, Project
from qpmask.project.inventory import Inventory
from qpmask.qpdata import read_qpdata

#: How a finding about a slide that is not there begins; the mask is made all the same.
NO_SLIDE = "The slide is not"
UNCLASSIFIED_NAME = UNCLASSIFIED
#: How findings about objects without a class end, and those about images without objects begin.
LEFT_OUT = "without a class left out"
NOTHING = "No objects to draw"
BOUNDARY_NAME = "Boundary"

#: A mask with more tiles than this has a size that no slide has.
_MAX_TILES = 1 << 26


def plan_image(
    project: Project,
    base: ImagePlan,
    inventory: Inventory,
    class_map: ClassMap,
    options: ExportOptions,
) -> ImagePlan:
    """Decide what to draw of one image, and how large.

    Parameters
    ----------
    project : Project
        The project.
    base : ImagePlan
        The image, the name of its mask and its slide.
    inventory : Inventory
        Its objects.
    class_map : ClassMap
        Labels, and the order of drawing; one without a row for objects without a class leaves
        them out.
    options : ExportOptions
        What to draw and how.

    Returns
    -------
    ImagePlan
        `base` with the job and all that is known before anything is drawn.

    Raises
    ------
    OptionsError
        The options ask for what this image cannot have.
    ProjectError
        Its mask would be larger than any slide.
    UnsupportedByEngineError
        QuPath was asked for, and cannot hold its labels.
    """
    entry, render = base.entry, options.render
    assert entry.size is not None
    downsample = _downsample(entry, render)
    size = entry.size.downsampled(downsample)
    counts = inventory.counts(render.objects)
    findings = list(inventory.findings)
    if counts.get(None) and class_map.unclassified_row is None and not render.instances:
        findings.append(f"{objects_text(counts[None])} {LEFT_OUT}.")
    lost = inventory.outside_planes(render.objects)
    if lost:
        findings.append(
            f"{objects_text(lost)} on slices or time points that the image does not have."
        )

    if render.objects == "cores" and inventory.n_missing_cores:
        findings.append(
            f"{cores_text(inventory.n_missing_cores)} marked as missing left out "
            "('all-cores' instead of 'cores' draws them too)."
        )

    rules, legend = _rules(class_map, counts, render)
    rows: tuple[int, ...] = ()
    if render.instances:
        rows = _instance_rows(inventory, class_map, options)
        if class_map.order == "area":
            rows = _larger_first(entry, rows, render.objects)
        drawn = len(rows)
        max_label = len(rows)
        boundary = render.boundary_label
        if boundary is not None and 1 <= boundary <= max_label:
            raise OptionsError(
                f"The boundary label {boundary} is that of an object of {entry.label} already.",
                hint=f"Use 0, or more than {max_label:,}.",
            )
        findings += _not_instances(counts, class_map, options)
        legend = _names_of_cores(inventory, rows)
    else:
        names = {r.class_name for r in rules}
        drawn = sum(n for name, n in counts.items() if name in names)
        max_label = max((row.label for row in legend), default=0)
    if render.boundary_label is not None:
        max_label = max(max_label, render.boundary_label)
        if render.boundary_label and not render.instances:
            legend = (*legend, LegendRow(render.boundary_label, BOUNDARY_NAME, None, 0))
    if not drawn:
        findings.append(f"{NOTHING}: the mask is all background.{_other_kinds(inventory, render)}")
    findings += frame_words(entry.frame)
    findings += _unequal_sides(entry.pixel_size, render.mpp, downsample)
    if base.slide is None:
        findings.append(_missing_slide(entry))

    if options.file.format != "ome-tiff" and entry.size_z * entry.size_t > 1:
        raise OptionsError(
            f"{entry.label} has {entry.size_z} slices and {entry.size_t} time points; a "
            "collection of an image has one plane.",
            hint="Export it as OME-TIFF.",
        )
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
        order=class_map.order,
    )
    if options.engine in ("qupath", "both"):
        refuse_beyond_qupath(job)
    if TileGrid(size, render.tile_px).n_tiles * job.n_planes > _MAX_TILES:
        raise ProjectError(
            f"The mask of {entry.label} would have {size} pixels in "
            f"{count_text(job.n_planes, 'plane')}, more than any slide has.",
            hint="Check the image in QuPath, or use --downsample.",
        )
    return replace(
        base,
        job=job,
        legend=legend,
        pixel_size=entry.pixel_size.scaled(downsample) if entry.pixel_size else None,
        inventory=inventory,
        drawn=drawn,
        data_sha256=inventory.data_sha256,
        data_state=inventory.data_state,
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
    class_map: ClassMap, counts: Mapping[str | None, int], render: RenderOptions
) -> tuple[tuple[LabelRule, ...], tuple[LegendRow, ...]]:
    """Rules in draw order and the legend."""
    if render.instances:
        return (), ()
    rules: list[LabelRule] = []
    legend: list[LegendRow] = []
    for row in class_map.rows:
        names = class_names(row)
        channel = len(legend) if render.multichannel else 0
        rules += [LabelRule(name, row.label, channel) for name in names]
        n_objects = sum(counts.get(n, 0) for n in names)
        legend.append(LegendRow(row.label, row.name, row.color, n_objects))
    return tuple(rules), tuple(legend)


def _instance_rows(
    inventory: Inventory, class_map: ClassMap, options: ExportOptions
) -> tuple[int, ...]:
    """Objects of an instance mask: all of the kind, but for classes left out on purpose.

    A class decides nothing about an instance's label, so objects without a class, and classes that
    a map lacks, are drawn unless the options say otherwise.
    """
    return inventory.rows(
        options.render.objects, lambda name: _why_no_instance(name, class_map, options) is None
    )


def _why_no_instance(name: str | None, class_map: ClassMap, options: ExportOptions) -> str | None:
    """Why objects of a class, or of none, get no label of their own; None where they get one."""
    if name is None:
        return "--unclassified ignore" if class_map.unclassified == "ignore" else None
    if class_map.ignores(name):
        return "QuPath ignores *" if fnmatchcase(name, QUPATH_IGNORED) else "ignored by the map"
    if class_map.find(name) is None and options.unknown == "ignore":
        return "not in the map, --unknown ignore"
    return None


def _not_instances(
    counts: Mapping[str | None, int], class_map: ClassMap, options: ExportOptions
) -> Iterator[str]:
    """What is left out of an instance mask, class by class."""
    parts = [
        f"{objects_text(n)} {'without a class' if name is None else f'of {name!r}'} ({why})"
        for name, n in counts.items()
        if n and (why := _why_no_instance(name, class_map, options)) is not None
    ]
    if parts:
        yield f"Left out: {', '.join(parts)}."


def _unequal_sides(pixel: PixelSize | None, mpp: float | None, downsample: float) -> Iterator[str]:
    """What ``--mpp`` means where pixels are not square: their mean, as QuPath takes it."""
    if mpp is None or pixel is None or math.isclose(pixel.width_um, pixel.height_um, rel_tol=1e-3):
        return
    made = pixel.scaled(downsample)
    yield (
        f"Its pixels are not square ({pixel.width_um:.4g} x {pixel.height_um:.4g} µm): {mpp:g} µm "
        f"is the mean of the mask's, which are {made.width_um:.4g} x {made.height_um:.4g} µm."
    )


def frame_words(frame: Frame) -> Iterator[str]:
    """What to know before a slide is put under the mask."""
    if frame.unknown is not None:
        yield (
            f"Where the image lies in its file is not known ({frame.unknown}): the mask fits the "
            "image as QuPath shows it, and no file is to be put under it."
        )
    elif words := frame.words():
        yield (
            f"QuPath shows the file {words}: the mask fits what QuPath shows. Its sidecar holds "
            "the matrix to the file's pixels (frame)."
        )
    yield from frame.notes


def _names_of_cores(inventory: Inventory, rows: tuple[int, ...]) -> tuple[LegendRow, ...]:
    """The name of each TMA core of an instance mask; nothing where the instances are no cores."""
    return tuple(
        LegendRow(label, inventory.cores[row].name or f"Core {label}", None, 1)
        for label, row in enumerate(rows, 1)
        if row in inventory.cores
    )


def _other_kinds(inventory: Inventory, render: RenderOptions) -> str:
    """Words on objects of other kinds, where there are none of the kind that is drawn."""
    counts = inventory.all_counts()
    kind = "cells" if render.objects == "nuclei" else render.objects
    others = kinds_text(counts)
    return f" There are no {kind}, but {others}." if others and not counts.get(kind) else ""


def _larger_first(entry: ImageEntry, rows: tuple[int, ...], kind: str) -> tuple[int, ...]:
    """Positions of objects by area, the largest first; those without a ROI at the end."""
    if not rows:
        return rows
    objects = read_qpdata(entry.data_path, outlines=drawn_outlines(kind))
    at = np.asarray(rows, np.int64)
    roi = drawn_rois(objects, at, kind)
    has_roi = roi >= 0
    drawn = at[has_roi]
    in_turn = drawn[by_area(objects.rois, roi[has_roi], np.zeros(len(drawn)))]
    return (*in_turn.tolist(), *at[~has_roi].tolist())


def _missing_slide(entry: ImageEntry) -> str:
    if not entry.uris:
        return f"{NO_SLIDE} found: the project does not say where; the mask does not need it."
    where = entry.uris[0]
    if not where.startswith("file:"):
        return f"{NO_SLIDE} looked for: it is no file ({where}); the mask does not need it."
    return f"{NO_SLIDE} at {where}; the mask does not need it."
