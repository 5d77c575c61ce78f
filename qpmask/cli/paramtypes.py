"""Parameter types of the command line, and options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

AnyCommand = TypeVar("AnyCommand", bound=Callable[..., Any])


class _Unclassified(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """``ignore``, ``error`` or a label."""

    name = "ignore|error|LABEL"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | int:
        if value in ("ignore", "error"):
            return str(value)
        try:
            return int(value)
        except (TypeError, ValueError):
            self.fail(f"{value!r} is neither 'ignore' nor 'error' nor a label.", param, ctx)


UNCLASSIFIED = _Unclassified()


def on_many_machines(command: AnyCommand) -> AnyCommand:
    """``--plan FILE`` and ``--dask WHERE``, for a command that can be planned."""
    command = click.option(
        "--dask", metavar="ADDRESS|local:N|FILE.yaml", help="Do it on a Dask cluster."
    )(command)
    return click.option(
        "--plan", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
        help="Write a plan for tasks on other machines, and do nothing; see qpmask work.",
    )(command)  # fmt: skip
