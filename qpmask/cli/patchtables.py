"""Plans and reports of patches as tables or JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from qpmask.cli.console import (
    count_of,
    error_console,
    human_area,
    human_bytes,
    human_seconds,
    out_console,
    print_json,
)
from qpmask.patches.report import PatchRecord, PatchReport

_STYLES = {"done": "green", "skipped": "cyan", "failed": "bold red", "interrupted": "yellow"}
_WIDE = 100
_MAX_REASONS = 5


def show_patch_plan(records: Sequence[PatchRecord], *, as_json: bool = False) -> None:
    """Print what a run would cut."""
    if as_json:
        print_json({"slides": [record.as_dict() for record in records]})
        return
    console = out_console()
    table = Table(title="Plan", title_justify="left")
    columns = [
        "slide",
        "µm/px",
        "patch",
        "at level 0",
        "step",
        "level",
        "µm/px of a patch",
        "places",
        "file",
    ]
    if console.width < _WIDE:
        columns = ["slide", "µm/px", "at level 0", "places", "file"]
    for name in columns:
        left = name in ("slide", "file")
        table.add_column(name, justify="left" if left else "right", overflow="fold")
    for r in records:
        if r.status == "failed":
            table.add_row(Text(f"{r.name}: ") + Text("cannot be cut", "bold red"))
            continue
        cells: dict[str, Text | str] = {
            "slide": Text(r.name),
            "µm/px": f"{r.mpp:.4g}",
            "patch": f"{r.patch_size}",
            "at level 0": f"{r.patch_size_level0}",
            "step": f"{r.step_level0}",
            "level": f"{r.level}",
            "µm/px of a patch": f"{r.patch_mpp:.4g}",
            "places": f"{r.cells:,}",
            "file": _file_text(r),
        }
        table.add_row(*(cells[name] for name in columns))
    console.print(table)
    _print_trouble(records, warnings=True)
    _print_made_again(console, records)
    ready = [r for r in records if r.ok]
    held, again = (sum(bool(f(r)) for r in ready) for f in (_holds, _is_again))
    standing = (
        f": {len(ready) - held - again} new, {again} made again, {held} skipped, as they hold"
    )
    _say(
        console,
        f"{len(ready)} of {count_of(len(records), 'slide')} can be cut"
        f"{standing if held or again else ''}. Places are all cells of the lattice; those without "
        "tissue are left out.",
    )


def _holds(record: PatchRecord) -> bool:
    return record.status == "skipped"


def _is_again(record: PatchRecord) -> bool:
    return record.made_again is not None and not _holds(record)


def _file_text(record: PatchRecord) -> Text:
    """What would become of the patch file."""
    if _holds(record):
        return Text("skipped", "cyan")
    return Text("made again", "yellow") if _is_again(record) else Text("new")


def _print_made_again(console: Console, records: Iterable[PatchRecord]) -> None:
    """Why files are made again, each reason once."""
    counted = Counter(r.made_again for r in records if r.ok and _is_again(r))
    for why, n in counted.most_common(_MAX_REASONS):
        _say(console, f"{count_of(n, 'file')} made again: {why}")
    if len(counted) > _MAX_REASONS:
        _say(console, f"and {len(counted) - _MAX_REASONS} more reasons (--json gives all)")


def show_patch_report(report: PatchReport, *, as_json: bool = False, quiet: bool = False) -> None:
    """Print what a run did: a table or JSON on stdout, what went wrong on stderr."""
    if as_json:
        print_json(report.as_dict())
        return
    if not quiet:
        _print_summary(report)
    _print_trouble(report.records, warnings=not quiet)
    if report.interrupted:
        error_console().print(
            Text("Interrupted. ", "yellow")
            + Text(f"{sum(r.ok for r in report)} of {count_of(len(report), 'slide')} are done; the "
                   "same command goes on from there.")
        )  # fmt: skip


def _print_summary(report: PatchReport) -> None:
    console = out_console()
    table = Table(title=f"Patches in {report.output}", title_justify="left")
    names = ["slide", "status", "patches", "of", "tissue", "file", "time"]
    if console.width < _WIDE:
        names = ["slide", "status", "patches", "tissue"]
    for name in names:
        left = name in ("slide", "status")
        table.add_column(name, justify="left" if left else "right", overflow="fold")
    for r in report:
        cells: dict[str, Text | str] = {
            "slide": Text(r.name),
            "status": Text(r.status, _STYLES[r.status]),
            "patches": "" if r.patches is None else f"{r.patches:,}",
            "of": "" if r.cells is None else f"{r.cells:,}",
            "tissue": "" if r.tissue_mm2 is None else human_area(r.tissue_mm2 * 1e6),
            "file": human_bytes(r.bytes),
            "time": human_seconds(r.seconds) if r.status == "done" else "",
        }
        table.add_row(*(cells[name] for name in names))
    console.print(table)
    majority: Counter[str] = Counter()
    for r in report:
        majority.update({name: n for name, n in r.majority.items() if n})
    if majority:
        n_labelled = sum(r.patches or 0 for r in report if r.majority)
        rest = n_labelled - sum(majority.values())
        listed = [*majority.most_common(), *([("no class", rest)] if rest else [])]
        shares = ", ".join(f"{name} {count:,}" for name, count in listed)
        _say(console, f"Patches by majority class: {shares}")
    _print_made_again(console, report)
    counts = Counter(r.status for r in report)
    n = sum(r.patches or 0 for r in report)
    parts = ", ".join(f"{counts[s]} {s}" for s in _STYLES if counts[s])
    console.print(
        f"{parts}; {count_of(n, 'patch')} in {human_seconds(report.seconds)}",
        soft_wrap=not console.is_terminal,
    )


def _say(console: Console, text: str) -> None:
    """A sentence: broken between words in a terminal, else one line."""
    console.print(text, soft_wrap=not console.is_terminal)


def _print_trouble(records: Sequence[PatchRecord], *, warnings: bool) -> None:
    errors = error_console()
    for r in records:
        for warning in r.warnings if warnings else ():
            errors.print(Text("warning: ", "yellow") + Text(f"{r.name}: {warning}"))
        if r.status == "failed":
            errors.print(
                Text("error: ", "bold red") + Text(f"{r.name}: {r.error}"),
                soft_wrap=not errors.is_terminal,
            )
