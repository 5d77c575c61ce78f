"""``qpmask.open_patches``: a patch file and its slide as a sequence of patches.

Nothing but NumPy arrays comes out, so that any training code can take them; a PyTorch
``DataLoader`` takes :class:`Patches` as a map-style dataset as it is.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qpmask.common.arguments import path_of, whole_number
from qpmask.errors import OptionsError
from qpmask.patches.h5file import read_patch_file
from qpmask.patches.patchpixels import PatchReader
from qpmask.patches.table import PatchTable


class Patch(NamedTuple):
    """One patch, as ``patches[i]`` gives it.

    Attributes
    ----------
    pixels : ndarray of uint8, shape (patch_size, patch_size, 3)
        Red, green and blue; white beyond the slide.
    coords : ndarray of int64, shape (2,)
        x and y of its corner, in pixels of the slide's level 0.
    tissue : float
        Share that is tissue.
    fractions : ndarray of float32, shape (n_classes,)
        Share of each class; empty without labels.
    majority : int
        Label of the class that covers most of it, 0 for none.
    """

    pixels: NDArray[np.uint8]
    coords: NDArray[np.int64]
    tissue: float
    fractions: NDArray[np.float32]
    majority: int


def open_patches(
    path: str | os.PathLike[str], slide: str | os.PathLike[str] | None = None
) -> Patches:
    """Open a patch file.

    Parameters
    ----------
    path : path-like
        What ``qpmask patches`` or :func:`qpmask.make_patches` wrote; patch files of AtlasPatch are
        read too.
    slide : path-like, optional
        The slide, where it has moved. It is opened when pixels are asked for.

    Raises
    ------
    OptionsError
        There is no such file, or it is no patch file.
    MissingExtraError
        h5py is not installed.
    """
    file = path_of(path, "path").expanduser().absolute()
    at = None if slide is None else path_of(slide, "slide").expanduser().absolute()
    return Patches(file, read_patch_file(file), at)


class Patches(Sequence[Patch]):
    """The patches of one slide; made by :func:`open_patches`.

    A sequence of :class:`Patch`. A context manager; safe to share between threads; it may be
    pickled and forked, and opens its slide again where it arrives. The patch file itself is read
    once and not kept open.

    Parameters
    ----------
    path : Path
        The patch file.
    table : PatchTable
        What it holds.
    slide : Path or None
        The slide; by default where the file says.
    """

    def __init__(self, path: Path, table: PatchTable, slide: Path | None = None) -> None:
        self.path = path
        self._table = table
        self._slide = slide
        self._lock = threading.Lock()
        self._reader: PatchReader | None = None
        self._owner = os.getpid()

    # --- life ---------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the slide; it is opened again if pixels are asked for."""
        with self._lock:
            if self._reader is not None and self._owner == os.getpid():
                self._reader.close()
            self._reader = None

    def __enter__(self) -> Patches:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[object, ...]:
        return Patches, (self.path, self._table, self._slide)

    def __repr__(self) -> str:
        classes = f", {len(self.classes)} classes" if self._table.labels else ""
        return (
            f"<Patches {self.path}: {len(self):,} of {self.patch_size} x {self.patch_size} pixels "
            f"at {self.mpp:.4g} µm{classes}>"
        )

    # --- what is known of them ----------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._table)

    @property
    def attributes(self) -> dict[str, Any]:
        """All that the file says about the patches, by name."""
        return dict(self._table.attributes)

    @property
    def patch_size(self) -> int:
        """Width and height of a patch, in its own pixels."""
        return int(self._table.attributes["patch_size"])

    @property
    def patch_size_level0(self) -> int:
        """Width and height of a patch, in pixels of level 0."""
        return int(self._table.attributes["patch_size_level0"])

    @property
    def mpp(self) -> float:
        """Micrometres in a pixel of a patch; not a number where the file does not say."""
        found = self._table.attributes
        mpp = found.get("patch_mpp")
        if mpp is None and "mpp" in found:  # AtlasPatch: of level 0
            mpp = float(found["mpp"]) * self.patch_size_level0 / self.patch_size
        return float("nan") if mpp is None else float(mpp)

    @property
    def coords(self) -> NDArray[np.int64]:
        """X and y of the corners, in pixels of level 0, shape (n, 2): by y, then by x."""
        return self._table.coords

    @property
    def tissue(self) -> NDArray[np.float32]:
        """Share of tissue, shape (n,); not a number where the file does not say."""
        return self._table.tissue

    @property
    def padded(self) -> NDArray[np.float32]:
        """Share that lies beyond the slide and is white, shape (n,)."""
        return self._table.padded

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; none without labels."""
        return self._table.labels.names if self._table.labels else ()

    @property
    def class_labels(self) -> tuple[int, ...]:
        """Label of each class in the mask; none without labels."""
        return tuple(self._table.labels.values.tolist()) if self._table.labels else ()

    @property
    def fractions(self) -> NDArray[np.float32]:
        """Share of each class in each patch, shape (n, n_classes)."""
        labels = self._table.labels
        return labels.fractions if labels else np.zeros((len(self), 0), np.float32)

    @property
    def majority(self) -> NDArray[np.int32]:
        """Label of the class that covers most of each patch, 0 for none; shape (n,)."""
        labels = self._table.labels
        return labels.majority if labels else np.zeros(len(self), np.int32)

    @property
    def slide_path(self) -> Path:
        """The slide: as given, else where the file says, else beside the patch file.

        Raises
        ------
        OptionsError
            It is in none of these places.
        """
        said = str(self._table.attributes.get("wsi_path", ""))
        name = Path(said.replace("\\", "/")).name
        tried = [self._slide] if self._slide else [Path(said), self.path.parent / name]
        for path in tried:
            if path.is_file():
                return path
        raise OptionsError(
            f"The slide of {self.path} is not at {tried[0]}.",
            hint="Name it: open_patches(path, slide=...).",
        )

    # --- pixels -------------------------------------------------------------------------------

    def read(self, index: int) -> NDArray[np.uint8]:
        """Pixels of one patch, uint8, shape (patch_size, patch_size, 3): red, green, blue.

        Raises
        ------
        IndexError
            There is no such patch.
        OptionsError
            The slide is not there, or cannot be read at that place.
        """
        index = self._checked(index)
        return self._opened().read(index)

    def __getitem__(self, index: int) -> Patch:  # type: ignore[override]
        i = self._checked(index)
        return self._patch(i, self._opened().read(i))

    def __iter__(self) -> Iterator[Patch]:
        for i, pixels in enumerate(self.iter_pixels()):
            yield self._patch(i, pixels)

    def iter_pixels(
        self, threads: int = 2, which: Sequence[int] | NDArray[np.integer[Any]] | None = None
    ) -> Iterator[NDArray[np.uint8]]:
        """Pixels of the patches in their order, each tile of the slide decoded once.

        Parameters
        ----------
        threads : int
            Threads that decode and resample.
        which : sequence of int, optional
            Only these patches, in this order (in rising order each tile is decoded once).

        Yields
        ------
        ndarray of uint8, shape (patch_size, patch_size, 3)
        """
        chosen = range(len(self)) if which is None else [self._checked(int(i)) for i in which]
        return self._opened().in_order(chosen, threads)

    def iter_batches(
        self, batch_size: int, threads: int = 2, start: int = 0
    ) -> Iterator[tuple[slice, NDArray[np.uint8]]]:
        """Pixels of many patches at a time, in their order, each tile of the slide decoded once.

        Parameters
        ----------
        batch_size : int
            Patches in a batch; the last one may have fewer.
        threads : int
            Threads that decode and resample.
        start : int
            The first patch.

        Yields
        ------
        rows : slice
            Which patches, and with it which rows of `coords`, `fractions` and of features.
        pixels : ndarray of uint8, shape (batch, patch_size, patch_size, 3)
            The receiver's own.
        """
        if batch_size < 1:
            raise OptionsError(f"batch_size is {batch_size}; it must be 1 or more.")
        pixels = self.iter_pixels(threads, range(start, len(self)))
        for first in range(start, len(self), batch_size):
            end = min(first + batch_size, len(self))
            batch = np.empty((end - first, self.patch_size, self.patch_size, 3), np.uint8)
            for place in batch:
                place[...] = next(pixels)
            yield slice(first, end), batch

    def _patch(self, i: int, pixels: NDArray[np.uint8]) -> Patch:
        return Patch(pixels, self.coords[i], float(self.tissue[i]), self.fractions[i],
                     int(self.majority[i]))  # fmt: skip

    def _checked(self, index: int) -> int:
        index, n = whole_number(index, "index"), len(self)
        if not -n <= index < n:
            raise IndexError(f"{self.path} has {n:,} patches and no patch {index}.")
        return index + n if index < 0 else index

    def _opened(self) -> PatchReader:
        with self._lock:
            if self._reader is None or self._owner != os.getpid():
                self._reader = PatchReader(self.slide_path, self._table)
                self._owner = os.getpid()
            return self._reader
