"""The project's class list, and the colours of what is imported."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from qpmask.classes.names import class_name
from qpmask.errors import ProjectError
from qpmask.imageobjects import ObjectClass, ObjectTable
from qpmask.outputs import read_json
from qpmask.polygons.labelmeaning import packed
from qpmask.project import Project
from qpmask.viewer.palette import palette_color


def class_list_path(project: Project) -> Path:
    """Where QuPath keeps it."""
    return project.folder / "classifiers" / "classes.json"


def with_project_colors(
    table: ObjectTable, project: Project, defaults: Mapping[str, int] | None = None
) -> ObjectTable:
    """Classes in the colours of the project's list; others keep what they came with."""
    listed = {row.name: row.color for row in project.classes}
    classes = []
    for found in table.classes:
        color = listed.get(found.name)
        argb = found.color_argb
        if color is not None:
            argb = packed(color)
        elif argb is None and defaults is not None:
            argb = defaults.get(found.name)
        classes.append(ObjectClass(found.name, argb))
    return replace(table, classes=tuple(classes))


def palette_colors(table: ObjectTable) -> dict[str, int]:
    """A colour for each class: one without is one that QuPath cannot show."""
    return {c.name: packed(palette_color(i + 1)) for i, c in enumerate(table.classes)}


def missing_classes(table: ObjectTable, project: Project) -> list[ObjectClass]:
    """Classes in use that the list lacks."""
    listed = {row.name for row in project.classes}
    used = set(table.class_index.tolist())
    return [c for i, c in enumerate(table.classes) if i in used and c.name not in listed]


def extended_list(project: Project, new: Iterable[ObjectClass]) -> bytes:
    """The project's class list as QuPath writes it, with more at its end.

    Raises
    ------
    ProjectError
        The list that is there cannot be read.
    """
    path = class_list_path(project)
    raw: dict[str, Any] = {"pathClasses": []}
    if path.exists():
        found = read_json(path)
        if found is None or not isinstance(found.get("pathClasses"), list):
            raise ProjectError(f"{path} holds no class list.", hint="Save the classes in QuPath.")
        raw = found
    rows = raw["pathClasses"]
    known = {
        class_name(row["name"])
        for row in rows
        if isinstance(row, dict) and isinstance(row.get("name"), str)
    }
    for one in new:
        if one.name not in known:
            known.add(one.name)
            rows.append({"name": one.name, "color": one.color_argb})
    return json.dumps(raw, indent=2, ensure_ascii=False).encode("utf-8")
