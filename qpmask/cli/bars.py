"""Bars of a run in a terminal: one for each image under way, one for all of them."""

from __future__ import annotations

from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

_WIDE = 80  # columns of a terminal with room for whole words


class _Speed(ProgressColumn):
    """Tiles a second, in the room that there is."""

    def __init__(self, width: int) -> None:
        super().__init__(Column(no_wrap=True, justify="right"))
        self._unit = " tiles/s" if width >= _WIDE else "/s"

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if not speed else f"{speed:,.0f}{self._unit}", style="progress.data.speed")


class RunBars:
    """The bars, shown from here until :meth:`stop`.

    Parameters
    ----------
    console : Console
        Where.
    title : str
        Of the run.
    n_images : int
        How many it has.
    """

    def __init__(self, console: Console, title: str, n_images: int) -> None:
        overall = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("images"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[memory]}", style="dim"),
            console=console,
            expand=True,
        )
        self.images = Progress(
            TextColumn("  {task.description}"),
            TextColumn("{task.fields[phase]}", style="dim"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            _Speed(console.width),
            TimeRemainingColumn(compact=True),
            console=console,
            expand=True,
        )
        self._overall = overall
        self._run = overall.add_task(title, total=n_images, memory="")
        self._live = Live(Group(self.images, overall), console=console, refresh_per_second=8)
        self._live.start()

    def finished(self, n_images: int) -> None:
        """Show how many images have ended."""
        self._overall.update(self._run, completed=n_images)

    def memory(self, text: str) -> None:
        """Show how much memory is in use."""
        self._overall.update(self._run, memory=text)

    def stop(self) -> None:
        """Leave the terminal as it was."""
        self._live.stop()
