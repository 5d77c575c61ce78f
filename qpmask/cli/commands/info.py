"""``qpmask info``: what a project, a mask or a data file is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from qpmask.cli import exits
from qpmask.cli.paths import masks_of_folder
from qpmask.errors import OptionsError, QpmaskError

if TYPE_CHECKING:
    from rich.text import Text

    from qpmask.project import ImageEntry


_TIFF = (b"II", b"MM")  # how a TIFF begins


@click.command("info", short_help="Show what a project, a mask or a data file is.")
@click.argument("path", type=click.Path(path_type=Path), required=False)
@click.option("--json", "as_json", is_flag=True, help="As JSON on stdout.")
@click.option("-v", "--verbose", count=True, help="Show what happens.")
def command(path: Path | None, as_json: bool, verbose: int) -> int:
    """Show a QuPath project, a mask, a collection of masks, a data file, patches or GeoJSON.

    Of a project its images, sizes and slides; of a mask its levels and classes; of a data file its
    image and objects; of a patch file its patches and features; of GeoJSON its objects. PATH is a
    .qpproj file, the folder of a project, a mask, a .qpdata file, an .h5 file, or a .geojson file.
    Starts no Java. Without PATH: which formats of slides can be read here.
    """
    exits.set_up_logging(verbose)
    if path is None:
        from qpmask.cli.slideformats import show_formats

        return show_formats(as_json)
    if not path.exists():
        raise OptionsError(f"There is no file or folder {path}.")
    from qpmask.collection.opening import is_collection

    if is_collection(path):
        from qpmask.cli.infocollection import show_collection

        return show_collection(path, as_json)
    if path.is_dir() and not any(path.glob("*.qpproj")) and masks_of_folder(path):
        raise OptionsError(
            f"{path} is a folder of masks.",
            hint=f"Name one of its files, or use 'qpmask check {path}'.",
        )
    if path.is_dir() or path.suffix.lower() == ".qpproj":
        return _project(path, as_json)
    from qpmask.cli.infodatafile import DATA_FILES, show_data_file

    if path.name.lower().endswith(DATA_FILES):
        return show_data_file(path, as_json)
    from qpmask.cli.infomask import show_mask
    from qpmask.cli.infoothers import GEOJSON, HDF5, show_geojson, show_patch_file

    with path.open("rb") as file:
        begins = file.read(len(HDF5))
    if begins == HDF5:
        return show_patch_file(path, as_json)
    if path.name.lower().endswith(GEOJSON):
        return show_geojson(path, as_json)
    if begins[:2] not in _TIFF:
        raise OptionsError(
            f"{path} is no QuPath project, no mask, no data file, no patch file and no GeoJSON.",
            hint="A project is a .qpproj file or its folder, a mask a TIFF, a data file a "
            ".qpdata file, a patch file HDF5.",
        )
    return show_mask(path, as_json)


def _project(path: Path, as_json: bool) -> int:
    from rich.text import Text

    from qpmask.cli.console import class_text, out_console, print_json
    from qpmask.cli.grouping import grouped
    from qpmask.cli.tables import Cell, columns_of, print_table
    from qpmask.project import open_project

    project = open_project(path)
    slides = {e.id: project.find_slide(e) for e in project}
    objects = {e.id: _objects(e) for e in project}
    if as_json:
        print_json({
            "project": str(project.path),
            "qupath": project.version,
            "classes": [{"name": c.name, "color": c.color} for c in project.classes],
            "images": [
                {
                    "entry_id": e.id,
                    "name": e.name,
                    "width_px": e.size and e.size.width_px,
                    "height_px": e.size and e.size.height_px,
                    "z_slices": e.size_z,
                    "time_points": e.size_t,
                    "pixel_width_um": e.pixel_size and e.pixel_size.width_um,
                    "pixel_height_um": e.pixel_size and e.pixel_size.height_um,
                    "objects": objects[e.id] if isinstance(objects[e.id], dict) else None,
                    "data_problem": objects[e.id] if isinstance(objects[e.id], str) else None,
                    "uris": list(e.uris),
                    "slide": None if slides[e.id] is None else str(slides[e.id]),
                    "problem": e.problem,
                    "frame": e.frame.to_json(),
                }
                for e in project
            ],
        })  # fmt: skip
        return exits.OK
    console = out_console()
    console.print(f"{project.path}: {len(project)} images, saved by QuPath {project.version}",
                  soft_wrap=True)  # fmt: skip
    planes = [">z", ">t"] if any(e.size_z * e.size_t > 1 for e in project) else []
    columns = columns_of(">id", "image", ">pixels", ">µm/px", *planes, "objects", "slide")
    rows: list[list[Cell]] = []
    for e in project:
        slide = slides[e.id]
        rows.append([
            e.id,
            Text(e.name),
            Text("unknown", "bold red") if e.size is None else str(e.size),
            "" if e.pixel_size is None else f"{e.pixel_size.mean_um:.4g}",
            *([str(e.size_z), str(e.size_t)] if planes else []),
            _objects_text(objects[e.id]),
            Text("missing", "yellow") if slide is None else Text(str(slide)),
        ])  # fmt: skip
    print_table(console, columns, rows, heading=2)
    for e in project:
        if e.frame.unknown is not None or e.frame.words():
            how = e.frame.words() or f"its place in the file is not known ({e.frame.unknown})"
            console.print(Text(f"{e.label}: {how}"), soft_wrap=True)
    wrong = [(e.id, text) for e in project if isinstance(text := objects[e.id], str)]
    for line in grouped(wrong, [(e.id, e.name) for e in project], project.path):
        console.print(Text("error: ", "bold red") + Text(line), soft_wrap=True)
    if project.classes:
        console.print("Classes:")
        for c in project.classes:
            console.print(Text("  ") + class_text(c.name, c.color))
    return exits.OK


def _objects(entry: ImageEntry) -> dict[str, int] | str | None:
    """Objects of an image by kind, None if it was never saved, or what is wrong with its data."""
    from qpmask.project.inventory import read_inventory

    try:
        inventory = read_inventory(entry)
    except QpmaskError as error:
        return str(error)
    return inventory.all_counts() if inventory.has_data else None


def _objects_text(objects: dict[str, int] | str | None) -> Text | str:
    from rich.text import Text

    if objects is None:
        return "never saved"
    if isinstance(objects, str):
        return Text("damaged", "bold red")
    return ", ".join(f"{n:,} {name}" for name, n in objects.items() if n) or "none"
