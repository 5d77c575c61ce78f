"""What is imported -> which image it goes to.

A file says so itself where it can: a mask by its sidecar or its metadata (entry id and image
name). Else its name tells: that of the image, with or without the slide's ending, or its entry id.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from qpmask.collection.opening import is_collection, open_mask
from qpmask.errors import NoSuchImageError, OptionsError
from qpmask.imageobjects import ObjectTable
from qpmask.outputs import SIDECAR_SUFFIX, mask_names, read_sidecar, slide_stem
from qpmask.project import ImageEntry, Project, composed_form

_GEOJSON: Final = (".geojson", ".geojson.gz", ".json", ".json.gz", ".geojson.zip")
_TIFFS: Final = (".ome.tif", ".ome.tiff", ".tif", ".tiff", ".btf", ".tf8", ".tf2")
_COLLECTIONS: Final = (".ome.zarr", ".zarr", ".ozx")
_MASKS: Final = (*_TIFFS, *_COLLECTIONS)
#: Files that qpmask itself writes beside masks and patches.
_OURS: Final = frozenset(
    {
        "report.json",
        "patches.json",
        "features.json",
        "classes.json",
        "manifest.json",
        "summary.json",
    }
)


@dataclass(frozen=True, eq=False)
class Input:
    """Something to import: a file, or objects from Python.

    Attributes
    ----------
    name : str
        What it is called: a file name.
    path : Path or None
        The file.
    table : ObjectTable or None
        The objects.
    """

    name: str
    path: Path | None = None
    table: ObjectTable | None = None

    @property
    def is_mask(self) -> bool:
        """Whether it is a file of pixels."""
        if self.path is None:
            return False
        return self.path.name.lower().endswith(_MASKS) or is_collection(self.path)


def inputs_of(paths: Sequence[str | os.PathLike[str]]) -> list[Input]:
    """Files, and those of folders that can be imported, each once.

    Raises
    ------
    OptionsError
        One is not there, or is of no kind that is known; a folder holds none.
    """
    found: dict[Path, None] = {}
    for given in paths:
        path = Path(given).expanduser().absolute()
        if path.is_dir() and not is_collection(path):
            inside = [p for p in sorted(path.iterdir()) if _can_be(p)]
            if not inside:
                raise OptionsError(f"{path} holds no GeoJSON and no mask.")
            found.update(dict.fromkeys(inside))
        elif not path.exists():
            raise OptionsError(f"There is no file {path}.")
        elif not (path.name.lower().endswith((*_GEOJSON, *_MASKS)) or is_collection(path)):
            raise OptionsError(
                f"{path} is no file that can be imported.",
                hint="GeoJSON is read (.geojson, .json, .gz) and masks (.tif, .ozx, OME-Zarr).",
            )
        else:
            found[path] = None
    if not found:
        raise OptionsError("There is no input.", hint="Name GeoJSON files, masks, or a folder.")
    return [Input(path.name, path) for path in found]


def _can_be(path: Path) -> bool:
    name = path.name.lower()
    if name.startswith(".") or name in _OURS:
        return False
    if name.endswith(SIDECAR_SUFFIX) and name.removesuffix(SIDECAR_SUFFIX).endswith(_MASKS):
        return False  # a sidecar
    if path.is_dir():
        return is_collection(path)
    return name.endswith((*_GEOJSON, *_MASKS))


def stem_of(path: Path) -> str:
    """Name of a file without its ending."""
    name = path.name
    for ending in sorted((*_GEOJSON, *_MASKS), key=len, reverse=True):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return path.stem


class Matching:
    """Tells which image of a project a file belongs to.

    Parameters
    ----------
    project : Project
        The project.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._mask_names = {
            name.casefold(): entry_id for entry_id, name in mask_names(project.images).items()
        }

    def find(self, item: Input) -> ImageEntry:
        """The image.

        Raises
        ------
        NoSuchImageError
            None is it, or several could be.
        """
        assert item.path is not None
        if item.is_mask:
            named = self._by_sidecar(item.path)
            if named is not None:
                return named
        stem = stem_of(item.path)
        by_mask = self._mask_names.get(f"{stem}.ome.tif".casefold())
        wanted = composed_form(stem)
        for same in (
            lambda e: composed_form(e.name) == wanted,
            lambda e: composed_form(slide_stem(e.name)) == wanted,
            lambda e: composed_form(slide_stem(e.name)).casefold() == wanted.casefold(),
            lambda e: e.id == by_mask,
            lambda e: e.id == stem,
        ):
            hits = [entry for entry in self._project.images if same(entry)]
            if len(hits) == 1:
                return hits[0]
            if hits:
                listed = ", ".join(entry.label for entry in hits[:5])
                raise NoSuchImageError(
                    f"{item.name} could be of several images: {listed}.",
                    hint="Name the entry id: --image ID.",
                )
        raise NoSuchImageError(
            f"No image of the project is called {stem!r}.",
            hint="Name the image: --image NAME or ID ('qpmask info PROJECT' lists them).",
        )

    def _by_sidecar(self, path: Path) -> ImageEntry | None:
        """The image that a mask says it was made of, if the project has it."""
        image = (read_sidecar(path) or {}).get("image")
        if not isinstance(image, dict):
            image = _image_in(path)
        entry_id, name = str(image.get("entry_id", "")), image.get("name")
        for entry in self._project.images:
            if entry.id == entry_id and entry.name == name:
                return entry
        return None


def _image_in(path: Path) -> dict[str, Any]:
    """What a mask's own metadata say of its image."""
    from qpmask.errors import QpmaskError

    try:
        with open_mask(path) as mask:
            extra = mask.metadata.extra if mask.metadata is not None else {}
    except QpmaskError:  # reading it says why
        return {}
    return {"entry_id": extra.get("entry_id"), "name": extra.get("image")}
