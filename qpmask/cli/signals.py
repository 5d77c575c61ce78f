"""Ctrl-C and SIGTERM end a long command cleanly."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def stop_signals() -> Iterator[tuple[threading.Event, threading.Event]]:
    """Make Ctrl-C and SIGTERM end a run cleanly, and a second one at once.

    Yields the event that asks a run to stop, and the one that says that it has begun; before that
    a signal ends the command where it is, since nothing has been written.
    """
    stop, begun = threading.Event(), threading.Event()

    def handle(number: int, frame: object) -> None:
        if not begun.is_set():
            # Raised in a place where Python or NumPy drops what is raised, it would be lost.
            stop.set()
            # No QpmaskError: those are caught where data files are read, as an image's own.
            raise KeyboardInterrupt("Interrupted before anything was written.")
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    previous: dict[int, Callable[..., Any] | int | None] = {}
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and threading.current_thread() is threading.main_thread():
            previous[number] = signal.signal(number, handle)
    try:
        yield stop, begun
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
