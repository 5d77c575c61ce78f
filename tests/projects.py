"""Changes to copies of the test projects, by their JSON alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qpdata import qpdata_builder
from qpdata.qpdata_builder import Obj, Roi


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


def wrap(project: Path, name: str, kind: str, width: int, height: int, **more: Any) -> None:
    """Let QuPath's chain of an image hold one server more, such as ``rotated``."""

    def change(data: dict[str, Any]) -> None:
        image = entry(data, name)
        inner = image["serverBuilder"]
        outer = {**inner["metadata"], "width": width, "height": height}
        image["serverBuilder"] = {
            "builderType": kind, "builder": inner, "metadata": outer, **more
        }  # fmt: skip

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


def put_cores(project: Path, name: str) -> None:
    """Make a tissue microarray of an image: cores of 16 pixels a side, and an annotation in one."""
    cores = [
        ("A-1", 4, ("Alpha",), False), ("A-2", 24, ("Alpha",), True), (None, 44, None, False)
    ]  # fmt: skip
    square = Obj(roi=Roi("RectangleROI", (6, 6, 10, 10)), path_class=("Beta",))
    objects = [
        Obj(
            "TMACoreObject", name=label, roi=Roi("RectangleROI", (x, 4, x + 16, 20)),
            path_class=path_class, missing=missing, children=[square] if x == 4 else [],
            metadata={"Object ID": f"00000000-0000-4000-8000-0000000000{x:02}"},
        )
        for label, x, path_class, missing in cores
    ]  # fmt: skip
    data_file(project, name).write_bytes(qpdata_builder.data_file(objects))


def data_file(project: Path, name: str) -> Path:
    """The data file of an image."""
    data = json.loads((project / "project.qpproj").read_text("utf-8"))
    return project / "data" / str(entry(data, name)["entryID"]) / "data.qpdata"
