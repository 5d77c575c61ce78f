"""Files of masks that are packed into a collection: what each kind says, and its masks in turn.

NIfTI (a file a mask, as TotalSegmentator writes them, or label maps), MedMask's archives, NPZ, TIFF
(a plane a mask, or a class table), PNG, other collections, and folders of any of these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from qpmask.collection.collection import MaskCollection
from qpmask.collection.medmaskfiles import read_medmask
from qpmask.collection.niftifiles import read_nifti
from qpmask.collection.output import FOLDER_SUFFIX, ZIP_SUFFIX
from qpmask.errors import MaskError, OptionsError
from qpmask.mask import Mask, open_mask
from qpmask.ometiff.omexml import Color


@dataclass(frozen=True, eq=False)
class Packed:
    """One mask of a file that is packed."""

    name: str
    array: Any
    label: int | None = None
    color: tuple[int, int, int] | None = None
    group: str | None = None


@dataclass(frozen=True, eq=False)
class Source:
    """A file: what it says of the image, and its masks, read one after the other.

    Parameters
    ----------
    path : Path
        The file.
    masks : iterable of Packed
        Its masks.
    how : dict
        ``mpp`` or ``spacing``, and ``extra``, as :class:`~qpmask.MaskCollection` takes them.
    is_collection : bool
        Whether it is one, whose names are kept.
    """

    path: Path
    masks: Iterable[Packed]
    how: dict[str, Any] = field(default_factory=dict)
    is_collection: bool = False


def files_of(paths: Iterable[Path]) -> Iterator[Path]:
    """Files that are given, and those of folders, sorted; an error for any other."""
    for path in paths:
        if not path.exists():
            raise OptionsError(f"There is no file or folder {path}.")
        if path.is_dir() and path.suffix.lower() != FOLDER_SUFFIX:
            yield from sorted(
                p for p in path.iterdir() if _reader(p) is not None and not p.name.startswith(".")
            )
        elif _reader(path) is None:
            raise OptionsError(
                f"{path} is no file that can be packed.",
                hint=ENDINGS_HINT,
            )
        else:
            yield path


def _reader(path: Path) -> Callable[[Path], Source] | None:
    name = path.name.lower()
    return next((read for suffix, read in _READERS.items() if name.endswith(suffix)), None)


def open_source(path: Path) -> Source:
    """A file, opened."""
    read = _reader(path)
    assert read is not None
    return read(path)


def _stem(path: Path) -> str:
    name = path.name
    for suffix in sorted(_READERS, key=len, reverse=True):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)] or name
    return path.stem


def _nifti(path: Path) -> Source:
    found = read_nifti(path)

    def masks() -> Iterator[Packed]:
        yield from _of_labels(path, _whole(path, found.voxels()), found.names, found.colors)

    return Source(path, masks(), {"spacing": found.spacing_mm, "extra": found.extra})


def _of_labels(
    path: Path,
    values: NDArray[Any],
    names: Mapping[int, str] = MappingProxyType({}),
    colors: Mapping[int, Color] = MappingProxyType({}),
) -> Iterator[Packed]:
    """A label map as masks: one of the file's name if it has one label and no names."""
    if values.dtype == np.bool_:
        yield Packed(_stem(path), values)
        return
    labels = [int(n) for n in np.unique(values) if n]
    if len(labels) <= 1 and not names:
        yield Packed(_stem(path), values != 0)
        return
    if len(labels) > 4096:
        yield Packed(_stem(path), values)  # cells or the like: kept as they are
        return
    for label in labels:
        own = label if label > 0 else None
        name = names.get(label, f"{_stem(path)} {label}")
        yield Packed(name, values == label, own, colors.get(label))


def _whole(path: Path, values: NDArray[Any]) -> NDArray[Any]:
    """Labels that a file holds as numbers with a point."""
    if values.dtype.kind in "bui":
        return values
    with np.errstate(invalid="ignore"):  # no numbers, which are no labels
        whole = np.asarray(values, np.int64)
    if values.dtype.kind != "f" or not np.array_equal(whole, values):
        raise MaskError(f"{path} holds {values.dtype} that are no labels.")
    return whole


def _medmask(path: Path) -> Source:
    space, entries = read_medmask(path)
    spacing = space.get("spacing")
    how: dict[str, Any] = {"extra": {"medmask_space": space} if space else {}}

    def masks() -> Iterator[Packed]:
        for name, array, mapping in entries:
            if array.dtype == np.bool_ or len(mapping) <= 1:
                yield Packed(name, array != 0)
                continue
            for own, label in mapping.items():
                is_many = path.suffix == ".mska"
                full = f"{name} {own}" if is_many else own
                group, number = (name, None) if is_many else (None, label)
                yield Packed(full, array == label, number, group=group)

    if isinstance(spacing, list) and len(spacing) == 3:
        how["spacing"] = tuple(float(n) for n in spacing)[::-1]
    return Source(path, masks(), how)


def _npz(path: Path) -> Source:
    def masks() -> Iterator[Packed]:
        try:
            with np.load(path) as arrays:  # without pickles, which could run anything
                for name in arrays.files:
                    yield Packed(name, _whole(path, arrays[name]))
        except (OSError, ValueError, KeyError) as error:
            if isinstance(error, MaskError):
                raise
            raise MaskError(f"{path} cannot be read: {error}.") from error

    return Source(path, masks())


def _tiff(path: Path) -> Source:
    mask = open_mask(path)
    how: dict[str, Any] = {"mpp": mask.mpp}
    if mask.frame is not None:
        how["extra"] = {"frame": mask.frame.to_json()}
    return Source(path, _of_tiff(path, mask), how)


def _of_tiff(path: Path, mask: Mask) -> Iterator[Packed]:
    with mask:
        if mask.n_planes > 1:
            names = mask.metadata.channel_names if mask.metadata is not None else ()
            for number in range(mask.n_planes):
                with open_mask(path, plane=number) as plane:
                    row = next(iter(plane.classes.values()), None)
                    known = len(names) == mask.n_planes
                    name = names[number] if known else f"{_stem(path)} {number + 1}"
                    yield Packed(
                        name, plane.binary(*_present(plane)), None, row.color if row else None
                    )
            return
        rows = mask.classes
        present = _present(mask)
        if rows:
            for row in rows.values():
                if row.label:
                    yield Packed(row.name, mask.binary(row.label), row.label, row.color)
        elif len(present) == 1:
            yield Packed(_stem(path), mask.binary(*present))
        elif len(present) > 4096:
            yield Packed(_stem(path), mask)
        else:
            for label in present:
                yield Packed(f"{_stem(path)} {label}", mask.binary(label), label)


def _present(mask: Mask) -> tuple[int, ...]:
    """Labels of a mask but the background; 1 of an empty one."""
    return tuple(label for label in mask.present() if label) or (1,)


def _png(path: Path) -> Source:
    def masks() -> Iterator[Packed]:
        try:
            values = np.asarray(imagecodecs.png_decode(path.read_bytes()))
        except Exception as error:
            raise MaskError(f"{path} cannot be read as PNG: {error}.") from error
        if values.ndim != 2:
            raise MaskError(f"{path} holds colours, not labels.")
        yield from _of_labels(path, values)

    return Source(path, masks())


def _collection(path: Path) -> Source:
    masks = MaskCollection(path)
    how: dict[str, Any] = {"extra": dict(masks.extra)}
    if masks.spacing is not None:
        how |= {"spacing": masks.spacing} if masks.ndim == 3 else {"mpp": masks.mpp}

    def each() -> Iterator[Packed]:
        with masks:
            for row in masks.rows():
                yield Packed(row.name, masks[row.name], row.label, row.color, row.group)

    return Source(path, each(), how, is_collection=True)


_READERS: dict[str, Callable[[Path], Source]] = {
    ".nii.gz": _nifti,
    ".nii": _nifti,
    ".mska": _medmask,
    ".msk": _medmask,
    ".npz": _npz,
    ".ome.tif": _tiff,
    ".ome.tiff": _tiff,
    ".tif": _tiff,
    ".tiff": _tiff,
    ".png": _png,
    ZIP_SUFFIX: _collection,
    FOLDER_SUFFIX: _collection,
}

ENDINGS_HINT = f"Files end in {', '.join(sorted(_READERS))}."
