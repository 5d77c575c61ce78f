"""``qpmask status``: how far a plan is."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from qpmask.cli import exits


@click.command("status", short_help="How far a plan is.")
@click.argument("plan", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="As JSON on stdout.")
def command(plan: Path, as_json: bool) -> int:
    """Say what of a plan is done, running, failed and left, on any machine that sees its folder."""
    exits.set_up_logging(0)
    from qpmask.cli.plantables import show_status
    from qpmask.cluster import plan_status, read_plan_file

    found = read_plan_file(plan)
    status = plan_status(found)
    if as_json:
        click.echo(json.dumps({**asdict(status), "left": status.left}, indent=2))
    else:
        show_status(status, found)
    return exits.OK
