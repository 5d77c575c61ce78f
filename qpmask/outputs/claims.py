"""Who works on what, where several processes on several machines write into one folder.

A claim is a file that only one can create (``O_EXCL``), which shared file systems keep to where
they do not keep to locks. Its holder touches it again and again; one that was not touched for long,
or whose process on this machine is gone, is taken over by the next generation of the same claim:
a file with the next number, which again only one can create. Nothing is ever renamed. Whoever has
the newest generation removes them all, the oldest first; so the first is missing only where the
claim is free, and to take it nobody has to list the folder, where there may be thousands.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

from qpmask.outputs.files import read_json, writing

#: Folder of an output folder in which plans are worked on, one folder a plan.
PLANS_FOLDER = ".qpmask-plans"
CLAIMS_FOLDER = "claims"
#: A claim that nobody touched for so long is nobody's.
STALE_S = 120.0
_TOUCH_EVERY_S = 15.0
_ELSEWHERE = ".elsewhere"
_PIDS_TELL = os.name != "nt"  # there, to ask whether a process is alive would end it
_NAME = re.compile(r"(.+)\.(\d+)\.claim")


class Claim(NamedTuple):
    """Something that somebody works on.

    Attributes
    ----------
    key : str
        What.
    path : Path
        The file.
    generation : int
        How many before had it and did not finish.
    """

    key: str
    path: Path
    generation: int


class Claims:
    """Claims of this process in a folder; a context manager that gives back all it holds.

    Parameters
    ----------
    folder : Path
        Where claims are; made if needed.
    touch_every_s : float
        How often claims that are held say so.
    """

    def __init__(self, folder: Path, touch_every_s: float = _TOUCH_EVERY_S) -> None:
        self._folder = folder
        with writing(folder, "The folder of claims"):
            folder.mkdir(parents=True, exist_ok=True)
        self._held: dict[str, Claim] = {}
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._every_s = touch_every_s
        self._thread = threading.Thread(target=self._touch, name="qpmask-claims", daemon=True)

    def __enter__(self) -> Claims:
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._end.set()
        self._thread.join()
        for key in list(self._held):
            self.give_back(key)

    def take(self, key: str) -> bool:
        """Claim something; False if another one works on it."""
        generation = 1
        while (handle := self._new(key, generation)) is None:
            path = self._path(key, generation)
            if not is_stale(path, partial(_now, self._folder)):
                return False
            generation = generation + 1 if _is_there(path) else 1  # 1: given back just now
        if not all(_is_there(self._path(key, older)) for older in range(1, generation)):
            # The holder of a generation that was newest gave them all back, which frees the first.
            os.close(handle)
            self._path(key, generation).unlink(missing_ok=True)
            return False
        holder = {"host": _host(), "pid": os.getpid(), "boot": _boot()}
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(holder, file)
        with self._lock:
            self._held[key] = Claim(key, self._path(key, generation), generation)
        return True

    def give_back(self, key: str) -> None:
        """Give up a claim: what it was for is done, or will not be done here."""
        with self._lock:
            claim = self._held.pop(key, None)
        if claim is None or self._path(key, claim.generation + 1).exists():
            return  # somebody took it over, who removes this one too
        for generation in range(1, claim.generation + 1):
            with contextlib.suppress(OSError):
                self._path(key, generation).unlink()

    def _path(self, key: str, generation: int) -> Path:
        return self._folder / f"{key}.{generation}.claim"

    def _new(self, key: str, generation: int) -> int | None:
        """A claim that was not there; None where it was."""
        try:
            return os.open(self._path(key, generation), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            return None

    def _touch(self) -> None:
        while not self._end.wait(self._every_s):
            with self._lock:
                held = list(self._held.values())
            for claim in held:
                with contextlib.suppress(OSError):  # it may be given back meanwhile
                    os.utime(claim.path)


def is_stale(path: Path, now: Callable[[], float]) -> bool:
    """Whether nobody holds a claim any more.

    Parameters
    ----------
    path : Path
        The claim.
    now : callable
        Tells the time; asked only if the holder is on another machine.
    """
    holder = read_json(path) or {}
    try:
        touched = path.stat().st_mtime
    except OSError:
        return True  # given back just now
    here = holder.get("host") == _host() and holder.get("boot") == _boot()
    if here and _PIDS_TELL:
        return not _is_alive(holder.get("pid"))
    return now() - touched > STALE_S


def live_claims(out: Path, but: Path | None = None) -> list[str]:
    """Who works on a plan in an output folder now.

    Parameters
    ----------
    out : Path
        The output folder.
    but : Path, optional
        A folder of claims that do not count: those of one's own plan.
    """
    plans = out / PLANS_FOLDER
    folders = set(plans.glob(f"*/{CLAIMS_FOLDER}"))
    for elsewhere in plans.glob(f"*{_ELSEWHERE}"):
        with contextlib.suppress(OSError):
            folders.add(Path(os.fsdecode(elsewhere.read_bytes())))
    folders.discard(but or plans)
    found = []
    for path in sorted(path for folder in folders for path in folder.glob("*.claim")):
        if not is_stale(path, partial(_now, path.parent)):
            found.append(_words(read_json(path) or {}))
    return list(dict.fromkeys(found))


def claim_elsewhere(out: Path, plan: str, folder: Path) -> None:
    """Have :func:`live_claims` of an output folder look where a plan of several has its claims.

    Parameters
    ----------
    out : Path
        An output folder of the plan that is not its first.
    plan : str
        What the plan is called.
    folder : Path
        Where its claims are.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    plans = out / PLANS_FOLDER
    with writing(plans, "The folder"):
        plans.mkdir(parents=True, exist_ok=True)
        (plans / f"{plan}{_ELSEWHERE}").write_bytes(os.fsencode(folder))


def any_live(folder: Path) -> bool:
    """Whether somebody holds a claim in a folder; reads no more of them than it takes."""
    return any(not is_stale(path, partial(_now, folder)) for path in folder.glob("*.claim"))


def claimed(folder: Path, *, ask: bool = False) -> dict[str, bool]:
    """What is claimed in a folder, and whether a holder lives.

    Parameters
    ----------
    folder : Path
        Where claims are.
    ask : bool
        Whether to ask the file system for its time, by writing a file there, once at most.
        Otherwise this machine's clock counts, and nothing is written.
    """
    found: dict[str, bool] = {}
    now = cache(partial(_now, folder)) if ask else time.time
    with contextlib.suppress(FileNotFoundError):
        for path in folder.iterdir():
            match = _NAME.fullmatch(path.name)
            if match:
                key = match.group(1)
                found[key] = found.get(key, False) or not is_stale(path, now)
    return found


def _is_there(path: Path) -> bool:
    """Whether a file is there; opened, since that is what shared file systems look up anew."""
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError:
        return False
    return True


def _now(folder: Path) -> float:
    """The time as the file system has it, which may be another machine's."""
    probe = folder / f".now-{os.urandom(8).hex()}"
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _is_alive(pid: object) -> bool:
    if not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _host() -> str:
    import socket  # late: most runs meet no claim

    return socket.gethostname()


def _boot() -> str:
    """What tells this start of this machine from others; processes are counted anew in each."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _words(holder: dict[str, object]) -> str:
    return f"Process {holder.get('pid')} on {holder.get('host')}"
