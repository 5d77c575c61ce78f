"""``qpmask.trace``: a mask -> objects with polygons, exact on the corners of its pixels."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from qpmask.collection.flatmask import CollectionMask
from qpmask.collection.opening import open_mask
from qpmask.collection.records import MaskRow
from qpmask.common.arguments import check_fields, check_kind, flag
from qpmask.errors import OptionsError
from qpmask.geometry import Affine
from qpmask.imageobjects import Geometries, ObjectKind, ObjectTable, joined_tables, plain_objects
from qpmask.mask import Mask
from qpmask.ometiff.omexml import ClassRow
from qpmask.polygons.assemble import polygons_of
from qpmask.polygons.labelmeaning import Meaning, meaning_of, to_file, to_image
from qpmask.polygons.source import ArrayPlane, FilePlane, LabelArray, Plane, traced

Split = Literal["component", "class"]
SPLITS: Final[tuple[str, ...]] = get_args(Split)
KINDS: Final = {
    "annotation": ObjectKind.ANNOTATION,
    "detection": ObjectKind.DETECTION,
    "cell": ObjectKind.CELL,
    "tile": ObjectKind.TILE,
}
FRAMES: Final = ("image", "file")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TraceOptions:
    """What becomes of a mask; see :func:`trace`."""

    split: str = "component"
    classes: tuple[str | int, ...] = ()
    kind: str = "annotation"
    downsample: float | None = None
    frame: str = "image"
    instances: bool | None = None
    simplify_um: float | None = None

    def __post_init__(self) -> None:
        check_fields(self, numbers=("downsample", "simplify_um"))
        if self.instances is not None:
            flag(self.instances, "instances")
        for name, value, known in (
            ("split", self.split, SPLITS),
            ("kind", self.kind, tuple(KINDS)),
            ("frame", self.frame, FRAMES),
        ):
            if value not in known:
                raise OptionsError(f"{name} is {value!r}; it is {' or '.join(known)}.")
        if self.simplify_um is not None and not 0 < self.simplify_um < 1e6:
            raise OptionsError(f"simplify is {self.simplify_um} µm; it is above 0.")
        if self.frame == "file" and self.downsample is not None:
            raise OptionsError("A downsample leads to the image; with frame 'file' there is none.")


def trace(
    mask: str | os.PathLike[str] | Mask | LabelArray,
    *,
    split: Split = "component",
    classes: Sequence[str | int] = (),
    kind: str = "annotation",
    downsample: float | None = None,
    frame: str = "image",
    instances: bool | None = None,
    simplify_um: float | None = None,
) -> ObjectTable:
    """Polygons of a mask, with their holes; no pixel is lost or gained.

    Rings run along the sides of pixels and have vertices at corners alone. Pixels of one label
    that touch by a side are one region, across tiles too; those that touch by a corner alone are
    two. Drawn by QuPath (0.6 and 0.7) or by qpmask at the downsample of the mask, the objects give
    the mask back, in every pixel.

    Parameters
    ----------
    mask : path-like, Mask or array of shape (height, width)
        A mask file of ours or of QuPath, or any TIFF of labels; a path stands for all its
        channels, slices and time points, a :class:`~qpmask.Mask` for its plane. A collection of
        masks (:class:`~qpmask.MaskCollection`): each mask is a class, whatever lies upon it; one
        of numbers is traced as instances. Or labels in an
        array of NumPy, Dask or Zarr, which is read block by block.
    split : {"component", "class"}
        One object a region, or one a class.
    classes : sequence of str or int
        Names or labels that are traced; all by default.
    kind : {"annotation", "detection", "cell", "tile"}
        What the objects are.
    downsample : float, optional
        How many pixels of the image a pixel of the mask spans, for coordinates at full resolution.
        By default what the mask says, else 1.
    frame : {"image", "file"}
        Pixels of the image as QuPath shows it, or of the slide's file (see
        :class:`~qpmask.geometry.frames.Frame`).
    instances : bool, optional
        Whether each label is one object. By default what the mask says, else False.
    simplify_um : float, optional
        Fewer vertices: those go whose triangle with their neighbours is smaller than the square of
        this length. Neighbours keep their borders in common. How many pixels change is logged. For
        mask files that say their pixel size.

    Returns
    -------
    ObjectTable
        The objects; :func:`qpmask.write_geojson` writes them.

    Raises
    ------
    MaskError
        A tile cannot be read, or the file is no mask.
    OptionsError
        A class is not there, or an option makes no sense.

    Examples
    --------
    >>> import numpy as np
    >>> qpmask.trace(np.array([[1, 1], [1, 0]])).geometries.rings(0)[0][0].tolist()
    [[0, 0], [2, 0], [2, 1], [1, 1], [1, 2], [0, 2], [0, 0]]
    """
    check_kind(classes, Iterable, "classes", "a sequence of names or labels")
    options = TraceOptions(split, tuple(classes), kind, downsample, frame, instances, simplify_um)
    if isinstance(mask, str | os.PathLike):
        with open_mask(Path(mask)) as opened:
            return trace_file(opened, options)
    if isinstance(mask, CollectionMask):
        return _trace_collection(mask, options, all_slices=False)
    if isinstance(mask, Mask):
        return trace_plane(mask, options)
    if frame == "file":
        raise OptionsError("An array does not say where it lies in a slide's file.")
    if simplify_um is not None:
        raise OptionsError(
            "An array does not say the size of its pixels, by which polygons are simplified.",
            hint="Write it as a mask (qpmask.MaskWriter with mpp) and trace that.",
        )
    meaning = Meaning(is_instances=bool(instances))
    plane = ArrayPlane(mask)
    shapes, label = _traced(plane, _only(options.classes), meaning, options, lambda n: None)
    return _objects(shapes, label, meaning, options, to_image(None, downsample))


def trace_file(
    mask: Mask,
    options: TraceOptions,
    steps: Callable[[int], None] = lambda n: None,
    say: Callable[[str], None] = _log.info,
) -> ObjectTable:
    """All planes of a mask file; objects carry the slice and the time point.

    Parameters
    ----------
    mask : Mask
        Its first plane.
    options : TraceOptions
        What becomes of it.
    steps : callable
        Told how many rows of pixels are done, of all planes.
    say : callable
        Told what people should know.
    """
    if isinstance(mask, CollectionMask):
        return _trace_collection(mask, options, steps, say, all_slices=True)
    metadata = mask.metadata
    size_c, size_z = (metadata.size_c, metadata.size_z) if metadata is not None else (1, 1)
    height = mask.levels[0].size.height_px
    tables = []
    meaning = meaning_of(mask, instances=options.instances)
    for number in range(mask.n_planes):
        c, z, t = number % size_c, number // size_c % size_z, number // (size_c * size_z)
        plane = mask if mask.n_planes == 1 else mask.plane(c, z, t) if metadata else mask
        if metadata is None and number:
            break  # planes of which nobody says what they are
        done = number * height
        told: Callable[[int], None] = lambda n, done=done: steps(done + n)  # type: ignore[misc]  # noqa: E731
        table = trace_plane(plane, options, told, say, replace(meaning, rows=plane.classes))
        tables.append(_on_plane(table, z, t))
    return joined_tables(tables)


def _trace_collection(
    mask: CollectionMask,
    options: TraceOptions,
    steps: Callable[[int], None] = lambda n: None,
    say: Callable[[str], None] = _log.info,
    *,
    all_slices: bool,
) -> ObjectTable:
    """Each mask of a collection by itself, within its box; of a volume slice by slice."""
    labels = set(mask.labels_of(*options.classes)) if options.classes else set(mask.classes)
    rows = [row for row in mask.collection.rows() if row.label in labels]
    tables = []
    height = mask.levels[0].size.height_px * mask.n_planes
    for n, row in enumerate(rows, 1):
        if row.n_pixels and mask.n_planes == 1:
            tables.append(_trace_row(mask, row, options, say))
        elif row.n_pixels:
            for z in range(*row.box[0]):
                if all_slices or z == mask.plane_number:
                    table = _trace_row(mask.at_slice(z), row, options, say)
                    tables.append(_on_plane(table, z, 0))
        steps(n * height // len(rows))
    return joined_tables(tables) if tables else plain_objects(*_nothing())


def _trace_row(
    mask: CollectionMask, row: MaskRow, options: TraceOptions, say: Callable[[str], None]
) -> ObjectTable:
    one = mask.plane(row.name, mask.plane_number)
    is_instances = row.dtype != "bool" and options.instances is not False
    known = {row.label: ClassRow(row.label, row.name, row.color)}
    matrix = to_file(mask) if options.frame == "file" else to_image(mask, options.downsample)
    (top, bottom), (left, right) = row.box[-2:]
    part = ArrayPlane(_Part(one.pixels, top, bottom, left, right))
    by_label = is_instances or options.split == "class"
    shapes, label = polygons_of(traced(part), by_label=by_label)
    shapes = replace(shapes, xy_px0=moved(shapes, Affine(c=left, f=top)))
    if options.simplify_um is not None:
        if is_instances:
            raise OptionsError(f"{row.name!r} holds numbers, and these are not simplified.")
        shapes = _simplified(one, shapes, label * 0 + row.label,
                             options.simplify_um, say)  # fmt: skip
    found = _objects(shapes, label * 0 + row.label, Meaning(known), options, matrix)
    if is_instances and options.kind == "annotation":
        found = replace(found, kind=np.full(len(found), ObjectKind.DETECTION, np.uint8))
    return found


class _Part:
    """A part of an array of two dimensions, from and to whole pixels."""

    def __init__(self, array: LabelArray, top: int, bottom: int, left: int, right: int) -> None:
        self._array, self._top, self._columns = array, top, slice(left, right)
        self.shape, self.dtype = (bottom - top, right - left), array.dtype

    def __getitem__(self, rows: slice) -> Any:
        return self._array[self._top + rows.start : self._top + rows.stop, self._columns]


def trace_plane(
    mask: Mask,
    options: TraceOptions,
    steps: Callable[[int], None] = lambda n: None,
    say: Callable[[str], None] = _log.info,
    meaning: Meaning | None = None,
) -> ObjectTable:
    """One plane of a mask file, as objects on the first slice; `meaning` if that is known."""
    if meaning is None:
        meaning = meaning_of(mask, instances=options.instances)
    labels = None
    if options.classes:
        labels = _labels_here(mask, options.classes)
        if not len(labels):
            return plain_objects(*_nothing())
    matrix = to_file(mask) if options.frame == "file" else to_image(mask, options.downsample)
    plane = FilePlane(mask._file, mask.plane_number)
    shapes, label = _traced(plane, labels, meaning, options, steps)
    if options.simplify_um is not None:
        shapes = _simplified(mask, shapes, label, options.simplify_um, say)
    return _objects(shapes, label, meaning, options, matrix)


def _simplified(
    mask: Mask, shapes: Geometries, label: NDArray[np.int64], um: float,
    say: Callable[[str], None],
) -> Geometries:  # fmt: skip
    from qpmask.polygons.simplify import changed_share, simplified

    if mask.pixel_size is None:
        raise OptionsError(
            f"{mask.path} does not say the size of its pixels, by which polygons are simplified."
        )
    made = simplified(shapes, um / mask.pixel_size.mean_um)
    before, after = len(shapes.xy_px0), len(made.xy_px0)
    only = np.unique(label)
    share = changed_share(made, label, _OnlyLabels(mask, only), mask.levels[0].size)
    say(f"Simplified: {after:,} vertices instead of {before:,}; {share:.3%} of the pixels change.")
    return made


class _OnlyLabels:
    """A mask without the labels that were not traced."""

    def __init__(self, mask: Mask, labels: NDArray[np.int64]) -> None:
        self._mask, self._labels = mask, labels

    def __getitem__(self, key: Any) -> NDArray[Any]:
        pixels = np.asarray(self._mask[key])
        return np.where(np.isin(pixels, self._labels), pixels, 0)


def _labels_here(mask: Mask, classes: Sequence[str | int]) -> NDArray[np.uint32]:
    """Labels of classes in a plane; a class that has a channel of its own is not in others."""
    if mask.n_planes > 1 and mask.metadata is not None and mask.metadata.channel_names:
        from qpmask.classes.names import same_class

        names = mask.metadata.channel_names
        channel = names[mask.plane_number % mask.metadata.size_c]
        wanted = [name for name in classes if isinstance(name, str)]
        for name in wanted:
            if not any(same_class(name, other) for other in names):
                mask.plane(name)  # says what there is
        here = any(same_class(name, channel) for name in wanted)
        return np.array([255] if here else [], np.uint32)
    return np.unique(np.array(mask.labels_of(*classes), np.uint32))


def _only(labels: Sequence[str | int]) -> NDArray[np.uint32] | None:
    if not labels:
        return None
    named = [label for label in labels if isinstance(label, str)]
    if named:
        raise OptionsError(
            f"An array has no class names, and a class {named[0]!r} is asked for.",
            hint="Give labels.",
        )
    return np.unique(np.array(labels, np.uint32))


def _traced(
    plane: Plane,
    labels: NDArray[np.uint32] | None,
    meaning: Meaning,
    options: TraceOptions,
    steps: Callable[[int], None],
) -> tuple[Geometries, NDArray[np.int64]]:
    """Polygons in pixels of the mask, and their labels."""
    by_label = meaning.is_instances or options.split == "class"
    return polygons_of(traced(plane, labels, steps), by_label=by_label)


def _objects(
    shapes: Geometries, label: NDArray[np.int64], meaning: Meaning, options: TraceOptions,
    matrix: Affine,
) -> ObjectTable:  # fmt: skip
    """Objects with these polygons, which are moved to their frame."""
    shapes = replace(shapes, xy_px0=moved(shapes, matrix))
    classes, class_index = meaning.classes_of(label)
    table = plain_objects(shapes, classes, class_index, kind=KINDS[options.kind])
    if not meaning.instances:
        return table
    known = [meaning.instances.get(one) for one in label.tolist()]
    return replace(
        table,
        names=[None if one is None else one.name for one in known],
        ids=np.array([b"" if one is None else one.id.encode() for one in known], "S36"),
    )


def moved(shapes: Geometries, matrix: Affine) -> NDArray[Any]:
    """Vertices in another frame: whole numbers if they stay whole."""
    xy = shapes.xy_px0
    if matrix == Affine():
        return xy
    whole = all(value == int(value) for value in matrix.values)
    whole = whole and xy.dtype.kind == "i"
    x, y = (column.astype(np.int64 if whole else np.float64) for column in xy.T)
    a, b, c, d, e, f = (int(v) if whole else v for v in matrix.values)
    out: NDArray[Any] = np.stack([a * x + b * y + c, d * x + e * y + f], axis=1)
    if matrix.determinant < 0:  # mirrored: rings are walked the other way round, as before
        out = _reversed(out, shapes.vertex_offsets)
    if whole and (not out.size or np.abs(out).max() < 2**31):
        return out.astype(np.int32)
    return out.astype(np.float64)


def _reversed(xy: NDArray[Any], offsets: NDArray[np.int64]) -> NDArray[Any]:
    sizes = np.diff(offsets)
    back = np.repeat(offsets[:-1] + offsets[1:] - 1, sizes) - np.arange(len(xy))
    return xy[back]


def _on_plane(table: ObjectTable, z: int, t: int) -> ObjectTable:
    if not (z or t):
        return table
    n = len(table.geometries)
    shapes = replace(table.geometries, z=np.full(n, z, np.int32), t=np.full(n, t, np.int32))
    return replace(table, geometries=shapes)


def _nothing() -> tuple[Geometries]:
    from qpmask.imageobjects import geometries

    zero = np.zeros(1, np.int64)
    return (geometries(np.zeros(0, np.uint8), zero, zero, zero, np.zeros((0, 2), np.int32)),)
