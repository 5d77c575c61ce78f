"""``qpmask.open_mask``: one door to masks, whether TIFF or collection."""

from __future__ import annotations

from pathlib import Path

from qpmask.collection.flatmask import CollectionMask
from qpmask.collection.output import ZIP_SUFFIX
from qpmask.common.arguments import path_of, whole_number
from qpmask.mask import Mask
from qpmask.mask import open_mask as open_tiff
from qpmask.mask.mask import CACHE_BYTES


def open_mask(
    path: Path | str, *, plane: int | None = None, cache_bytes: int = CACHE_BYTES
) -> Mask:
    """Open a mask. Nothing but its directory is read.

    Parameters
    ----------
    path : Path or str
        A mask of ours or of QuPath, any TIFF of labels (bits, or integers of 8, 16 or 32 bits), or
        a collection of masks (:class:`qpmask.MaskCollection`), whose masks are flattened then.
        Slices of a volume are planes of it.
    plane : int, optional
        Which plane of a file with several: ``c + size_c * (z + size_z * t)``. By default the first
        one; :meth:`Mask.plane` finds others by channel, slice and time, and a mask of a collection
        by its name: ``mask.plane("liver", z=40)``.
    cache_bytes : int
        Bytes of decoded tiles to keep, so that neighbouring regions do not decode a tile again.

    Raises
    ------
    MaskError
        If it is no such file, or damaged, or colours rather than labels.
    OptionsError
        If there is no such plane.
    """
    path = path_of(path, "path")
    if is_collection(path):
        mask = CollectionMask.open(path, cache_bytes)
        return mask if plane is None else mask.plane(z=whole_number(plane, "plane"))
    return open_tiff(path, plane=plane, cache_bytes=cache_bytes)


def is_collection(path: Path) -> bool:
    """Whether a path is a collection of masks, by its name and place alone."""
    if path.is_dir():
        return (path / "zarr.json").is_file()
    return path.suffix.lower() == ZIP_SUFFIX
