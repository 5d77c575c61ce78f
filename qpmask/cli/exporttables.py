"""Plans and reports as tables or JSON: results on stdout, what went wrong on stderr."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from rich.console import Console
from rich.text import Text

from qpmask.classes import class_names
from qpmask.cli.advice import faster_way
from qpmask.cli.console import (
    class_text,
    count_of,
    error_console,
    human_bytes,
    human_seconds,
    out_console,
    print_json,
    say,
)
from qpmask.cli.grouping import grouped
from qpmask.cli.progress import AT_A_GLANCE
from qpmask.cli.tables import Cell, columns_of, print_table
from qpmask.outputs import AREAS_CSV, CONTACT_SHEET, PREVIEW_FOLDER, REPORT_CSV
from qpmask.plan import LEFT_OUT, NO_SLIDE, NOTHING, ImagePlan, Plan
from qpmask.report import STATUSES, ImageRecord, Report

_STATUS_STYLE = {"done": "green", "skipped": "cyan", "failed": "bold red", "interrupted": "yellow"}

_ENGINE_WORDS = {
    "auto": "auto (QuPath where one is found, else native)",
    "qupath": "qupath",
    "native": "native",
    "both": "both (QuPath draws, native verifies)",
}


_PLAN_COLUMNS = columns_of(
    ">id", "image", ">mask", ">µm/px", "type", ">objects", "classes", "slide", "output"
)


def show_plan(plan: Plan, *, as_json: bool = False) -> None:
    """Print what a run would do, on stdout."""
    if as_json:
        print_json({
            "project": str(plan.project.path),
            "engine": plan.options.engine,
            "classes": plan.class_map.as_dict(),
            "warnings": list(plan.findings),
            "images": [_plan_row(p) for p in plan.images],
        })  # fmt: skip
        return
    console = out_console()
    rows = [_plan_cells(image) for image in plan.images]
    title = f"Plan for {plan.project.path}"
    print_table(console, _PLAN_COLUMNS, rows, title=title, heading=2)
    _print_legend(console, plan)
    say(console, f"Engine: {_ENGINE_WORDS[plan.options.engine]}")
    for finding in plan.findings:
        say(console, Text("warning: ", "yellow") + Text(finding))
    names = [(e.id, e.name) for e in plan.project]
    said = [
        (image.entry.id, finding)
        for image in plan.images
        for finding in image.findings
        if image.slide is not None or not finding.startswith(NO_SLIDE)  # the table says so
        if not finding.endswith(f"{LEFT_OUT}.")  # the run's own warnings say so once
    ]
    for line in grouped(said, names, plan.project.path):
        say(console, Text("warning: ", "yellow") + Text(line))
    failed = [p for p in plan.images if p.error is not None]
    for line in grouped([(p.entry.id, str(p.error)) for p in failed], names, plan.project.path):
        say(console, Text("error: ", "bold red") + Text(line))
    _print_made_again(
        console,
        ["; ".join(p.standing.changes) for p in plan.images if p.standing and p.standing.changes],
    )
    text = f"{len(plan.images) - len(failed)} of {len(plan.images)} images can be drawn"
    standing = Counter(p.standing.action for p in plan.images if p.standing and not p.error)
    if standing["skip"] or standing["make again"]:
        text += (
            f": {standing['make']} new, {standing['make again']} made again, {standing['skip']} "
            "skipped, as they hold"
        )
    blank = [p for p in plan.images if not p.error and not p.drawn]
    if blank:
        text += f"; {count_of(len(blank), 'mask')} would be all background"
    say(console, f"{text}.")


def _plan_cells(image: ImagePlan) -> list[Text | str]:
    job = image.job
    if job is None:
        return [image.entry.id, Text(image.entry.name), Text("cannot be drawn", "bold red"),
                "", "", "", "", _slide_cell(image), ""]  # fmt: skip
    planes = f" x {job.n_planes}" if job.n_planes > 1 else ""
    is_by_class = not job.render.instances
    used = [f"{row.name} ({row.objects})" for row in image.legend if row.objects and is_by_class]
    return [
        image.entry.id,
        Text(image.entry.name),
        f"{job.size}{planes}",
        "" if image.pixel_size is None else f"{image.pixel_size.mean_um:.4g}",
        job.dtype,
        f"{image.drawn:,}",
        Text(", ".join(used) or ("one label each" if job.render.instances else "none")),
        _slide_cell(image),
        Text(image.mask_name) + _standing_text(image),
    ]


def _standing_text(image: ImagePlan) -> Text:
    """What would be done about a mask that an earlier run left."""
    standing = image.standing
    if standing is None or not standing.is_there:
        return Text()
    return Text("\nskipped", "cyan") if standing.holds else Text("\nmade again", "yellow")


def _print_made_again(console: Console, reasons: Iterable[str]) -> None:
    """Why masks are made again, each reason once."""
    counted = Counter(reasons)
    for why, n in counted.most_common(_MAX_REASONS):
        say(console, f"{count_of(n, 'mask')} made again: {why}")
    if len(counted) > _MAX_REASONS:
        console.print(f"and {len(counted) - _MAX_REASONS} more reasons (--json gives all)")


def _slide_cell(image: ImagePlan) -> Text:
    return Text("missing", "yellow") if image.slide is None else Text("there", "green")


def _plan_row(image: ImagePlan) -> dict[str, Any]:
    job = image.job
    return {
        "entry_id": image.entry.id,
        "image": image.entry.name,
        "mask": image.mask_name,
        "width_px": None if job is None else job.size.width_px,
        "height_px": None if job is None else job.size.height_px,
        "planes": None if job is None else job.n_planes,
        "dtype": None if job is None else job.dtype,
        "downsample": None if job is None else job.downsample,
        "objects": image.drawn,
        "classes": {}
        if job is not None and job.render.instances
        else {row.name: row.objects for row in image.legend},
        "slide": None if image.slide is None else str(image.slide),
        "action": None if image.standing is None or image.error else image.standing.action,
        "changes": [] if image.standing is None else list(image.standing.changes),
        "warnings": list(image.findings),
        "error": None if image.error is None else str(image.error),
    }


def _print_legend(console: Console, plan: Plan) -> None:
    if plan.options.render.instances:
        return
    rows: list[list[Cell]] = []
    for entry in plan.class_map.rows:
        objects, images = plan.count(class_names(entry))
        name = class_text(entry.name, entry.color)
        rows.append([str(entry.label), name, f"{objects:,}", f"{images:,}"])
    columns = columns_of(">label", "class", ">objects", ">images")
    print_table(console, columns, rows, title="Labels", heading=2)


def show_report(
    report: Report, *, as_json: bool = False, quiet: bool = False, said: Sequence[str] = ()
) -> None:
    """Print what a run did: a table or JSON on stdout, what went wrong on stderr.

    ``said`` are warnings and errors that stand on stderr already; errors are said again where
    much else may stand between.
    """
    if as_json:
        print_json(report.as_dict())
        return
    errors = error_console()
    if not quiet:
        _print_summary(report)
    for warning in _warnings(report):
        if not quiet and warning not in said:
            errors.print(Text("warning: ", "yellow") + Text(warning))
    names = [(r.entry_id, r.image) for r in report]
    failed = [
        (r.entry_id, str(r.error))
        for r in report
        if r.status == "failed" and not (str(r.error) in said and len(report) <= AT_A_GLANCE)
    ]
    for line in grouped(failed, names, report.project):
        errors.print(Text("error: ", "bold red") + Text(line))
    if report.interrupted:
        errors.print(
            Text("Interrupted. ", "yellow")
            + Text(f"{sum(r.ok for r in report)} of {len(report)} masks are done; "
                   "the same command goes on from there.")
        )  # fmt: skip
    advice = faster_way(report)
    if advice is not None and advice not in said and not quiet:
        errors.print(advice)


_MAX_REASONS = 5  # why masks were made again, one a line
_MAX_LISTED = 40  # images of a table in a terminal; report.csv has them all

#: Columns of the summary, and how many columns the terminal must have for each.
_COLUMNS: tuple[tuple[str, Literal["left", "right"], int], ...] = (
    ("image", "left", 0), ("status", "left", 0), ("mask", "left", 120), ("pixels", "right", 90),
    ("objects", "right", 0), ("labelled", "right", 0), ("file", "right", 90),
    ("time", "right", 120),
)  # fmt: skip


def _print_summary(report: Report) -> None:
    console = out_console()
    reached = [r for r in report if r.status != "interrupted"]
    if console.is_terminal and len(reached) > _MAX_LISTED:
        say(console, f"Masks in {report.output}")
    elif reached:
        _print_records(console, reached, f"Masks in {report.output}")
    _print_made_again(console, [r.made_again for r in report if r.made_again])
    parts = [f"{report.count(s):,} {s}" for s in STATUSES if report.count(s)]
    text = f"{', '.join(parts)} in {human_seconds(report.seconds)}"
    if report.count("done"):
        text += f", by {report.engine}"
    say(console, text)
    if console.is_terminal and len(reached) > _MAX_LISTED:
        console.print(
            f"{sum(r.objects or 0 for r in reached):,} objects, "
            f"{human_bytes(sum(r.bytes or 0 for r in reached))}. Image by image: "
            f"{REPORT_CSV}; the area of each class: {AREAS_CSV}."
        )
    if report.options.get("previews"):
        console.print(f"Pictures of the masks: {CONTACT_SHEET}, {PREVIEW_FOLDER}/")


def _print_records(console: Console, records: Sequence[ImageRecord], title: str) -> None:
    """One row an image, with the columns that there is room for."""
    columns = [(name, justify) for name, justify, least in _COLUMNS if console.width >= least]
    rows: list[list[Cell]] = []
    for r in records:
        size = f"{r.width_px:,} x {r.height_px:,}" if r.width_px and r.height_px else ""
        if size and r.planes and r.planes > 1:
            size += f" x {r.planes}"
        cells: dict[str, Text | str] = {
            "image": Text(r.image),
            "status": Text(r.status, _STATUS_STYLE[r.status]),
            "mask": Text(r.mask or ""),
            "pixels": size,
            "objects": "" if r.objects is None else f"{r.objects:,}",
            "labelled": "" if r.labelled is None else f"{100 * r.labelled:.2f} %",
            "file": human_bytes(r.bytes),
            "time": human_seconds(r.seconds) if r.status == "done" else "",
        }
        rows.append([cells[name] for name, _ in columns])
    print_table(console, columns, rows, title=title)


def _warnings(report: Report) -> list[str]:
    """Warnings of a report; one that many images share is said once."""
    lines = list(report.warnings)
    missing = [r for r in report if any(w.startswith(NO_SLIDE) for w in r.warnings)]
    if missing:
        lines.append(
            f"{count_of(len(missing), 'slide')} not found; the masks do not need them "
            "(see report.json)."
        )
    said = [
        (r.entry_id, text)
        for r in report
        for text in r.warnings
        # What the run's own warnings say once is left out.
        if not text.startswith(NO_SLIDE)
        and not text.endswith(f"{LEFT_OUT}.")
        and not (report.nothing_drawn and text.startswith(NOTHING))
    ]
    lines += grouped(said, [(r.entry_id, r.image) for r in report], report.project)
    return lines + report.hidden_lines()
