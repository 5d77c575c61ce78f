"""The output folder: one run at a time, and files that appear whole or not at all.

A mask is made under a hidden name in ``DIR/.qpmask``, checked there, and then renamed; its sidecar
follows in the same way. One run at a time may write to a folder (a lock that the operating system
releases even if the run is killed), so whatever lies in ``.qpmask`` when a run begins was left by a
killed one and is removed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from qpmask.errors import OutputError
from qpmask.outputs.claims import live_claims
from qpmask.outputs.files import csv_text, json_text, sync_folder, writing

_WORK_FOLDER = ".qpmask"


class OutputWriter:
    """Writes into an output folder, whole files or none.

    What it writes lasts when a method returns; with ``sync=False`` the content does, and the name
    when that of a later file does: files that go together wait for the disk once.

    Parameters
    ----------
    path : Path
        The folder.
    work : Path, optional
        Where files are made before they get their names, on the same file system. By default that
        of a run, which needs the lock of an OutputFolder; one of several that write at once has
        its own.
    """

    def __init__(self, path: Path, work: Path | None = None) -> None:
        self.path = path
        self._work = work or path / _WORK_FOLDER

    def work_file(self, name: str) -> Path:
        """Path of a hidden file that goes with the run, whatever happens."""
        return self._work / name

    def publish(self, made: Path, name: str, *, sync: bool = True) -> Path:
        """Give a file of the work folder its name; an older file of that name is replaced."""
        target = self.path / name
        with writing(target, "The file"):
            if made.is_dir() and target.exists():
                # A folder cannot replace a folder: the older one steps aside first.
                aside = self.work_file(f"{made.name}.old")
                shutil.rmtree(aside, ignore_errors=True)
                target.rename(aside)
            made.replace(target)
            if sync:
                sync_folder(self.path)
        return target

    def write_text(self, name: str, text: str, *, sync: bool = True) -> Path:
        """Write a small text file, whole or not at all."""
        return self.write_bytes(name, text.encode("utf-8", errors="replace"), sync=sync)

    def write_bytes(self, name: str, data: bytes, *, sync: bool = True) -> Path:
        """Write a file, whole or not at all; ``name`` may hold a folder, which is made."""
        target = self.path / name
        made = self.work_file(f"{target.name}.part")
        with writing(target, "The file"):
            target.parent.mkdir(exist_ok=True)
            with made.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        return self.publish(made, name, sync=sync)

    def write_json(self, name: str, data: Mapping[str, Any]) -> Path:
        """Write a JSON file, whole or not at all."""
        return self.write_text(name, json_text(data, indent=2) + "\n")

    def write_csv(
        self,
        name: str,
        header: Sequence[str],
        rows: Iterable[Sequence[object]],
        *,
        sync: bool = True,
    ) -> Path:
        """Write a CSV file, whole or not at all."""
        return self.write_text(name, csv_text(header, rows), sync=sync)


class OutputFolder(OutputWriter):
    """The folder that a run writes to; a context manager that holds its lock.

    A folder made for a run that leaves nothing in it, such as one whose engine cannot start, goes
    again.

    Raises
    ------
    OutputError
        The folder cannot be made or written to, or another run holds it.
    """

    def __init__(self, path: Path) -> None:
        from filelock import FileLock, Timeout

        super().__init__(path)
        self._is_new = not path.exists()
        with writing(path, "The output folder"):
            self._work.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self._work / "lock")
        with writing(path, "The output folder"):
            try:
                self._lock.acquire(timeout=0)
            except Timeout as error:
                raise OutputError(
                    f"Another run of qpmask is writing to {path}.",
                    hint="Wait for it to end, or choose another folder.",
                ) from error
        busy = live_claims(path)
        if busy:
            self._lock.release()
            raise OutputError(
                f"{busy[0]} is at work in {path}"
                + (f", and {len(busy) - 1} more." if len(busy) > 1 else "."),
                hint="Wait for the tasks of the plan to end (qpmask status PLAN), or choose "
                "another folder.",
            )
        self._remove_leftovers()

    def __enter__(self) -> OutputFolder:
        return self

    def __exit__(self, *args: object) -> None:
        self._remove_leftovers()
        # While the lock is held, so that no other run loses its lock file. Windows does not remove
        # a file that is open; there it stays, and does no harm.
        with contextlib.suppress(OSError):
            shutil.rmtree(self._work)
        self._lock.release()
        if self._is_new:
            with contextlib.suppress(OSError):  # it holds what was made
                self.path.rmdir()

    def _remove_leftovers(self) -> None:
        for path in self._work.iterdir():
            if path.name != "lock":
                with contextlib.suppress(OSError):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
