"""What a collection holds, read: its masks by name, their pixels, what is at a place."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qpmask.collection.arrays import Layer
from qpmask.collection.container import ROOT, Container, open_container
from qpmask.collection.grid import pyramid
from qpmask.collection.metadatareader import from_bytes, masks_of_entry, read_root
from qpmask.collection.pixels import FlatPixels, MaskPixels
from qpmask.collection.records import About, MaskRow, MaskRows, only_value
from qpmask.collection.views import PlaneView, VolumeView, named_error, view_of
from qpmask.collection.zipdirectory import EntryError, root_of_damaged
from qpmask.common.arguments import whole_number
from qpmask.errors import MaskError, NoSuchClassError, OptionsError
from qpmask.mask.fileinfo import nearest_hint
from qpmask.mask.tilescan import ClassArea
from qpmask.ometiff.tilecache import TileCache

AXES = {2: "(rows, columns)", 3: "(slices, rows, columns)"}


class StoredMasks:
    """The masks of a file or folder. :class:`~qpmask.MaskCollection` opens, adds to and closes it.

    Parameters
    ----------
    path : Path
        The file or folder.
    cache_bytes : int
        Bytes of decoded chunks to keep.
    """

    def __init__(self, path: Path, cache_bytes: int) -> None:
        self.path = path
        self._about: About
        self._cache = TileCache(cache_bytes)
        self._lock = threading.Lock()
        self._container: Container | None = None
        self._layers: dict[str, Layer] = {}
        self._stored = MaskRows()
        self._root_scale = 1
        self._is_closed = False

    # --- what it is ---------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, columns) or (slices, rows, columns) of every mask."""
        return self._about.shape

    @property
    def ndim(self) -> int:
        """Number of axes: 2 or 3."""
        return len(self.shape)

    @property
    def spacing(self) -> tuple[float, ...] | None:
        """Length of a pixel along each axis, in :attr:`unit`; None where it is not known."""
        return self._about.spacing

    @property
    def unit(self) -> str:
        """Of :attr:`spacing`: "micrometer" or "millimeter"."""
        return self._about.unit

    @property
    def mpp(self) -> tuple[float, float] | None:
        """Micrometres per pixel in x and y; None where it is not known."""
        if self.spacing is None:
            return None
        factor = 1000.0 if self.unit == "millimeter" else 1.0
        return self.spacing[-1] * factor, self.spacing[-2] * factor

    @property
    def name(self) -> str:
        """What viewers call it."""
        return self._about.name

    @property
    def extra(self) -> Mapping[str, Any]:
        """What was kept with it."""
        return self._about.extra

    @property
    def fingerprint(self) -> str:
        """What tells it from others, without reading pixels."""
        assert self._container is not None
        return self._container.mark()

    def names(self, group: str | None = None) -> tuple[str, ...]:
        """Names of the masks, those that lie on top last; of a group only, if one is given."""
        rows = self.rows()
        if group is not None and all(row.group != group for row in rows):
            raise NoSuchClassError(f"{self.path} has no group {group!r}.")
        return tuple(row.name for row in rows if group is None or row.group == group)

    def groups(self) -> dict[str, tuple[str, ...]]:
        """Names of the masks of each group."""
        found: dict[str, list[str]] = {}
        for row in self.rows():
            if row.group is not None:
                found.setdefault(row.group, []).append(row.name)
        return {group: tuple(names) for group, names in found.items()}

    def rows(self) -> tuple[MaskRow, ...]:
        """What is known of each mask without reading pixels, those that lie on top last."""
        return self._stored.every

    def row(self, name: str) -> MaskRow:
        """What is known of a mask without reading pixels.

        Raises
        ------
        NoSuchClassError
            There is none of that name; the message gives the nearest ones.
        """
        row = self._find(name)
        if row is None:
            raise NoSuchClassError(
                f"{self.path} has no mask {name!r}.",
                hint=nearest_hint(str(name), list(self.names()), "Masks"),
            )
        return row

    def box(self, name: str) -> tuple[slice, ...]:
        """Bounding box of a mask, as an index: ``masks[name][masks.box(name)]``."""
        return tuple(slice(first, end) for first, end in self.row(name).box)

    def __len__(self) -> int:
        return len(self.rows())

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, name: object) -> bool:
        return self._find(name) is not None

    # --- its pixels ---------------------------------------------------------------------------

    def __getitem__(self, name: str) -> PlaneView | VolumeView:
        """A mask as a lazy array, of the type that was added."""
        return self._view([self._readable(name)])

    def binary(self, names: str | Iterable[str]) -> PlaneView | VolumeView:
        """True where any of these masks is.

        Parameters
        ----------
        names : str or iterable of str
            Masks, or groups of masks.
        """
        wanted = [names] if isinstance(names, str) else list(names)
        if not wanted:
            raise OptionsError("No mask is given.", hint="Give names.")
        groups = self.groups()
        every = [
            n for one in wanted for n in (groups.get(one, (one,)) if one not in self else (one,))
        ]
        rows = [self._readable(one) for one in dict.fromkeys(every)]
        return self._view(rows, ", ".join(map(repr, wanted)))

    @property
    def container(self) -> Container:
        """The entries of the file or folder, for those who read them as they are stored."""
        self._check_readable()
        assert self._container is not None
        return self._container

    def root_layer(self) -> Layer:
        """The root as other programs see it."""
        self._check_readable()
        return self._layer("", self._root_scale)

    def flat_pixels(self, from_masks: bool = False) -> FlatPixels:
        """What :attr:`flat` reads from: the root where that is full, or always the masks."""
        layers = [(self.layer(path), rows) for path, rows in self.by_layer().items()]
        root = None if from_masks or self._root_scale > 1 else self.root_layer()
        return FlatPixels(
            layers, self._stored.every, pyramid(self.shape), self._token("flat"), root
        )

    @property
    def flat(self) -> PlaneView | VolumeView:
        """All masks flattened: at each pixel the label of the mask that lies on top."""
        self._check_readable()
        what = f"The masks of {self.path}"
        return view_of(self.flat_pixels(), what, lambda: (_flat_again, (what, self.__reduce__())))

    def labels_at(self, x_px: int, y_px: int, z_px: int | None = None) -> dict[str, int]:
        """The masks that are at a pixel: their names, and their values there (1 of a plain mask).

        Parameters
        ----------
        x_px, y_px : int
            Column and row.
        z_px : int, optional
            Slice of a volume.
        """
        given = (z_px, y_px, x_px)[-self.ndim :]
        if (z_px is None) != (self.ndim == 2):
            raise OptionsError(f"A place in this collection has {self.ndim} numbers.")
        place = tuple(whole_number(n, "A position") for n in given)
        if any(not 0 <= at < length for at, length in zip(place, self.shape, strict=True)):
            raise OptionsError(f"The place {place} lies outside of {self.shape} {AXES[self.ndim]}.")
        self._check_readable()
        found: dict[str, int] = {}
        where = tuple(range(n, n + 1) for n in place)
        for path, rows in self.by_layer().items():
            near = [
                r for r in rows if all(a <= p < b for p, (a, b) in zip(place, r.box, strict=True))
            ]
            if not near:
                continue
            out = np.zeros((1,) * self.ndim, self.layer(path).dtype)
            self.layer(path).read(0, where, out, np.copyto)
            value = int(out.item())
            for row in near:
                if row.dtype != "bool" and value:
                    found[row.name] = value
                elif (self.layer(path).only or row.label) == value:
                    found[row.name] = 1
        return {name: found[name] for name in self.names() if name in found}

    def areas(self) -> dict[str, ClassArea]:
        """Pixels of each mask and their area in mm², where the pixel size is known."""
        mpp = self.mpp if self.ndim == 2 else None
        factor = None if mpp is None else mpp[0] * mpp[1] / 1e6
        return {
            row.name: ClassArea(
                row.label, row.name, row.n_pixels, None if factor is None else row.n_pixels * factor
            )
            for row in self.rows()
        }

    def volumes(self) -> dict[str, float | None]:
        """Volume of each mask of a volume in mm³; None where the spacing is not known."""
        if self.ndim != 3:
            raise OptionsError(f"{self.path} holds planes; they have areas.", hint="Use areas().")
        factor = None
        if self.spacing is not None:
            factor = math.prod(self.spacing) * (1.0 if self.unit == "millimeter" else 1e-9)
        return {row.name: None if factor is None else row.n_pixels * factor for row in self.rows()}

    # --- behind the scenes --------------------------------------------------------------------

    def _open(self) -> About:
        """Open what is there."""
        try:
            self._container = open_container(self.path)
        except EntryError as error:
            masks = masks_of_entry(root_of_damaged(self.path, ROOT), error.entry)
            if masks:
                more = f" and {len(masks) - 3} more" if len(masks) > 3 else ""
                which = ", ".join(map(repr, masks[:3])) + more
                error.message += f" It is of the mask{'s' * (len(masks) > 1)} {which}."
            raise
        try:
            if self._container.n_bytes(ROOT) is None:
                raise MaskError(f"{self.path} is no OME-Zarr: it has no {ROOT}.")
            document = from_bytes(self._container.document(ROOT), f"{ROOT} of {self.path}")
            about, self._stored, self._root_scale = read_root(document, str(self.path))
        except BaseException:
            self._container.close()
            raise
        return about

    def _check_readable(self) -> None:
        if self._is_closed:
            raise MaskError(f"{self.path} is closed.", hint="Open it again to read it.")

    def _find(self, name: object) -> MaskRow | None:
        """What is known of a mask; None where there is none of that name."""
        return self._stored.get(name)

    def _readable(self, name: str) -> MaskRow:
        self._check_readable()
        return self.row(name)

    def layer(self, path: str) -> Layer:
        """The array at a path, for those who read it as it is stored."""
        with self._lock:
            if path not in self._layers:
                alone = self._stored.alone_at(path)
                only = None if alone is None else only_value(path, [alone])
                self._layers[path] = self._layer(path, 1, only)
            return self._layers[path]

    def _layer(self, path: str, scale: int, only: int | None = None) -> Layer:
        wanted = pyramid(self.shape, len(pyramid(self.shape)), scale)
        assert self._container is not None
        layer = Layer(self._container, path, self._cache, [g.scale for g in wanted], only)
        dtypes = {info.dtype for info in layer.arrays}
        if len(dtypes) > 1 or [g.shape for g in layer.grids] != [g.shape for g in wanted]:
            raise MaskError(
                f"The array {layer.path!r} of {self.path} has other levels than its masks.",
                hint="It is damaged; make it again.",
            )
        return layer

    def by_layer(self) -> dict[str, list[MaskRow]]:
        """The masks of each array, by its path."""
        return _by_layer(self._stored.every)

    def _view(self, rows: Sequence[MaskRow], several: str = "") -> PlaneView | VolumeView:
        """A mask, or several as one, which are called so."""
        layers = [(self.layer(path), some) for path, some in _by_layer(rows).items()]
        names = tuple(row.name for row in rows)
        pixels = MaskPixels(layers, self._token(*names), as_bool=bool(several))
        what = f"{several or f'The mask {names[0]!r}'} of {self.path}"
        again = what, names, several
        return view_of(pixels, what, lambda: (_view_again, (*again, self.__reduce__())))

    def _token(self, *what: object) -> tuple[object, ...]:
        return ("qpmask.MaskCollection", str(self.path.absolute()), self.fingerprint, *what)


def _by_layer(rows: Iterable[MaskRow]) -> dict[str, list[MaskRow]]:
    found: dict[str, list[MaskRow]] = {}
    for row in rows:
        found.setdefault(row.layer, []).append(row)
    return found


def _view_again(
    what: str, names: Sequence[str], several: str, how: tuple[Any, ...]
) -> PlaneView | VolumeView:
    """A view in another process, where its collection is opened again."""
    masks = _opened_again(what, how)
    return masks._view([masks.row(name) for name in names], several)


def _flat_again(what: str, how: tuple[Any, ...]) -> PlaneView | VolumeView:
    return _opened_again(what, how).flat


def _opened_again(what: str, how: tuple[Any, ...]) -> StoredMasks:
    make, arguments = how
    try:
        masks: StoredMasks = make(*arguments)
    except MaskError as error:
        raise named_error(what, error) from error
    return masks
