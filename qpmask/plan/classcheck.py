"""The class map and the classes in use: what it lacks or leaves out, and labels taken twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from qpmask.classes import (
    QUPATH_IGNORED,
    ClassMap,
    UnclassifiedRow,
    class_map_from_classes,
)
from qpmask.common.words import images_text, kinds_text, objects_text
from qpmask.errors import OptionsError, UnmappedClassError
from qpmask.options import MAX_LABEL, ExportOptions, Unclassified
from qpmask.project import Project, ProjectClass
from qpmask.project.inventory import Inventory

_MAX_NAMED = 25  # classes in one message


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


def project_map(
    project: Project, saved: ClassMap | None, inventories: Iterable[Inventory], kind: str
) -> ClassMap:
    """The map that follows the project's class list, or the saved one with new classes added.

    Colours are those of the class list, which may have changed since a map was saved.
    """
    colors: dict[str, tuple[int, int, int] | None] = {c.name: c.color for c in project.classes}
    for inventory in inventories:
        for name in inventory.counts(kind):
            if name is not None:
                colors.setdefault(name, inventory.colors.get(name))
    used = [ProjectClass(n, c) for n, c in colors.items()]
    wanted = class_map_from_classes(project.classes, used)
    if saved is None:
        return wanted
    return saved.recolored(project.classes).extended(
        ProjectClass(e.name, e.color) for e in wanted.entries if not saved.ignores(e.name)
    )


def check_classes(
    class_map: ClassMap,
    options: ExportOptions,
    used: Mapping[str | None, tuple[int, int]],
    follows_project: bool,
) -> list[str]:
    """Compare a class map with the classes in use.

    Parameters
    ----------
    class_map : ClassMap
        Labels.
    options : ExportOptions
        What to do with classes that it lacks.
    used : mapping of str or None to (int, int)
        Objects and images of each class, as :func:`count_classes` gives them.
    follows_project : bool
        Whether the map is the project's own, which nobody has to complete.

    Returns
    -------
    list of str
        What the user should know.

    Raises
    ------
    UnmappedClassError
        A class in use is not in a map that was given.
    """
    findings = []
    unknown = [
        name
        for name in used
        if name is not None and class_map.find(name) is None and not class_map.ignores(name)
    ]
    if unknown and not options.render.instances:
        lines = _lacking(class_map, unknown, used)
        if options.unknown == "error" and not follows_project:
            classes = "a class" if len(unknown) == 1 else f"{len(unknown)} classes"
            raise UnmappedClassError(
                "\n".join([f"The class map ({class_map.origin}) lacks {classes} in use:", *lines]),
                hint="Add them to the map, name them as aliases or under 'ignore', or go on "
                "without them: --unknown ignore, in Python unknown='ignore'.",
            )
        text = "; ".join(line.strip() for line in lines)
        findings.append(f"Not in the class map, left out: {text}.")
    ignored = sorted(n for n in used if n is not None and class_map.ignores(n))
    if ignored and not options.render.instances:
        parts = ", ".join(f"{n!r} ({objects_text(used[n][0])})" for n in ignored)
        if all(fnmatchcase(n, QUPATH_IGNORED) for n in ignored):
            why = "QuPath ignores classes whose name ends in *"
        else:
            why = "as the class map says"
        findings.append(f"Left out on purpose ({why}): {parts}.")
    return findings


def _lacking(
    class_map: ClassMap, names: Iterable[str], used: Mapping[str | None, tuple[int, int]]
) -> list[str]:
    """A line for each class that a map lacks; those that may be misspelt come first."""
    near = {name: class_map.nearest(name) for name in names}
    lines = []
    for name in sorted(near, key=lambda name: (not near[name], name)):
        objects, images = used[name]
        also = f"; the map has {' or '.join(map(repr, near[name]))}" if near[name] else ""
        lines.append(f"  {name!r} ({objects_text(objects)} in {images_text(images)}{also})")
    if len(lines) > _MAX_NAMED:
        rest = len(lines) - _MAX_NAMED
        lines[_MAX_NAMED:] = [f"  and {rest:,} more ('qpmask classes' lists them all)"]
    return lines


def unclassified_label(
    class_map: ClassMap, options: ExportOptions, used: Mapping[str | None, tuple[int, int]]
) -> int | None:
    """The label for objects without a class, or None to leave them out."""
    choice = _choice(class_map, options)
    if choice == "error" and None in used:
        objects, images = used[None]
        raise UnmappedClassError(
            f"{objects_text(objects)} in {images_text(images)} have no class.",
            hint="Classify them in QuPath, or choose what they become: --unclassified ignore or a "
            "label, in Python unclassified='ignore' or a number.",
        )
    return choice if isinstance(choice, int) else None


def _choice(class_map: ClassMap, options: ExportOptions) -> Unclassified | None:
    """What becomes of objects without a class: ``ignore``, ``error``, a label, or not said."""
    if options.unclassified is not None:
        return options.unclassified
    row = class_map.unclassified_row
    return class_map.unclassified if row is None else row.label


def said_once(
    class_map: ClassMap,
    options: ExportOptions,
    used: Mapping[str | None, tuple[int, int]],
    inventories: Iterable[Inventory],
) -> list[str]:
    """What is left out of all images, once, with the option that draws it.

    Parameters
    ----------
    class_map : ClassMap
        As the run uses it.
    options : ExportOptions
    used : mapping
        Objects and images of each class, of the kind that is drawn.
    inventories : iterable of Inventory
        Of the images that can be drawn.
    """
    kind = "cells" if options.render.objects == "nuclei" else options.render.objects
    if not used:
        others: Counter[str] = Counter()
        for inventory in inventories:
            others.update(inventory.all_counts())
        there = kinds_text(others)
        return [f"There are no {kind} to draw, but {there}."] if there else []
    n_objects, n_images = used.get(None, (0, 0))
    is_left_out = class_map.unclassified_row is None and not options.render.instances
    if not n_objects or not is_left_out:
        return []
    label = class_map.max_label + 1
    below = "" if len(used) == 1 else ", below all classes"
    ways = (
        f"--unclassified {label} draws them with that label{below}; --instances each with its own."
    )
    if len(used) == 1:
        which = "annotations" if kind == "annotations" else "objects"
        return [f"All {n_objects:,} {which} in {images_text(n_images)} are without a class: {ways}"]
    if class_map.unclassified == "ignore":  # somebody said so
        return []
    return [
        f"{objects_text(n_objects)} in {images_text(n_images)} without a class left out: {ways}"
    ]


def kept_choices(saved: ClassMap, options: ExportOptions) -> list[str]:
    """What a saved class map decides that options would, had they been given; in words."""
    kept = []
    if options.render.order is None and saved.order != "classes":
        kept.append(f"order {saved.order} (--order classes draws class after class)")
    if options.unclassified is None and not options.render.instances:
        row = saved.unclassified_row
        if row is not None:
            kept.append(f"objects without a class get the label {row.label} (--unclassified)")
        elif saved.unclassified is not None:
            kept.append(f"objects without a class: {saved.unclassified} (--unclassified)")
    return kept


def settled_map(
    class_map: ClassMap, options: ExportOptions, used: Mapping[str | None, tuple[int, int]]
) -> tuple[ClassMap, list[str]]:
    """The class map as the run uses it, for ``classes.yaml``, and what the user should know.

    The order of drawing and what becomes of objects without a class are in it, so that the next
    run without options does the same.
    """
    findings: list[str] = []
    order = options.render.order or class_map.order
    choice = _choice(class_map, options)
    row = class_map.unclassified_row
    if not isinstance(choice, int):
        return class_map.with_choices(choice, None, order), findings
    if options.render.instances:
        return class_map.with_choices(class_map.unclassified, row, order), findings
    if row is None:
        row = UnclassifiedRow(choice)
        if order == "classes" and class_map.entries and used.get(None, (0, 0))[0]:
            findings.append(
                f"Objects without a class get the label {choice} and are drawn first, below all "
                "classes. A row 'unclassified: true' among the classes of the map gives them "
                "another place; --order area draws larger objects first."
            )
    return class_map.with_choices(None, row._replace(label=choice), order), findings


def _free(taken: Mapping[int, str]) -> int:
    """A label that nothing has: the next one, or a gap if that is beyond what a mask holds."""
    after = max(taken, default=0) + 1
    return after if after <= MAX_LABEL else next(n for n in range(1, after) if n not in taken)


def check_labels(class_map: ClassMap, options: ExportOptions, unclassified: int | None) -> None:
    """Raise :class:`OptionsError` where the options give a label that something else has."""
    taken = {e.label: repr(e.name) for e in class_map.entries}
    render = options.render
    if render.instances:
        taken = {}
    if unclassified is not None:
        if unclassified in taken:
            raise OptionsError(
                f"The label {unclassified} for unclassified objects belongs to "
                f"{taken[unclassified]} already.",
                hint=f"Choose another, such as {_free(taken)}.",
            )
        taken[unclassified] = "unclassified objects"
    if render.boundary_label in taken:
        raise OptionsError(
            f"The boundary label {render.boundary_label} belongs to "
            f"{taken[render.boundary_label or 0]} already.",
            hint=f"Choose another, such as {_free(taken)}, or 0 for the background.",
        )
