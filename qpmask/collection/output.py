"""A collection written: entries in, a zip or a folder out, beside the target and then renamed.

The zip is RFC-9's (``.ozx``): entries stored, the root's ``zarr.json`` first and the other
``zarr.json`` after it, a comment that says so and has a digest of the directory. Equal entries give
equal bytes: none has a date.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from qpmask.collection.zipdirectory import COMMENT_KEY, entry_of, mark_of
from qpmask.errors import OptionsError, OutputError
from qpmask.outputs.files import sync_folder, writing

COMMENT = {"ome": {"version": "0.5", "zipFile": {"centralDirectory": {"jsonFirst": True}}}}
ZIP_SUFFIX = ".ozx"
FOLDER_SUFFIX = ".zarr"


class Output(Protocol):
    """Where entries go; a context manager that leaves nothing unless it is published."""

    def add(self, name: str, data: bytes) -> None:
        """One entry."""

    def finish(self) -> Path:
        """All is added: bring it to the disk. Where it lies until it is published."""

    def publish(self) -> None:
        """Give the target what was added; what it held before is gone then."""

    def __enter__(self) -> Output: ...
    def __exit__(self, *args: object) -> None: ...


def locked(target: Path) -> Any:
    """The lock of a collection, taken; it goes with ``release``, or with the process.

    Raises
    ------
    OptionsError
        It is not called as a collection.
    OutputError
        Another process has it, or it cannot be made.
    """
    from filelock import FileLock, Timeout

    if target.suffix.lower() not in (ZIP_SUFFIX, FOLDER_SUFFIX):
        raise OptionsError(
            f"A collection is a file {ZIP_SUFFIX} or a folder {FOLDER_SUFFIX}, not {target.name!r}."
        )
    if not target.parent.is_dir():
        raise OutputError(f"There is no folder {target.parent}.")
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise OutputError(f"Another process is writing to {target}.") from error
    except OSError as error:
        raise OutputError(f"{target} cannot be written: {error.strerror}.") from error
    return lock


def open_output(target: Path) -> Output:
    """Begin to write a collection that will replace `target`: a file or a folder by its name."""
    return (_ZipOutput if target.suffix.lower() == ZIP_SUFFIX else _FolderOutput)(target)


class _ZipOutput:
    def __init__(self, target: Path) -> None:
        self._target = target
        self._part = target.with_name(f".{target.name}.{os.getpid()}.part")
        self._archive: zipfile.ZipFile | None = None

    def __enter__(self) -> _ZipOutput:
        with writing(self._target, "The collection"):
            self._archive = zipfile.ZipFile(self._part, "w", zipfile.ZIP_STORED)
        return self

    def add(self, name: str, data: bytes) -> None:
        assert self._archive is not None
        info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
        info.external_attr = 0o644 << 16
        with writing(self._target, "The collection"):
            self._archive.writestr(info, data)

    def finish(self) -> Path:
        assert self._archive is not None
        mark = mark_of(map(entry_of, self._archive.infolist()))
        comment = {**COMMENT, COMMENT_KEY: {"entries": mark}}
        self._archive.comment = json.dumps(comment, separators=(",", ":")).encode()
        with writing(self._target, "The collection"):
            self._archive.close()
            with self._part.open("rb+") as file:
                os.fsync(file.fileno())
        return self._part

    def publish(self) -> None:
        with writing(self._target, "The collection"):
            self._part.replace(self._target)
            sync_folder(self._target.parent)

    def __exit__(self, *args: object) -> None:
        if self._archive is not None:
            with contextlib.suppress(OSError, ValueError):
                self._archive.close()
        with contextlib.suppress(OSError):
            self._part.unlink(missing_ok=True)


class _FolderOutput:
    def __init__(self, target: Path) -> None:
        self._target = target
        self._part = target.with_name(f".{target.name}.{os.getpid()}.part")
        self._old = target.with_name(f".{target.name}.old")

    def __enter__(self) -> _FolderOutput:
        with writing(self._target, "The collection"):
            self._part.mkdir()
        return self

    def add(self, name: str, data: bytes) -> None:
        path = self._part / name
        with writing(self._target, "The collection"):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())

    def finish(self) -> Path:
        sync_folder(self._part)
        return self._part

    def publish(self) -> None:
        with writing(self._target, "The collection"):
            if self._target.exists():
                # A folder cannot replace a folder: the older one steps aside first. A process
                # killed between the two renames leaves it there, and restore_folder finds it.
                self._target.rename(self._old)
            self._part.rename(self._target)
            sync_folder(self._target.parent)
        shutil.rmtree(self._old, ignore_errors=True)

    def __exit__(self, *args: object) -> None:
        shutil.rmtree(self._part, ignore_errors=True)


def restore(target: Path) -> None:
    """Put right what a killed writer left: a folder that stepped aside, half-written parts.

    Called by whoever holds the lock of `target`.
    """
    old = target.with_name(f".{target.name}.old")
    with contextlib.suppress(OSError):
        if old.is_dir():
            if target.exists():
                shutil.rmtree(old, ignore_errors=True)
            else:
                old.rename(target)
    for part in _parts(target):
        with contextlib.suppress(OSError):
            shutil.rmtree(part) if part.is_dir() else part.unlink()


def _parts(target: Path) -> Iterable[Path]:
    head, tail = f".{target.name}.", ".part"
    with contextlib.suppress(OSError):
        for path in target.parent.iterdir():
            name = path.name
            if name.startswith(head) and name.endswith(tail) and name[len(head) : -5].isdecimal():
                yield path
