"""Few files open at a time, shared by the threads of the server; opened again when they change."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from qpmask.errors import QpmaskError
from qpmask.web.turns import Turns


class _Closes(Protocol):
    def close(self) -> None:
        """Let go of the file."""


_T = TypeVar("_T", bound=_Closes)


class FileGoneError(QpmaskError, FileNotFoundError):
    """A file that is looked at is not there any more."""


def version_of(path: Path) -> str:
    """What tells a file from the one that had its name before.

    Raises
    ------
    FileGoneError
        It is not there.
    """
    try:
        stat = (path / "zarr.json" if path.is_dir() else path).stat()
    except OSError as error:
        raise FileGoneError(
            f"{path.name} is gone: {error.strerror or error}.",
            hint="Put it back, or reload the page once it is there again.",
        ) from error
    return f"{stat.st_mtime_ns:x}-{stat.st_size:x}-{stat.st_ino:x}"


@dataclass(eq=False)
class _Held(Generic[_T]):
    thing: _T
    version: str
    users: int = 0
    is_dropped: bool = False


class OpenFiles(Generic[_T]):
    """Opens files when they are wanted, and closes those that were not for the longest time.

    Parameters
    ----------
    opener : callable
        Opens a path.
    at_most : int
        Files that stay open while nobody uses them; none once this is closed.
    turns : Turns
        Given away while another thread opens the file.
    """

    def __init__(self, opener: Callable[[Path], _T], at_most: int, turns: Turns) -> None:
        self._opener = opener
        self._at_most = at_most
        self._turns = turns
        self._held: OrderedDict[Path, _Held[_T]] = OrderedDict()
        self._lock = threading.Lock()
        self._opening: dict[Path, threading.Lock] = {}

    @contextlib.contextmanager
    def use(self, path: Path) -> Iterator[tuple[_T, str]]:
        """The open file and its version, which stays open until the block ends.

        Raises
        ------
        FileGoneError
            It is not there.
        QpmaskError
            It cannot be opened.
        """
        held = self._take(path)
        try:
            yield held.thing, held.version
        finally:
            self._give_back(held)

    def close(self) -> None:
        """Close all of them; those in use when they are given back."""
        with self._lock:
            self._at_most = 0
            self._drop_all_but(0)

    def _take(self, path: Path) -> _Held[_T]:
        with self._lock:
            opening = self._opening.setdefault(path, threading.Lock())
        with self._turns.waiting_for(opening):  # one thread opens, the others wait for it
            version = version_of(path)
            with self._lock:
                held = self._held.get(path)
                if held is not None and held.version == version:
                    self._held.move_to_end(path)
                    held.users += 1
                    return held
            fresh = _Held(self._opener(path), version, users=1)
            with self._lock:
                old = self._held.pop(path, None)
                if old is not None:
                    self._drop(old)
                self._held[path] = fresh
                self._drop_all_but(self._at_most)
            return fresh

    def _give_back(self, held: _Held[_T]) -> None:
        with self._lock:
            held.users -= 1
            if held.is_dropped and held.users == 0:
                held.thing.close()

    def _drop_all_but(self, n: int) -> None:
        while len(self._held) > n:
            self._drop(self._held.popitem(last=False)[1])

    def _drop(self, held: _Held[_T]) -> None:
        held.is_dropped = True
        if held.users == 0:
            held.thing.close()
