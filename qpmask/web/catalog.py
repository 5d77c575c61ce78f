"""What was given becomes a list of images: masks of one image, its slide and its patches together.

Goes in: projects, folders of masks or patch files, single files. Comes out: :class:`Shown`, one an
image. Only files of this list are ever served, each by its number.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from qpmask.collection.opening import is_collection
from qpmask.errors import OptionsError, ProjectError
from qpmask.outputs import (
    MASK_SUFFIXES,
    REPORT_JSON,
    mask_names,
    read_json,
    read_sidecar,
    slide_stem,
)
from qpmask.project import (
    ImageEntry,
    Project,
    composed_form,
    open_project,
)
from qpmask.project.imagejson import path_from_uri
from qpmask.project.project import PROJECT_SUFFIX
from qpmask.report.foldercheck import masks_of

_PATCH_SUFFIX = ".h5"


@dataclass(frozen=True)
class ClassTotal:
    """A class in a mask as its sidecar counts it; ``area_mm2`` is None without a pixel size."""

    label: int
    name: str
    color: str | None
    pixels: int
    area_mm2: float | None


@dataclass(frozen=True)
class MaskFileShown:
    """One mask file.

    Attributes
    ----------
    path : Path
        The file.
    title : str
        What tells it from other masks of the image: its folder.
    classes : tuple of ClassTotal
        From its sidecar; empty without one.
    """

    path: Path
    title: str
    classes: tuple[ClassTotal, ...] = ()


@dataclass(frozen=True)
class Shown:
    """One image of the list.

    Attributes
    ----------
    name : str
        As people know it.
    masks : tuple of MaskFileShown
        Its masks; the first one is shown first.
    slide : Path or None
        The slide, where there is one on this machine.
    patches : tuple of Path
        Patch files.
    entry : ImageEntry or None
        The image of a project, where a project was given.
    project : Project or None
        That project.
    status : str
        From the report of the run that made the first mask; empty without one.
    problem : str
        What the report says went wrong.
    """

    name: str
    masks: tuple[MaskFileShown, ...] = ()
    slide: Path | None = None
    patches: tuple[Path, ...] = ()
    entry: ImageEntry | None = None
    project: Project | None = None
    status: str = ""
    problem: str = ""
    _slide_names: tuple[str, ...] = field(default=(), repr=False)


def list_images(inputs: Iterable[Path], slides: Iterable[Path] = ()) -> tuple[Shown, ...]:
    """The images that inputs stand for, by name.

    Parameters
    ----------
    inputs : iterable of Path
        ``.qpproj`` files or their folders, folders of masks or of patch files (what `export` and
        `patches` made), masks, patch files.
    slides : iterable of Path
        Folders in which slides are looked for that are not where the project or mask says.

    Raises
    ------
    OptionsError
        One of them is nothing of these, or does not exist.
    ProjectError
        A project cannot be read.
    """
    found: dict[str, Shown] = {}
    for path in inputs:
        path = path.expanduser().absolute()
        for key, image in _images_of(path):
            found[key] = _joined(found[key], image) if key in found else image
    by_name = _SlideIndex(slides)
    images = [image if image.slide else by_name.completed(image) for image in found.values()]
    return tuple(sorted(images, key=lambda image: image.name.casefold()))


def _images_of(path: Path) -> list[tuple[str, Shown]]:
    if not path.exists():
        raise OptionsError(f"There is no file or folder {path}.")
    if path.is_dir() and not is_collection(path):
        if any(path.glob(f"*{PROJECT_SUFFIX}")):
            return _of_project(path)
        return _of_folder(path)
    if path.suffix == PROJECT_SUFFIX:
        return _of_project(path)
    if path.suffix == _PATCH_SUFFIX:
        return [_of_patches(path)]
    return [_of_mask(path, {})]


def _of_project(path: Path) -> list[tuple[str, Shown]]:
    project = open_project(path)
    names = mask_names(project.images)
    if not project.images:
        raise ProjectError(f"{project.path} has no images.")
    return [
        (
            _key(names[entry.id]),
            Shown(entry.name, slide=project.find_slide(entry), entry=entry, project=project,
                  _slide_names=_names_of(entry)),
        )
        for entry in project.images
    ]  # fmt: skip


def _names_of(entry: ImageEntry) -> tuple[str, ...]:
    paths = [path_from_uri(uri) for uri in entry.uris]
    return (*(path.name for path in paths if path is not None), entry.name)


def _of_folder(folder: Path) -> list[tuple[str, Shown]]:
    images = _masks_of(folder)
    for below in (folder, folder / "patches"):
        images += [_of_patches(path) for path in sorted(below.glob(f"*{_PATCH_SUFFIX}"))]
    if (folder / "patches").is_dir() and (folder / "masks").is_dir():  # as qpmask patches leaves it
        images = _masks_of(folder / "masks") + images
    if not images:
        raise OptionsError(
            f"There are no masks and no patch files in {folder}.",
            hint="Give a QuPath project, or a folder that qpmask export or qpmask patches made.",
        )
    return images


def _masks_of(folder: Path) -> list[tuple[str, Shown]]:
    report = read_json(folder / REPORT_JSON) or {}
    rows = report.get("images")
    records = {
        str(row["mask"]): row
        for row in (rows if isinstance(rows, list) else ())
        if isinstance(row, dict) and row.get("mask")
    }
    found = masks_of(folder)
    return [_of_mask(path, records.get(path.name, {})) for path in found]


def _of_mask(path: Path, record: Mapping[str, Any]) -> tuple[str, Shown]:
    sidecar = read_sidecar(path) or {}
    image = sidecar.get("image")
    image = image if isinstance(image, dict) else {}
    name = image.get("name") or slide_stem(path.name)
    slide = image.get("slide")
    there = Path(slide) if isinstance(slide, str) and Path(slide).exists() else None
    frame = sidecar.get("frame")
    file = frame.get("file") if isinstance(frame, dict) else None
    return _key(path.name), Shown(
        str(name),
        (MaskFileShown(path, path.parent.name, _totals(sidecar)),),
        slide=there,
        status=str(record.get("status") or ""),
        problem=str(record.get("error") or ""),
        _slide_names=tuple(str(n) for n in (file, image.get("name"), path.name) if n),
    )


def _of_patches(path: Path) -> tuple[str, Shown]:
    return _key(path.name), Shown(slide_stem(path.stem), patches=(path,), _slide_names=(path.stem,))


def totals_of(mask: Path) -> tuple[ClassTotal, ...]:
    """The classes in a mask as its sidecar counts them; empty without one."""
    return _totals(read_sidecar(mask) or {})


def _totals(sidecar: Mapping[str, Any]) -> tuple[ClassTotal, ...]:
    rows = sidecar.get("classes")
    try:
        return tuple(
            ClassTotal(int(row["label"]), str(row["name"]), row.get("color"),
                       int(row.get("pixels") or 0), _finite(row.get("area_mm2")))
            for row in (rows if isinstance(rows, list) else ())
        )  # fmt: skip
    except (TypeError, ValueError, KeyError, AttributeError):
        return ()


def _finite(value: Any) -> float | None:
    """A number that JSON has; None for what is none, which any file may hold."""
    number = None if value is None else float(value)
    return number if number is not None and math.isfinite(number) else None


def _key(file_name: str) -> str:
    """What files of one image have in common: their name without folder and ending."""
    stem = file_name.removesuffix(_PATCH_SUFFIX)
    for suffix in MASK_SUFFIXES:
        stem = stem.removesuffix(suffix)
    return composed_form(slide_stem(stem)).casefold()


def _joined(one: Shown, other: Shown) -> Shown:
    """What two inputs say of one image."""
    masks = list(one.masks)
    masks += [mask for mask in other.masks if all(mask.path != m.path for m in masks)]
    if len({mask.title for mask in masks}) < len(masks):
        masks = [replace(m, title=str(Path(m.path.parent.name) / m.path.name)) for m in masks]
    named = one if one.entry is not None or one.masks else other
    return Shown(
        named.name,
        tuple(masks),
        one.slide or other.slide,
        (*one.patches, *(p for p in other.patches if p not in one.patches)),
        one.entry or other.entry,
        one.project or other.project,
        one.status or other.status,
        one.problem or other.problem,
        (*one._slide_names, *other._slide_names),
    )


class _SlideIndex:
    """Slides below folders, by file name and by what an image of them would be called."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._by_name: dict[str, Path] = {}
        self._by_stem: dict[str, Path] = {}
        for folder in folders:
            folder = folder.expanduser().absolute()
            if not folder.is_dir():
                raise OptionsError(f"There is no folder of slides {folder}.")
            for root, below, files in os.walk(folder):
                below.sort()
                for name in sorted(files):
                    path = Path(root) / name
                    self._by_name.setdefault(composed_form(name), path)
                    self._by_stem.setdefault(composed_form(slide_stem(name)).casefold(), path)

    def completed(self, image: Shown) -> Shown:
        """The image with its slide, where there is one."""
        for name in image._slide_names:
            path = self._by_name.get(composed_form(name)) or self._by_stem.get(_key(name))
            if path is not None and all(path != mask.path for mask in image.masks):
                return replace(image, slide=path)
        return image
