"""``qpmask annotations``: a project's objects as GeoJSON or GeoParquet, without QuPath."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from qpmask.cli import exits

_PATH = click.Path(path_type=Path)


@click.command("annotations", short_help="A project's objects as GeoJSON, without QuPath.")
@click.argument("project", type=_PATH)
@click.option(
    "-o",
    "--out",
    type=_PATH,
    help="A folder; FILE.geojson[.gz] for one image; FILE.parquet for all.",
)
@click.option(
    "--objects", "kinds", multiple=True, default=("annotations",), show_default=True,
    type=click.Choice(("annotations", "detections", "cells", "tiles", "cores", "all")),
    help="What is written; repeatable.",
)  # fmt: skip
@click.option("--images", multiple=True, metavar="NAME|ID|PATTERN", help="Some images only.")
@click.option("--array", is_flag=True, help="An array of features, no FeatureCollection.")
@click.option("--nested", is_flag=True, help="Children inside their parents (childObjects).")
@click.option(
    "--measurements/--no-measurements", default=True, show_default=True,
    help="Write what was measured of the objects.",
)  # fmt: skip
@click.option(
    "--exact", is_flag=True,
    help="Geometries as they are stored, not rounded: imported again, they give the same masks.",
)  # fmt: skip
@click.option("--portable", is_flag=True, help="In a form that QuPath 0.3 reads too.")
@click.option("--gzip", is_flag=True, help="Files of a folder end in .geojson.gz.")
@click.option("--use-backup", is_flag=True, help="Read QuPath's backups of the data files.")
@click.option("--workers", type=int, default=1, show_default=True, help="Processes.")
@click.option("--dry-run", is_flag=True, help="Show what would be made, and write nothing.")
@click.option("--force", is_flag=True, help="Replace files that still hold, or are not of qpmask.")
@click.option("--json", "as_json", is_flag=True, help="The report as JSON on stdout.")
@click.option("-q", "--quiet", is_flag=True, help="Show errors only.")
@click.option("-v", "--verbose", count=True, help="Show what happens.")
def command(
    project: Path, out: Path | None, kinds: tuple[str, ...], images: tuple[str, ...], array: bool,
    portable: bool, verbose: int, **values: Any,
) -> int:  # fmt: skip
    """Write the objects of a QuPath project as GeoJSON, one file an image, or as GeoParquet.

    The values are those of QuPath's own export (0.6 and 0.7): ids, names, colours, classes,
    measurements, nuclei, planes, cores; coordinates to 0.01 pixels, unless --exact. The project is
    only read, and neither QuPath nor the slides are needed. A second run skips files that still
    hold. -o FILE.parquet is one table of all images, for millions of objects: one row each,
    measurements as columns.
    """
    exits.set_up_logging(verbose)
    from qpmask.annotations.images import images_of
    from qpmask.annotations.tables import TableWork, make_table
    from qpmask.cli.objectrun import run_and_show, run_objects
    from qpmask.errors import OptionsError
    from qpmask.geojson.write import WriteOptions
    from qpmask.objectfiles.geoparquet import PARQUET_SUFFIXES
    from qpmask.objectfiles.work import FileItem

    reader, sources = images_of(
        project,
        patterns=images,
        kinds=kinds,
        use_backup=values["use_backup"],
        exact=values["exact"],
    )
    if out is not None and out.name.lower().endswith(PARQUET_SUFFIXES):
        if array or portable or values["nested"] or values["gzip"]:
            raise OptionsError("--array, --nested, --portable and --gzip are of GeoJSON.")
        path = out.expanduser()
        work = TableWork(reader, sources, values["measurements"], values["force"])
        return run_and_show(
            lambda: [work.plan(FileItem(path))],
            lambda listen, stop: make_table(work, path, listen, stop),
            path, values, "file",
        )  # fmt: skip
    write = WriteOptions(
        collection=not array,
        dialect="portable" if portable else "qupath",
        nested=values["nested"],
        measurements=values["measurements"],
        exact=values["exact"],
    )
    return run_objects(reader, sources, out, write, values, "image")
