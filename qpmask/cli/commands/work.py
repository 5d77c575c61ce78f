"""``qpmask work``: a share of a plan, beside any number of others."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from qpmask.cli import exits
from qpmask.cli.signals import stop_signals
from qpmask.errors import OptionsError


@click.command("work", short_help="Do a share of a plan.")
@click.argument("plan", type=click.Path(path_type=Path))
@click.option(
    "--task", default="1/1", show_default=True, metavar="I/N", help="Which share, from 1, of N."
)
@click.option("-q", "--quiet", is_flag=True, help="Show errors only.")
@click.option("-v", "--verbose", count=True, help="Show what happens.")
def command(plan: Path, task: str, quiet: bool, verbose: int) -> int:
    """Do a share of a plan that a command wrote with --plan, then what is left of the others.

    Any number of tasks may run at once, on one machine or many that see the same folders. What
    another task is at is left to it; what a task that died was at is taken up by the others, or by
    the next run of the same command. What is there and holds is skipped.
    """
    exits.set_up_logging(verbose)
    from qpmask.cli.console import count_of, error_console
    from qpmask.cli.plantables import item_shower
    from qpmask.cluster import read_plan_file, work_on

    match = re.fullmatch(r"(\d{1,7})/(\d{1,7})", task, re.ASCII)
    if match is None:
        raise OptionsError(f"--task is {task!r}.", hint="Write it like 3/40: the third of 40.")
    found = read_plan_file(plan)
    show = item_shower(quiet=quiet)
    with stop_signals() as (stop, begun):

        def listen(event: Any) -> None:
            begun.set()
            show(event)

        done = work_on(found, (int(match.group(1)), int(match.group(2))), listen, stop)
    if not quiet:
        n, ok = len(done.outcomes), sum(outcome.ok for outcome in done.outcomes.values())
        words = [f"task {task}: {count_of(ok, found.run.word)} done"]
        words += [f"{n - ok} failed"] if ok < n else []
        words += [f"{len(done.elsewhere)} left to other tasks"] if done.elsewhere else []
        words += ["interrupted; the same command goes on"] if done.interrupted else []
        error_console().print(", ".join(words))
    if done.interrupted:
        return exits.INTERRUPTED
    return exits.OK if done.ok else exits.FAILED
