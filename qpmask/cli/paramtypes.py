"""Parameter types of the command line."""

from __future__ import annotations

from typing import Any

import click


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
