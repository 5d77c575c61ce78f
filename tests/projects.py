"""Changes to copies of the test projects, by their JSON alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any


def edit(project: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the project file of a copied project."""
    path = project / "project.qpproj"
    data = json.loads(path.read_text("utf-8"))
    change(data)
    path.write_text(json.dumps(data), "utf-8")


def entry(data: dict[str, Any], name: str) -> dict[str, Any]:
    """One image of a project by its name."""
    return next(i for i in data["images"] if i["imageName"] == name)


def keep(project: Path, *names: str) -> None:
    """Keep only these images of a copied project."""

    def change(data: dict[str, Any]) -> None:
        data["images"] = [entry(data, name) for name in names]

    edit(project, change)


def rename(project: Path, names: dict[str, str]) -> None:
    """Give images other names."""

    def change(data: dict[str, Any]) -> None:
        for old, new in names.items():
            entry(data, old)["imageName"] = new

    edit(project, change)


def multiply(project: Path, name: str, names: list[str]) -> None:
    """Replace all images by copies of one, with these names."""

    def change(data: dict[str, Any]) -> None:
        original = entry(data, name)
        images = []
        for number, new_name in enumerate(names, 1001):
            copy = json.loads(json.dumps(original))
            copy["entryID"], copy["imageName"] = number, new_name
            shutil.copytree(
                project / "data" / str(original["entryID"]), project / "data" / str(number)
            )
            images.append(copy)
        data["images"] = images
        data["lastID"] = 1000 + len(names)

    edit(project, change)


def data_file(project: Path, name: str) -> Path:
    """The data file of an image."""
    data = json.loads((project / "project.qpproj").read_text("utf-8"))
    return project / "data" / str(entry(data, name)["entryID"]) / "data.qpdata"
