"""Many masks by name in one file: ``qpmask.MaskCollection``."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from qpmask.collection.adding import BlockWriter
from qpmask.collection.arguments import (
    OddNames,
    about_from,
    about_json,
    check_name,
    color_of,
    group_name,
    label_of,
    shape_of,
    spacing_of,
)
from qpmask.collection.build import Flat, build
from qpmask.collection.codecs import of_added
from qpmask.collection.container import open_container
from qpmask.collection.grid import first_grid
from qpmask.collection.output import locked, open_output, restore
from qpmask.collection.records import DTYPES, About, MaskRow
from qpmask.collection.sources import Added, Kept
from qpmask.collection.spool import SUFFIX, Spool, SpooledMask, left_spool
from qpmask.collection.stored import AXES, StoredMasks
from qpmask.common.arguments import path_of, whole_number
from qpmask.errors import MaskError, OptionsError, WrongTypeError
from qpmask.ometiff.omexml import Color

_log = logging.getLogger(__name__)

Mode = Literal["r", "w", "a"]
_CACHE_BYTES = 64 << 20


class MaskCollection(StoredMasks):
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
        What :meth:`add` makes of a name, of a mask or a group, that holds a slash, or that differs
        from another in case alone. Kept, as the classes of a project are, they are told apart as
        all others: by their exact text, which stands in the file. Only their folders,
        ``labels/NAME``, have other names.
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
        super().__init__(path_of(path, "path"), whole_number(cache_bytes, "cache_bytes"))
        if mode not in ("r", "w", "a"):
            raise OptionsError(f"mode is {mode!r}; it must be 'r', 'w' or 'a'.")
        if flat not in ("auto", "full", "overview"):
            raise OptionsError(f"flat is {flat!r}; it must be 'auto', 'full' or 'overview'.")
        if odd_names not in ("error", "keep"):
            raise OptionsError(f"odd_names is {odd_names!r}; it must be 'error' or 'keep'.")
        self.mode = mode
        self._odd_names: OddNames = odd_names
        self._flat: Flat = flat
        self._known: tuple[int, tuple[MaskRow, ...]] = -1, ()
        self._spool: Spool | None = None
        self._file_lock: Any = None
        if mode == "r":
            self._about = self._open()
            if self._spool_path.exists():
                _log.warning(
                    "%s is still being written, or its writer was killed; MaskCollection(path, "
                    "'a') takes up what was added.", self.path,
                )  # fmt: skip
            return
        self._file_lock = locked(self.path)
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
        return f"<MaskCollection {self.path} of {len(self)} masks, {size} {AXES[self.ndim]}>"

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
                f"{self.shape} {AXES[self.ndim]}."
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
        group = group_name(group, name)
        groups = {row.group for row in self.rows() if row.group and row.name != name}
        if group is not None and group not in groups:
            check_name(group, groups, self.path, self._odd_names, "group")
        label = label_of(label, name, self.rows(), self.path)
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

    # What is not written yet is known, and cannot be read.

    def rows(self) -> tuple[MaskRow, ...]:
        """What is known of each mask without reading pixels, those that lie on top last."""
        if self._spool is None:
            return self._stored.every
        n_changes, known = self._known
        if n_changes == self._spool.n_changes:
            return known
        kept = [row for row in self._stored.every if row.name not in self._spool.deleted]
        added = [mask.row(self.ndim) for mask in self._spool.masks.values()]
        rows = (*kept, *added)
        self._known = self._spool.n_changes, rows
        return rows

    def _find(self, name: object) -> MaskRow | None:
        if self._spool is None:
            return super()._find(name)
        return next((row for row in self.rows() if row.name == name), None)

    def _readable(self, name: str) -> MaskRow:
        self._check_readable()
        row = self.row(name)
        if self._spool is not None and (name in self._spool.masks or self._container is None):
            raise MaskError(
                f"The mask {name!r} is in {self.path} once that is closed.",
                hint="Close the collection, and open it to read.",
            )
        return row

    def _begin(self, about: About | None) -> None:
        """Begin to write, or go on where a killed writer stopped."""
        restore(self.path)
        if self.mode == "w":
            self._spool_path.unlink(missing_ok=True)
        exists = self.mode == "a" and self.path.exists()
        spool = left_spool(self._spool_path, self.path if exists else None)
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
            with open_output(self.path) as out:
                order = [row.name for row in self.rows()]
                build(out, self._about, sources, order, self._flat, before)
                with contextlib.closing(open_container(out.finish())) as made:
                    spool.publish(made.mark())
                if self._container is not None:
                    self._container.close()  # some systems do not replace a file that is open
                out.publish()
        spool.remove()
        self._spool = None

    def _release(self) -> None:
        self._is_closed = True
        if self._container is not None:
            self._container.close()
        if self._spool is not None:
            self._spool.close()
        if self._file_lock is not None:
            self._file_lock.release()
            self._file_lock = None

    def _writable(self) -> Spool:
        if self._is_closed or self._spool is None:
            raise OptionsError(
                f"{self.path} is open to read, or closed.", hint="Open it with mode 'a'."
            )
        return self._spool


def _reopen(path: Path, cache_bytes: int, expected: str) -> MaskCollection:
    masks = MaskCollection(path, cache_bytes=cache_bytes)
    if masks.fingerprint != expected:
        masks.close()
        raise MaskError(
            f"{path} is another collection than the one that was passed on.",
            hint="It was written again meanwhile; open it anew.",
        )
    return masks
