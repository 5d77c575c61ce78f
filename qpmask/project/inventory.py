"""What is annotated in an image: how many objects of which kind and class. Reads the data file.

Needs no Java. A damaged data file is an error here, before any engine sees it: QuPath itself would
hand back an image without annotations, and a blank mask would look like a success.
"""

from __future__ import annotations

import os
from binascii import hexlify, unhexlify
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from qpmask.common.frozen import dataclass
from qpmask.engines.base import takes_part
from qpmask.engines.draworder import centroids_px0, drawn_outlines, drawn_rois
from qpmask.errors import DataFileMissingError
from qpmask.imageobjects import NO_OUTLINES, ImageObjects, ObjectKind
from qpmask.options import OBJECTS
from qpmask.outputs import read_json
from qpmask.project import BACKUP_FILE, ImageEntry
from qpmask.project.imagejson import unpack_color
from qpmask.qpdata import read_qpdata

ReadObjects = Callable[[Path], ImageObjects]
"""Reads a data file."""


class Core(NamedTuple):
    """A core of a tissue microarray.

    Attributes
    ----------
    name : str
        As QuPath has it, such as ``A-1``; empty for one without a name.
    missing : bool
        Whether it is marked as missing.
    class_name : str or None
        Its class.
    """

    name: str
    missing: bool
    class_name: str | None


@dataclass(frozen=True, eq=False)
class Inventory:
    """The objects of one image, counted.

    Attributes
    ----------
    has_data : bool
        Whether there is a data file; an image that was never saved in QuPath has none.
    colors : dict
        (red, green, blue) of the classes as the data file has them.
    findings : tuple of str
        What the user should know.
    cores : dict of int to Core
        TMA cores by their position in the data file.
    data_sha256 : str or None
        Hash of the data file, for who looks whether it changed since.
    data_state : tuple of int
        Its state before it was read (:func:`~qpmask.outputs.file_state`).
    """

    has_data: bool
    colors: Mapping[str, tuple[int, int, int] | None]
    findings: tuple[str, ...]
    cores: Mapping[int, Core]
    _kind: npt.NDArray[np.uint8]
    _class: npt.NDArray[np.int32]
    _off_plane: npt.NDArray[np.bool_]
    _classes: tuple[str, ...]
    _ids: npt.NDArray[Any]
    _missing: npt.NDArray[np.bool_]
    _empty: Mapping[str, npt.NDArray[np.bool_]]
    data_sha256: str | None = None
    data_state: tuple[int, ...] = ()

    def counts(self, objects: str) -> dict[str | None, int]:
        """Objects of each class by name, None for those without; ``objects`` as in the options.

        Objects on slices and time points that the image does not have do not count.
        """
        return self._by_class(self._of(objects) & ~self._off_plane)

    def all_counts(self) -> dict[str, int]:
        """Number of objects for each choice of ``objects`` (nuclei are counted as cells)."""
        left_out = {"nuclei"} if self.n_missing_cores else {"nuclei", "all-cores"}
        return {name: int(self._of(name).sum()) for name in OBJECTS if name not in left_out}

    @property
    def n_missing_cores(self) -> int:
        """Number of TMA cores that are marked as missing."""
        return sum(core.missing for core in self.cores.values())

    def outside_planes(self, objects: str) -> int:
        """Objects on a z-slice or time point that the image does not have."""
        return int((self._of(objects) & self._off_plane).sum())

    def counts_off_planes(self, objects: str) -> dict[str | None, int]:
        """Objects on a z-slice or time point that the image does not have, by class."""
        return self._by_class(self._of(objects) & self._off_plane)

    def off_planes(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Whether the objects at these positions are on a plane that the image does not have."""
        return self._off_plane[rows]

    def is_empty(self, objects: str) -> npt.NDArray[np.bool_]:
        """Whether what is drawn of each object of the data file has no point: its ROI is not there.

        ``objects`` as in the options.
        """
        return self._empty["nuclei" if objects == "nuclei" else "objects"]

    def empty_rows(self, objects: str, among: Sequence[int] | None = None) -> list[int]:
        """Positions of the objects of a kind that have no shape; ``among`` these, or all."""
        empty = self._of(objects) & ~self._off_plane & self.is_empty(objects)
        rows = np.arange(len(empty)) if among is None else np.asarray(among, np.int64)
        return [int(row) for row in rows[empty[rows]]]

    def class_names(self, rows: Sequence[int]) -> list[str | None]:
        """Classes of the objects at these positions; None for those without."""
        names = (*self._classes, None)  # -1, no class, is the last one
        return [names[i] for i in self._class[np.asarray(rows, np.int64)].tolist()]

    def rows(self, objects: str, wanted: Callable[[str | None], bool]) -> tuple[int, ...]:
        """Positions of the objects whose class is wanted, in the order of the data file."""
        keep = np.array([wanted(name) for name in (*self._classes, None)], bool)
        return tuple(
            np.flatnonzero(self._of(objects) & ~self._off_plane & keep[self._class]).tolist()
        )

    def ids(self, rows: tuple[int, ...]) -> tuple[str | None, ...]:
        """Object ids at these positions; None for objects from before QuPath 0.4."""
        if self._ids.dtype == np.uint8:
            digits = self._ids[list(rows)].tobytes().hex()
            each = (digits[at : at + 32] for at in range(0, len(digits), 32))
            return tuple(f"{d[:8]}-{d[8:12]}-{d[12:16]}-{d[16:20]}-{d[20:]}" for d in each)
        return tuple(i.decode("ascii") or None for i in self._ids[list(rows)].tolist())

    def _by_class(self, which: npt.NDArray[np.bool_]) -> dict[str | None, int]:
        found = np.bincount(self._class[which] + 1).tolist()  # the first is for no class
        return {name: n for name, n in zip((None, *self._classes), found, strict=False) if n}

    def _of(self, objects: str) -> npt.NDArray[np.bool_]:
        return takes_part(objects, self._kind, self._missing)


def read_inventory(entry: ImageEntry, read: ReadObjects | None = None) -> Inventory:
    """Count the objects of an image.

    Parameters
    ----------
    entry : ImageEntry
    read : callable, optional
        Reads its data file; by default without outlines, which nothing here needs.

    Raises
    ------
    DataFileMissingError
        The data file is gone although the project says there were objects.
    DataFileError
        The data file is damaged or of an unknown version.
    """
    if not os.path.lexists(entry.data_path):  # a link to nowhere is not "never saved"
        return _without_data(entry)
    objects = (read or _without_outlines)(entry.data_path)
    z, t = _planes(objects)
    names = tuple(c.name for c in objects.classes)
    colors = {c.name: unpack_color(c.color_argb) for c in objects.classes}
    return Inventory(
        has_data=True,
        colors=colors,
        findings=_against_summary(entry, len(objects)),
        cores=_cores(objects),
        _kind=objects.kind,
        _class=objects.class_index,
        _off_plane=(z < 0) | (z >= entry.size_z) | (t < 0) | (t >= entry.size_t),
        _classes=names,
        _ids=_packed_ids(objects.ids),
        _missing=objects.missing,
        _empty=_empty(objects),
    )


def _without_outlines(path: Path) -> ImageObjects:
    return read_qpdata(path, outlines=NO_OUTLINES)


def _packed_ids(ids: npt.NDArray[np.bytes_]) -> npt.NDArray[Any]:
    """UUIDs as 16 bytes each, uint8 (n, 16); as they are if one of them is none, or written else.

    An image may have a million, and they are kept until its mask is made.
    """
    text = ids.view(np.uint8).reshape(len(ids), ids.dtype.itemsize)
    if text.shape[1] != 36 or any((text[:, at] != ord("-")).any() for at in _DASHES):
        return ids
    packed = np.empty((len(ids), 16), np.uint8)
    for first in range(0, len(ids), _IDS_AT_ONCE):
        some = slice(first, first + _IDS_AT_ONCE)
        parts = [text[some, start:end] for start, end in _DIGITS]
        digits = np.concatenate(parts, axis=1).tobytes()
        try:
            found = unhexlify(digits)
        except ValueError:
            return ids
        if hexlify(found) != digits:
            return ids
        packed[some] = np.frombuffer(found, np.uint8).reshape(-1, 16)
    return packed


_DASHES = 8, 13, 18, 23
_DIGITS = (0, 8), (9, 13), (14, 18), (19, 23), (24, 36)
_IDS_AT_ONCE = _ROWS_AT_ONCE = 1 << 14


def _cores(objects: ImageObjects) -> dict[int, Core]:
    cores = {}
    for row in np.flatnonzero(objects.kind == ObjectKind.TMA_CORE).tolist():
        path_class = objects.class_of(row)
        cores[row] = Core(
            name=objects.names[row] or "",
            missing=bool(objects.missing[row]),
            class_name=None if path_class is None else path_class.name,
        )
    return cores


#: Columns of the table of an instance mask; see :func:`instance_table`.
INSTANCE_COLUMNS = (
    "label", "object_id", "name", "class", "z", "t", "x_px0", "y_px0", "width_px0", "height_px0",
    "pixels", "area_um2", "centroid_x_px0", "centroid_y_px0",
)  # fmt: skip


def instance_table(
    entry: ImageEntry,
    rows: tuple[int, ...],
    kind: str,
    pixels: Mapping[int, int],
    pixel_area_um2: float | None,
) -> Iterator[list[object]]:
    """One row for each object of an instance mask, in the order of their labels.

    Label, object id, name, class, z, t, the box around the object (x, y, width, height in px0), the
    pixels of the mask that have its label and their area, and the centroid of the object (px0), of
    its outline and not of the pixels that are seen; in the middle of its box for lines and points.
    Where nuclei are drawn, box and centroid are those of the nucleus.

    Parameters
    ----------
    entry : ImageEntry
    rows : tuple of int
        Positions of the objects in the data file; the first has the label 1.
    kind : str
        What is drawn, as ``objects`` in the options.
    pixels : mapping
        Pixels of the mask by label.
    pixel_area_um2 : float or None
        Area of a pixel of the mask, where it is known.
    """
    if not rows:
        return
    objects = read_qpdata(entry.data_path, outlines=drawn_outlines(kind))
    classes = [*(c.name for c in objects.classes), ""]  # -1, no class, is the last one
    none = np.full((1, 4), np.nan)  # as -1, no ROI, is
    bounds = np.concatenate([objects.rois.bounds_px0, none])
    centroids = np.concatenate([centroids_px0(objects.rois), none[:, :2]])
    z, t = np.append(objects.rois.z, 0), np.append(objects.rois.t, 0)
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        at = np.asarray(rows[first : first + _ROWS_AT_ONCE], np.int64)
        roi = drawn_rois(objects, at, kind)
        columns = (
            at, roi, objects.ids[at], objects.class_index[at], z[roi], t[roi], bounds[roi],
            centroids[roi],
        )  # fmt: skip
        each = zip(*(column.tolist() for column in columns), strict=True)
        for label, (row, of, id_, number, slice_, time, box, centre) in enumerate(each, first + 1):
            x, y, x2, y2 = box
            outline = [x, y, x2 - x, y2 - y] if of >= 0 else [""] * 4  # nothing is drawn of it
            n_pixels = pixels.get(label, 0)
            yield [
                label,
                id_.decode("ascii"),
                objects.names[row] or "",
                classes[number],
                slice_,
                time,
                *outline,
                n_pixels,
                "" if pixel_area_um2 is None else round(n_pixels * pixel_area_um2, 6),
                *([round(v, 3) for v in centre] if of >= 0 else ["", ""]),
            ]


def _empty(objects: ImageObjects) -> dict[str, npt.NDArray[np.bool_]]:
    """Objects without a ROI, or with one that has no point; and so where nuclei are drawn."""
    without = np.append(objects.rois.is_empty, True)  # -1 is the last
    found = dict.fromkeys(("objects", "nuclei"), without[objects.roi])
    if (objects.nucleus_roi >= 0).any():
        found["nuclei"] = without[drawn_rois(objects, np.arange(len(objects)), "nuclei")]
    return found


def _planes(objects: ImageObjects) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Slice and time point of each object, 0 for one without a ROI."""
    has_roi = objects.roi >= 0
    z = np.zeros(len(objects), np.int32)
    t = np.zeros(len(objects), np.int32)
    z[has_roi] = objects.rois.z[objects.roi[has_roi]]
    t[has_roi] = objects.rois.t[objects.roi[has_roi]]
    return z, t


def _objects_of_summary(entry: ImageEntry) -> int | None:
    """How many objects QuPath counted when it last saved the image."""
    summary = (read_json(entry.data_dir / "summary.json") or {}).get("hierarchy")
    n_objects = summary.get("nObjects") if isinstance(summary, dict) else None
    return n_objects - 1 if isinstance(n_objects, int) and n_objects > 0 else None  # but the root


def _against_summary(entry: ImageEntry, n_objects: int) -> tuple[str, ...]:
    """A finding where the data file holds other objects than QuPath counted as it saved them."""
    if entry.data_name == BACKUP_FILE:
        return ()
    n_expected = _objects_of_summary(entry)
    if n_expected is None or n_expected == n_objects:
        return ()
    return (
        f"The data file holds {n_objects:,} objects; QuPath counted {n_expected:,} when it saved "
        "the image (summary.json).",
    )


def _no_folder(entry: ImageEntry) -> DataFileMissingError:
    """Tell a project that lost all its data from one image that has none.

    QuPath makes the folder of an image when it saves its objects or its thumbnail.
    """
    data = entry.data_dir.parent
    if not data.is_dir() or not any(p.is_dir() for p in data.iterdir()):
        return DataFileMissingError(
            f"The project has lost its data: there is nothing in {data}.",
            hint="Was the project file moved without its 'data' folder? Bring it back, beside the "
            "project file.",
        )
    return DataFileMissingError(
        f"There is no data folder of {entry.label}: {entry.data_dir}; other images have theirs. It "
        "was never saved in QuPath, or its folder was lost.",
        hint="Save the image in QuPath, or restore the folder from a backup, or leave the image "
        "out (--images).",
    )


def _without_data(entry: ImageEntry) -> Inventory:
    """An image that has no data file: never saved, or lost."""
    backup = entry.data_dir / BACKUP_FILE
    if backup.exists():
        raise DataFileMissingError(
            f"The data file of {entry.label} is gone: {entry.data_path}.",
            hint=f"QuPath keeps a backup: {backup}; --use-backup reads it.",
        )
    if not entry.data_dir.is_dir():
        raise _no_folder(entry)
    n_objects = _objects_of_summary(entry)
    if n_objects:
        raise DataFileMissingError(
            f"The data file of {entry.label} is gone: {entry.data_path}. It held "
            f"{n_objects:,} objects.",
            hint="Restore it from a backup.",
        )
    return Inventory(
        has_data=False,
        colors={},
        findings=("Nothing was ever annotated: QuPath has no data file of this image.",),
        cores={},
        _kind=np.zeros(0, np.uint8),
        _class=np.zeros(0, np.int32),
        _off_plane=np.zeros(0, bool),
        _classes=(),
        _ids=np.zeros(0, "S36"),
        _missing=np.zeros(0, bool),
        _empty=dict.fromkeys(("objects", "nuclei"), np.zeros(0, bool)),
    )
