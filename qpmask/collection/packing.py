"""Masks of other files as a collection, and back: what ``qpmask pack`` and ``unpack`` do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from qpmask.collection.arguments import OddNames, check_name
from qpmask.collection.collection import MaskCollection
from qpmask.collection.ngff04 import write_ngff04
from qpmask.collection.niftifiles import AFFINE, write_nifti
from qpmask.collection.packsources import ENDINGS_HINT, Source, files_of, open_source
from qpmask.errors import MaskError, OptionsError
from qpmask.maskwriter import MaskWriter
from qpmask.ometiff.omexml import ClassRow
from qpmask.outputs import mask_stem, slide_stem, writing

Kind = Literal["nifti", "tiff", "npz", "ome-zarr-0.4"]
KINDS: tuple[Kind, ...] = ("nifti", "tiff", "npz", "ome-zarr-0.4")
_ROWS = 2048


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
    files = list(files_of(Path(path) for path in inputs))
    if not files:
        raise OptionsError(
            "There are no masks to pack.",
            hint=ENDINGS_HINT,
        )
    masks: MaskCollection | None = None
    first: Source | None = None
    seen: dict[str, Path] = {}
    groups: set[str] = set()
    try:
        for path in files:
            source = open_source(path)
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
                odd: OddNames = "keep" if source.is_collection else odd_names
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


def _check_place(first: Source, other: Source) -> None:
    """Masks must lie in the same place, where both files say where that is."""
    for key in ("mpp", "spacing"):
        a, b = first.how.get(key), other.how.get(key)
        if a is not None and b is not None and not np.allclose(a, b, rtol=1e-3):
            raise MaskError(f"{other.path} has the {key} {b}, and {first.path} {a}.")
    a, b = (source.how.get("extra", {}).get(AFFINE) for source in (first, other))
    if a is not None and b is not None and not np.allclose(a, b, rtol=1e-3, atol=1e-3):
        raise MaskError(f"{other.path} lies elsewhere than {first.path}: their affine differs.")


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
