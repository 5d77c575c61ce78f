"""``qpmask pack``: masks of many files as one collection."""

from __future__ import annotations

from pathlib import Path

import click

from qpmask.cli import exits
from qpmask.errors import OptionsError


@click.command("pack", short_help="Bring many masks into one file.")
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", required=True, type=click.Path(path_type=Path),
    help="NAME.ozx (one file) or NAME.zarr (a folder).",
)  # fmt: skip
@click.option(
    "--odd-names",
    type=click.Choice(["error", "keep"]),
    default="error",
    show_default=True,
    help="Names with slashes, or that differ in case alone: other programs may mix them up.",
)
@click.option("--force", is_flag=True, help="Replace a collection that is there.")
@click.option("-q", "--quiet", is_flag=True, help="Show errors only.")
@click.option("-v", "--verbose", count=True, help="Show what happens.")
def command(
    inputs: tuple[Path, ...], out: Path, odd_names: str, force: bool, quiet: bool, verbose: int
) -> int:
    """Bring many masks of one image, or of one volume, into one OME-Zarr file.

    INPUTS are files, or folders of files: NIfTI (.nii, .nii.gz; as TotalSegmentator writes them),
    MedMask's .mska and .msk, NPZ, TIFF (a plane, or a class, a mask), PNG, other collections. A
    mask is called like its file, or as the file names it. All must have one shape.
    """
    exits.set_up_logging(verbose)
    from rich.progress import Progress

    from qpmask.cli.console import count_of, error_console, human_bytes, out_console
    from qpmask.collection.packing import pack
    from qpmask.outputs import path_bytes

    if out.exists() and not force:
        raise OptionsError(f"{out} is there already.", hint="--force replaces it.")
    errors = error_console()
    hidden = quiet or not errors.is_terminal
    with Progress(console=errors, transient=True, disable=hidden) as progress:
        task = progress.add_task("Packing", total=None)

        def on_mask(name: str) -> None:
            progress.update(task, description=f"Packing {name}"[:40], advance=1)

        names = pack(inputs, out, odd_names=odd_names, on_mask=on_mask)  # type: ignore[arg-type]
    if not quiet:
        size = human_bytes(path_bytes(out))
        out_console().print(
            f"{out}: {count_of(len(names), 'mask')}, {size}", soft_wrap=True, markup=False
        )
    return exits.OK
