"""``qpmask check``: read masks back and say what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import click

from qpmask.cli import exits


@click.command("check", short_help="Read masks back and say what is wrong.")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="As JSON on stdout.")
@click.option("-q", "--quiet", is_flag=True, help="Show problems only.")
@click.option("-v", "--verbose", count=True, help="Show what happens.")
def command(path: Path, as_json: bool, quiet: bool, verbose: int) -> int:
    """Read a mask, or all masks of an output folder, back from disk.

    Checks the structure, every tile of every level, the labels against the class table, the levels
    against level 0, and the pixel counts against the sidecar. Exit code 1 if anything is wrong.
    """
    exits.set_up_logging(verbose)
    from rich.progress import Progress
    from rich.text import Text

    from qpmask.cli.console import (
        count_of,
        error_console,
        human_bytes,
        out_console,
        print_json,
        say_if_compiling,
    )
    from qpmask.report.foldercheck import check_outputs, masks_in

    console = out_console()
    errors = error_console()
    paths = masks_in(path)
    results = []
    if not (quiet or as_json):
        say_if_compiling(errors)
    hidden = quiet or as_json or not errors.is_terminal
    with Progress(console=errors, transient=True, disable=hidden) as progress:
        task = progress.add_task("Checking", total=len(paths))
        for result in check_outputs(path, paths):
            results.append(result)
            progress.advance(task)
            if as_json or (quiet and result.ok):
                continue
            progress.stop()  # or what it shows would stay in front of the line
            status = Text("ok     ", "green") if result.ok else Text("INVALID", "bold red")
            text = Text(f" {result.path.name}")
            if result.ok:
                text += Text(
                    f"  {count_of(result.n_tiles, 'tile')}, {human_bytes(result.file_bytes)}", "dim"
                )
            console.print(status + text, soft_wrap=True)
            for problem in result.problems:
                console.print(Text(f"        {problem}"), soft_wrap=True)
            progress.start()
    ok = all(r.ok for r in results)
    if as_json:
        print_json({
            "ok": ok,
            "masks": [
                {"mask": str(r.path), "ok": r.ok, "problems": list(r.problems)} for r in results
            ],
        })  # fmt: skip
    return exits.OK if ok else exits.FAILED
