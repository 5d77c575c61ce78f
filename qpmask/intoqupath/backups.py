"""What a project was before: files are copied aside first, replaced whole, and taken back.

An import makes one folder ``qpmask-backups/<time>`` in the project's, with the files that it is
about to replace under their own paths and ``manifest.json``, which says what they are. A file is
replaced in this order, so that it is whole at any moment and either the old or the new one:

1. the new one is written beside it, flushed to the disk and read back by whoever made it;
2. the old one goes into the folder (as a second name of the same bytes where the disk can do
   that, which costs nothing; nobody writes into them: QuPath writes new files, and so do we);
3. the manifest says so;
4. the new one takes the old one's name.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from qpmask.errors import ImportRefusedError, OptionsError
from qpmask.outputs import file_sha256, path_bytes, read_json, sync_folder, writing
from qpmask.project import Project

FOLDER: Final = "qpmask-backups"
MANIFEST: Final = "manifest.json"
_PART: Final = ".qpmask-new"


@dataclass
class BackedUp:
    """A file that was replaced.

    Attributes
    ----------
    path : str
        Where it is, from the project's folder, with ``/``.
    was_there : bool
        Whether there was one before; if not, taking it back removes it.
    sha256 : str
        Of what it was replaced by; empty if it was removed.
    image : str
        Name of the image that it is of; empty for the project's own files.
    """

    path: str
    was_there: bool
    sha256: str
    image: str = ""


@dataclass
class BackupSet:
    """What one import replaced.

    Attributes
    ----------
    folder : Path
        Where it lies.
    what : str
        What was done, in words.
    files : list of BackedUp
        In the order of their replacement.
    restored : str
        When it was taken back; empty if it was not.
    """

    folder: Path
    what: str
    files: list[BackedUp] = field(default_factory=list)
    restored: str = ""

    @property
    def name(self) -> str:
        """What it is called: the time at which it was begun."""
        return self.folder.name

    @property
    def n_bytes(self) -> int:
        """Bytes of the files that it keeps."""
        return path_bytes(self.folder)

    def save(self) -> None:
        """Write the manifest, whole or not at all."""
        data = {
            "qpmask": 1,
            "what": self.what,
            "restored": self.restored,
            "files": [asdict(one) for one in self.files],
        }
        _write(self.folder / MANIFEST, json.dumps(data, indent=1).encode())


def backup_sets(project: Project) -> list[BackupSet]:
    """All that were made in a project, the oldest first."""
    found = []
    for path in sorted((project.folder / FOLDER).glob(f"*/{MANIFEST}")):
        raw = read_json(path)
        if raw is None:
            continue
        with contextlib.suppress(KeyError, TypeError):
            files = [BackedUp(**one) for one in raw["files"]]
            if all(_is_inside(one.path) for one in files):
                found.append(
                    BackupSet(path.parent, str(raw["what"]), files, str(raw.get("restored", "")))
                )
    return found


def _is_inside(path: str) -> bool:
    parts = Path(path).parts
    return bool(parts) and not Path(path).is_absolute() and ".." not in parts


@contextlib.contextmanager
def locked(project: Project) -> Iterator[None]:
    """Keep others of us from writing to the same project meanwhile.

    Raises
    ------
    ImportRefusedError
        One does.
    OutputError
        The project's folder cannot be written to.
    """
    folder = project.folder / FOLDER
    with writing(folder, "The folder of backups"):
        folder.mkdir(exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ImportRefusedError(
            f"Another run of qpmask is writing to {project.folder}.",
            hint="Wait until it has ended.",
        ) from None
    try:
        yield
    finally:
        lock.release()


class Replacing:
    """Replaces files of a project, each kept first.

    Parameters
    ----------
    project : Project
        Whose.
    what : str
        What is done, for the manifest.
    """

    def __init__(self, project: Project, what: str) -> None:
        self._project = project
        self._what = what
        self._set: BackupSet | None = None

    @property
    def backup(self) -> BackupSet | None:
        """What was kept so far; None where nothing was replaced."""
        return self._set

    def scratch(self, path: Path) -> Path:
        """Where to write what will replace a file. What a dead run left there is removed."""
        with writing(path, "The file"):
            path.parent.mkdir(parents=True, exist_ok=True)
            new = path.with_name(f".{path.name}{_PART}")
            new.unlink(missing_ok=True)
        return new

    def replace(self, path: Path, new: Path, image: str = "") -> None:
        """Keep a file and put a new one in its place.

        Parameters
        ----------
        path : Path
            A file of the project, which need not be there.
        new : Path
            What `scratch` gave, written.
        image : str
            Name of the image that it is of.
        """
        with writing(path, "The file"):
            _flush(new)
            kept = self._keep(path)
            relative = path.relative_to(self._project.folder).as_posix()
            kept.files = [one for one in kept.files if one.path != relative]
            was_there = (kept.folder / relative).exists()
            kept.files.append(BackedUp(relative, was_there, file_sha256(new), image))
            kept.save()
            new.replace(path)
            sync_folder(path.parent)

    def replace_bytes(self, path: Path, data: bytes, image: str = "") -> None:
        """The same with the content of the new file."""
        new = self.scratch(path)
        try:
            with writing(path, "The file"):
                new.write_bytes(data)
            self.replace(path, new, image)
        finally:
            new.unlink(missing_ok=True)

    def remove(self, path: Path, image: str = "") -> None:
        """Keep a file, then remove it."""
        with writing(path, "The file"):
            kept = self._keep(path)
            relative = path.relative_to(self._project.folder).as_posix()
            kept.files.append(BackedUp(relative, True, "", image))
            kept.save()
            path.unlink()
            sync_folder(path.parent)

    def _keep(self, path: Path) -> BackupSet:
        """The set, with the old file in it."""
        if self._set is None:
            self._set = BackupSet(_new_folder(self._project.folder / FOLDER), self._what)
        target = self._set.folder / path.relative_to(self._project.folder)
        if path.exists() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f"{target.name}.part")
            try:
                os.link(path, part)
            except OSError:  # a disk without links
                shutil.copy2(path, part)
                _flush(part)
            part.replace(target)
            sync_folder(target.parent)
        return self._set


def take_back(project: Project, kept: BackupSet, *, force: bool = False) -> list[BackedUp]:
    """Put files back that an import replaced; what is there now is kept first, as by an import.

    Gives the files that were put back. Those that are as they were before are left alone.

    Raises
    ------
    ImportRefusedError
        A file was changed since, and not `force`.
    """
    changed, todo = [], []
    for one in kept.files:
        path, old = project.folder / one.path, kept.folder / one.path
        if one.was_there and not old.exists():
            raise OptionsError(f"{kept.folder} lacks {one.path}.")
        now = file_sha256(path) if path.exists() else None
        if now == (file_sha256(old) if one.was_there else None):
            continue
        todo.append(one)
        if (now or "") != one.sha256 and not one.path.endswith("summary.json"):
            changed.append(one)
    if changed and not force:
        names = ", ".join(dict.fromkeys(one.image or one.path for one in changed[:5]))
        raise ImportRefusedError(
            f"Files of {names} were changed since {kept.name}: taking them back would lose that.",
            hint="--force does so; what is there now is kept as a backup too.",
        )
    replacing = Replacing(project, f"restored {kept.name}")
    for one in todo:
        path, old = project.folder / one.path, kept.folder / one.path
        if one.was_there:
            new = replacing.scratch(path)
            try:
                with writing(path, "The file"):
                    shutil.copy2(old, new)
                replacing.replace(path, new, one.image)
            finally:
                new.unlink(missing_ok=True)
        else:
            replacing.remove(path, one.image)
    kept.restored = datetime.now().isoformat(timespec="seconds")
    kept.save()
    return todo


def _new_folder(above: Path) -> Path:
    """A folder of this moment's name, made now."""
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    for number in range(1, 1000):
        folder = above / (stamp if number == 1 else f"{stamp}_{number}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
    raise OSError(f"{above} has too many backups of {stamp}")


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _write(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.name}{_PART}")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    sync_folder(path.parent)


def as_dict(kept: BackupSet) -> dict[str, Any]:
    """Plain data for JSON."""
    return {
        "name": kept.name,
        "folder": str(kept.folder),
        "what": kept.what,
        "restored": kept.restored or None,
        "images": list(dict.fromkeys(one.image for one in kept.files if one.image)),
        "files": [one.path for one in kept.files],
        "bytes": kept.n_bytes,
    }
