"""Listens to a run: progress as plain data, and a clean stop after the first image."""

import threading
from pathlib import Path

from qpmask import export_masks
from qpmask.events import Event, ImageFinished, PhaseStarted, TilesDone

here = Path(__file__).resolve().parent
stop = threading.Event()


def listen(event: Event) -> None:
    """Print what happens."""
    if isinstance(event, PhaseStarted):
        print(event.entry_id, event.phase, "of", event.n_tiles, "tiles")
    elif isinstance(event, TilesDone):
        print(event.entry_id, event.done, "tiles done")
    elif isinstance(event, ImageFinished):
        stop.set()


if __name__ == "__main__":
    report = export_masks(here / "demo_project", "masks-stopped", progress=listen, stop=stop)
    print([(r.image, r.status) for r in report], "interrupted:", report.interrupted)
