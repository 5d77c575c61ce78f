"""What became of each item, as a file each: ``KEY.STATUS.ROUND.json``, written beside and renamed.

Status and round stand in the name, so that whoever counts need not open a hundred thousand files.
A round is one go at the plan by any number of tasks: what one of them did, or failed at, the others
leave alone. The first task that comes back begins the next round (:func:`join_round`), in which
everything is looked at once more.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from qpmask.outputs import json_text, read_json, writing
from qpmask.outputs.claims import any_live

_RECORDS_FOLDER, _ROUNDS_FOLDER = "records", "rounds"
_STATUSES = ("done", "skipped", "failed")


class Found(NamedTuple):
    """A record as its file's name has it; ``finished`` in seconds since 1970, if asked for."""

    key: str
    status: str
    round: int
    path: str
    finished: float = 0.0


def file_key(key: str) -> str:
    """A key as part of a file name, on any file system."""
    return key if key.isalnum() and key.isascii() else quote(key, safe="").replace(".", "%2E")


def write_record(
    folder: Path, key: str, status: str, number: int, data: Mapping[str, Any],
    before: Found | None = None,
) -> None:  # fmt: skip
    """Write the record of an item, in the place of the one before.

    Parameters
    ----------
    folder : Path
        Of the plan.
    key, status : str
        Which item, and what became of it.
    number : int
        The round.
    data : mapping
        What the record holds.
    before : Found, optional
        What an earlier round said. That something was made is kept where it still holds.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    records = folder / _RECORDS_FOLDER
    with writing(records, "The record in"):
        if status == "skipped" and before is None:
            before = _made_meanwhile(folder, key, number)
        if status == "skipped" and before is not None and before.status == "done":
            with contextlib.suppress(FileNotFoundError):
                Path(before.path).replace(_path(folder, key, "done", number))
                return
        records.mkdir(parents=True, exist_ok=True)
        part = records / f".{secrets.token_hex(8)}.part"
        path = _path(folder, key, status, number)
        try:
            # If it is lost, it is looked again.
            part.write_text(json_text(dict(data)), encoding="utf-8")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        if before is not None and Path(before.path) != path:
            with contextlib.suppress(FileNotFoundError):
                Path(before.path).unlink()


def _made_meanwhile(folder: Path, key: str, number: int) -> Found | None:
    """What tasks of earlier rounds, which may be at work yet, made since this one looked."""
    for earlier in range(number - 1, 0, -1):
        path = _path(folder, key, "done", earlier)
        if path.exists():
            return Found(key, "done", earlier, str(path))
    return None


def latest_records(folder: Path, *, times: bool = False) -> dict[str, Found]:
    """The newest record of each item, from the names of the files alone.

    Parameters
    ----------
    folder : Path
        Of the plan.
    times : bool
        Whether to ask when each was written: a question to the file system for each.
    """
    newest: dict[str, Found] = {}
    for record in _all_records(folder, times):
        other = newest.get(record.key)
        if other is None or (record.round, record.finished) > (other.round, other.finished):
            newest[record.key] = record
    return newest


def _all_records(folder: Path, times: bool) -> Iterator[Found]:
    with contextlib.suppress(FileNotFoundError), os.scandir(folder / _RECORDS_FOLDER) as entries:
        for entry in entries:
            parts = entry.name.rsplit(".", 3)
            if len(parts) == 4 and parts[3] == "json" and parts[2].isdecimal():
                with contextlib.suppress(FileNotFoundError):
                    key = unquote(parts[0]) if "%" in parts[0] else parts[0]
                    at = entry.stat().st_mtime if times else 0.0
                    yield Found(key, parts[1], int(parts[2]), entry.path, at)


def read_record(found: Found | None) -> dict[str, Any] | None:
    """What a record holds; None without one."""
    return None if found is None else read_json(Path(found.path))


def record_of_round(folder: Path, key: str, number: int) -> dict[str, Any] | None:
    """The record of an item if this round has one."""
    for status in _STATUSES:
        found = read_json(_path(folder, key, status, number))
        if found is not None:
            return found
    return None


def forget_records(folder: Path) -> None:
    """Remove what was told of a plan; claims stay, since a task may be between two of them.

    Raises
    ------
    OutputError
        It cannot be removed.
    """
    for name in (_RECORDS_FOLDER, _ROUNDS_FOLDER):
        with writing(folder / name, "The folder"), contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder / name)


def _path(folder: Path, key: str, status: str, number: int) -> Path:
    return folder / _RECORDS_FOLDER / f"{file_key(key)}.{status}.{number}.json"


def join_round(folder: Path, who: str, claims_folder: Path, *, alone: bool = False) -> int:
    """The number of the round that a task works in.

    While somebody is at work that is the newest one. Otherwise one is over in which a task of this
    number has been, or tasks of another array; then the next begins.

    Parameters
    ----------
    folder : Path
        Of the plan.
    who : str
        What the task is called: its number and those of all, such as ``3-40``.
    claims_folder : Path
        Where those at work have their claims.
    alone : bool
        Whether the claims are known to be one's own.
    """
    rounds = folder / _ROUNDS_FOLDER
    with writing(rounds, "The folder"):
        rounds.mkdir(parents=True, exist_ok=True)
        marks = [path.name.partition(".") for path in rounds.iterdir()]
        number = max((int(mark[0]) for mark in marks), default=1)
        goes_on = not alone and any_live(claims_folder)
        array = {mark[2].partition("-")[2] for mark in marks if int(mark[0]) == number}
        if not goes_on and array - {who.partition("-")[2]}:
            number += 1
        while True:
            try:
                (rounds / f"{number}.{who}").touch(exist_ok=False)
            except FileExistsError:
                if not goes_on:
                    number += 1
                    continue
            return number


def round_began(folder: Path) -> float:
    """When the newest round began, in seconds since 1970; 0 where none did."""
    with contextlib.suppress(FileNotFoundError), os.scandir(folder / _ROUNDS_FOLDER) as entries:
        marks = [(int(entry.name.partition(".")[0]), entry.stat().st_mtime) for entry in entries]
        newest = max(marks, default=(0, 0.0))[0]
        return min((at for number, at in marks if number == newest), default=0.0)
    return 0.0
