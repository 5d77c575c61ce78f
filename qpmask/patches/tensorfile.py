"""Features as CLAM's training reads them: ``pt_files/NAME.pt``, a bare tensor, float32 (n, d).

CLAM turns to HDF5 only where its data set's ``load_from_h5(True)`` is called, which its own
``main.py`` never does. PyTorch writes the files; where it is not installed there are none.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from qpmask.errors import OutputError
from qpmask.patches.h5file import opened


def can_write_tensors() -> bool:
    """Whether PyTorch is installed. Does not import it."""
    return importlib.util.find_spec("torch") is not None


def still_holds(path: Path, patch_file: Path) -> bool:
    """Whether a tensor file was written after the last change of its patch file."""
    return path.is_file() and path.stat().st_mtime_ns >= patch_file.stat().st_mtime_ns


def write_tensor(path: Path, patch_file: Path, features: str) -> None:
    """Write features of a patch file as a tensor, and read it back.

    Parameters
    ----------
    path : Path
        The file to make.
    patch_file : Path
        Where they are.
    features : str
        Their name.

    Raises
    ------
    OutputError
        It cannot be written, or reads back otherwise.
    """
    import torch

    with opened(patch_file) as file:
        values = np.asarray(file[f"features/{features}"], dtype=np.float32)
    tensor = torch.from_numpy(values)
    try:
        torch.save(tensor, path)
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError) as error:
        raise OutputError(f"{path} cannot be written: {error}.") from error
    # NaN is said elsewhere, and is no fault of the file.
    if not np.array_equal(found.numpy(), values, equal_nan=True):
        raise OutputError(f"{path} reads back otherwise than it was written.")
