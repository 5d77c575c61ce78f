"""Plans for many machines: how commands make them, and how people read them."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from qpmask.batch.planned import PlannedRun
from qpmask.cli import exits
from qpmask.cli.batchprogress import BatchDisplay
from qpmask.cli.console import count_of, error_console, human_seconds
from qpmask.cli.signals import stop_signals
from qpmask.cluster import PlanFile, PlanStatus, write_plan
from qpmask.cluster.slurm import Submitted
from qpmask.events import BatchWarning, ItemFinished
from qpmask.outputs import json_text


def planned(
    run: Callable[[], PlannedRun[Any]],
    plan: Path | None,
    dask: str | None,
    *,
    as_json: bool,
    quiet: bool,
) -> int:
    """Write the plan of a command, or do it on a Dask cluster; the exit code."""
    if plan is not None:
        show_plan_file(write_plan(plan, run()), plan, as_json=as_json, quiet=quiet)
        return exits.OK
    assert dask is not None
    from qpmask.cluster.dasktasks import run_on_dask

    with (
        tempfile.TemporaryDirectory() as folder,
        stop_signals() as (stop, begun),
        BatchDisplay(quiet=quiet or as_json) as display,
    ):
        made = write_plan(Path(folder) / "plan.json", run())
        begun.set()
        report = run_on_dask(made, dask, display, stop)
    show_any_report(made.run.command, report, as_json=as_json, quiet=quiet)
    if stop.is_set() or report.interrupted:
        return exits.INTERRUPTED
    return exits.OK if report.ok else exits.FAILED


#: What shows the report of each command that can be planned.
_SHOWN_BY = {
    "export": "exporttables:show_report",
    "patches": "patchtables:show_patch_report",
    "features": "featuretables:show_feature_report",
    "polygons": "objectrun:show_mask_report",
}


def show_any_report(command: str, report: Any, *, as_json: bool, quiet: bool) -> None:
    """The report of a command, as the command itself shows it."""
    module, _, name = _SHOWN_BY[command].partition(":")
    getattr(import_module(f"qpmask.cli.{module}"), name)(report, as_json=as_json, quiet=quiet)


def show_plan_file(plan: PlanFile, path: Path, *, as_json: bool, quiet: bool) -> None:
    """What was planned, and what comes next."""
    if as_json:
        found = {"plan": str(path.absolute()), "command": plan.run.command,
                 "output": str(plan.out), "items": len(plan.items),
                 "warnings": list(plan.run.warnings)}  # fmt: skip
        click.echo(json_text(found, indent=2))
        return
    if quiet:
        return
    for warning in plan.run.warnings:
        error_console().print(Text(f"warning: {warning}", "yellow"))
    name, run = shlex.quote(str(path)), plan.run
    of = f" of {run.source}" if run.source else ""
    click.echo(f"{path}: {run.command}, {count_of(len(plan.items), run.word)}{of}, into {plan.out}")
    for what, command in (  # a line each, to be copied whole from a narrow window too
        ("Nothing is done yet. On each of two machines, or terminals:", f"work {name} --task 1/2"),
        ("", f"work {name} --task 2/2"),
        ("Or by SLURM:", f"submit {name} --slurm --array-size 4"),
        ("How far it is:", f"status {name}"),
        ("The report, at the end:", f"collect {name}"),
    ):
        click.echo((f"{what}\n" if what else "") + f"  qpmask {command}")


def item_shower(*, quiet: bool) -> Callable[[Any], None]:
    """A listener that says what became of each item, a line each."""

    def listen(event: Any) -> None:
        if isinstance(event, BatchWarning) and not quiet:
            error_console().print(Text(event.text, "yellow"))
        if isinstance(event, ItemFinished) and not quiet:
            error_console().print(
                f"{event.name}: {event.status}, {event.summary}", markup=False, highlight=False
            )

    return listen


def show_status(status: PlanStatus, plan: PlanFile) -> None:
    """How far a plan is."""
    word = plan.run.word
    finished = status.done + status.skipped + status.failed
    share = f" ({100 * finished / status.total:.0f} %)" if status.total else ""
    click.echo(f"{finished:,} of {count_of(status.total, word)} finished{share}")
    for what, n in (("done", status.done), ("skipped", status.skipped), ("failed", status.failed),
                    ("running", status.running), ("left", status.left)):  # fmt: skip
        if n or what in ("done", "left") or (what == "running" and status.left):
            lost = f", {status.lost:,} of them begun by a task that died" if status.lost else ""
            click.echo(f"  {what:<8} {n:>9,}" + (lost if what == "left" else ""))
    if status.rate_per_hour is not None:
        left = status.seconds_left
        time_left = f"; {human_seconds(left)} left" if left is not None else ""
        click.echo(f"  {status.rate_per_hour:,.0f} {word}s an hour{time_left}")
    for key in status.failed_keys[:10]:
        click.echo(f"  failed: {plan.by_key[key].name} ({key})")
    if len(status.failed_keys) > 10:
        click.echo(f"  and {len(status.failed_keys) - 10:,} more; qpmask collect tells why")


def show_submitted(submitted: Submitted, path: Path) -> None:
    """Ids of the jobs."""
    click.echo(f"array job {submitted.array}, collecting job {submitted.collecting} after it")
    click.echo(f"  how far it is: qpmask status {shlex.quote(str(path))}")
