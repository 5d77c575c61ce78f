"""Events become a live display, or plain lines where there is no terminal.

All progress goes to stderr, so that results on stdout can be piped.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from qpmask.cli.advice import FASTER, faster_next
from qpmask.cli.console import (
    COMPILING,
    count_of,
    engine_name,
    error_console,
    human_bytes,
    human_seconds,
    shortened,
)
from qpmask.cli.grouping import shown_names, without_image
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
from qpmask.options import ExportOptions

if TYPE_CHECKING:
    from rich.progress import TaskID

    from qpmask.cli.bars import RunBars
    from qpmask.plan import Plan
    from qpmask.report import ImageRecord

AT_A_GLANCE = 10  # images of a run whose progress is still in view at its end
_MAX_SAID = 40  # images of a run that get a line each in a terminal
_PLAIN_EVERY_S = 10.0  # how often a long image says how far it is, without a terminal


class Display:
    """Listener of a run; a context manager that leaves the terminal as it was."""

    def __init__(self, *, quiet: bool = False, console: Console | None = None) -> None:
        self._quiet = quiet
        self._console = console or error_console()
        self._fancy = self._console.is_terminal and not quiet
        self._room = min(36, max(14, self._console.width - 46))  # for the name of an image
        self._n_images = 0
        self._n_finished = 0
        self._memory = ""
        self.said: tuple[str, ...] = ()  # warnings of the plan that were shown
        self._names: dict[str, str] = {}  # as shown, by entry id
        self._project = Path()
        self._reasons: set[str] = set()  # why images failed, as far as it was said
        self._tasks: dict[str, TaskID] = {}
        self._said: dict[str, float] = {}
        self._places: dict[str, int] = {}  # of images under way, in the order of their start
        self._totals: dict[str, tuple[str, int]] = {}
        self._options: ExportOptions | None = None
        self._bars: RunBars | None = None

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *args: object) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if self._quiet:
            return
        if isinstance(event, RunStarted):
            self._on_run(event.plan)
        elif isinstance(event, EngineStarting):
            self._say(f"Starting {engine_name(event.name)} ...")
            if event.compiles:
                self._say(COMPILING)
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
        self._console.print(Text(text))

    def _on_run(self, plan: Plan) -> None:
        self._n_images = len(plan.images)
        self._names = shown_names((e.id, e.name) for e in plan.project)
        self._project = plan.project.path
        self._options = plan.options
        self._say(f"Project {plan.project.path}: {count_of(self._n_images, 'image')}")
        self.said = plan.findings
        for finding in plan.findings:
            self._console.print(Text("warning: ", "yellow") + Text(finding, "not bold default"))
        if self._fancy:
            from qpmask.cli.bars import RunBars

            self._bars = RunBars(self._console, plan.project.folder.name, self._n_images)

    def _on_image(self, event: ImageStarted) -> None:
        name = self._names.setdefault(event.entry_id, event.name)
        self._places[event.entry_id] = self._n_finished + len(self._places) + 1
        if self._bars is not None:
            self._tasks[event.entry_id] = self._bars.images.add_task(
                escape(shortened(name, self._room)), total=event.n_tiles, phase="reading"
            )
        else:
            place = self._place(event.entry_id)
            self._say(f"{place} {name}: {count_of(event.n_tiles, 'tile')}")
            self._said[event.entry_id] = time.monotonic()

    def _on_phase(self, event: PhaseStarted) -> None:
        self._totals[event.entry_id] = (event.phase, event.n_tiles)
        task = self._tasks.get(event.entry_id)
        if self._bars is not None and task is not None:
            self._bars.images.reset(task, total=event.n_tiles, phase=event.phase)

    def _on_tiles(self, event: TilesDone) -> None:
        task = self._tasks.get(event.entry_id)
        if self._bars is not None and task is not None:
            self._bars.images.update(task, completed=event.done)
            return
        now = time.monotonic()
        if now - self._said.get(event.entry_id, now) >= _PLAIN_EVERY_S:
            self._said[event.entry_id] = now
            phase, total = self._totals.get(event.entry_id, ("", 0))
            name = self._names.get(event.entry_id, event.entry_id)
            memory = f", {self._memory}" if self._memory else ""
            place = self._place(event.entry_id)
            self._say(f"{place} {name}: {phase} {event.done:,} of {total:,} tiles{memory}")

    def _on_memory(self, event: JvmMemory) -> None:
        used, limit = event.used_bytes / 2**30, event.max_bytes / 2**30
        self._memory = f"Java {used:.1f} of {limit:.1f} GB"
        if self._bars is not None:
            self._bars.memory(self._memory)

    def _on_finished(self, record: ImageRecord) -> None:
        self._places.pop(record.entry_id, None)
        if record.status != "interrupted":
            self._n_finished += 1
        task = self._tasks.pop(record.entry_id, None)
        if self._bars is not None:
            if task is not None:
                self._bars.images.remove_task(task)
            self._bars.finished(self._n_finished)
        if record.status == "interrupted":
            return
        self._advise(record)
        place = f"[{self._n_finished}/{self._n_images}]"
        name = self._names.get(record.entry_id, record.image)
        if record.status == "failed":
            self.said = (*self.said, str(record.error))
            said = Text(f"{place} {name}: ") + Text("failed", "bold red")
            if self._n_images <= AT_A_GLANCE:  # it is not said again at the end
                said += Text("\n") + Text("error: ", "bold red") + Text(f"{name}: ")
            else:
                said += Text("\n      ")
            self._console.print(said + Text(self._reason(record)))
        elif self._fancy and self._n_images > _MAX_SAID:
            return  # the bar counts them
        elif record.status == "skipped":
            self._say(f"{place} {name}: holds already ({record.mask})")
        else:
            self._say(
                f"{place} {name}: {record.mask}, {human_bytes(record.bytes)} "
                f"in {human_seconds(record.seconds)}"
                + (f"; made again: {record.made_again}" if record.made_again else "")
            )

    def _advise(self, record: ImageRecord) -> None:
        """Say once, while images wait, that they can be made faster."""
        if self._options is None or FASTER in self.said or self._n_finished >= self._n_images:
            return
        advice = faster_next(record, self._options)
        if advice is not None:
            self.said = (*self.said, advice)
            self._say(advice)

    def _reason(self, record: ImageRecord) -> str:
        """Why an image failed; a reason that was said of another one is not said again."""
        reason = without_image(str(record.error), record.entry_id, record.image, self._project)
        if reason in self._reasons:
            return "for the same reason"
        self._reasons.add(reason)
        return str(record.error)

    def _place(self, entry_id: str) -> str:
        """Place of an image under way."""
        return f"[{self._places.get(entry_id, self._n_finished + 1)}/{self._n_images}]"
