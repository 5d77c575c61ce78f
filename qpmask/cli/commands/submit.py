"""``qpmask submit``: a plan handed to SLURM."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from qpmask.cli import exits
from qpmask.errors import OptionsError


@click.command("submit", short_help="Hand a plan to SLURM.")
@click.argument("plan", type=click.Path(path_type=Path))
@click.option("--slurm", is_flag=True, help="To SLURM; there is no other yet.")
@click.option(
    "--array-size", type=int, metavar="N", help="Tasks. [default: one for each item, 100 at most]"
)
@click.option("--at-once", type=int, metavar="N", help="Tasks that run at a time, at most.")
@click.option("--time", metavar="HH:MM:SS", help="Time limit of a task.")
@click.option("--partition", help="Where they run.")
@click.option("--account", help="Who pays.")
@click.option("--cpus", type=int, default=2, show_default=True, help="Processors of a task.")
@click.option("--mem", metavar="SIZE", help="Memory of a task, such as 4G.")
@click.option("--gres", help="Such as gpu:1.")
@click.option("--python", help="The Python that runs qpmask there. [default: this one]")
@click.option("--setup", metavar="LINE", help="A line for the shell before: 'module load ...'.")
@click.option("--dry-run", is_flag=True, help="Print the scripts; submit nothing.")
def command(plan: Path, slurm: bool, array_size: int | None, dry_run: bool, **asked: Any) -> int:
    """Submit an array of tasks, and a job that collects once all have ended.

    The same command again takes up what tasks that died or ran out of time have left.
    """
    exits.set_up_logging(0)
    from qpmask.cli.plantables import show_submitted
    from qpmask.cluster import read_plan_file
    from qpmask.cluster.slurm import SlurmOptions, array_script, collecting_script, submit

    if not slurm:
        raise OptionsError("Say where to submit it.", hint="Add --slurm.")
    n_items = len(read_plan_file(plan).items)
    size = array_size if array_size is not None else min(100, n_items)
    if 1 <= n_items < size:
        click.echo(f"{n_items} tasks, since there is no more to do at once.", err=True)
        size = n_items
    options = SlurmOptions(size, **{k: v for k, v in asked.items() if v is not None})
    if dry_run:
        click.echo(array_script(plan, options))
        click.echo(collecting_script(plan, options), nl=False)
        return exits.OK
    show_submitted(submit(plan, options), plan)
    return exits.OK
