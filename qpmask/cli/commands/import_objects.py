"""``qpmask import``: GeoJSON and masks into a QuPath project."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from qpmask.cli import exits
from qpmask.cli.signals import stop_signals

_FILE = click.Path(path_type=Path)


@click.command("import", short_help="Put GeoJSON and masks into a QuPath project.")
@click.argument("inputs", nargs=-1, required=True, type=_FILE, metavar="INPUT...")
@click.option(
    "--project", "-p", required=True, type=_FILE, metavar="PROJECT",
    help="The .qpproj file, or its folder.",
)  # fmt: skip
@click.option("--image", metavar="NAME|ID", help="The image that all inputs go to.")
@click.option(
    "--as", "as_kind", type=click.Choice(("annotations", "detections", "cells", "tiles")),
    help="What objects become. [default: what the file says]",
)  # fmt: skip
@click.option(
    "--replace", type=click.Choice(("none", "class", "all", "imported")), default="none",
    show_default=True,
    help="What goes: nothing, objects of the same classes, all, or what was imported from the "
    "same source before.",
)  # fmt: skip
@click.option("--again", is_flag=True, help="Add what was imported before once more.")
@click.option(
    "--source", metavar="TEXT",
    help='What objects are said to come from; "" marks nothing. [default: the file name]',
)  # fmt: skip
@click.option("--class", "class_name", metavar="NAME", help="Class of objects that have none.")
@click.option("--class-key", metavar="KEY", help="Property of GeoJSON that names the class.")
@click.option("--add-classes", is_flag=True, help="Add new classes to the project's list.")
@click.option(
    "--split", type=click.Choice(("component", "class")), default="component", show_default=True,
    help="Of a mask: an object a region, or one a class.",
)  # fmt: skip
@click.option(
    "--downsample", type=float, metavar="D",
    help="Pixels of the image in one of the coordinates, or of the mask.",
)  # fmt: skip
@click.option(
    "--frame", type=click.Choice(("image", "slide")), default="image", show_default=True,
    help="Coordinates count in the image as QuPath shows it, or in the slide's file.",
)  # fmt: skip
@click.option("--strict", is_flag=True, help="Refuse a file in which anything is wrong.")
@click.option("--dry-run", is_flag=True, help="Say what would be done; write nothing.")
@click.option("--force", is_flag=True, help="Write though QuPath runs.")
@click.option(
    "--engine", type=click.Choice(("auto", "native", "qupath")), default="auto", show_default=True,
    help="Who writes: qpmask itself where objects are only added, QuPath where some go.",
)  # fmt: skip
@click.option("--jvm-memory", "memory", metavar="SIZE", help="Java heap, such as 4g.")
@click.option("--json", "as_json", is_flag=True, help="The report as JSON on stdout.")
@click.option("-q", "--quiet", is_flag=True, help="Show errors only.")
@click.option("-v", "--verbose", count=True, help="Show what happens.")
def command(
    inputs: tuple[Path, ...], project: Path, image: str | None, dry_run: bool, as_json: bool,
    quiet: bool, verbose: int, **values: Any,
) -> int:  # fmt: skip
    """Put objects into the images of a QuPath project.

    INPUT is GeoJSON (as QuPath, TIAToolbox, dlup, GeoPandas and others write it; .gz too), masks,
    or folders of them. Each goes to the image that its sidecar or its name says. Slides need not
    be there. Where objects are replaced, QuPath 0.6 or later is needed; it should be closed. What
    is replaced is kept: 'qpmask restore' takes it back.
    """
    exits.set_up_logging(verbose)
    from qpmask.cli.batchprogress import BatchDisplay
    from qpmask.cli.importtables import show_import
    from qpmask.intoqupath.options import ImportOptions
    from qpmask.intoqupath.run import import_objects

    options = ImportOptions(**values)
    with stop_signals() as (stop, begun), BatchDisplay(quiet=quiet or as_json) as display:

        def listen(event: Any) -> None:
            begun.set()
            display(event)

        report = import_objects(
            inputs, project, options, image=image, dry_run=dry_run, progress=listen, stop=stop
        )
    show_import(report, as_json=as_json, quiet=quiet, said=display.said)
    if report.interrupted:
        return exits.INTERRUPTED
    return exits.OK if report.ok else exits.FAILED
