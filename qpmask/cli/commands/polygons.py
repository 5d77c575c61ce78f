"""``qpmask polygons``: masks as polygons, in GeoJSON as QuPath reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from qpmask.cli import exits
from qpmask.cli.paramtypes import on_many_machines

_PATH = click.Path(path_type=Path)
_TRACED = ("split", "kind", "downsample", "frame", "instances", "simplify_um")


@click.command("polygons", short_help="Masks as polygons (GeoJSON), exact to the pixel.")
@click.argument("masks", nargs=-1, required=True, type=_PATH, metavar="MASK...")
@click.option("-o", "--out", type=_PATH, help="FILE.geojson[.gz], or a folder for several masks.")
@click.option(
    "--split", type=click.Choice(("component", "class")), default="component", show_default=True,
    help="An object for each connected region, or one for each class.",
)  # fmt: skip
@click.option("--class", "classes", multiple=True, metavar="NAME|LABEL", help="These only.")
@click.option(
    "--kind", type=click.Choice(("annotation", "detection", "cell", "tile")),
    default="annotation", show_default=True, help="What the objects are.",
)  # fmt: skip
@click.option(
    "--instances/--no-instances",
    default=None,
    help="Each label is one object. [default: what the mask says]",
)
@click.option(
    "--downsample", type=float, metavar="N",
    help="Pixels of the image that one of the mask spans. [default: what the mask says, else 1]",
)  # fmt: skip
@click.option(
    "--frame", type=click.Choice(("image", "file")), default="image", show_default=True,
    help="Coordinates in the image as QuPath shows it, or in the slide's file.",
)  # fmt: skip
@click.option(
    "--simplify", "simplify_um", type=float, metavar="UM",
    help="Fewer vertices, borders kept in common; says how many pixels change.",
)  # fmt: skip
@click.option("--array", is_flag=True, help="An array of features, no FeatureCollection.")
@click.option("--portable", is_flag=True, help="In a form that QuPath 0.3 reads too.")
@click.option("--gzip", is_flag=True, help="Files of a folder end in .geojson.gz.")
@click.option("--workers", type=int, default=1, show_default=True, help="Processes.")
@on_many_machines
@click.option("--dry-run", is_flag=True, help="Show what would be made, and write nothing.")
@click.option("--force", is_flag=True, help="Replace files that still hold, or are not of qpmask.")
@click.option("--json", "as_json", is_flag=True, help="The report as JSON on stdout.")
@click.option("-q", "--quiet", is_flag=True, help="Show errors only.")
@click.option("-v", "--verbose", count=True, help="Show what happens.")
def command(
    masks: tuple[Path, ...], out: Path | None, classes: tuple[str, ...], array: bool,
    portable: bool, verbose: int, plan: Path | None, dask: str | None, **values: Any,
) -> int:  # fmt: skip
    """Turn masks into polygons that QuPath draws as the same pixels.

    MASK is a mask of qpmask or QuPath, any TIFF of labels, or a folder of masks. Drag the file onto
    the image in QuPath to open it there. A second run skips files that still hold.
    """
    exits.set_up_logging(verbose)
    from qpmask.cli.objectrun import object_options, run_objects
    from qpmask.geojson.write import WriteOptions
    from qpmask.polygons.masks import MaskTracer, masks_of
    from qpmask.polygons.trace import TraceOptions

    options = TraceOptions(
        classes=tuple(int(name) if name.isdigit() else name for name in classes),
        **{k: values[k] for k in _TRACED},
    )
    write = WriteOptions(collection=not array, dialect="portable" if portable else "qupath")
    if (plan is not None or dask is not None) and not values["dry_run"]:
        from qpmask.cli.plantables import planned
        from qpmask.polygons.planned import plan_polygons_run

        run_options = object_options(out, write, values, "mask")
        return planned(
            lambda: plan_polygons_run(masks_of(masks), options, run_options), plan, dask,
            as_json=values["as_json"], quiet=values["quiet"],
        )  # fmt: skip
    return run_objects(MaskTracer(options), masks_of(masks), out, write, values, "mask")
