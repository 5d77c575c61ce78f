"""A collection as the one mask that :func:`qpmask.open_mask` gives; of a volume, slice by slice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qpmask.collection.arrays import THREADS
from qpmask.collection.collection import MaskCollection
from qpmask.collection.records import MaskRow
from qpmask.collection.views import PlaneView, VolumeView
from qpmask.common.arguments import whole_number
from qpmask.errors import NoSuchClassError, OptionsError
from qpmask.geometry import PixelSize, Size
from qpmask.geometry.frames import FRAME_KEY, Frame, frame_from_json
from qpmask.mask.binarymask import is_one_of
from qpmask.mask.mask import Mask
from qpmask.mask.tilescan import MaskTile
from qpmask.ometiff.directories import Level
from qpmask.ometiff.labelcount import count_labels
from qpmask.ometiff.omexml import ClassRow, MaskMetadata
from qpmask.ometiff.regions import Positions
from qpmask.ometiff.threads import in_threads

if TYPE_CHECKING:
    from qpmask.mask.zarrstore import MaskStore


class CollectionMask(Mask):
    """All masks of a collection, flattened, or one of them with its label.

    Parameters
    ----------
    masks : MaskCollection
        The open collection.
    name : str, optional
        The only mask that is shown; by default all, the last one on top.
    z_px : int
        Which slice of a volume; 0 of planes.
    """

    def __init__(self, masks: MaskCollection, name: str | None = None, z_px: int = 0) -> None:
        self._masks = masks
        self._only = name
        self._z_px = z_px
        rows = [row for row in masks.rows() if name is None or row.name == name]
        self._rows = rows
        whole = masks.flat if name is None else masks[name]
        self._view = whole if isinstance(whole, PlaneView) else whole.slice(z_px)
        self._classes = MappingProxyType(
            {row.label: ClassRow(row.label, row.name, row.color) for row in rows}
        )

    @classmethod
    def open(cls, path: Path, cache_bytes: int) -> CollectionMask:
        """Open a collection for its flattened mask, of a volume for the first slice of it."""
        return cls(MaskCollection(path, cache_bytes=cache_bytes))

    @property
    def collection(self) -> MaskCollection:
        """The collection that it looks at."""
        return self._masks

    def close(self) -> None:
        """Close the file, also for other planes of it; reading is an error afterwards."""
        self._masks.close()

    def __reduce__(self) -> tuple[object, ...]:
        return CollectionMask, (self._masks, self._only, self._z_px)

    def __dask_tokenize__(self) -> tuple[object, ...]:
        """What tells Dask that two masks are the same."""
        return self._view.__dask_tokenize__()

    def __repr__(self) -> str:
        which = f", slice {self._z_px} of {self.n_planes}" if self._masks.ndim == 3 else ""
        return f"<Mask of {self._masks!r}{which}>"

    # --- what it is ---------------------------------------------------------------------------

    @property
    def path(self) -> Path:
        """The file or folder."""
        return self._masks.path

    @property
    def dtype(self) -> np.dtype[Any]:
        """Pixel type: the smallest that holds all labels."""
        highest = max(self._classes, default=0)
        return np.dtype(np.uint8 if highest < 256 else np.uint16 if highest < 65_536 else np.uint32)

    @property
    def levels(self) -> tuple[Level, ...]:
        """Size and chunk size of each level, level 0 first."""
        return self._view.levels

    @property
    def level_scales(self) -> tuple[tuple[float, float], ...]:
        """How many pixels of level 0 a pixel of each level spans, in x and y."""
        return self._view.level_scales

    def fitting_level(self, downsample: float) -> int:
        """The level that :meth:`region` reads at a downsample."""
        return self._view.fitting_level(downsample)

    @property
    def note(self) -> str | None:
        """What people should know of the file."""
        return None

    @property
    def frame(self) -> Frame | None:
        """Where it lies in the slide's file; None where the collection does not say."""
        data = self._masks.extra.get(FRAME_KEY)
        if data is None:
            return None
        return frame_from_json(data) or Frame(None, unknown="what it says of it cannot be read")

    @property
    def pixel_size(self) -> PixelSize | None:
        """Size of a pixel of level 0."""
        mpp = self._masks.mpp
        return None if mpp is None else PixelSize(*mpp)

    @property
    def metadata(self) -> MaskMetadata:
        """All that the file says about itself, in the words of a TIFF's."""
        rows, cols = self.shape
        extra = {k: str(v) for k, v in self._masks.extra.items() if k != FRAME_KEY}
        return MaskMetadata(
            name=self._masks.name,
            size=Size(cols, rows),
            size_z=self.n_planes,
            dtype=str(self.dtype),
            pixel_size=self.pixel_size,
            classes=tuple(self._classes.values()),
            extra={**extra, "kind": "classes"},
        )

    @property
    def kind(self) -> str:
        """What labels are: "classes", "multichannel" where masks overlap, or "instances"."""
        said = self._masks.extra.get("kind")
        if said in ("classes", "multichannel", "instances"):
            return str(said)
        rows = self._masks.rows()
        if len(rows) == 1 and rows[0].dtype != "bool":
            return "instances"
        return "multichannel" if any(row.layer for row in rows) else "classes"

    @property
    def n_planes(self) -> int:
        """Number of planes: the slices of a volume, else one; each mask has as many."""
        return self._masks.shape[0] if self._masks.ndim == 3 else 1

    @property
    def plane_number(self) -> int:
        """Which of them this is: the slice."""
        return self._z_px

    def plane(self, c: int | str = 0, z: int = 0, t: int = 0) -> CollectionMask:
        """One of the masks by its name, with its label; 0 is all of them, flattened.

        Parameters
        ----------
        c : int or str
            Name of a mask, or 0.
        z : int
            Slice of a volume.
        t : int
            0.
        """
        if isinstance(c, str):
            self._masks.row(c)
        z_px = whole_number(z, "z")
        if not 0 <= z_px < self.n_planes or t != 0 or (c != 0 and not isinstance(c, str)):
            slices = f"Its slices are 0 to {self.n_planes - 1}; " if self.n_planes > 1 else ""
            raise OptionsError(
                f"{self.path} has no plane c={c}, z={z}, t={t}.",
                hint=f"{slices}its masks go by name: {', '.join(self._masks.names()[:20])}.",
            )
        return CollectionMask(self._masks, c if isinstance(c, str) else None, z_px)

    def at_slice(self, z_px: int) -> CollectionMask:
        """The same masks at another slice of a volume."""
        return self.plane(self._only or 0, z_px)

    def middle(self) -> CollectionMask:
        """The same masks at the slice in the middle of their boxes; of planes, as they are."""
        boxes = [row.box[0] for row in self._rows if row.n_pixels]
        if self.n_planes == 1 or not boxes:
            return self
        return self.at_slice((min(low for low, _ in boxes) + max(high for _, high in boxes)) // 2)

    @property
    def pixels(self) -> PlaneView:
        """What it shows as it is stored: labels, or of one mask its own booleans or integers."""
        return self._view

    @property
    def volume(self) -> VolumeView:
        """All slices of it as a lazy array of three axes, of labels, or where the one mask is.

        Raises
        ------
        OptionsError
            It is a plane.
        """
        whole = self._masks.flat if self._only is None else self._masks[self._only]
        if isinstance(whole, PlaneView):
            raise OptionsError(f"{self.path} holds planes.", hint="Index the mask itself.")
        return whole

    # --- its pixels ---------------------------------------------------------------------------

    def counts(self, region: tuple[int, int, int, int] | None = None) -> dict[int, int]:
        """Pixels of level 0 by label, of the whole or of (x_px, y_px, width_px, height_px)."""
        self._check_open()
        expected = tuple(self._classes)
        total: dict[int, int] = {}
        rows, cols = (
            (range(n) for n in self.shape) if region is None else self._checked_region(region)
        )

        def count(place: tuple[range, range]) -> dict[int, int]:
            return count_labels(self._read(0, *place), expected)

        for part in in_threads(count, self._blocks(rows, cols), THREADS):
            for label, n in part.items():
                total[label] = total.get(label, 0) + n
        return dict(sorted(total.items()))

    def tiles_with(self, *classes: str | int) -> Iterator[MaskTile]:
        """The tiles of level 0 that hold any of these classes, row by row."""
        labels = self.labels_of(*classes)
        self._check_open()
        return self._tiles(labels)

    def _tiles(self, labels: tuple[int, ...]) -> Iterator[MaskTile]:
        rows, cols = map(range, self.shape)
        for y, x in self.labelled_blocks(rows, cols, labels):
            pixels = self._read(0, y, x)
            if is_one_of(pixels, labels).any():
                yield MaskTile(x.start, y.start, pixels)

    def labelled_blocks(
        self, rows: range, cols: range, labels: tuple[int, ...] | None = None
    ) -> Iterator[tuple[range, range]]:
        """Rows and columns of the chunks, row by row, that may hold labels by the boxes of masks.

        Parameters
        ----------
        rows, cols : range
            Chunks are cropped to these.
        labels : tuple of int, optional
            Only masks with these count.
        """
        boxes = [
            row.box[-2:] for row in self._rows
            if (labels is None or row.label in labels) and row.n_pixels and self._meets(row)
        ]  # fmt: skip
        for y, x in self._blocks(rows, cols):
            if any(b[0][0] < y.stop and y.start < b[0][1] and b[1][0] < x.stop and x.start < b[1][1]
                   for b in boxes):  # fmt: skip
                yield y, x

    def tile(self, level: int, row: int, col: int) -> NDArray[Any]:
        """One tile of a level, cropped to the level; the caller's own."""
        self._check_open()
        of = self.levels[level]
        y, x = row * of.tile.height_px, col * of.tile.width_px
        height, width = of.shape(row, col)
        return self._read(level, range(y, y + height), range(x, x + width))

    def labels_of(self, *classes: str | int) -> tuple[int, ...]:
        """Labels of masks, by name or label."""
        try:
            return super().labels_of(*classes)
        except NoSuchClassError as error:
            error.hint = error.hint or "MaskCollection(path).names() lists its masks."
            raise

    def aszarr(self) -> MaskStore:
        """Refused: a collection is a Zarr store already."""
        raise OptionsError(
            f"{self.path} is a Zarr store itself.",
            hint="zarr.open_group(path), or zarr.open_group(zarr.storage.ZipStore(path)).",
        )

    # --- behind the scenes --------------------------------------------------------------------

    def _check_open(self) -> None:
        self._masks.container  # noqa: B018  # an error of one that is closed

    def _meets(self, row: MaskRow) -> bool:
        """Whether the box of a mask has anything of this slice."""
        return self._masks.ndim == 2 or row.box[0][0] <= self._z_px < row.box[0][1]

    def _blocks(self, rows: range, cols: range) -> Iterator[tuple[range, range]]:
        tile = self.levels[0].tile
        for y in range(rows.start - rows.start % tile.height_px, rows.stop, tile.height_px):
            for x in range(cols.start - cols.start % tile.width_px, cols.stop, tile.width_px):
                yield (
                    range(max(y, rows.start), min(y + tile.height_px, rows.stop)),
                    range(max(x, cols.start), min(x + tile.width_px, cols.stop)),
                )

    def _read(self, level: int, rows: Positions, cols: Positions) -> NDArray[Any]:
        found = self._view._read(level, rows, cols)
        if self._only is not None:
            return np.asarray((found != 0) * self.dtype.type(self._rows[0].label))
        return found
