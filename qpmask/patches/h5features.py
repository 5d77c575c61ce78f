"""Features in a patch file: they come in with a copy of it, which is compared and takes its place.

The other module that writes HDF5, beside :mod:`.h5file`.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.errors import OutputError
from qpmask.patches.h5file import MADE_FROM, opened, require_h5py
from qpmask.patches.table import storable


def features_made_from(path: Path, name: str) -> dict[str, Any] | None:
    """What features in a file say that they were made from; an empty one for another program's.

    None where there are no features of that name.
    """
    with opened(path) as file:
        found = file.get(f"features/{name}")
        if found is None:
            return None
        text = found.attrs.get(MADE_FROM) if isinstance(found, require_h5py().Dataset) else None
        data = json.loads(text) if isinstance(text, str) else None
        return data if isinstance(data, dict) else {}


def features_told(path: Path, name: str) -> tuple[int, int]:
    """How long the features of that name are, and how many rows are not finite."""
    with opened(path) as file:
        found = file[f"features/{name}"]
        return int(found.shape[1]), int(found.attrs.get("not_finite", 0))


def with_features(
    path: Path,
    copy: Path,
    name: str,
    batches: Callable[[], Iterator[NDArray[Any]]],
    shape: tuple[int, int],
    attributes: Mapping[str, Any],
) -> None:
    """Make a copy of a patch file with features in it, and read them back.

    Parameters
    ----------
    path : Path
        The patch file; it stays as it is.
    copy : Path
        The copy, for the caller to put in its place.
    name : str
        They become ``features/<name>``. Older ones of that name, and the space that they took, are
        not in the copy.
    batches : callable
        Gives the rows, batch by batch; called twice, to write and to compare.
    shape : tuple of int
        Rows and columns of all.
    attributes : mapping
        What describes them.

    Raises
    ------
    OutputError
        The copy cannot be written, or reads back as something else.
    """
    h5py = require_h5py()
    try:
        _copy_without(path, copy, name)
        with h5py.File(copy, "r+", libver=("earliest", "v110")) as file:
            group = file.require_group("features")
            first = next(batches(), np.zeros((1, shape[1]), np.float32))
            data = group.create_dataset(
                name, shape, first.dtype, maxshape=(None, shape[1]),
                chunks=(max(1, min(shape[0], (1 << 20) // max(1, first[0].nbytes))), shape[1]),
            )  # fmt: skip
            for key, value in attributes.items():
                data.attrs[key] = storable(value) if isinstance(value, str) else value
            at = 0
            for batch in batches():
                data[at : at + len(batch)] = batch
                at += len(batch)
        with h5py.File(copy, "r") as file:
            data, at = file[f"features/{name}"], 0
            for batch in batches():
                if not np.array_equal(data[at : at + len(batch)], batch, equal_nan=True):
                    raise OutputError(
                        f"The features {name} read back as something else than what was written.",
                        hint="Is the disk full or faulty? The patch file stays as it was.",
                    )
                at += len(batch)
            if (at, shape[1]) != data.shape or data.shape != shape:
                raise OutputError(f"The features {name} read back as {data.shape}, not {shape}.")
        with copy.open("rb+") as handle:
            os.fsync(handle.fileno())
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(
            f"{copy} cannot be written: {error}.", hint="The patch file stays as it was."
        ) from error


def _copy_without(path: Path, copy: Path, name: str) -> None:
    """Copy a patch file without the features of one name.

    Object by object where it has them: HDF5 never gives back the space of what is removed.
    """
    h5py = require_h5py()
    with h5py.File(path, "r") as source:
        if f"features/{name}" in source:
            with h5py.File(copy, "w", libver=("earliest", "v110")) as target:
                _copy_group(source, target, leave_out=f"/features/{name}")
            return
    shutil.copyfile(path, copy)


def _copy_group(source: Any, target: Any, leave_out: str) -> None:
    """All that is in a group but one object, with the group's own attributes."""
    for key, value in source.attrs.items():
        target.attrs[key] = value
    for key in source:
        where = f"{source.name.rstrip('/')}/{key}"
        if where == leave_out:
            continue
        if leave_out.startswith(f"{where}/"):
            _copy_group(source[key], target.create_group(key), leave_out)
        else:
            source.copy(key, target)
