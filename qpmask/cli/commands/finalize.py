"""``qpmask finalize``: a mask of the writes that a crash left."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
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

    from qpmask.cli.console import (
        count_of,
        error_console,
        human_bytes,
        out_console,
        print_json,
        say_if_compiling,
    )
    from qpmask.maskwriter.finish import finalize
    from qpmask.maskwriter.journal import JournalReader
    from qpmask.maskwriter.place import journal_path

    errors = error_console()
    if not as_json:
        say_if_compiling(errors)
    hidden = as_json or not errors.is_terminal
    with Progress(console=errors, transient=True, disable=hidden) as progress:
        task = progress.add_task("Writing", total=None)
        if not hidden and journal_path(path).is_file():
            with JournalReader(journal_path(path)) as reader:
                n_tiles = reader.contents(verify=False).plan.grid.n_tiles
            progress.update(task, total=n_tiles)
        with _warnings() as warnings:
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
                "warnings": warnings,
            }
        )
        return exits.OK
    labels = count_of(len(result.counts_by_label()), "label")
    out_console().print(
        f"{result.path}: {result.levels[0]} pixels, {labels}, {human_bytes(result.file_bytes)}",
        soft_wrap=True,
    )
    for text in warnings:
        errors.print(f"warning: {text}", soft_wrap=True, style="yellow", markup=False)
    return exits.OK


@contextlib.contextmanager
def _warnings() -> Iterator[list[str]]:
    """What the library warns of, such as writes that are left out: results, and not just a log."""
    found: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage())

    logger, keep = logging.getLogger("qpmask.maskwriter"), Keep(logging.WARNING)
    level, propagate = logger.level, logger.propagate
    logger.addHandler(keep)
    logger.setLevel(min(logging.WARNING, logger.getEffectiveLevel()))
    logger.propagate = logger.isEnabledFor(logging.DEBUG)
    try:
        yield found
    finally:
        logger.removeHandler(keep)
        logger.setLevel(level)
        logger.propagate = propagate
