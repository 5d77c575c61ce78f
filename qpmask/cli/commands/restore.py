"""``qpmask restore``: take back an import."""

from __future__ import annotations

from pathlib import Path

import click

from qpmask.cli import exits


@click.command("restore", short_help="Take back what an import changed.")
@click.argument("project", type=click.Path(path_type=Path))
@click.option("--list", "show_list", is_flag=True, help="Show the backups that there are.")
@click.option("--which", "name", metavar="NAME", help="The backup. [default: the last one]")
@click.option("--force", is_flag=True, help="Though QuPath runs, or files were changed since.")
@click.option("--json", "as_json", is_flag=True, help="As JSON on stdout.")
@click.option("-q", "--quiet", is_flag=True, help="Show errors only.")
@click.option("-v", "--verbose", count=True, help="Show what happens.")
def command(
    project: Path, show_list: bool, name: str | None, force: bool, as_json: bool, quiet: bool,
    verbose: int,
) -> int:  # fmt: skip
    """Put the files back that 'qpmask import' replaced in a project.

    PROJECT is the .qpproj file, or its folder. What is there now is kept as a backup too, so that
    this can be taken back as well. Files that were changed since are left alone without --force.
    """
    exits.set_up_logging(verbose)
    from rich.text import Text

    from qpmask.cli.console import count_of, error_console, human_bytes, out_console, print_json
    from qpmask.intoqupath.run import backups_of, restore_project

    console = out_console()
    if show_list:
        sets = backups_of(project)
        if as_json:
            print_json({"project": str(project), "backups": sets})
            return exits.OK
        for one in sets:
            images = count_of(len(one["images"]), "image")
            done = ", taken back" if one["restored"] else ""
            line = f"{one['name']}  {one['what']}: {images}, {human_bytes(one['bytes'])}{done}"
            console.print(line, soft_wrap=True)
        if not sets:
            console.print("There are no backups.")
        return exits.OK
    warnings: list[str] = []
    found, files = restore_project(project, name, force=force, warn=warnings.append)
    for warning in () if quiet else warnings:
        error_console().print(Text("warning: ", "yellow") + Text(warning))
    if as_json:
        print_json({"project": str(project), "restored": found, "files": list(files),
                    "warnings": warnings})  # fmt: skip
    elif not quiet:
        if not files:
            console.print(f"All is as it was before {found}: nothing to put back.", soft_wrap=True)
        else:
            console.print(f"{count_of(len(files), 'file')} put back from {found}.", soft_wrap=True)
        for file in files:
            console.print(f"  {file}", soft_wrap=True)
    return exits.OK
