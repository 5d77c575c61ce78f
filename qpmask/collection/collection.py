"""Many masks by name in one file: ``qpmask.MaskCollection``."""

from __future__ import annotations

import contextlib
import logging
import math
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from qpmask.collection.adding import BlockWriter
from qpmask.collection.arrays import Layer
from qpmask.collection.build import Flat, build
from qpmask.collection.codecs import of_added
from qpmask.collection.container import (
    ROOT,
    Container,
    EntryError,
    open_container,
    read_document,
    root_of_damaged,
)
from qpmask.collection.given import (
    OddNames,
    about_from,
    about_json,
    check_name,
    color_of,
    shape_of,
    spacing_of,
)
from qpmask.collection.grid import STEP, first_grid, pyramid
from qpmask.collection.metadata import (
    DTYPES,
    About,
    MaskRow,
    from_bytes,
    masks_of_entry,
    only_value,
    read_root,
)
from qpmask.collection.output import ZIP_SUFFIX, open_output, restore
from qpmask.collection.sources import Added, Kept
from qpmask.collection.spool import SUFFIX, Spool, SpooledMask
from qpmask.collection.views import (
    FlatPixels,
    MaskPixels,
    PlaneView,
    VolumeView,
    view_of,
)
from qpmask.common.arguments import path_of, whole_number
from qpmask.errors import MaskError, NoSuchClassError, OptionsError, OutputError, WrongTypeError
from qpmask.mask.fileinfo import nearest_hint
from qpmask.mask.tilescan import ClassArea
from qpmask.ometiff.omexml import Color
from qpmask.ometiff.tilecache import TileCache
from qpmask.options import MAX_LABEL

_log = logging.getLogger(__name__)

Mode = Literal["r", "w", "a"]
FOLDER_SUFFIX = ".zarr"
_CACHE_BYTES = 64 << 20
_AXES = {2: "(rows, columns)", 3: "(slices, rows, columns)"}


class MaskCollection:
    """Masks of one image by name; they may overlap. An OME-Zarr 0.5 file or folder.

    A context manager. What is added is on the disk when ``add`` returns, and is in the file when
    the collection is closed; until then the file is what it was. A process that is killed loses
    nothing of either: opened again with ``mode="a"``, the collection goes on from there.

    Parameters
    ----------
    path : Path or str
        ``NAME.ozx`` is a single file (a zip), ``NAME.zarr`` a folder.
    mode : {"r", "w", "a"}
        Read; write anew, in the place of what is there; or add to what is there.
    shape : tuple of int
        Of every mask, for a new collection: (rows, columns) or (slices, rows, columns).
    mpp : float or (float, float), optional
        Micrometres per pixel, of x and y.
    spacing : tuple of float, optional
        Millimetres per voxel along each axis of `shape`, instead.
    name : str
        For viewers.
    extra : mapping, optional
        Anything that JSON holds, kept with it.
    flat : {"auto", "full", "overview"}
        What other programs find at the root where masks overlap: all masks flattened at full
        resolution ("full"), or a coarser picture of them ("overview", a sixteenth in planes and a
        quarter in volumes, which "auto" takes): the full one would be as large as half of the
        masks. Masks that do not overlap are the root, in full.
    odd_names : {"error", "keep"}
        What :meth:`add` makes of a name that holds a slash, or that differs from another in case
        alone. Kept, as the classes of a project are, they are told apart as all others: by their
        exact text, which stands in the file. Only their folders, ``labels/NAME``, have other names.
    cache_bytes : int
        Bytes of decoded chunks to keep.

    Raises
    ------
    MaskError
        It is no collection, or damaged.
    OptionsError
        An argument makes no sense.
    OutputError
        It cannot be written, or another process writes to it.

    Examples
    --------
    >>> with MaskCollection("slide.ozx", "w", shape=(40_000, 60_000), mpp=0.5) as masks:
    ...     masks.add("Tumor", tumor)
    >>> MaskCollection("slide.ozx")["Tumor"].region(500, 1000, 2000, 1000, downsample=4)
    """

    def __init__(
        self,
        path: Path | str,
        mode: Mode = "r",
        *,
        shape: Sequence[int] | None = None,
        mpp: float | tuple[float, float] | None = None,
        spacing: Sequence[float] | None = None,
        name: str = "",
        extra: Mapping[str, Any] | None = None,
        flat: Flat = "auto",
        odd_names: OddNames = "error",
        cache_bytes: int = _CACHE_BYTES,
    ) -> None:
        self.path = path_of(path, "path")
        if mode not in ("r", "w", "a"):
            raise OptionsError(f"mode is {mode!r}; it must be 'r', 'w' or 'a'.")
        if flat not in ("auto", "full", "overview"):
            raise OptionsError(f"flat is {flat!r}; it must be 'auto', 'full' or 'overview'.")
        if odd_names not in ("error", "keep"):
            raise OptionsError(f"odd_names is {odd_names!r}; it must be 'error' or 'keep'.")
        self.mode = mode
        self._odd_names: OddNames = odd_names
        self._flat: Flat = flat
        self._cache = TileCache(whole_number(cache_bytes, "cache_bytes"))
        self._lock = threading.Lock()
        self._container: Container | None = None
        self._layers: dict[str, Layer] = {}
        self._stored: list[MaskRow] = []
        self._root_scale = 1
        self._known: tuple[int, tuple[MaskRow, ...]] = -1, ()
        self._spool: Spool | None = None
        self._file_lock: Any = None
        self._is_closed = False
        if mode == "r":
            self._about = self._open()
            if self._spool_path.exists():
                _log.warning(
                    "%s is still being written, or its writer was killed; MaskCollection(path, "
                    "'a') takes up what was added.", self.path,
                )  # fmt: skip
            return
        self._take_lock()
        try:
            about = None
            if shape is not None:
                about = About(
                    shape_of(shape), *spacing_of(shape, mpp, spacing), name, dict(extra or {})
                )
            self._begin(about)
        except BaseException:
            self._release()
            raise

    # --- life ---------------------------------------------------------------------------------

    def close(self) -> None:
        """Write what was added into the file, and close it."""
        if self._is_closed:
            return
        try:
            if self._spool is not None:
                self._commit()
        finally:
            self._release()

    def abandon(self) -> None:
        """Close without writing. What was added stays beside the file, for ``mode="a"``."""
        self._release()

    def discard(self) -> None:
        """Close without writing, and forget what was added."""
        if self._spool is not None:
            self._spool.remove()
            self._spool = None
        self._release()

    def __enter__(self) -> MaskCollection:
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    def __reduce__(self) -> tuple[object, ...]:
        if self.mode != "r":
            raise OptionsError(f"{self.path} is being written; it cannot be pickled.")
        return _reopen, (self.path.absolute(), self._cache.max_bytes, self.fingerprint)

    def __repr__(self) -> str:
        size = " x ".join(f"{n:,}" for n in self.shape)
        return f"<MaskCollection {self.path} of {len(self)} masks, {size} {_AXES[self.ndim]}>"

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
        if self._spool is None:
            return tuple(self._stored)
        n_changes, known = self._known
        if n_changes == self._spool.n_changes:
            return known
        kept = [row for row in self._stored if row.name not in self._spool.deleted]
        added = [mask.row(self.ndim) for mask in self._spool.masks.values()]
        rows = (*kept, *added)
        self._known = self._spool.n_changes, rows
        return rows

    def row(self, name: str) -> MaskRow:
        """What is known of a mask without reading pixels.

        Raises
        ------
        NoSuchClassError
            There is none of that name; the message gives the nearest ones.
        """
        rows = {row.name: row for row in self.rows()}
        if name not in rows:
            raise NoSuchClassError(
                f"{self.path} has no mask {name!r}.",
                hint=nearest_hint(str(name), list(rows), "Masks"),
            )
        return rows[name]

    def box(self, name: str) -> tuple[slice, ...]:
        """Bounding box of a mask, as an index: ``masks[name][masks.box(name)]``."""
        return tuple(slice(first, end) for first, end in self.row(name).box)

    def __len__(self) -> int:
        return len(self.rows())

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, name: object) -> bool:
        return any(row.name == name for row in self.rows())

    # --- its pixels ---------------------------------------------------------------------------

    def __getitem__(self, name: str) -> PlaneView | VolumeView:
        """A mask as a lazy array, of the type that was added."""
        return self._view([self._readable(name)], f"The mask {name!r} of {self.path}")

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
        return self._view(rows, f"{', '.join(map(repr, wanted))} of {self.path}", as_bool=True)

    @property
    def container(self) -> Container:
        """The entries of the file or folder, for those who read them as they are stored."""
        self._check_readable()
        assert self._container is not None
        return self._container

    def root_layer(self) -> Layer:
        """The root as other programs see it."""
        scale = self._root_scale
        layer = Layer(self.container, "", self._cache, STEP[self.ndim], scale)
        self._check_levels(layer)
        return layer

    def flat_pixels(self, from_masks: bool = False) -> FlatPixels:
        """What :attr:`flat` reads from: the root where that is full, or always the masks."""
        layers = [(self.layer(path), rows) for path, rows in self.by_layer().items()]
        root = None if from_masks or self._root_scale > 1 else self.root_layer()
        return FlatPixels(layers, self._stored, pyramid(self.shape), self._token("flat"), root)

    @property
    def flat(self) -> PlaneView | VolumeView:
        """All masks flattened: at each pixel the label of the mask that lies on top."""
        self._check_readable()
        return view_of(self.flat_pixels(), f"The masks of {self.path}")

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
            raise OptionsError(
                f"The place {place} lies outside of {self.shape} {_AXES[self.ndim]}."
            )
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

    # --- writing ------------------------------------------------------------------------------

    def add(
        self,
        name: str,
        mask: ArrayLike,
        *,
        label: int | None = None,
        color: Color | None = None,
        group: str | None = None,
        replace: bool = False,
    ) -> None:
        """Add a mask. It is on the disk when this returns.

        Parameters
        ----------
        name : str
            Any text without slashes, and no other mask's but for case (see `odd_names`).
        mask : array_like or lazy mask
            Of the collection's shape. Booleans; or integers, which come back as they are: labels
            of their own (cells, say). Lazy ones (:func:`qpmask.open_mask`, Dask, h5py) are read in
            parts.
        label : int, optional
            In the flattened mask; by default the next one.
        color : (int, int, int), optional
            Red, green, blue.
        group : str, optional
            A name that it shares with others.
        replace : bool
            Whether a mask of that name may be there; it goes then.
        """
        is_lazy = hasattr(mask, "shape") and hasattr(mask, "dtype")
        array: Any = mask if is_lazy else np.asarray(mask)
        if tuple(array.shape) != self.shape:
            raise OptionsError(
                f"The mask {name!r} has the shape {tuple(array.shape)}, and the collection "
                f"{self.shape} {_AXES[self.ndim]}."
            )
        with self.writer(
            name, dtype=str(np.dtype(array.dtype)), label=label, color=color, group=group,
            replace=replace,
        ) as writer:  # fmt: skip
            writer.write_all(array)

    def writer(
        self,
        name: str,
        *,
        dtype: str = "bool",
        label: int | None = None,
        color: Color | None = None,
        group: str | None = None,
        replace: bool = False,
    ) -> BlockWriter:
        """Write a mask block by block: a context manager with ``write(start, block)``.

        Blocks may come in any order, and from several threads; a later one replaces what is there.
        The arguments are those of :meth:`add`; `dtype` is "bool" or an integer type.
        """
        spool = self._writable()
        if not isinstance(name, str) or not name:
            raise WrongTypeError(f"The name of a mask is {name!r}; it must be text.")
        known = {row.name for row in self.rows()}
        if name not in known:
            check_name(name, known, self.path, self._odd_names)
        elif not replace:
            raise OptionsError(
                f"{self.path} has a mask {name!r} already.", hint="Say replace=True to replace it."
            )
        if dtype != "bool" and dtype not in DTYPES:
            raise WrongTypeError(
                f"The mask {name!r} is {dtype}; a mask is boolean or of integers.",
                hint="Round it, or compare it with a threshold, first.",
            )
        others = {row.label for row in self.rows() if row.name != name}
        if label is None:
            own = [row.label for row in self.rows() if row.name == name]
            label = own[0] if own else max(others, default=0) + 1
        label = whole_number(label, "label")
        if not 1 <= label <= MAX_LABEL:
            raise OptionsError(f"The label of {name!r} is {label}; it must be 1 to {MAX_LABEL:,}.")
        if label in others:
            raise OptionsError(f"Another mask of {self.path} has the label {label}.")
        mask = SpooledMask(name, label, dtype, of_added(self.ndim, dtype), color_of(color), group)
        return BlockWriter(spool, first_grid(self.shape), mask, name in known)

    def delete(self, name: str) -> None:
        """Remove a mask; from the file when the collection is closed."""
        spool = self._writable()
        self.row(name)
        spool.delete(name)

    # --- behind the scenes --------------------------------------------------------------------

    @property
    def _spool_path(self) -> Path:
        return self.path.with_name(self.path.name + SUFFIX)

    def _open(self) -> About:
        """Open what is there."""
        try:
            self._container = open_container(self.path)
        except EntryError as error:
            masks = masks_of_entry(root_of_damaged(self.path), error.entry)
            if masks:
                more = f" and {len(masks) - 3} more" if len(masks) > 3 else ""
                which = ", ".join(map(repr, masks[:3])) + more
                error.message += f" It is of the mask{'s' * (len(masks) > 1)} {which}."
            raise
        try:
            if self._container.n_bytes(ROOT) is None:
                raise MaskError(f"{self.path} is no OME-Zarr: it has no {ROOT}.")
            document = from_bytes(read_document(self._container, ROOT), f"{ROOT} of {self.path}")
            about, self._stored, self._root_scale = read_root(document, str(self.path))
        except BaseException:
            self._container.close()
            raise
        return about

    def _begin(self, about: About | None) -> None:
        """Begin to write, or go on where a killed writer stopped."""
        restore(self.path)
        if self.mode == "w":
            self._spool_path.unlink(missing_ok=True)
        spool = Spool(self._spool_path) if self._spool_path.exists() else None
        if spool is not None and spool.header is None:  # it was killed before it began
            spool.remove()
            spool = None
        exists = self.mode == "a" and self.path.exists()
        if exists and spool is not None and spool.published is not None:
            with contextlib.closing(open_container(self.path)) as found:
                if found.mark() == spool.published:  # all of it is there already
                    spool.remove()
                    spool = None
        old: About | None
        if exists and (spool is None or spool.header["base"] is not None):
            old = self._open()
            if spool is not None and spool.header["base"] != self.fingerprint:
                spool.close()
                raise MaskError(
                    f"{self._spool_path} was begun upon another file than {self.path} is now.",
                    hint="Remove it, if what was added then is not needed.",
                )
        else:
            old = about if spool is None else about_from(spool.header["about"])
            if old is None:
                raise OptionsError(
                    f"{self.path} is new; say the shape of its masks.",
                    hint="MaskCollection(path, 'w', shape=(rows, columns))",
                )
        self._about = old
        if spool is None:
            base = None if self._container is None else self.fingerprint
            spool = Spool(self._spool_path, {"base": base, "about": about_json(old)})
        elif spool.masks or spool.deleted:
            _log.warning(
                "%s: taking up %d masks that a writer had added that was killed.",
                self.path, len(spool.masks),
            )  # fmt: skip
        self._spool = spool
        if about is not None and about.shape != old.shape:
            raise OptionsError(
                f"{self.path} has masks of {old.shape} pixels, not of {about.shape}."
            )

    def _commit(self) -> None:
        spool = self._spool
        assert spool is not None
        order = [row.name for row in self.rows()]
        if spool.masks or spool.deleted or self._container is None:
            sources: list[Any] = []
            for path, rows in self.by_layer().items():
                kept = tuple(row for row in rows if row.name not in spool.deleted)
                gone = tuple(row.label for row in rows if row.name in spool.deleted)
                if kept:
                    sources.append(Kept(self.layer(path), kept, gone))
            grid = first_grid(self.shape)
            if any(source.layer.grids[0] != grid for source in sources):
                raise MaskError(
                    f"The arrays of {self.path} are cut in another way than this qpmask cuts them.",
                    hint="Pack it anew: qpmask pack OLD -o NEW.",
                )
            is_full = self._root_scale == 1 and not spool.deleted and "" not in self.by_layer()
            before = self.root_layer() if sources and is_full else None
            sources += [Added(spool, mask, grid) for mask in spool.masks.values()]
            is_zip = self.path.suffix.lower() == ZIP_SUFFIX
            with open_output(self.path, is_zip=is_zip) as out:
                build(out, self._about, sources, order, self._flat, before)
                with contextlib.closing(open_container(out.finish())) as made:
                    spool.publish(made.mark())
                if self._container is not None:
                    self._container.close()  # some systems do not replace a file that is open
                out.publish()
        spool.remove()
        self._spool = None

    def _take_lock(self) -> None:
        from filelock import FileLock, Timeout

        suffix = self.path.suffix.lower()
        if suffix not in (ZIP_SUFFIX, FOLDER_SUFFIX):
            raise OptionsError(
                f"A collection is a file {ZIP_SUFFIX} or a folder {FOLDER_SUFFIX}, not "
                f"{self.path.name!r}."
            )
        if not self.path.parent.is_dir():
            raise OutputError(f"There is no folder {self.path.parent}.")
        self._file_lock = FileLock(self.path.with_name(f".{self.path.name}.lock"))
        try:
            self._file_lock.acquire(timeout=0)
        except Timeout as error:
            self._file_lock = None
            raise OutputError(f"Another process is writing to {self.path}.") from error
        except OSError as error:
            raise OutputError(f"{self.path} cannot be written: {error.strerror}.") from error

    def _release(self) -> None:
        self._is_closed = True
        if self._container is not None:
            self._container.close()
        if self._spool is not None:
            self._spool.close()
        if self._file_lock is not None:
            self._file_lock.release()
            self._file_lock = None

    def _check_readable(self) -> None:
        if self._is_closed:
            raise MaskError(f"{self.path} is closed.", hint="Open it again to read it.")

    def _readable(self, name: str) -> MaskRow:
        self._check_readable()
        row = self.row(name)
        if self._spool is not None and (name in self._spool.masks or self._container is None):
            raise MaskError(
                f"The mask {name!r} is in {self.path} once that is closed.",
                hint="Close the collection, and open it to read.",
            )
        return row

    def _writable(self) -> Spool:
        if self._is_closed or self._spool is None:
            raise OptionsError(
                f"{self.path} is open to read, or closed.", hint="Open it with mode 'a'."
            )
        return self._spool

    def layer(self, path: str) -> Layer:
        """The array at a path, for those who read it as it is stored."""
        with self._lock:
            if path not in self._layers:
                assert self._container is not None
                only = only_value(path, self.by_layer()[path])
                self._layers[path] = Layer(
                    self._container, path, self._cache, STEP[self.ndim], only=only
                )
                self._check_levels(self._layers[path])
            return self._layers[path]

    def _check_levels(self, layer: Layer) -> None:
        n_levels = len(pyramid(self.shape))
        wanted = [grid.shape for grid in pyramid(self.shape, n_levels, layer.grids[0].scale)]
        dtypes = {info.dtype for info in layer.arrays}
        if [grid.shape for grid in layer.grids] != wanted or len(dtypes) > 1:
            raise MaskError(
                f"The array {layer.path!r} of {self.path} has other levels than its masks.",
                hint="It is damaged; make it again.",
            )

    def by_layer(self) -> dict[str, list[MaskRow]]:
        """The masks of each array, by its path."""
        return _by_layer(self._stored)

    def _view(
        self, rows: Sequence[MaskRow], what: str, as_bool: bool = False
    ) -> PlaneView | VolumeView:
        layers = [(self.layer(path), some) for path, some in _by_layer(rows).items()]
        pixels = MaskPixels(layers, self._token(*(row.name for row in rows)), as_bool)
        return view_of(pixels, what)

    def _token(self, *what: object) -> tuple[object, ...]:
        return ("qpmask.MaskCollection", str(self.path.absolute()), self.fingerprint, *what)


def _by_layer(rows: Iterable[MaskRow]) -> dict[str, list[MaskRow]]:
    found: dict[str, list[MaskRow]] = {}
    for row in rows:
        found.setdefault(row.layer, []).append(row)
    return found


def _reopen(path: Path, cache_bytes: int, expected: str) -> MaskCollection:
    masks = MaskCollection(path, cache_bytes=cache_bytes)
    if masks.fingerprint != expected:
        masks.close()
        raise MaskError(
            f"{path} is another collection than the one that was passed on.",
            hint="It was written again meanwhile; open it anew.",
        )
    return masks
