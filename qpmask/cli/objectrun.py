"""What commands that write files of objects have in common: the run, and how it is shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import Any

from rich.table import Table
from rich.text import Text

from qpmask.batch.batch import Item
from qpmask.cli import exits
from qpmask.cli.batchprogress import BatchDisplay
from qpmask.cli.console import (
    count_of,
    error_console,
    human_bytes,
    human_seconds,
    out_console,
    print_json,
)
from qpmask.cli.progress import AT_A_GLANCE
from qpmask.cli.signals import stop_signals
from qpmask.errors import OptionsError
from qpmask.events import BatchListener
from qpmask.geojson.write import WriteOptions
from qpmask.objectfiles.record import ObjectFileRecord, ObjectFileReport
from qpmask.objectfiles.run import RunOptions, make_files, plan_files
from qpmask.objectfiles.work import Maker

_STYLES = {
    "done": "green", "skipped": "cyan", "planned": "", "failed": "bold red",
    "interrupted": "yellow",
}  # fmt: skip
_WIDE = 100


def run_objects(
    maker: Maker[Any], sources: Sequence[Item], out: Path | None, write: WriteOptions,
    values: Mapping[str, Any], word: str,
) -> int:  # fmt: skip
    """Make the files, or show what would be made; the exit code.

    ``values`` are the options that all such commands have: gzip, force, workers, dry_run, as_json,
    quiet.
    """
    options = object_options(out, write, values, word)
    assert out is not None
    return run_and_show(
        lambda: plan_files(maker, sources, options),
        lambda listen, stop: make_files(maker, sources, options, listen, stop),
        out, values, word,
    )  # fmt: skip


def run_and_show(
    plan: Callable[[], Sequence[ObjectFileRecord]],
    make: Callable[[BatchListener, Event], ObjectFileReport],
    out: Path, values: Mapping[str, Any], word: str,
) -> int:  # fmt: skip
    """Plan or run, as ``values`` say, and show it; the exit code."""
    as_json, quiet = values["as_json"], values["quiet"]
    if values["dry_run"]:
        records = plan()
        if as_json:
            print_json({"files": [record.as_dict() for record in records]})
        else:
            _show(records, f"Plan for {out}", word)
            _say("Nothing was written.")
        return exits.OK if all(record.ok for record in records) else exits.FAILED
    with stop_signals() as (stop, begun), BatchDisplay(quiet=quiet or as_json) as display:

        def listen(event: Any) -> None:
            begun.set()
            display(event)

        report = make(listen, stop)
    said = display.said if len(report) <= AT_A_GLANCE else frozenset()
    _show_report(report, word, said, as_json=as_json, quiet=quiet)
    if report.interrupted:
        return exits.INTERRUPTED
    return exits.OK if report.ok else exits.FAILED


def object_options(
    out: Path | None, write: WriteOptions, values: Mapping[str, Any], word: str
) -> RunOptions:
    """Where files go, and how, by the options that all such commands have."""
    if out is None:
        raise OptionsError("Name the output.", hint="-o FILE.geojson, or -o FOLDER.")
    suffix = ".geojson.gz" if values["gzip"] else ".geojson"
    return RunOptions(out.expanduser(), write, suffix, values["force"], values["workers"], word)


def show_mask_report(report: ObjectFileReport, *, as_json: bool, quiet: bool) -> None:
    """Print what became of masks."""
    _show_report(report, "mask", (), as_json=as_json, quiet=quiet)


def _show_report(
    report: ObjectFileReport, word: str, said: Collection[str], *, as_json: bool, quiet: bool
) -> None:
    if as_json:
        print_json(report.as_dict())
        return
    if not quiet:
        _show(report.records, f"Objects in {report.output}", word, report.seconds, said)
    else:
        _show_trouble(report.records, (), warnings=False)
    if report.interrupted:
        error_console().print(
            Text("Interrupted. ", "yellow")
            + Text(f"{sum(r.ok for r in report)} of {count_of(len(report), word)} are done; the "
                   "same command goes on from there.")
        )  # fmt: skip


def _say(line: str) -> None:
    console = out_console()
    console.print(Text(line), soft_wrap=not console.is_terminal)


def _show(
    records: Sequence[ObjectFileRecord], title: str, word: str, seconds: float | None = None,
    said: Collection[str] = (),
) -> None:  # fmt: skip
    """Print a table of what was done; of what would be done where there are no seconds."""
    console = out_console()
    rows: list[dict[str, Text | str]] = [
        {
            word: Text(r.name),
            "status": Text(r.status, _STYLES[r.status]),
            "objects": "" if r.objects is None else f"{r.objects:,}",
            "vertices": "" if r.vertices is None else f"{r.vertices:,}",
            "size": "" if r.bytes is None else human_bytes(r.bytes),
            "time": human_seconds(r.seconds) if r.status == "done" else "",
            "file": Text("" if r.file is None else Path(r.file).name),
        }
        for r in records
    ]
    names = [word, "status", "objects", "vertices", "size", "time"]
    if seconds is None:
        names = [word, "status", "objects", "size", "file"]
    elif console.width < _WIDE:
        names = [word, "status", "objects", "size"]
    # A column in which nothing stands tells nothing.
    names = [name for name in names if name == word or any(row[name] for row in rows)]
    table = Table(title=title, title_justify="left")
    for name in names:
        left = name in (word, "status", "file")
        table.add_column(name, justify="left" if left else "right", overflow="fold")
    for row in rows:
        table.add_row(*(row[name] for name in names))
    console.print(table)
    classes: Counter[str] = Counter()
    for r in records:
        classes.update(dict(r.classes))
    if classes:
        shares = ", ".join(f"{name or 'no class'} {n:,}" for name, n in classes.most_common())
        _say(f"Objects by class: {shares}")
    counts = Counter(r.status for r in records)
    parts = ", ".join(f"{counts[s]} {s}" for s in _STYLES if counts[s])
    took = "" if seconds is None else f" in {human_seconds(seconds)}"
    _say(parts + took)
    _show_trouble(records, said, warnings=True)


def _show_trouble(
    records: Sequence[ObjectFileRecord], said: Collection[str], *, warnings: bool
) -> None:
    """Print warnings, and why something failed unless that was ``said``."""
    errors = error_console()
    for r in records:
        for warning in r.warnings if warnings else ():
            errors.print(Text("warning: ", "yellow") + Text(f"{r.name}: {warning}"))
        if r.status == "failed" and r.error not in said:
            errors.print(Text("error: ", "bold red") + Text(f"{r.name}: {r.error}"), soft_wrap=True)
