"""Stage 1: a path becomes a :class:`Project` of :class:`ImageEntry` records. JSON alone, no JVM.

Goes in: the path of a ``.qpproj`` file or of the folder that holds one. Comes out: what the
project file and the small JSON files below ``data/`` say about each image: name, size, pixel size,
where its slide should be, where its data file is. Nothing is ever written.

Where the rules come from: QuPath's ``DefaultProject`` and ``ImageServerBuilder`` (0.2 to 0.7).
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from qpmask.errors import NoSuchImageError, ProjectError, ProjectNotFoundError
from qpmask.geometry import PixelSize, Size

PROJECT_SUFFIX = ".qpproj"
DATA_FILE = "data.qpdata"
BACKUP_FILE = "data.qpdata.bkp"

_NO_FOLDER = "\N{REPLACEMENT CHARACTER}"

#: How QuPath writes micrometres; a pixel size in any other unit is not a pixel size.
_MICROMETRE = frozenset({"µm", "μm", "um", "micron", "micrometer", "micrometre"})


@dataclass(frozen=True)
class ProjectClass:
    """One line of the project's class list (``classifiers/classes.json``).

    ``color`` is (red, green, blue), 0 to 255, or None where the project gives none.
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
    problem : str or None
        Why the metadata of this image cannot be used, for people.
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
    problem: str | None = None

    @property
    def data_path(self) -> Path:
        """The data file; it may not be there."""
        return self.data_dir / DATA_FILE

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
    """

    path: Path
    uri: str | None
    version: str
    images: tuple[ImageEntry, ...]
    classes: tuple[ProjectClass, ...]

    @property
    def folder(self) -> Path:
        """The folder of the project."""
        return self.path.parent

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
            if not hits:
                hits = {e.id for e in self.images if fnmatchcase(e.name, pattern)}
            if not hits:
                folded = pattern.casefold()
                hits = {e.id for e in self.images if fnmatchcase(e.name.casefold(), folded)}
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
        the project, then by file name below ``folders``.
        """
        for uri in entry.uris:
            path = path_from_uri(uri)
            if path is None:
                continue
            candidates = [path]
            old = path_from_uri(self.uri) if self.uri else None
            if old is not None and old.parent != self.folder:
                with contextlib.suppress(ValueError):  # two Windows drives: no relative path
                    candidates.append(self.folder / os.path.relpath(path, old.parent))
            for candidate in candidates:
                if _exists(candidate):
                    return candidate
            for folder in folders:
                found = next((p for p in sorted(folder.rglob(_glob_escape(path.name)))), None)
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
    file = _project_file(Path(path).expanduser())
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
    return Project(
        path=file,
        uri=uri if isinstance(uri, str) else None,
        version=str(raw["version"]),
        images=tuple(images),
        classes=read_class_list(folder / "classifiers" / "classes.json"),
    )


def read_class_list(path: Path) -> tuple[ProjectClass, ...]:
    """The project's class list; empty where there is no such file.

    Raises
    ------
    ProjectError
        The file is there and cannot be read.
    """
    if not path.is_file():
        return ()
    raw = _load_json(path)
    rows = raw.get("pathClasses") if isinstance(raw, dict) else None
    if not isinstance(rows, list):
        raise ProjectError(f"{path} holds no class list.", hint="Save the classes in QuPath again.")
    classes: dict[str, ProjectClass] = {}
    for row in rows:
        name = row.get("name") if isinstance(row, dict) else None
        if isinstance(name, str) and name and name not in classes:
            classes[name] = ProjectClass(name, unpack_color(row.get("color")))
    return tuple(classes.values())


def unpack_color(value: object) -> tuple[int, int, int] | None:
    """QuPath's packed ARGB integer (signed 32 bit) as (red, green, blue)."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return (value >> 16) & 255, (value >> 8) & 255, value & 255


def path_from_uri(uri: str) -> Path | None:
    """A local path from a ``file:`` URI as QuPath writes it, or None for any other URI.

    ``file:/a%20b``, ``file:///a`` and ``file:/C:/a`` are understood, and network shares
    (``file://server/share``) become ``//server/share``.
    """
    parts = urlsplit(uri)
    if parts.scheme != "file":
        return None
    text = unquote(parts.path)
    if "\0" in text:
        return None
    if parts.netloc and parts.netloc != "localhost":
        text = f"//{parts.netloc}{text}"
    elif re.match(r"^/[A-Za-z]:", text):
        text = text[1:]
    return Path(text)


# -- one image ----------------------------------------------------------------------------------


def _read_entry(item: Mapping[str, Any], folder: Path) -> ImageEntry:
    entry_id = str(item["entryID"])
    # The id becomes a folder name; a hostile one must not leave the project.
    data_dir = folder / "data" / (entry_id if _plain_name(entry_id) else _NO_FOLDER)
    builder = item.get("serverBuilder")
    builder = builder if isinstance(builder, dict) else {}
    metadata, problem = _image_metadata(builder, data_dir)
    name = item.get("imageName")
    if not isinstance(name, str) or not name:
        name = metadata.get("name") or f"image {entry_id}"
    size = _size(metadata)
    if problem is None and metadata and size is None:
        problem = (
            f"its metadata gives the impossible size {metadata.get('width')!r} x "
            f"{metadata.get('height')!r}"
        )
    user = item.get("metadata")
    tags = item.get("tags")
    args = builder.get("args")
    return ImageEntry(
        id=entry_id,
        name=str(name),
        size=size,
        size_z=_count(metadata.get("sizeZ")),
        size_t=_count(metadata.get("sizeT")),
        pixel_size=_pixel_size(metadata.get("pixelCalibration")),
        magnification=_number(metadata.get("magnification")),
        uris=tuple(_uris(builder)),
        provider=_innermost(builder).get("providerClassName"),
        provider_args=tuple(str(a) for a in args) if isinstance(args, list) else (),
        data_dir=data_dir,
        description=str(item.get("description") or ""),
        tags=tuple(str(t) for t in tags) if isinstance(tags, list) else (),
        metadata={str(k): str(v) for k, v in user.items()} if isinstance(user, dict) else {},
        problem=problem,
    )


def _image_metadata(
    builder: Mapping[str, Any], data_dir: Path
) -> tuple[Mapping[str, Any], str | None]:
    """The metadata of the outermost server, from the first place that has it, and what is wrong.

    Only the outermost counts: a rotated or cropped server has other sizes than what it wraps.
    """
    found = builder.get("metadata")
    if isinstance(found, dict):
        return found, None
    for read in (_server_json, _data_file_json, _summary_json):
        found = read(data_dir)
        if found is not None:
            return found, None
    return {}, "neither the project nor its data folder says how large it is"


def _server_json(data_dir: Path) -> Mapping[str, Any] | None:
    raw = _load_json_quietly(data_dir / "server.json")
    if raw is None:
        return None
    return _metadata_in(raw)


def _metadata_in(raw: object, depth: int = 0) -> Mapping[str, Any] | None:
    """Metadata of the outermost server in what QuPath wraps around it in its versions."""
    if not isinstance(raw, dict) or depth > 2:
        return None
    found = raw.get("metadata")
    if isinstance(found, dict):
        return found
    return _metadata_in(raw.get("server") or raw.get("builder"), depth + 1)


def _data_file_json(data_dir: Path) -> Mapping[str, Any] | None:
    """The server JSON that the data file holds near its start, without reading objects."""
    path = data_dir / DATA_FILE
    try:
        with path.open("rb") as file:
            head = file.read(4 << 20)
    except OSError:
        return None
    # A block of data with "Data file version N", then a string (0x74, two bytes of length).
    at = head.find(b"\x74", 0, 200)
    while 0 <= at < 200:
        if at + 3 <= len(head):
            (length,) = struct.unpack_from(">H", head, at + 1)
            text = head[at + 3 : at + 3 + length]
            if text.startswith(b"{"):
                try:
                    raw = json.loads(text.decode("utf-8", "replace"))
                except ValueError:
                    return None
                return _metadata_in(raw)
        at = head.find(b"\x74", at + 1, 200)
    return None


def _summary_json(data_dir: Path) -> Mapping[str, Any] | None:
    raw = _load_json_quietly(data_dir / "summary.json")
    found = raw.get("server") if raw else None
    return found if isinstance(found, dict) else None


def _uris(builder: Mapping[str, Any], depth: int = 0) -> Iterator[str]:
    uri = builder.get("uri")
    if isinstance(uri, str):
        yield uri
    if depth > 32:
        return
    for value in builder.values():
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, dict) and (
                "builderType" in inner or "builder" in inner or "serverBuilder" in inner
            ):
                yield from _uris(inner, depth + 1)


def _innermost(builder: Mapping[str, Any]) -> Mapping[str, Any]:
    for _ in range(32):
        inner = builder.get("builder")
        if not isinstance(inner, dict):
            break
        builder = inner
    return builder


def _size(metadata: Mapping[str, Any]) -> Size | None:
    width, height = _number(metadata.get("width")), _number(metadata.get("height"))
    if width is None or height is None or width != int(width) or height != int(height):
        return None
    # Java's int is the widest that QuPath can hold.
    if not (1 <= width < 2**31 and 1 <= height < 2**31):
        return None
    return Size(int(width), int(height))


def _pixel_size(raw: object) -> PixelSize | None:
    if not isinstance(raw, dict):
        return None
    values = []
    for key in ("pixelWidth", "pixelHeight"):
        part = raw.get(key)
        value = _number(part.get("value")) if isinstance(part, dict) else None
        unit = part.get("unit") if isinstance(part, dict) else None
        if value is None or value <= 0 or not isinstance(unit, str):
            return None
        if unit.strip().casefold() not in _MICROMETRE:
            return None
        values.append(value)
    return PixelSize(*values)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _count(value: object) -> int:
    number = _number(value)
    return int(number) if number is not None and 1 <= number < 2**31 else 1


# -- files --------------------------------------------------------------------------------------


def _project_file(path: Path) -> Path:
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


def _load_json_quietly(path: Path) -> dict[str, Any] | None:
    try:
        raw = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return None
    return raw if isinstance(raw, dict) else None


def _backup_hint(path: Path) -> str:
    backup = path.with_name(path.name + ".backup")
    if backup.exists():
        return f"QuPath keeps a backup: {backup}."
    return "Restore it from a backup, or open and save the project in QuPath."


def _plain_name(text: str) -> bool:
    return text not in ("", ".", "..") and not any(c in text for c in "/\\\0:")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def _glob_escape(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)
