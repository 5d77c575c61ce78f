"""Inputs become slides: files, folders, lists, QuPath projects.

Goes in: paths as people give them. Comes out: one :class:`SlideSource` a slide, with a name that is
its own, or with the reason why there is nothing to cut.
"""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from qpmask.errors import OptionsError
from qpmask.outputs import MASK_SUFFIX, mask_names, mask_stem, slide_stem
from qpmask.slides.formats import SUFFIXES, has_slide_suffix

if TYPE_CHECKING:
    from qpmask.project import ImageEntry, Project

_LISTS = (".csv", ".txt")
_PATH_COLUMNS = ("wsi", "slide", "path", "file")


@dataclass(frozen=True)
class SlideSource:
    """One slide to cut.

    Attributes
    ----------
    key : str
        Tells it from the others of a run: its path, or the entry id of its image.
    name : str
        Of its patch file, without the ending.
    path : Path or None
        The slide; None where it is not on this machine.
    entry : ImageEntry or None
        The image of a project.
    mask : Path or None
        The mask of its classes.
    mpp : float or None
        Micrometres per pixel, where the user says so.
    error : str or None
        Why it cannot be cut.
    mask_to_come : str or None
        In a dry run: that its mask would be made, anew, and why; then it is not that of `mask`.
    """

    key: str
    name: str
    path: Path | None
    entry: ImageEntry | None = None
    mask: Path | None = None
    mpp: float | None = None
    error: str | None = None
    mask_to_come: str | None = None


def check_inputs(inputs: Iterable[Path]) -> None:
    """Raise :class:`OptionsError` for an input that is not there."""
    for path in inputs:
        if not path.expanduser().exists():
            raise OptionsError(f"There is no slide, folder, list or project {path}.")


def slides_of(
    inputs: Sequence[Path], *, recursive: bool = False, mpp_by_name: Mapping[str, float]
) -> list[SlideSource]:
    """The slides of files, folders and lists, each once, in their order.

    Parameters
    ----------
    inputs : sequence of Path
        Slides; folders; ``.csv`` with a column ``wsi`` (or slide, path, file) and, if need be,
        ``mpp``; ``.txt`` with a path a line. Relative paths in a list count from its folder.
    recursive : bool
        Whether folders in folders are looked into.
    mpp_by_name : mapping of str to float
        Micrometres per pixel by file name, with or without its ending.

    Raises
    ------
    OptionsError
        An input is not there, a list cannot be read, or there is no slide at all.
    """
    found: dict[Path, float | None] = {}
    for path in inputs:
        for slide, mpp in _slides_of(path, recursive):
            found.setdefault(slide, mpp)
    if not found:
        names = ", ".join(str(p) for p in inputs)
        raise OptionsError(
            f"There are no slides in {names}.",
            hint=f"Slides end in {', '.join(SUFFIXES)}."
            + ("" if recursive else " --recursive looks into the folders too."),
        )
    return _named(found, mpp_by_name)


def _slides_of(path: Path, recursive: bool) -> Iterator[tuple[Path, float | None]]:
    if path.is_dir():
        files = sorted(path.rglob("*") if recursive else path.iterdir())
        dicom = set()
        for file in files:
            if not (file.is_file() and has_slide_suffix(file)) or file.name.startswith("."):
                continue
            if file.suffix.lower() == ".dcm":  # a slide is a folder of them
                if file.parent in dicom:
                    continue
                dicom.add(file.parent)
            yield file.absolute(), None
    elif not path.exists():
        raise OptionsError(f"There is no slide, folder, list or project {path}.")
    elif path.suffix.lower() in _LISTS:
        yield from _listed(path)
    else:
        yield path.absolute(), None


def _listed(path: Path) -> Iterator[tuple[Path, float | None]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise OptionsError(f"{path} cannot be read: {error}.") from error
    if path.suffix.lower() == ".txt":
        for line in text.splitlines():
            if line.strip() and not line.startswith("#"):
                yield (path.parent / line.strip()).absolute(), None
        return
    rows = csv.DictReader(text.splitlines())
    names = {(name or "").strip().lower(): name for name in rows.fieldnames or ()}
    column = next((names[name] for name in _PATH_COLUMNS if name in names), None)
    if column is None:
        raise OptionsError(
            f"{path} has no column of slides.", hint=f"Call it {', '.join(_PATH_COLUMNS)}."
        )
    for number, row in enumerate(rows, 2):
        if row[column]:
            mpp = row.get(names["mpp"]) if "mpp" in names else None
            yield (
                (path.parent / row[column].strip()).absolute(),
                _number(mpp, f"{path}, line {number}") if mpp else None,
            )


def read_mpp_table(path: Path) -> dict[str, float]:
    """Micrometres per pixel by slide: a CSV with the columns ``wsi`` and ``mpp``.

    Raises
    ------
    OptionsError
        It cannot be read, or lacks a column.
    """
    try:
        rows = csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise OptionsError(f"{path} cannot be read: {error}.") from error
    names = {(name or "").strip().lower(): name for name in rows.fieldnames or ()}
    if not {"wsi", "mpp"} <= set(names):
        raise OptionsError(f"{path} must have the columns wsi and mpp.")
    return {
        slide_stem(Path(row[names["wsi"]].strip()).name): _number(
            row[names["mpp"]], f"{path}, line {number}"
        )
        for number, row in enumerate(rows, 2)
        if row[names["wsi"]]
    }


def _number(text: str | None, where: str) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = 0.0
    if not 0 < value < 1000:
        raise OptionsError(f"{where}: {text!r} is no size of a pixel in micrometres.")
    return value


def _named(
    found: Mapping[Path, float | None], mpp_by_name: Mapping[str, float]
) -> list[SlideSource]:
    """Names from file names; where several slides have the same, with a hash of the path."""
    stems = {path: slide_stem(path.name) for path in found}
    often = Counter(stem.casefold() for stem in stems.values())
    sources = []
    for path, mpp in found.items():
        name = stems[path]
        if often[name.casefold()] > 1:
            name += "_" + hashlib.sha256(str(path).encode()).hexdigest()[:8]
        given = mpp if mpp is not None else mpp_by_name.get(stems[path])
        error = None if path.is_file() else f"There is no slide {path}."
        sources.append(SlideSource(str(path), name, path, mpp=given, error=error))
    return sources


def images_of(
    project: Project,
    images: Iterable[str],
    folders: Iterable[Path],
    mpp_by_name: Mapping[str, float],
) -> list[SlideSource]:
    """The slides of a project, in its order.

    Parameters
    ----------
    project : Project
        The project.
    images : iterable of str
        Names, ids or patterns; all by default.
    folders : iterable of Path
        Where to look for slides that moved.
    mpp_by_name : mapping of str to float
        Micrometres per pixel by file name or image name.
    """
    names = mask_names(project.images)
    folders = tuple(folders)
    sources = []
    for entry in project.select(images):
        path = project.find_slide(entry, folders)
        error = None
        if path is None:
            where = entry.uris[0] if entry.uris else "nowhere that the project says"
            error = f"The slide of {entry.label} is not on this machine: {where}."
        else:
            error = _other_series(entry)
        stem = None if path is None else slide_stem(path.name)
        mpp = mpp_by_name.get(slide_stem(entry.name), mpp_by_name.get(stem or ""))
        name = names[entry.id].removesuffix(MASK_SUFFIX)
        sources.append(SlideSource(entry.id, name, path, entry, mpp=mpp, error=error))
    return sources


def _other_series(entry: ImageEntry) -> str | None:
    """Why the main image of its file is not to be cut for an image; None where it is the one."""
    file = entry.frame.file
    if file is None or not (file.series or file.series_name is not None):
        return None
    which = file.series if file.series_name is None else repr(file.series_name)
    return (
        f"The image {entry.label} is the series {which} of {file.name}, and patches are cut from a "
        "file's main image. Save the series as a file of its own, for instance an OME-TIFF."
    )


def with_masks(sources: Iterable[SlideSource], folder: Path) -> list[SlideSource]:
    """Each slide with its mask of a folder: the one of the same name.

    Of a project that is the image's name, and its file's where no image is called so. A mask that
    is that of several slides by their files' names alone is an error of each of them.

    Raises
    ------
    OptionsError
        There is no such folder.
    """
    from qpmask.collection.opening import is_collection  # takes long to import

    if not folder.is_dir():
        raise OptionsError(f"There is no folder of masks {folder}.")
    masks: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in (".tif", ".tiff") and path.is_file():
            masks.setdefault(slide_stem(path.name), path)
        elif path.name[0] != "." and is_collection(path):
            masks.setdefault(slide_stem(mask_stem(path.name)), path)
    listed = list(sources)
    own = {source.name for source in listed}
    files = [None if s.path is None else slide_stem(s.path.name) for s in listed]
    wanted = Counter(files)
    found = []
    for source, file in zip(listed, files, strict=True):
        mask = masks.get(source.name)
        if mask is None and file is not None and file not in own:
            mask = masks.get(file)
        if mask is not None and source.name not in masks and wanted[file] > 1:
            error = f"{mask} may be of several slides of that name, such as {source.path}."
            source = replace(source, error=source.error or error)
        found.append(replace(source, mask=mask))
    return found


def is_project(path: Path) -> bool:
    """Whether a path is a QuPath project, or a folder of one."""
    return path.suffix.lower() == ".qpproj" or (path.is_dir() and any(path.glob("*.qpproj")))


def project_of(inputs: Sequence[Path]) -> Project | None:
    """The project, if that is what is given.

    Raises
    ------
    OptionsError
        There are other inputs beside it.
    """
    projects = [path for path in inputs if is_project(path)]
    if not projects:
        return None
    if len(inputs) > 1:
        raise OptionsError(
            f"{projects[0]} is a QuPath project, and stands for all of the input.",
            hint="Run it alone, into a folder of its own.",
        )
    from qpmask.project import open_project

    return open_project(projects[0])


def cost_of(source: SlideSource) -> float:
    """Gigapixels of an image of a project; of a slide that is not opened for it, its gigabytes."""
    if source.error is not None:
        return 0.0
    if source.entry is not None and source.entry.size is not None:
        return round(source.entry.size.area_px / 1e9, 6)
    try:
        return 0.0 if source.path is None else round(source.path.stat().st_size / 1e9, 6)
    except OSError:
        return 0.0
