"""Projects made by hand: the JSON alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qpdata.qpdata_builder import Obj, data_file

from qpmask.project import ImageEntry, open_project

UM = "\u00b5m"
CALIBRATION = {
    "pixelWidth": {"value": 0.25, "unit": UM}, "pixelHeight": {"value": 0.5, "unit": UM}
}  # fmt: skip
BARE = {"builderType": "uri", "uri": "file:/slides/A.svs"}


def metadata(width: Any = 100, height: Any = 80, **more: Any) -> dict[str, Any]:
    return {"width": width, "height": height, "sizeZ": 1, "sizeT": 1, **more}


def image(name: str = "A", entry_id: Any = 1, **more: Any) -> dict[str, Any]:
    builder = {"builderType": "uri", "uri": "file:/slides/A.svs", "metadata": metadata()}
    return {"serverBuilder": builder, "entryID": entry_id, "imageName": name, **more}


def write(folder: Path, *images: Any, name: str = "project.qpproj", **more: Any) -> Path:
    """A project of hand-made entries; keys given as None are left out."""
    folder.mkdir(parents=True, exist_ok=True)
    data = {
        "version": "0.6.0", "uri": (folder / name).as_uri(), "lastID": 9, "images": list(images),
        **more,
    }  # fmt: skip
    path = folder / name
    path.write_text(json.dumps({k: v for k, v in data.items() if v is not None}), "utf-8")
    return path


def one(folder: Path, **more: Any) -> ImageEntry:
    """The only image of a project with this entry."""
    (entry,) = open_project(write(folder, image(**more)))
    return entry


def with_objects(
    folder: Path, objects: Sequence[Obj], size: tuple[int, int], name: str = "A", **more: Any
) -> Path:
    """A project of one image of this width and height, with these objects."""
    builder = {**BARE, "metadata": metadata(*size, **more)}
    stamps = {"createTimestamp": 1, "modifyTimestamp": 1}  # QuPath asks for them
    path = write(folder, image(name, serverBuilder=builder), **stamps)
    put(folder / "data" / "1" / "data.qpdata", data_file(objects))
    return path


def put(folder: Path, text: str | bytes) -> Path:
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_bytes(text.encode() if isinstance(text, str) else text)
    return folder
