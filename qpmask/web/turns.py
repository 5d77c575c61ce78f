"""How many answers are made at a time. Who waits for another one's work gives the turn away."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


class Turns:
    """Turns of threads; ``with turns:`` takes one, and waits for it where all are taken.

    Parameters
    ----------
    at_most : int
        Turns at a time.
    """

    def __init__(self, at_most: int) -> None:
        self._free = threading.BoundedSemaphore(at_most)
        self._mine = threading.local()

    def __enter__(self) -> Turns:
        self._free.acquire()
        self._mine.is_taken = True
        return self

    def __exit__(self, *args: object) -> None:
        self._mine.is_taken = False
        self._free.release()

    @contextlib.contextmanager
    def waiting_for(self, lock: threading.Lock) -> Iterator[None]:
        """Hold a lock; while it has to be waited for, others have this thread's turn.

        So answers that all wait for one long drawing leave all other answers their turns.
        """
        if not lock.acquire(blocking=False):
            gives_away = getattr(self._mine, "is_taken", False)
            if gives_away:
                self._free.release()
            try:
                lock.acquire()
            finally:
                if gives_away:
                    self._free.acquire()
        try:
            yield
        finally:
            lock.release()
