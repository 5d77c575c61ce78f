"""The extractors, and reports of features, as tables or JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

from rich.text import Text

from qpmask.cli.console import error_console, human_seconds, out_console, print_json, say
from qpmask.cli.tables import Cell, columns_of, print_table
from qpmask.features.registry import Model, models
from qpmask.features.report import FeatureReport

_STYLES = {"done": "green", "skipped": "cyan", "failed": "bold red", "interrupted": "yellow"}


def show_models(*, as_json: bool = False) -> None:
    """Print the registry."""
    rows = list(models().values())
    if as_json:
        print_json({"extractors": [_as_dict(row) for row in rows]})
        return
    console = out_console()
    columns = columns_of("name", ">numbers", "sees", "licence", "weights")
    table: list[list[Cell]] = []
    for row in rows:
        licence = f"{row.licence} (gated)" if row.gated else row.licence
        pinned = "" if row.is_pinned else " (not pinned)"
        cells = [row.name, f"{row.dimension:,}", str(row.seeing), licence]
        table.append([*cells, f"{row.source}{pinned}"])
    print_table(console, columns, table, title="Extractors")
    for row in rows:
        if row.note:
            say(console, f"{row.name}: {row.note}")
    say(
        console,
        "Gated weights need an account that accepted their licence. For your own model: "
        "--extractor FILE.onnx or package.module:factory.",
    )


def _as_dict(row: Model) -> dict[str, object]:
    data = asdict(row)
    data["pinned"] = row.is_pinned
    return data


def show_feature_report(
    report: FeatureReport, *, as_json: bool = False, quiet: bool = False
) -> None:
    """Print what a run did: a table or JSON on stdout, what went wrong on stderr."""
    if as_json:
        print_json(report.as_dict())
        return
    if not quiet:
        console = out_console()
        rows: list[list[Cell]] = []
        for r in report:
            rate = r.patches_per_second
            rows.append([
                Text(r.name), Text(r.extractor), Text(r.status, _STYLES[r.status]),
                "" if r.patches is None else f"{r.patches:,}",
                "" if r.dimension is None else f"{r.dimension:,}",
                "" if rate is None else f"{rate:,.0f}",
            ])  # fmt: skip
        columns = columns_of("slide", "extractor", "status", ">patches", ">numbers", ">a second")
        title = f"Features in {report.output}"
        print_table(console, columns, rows, title=title, heading=2)
        counts = Counter(r.status for r in report)
        parts = ", ".join(f"{counts[s]} {s}" for s in _STYLES if counts[s])
        say(console, f"{parts}; {human_seconds(report.seconds)}")
    _print_trouble(report, warnings=not quiet)


def _print_trouble(report: FeatureReport, *, warnings: bool) -> None:
    errors = error_console()
    said: Counter[str] = Counter(r.error or "" for r in report if r.status == "failed")
    for r in report:
        for warning in r.warnings if warnings or r.not_finite else ():
            errors.print(
                Text("warning: ", "yellow") + Text(f"{r.name}: {warning}"),
                soft_wrap=not errors.is_terminal,
            )
        if r.status == "failed" and said[r.error or ""]:
            n = said.pop(r.error or "")
            who = r.name if n == 1 else f"{r.name} and {n - 1} more"
            errors.print(
                Text("error: ", "bold red") + Text(f"{who}: {r.extractor}: {r.error}"),
                soft_wrap=not errors.is_terminal,
            )
    if report.interrupted:
        errors.print(
            Text("Interrupted. ", "yellow")
            + Text("What was made stays; the same command goes on from there.")
        )
