"""What ``qpmask info`` says of a QuPath data file: whose it is, its image, its objects."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qpmask.cli import exits
from qpmask.errors import QpmaskError

if TYPE_CHECKING:
    from qpmask.imageobjects import ImageObjects

#: Endings of the names of data files: QuPath's own, and what it keeps of the one before.
DATA_FILES = (".qpdata", ".qpdata.bkp")

_WRITERS = {2: "QuPath 0.2", 3: "QuPath 0.3 to 0.7"}
_KINDS = {
    "annotation": "annotations", "detection": "detections", "cell": "cells", "tile": "tiles",
    "tma_core": "TMA cores", "other": "other objects",
}  # fmt: skip


def show_data_file(path: Path, as_json: bool) -> int:
    """Show what a data file holds.

    Raises
    ------
    DataFileError
        It is none, or damaged.
    """
    from qpmask.cli.console import print_json
    from qpmask.project.imagejson import unpack_color
    from qpmask.qpdata import read_qpdata

    objects = read_qpdata(path)
    counts = Counter(objects.class_index.tolist())
    classes: list[dict[str, Any]] = [
        {"class": c.name, "color": unpack_color(c.color_argb), "objects": counts[i]}
        for i, c in enumerate(objects.classes)
    ]
    if counts[-1]:
        classes.append({"class": None, "color": None, "objects": counts[-1]})
    data = {
        "data_file": str(path),
        "bytes": path.stat().st_size,
        "version": objects.version,
        **_owner(path),
        **_image(objects),
        "objects": _kinds(objects),
        "classes": classes,
    }
    if as_json:
        print_json(data)
    else:
        _show(data)
    return exits.OK


def _owner(path: Path) -> dict[str, Any]:
    """The project and the image that a file in the folder of a project belongs to."""
    from qpmask.project import open_project

    nobody = {"project": None, "entry_id": None, "image": None}
    folder = path.absolute().parent
    if folder.parent.name != "data":
        return nobody
    try:
        project = open_project(folder.parent.parent)
    except QpmaskError:
        return nobody
    image = next((e for e in project if e.data_dir.name == folder.name), None)
    return {
        "project": str(project.path),
        "entry_id": image and image.id,
        "image": image and image.name,
    }


def _image(objects: ImageObjects) -> dict[str, Any]:
    """What the file says about how its image is opened."""
    from qpmask.project.imagejson import metadata_in, pixel_size_of, size_of, uris_of

    uris, metadata = [], None
    if objects.server.startswith("{"):
        try:
            server = json.loads(objects.server)
        except (ValueError, RecursionError):
            server = {}
        metadata = metadata_in(server)
        inner = server.get("server", server) if isinstance(server, dict) else None
        uris = list(uris_of({"builder": inner}))
    elif objects.server:
        uris = [objects.server.removeprefix("Image path: ")]
    size = size_of(metadata or {})
    pixel_size = pixel_size_of((metadata or {}).get("pixelCalibration"))
    return {
        "width_px": size and size.width_px,
        "height_px": size and size.height_px,
        "pixel_width_um": pixel_size and pixel_size.width_um,
        "pixel_height_um": pixel_size and pixel_size.height_um,
        "image_type": objects.image_type,
        "uris": uris,
    }


def _kinds(objects: ImageObjects) -> dict[str, int]:
    from qpmask.imageobjects import ObjectKind

    found = Counter(objects.kind.tolist())
    return {_KINDS[kind.name.lower()]: found[kind] for kind in ObjectKind if found[kind]}


def _show(data: dict[str, Any]) -> None:
    from rich.text import Text

    from qpmask.cli.console import class_text, human_bytes, out_console
    from qpmask.cli.tables import Cell, columns_of, print_table

    console = out_console()
    writer = _WRITERS.get(data["version"], "an unknown QuPath")
    lines = [
        f"{data['data_file']}: QuPath data file of version {data['version']} ({writer}), "
        f"{human_bytes(data['bytes'])}"
    ]
    if data["image"] is not None:
        lines.append(f"of: {data['image']} (entry {data['entry_id']}) in {data['project']}")
    elif data["project"] is not None:
        lines.append(f"of: no image of {data['project']}")
    if data["width_px"]:
        size = data["pixel_width_um"]
        um = f", {size:.6g} x {data['pixel_height_um']:.6g} µm/px" if size else ""
        lines.append(f"image: {data['width_px']:,} x {data['height_px']:,} pixels{um}")
    if data["image_type"] not in (None, "UNSET"):
        lines.append(f"type: {data['image_type']}")
    lines += [f"slide: {uri}" for uri in data["uris"]]
    kinds = ", ".join(f"{n:,} {name}" for name, n in data["objects"].items())
    lines.append(f"objects: {kinds or 'none'}")
    for line in lines:
        console.print(line, soft_wrap=True)
    if not data["classes"]:
        return
    rows: list[list[Cell]] = []
    for row in data["classes"]:
        name = row["class"]
        shown = Text("  (unclassified)", "dim") if name is None else class_text(name, row["color"])
        rows.append([shown, f"{row['objects']:,}"])
    print_table(console, columns_of("class", ">objects"), rows)
