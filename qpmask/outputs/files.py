"""Files written whole or not at all, hashed, and read back where they may be damaged."""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import io
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from qpmask.common.machine import n_cores
from qpmask.errors import OptionsError, OutputError, QpmaskError
from qpmask.outputs.names import INSTANCES_SUFFIX, SIDECAR_SUFFIX

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_WORTH_A_THREAD_BYTES = 16 << 20  # of a file; a smaller one is hashed before a thread begins
_BLOCK_BYTES = 1 << 18
_SETTLED_NS = 3_000_000_000  # FAT counts in two seconds
_HASHED = 1 << 20  # bytes at either end of a file that stand for all of it


def csv_text(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A table as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def json_text(data: object, indent: int | None = None) -> str:
    """JSON with letters as they are, and bytes of a path that are no text as escapes."""
    text = json.dumps(data, indent=indent, ensure_ascii=False)
    if text.isascii():
        return text
    return re.sub("[\ud800-\udfff]", lambda m: f"\\u{ord(m[0]):04x}", text)


def write_file(path: Path, text: str) -> None:
    """Write a file that a user named, whole or not at all; an older one is replaced.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    with writing(path, "The file"):
        try:
            part.write_text(text, encoding="utf-8", errors="replace", newline="")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


@contextlib.contextmanager
def writing(path: Path, what: str) -> Iterator[None]:
    """Turn an OSError of the block into an OutputError that names the path and says what to do."""
    try:
        yield
    except OSError as error:
        if isinstance(error, QpmaskError):
            raise
        raise output_error(error, path, what) from error


def output_error(error: OSError, path: Path, what: str) -> OutputError:
    """Our error for an OSError while writing to ``path``."""
    hint = "Check the path and its permissions."
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "Free some space, or write to another disk."
    elif error.errno == errno.EROFS:
        hint = "The disk is read-only; choose another folder."
    reason = error.strerror or str(error)
    return OutputError(f"{what} {path} cannot be written: {reason}.", hint=hint)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    block = memoryview(bytearray(_BLOCK_BYTES))  # one for all: new ones take longer than reading
    with path.open("rb", buffering=0) as file:
        while n_bytes := file.readinto(block):
            digest.update(block[:n_bytes])
    return digest.hexdigest()


def file_state(path: Path) -> tuple[int, ...]:
    """What changes when a file is replaced or written to; empty where that cannot be told.

    It cannot where the file was written to just now: a disk that counts in seconds would not show
    that it is written to once more.
    """
    try:
        with path.open("rb") as file:  # of its path alone, a network may give what it was
            found = os.fstat(file.fileno())
    except OSError:
        return ()
    if time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) < _SETTLED_NS:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def sha256_meanwhile(path: Path) -> Callable[[], str]:
    """What gives :func:`file_sha256`; a thread works it out from now on, if that takes a while."""
    if n_cores() == 1 or path.stat().st_size < _WORTH_A_THREAD_BYTES:
        return partial(file_sha256, path)
    return _meanwhile(file_sha256, path)


def synced_meanwhile(handle: int) -> Callable[[], None]:
    """What waits until a file is on the disk; a thread sees to it from now on.

    It raises OSError if the disk does not take it. ``handle`` is what the file was written by, and
    may be closed meanwhile: of another one, an error in writing might be kept.
    """
    return _meanwhile(_sync_and_close, os.dup(handle))


def _sync_and_close(handle: int) -> None:
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _meanwhile(do: Callable[[_Item], _Result], item: _Item) -> Callable[[], _Result]:
    """What waits for a function of an item, and gives its result; a thread does it from now on."""
    from concurrent.futures import Future

    found: Future[_Result] = Future()

    def work() -> None:
        try:
            found.set_result(do(item))
        except BaseException as error:  # whoever asks for it gets it
            found.set_exception(error)

    try:
        # Nobody waits for it at the end of a process that was interrupted.
        threading.Thread(target=work, name="qpmask-meanwhile", daemon=True).start()
    except RuntimeError:  # there may be no more threads
        work()
    return found.result


def path_sha256(path: Path) -> str:
    """SHA-256 of a file, or of the names and bytes of all files of a folder."""
    if not path.is_dir():
        return file_sha256(path)
    digest = hashlib.sha256()
    for one in sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(f"{one.relative_to(path).as_posix()}\0{file_sha256(one)}\n".encode())
    return digest.hexdigest()


def path_bytes(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    if not path.is_dir():
        return path.stat().st_size
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())


def file_mark(path: Path) -> dict[str, Any]:
    """What tells a file's content from another's, without reading gigabytes: name, size, ends.

    Raises
    ------
    OptionsError
        It cannot be read.
    """
    try:
        n_bytes = path.stat().st_size
        digest = hashlib.sha256()
        with path.open("rb") as file:
            digest.update(file.read(_HASHED))
            file.seek(max(0, n_bytes - _HASHED))
            digest.update(file.read(_HASHED))
    except OSError as error:
        raise OptionsError(f"{path} cannot be read: {error.strerror or error}.") from error
    return {"name": path.name, "bytes": n_bytes, "ends_sha256": digest.hexdigest()}


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file, or None where there is no such file or no such object."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def read_sidecar(mask: Path) -> dict[str, Any] | None:
    """What stands beside a mask since it was exported; None where nothing can be read."""
    return read_json(mask.with_name(mask.name + SIDECAR_SUFFIX))


def instance_classes(mask: Path) -> dict[int, str]:
    """Class of each label of an instance mask, by the table beside it; empty where there is none.

    Objects without a class have an empty name.
    """
    sidecar = read_sidecar(mask) or {}
    if sidecar.get("kind") != "instances":
        return {}
    try:
        with mask.with_name(mask.name + INSTANCES_SUFFIX).open(
            encoding="utf-8", newline=""
        ) as file:
            return {int(row["label"]): row["class"] or "" for row in csv.DictReader(file)}
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return {}


def sync_folder(path: Path) -> None:
    """Make a rename last; not every system can."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
