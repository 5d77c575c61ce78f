"""Events of a batch become a live display, or plain lines where there is no terminal."""

from __future__ import annotations

import time

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from qpmask.cli.console import count_of, error_console, shortened
from qpmask.events import (
    BatchEvent,
    BatchStarted,
    BatchWarning,
    ItemFinished,
    ItemStarted,
    StepsDone,
    StepsStarted,
)

_PLAIN_EVERY_S = 10.0
_STYLES = {"failed": "bold red", "skipped": "cyan"}


class _Steps(MofNCompleteColumn):
    """How many steps are done; nothing for a phase that has none to count."""

    def render(self, task: Task) -> Text:
        return Text() if task.total is None else super().render(task)


class BatchDisplay:
    """Listener of a batch; a context manager that leaves the terminal as it was."""

    def __init__(self, *, quiet: bool = False, console: Console | None = None) -> None:
        self._quiet = quiet
        self._console = console or error_console()
        self._fancy = self._console.is_terminal and not quiet
        self._n_items = self._n_finished = 0
        self._word = "item"
        self._names: dict[str, str] = {}
        self._phases: dict[str, tuple[str, int]] = {}
        self._said: dict[str, float] = {}
        self._failures: set[str] = set()
        self._tasks: dict[str, TaskID] = {}
        self._overall = Progress(
            TextColumn("[bold]{task.description}"), BarColumn(bar_width=None),
            MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(compact=True),
            console=self._console, expand=True,
        )  # fmt: skip
        self._items = Progress(
            TextColumn("  {task.description}"), TextColumn("{task.fields[phase]}", style="dim"),
            BarColumn(bar_width=None), _Steps(), TimeRemainingColumn(compact=True),
            console=self._console, expand=True,
        )  # fmt: skip
        self._live: Live | None = None
        self._run: TaskID | None = None

    @property
    def said(self) -> frozenset[str]:
        """Why something failed, as it was shown."""
        return frozenset(self._failures)

    def __enter__(self) -> BatchDisplay:
        return self

    def __exit__(self, *args: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __call__(self, event: BatchEvent) -> None:
        """Show one event."""
        if self._quiet:
            return
        if isinstance(event, BatchStarted):
            self._on_start(event)
        elif isinstance(event, BatchWarning):
            self._warn(event.text)
        elif isinstance(event, ItemStarted):
            self._on_item(event)
        elif isinstance(event, StepsStarted):
            self._on_phase(event)
        elif isinstance(event, StepsDone):
            self._on_steps(event)
        else:
            self._on_finished(event)

    def _say(self, text: Text | str) -> None:
        text = text if isinstance(text, Text) else Text(text)
        self._console.print(text, soft_wrap=not self._console.is_terminal)

    def _warn(self, warning: str) -> None:
        self._console.print(Text("warning: ", "yellow") + Text(warning, "not bold default"))

    def _on_start(self, event: BatchStarted) -> None:
        self._n_items, self._word = event.n_items, event.word
        self._say(f"{event.title}: {count_of(event.n_items, event.word)}")
        for warning in event.warnings:
            self._warn(warning)
        if self._fancy:
            self._run = self._overall.add_task(f"{event.word}s", total=event.n_items)
            self._live = Live(
                Group(self._items, self._overall), console=self._console, refresh_per_second=8
            )
            self._live.start()

    def _on_item(self, event: ItemStarted) -> None:
        self._names[event.key] = event.name
        if self._fancy:
            self._tasks[event.key] = self._items.add_task(
                escape(shortened(event.name)), total=None, phase="opening"
            )
        self._said[event.key] = time.monotonic()

    def _on_phase(self, event: StepsStarted) -> None:
        self._phases[event.key] = event.phase, event.n_steps
        task = self._tasks.get(event.key)
        if task is not None:
            self._items.reset(task, total=event.n_steps or None, phase=event.phase)

    def _on_steps(self, event: StepsDone) -> None:
        task = self._tasks.get(event.key)
        if task is not None:
            self._items.update(task, completed=event.done)
            return
        now = time.monotonic()
        if now - self._said.get(event.key, now) >= _PLAIN_EVERY_S:
            self._said[event.key] = now
            phase, total = self._phases.get(event.key, ("", 0))
            name = self._names.get(event.key, event.key)
            self._say(f"[{self._n_finished + 1}/{self._n_items}] {name}: {phase} {event.done:,} of "
                      f"{total:,}")  # fmt: skip

    def _on_finished(self, event: ItemFinished) -> None:
        task = self._tasks.pop(event.key, None)
        if task is not None:
            self._items.remove_task(task)
        if event.status == "interrupted":
            return
        self._n_finished += 1
        if self._run is not None:
            self._overall.update(self._run, completed=self._n_finished)
        line = Text(f"[{self._n_finished}/{self._n_items}] {event.name}: ")
        if event.status == "failed":
            line += Text("failed", "bold red")
            again = event.summary in self._failures
            self._failures.add(event.summary)
            line += Text(", for the same reason" if again else f"\n      {event.summary}")
            self._say(line)
            return
        self._say(line + Text(event.summary))
