"""Plans for many machines as people read them."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from qpmask.cli import exits
from qpmask.cli.console import count_of, error_console, human_seconds
from qpmask.cli.signals import stop_signals
from qpmask.cluster import PlanFile, PlanStatus, plan_to_file
from qpmask.cluster.slurm import Submitted
from qpmask.events import ImageFinished
from qpmask.options import ExportOptions


def show_plan_file(plan: PlanFile, path: Path) -> None:
    """What was planned, and what comes next."""
    for warning in plan.warnings:
        error_console().print(Text(f"warning: {warning}", "yellow"))
    name = shlex.quote(str(path))
    click.echo(f"{path}: {count_of(len(plan.items), 'image')} of {plan.project}, into {plan.out}")
    click.echo(f"  on any machine, in any number:  qpmask work {name} --task 1/4, 2/4, ...")
    click.echo(f"  or by SLURM:                    qpmask submit {name} --slurm --array-size 4")
    click.echo(f"  how far it is:                  qpmask status {name}")
    click.echo(f"  the report, at the end:         qpmask collect {name}")


def on_dask(
    project: Path,
    out: Path,
    classes: Any,
    options: ExportOptions,
    *,
    where: str,
    as_json: bool,
    quiet: bool,
) -> int:
    """Export on a Dask cluster; the exit code."""
    from qpmask.cli.exporttables import show_report
    from qpmask.cluster.dasktasks import run_on_dask

    show = record_shower(quiet=quiet or as_json)
    with tempfile.TemporaryDirectory() as folder, stop_signals() as (stop, begun):
        plan = plan_to_file(Path(folder) / "plan.json", project, out, classes, options)
        begun.set()
        report = run_on_dask(plan, where, show, stop)
    show_report(report, as_json=as_json, quiet=quiet)
    if stop.is_set():
        return exits.INTERRUPTED
    return exits.OK if report.ok else exits.FAILED


def record_shower(*, quiet: bool) -> Callable[[Any], None]:
    """A listener that says what became of each image, a line each."""

    def listen(event: Any) -> None:
        if isinstance(event, ImageFinished) and not quiet:
            record = event.record
            reason = f": {record.error}" if record.error else f", {record.seconds:.1f} s"
            error_console().print(
                f"{record.image}: {record.status}{reason}", markup=False, highlight=False
            )

    return listen


def show_status(status: PlanStatus, plan: PlanFile) -> None:
    """How far a plan is."""
    names = {item.key: item.name for item in plan.items}
    finished = status.done + status.skipped + status.failed
    share = f" ({100 * finished / status.total:.0f} %)" if status.total else ""
    click.echo(f"{finished:,} of {count_of(status.total, 'image')} finished{share}")
    for what, n in (("done", status.done), ("skipped", status.skipped), ("failed", status.failed),
                    ("running", status.running), ("left", status.left)):  # fmt: skip
        if n or what in ("done", "left"):
            lost = f", {status.lost:,} of them begun by a task that died" if status.lost else ""
            click.echo(f"  {what:<8} {n:>9,}" + (lost if what == "left" else ""))
    if status.rate_per_hour is not None:
        left = status.seconds_left
        time_left = f"; {human_seconds(left)} left" if left is not None else ""
        click.echo(f"  {status.rate_per_hour:,.0f} images an hour{time_left}")
    for key in status.failed_keys[:10]:
        click.echo(f"  failed: {names[key]} (entry {key})")
    if len(status.failed_keys) > 10:
        click.echo(f"  and {len(status.failed_keys) - 10:,} more; qpmask collect tells why")


def show_submitted(submitted: Submitted, path: Path) -> None:
    """Ids of the jobs."""
    click.echo(f"array job {submitted.array}, collecting job {submitted.collecting} after it")
    click.echo(f"  how far it is: qpmask status {shlex.quote(str(path))}")
