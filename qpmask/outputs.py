"""The output folder: names that cannot collide, and files that appear whole or not at all.

A mask is made under a hidden name in ``DIR/.qpmask``, checked there, and then renamed; its sidecar
follows in the same way. One run at a time may write to a folder (a lock that the operating system
releases even if the run is killed), so whatever lies in ``.qpmask`` when a run begins was left by a
killed one and is removed.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import io
import json
import os
import re
import shutil
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from qpmask.errors import OptionsError, OutputError, QpmaskError
from qpmask.project import ImageEntry

MASK_SUFFIX = ".ome.tif"
SIDECAR_SUFFIX = ".json"
INSTANCES_SUFFIX = ".instances.csv"
CLASSES_FILE = "classes.yaml"
REPORT_JSON = "report.json"
REPORT_CSV = "report.csv"
AREAS_CSV = "areas.csv"
PREVIEW_FOLDER = "previews"
CONTACT_SHEET = "contact_sheet.png"
_WORK_FOLDER = ".qpmask"
_HASHED = 1 << 20  # bytes at either end of a file that stand for all of it

#: Endings that name a slide format; a mask is called like its slide without them.
_SLIDE_SUFFIXES = (
    ".ome.tiff", ".ome.tif", ".tiff", ".tif", ".svs", ".ndpi", ".scn", ".mrxs", ".czi", ".vsi",
    ".bif", ".qptiff", ".svslide", ".lif", ".nd2", ".isyntax", ".dcm", ".ome.zarr", ".zarr",
    ".jpeg", ".jpg", ".png", ".jp2",
)  # fmt: skip
_RESERVED = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
_MAX_STEM_BYTES = 160  # leaves room for the endings within the 255 bytes that file systems allow


def mask_names(entries: Iterable[ImageEntry]) -> dict[str, str]:
    """File names of the masks of all images of a project, by entry id.

    A name is the image's, without the ending of its slide format, with characters that some file
    system refuses replaced by ``_``, and cut to a length that all take. Where two would be the same
    (on file systems that ignore case and on those that fold Unicode as well) each gets its entry id
    appended. A name depends on the project alone, not on the images that are selected.
    """
    listed = list(entries)
    stems = {e.id: slide_stem(e.name) for e in listed}
    seen: dict[str, int] = {}
    for stem in stems.values():
        seen[_folded(stem)] = seen.get(_folded(stem), 0) + 1
    taken = {_folded(stem) for stem in stems.values() if seen[_folded(stem)] == 1}
    names: dict[str, str] = {}
    for entry in listed:
        stem = stems[entry.id]
        if seen[_folded(stem)] > 1:
            tail = f"_id{_short(slide_stem(entry.id))}"
            stem += tail
            while _folded(stem) in taken:
                stem += "_"
            taken.add(_folded(stem))
        names[entry.id] = stem + MASK_SUFFIX
    return names


def slide_stem(name: str) -> str:
    """What is made from a slide, or an image, is called: its name without what no system takes."""
    text = unicodedata.normalize("NFC", name).strip()
    lower = text.lower()
    for suffix in _SLIDE_SUFFIXES:
        if lower.endswith(suffix) and len(text) > len(suffix):
            text = text[: -len(suffix)]
            break
    text = re.sub(r'[\x00-\x1f\x7f<>:"/\\|?*\ud800-\udfff]', "_", text).strip(" .")
    raw = text.encode("utf-8")
    if len(raw) > _MAX_STEM_BYTES:
        digest = hashlib.sha256(raw).hexdigest()[:8]
        text = raw[:_MAX_STEM_BYTES].decode("utf-8", "ignore").rstrip(" .") + "_" + digest
    if not text or _RESERVED.match(text):
        text = f"_{text}"
    return text


def _short(text: str) -> str:
    """An entry id as QuPath writes it, or a hash of one that is longer."""
    return text if len(text.encode()) <= 24 else hashlib.sha256(text.encode()).hexdigest()[:12]


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


class OutputWriter:
    """Writes into an output folder, whole files or none. Needs the lock of an OutputFolder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._work = path / _WORK_FOLDER

    def work_file(self, name: str) -> Path:
        """Path of a hidden file that goes with the run, whatever happens."""
        return self._work / name

    def publish(self, made: Path, name: str) -> Path:
        """Give a file of the work folder its name; an older file of that name is replaced."""
        target = self.path / name
        with writing(target, "The file"):
            made.replace(target)
            sync_folder(self.path)
        return target

    def write_text(self, name: str, text: str) -> Path:
        """Write a small text file, whole or not at all."""
        return self.write_bytes(name, text.encode("utf-8", errors="replace"))

    def write_bytes(self, name: str, data: bytes) -> Path:
        """Write a file, whole or not at all; ``name`` may hold a folder, which is made."""
        target = self.path / name
        made = self.work_file(f"{target.name}.part")
        with writing(target, "The file"):
            target.parent.mkdir(exist_ok=True)
            with made.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        return self.publish(made, name)

    def write_json(self, name: str, data: Mapping[str, Any]) -> Path:
        """Write a JSON file, whole or not at all."""
        return self.write_text(name, json.dumps(data, indent=2, ensure_ascii=False) + "\n")

    def write_csv(self, name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
        """Write a CSV file, whole or not at all."""
        return self.write_text(name, csv_text(header, rows))


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
                    path.unlink()


def csv_text(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A table as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


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
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


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


def instance_classes(mask: Path) -> dict[int, str]:
    """Class of each label of an instance mask, by the table beside it; empty where there is none.

    Objects without a class have an empty name.
    """
    sidecar = read_json(mask.with_name(mask.name + SIDECAR_SUFFIX)) or {}
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
