"""A mask file as an array of labels that knows its classes: ``qpmask.open_mask``."""

from __future__ import annotations

import logging
import operator
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qpmask.classes.names import same_class
from qpmask.common.arguments import path_of, whole_number
from qpmask.common.machine import n_cores
from qpmask.errors import MaskError, MissingExtraError, NoSuchClassError, OptionsError
from qpmask.mask.binarymask import BinaryMask
from qpmask.mask.describedmask import DescribedMask
from qpmask.mask.fileinfo import fingerprint, nearest_hint
from qpmask.mask.levelchoice import fitting_level
from qpmask.mask.soundlevels import SoundLevels
from qpmask.mask.tilescan import ClassArea, MaskTile, count_all, count_region, find_tiles
from qpmask.ometiff.reader import MaskFile
from qpmask.ometiff.regions import Positions, cut_axis

if TYPE_CHECKING:
    from qpmask.mask.zarrstore import MaskStore

_log = logging.getLogger(__name__)

CACHE_BYTES = 32 * 2**20  # 128 tiles of 512 x 512 pixels of 8 bits
_RGB = 2


def open_mask(
    path: Path | str, *, plane: int | None = None, cache_bytes: int = CACHE_BYTES
) -> Mask:
    """Open a mask. Nothing but its directory is read.

    Parameters
    ----------
    path : Path or str
        A mask of ours or of QuPath, or any TIFF of labels: bits, or integers of 8, 16 or 32 bits.
    plane : int, optional
        Which plane of a file with several: ``c + size_c * (z + size_z * t)``. By default the first
        one; :meth:`Mask.plane` finds others by channel, slice and time.
    cache_bytes : int
        Bytes of decoded tiles to keep, so that neighbouring regions do not decode a tile again.

    Raises
    ------
    MaskError
        If it is no such file, or damaged, or colours rather than labels.
    OptionsError
        If there is no such plane.
    """
    if isinstance(plane, str):
        raise OptionsError(
            f"plane is {plane!r}; it must be a whole number.",
            hint=f"By its channel's name: open_mask(path).plane({plane!r}).",
        )
    file = MaskFile(path_of(path, "path"), cache_bytes=whole_number(cache_bytes, "cache_bytes"))
    try:
        image = file.structure.images[0][0]
        if plane is None and image.photometric == _RGB and image.n_samples >= 3:
            raise MaskError(
                f"{file.path} holds colours (RGB), not labels.",
                hint="Export it as labels. In Python, open_mask(path, plane=0) reads the values of "
                "one colour.",
            )
        if file.structure.note is not None:
            _log.warning("%s: %s.", file.path, file.structure.note)
        return Mask(file, 0 if plane is None else whole_number(plane, "plane"))
    except BaseException:
        file.close()
        raise


class Mask(DescribedMask):
    """A mask on disk as an array of labels. Made by :func:`open_mask`.

    ``mask[y0:y1, x0:x1]`` reads full resolution as NumPy would; :meth:`region` also reads smaller
    levels. A context manager; safe to share between threads; it may be pickled, and opens its file
    again where it arrives.

    Parameters
    ----------
    file : MaskFile
        The open file.
    plane : int
        Which plane.
    """

    def __init__(self, file: MaskFile, plane: int = 0) -> None:
        super().__init__(file, plane)
        self._threads = min(4, n_cores())
        self._sound = SoundLevels(file, plane, self._threads)

    # --- life ---------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the file, also for other planes of it; reading is an error afterwards."""
        self._file.close()

    def __enter__(self) -> Mask:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[object, ...]:
        # The place must hold in a process with another working folder.
        state = self.path.absolute(), self._plane, self._file.cache_bytes
        return _reopen, (*state, fingerprint(self._file), self._sound.seen)

    def __dask_tokenize__(self) -> tuple[object, ...]:
        """What tells Dask that two masks are the same: the file and its last change."""
        where = str(self.path.absolute()), self._plane
        return "qpmask.Mask", *where, self._file.changed_ns, fingerprint(self._file)

    def __repr__(self) -> str:
        rows, cols = self.shape
        of_planes = f", plane {self._plane} of {self.n_planes}" if self.n_planes > 1 else ""
        return (
            f"<Mask {self.path} of {rows:,} rows x {cols:,} columns, {self.dtype}, "
            f"{len(self.levels)} levels, {len(self.classes)} classes{of_planes}>"
        )

    # --- its levels and planes ----------------------------------------------------------------

    def fitting_level(self, downsample: float) -> int:
        """The level that :meth:`region` reads at a downsample.

        Levels of other programs are compared with level 0, all of it, when they are first wanted.
        Where one holds averages of labels, it and the smaller ones are left alone, and a warning is
        logged.
        """
        level = super().fitting_level(downsample)
        if level < self._sound.n_levels:
            return level
        return fitting_level(self.level_scales[: self._sound.up_to(level)], downsample)

    def plane(self, c: int | str = 0, z: int = 0, t: int = 0) -> Mask:
        """Another plane of the same file.

        Parameters
        ----------
        c : int or str
            Channel, by number or by name.
        z, t : int
            Slice and time point.

        Returns
        -------
        Mask
            It shares the open file with this one.
        """
        size_c, size_z, size_t = self._planes_by_axis()
        names = self.metadata.channel_names if self.metadata is not None else ()
        if isinstance(c, str):
            found = [i for i, name in enumerate(names) if same_class(name, c)]
            if not found:
                raise NoSuchClassError(
                    f"{self.path} has no channel {c!r}.",
                    hint=nearest_hint(c, list(names), "Channels of this file"),
                )
            c = found[0]
        place = whole_number(c, "c"), whole_number(z, "z"), whole_number(t, "t")
        for axis, index, length in zip("czt", place, (size_c, size_z, size_t), strict=True):
            if not 0 <= index < length:
                raise OptionsError(
                    f"{self.path} has no plane {axis}={index}.",
                    hint=f"Its planes have {axis} from 0 to {length - 1}.",
                )
        return Mask(self._file, place[0] + size_c * (place[1] + size_z * place[2]))

    # --- its pixels ---------------------------------------------------------------------------

    def binary(self, *classes: str | int) -> BinaryMask:
        """The mask as true and false: true where it has one of these classes.

        Parameters
        ----------
        *classes : str or int
            Names or labels.

        Returns
        -------
        BinaryMask
            As lazy as the mask: index it, or read regions of it.
        """
        return BinaryMask(self, self.labels_of(*classes))

    def counts(self, region: tuple[int, int, int, int] | None = None) -> dict[int, int]:
        """Pixels of level 0 by label, labels that occur only.

        Parameters
        ----------
        region : tuple of int, optional
            (x_px, y_px, width_px, height_px); the whole mask by default.

        Notes
        -----
        Works tile by tile on a few threads, and decodes tiles that share their bytes once.
        """
        self._check_open()
        expected = tuple(self._classes)
        if region is None:
            parts = count_all(self._file, self._plane, expected, self._threads)
        else:
            rows, cols = self._checked_region(region)
            parts = count_region(self._file, self._plane, expected, rows, cols)
        total: dict[int, int] = {}
        for part in parts:
            for label, n_pixels in part.items():
                total[label] = total.get(label, 0) + n_pixels
        return dict(sorted(total.items()))

    def present(self, region: tuple[int, int, int, int] | None = None) -> tuple[int, ...]:
        """Labels that occur in the mask, or in a region (x_px, y_px, width_px, height_px)."""
        return tuple(self.counts(region))

    def areas(self, region: tuple[int, int, int, int] | None = None) -> dict[int, ClassArea]:
        """Pixels and area of each class.

        Parameters
        ----------
        region : tuple of int, optional
            (x_px, y_px, width_px, height_px); the whole mask by default.

        Returns
        -------
        dict of int to ClassArea
            By label: all classes of the table, with 0 pixels where they do not occur, and all
            further labels that do.
        """
        counts = self.counts(region)
        size = self.pixel_size
        rows = {}
        for label in sorted({*counts, *self._classes}):
            n_pixels = counts.get(label, 0)
            area_mm2 = None if size is None else n_pixels * size.area_um2 / 1e6
            rows[label] = ClassArea(label, self.name_of(label), n_pixels, area_mm2)
        return rows

    def tiles_with(self, *classes: str | int) -> Iterator[MaskTile]:
        """The tiles of level 0 that hold any of these classes, row by row.

        Parameters
        ----------
        *classes : str or int
            Names or labels.

        Yields
        ------
        MaskTile
            Tiles that are known to hold another label alone are not even decoded.
        """
        # Not a generator itself, so that a wrong name is an error at once.
        labels = self.labels_of(*classes)
        self._check_open()
        return find_tiles(self._file, self._plane, labels, self._threads)

    def tile(self, level: int, row: int, col: int) -> NDArray[Any]:
        """One tile of a level, cropped to the level; the caller's own."""
        self._check_open()
        return self._file.tile(level, self._plane, row, col)

    def aszarr(self) -> MaskStore:
        """The mask as a read-only Zarr 3 store: a group with an array for each level.

        Chunks are the file's tiles, decoded when they are asked for. The group's attributes follow
        OME-Zarr 0.5: pixel size, and names and colours of the classes.

        Examples
        --------
        ``zarr.open_group(mask.aszarr(), mode="r")["0"][:512, :512]``

        Raises
        ------
        MissingExtraError
            If zarr 3 is not installed.
        """
        try:
            from qpmask.mask.zarrstore import MaskStore
        except ImportError as error:
            raise MissingExtraError(
                "A mask becomes a Zarr store with the help of zarr 3, which is not installed.",
                hint='Install it: pip install "qpmask[zarr]" (Python 3.11 or later).',
            ) from error
        return MaskStore(self)

    def show(self, height_px: int = 600) -> Any:
        """The mask in a notebook: a frame in which one pans and zooms, or a static picture.

        Parameters
        ----------
        height_px : int
            Of the frame.

        Returns
        -------
        qpmask.web.notebook.MaskView
            What a notebook shows by itself; its ``url`` opens in any browser of this machine. The
            server behind it ends with this process.

        Raises
        ------
        MissingExtraError
            The extra ``serve`` is not installed.
        """
        import importlib

        # By name: masks know nothing of browsers.
        return importlib.import_module("qpmask.web.notebook").show(self, height_px)

    # --- behind the scenes --------------------------------------------------------------------

    @property
    def _name(self) -> str:
        return f"The mask {self.path}"

    def _check_open(self) -> None:
        if self._file.is_closed:
            raise MaskError(f"The mask {self.path} is closed.", hint="Open it again to read it.")

    def _checked_region(self, region: tuple[int, int, int, int]) -> tuple[range, range]:
        """Rows and columns of a region that must lie within the mask."""
        try:
            x_px, y_px, width_px, height_px = map(operator.index, region)
        except (TypeError, ValueError) as error:
            raise OptionsError(
                f"A region is four whole numbers (x_px, y_px, width_px, height_px), not {region!r}."
            ) from error
        self._check_region(x_px, y_px, width_px, height_px, is_filled=False, can_fill=False)
        return range(y_px, y_px + height_px), range(x_px, x_px + width_px)

    def _read(self, level: int, rows: Positions, cols: Positions) -> NDArray[Any]:
        tile = self.levels[level].tile
        out = np.empty((len(rows), len(cols)), self.dtype)
        self._file.gather(
            level,
            self._plane,
            cut_axis(rows, tile.height_px),
            cut_axis(cols, tile.width_px),
            out,
            self._threads,
        )
        return out


def _reopen(
    path: Path, plane: int, cache_bytes: int, expected: str, seen: tuple[int, bool]
) -> Mask:
    mask = open_mask(path, plane=plane, cache_bytes=cache_bytes)
    if fingerprint(mask._file) != expected:
        mask.close()
        raise MaskError(
            f"The mask {path} is another file than the one that was passed on.",
            hint="It was written again meanwhile; open it anew.",
        )
    mask._sound.seen = seen
    return mask
