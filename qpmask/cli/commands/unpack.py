"""``qpmask unpack``: the masks of a collection as files of their own."""

from __future__ import annotations

from pathlib import Path

import click

from qpmask.cli import exits


@click.command("unpack", short_help="Write the masks of a collection as files.")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="Output folder.")
@click.option(
    "--format", "kind", type=click.Choice(("nifti", "tiff", "npz", "ome-zarr-0.4")),
    help="A file a mask; all in one .npz; or flattened, for Bio-Formats and QuPath. [default: "
    "nifti of volumes, tiff of planes]",
)  # fmt: skip
@click.option("--masks", "names", multiple=True, metavar="NAME", help="Only these; repeatable.")
@click.option("-q", "--quiet", is_flag=True, help="Show errors only.")
@click.option("-v", "--verbose", count=True, help="Show what happens.")
def command(
    path: Path, out: Path, kind: str | None, names: tuple[str, ...], quiet: bool, verbose: int
) -> int:
    """Write the masks of a collection as files of their own.

    Volumes become NIfTI files with the affine matrix that they were packed with, planes become
    OME-TIFF masks.
    """
    exits.set_up_logging(verbose)
    from rich.progress import Progress

    from qpmask.cli.console import count_of, error_console, out_console
    from qpmask.collection.packing import unpack

    errors = error_console()
    hidden = quiet or not errors.is_terminal
    with Progress(console=errors, transient=True, disable=hidden) as progress:
        task = progress.add_task("Unpacking", total=None)
        written = unpack(
            path, out, kind=kind, names=names,  # type: ignore[arg-type]  # click has checked it
            on_mask=lambda name: progress.update(task, description=f"Unpacking {name}"[:40]),
        )  # fmt: skip
    if not quiet:
        out_console().print(
            f"{out}: {count_of(len(written), 'file')}", soft_wrap=True, markup=False
        )
    return exits.OK
