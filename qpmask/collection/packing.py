"""Masks of other kinds of files as a collection, and back: what ``qpmask pack`` and ``unpack`` do.

NIfTI (a file a mask, as TotalSegmentator writes them, or label maps), MedMask's archives, NPZ, TIFF
(a plane a mask, or a class table), PNG, other collections, and folders of any of these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from qpmask.collection.collection import FOLDER_SUFFIX, MaskCollection
from qpmask.collection.given import OddNames, check_name
from qpmask.collection.medmaskfiles import read_medmask
from qpmask.collection.ngff04 import write_ngff04
from qpmask.collection.niftifiles import AFFINE, read_nifti, write_nifti
from qpmask.collection.output import ZIP_SUFFIX
from qpmask.errors import MaskError, OptionsError
from qpmask.mask import Mask, open_mask
from qpmask.maskwriter import MaskWriter
from qpmask.ometiff.omexml import ClassRow, Color
from qpmask.outputs import mask_stem, slide_stem, writing

Kind = Literal["nifti", "tiff", "npz", "ome-zarr-0.4"]
KINDS: tuple[Kind, ...] = ("nifti", "tiff", "npz", "ome-zarr-0.4")
_ROWS = 2048


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
    """

    path: Path
    masks: Iterable[Packed]
    how: dict[str, Any] = field(default_factory=dict)


def pack(
    inputs: Sequence[Path | str],
    out: Path | str,
    *,
    odd_names: OddNames = "error",
    on_mask: Callable[[str], None] = lambda name: None,
) -> tuple[str, ...]:
    """Bring masks into a new collection.

    Parameters
    ----------
    inputs : sequence of path-like
        Files, and folders of files.
    out : path-like
        ``NAME.ozx`` or ``NAME.zarr``.
    odd_names : {"error", "keep"}
        Names with slashes, or that differ in case alone, as :class:`~qpmask.MaskCollection` takes
        them. Those of other collections are kept.
    on_mask : callable, optional
        Called with the name of each mask that was added.

    Returns
    -------
    tuple of str
        Names of the masks.

    Raises
    ------
    MaskError
        A file cannot be read, or masks have different shapes or places.
    OptionsError
        There is nothing to pack, or a name occurs twice.
    """
    out = Path(out)
    files = list(_files(Path(path) for path in inputs))
    if not files:
        raise OptionsError(
            "There are no masks to pack.",
            hint=f"Files end in {', '.join(sorted(_READERS))}.",
        )
    masks: MaskCollection | None = None
    first: Source | None = None
    seen: dict[str, Path] = {}
    groups: set[str] = set()
    try:
        for path in files:
            source = _open(path)
            for one in source.masks:
                array = one.array
                if masks is None:
                    first = source
                    masks = MaskCollection(
                        out, "w", shape=array.shape, odd_names="keep", **source.how
                    )
                assert first is not None
                if tuple(array.shape) != masks.shape:
                    raise MaskError(
                        f"{path} has the shape {tuple(array.shape)}, {first.path} {masks.shape}."
                    )
                _check_place(first, source)
                if one.name in seen:
                    raise OptionsError(
                        f"The mask {one.name!r} is in {seen[one.name]} and in {path}.",
                        hint="Masks are called like their files; rename one.",
                    )
                odd: OddNames = "keep" if _reader(path) is _collection else odd_names
                check_name(one.name, seen, path, odd)
                seen[one.name] = path
                if one.group is not None and one.group not in groups:
                    check_name(one.group, groups, path, odd, "group")
                    groups.add(one.group)
                taken = {row.label for row in masks.rows()}
                label = one.label if one.label not in taken else None
                masks.add(one.name, array, label=label, color=one.color, group=one.group)
                on_mask(one.name)
        if masks is None:
            raise OptionsError("There are no masks in what is to be packed.")
    except BaseException:
        if masks is not None:
            masks.discard()
        raise
    masks.close()
    return tuple(seen)


def unpack(
    path: Path | str,
    folder: Path | str,
    *,
    kind: Kind | None = None,
    names: Sequence[str] = (),
    on_mask: Callable[[str], None] = lambda name: None,
) -> list[Path]:
    """Write the masks of a collection as files of their own.

    Parameters
    ----------
    path : path-like
        The collection.
    folder : path-like
        Where to; made if it is not there.
    kind : {"nifti", "tiff", "npz", "ome-zarr-0.4"}, optional
        "nifti" (volumes; with their affine matrix) or "tiff" (planes) a file a mask, "npz" all in
        one; "ome-zarr-0.4" the flattened mask as a folder that Bio-Formats and QuPath read. By
        default NIfTI of volumes and TIFF of planes.
    names : sequence of str
        Masks or groups; all by default.
    on_mask : callable, optional
        Called with the name of each mask that was written.
    """
    folder = Path(folder)
    with MaskCollection(path) as masks:
        groups = masks.groups()
        wanted = [n for one in names for n in groups.get(one, (one,))] or list(masks.names())
        for name in wanted:
            masks.row(name)
        kind = kind or ("nifti" if masks.ndim == 3 else "tiff")
        if kind == "ome-zarr-0.4":
            if names:
                raise OptionsError("A flattened mask is of all masks; leave the names out.")
            with writing(folder, "The folder"):
                folder.mkdir(parents=True, exist_ok=True)
            return [
                write_ngff04(masks, folder / f"{slide_stem(mask_stem(masks.path.name))}.ome.zarr")
            ]
        if (kind == "nifti") != (masks.ndim == 3) and kind != "npz":
            raise OptionsError(
                f"{masks.path} holds {'volumes' if masks.ndim == 3 else 'planes'}; they do not go "
                f"into {kind}.",
                hint="Use 'nifti' for volumes, 'tiff' for planes, or 'npz'.",
            )
        with writing(folder, "The folder"):
            folder.mkdir(parents=True, exist_ok=True)
        if kind == "npz":
            target = folder / f"{slide_stem(mask_stem(masks.path.name))}.npz"
            part = target.with_name(f".{target.name}.part.npz")
            with writing(target, "The file"):
                np.savez_compressed(part, **{name: masks[name][...] for name in wanted})
                part.replace(target)
            return [target]
        written: list[Path] = []
        taken: set[str] = set()
        for name in wanted:
            stem = slide_stem(name)
            while stem.casefold() in taken:
                stem += "_"
            taken.add(stem.casefold())
            write = _write_nifti if kind == "nifti" else _write_tiff
            written.append(write(masks, name, folder, stem))
            on_mask(name)
        return written


# --- files that are packed ------------------------------------------------------------------------


def _files(paths: Iterable[Path]) -> Iterator[Path]:
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
                hint=f"Files end in {', '.join(sorted(_READERS))}.",
            )
        else:
            yield path


def _reader(path: Path) -> Callable[[Path], Source] | None:
    name = path.name.lower()
    return next((read for suffix, read in _READERS.items() if name.endswith(suffix)), None)


def _open(path: Path) -> Source:
    read = _reader(path)
    assert read is not None
    return read(path)


def _stem(path: Path) -> str:
    name = path.name
    for suffix in sorted(_READERS, key=len, reverse=True):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)] or name
    return path.stem


def _check_place(first: Source, other: Source) -> None:
    """Masks must lie in the same place, where both files say where that is."""
    for key in ("mpp", "spacing"):
        a, b = first.how.get(key), other.how.get(key)
        if a is not None and b is not None and not np.allclose(a, b, rtol=1e-3):
            raise MaskError(f"{other.path} has the {key} {b}, and {first.path} {a}.")
    a, b = (source.how.get("extra", {}).get(AFFINE) for source in (first, other))
    if a is not None and b is not None and not np.allclose(a, b, rtol=1e-3, atol=1e-3):
        raise MaskError(f"{other.path} lies elsewhere than {first.path}: their affine differs.")


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

    return Source(path, each(), how)


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


# --- files that are unpacked ----------------------------------------------------------------------


def _write_nifti(masks: MaskCollection, name: str, folder: Path, stem: str) -> Path:
    target = folder / f"{stem}.nii.gz"
    write_nifti(target, np.asarray(masks[name][...]), masks.spacing, masks.extra)
    return target


def _write_tiff(masks: MaskCollection, name: str, folder: Path, stem: str) -> Path:
    target = folder / f"{stem}.ome.tif"
    view, row = masks[name], masks.row(name)
    rows, cols = masks.shape
    labels = view.dtype != np.bool_
    if labels and view.dtype.kind != "u":
        raise OptionsError(f"The mask {name!r} holds {view.dtype}, which no TIFF mask does.")
    classes = [] if labels else [ClassRow(row.label, name, row.color)]
    dtype = str(view.dtype) if labels else None
    with MaskWriter(target, cols, rows, classes=classes, mpp=masks.mpp, dtype=dtype) as writer:
        for y in range(0, rows, _ROWS):
            for x in range(0, cols, _ROWS):
                block = np.asarray(view[y : y + _ROWS, x : x + _ROWS])
                if block.any():
                    writer.write(x, y, block if labels else block * row.label)
    return target
