"""What an import did, or would do, as a table or JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from rich.text import Text

from qpmask.cli.console import (
    count_of,
    error_console,
    human_seconds,
    out_console,
    print_json,
    say,
)
from qpmask.cli.progress import AT_A_GLANCE
from qpmask.cli.tables import Cell, columns_of, print_table
from qpmask.intoqupath.report import ImportReport

_STYLES = {"done": "green", "planned": "cyan", "failed": "bold red", "interrupted": "yellow"}
_CLASSES = 8


def show_import(
    report: ImportReport,
    *,
    as_json: bool = False,
    quiet: bool = False,
    said: Collection[str] = (),
) -> None:
    """Print it: results on stdout, what went wrong on stderr, unless it was ``said``."""
    if as_json:
        print_json(report.as_dict())
        return
    if not quiet:
        _print_table(report)
    _print_trouble(report, warnings=not quiet, said=said if len(report) <= AT_A_GLANCE else ())


def _print_table(report: ImportReport) -> None:
    console = out_console()
    rows: list[list[Cell]] = []
    for r in report:
        numbers = [r.before, r.removed, r.added, r.after]
        cells = ["" if n is None else f"{n:,}" for n in numbers]
        rows.append([Text(r.name), Text(r.status, _STYLES[r.status]), *cells])
    columns = columns_of("image", "status", ">before", ">removed", ">added", ">after")
    title = "Would be imported into" if report.dry_run else "Imported into"
    print_table(console, columns, rows, title=f"{title} {report.project}")
    classes: Counter[str] = Counter()
    for r in report:
        if r.error is None:
            classes.update(r.classes)
    if classes:
        named = [f"{name or 'no class'} {n:,}" for name, n in classes.most_common(_CLASSES)]
        more = len(classes) - _CLASSES
        rest = f", and {count_of(more, 'more class')}" if more > 0 else ""
        say(console, f"By class: {', '.join(named)}{rest}")
    counts = Counter(r.status for r in report)
    parts = ", ".join(f"{counts[s]} {s}" for s in _STYLES if counts[s])
    say(console, f"{parts}; {human_seconds(report.seconds)}")
    if report.backup is not None:
        say(console, f"What was replaced is kept in {report.backup}; 'qpmask restore "
            f"{report.project.parent}' takes it back.")  # fmt: skip
    if report.dry_run:
        say(console, "Nothing was written.")


def _print_trouble(report: ImportReport, *, warnings: bool, said: Collection[str]) -> None:
    errors = error_console()
    for name, why in report.unmatched:
        errors.print(Text("error: ", "bold red") + Text(f"{name}: {why}"))
    for r in report:
        for warning in r.warnings if warnings or r.lost else ():
            errors.print(Text("warning: ", "yellow") + Text(f"{r.name}: {warning}"))
        if r.status == "failed" and r.error not in said:
            errors.print(Text("error: ", "bold red") + Text(f"{r.name}: {r.error}"))
    if report.interrupted:
        errors.print(
            Text("Interrupted. ", "yellow")
            + Text("Images that are done have their objects; the others are as they were.")
        )
