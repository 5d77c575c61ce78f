"""What became of each image, as a file each: ``KEY.STATUS.json``, written beside and renamed.

The status stands in the name, so that whoever counts need not open a hundred thousand files.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from qpmask.outputs import read_json, writing

_RECORDS_FOLDER = "records"


class Found(NamedTuple):
    """A record as its file's name has it: ``finished`` is in seconds since 1970."""

    key: str
    status: str
    path: str
    finished: float


def file_key(key: str) -> str:
    """A key as part of a file name, on any file system."""
    return key if key.isalnum() and key.isascii() else quote(key, safe="").replace(".", "%2E")


def write_record(folder: Path, key: str, status: str, data: Mapping[str, Any]) -> None:
    """Write the record of an image, and take away what an earlier task said of it.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    records = folder / _RECORDS_FOLDER
    path = records / f"{file_key(key)}.{status}.json"
    with writing(path, "The record"):
        records.mkdir(parents=True, exist_ok=True)
        part = records / f".{secrets.token_hex(8)}.part"
        try:
            with part.open("w", encoding="utf-8") as file:
                json.dump(dict(data), file, ensure_ascii=False)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        for status_before in ("done", "skipped", "failed"):
            if status_before != status:
                with contextlib.suppress(FileNotFoundError):
                    (records / f"{file_key(key)}.{status_before}.json").unlink()


def find_records(folder: Path) -> Iterator[Found]:
    """All records, from the names of their files alone."""
    with contextlib.suppress(FileNotFoundError), os.scandir(folder / _RECORDS_FOLDER) as entries:
        for entry in entries:
            stem, _, ending = entry.name.rpartition(".")
            key, _, status = stem.rpartition(".")
            if ending == "json" and key:
                with contextlib.suppress(FileNotFoundError):
                    key = unquote(key) if "%" in key else key
                    yield Found(key, status, entry.path, entry.stat().st_mtime)


def read_record(folder: Path, key: str) -> dict[str, Any] | None:
    """The record of an image, of a mask that was made if there is one; None without one."""
    for status in ("done", "skipped", "failed"):
        found = read_json(folder / _RECORDS_FOLDER / f"{file_key(key)}.{status}.json")
        if found is not None:
            return found
    return None
