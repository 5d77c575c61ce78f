"""Events become a live display, or plain lines without a terminal; plans and reports, tables.

All progress goes to stderr, so that results on stdout can be piped.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from qpmask.events import (
    EngineReady,
    EngineStarting,
    Event,
    ImageFinished,
    ImageStarted,
    JvmMemory,
    PhaseStarted,
    RunStarted,
    TilesDone,
)
from qpmask.plan import ImagePlan, Plan
from qpmask.report import STATUSES, ImageRecord, Report

_PLAIN_EVERY_S = 10.0  # how often a long image says how far it is, without a terminal

_STATUS_STYLE = {"done": "green", "skipped": "cyan", "failed": "bold red", "interrupted": "yellow"}


class _Speed(ProgressColumn):
    """Tiles a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if not speed else f"{speed:,.0f} tiles/s", style="progress.data.speed")


class Display:
    """Listener of a run; a context manager that leaves the terminal as it was."""

    def __init__(self, *, quiet: bool = False, console: Console | None = None) -> None:
        self._quiet = quiet
        self._console = console or Console(stderr=True, highlight=False)
        self._fancy = self._console.is_terminal and not quiet
        self._n_images = 0
        self._n_finished = 0
        self._memory = ""
        self._names: dict[str, str] = {}
        self._tasks: dict[str, TaskID] = {}
        self._said: dict[str, float] = {}
        self._totals: dict[str, tuple[str, int]] = {}
        self._overall = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("images"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[memory]}", style="dim"),
            console=self._console,
            expand=True,
        )
        self._images = Progress(
            TextColumn("  {task.description}"),
            TextColumn("{task.fields[phase]}", style="dim"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            _Speed(),
            TimeRemainingColumn(compact=True),
            console=self._console,
            expand=True,
        )
        self._live: Live | None = None
        self._run: TaskID | None = None

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *args: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if self._quiet:
            return
        if isinstance(event, RunStarted):
            self._on_run(event.plan)
        elif isinstance(event, EngineStarting):
            self._say(f"Starting {_engine_name(event.name)} ...")
        elif isinstance(event, EngineReady):
            self._say(f"Using {event.description}")
        elif isinstance(event, ImageStarted):
            self._on_image(event)
        elif isinstance(event, PhaseStarted):
            self._on_phase(event)
        elif isinstance(event, TilesDone):
            self._on_tiles(event)
        elif isinstance(event, JvmMemory):
            self._on_memory(event)
        elif isinstance(event, ImageFinished):
            self._on_finished(event.record)

    def _say(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)

    def _on_run(self, plan: Plan) -> None:
        self._n_images = len(plan.images)
        self._say(f"Project {plan.project.path}: {_count(self._n_images, 'image')}")
        for finding in plan.findings:
            self._console.print(
                Text("warning: ", "yellow") + Text(finding, "not bold default"), soft_wrap=True
            )
        if self._fancy:
            self._run = self._overall.add_task(
                plan.project.folder.name, total=self._n_images, memory=""
            )
            self._live = Live(
                Group(self._images, self._overall), console=self._console, refresh_per_second=8
            )
            self._live.start()

    def _on_image(self, event: ImageStarted) -> None:
        self._names[event.entry_id] = event.name
        if self._fancy:
            self._tasks[event.entry_id] = self._images.add_task(
                escape(_shortened(event.name)), total=event.n_tiles, phase="reading"
            )
        else:
            self._say(f"{self._place()} {event.name}: {event.n_tiles:,} tiles")
            self._said[event.entry_id] = time.monotonic()

    def _on_phase(self, event: PhaseStarted) -> None:
        self._totals[event.entry_id] = (event.phase, event.n_tiles)
        task = self._tasks.get(event.entry_id)
        if task is not None:
            self._images.reset(task, total=event.n_tiles, phase=event.phase)

    def _on_tiles(self, event: TilesDone) -> None:
        task = self._tasks.get(event.entry_id)
        if task is not None:
            self._images.update(task, completed=event.done)
            return
        now = time.monotonic()
        if now - self._said.get(event.entry_id, now) >= _PLAIN_EVERY_S:
            self._said[event.entry_id] = now
            phase, total = self._totals.get(event.entry_id, ("", 0))
            name = self._names.get(event.entry_id, event.entry_id)
            memory = f", {self._memory}" if self._memory else ""
            self._say(f"{self._place()} {name}: {phase} {event.done:,} of {total:,} tiles{memory}")

    def _on_memory(self, event: JvmMemory) -> None:
        used, limit = event.used_bytes / 2**30, event.max_bytes / 2**30
        self._memory = f"Java {used:.1f} of {limit:.1f} GB"
        if self._run is not None:
            self._overall.update(self._run, memory=self._memory)

    def _on_finished(self, record: ImageRecord) -> None:
        self._n_finished += 1
        task = self._tasks.pop(record.entry_id, None)
        if task is not None:
            self._images.remove_task(task)
        if self._run is not None:
            self._overall.update(self._run, completed=self._n_finished)
        if record.status == "interrupted":
            return
        place = f"[{self._n_finished}/{self._n_images}]"
        if record.status == "failed":
            self._console.print(
                Text(f"{place} {record.image}: ")
                + Text("failed", "bold red")
                + Text(f"\n      {record.error}"),
                soft_wrap=True,
            )
        elif record.status == "skipped":
            self._say(f"{place} {record.image}: holds already ({record.mask})")
        else:
            self._say(
                f"{place} {record.image}: {record.mask}, {human_bytes(record.bytes)} "
                f"in {human_seconds(record.seconds)}"
            )

    def _place(self) -> str:
        return f"[{self._n_finished + 1}/{self._n_images}]"


# -- tables -------------------------------------------------------------------------------------


def show_plan(plan: Plan, *, as_json: bool = False) -> None:
    """Print what a run would do, on stdout."""
    if as_json:
        print_json({
            "project": str(plan.project.path),
            "classes": plan.class_map.as_dict(),
            "warnings": list(plan.findings),
            "images": [_plan_row(p) for p in plan.images],
        })  # fmt: skip
        return
    console = out_console()
    table = Table(title=f"Plan for {plan.project.path}", title_justify="left")
    for name, justify in (
        ("id", "right"), ("image", "left"), ("mask", "right"), ("µm/px", "right"),
        ("type", "left"), ("objects", "right"), ("classes", "left"), ("slide", "left"),
        ("output", "left"),
    ):  # fmt: skip
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for image in plan.images:
        table.add_row(*_plan_cells(image))
    console.print(table)
    _print_legend(console, plan)
    for finding in plan.findings:
        console.print(Text("warning: ", "yellow") + Text(finding), soft_wrap=True)
    for image in plan.images:
        for finding in image.findings:
            if image.slide is None and finding.startswith("The slide is not at"):
                continue  # the table says so
            console.print(
                Text("warning: ", "yellow") + Text(f"{image.entry.name}: {finding}"),
                soft_wrap=True,
            )
    failed = [p for p in plan.images if p.error is not None]
    for image in failed:
        console.print(
            Text("error: ", "bold red") + Text(f"{image.entry.name}: {image.error}"),
            soft_wrap=True,
        )
    console.print(f"{len(plan.images) - len(failed)} of {len(plan.images)} images can be drawn.")


def _plan_cells(image: ImagePlan) -> list[Text | str]:
    job = image.job
    if job is None:
        return [image.entry.id, Text(image.entry.name), Text("cannot be drawn", "bold red"),
                "", "", "", "", _slide_cell(image), ""]  # fmt: skip
    planes = f" x {job.n_planes}" if job.n_planes > 1 else ""
    used = [f"{row.name} ({row.objects})" for row in image.legend if row.objects]
    return [
        image.entry.id,
        Text(image.entry.name),
        f"{job.size}{planes}",
        "" if image.pixel_size is None else f"{image.pixel_size.mean_um:.4g}",
        job.dtype,
        f"{image.drawn:,}",
        Text(", ".join(used) or ("one label each" if job.render.instances else "none")),
        _slide_cell(image),
        Text(image.mask_name),
    ]


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
        "classes": {row.name: row.objects for row in image.legend},
        "slide": None if image.slide is None else str(image.slide),
        "warnings": list(image.findings),
        "error": None if image.error is None else str(image.error),
    }


def _print_legend(console: Console, plan: Plan) -> None:
    if plan.options.render.instances:
        return
    counts = plan.class_counts()
    table = Table(title="Labels", title_justify="left")
    for name, justify in (
        ("label", "right"), ("class", "left"), ("objects", "right"), ("images", "right"),
    ):  # fmt: skip
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for entry in plan.class_map.entries:
        names = (entry.name, *entry.aliases)
        objects = sum(counts.get(n, (0, 0))[0] for n in names)
        images = max(counts.get(n, (0, 0))[1] for n in names)
        table.add_row(
            str(entry.label), class_text(entry.name, entry.color), f"{objects:,}", f"{images:,}"
        )
    console.print(table)


def show_report(report: Report, *, as_json: bool = False, quiet: bool = False) -> None:
    """Print what a run did: a table or JSON on stdout, what went wrong on stderr."""
    if as_json:
        print_json(report.as_dict())
        return
    errors = Console(stderr=True, highlight=False)
    if not quiet:
        _print_summary(report)
    for warning in _warnings(report):
        if not quiet:
            errors.print(Text("warning: ", "yellow") + Text(warning), soft_wrap=True)
    for record in report:
        if record.status == "failed":
            errors.print(
                Text("error: ", "bold red") + Text(f"{record.image}: {record.error}"),
                soft_wrap=True,
            )
    if report.interrupted:
        errors.print(
            Text("Interrupted. ", "yellow")
            + Text(f"{sum(r.ok for r in report)} of {len(report)} masks are done; "
                   "the same command goes on from there.")
        )  # fmt: skip


def _print_summary(report: Report) -> None:
    console = out_console()
    table = Table(title=f"Masks in {report.output}", title_justify="left")
    for name, justify in (
        ("image", "left"), ("status", "left"), ("mask", "left"), ("pixels", "right"),
        ("objects", "right"), ("labelled", "right"), ("file", "right"), ("time", "right"),
    ):  # fmt: skip
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for r in report:
        area = sum(r.pixels.values())
        share = f"{100 * (1 - r.pixels.get(0, 0) / area):.2f} %" if area else ""
        size = f"{r.width_px:,} x {r.height_px:,}" if r.width_px and r.height_px else ""
        if size and r.planes and r.planes > 1:
            size += f" x {r.planes}"
        table.add_row(
            Text(r.image),
            Text(r.status, _STATUS_STYLE[r.status]),
            Text(r.mask or ""),
            size,
            "" if r.objects is None else f"{r.objects:,}",
            share,
            human_bytes(r.bytes),
            human_seconds(r.seconds) if r.status == "done" else "",
        )
    console.print(table)
    parts = [f"{report.count(s)} {s}" for s in STATUSES if report.count(s)]
    console.print(
        f"{', '.join(parts)} in {human_seconds(report.seconds)}, by {report.engine}", soft_wrap=True
    )


def _warnings(report: Report) -> list[str]:
    """Warnings of a report; one that many images share is said once."""
    lines = list(report.warnings)
    missing = [r for r in report if any(w.startswith("The slide is not at") for w in r.warnings)]
    if missing:
        lines.append(
            f"{_count(len(missing), 'slide')} not found; the masks do not need them "
            "(see report.json)."
        )
    for record in report:
        lines += [
            f"{record.image}: {w}"
            for w in record.warnings
            if not w.startswith("The slide is not at")
        ]
    return lines


# -- words and numbers --------------------------------------------------------------------------


def out_console() -> Console:
    """Console for results: as wide as it takes where stdout is no terminal."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=200)


def class_text(name: str, color: tuple[int, int, int] | None) -> Text:
    """A class name behind a square of its colour."""
    if color is None:
        return Text(f"  {name}")
    return Text("■ ", "rgb({},{},{})".format(*color)) + Text(name, "default")


def human_bytes(count: int | None) -> str:
    """``17.6 MB``; nothing for None."""
    if count is None:
        return ""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return ""


def human_seconds(seconds: float) -> str:
    """``4.2 s`` or ``1 h 02 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def print_json(data: object) -> None:
    json.dump(data, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def _shortened(name: str, width: int = 36) -> str:
    return name if len(name) <= width else f"{name[: width - 13]}...{name[-10:]}"


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}" + ("" if number == 1 else "s")


def _engine_name(name: str) -> str:
    return "QuPath" if name == "qupath" else name
