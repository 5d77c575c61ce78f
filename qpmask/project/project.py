"""Stage 1: a path becomes a :class:`Project` of :class:`ImageEntry` records. JSON alone, no JVM.

Goes in: the path of a ``.qpproj`` file or of the folder that holds one. Comes out: what the
project file and the small JSON files below ``data/`` say about each image: name, size, pixel size,
where its slide should be, where its data file is. Nothing is ever written.

Where the rules come from: QuPath's ``DefaultProject`` and ``ImageServerBuilder`` (0.2 to 0.7).
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from qpmask.classes.names import class_name, why_refused
from qpmask.common.arguments import path_of
from qpmask.common.frozen import dataclass
from qpmask.errors import NoSuchImageError, ProjectError, ProjectNotFoundError
from qpmask.geometry import PixelSize, Size
from qpmask.geometry.frames import NO_FRAME, Frame
from qpmask.project.findfiles import composed_form, files_below, find_path
from qpmask.project.imagejson import (
    DATA_FILE,
    count_of,
    image_metadata,
    innermost,
    number_of,
    path_from_uri,
    pixel_size_of,
    size_of,
    unpack_color,
    uris_of,
)
from qpmask.project.serverchain import read_frame

PROJECT_SUFFIX = ".qpproj"
BACKUP_FILE = "data.qpdata.bkp"

_NO_FOLDER = "\N{REPLACEMENT CHARACTER}"
_MAX_ID = 200  # entry ids are whole numbers; a file name takes 255 letters


class ProjectClass(NamedTuple):
    """One line of the project's class list (``classifiers/classes.json``).

    ``name`` is in QuPath's form (:func:`qpmask.classes.names.class_name`); ``color`` is
    (red, green, blue), 0 to 255, or None where the project gives none.
    """

    name: str
    color: tuple[int, int, int] | None


@dataclass(frozen=True)
class ImageEntry:
    """One image of a project.

    Attributes
    ----------
    id : str
        QuPath's entry id, which also names the folder ``data/<id>``.
    name : str
        The image name as QuPath shows it.
    size : Size or None
        Full resolution, pixels. None where no file says it.
    size_z, size_t : int
        Number of z-slices and time points.
    pixel_size : PixelSize or None
        Micrometres; None unless both units are micrometres.
    uris : tuple of str
        Where the slide is, as the project has it.
    data_dir : Path
        ``data/<id>`` of the project.
    data_name : str
        The data file in it; another one only where a backup was asked for.
    problem : str or None
        Why the metadata of this image cannot be used, for people.
    frame : Frame
        Where it lies in the slide's file, which is not always level 0 as it is.
    """

    id: str
    name: str
    size: Size | None
    size_z: int
    size_t: int
    pixel_size: PixelSize | None
    magnification: float | None
    uris: tuple[str, ...]
    provider: str | None
    provider_args: tuple[str, ...]
    data_dir: Path
    description: str = ""
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    data_name: str = DATA_FILE
    problem: str | None = None
    frame: Frame = NO_FRAME

    @property
    def data_path(self) -> Path:
        """The data file; it may not be there."""
        return self.data_dir / self.data_name

    @property
    def backup_path(self) -> Path:
        """QuPath's backup of the data file; it may not be there."""
        return self.data_dir / BACKUP_FILE

    @property
    def label(self) -> str:
        """Name and id, for messages."""
        return f"{self.name!r} (entry {self.id})"


@dataclass(frozen=True)
class Project:
    """A QuPath project as its files describe it.

    Attributes
    ----------
    path : Path
        The ``.qpproj`` file, absolute.
    uri : str or None
        Where the project was when QuPath last saved it; used to find images that moved along.
    version : str
        The QuPath version that saved it.
    images : tuple of ImageEntry
        In the project's order.
    classes : tuple of ProjectClass
        The project's class list, in its order.
    findings : tuple of str
        What the user should know about the class list.
    """

    path: Path
    uri: str | None
    version: str
    images: tuple[ImageEntry, ...]
    classes: tuple[ProjectClass, ...]
    findings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        counts = f"{len(self.images)} images, {len(self.classes)} classes"
        return f"<Project {self.path} of QuPath {self.version}: {counts}>"

    @property
    def folder(self) -> Path:
        """The folder of the project."""
        return self.path.parent

    @cached_property
    def _moved_from(self) -> Path | None:
        """The folder in which QuPath last saved it, if that is another one."""
        old = path_from_uri(self.uri) if self.uri else None
        return None if old is None or old.parent == self.folder else old.parent

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[ImageEntry]:
        return iter(self.images)

    def select(self, patterns: Iterable[str]) -> tuple[ImageEntry, ...]:
        """Images by name, entry id or pattern (``*``, ``?``, ``[...]``), in the project's order.

        Raises
        ------
        NoSuchImageError
            One of the patterns matches no image.
        """
        wanted = list(patterns)
        if not wanted:
            return self.images
        chosen: set[str] = set()
        for pattern in wanted:
            hits = {e.id for e in self.images if pattern in (e.name, e.id)}
            composed = [(e.id, composed_form(e.name)) for e in self.images]
            wanted_name = composed_form(pattern)
            if not hits:
                hits = {i for i, name in composed if fnmatchcase(name, wanted_name)}
            if not hits:
                folded = wanted_name.casefold()
                hits = {i for i, name in composed if fnmatchcase(name.casefold(), folded)}
            if not hits:
                names = ", ".join(repr(e.name) for e in self.images[:5])
                more = f" and {len(self.images) - 5} more" if len(self.images) > 5 else ""
                raise NoSuchImageError(
                    f"No image of {self.path} matches {pattern!r}.",
                    hint=f"Its images are {names}{more}; 'qpmask info' lists them with their ids.",
                )
            chosen |= hits
        return tuple(e for e in self.images if e.id in chosen)

    def find_slide(self, entry: ImageEntry, folders: Iterable[Path] = ()) -> Path | None:
        """The slide of an image on this machine, or None.

        Looked for where the project says, then where it would be if it had moved together with
        the project, then by file name below ``folders``. A name that was composed on one system
        (``é`` as one character) and decomposed on another (``e`` and an accent) is the same name.
        """
        for uri in entry.uris:
            path = path_from_uri(uri)
            if path is None:
                continue
            candidates = [path]
            moved_from = self._moved_from
            if moved_from is not None:
                with contextlib.suppress(ValueError):  # two Windows drives: no relative path
                    one, other = (composed_form(str(p)) for p in (path, moved_from))
                    candidates.append(self.folder / os.path.relpath(one, other))
            if path.name in ("", ".."):
                continue
            for candidate in candidates:
                there = find_path(candidate)
                if there is not None:
                    return there
            for folder in folders:
                below = files_below(folder)
                found = below.get(path.name) or below.get(composed_form(path.name))
                if found is not None:
                    return found
        return None


def open_project(path: str | os.PathLike[str]) -> Project:
    """Read a QuPath project: its images and classes. Starts no JVM, writes nothing.

    Parameters
    ----------
    path : path-like
        A ``.qpproj`` file, or a folder that holds exactly one.

    Raises
    ------
    ProjectNotFoundError
        There is no such file, or the folder holds none.
    ProjectError
        The folder holds several, or the file is not a QuPath project.
    """
    path = path_of(path, "project")
    try:
        file = _project_file(path.expanduser())
    except (OSError, RuntimeError, ValueError) as error:  # no such user; a name too long
        if isinstance(error, ProjectError):
            raise
        raise ProjectNotFoundError(f"{path} cannot be looked at: {error}.") from error
    raw = _load_json(file)
    if not isinstance(raw, dict) or not isinstance(raw.get("images"), list):
        raise ProjectError(
            f"{file} is not a QuPath project: it has no list of images.",
            hint=_backup_hint(file),
        )
    if "version" not in raw or "lastID" not in raw:
        raise ProjectError(
            f"{file} has no 'version' or no 'lastID', and QuPath would refuse it.",
            hint="Projects older than QuPath 0.2 must be opened and saved in QuPath once. "
            + _backup_hint(file),
        )
    folder = file.parent
    images = []
    seen: set[str] = set()
    for position, item in enumerate(raw["images"]):
        if not isinstance(item, dict) or "entryID" not in item:
            raise ProjectError(
                f"Image {position + 1} of {file} has no entry id.", hint=_backup_hint(file)
            )
        entry = _read_entry(item, folder)
        if entry.id in seen:
            raise ProjectError(
                f"Two images of {file} have the entry id {entry.id}.", hint=_backup_hint(file)
            )
        seen.add(entry.id)
        images.append(entry)
    uri = raw.get("uri")
    classes, findings = read_class_list(folder / "classifiers" / "classes.json")
    return Project(
        path=file,
        uri=uri if isinstance(uri, str) else None,
        version=str(raw["version"]),
        images=tuple(images),
        classes=classes,
        findings=findings,
    )


def read_class_list(path: Path) -> tuple[tuple[ProjectClass, ...], tuple[str, ...]]:
    """The project's class list, empty where there is no such file, and what is odd about it.

    Names are brought to QuPath's form. Rows that become one class are one, with the last colour, as
    in QuPath; ``Unclassified``, which QuPath 0.2 and 0.3 list first, is no class.

    Raises
    ------
    ProjectError
        The file is there and cannot be read.
    """
    if not path.is_file():
        return (), ()
    raw = _load_json(path)
    rows = raw.get("pathClasses") if isinstance(raw, dict) else None
    if not isinstance(rows, list):
        raise ProjectError(f"{path} holds no class list.", hint="Save the classes in QuPath again.")
    classes: dict[str, ProjectClass] = {}
    spellings: dict[str, str] = {}
    findings = []
    for row in rows:
        text = row.get("name") if isinstance(row, dict) else None
        if not isinstance(text, str) or (name := class_name(text)) is None:
            continue
        if why := why_refused(text):
            findings.append(
                f"The project's class list has {text!r}, which QuPath refuses ({why}): read as "
                f"{name!r}."
            )
        first = spellings.setdefault(name, text)
        if first != text:
            findings.append(
                f"{first!r} and {text!r} of the project's class list are one class: {name!r}."
            )
        color = unpack_color(row.get("color"))
        if color is None and name in classes:
            color = classes[name].color
        classes[name] = ProjectClass(name, color)
    return tuple(classes.values()), tuple(dict.fromkeys(findings))


# -- one image ----------------------------------------------------------------------------------


def _read_entry(item: Mapping[str, Any], folder: Path) -> ImageEntry:
    entry_id = str(item["entryID"])
    # The id becomes a folder name; a hostile one must not leave the project.
    data_dir = folder / "data" / (entry_id if _plain_name(entry_id) else _NO_FOLDER)
    builder = item.get("serverBuilder")
    builder = builder if isinstance(builder, dict) else {}
    metadata, problem = image_metadata(builder, data_dir)
    name = item.get("imageName")
    if not isinstance(name, str) or not name:
        name = metadata.get("name") or f"image {entry_id}"
    size = size_of(metadata)
    if problem is None and metadata and size is None:
        problem = (
            f"its metadata gives the impossible size {metadata.get('width')!r} x "
            f"{metadata.get('height')!r}"
        )
    user = item.get("metadata")
    tags = item.get("tags")
    inner = innermost(builder)
    args = inner.get("args")
    return ImageEntry(
        id=entry_id,
        name=_text(name),
        size=size,
        size_z=count_of(metadata.get("sizeZ")),
        size_t=count_of(metadata.get("sizeT")),
        pixel_size=pixel_size_of(metadata.get("pixelCalibration")),
        magnification=number_of(metadata.get("magnification")),
        uris=tuple(uris_of(builder)),
        provider=inner.get("providerClassName"),
        provider_args=tuple(str(a) for a in args) if isinstance(args, list) else (),
        data_dir=data_dir,
        description=str(item.get("description") or ""),
        tags=tuple(str(t) for t in tags) if isinstance(tags, list) else (),
        metadata={str(k): str(v) for k, v in user.items()} if isinstance(user, dict) else {},
        problem=problem,
        frame=read_frame(builder, size),
    )


# -- files --------------------------------------------------------------------------------------


def _project_file(path: Path) -> Path:
    if path.is_file() and path.suffix != PROJECT_SUFFIX:
        raise ProjectNotFoundError(
            f"{path} is not a QuPath project: its name does not end in {PROJECT_SUFFIX}.",
            hint="Give the folder of a QuPath project, or its project.qpproj.",
        )
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if p.suffix == PROJECT_SUFFIX and p.is_file())
        if not found:
            raise ProjectNotFoundError(
                f"There is no {PROJECT_SUFFIX} file in {path}.",
                hint="Give the folder of a QuPath project, or its project.qpproj.",
            )
        if len(found) > 1:
            names = ", ".join(p.name for p in found)
            raise ProjectError(
                f"{path} holds several QuPath projects: {names}.", hint="Name the one you mean."
            )
        path = found[0]
    elif not path.exists():
        raise ProjectNotFoundError(
            f"There is no file {path}.",
            hint="Give the folder of a QuPath project, or its project.qpproj.",
        )
    return path.resolve()


def _load_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise ProjectError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise ProjectError(
            f"{path} is not valid JSON ({error}).", hint=_backup_hint(path)
        ) from error


def _backup_hint(path: Path) -> str:
    backup = path.with_name(path.name + ".backup")
    if backup.exists():
        return f"QuPath keeps a backup: {backup}."
    return "Restore it from a backup, or open and save the project in QuPath."


def _text(value: object) -> str:
    """Text that can be written: JSON and Java can hold half a surrogate."""
    return str(value).encode("utf-8", "replace").decode("utf-8")


def _plain_name(text: str) -> bool:
    if text in ("", ".", "..") or any(c in text for c in "/\\\0:"):
        return False
    return text.isascii() and len(text) <= _MAX_ID
