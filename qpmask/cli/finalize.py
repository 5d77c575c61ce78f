"""``qpmask finalize``: a mask of the writes that a crash left."""

from __future__ import annotations

from pathlib import Path

import click

from qpmask.cli import exits


@click.command("finalize", short_help="Make the mask of a MaskWriter that was interrupted.")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--skip-damaged", is_flag=True, help="Leave out writes whose bytes are damaged.")
@click.option("--json", "as_json", is_flag=True, help="As JSON on stdout.")
@click.option("-v", "--verbose", count=True, help="Show what happens.")
def command(path: Path, skip_damaged: bool, as_json: bool, verbose: int) -> int:
    """Make the mask PATH of the writes that are kept in PATH.writing.

    They are there if the process of a qpmask.MaskWriter was killed or its block raised. The mask
    gets its name once it is whole and checked; then PATH.writing is removed.
    """
    exits.set_up_logging(verbose)
    from rich.progress import Progress

    from qpmask.cli.words import count_of, error_console, human_bytes, out_console, print_json
    from qpmask.maskwriter.finish import finalize
    from qpmask.maskwriter.journal import JournalReader
    from qpmask.maskwriter.place import journal_path

    errors = error_console()
    hidden = as_json or not errors.is_terminal
    with Progress(console=errors, transient=True, disable=hidden) as progress:
        task = progress.add_task("Writing", total=None)
        if not hidden and journal_path(path).is_file():
            with JournalReader(journal_path(path)) as reader:
                n_tiles = reader.contents(verify=False).plan.grid.n_tiles
            progress.update(task, total=n_tiles)
        result = finalize(
            path,
            skip_damaged=skip_damaged,
            on_tile=lambda n_done: progress.update(task, completed=n_done),
        )
    if as_json:
        print_json(
            {
                "mask": str(result.path),
                "bytes": result.file_bytes,
                "levels": [[size.width_px, size.height_px] for size in result.levels],
                "pixels": {str(k): n for k, n in result.counts_by_label().items()},
            }
        )
        return exits.OK
    labels = count_of(len(result.counts_by_label()), "label")
    out_console().print(
        f"{result.path}: {result.levels[0]} pixels, {labels}, {human_bytes(result.file_bytes)}",
        soft_wrap=True,
    )
    return exits.OK
