"""``qpmask collect``: the one report of all tasks of a plan."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import click

from qpmask.cli import exits


@click.command("collect", short_help="Make the report of a plan that tasks worked on.")
@click.argument("plan", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="The report as JSON on stdout.")
@click.option("-q", "--quiet", is_flag=True, help="Show errors only.")
@click.option("-v", "--verbose", count=True, help="Show what happens.")
def command(plan: Path, as_json: bool, quiet: bool, verbose: int) -> int:
    """Make the report that the plain command would have made, when all tasks have ended.

    Ends with 0 if all is there, with 1 if some of it failed or was not reached.
    """
    exits.set_up_logging(verbose)
    from qpmask.cli.console import count_of, error_console
    from qpmask.cli.plantables import show_any_report
    from qpmask.cluster import collect, read_plan_file

    found = read_plan_file(plan)
    report = collect(found)
    # That it was interrupted would be told with "the same command goes on", which here is another.
    shown = report if as_json else replace(report, interrupted=False)
    show_any_report(found.run.command, shown, as_json=as_json, quiet=quiet)
    left = [i.name for i, record in zip(found.items, report, strict=True) if not record.ok]
    if left and not as_json:
        more = f" and {len(left) - 3} more" if len(left) > 3 else ""
        error_console().print(
            f"{count_of(len(left), found.run.word)} left: {', '.join(left[:3])}{more}. "
            f"qpmask work {shlex.quote(str(plan))} does what is left; then collect again.",
            markup=False, highlight=False,
        )  # fmt: skip
    return exits.OK if report.ok else exits.FAILED
