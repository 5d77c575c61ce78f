"""The patch file: with :mod:`.h5features` the only module that writes HDF5.

One file a slide, in the layout of AtlasPatch, which CLAM's and TRIDENT's steps read as well:
``coords`` (n, 2), ``coords_ext`` (n, 5), ``tissue`` (n,), ``padded`` (n,), ``labels/...``; later
steps add ``features/<name>`` (n, d). What describes the patches stands on the file and on
``coords`` alike, since readers look at either.

A file is written beside its name, opened again and compared with what was to be written; giving it
its name is the caller's.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qpmask.common.extras import install_hint, needed
from qpmask.errors import OptionsError, OutputError
from qpmask.patches.table import PatchLabels, PatchTable, storable

if TYPE_CHECKING:
    import h5py

INSTALL_HINT = install_hint("patches")
FORMAT = 1
MADE_FROM = "qpmask_made_from"
_CHUNK = 8192


def require_h5py() -> Any:
    """The module h5py.

    Raises
    ------
    MissingExtraError
        It is not installed.
    """
    with needed("Patch files need h5py", INSTALL_HINT):
        import h5py
    return h5py


def write_patch_file(path: Path, table: PatchTable, made_from: Mapping[str, Any]) -> None:
    """Write a patch file and read it back.

    Parameters
    ----------
    path : Path
        Where; an older file is replaced.
    table : PatchTable
        The patches.
    made_from : mapping
        All that decides them, as plain data; the next run compares it.

    Raises
    ------
    OutputError
        It cannot be written, or reads back as something else.
    MissingExtraError
        h5py is not installed.
    """
    h5py = require_h5py()
    try:
        with h5py.File(path, "w", libver=("earliest", "v110")) as file:
            _fill(file, table, made_from)
            file.flush()
        found = read_patch_file(path)
        _compare(found, table)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"{path} cannot be written: {error}.") from error


def _fill(file: h5py.File, table: PatchTable, made_from: Mapping[str, Any]) -> None:
    import h5py

    coords = _dataset(file, "coords", table.coords)
    _dataset(file, "coords_ext", table.read).attrs["columns"] = "x, y, width, height, level"
    _dataset(file, "tissue", table.tissue)
    _dataset(file, "padded", table.padded)
    for name, value in table.attributes.items():
        for holder in (file, coords):
            holder.attrs[name] = storable(value) if isinstance(value, str) else value
    file.attrs["qpmask_format"] = FORMAT
    file.attrs[MADE_FROM] = json.dumps(made_from, sort_keys=True)
    labels = table.labels
    if labels is None:
        return
    group = file.create_group("labels")
    _dataset(file, "labels/fractions", labels.fractions)
    _dataset(file, "labels/majority", labels.majority)
    group.create_dataset(
        "names", data=[storable(name) for name in labels.names], dtype=h5py.string_dtype()
    )
    group.create_dataset("values", data=labels.values)
    group.attrs["min_coverage"] = labels.min_coverage
    group.attrs["rule"] = (
        "majority: label of the class with the greatest fraction, the smaller label of equal ones; "
        "0 where that is nothing or less than min_coverage"
    )


def _dataset(file: h5py.File, name: str, values: NDArray[Any]) -> h5py.Dataset:
    chunk = (min(_CHUNK, max(1, len(values))), *(max(1, n) for n in values.shape[1:]))
    return file.create_dataset(
        name, data=values, chunks=chunk, maxshape=(None, *values.shape[1:]),
        compression="gzip", compression_opts=4, shuffle=True,
    )  # fmt: skip


def _compare(found: PatchTable, table: PatchTable) -> None:
    """Raise unless a file reads back as what was written."""
    pairs = [(getattr(found, n), getattr(table, n)) for n in ("coords", "read", "tissue", "padded")]
    if (found.labels is None) != (table.labels is None):
        raise OutputError("The patch file reads back without its labels.")
    if found.labels is not None and table.labels is not None:
        pairs += [
            (getattr(found.labels, n), getattr(table.labels, n))
            for n in ("fractions", "majority", "values")
        ]
    same = all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)
    values = {k: v for k, v in table.attributes.items() if not isinstance(v, np.ndarray)}
    told = {k: storable(v) if isinstance(v, str) else v for k, v in values.items()}
    if not same or any(found.attributes.get(k) != v for k, v in told.items()):
        raise OutputError(
            "The patch file reads back as something else than what was written.",
            hint="Is the disk full or faulty? The file was not kept.",
        )


@contextlib.contextmanager
def opened(path: Path, mode: str = "r") -> Iterator[h5py.File]:
    """A patch file, open.

    Raises
    ------
    OptionsError
        There is no such file, or it is no HDF5.
    """
    h5py = require_h5py()
    if not path.is_file():
        raise OptionsError(f"There is no patch file {path}.")
    try:
        file = h5py.File(path, mode)
    except OSError as error:
        raise OptionsError(f"{path} cannot be read as HDF5: {error}.") from error
    with file:
        yield file


def read_patch_file(path: Path) -> PatchTable:
    """The patches of a file: ours, or of a program with the same layout.

    Raises
    ------
    OptionsError
        It is no patch file, or damaged.
    """
    with opened(path) as file:
        try:
            return _table_of(file)
        except (KeyError, OSError, ValueError, TypeError) as error:
            reason = str(error).strip("'\"")
            raise OptionsError(f"{path} is not a patch file, or damaged: {reason}.") from error


def count_patches(path: Path) -> int:
    """How many patches a file has, without reading them; 0 where it is no patch file."""
    try:
        with opened(path) as file:
            return int(file["coords"].shape[0])
    except (OptionsError, KeyError, AttributeError, IndexError):
        return 0


def _table_of(file: h5py.File) -> PatchTable:
    coords = np.asarray(file["coords"])
    if coords.ndim != 2 or coords.shape[1] < 2:
        raise ValueError(f"coords has the shape {coords.shape}")
    n = len(coords)
    attributes = {**file["coords"].attrs, **file.attrs}
    attributes = {k: _plain(v) for k, v in attributes.items() if k != MADE_FROM}
    if "coords_ext" in file:
        read = np.asarray(file["coords_ext"], np.int32)
    elif coords.shape[1] == 5:  # AtlasPatch 1.0
        read = coords.astype(np.int32)
    else:
        read = np.zeros((n, 5), np.int32)
        read[:, :2] = coords[:, :2]
        read[:, 2:4] = int(attributes["patch_size_level0"])
    columns = {
        name: np.asarray(file[name], np.float32) if name in file else np.full(n, fill, np.float32)
        for name, fill in (("tissue", np.nan), ("padded", 0.0))
    }
    if len(read) != n or any(len(c) != n for c in columns.values()):
        raise ValueError("its columns differ in length")
    return PatchTable(
        coords[:, :2].astype(np.int64), read, columns["tissue"], columns["padded"],
        _labels_of(file, n), attributes,
    )  # fmt: skip


def _labels_of(file: h5py.File, n: int) -> PatchLabels | None:
    if "labels/fractions" not in file:
        return None
    group = file["labels"]
    labels = PatchLabels(
        tuple(group["names"].asstr()[()].tolist()),
        np.asarray(group["values"], np.int32),
        np.asarray(group["fractions"], np.float32),
        np.asarray(group["majority"], np.int32),
        float(group.attrs["min_coverage"]),
    )
    if labels.fractions.shape != (n, len(labels.names)) or len(labels.majority) != n:
        raise ValueError("its labels differ in length from its patches")
    return labels


def _plain(value: Any) -> Any:
    """Numbers and text as Python has them."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value.item() if isinstance(value, np.generic) else value


def made_from(path: Path) -> dict[str, Any] | None:
    """What a patch file says that it was made from; None where it is none of ours, or damaged."""
    try:
        with opened(path) as file:
            text = file.attrs.get(MADE_FROM)
            data = json.loads(text) if isinstance(text, str) else None
            _table_of(file)
    except (OptionsError, OSError, ValueError, KeyError, TypeError):
        return None
    return data if isinstance(data, dict) else None


def feature_names(path: Path) -> tuple[str, ...]:
    """Names of the features in a patch file; none where it cannot be read."""
    try:
        with opened(path) as file:
            group = file.get("features")
            return tuple(group) if hasattr(group, "keys") else ()
    except OptionsError:
        return ()


@dataclass(frozen=True)
class View:
    """What another program sees of a patch file.

    Attributes
    ----------
    program : str
        ``clam``, ``trident`` or ``stamp``.
    source : Path
        The patch file.
    folder : Path
        Where the view will lie; links count from there.
    features : str or None
        Features that it shows as its own; None for coordinates alone.
    """

    program: str
    source: Path
    folder: Path
    features: str | None


def write_view(path: Path, view: View, table: PatchTable) -> None:
    """Write a view.

    Parameters
    ----------
    path : Path
        Where; it is given its name in `view.folder` afterwards.
    view : View
        What it shows.
    table : PatchTable
        The patches of the file.
    """
    h5py = require_h5py()
    link = os.path.relpath(view.source, view.folder).replace(os.sep, "/")
    size = int(table.attributes["patch_size_level0"])
    try:
        with h5py.File(path, "w") as file:
            if view.program == "stamp":
                _fill_for_stamp(file, view, table)
                return
            if view.features is not None:
                file["features"] = h5py.ExternalLink(link, f"/features/{view.features}")
            if view.program == "clam" and view.features is None:
                # Its readers take patch_size for pixels of patch_level, and resize nothing.
                coords = file.create_dataset("coords", data=table.coords)
                coords.attrs.update({k: v for k, v in table.attributes.items() if k != "wsi_path"})
                read = table.read[0] if len(table) else (0, 0, size, size, 0)
                coords.attrs["patch_size"], coords.attrs["patch_level"] = int(read[2]), int(read[4])
            else:
                file["coords"] = h5py.ExternalLink(link, "/coords")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error}.") from error


def _fill_for_stamp(file: h5py.File, view: View, table: PatchTable) -> None:
    """STAMP's own layout: features of 16 bits, coordinates in micrometres."""
    found = table.attributes
    with opened(view.source) as source:
        features = np.asarray(source[f"features/{view.features}"])
    file["feats"] = features.astype(np.float16)
    file["coords"] = (table.coords * float(found["mpp"])).astype(np.float32)
    file.attrs.update(
        unit="um", feat_type="tile", extractor=view.features or "", stamp_version="2.0.0",
        tile_size_um=float(found["patch_size_level0"] * found["mpp"]),
        tile_size_px=int(found["patch_size"]), code_hash="", made_by="qpmask",
    )  # fmt: skip
