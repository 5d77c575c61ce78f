"""``qpmask groovy``: the scripts that do the same inside QuPath."""

from __future__ import annotations

from pathlib import Path

import click

from qpmask.cli import exits


@click.command("groovy", short_help="Write the scripts that do the same inside QuPath.")
@click.option(
    "--classes", type=click.Path(path_type=Path), metavar="FILE",
    help="Class map (YAML, JSON, CSV) to fill in; else the scripts follow the project's classes.",
)  # fmt: skip
@click.option("--preset", metavar="NAME", help="Class map that comes with qpmask to fill in.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, file_okay=False), default=Path(),
    metavar="DIR", help="Where to; the working folder by default.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace scripts that are there.")
@click.option("--json", "as_json", is_flag=True, help="As JSON on stdout.")
@click.option("-v", "--verbose", count=True, help="Show what happens.")
def command(
    classes: Path | None, preset: str | None, out: Path, force: bool, as_json: bool, verbose: int
) -> int:
    """Write Groovy scripts for QuPath's Script editor to DIR.

    export_masks.groovy makes the same masks as 'qpmask export', export_current_image.groovy that
    of the open image, and import_mask.groovy turns a mask back into annotations. For QuPath 0.4 to
    0.7; the head of each script says how to run it.
    """
    exits.set_up_logging(verbose)
    from qpmask.classes import load_class_map, load_preset
    from qpmask.cli.console import print_json
    from qpmask.setup.groovyscripts import write_scripts

    if classes is not None and preset is not None:
        raise click.UsageError("Give either --classes or --preset, not both.")
    class_map = None
    if classes is not None:
        class_map = load_class_map(classes)
    elif preset is not None:
        class_map = load_preset(preset)
    written = write_scripts(out, class_map, force=force)
    if as_json:
        print_json({"scripts": [str(path.absolute()) for path in written]})
    else:
        for path in written:
            click.echo(str(path))
        click.echo("Open them in QuPath: Automate > Script editor.", err=True)
    return exits.OK
