"""``qpmask get-qupath``: download QuPath with paquo, to a folder that is found again."""

from __future__ import annotations

from pathlib import Path

import click

from qpmask.cli import exits

DEFAULT_VERSION = "0.6.0"


@click.command("get-qupath", short_help="Download QuPath to a folder that is found again.")
@click.argument("version", default=DEFAULT_VERSION)
@click.option(
    "--dir", "folder", type=click.Path(path_type=Path, file_okay=False),
    help="Where to; the home folder by default, in which QuPath is looked for.",
)  # fmt: skip
@click.option("-v", "--verbose", count=True, help="Show what happens.")
def command(version: str, folder: Path | None, verbose: int) -> int:
    """Download QuPath VERSION and unpack it, with paquo's own download.

    QuPath is made by the University of Edinburgh and licensed under the GPL; it is downloaded from
    its own release page. On macOS this needs 7z.
    """
    exits.set_up_logging(verbose)
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TransferSpeedColumn,
    )

    from qpmask.cli.console import error_console
    from qpmask.setup.download import get_qupath

    target = (folder or Path.home()).expanduser()
    console = error_console()
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=console,
    ) as progress:
        task = progress.add_task(f"QuPath {version}", total=None)

        def on_bytes(done: int) -> None:
            progress.update(task, completed=done)

        found = get_qupath(version, target, on_bytes)
    click.echo(str(found))
    if folder is not None:
        console.print(f"It is found with PAQUO_QUPATH_DIR={found}", soft_wrap=True)
    console.print("Now 'qpmask doctor' tells whether it works.")
    return exits.OK
