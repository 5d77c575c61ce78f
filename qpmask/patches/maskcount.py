"""The mask of a slide: where it lies upon the slide, and how much of each cell has its labels.

The frame of mask and slide is proved, never guessed from their sizes: by the project that the mask
was made from, by what the mask itself says (``qpmask export`` writes it down), or by the user's
word (``--mask-frame slide``).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.collection.flatmask import CollectionMask
from qpmask.collection.opening import open_mask
from qpmask.errors import FrameError, OptionsError
from qpmask.geometry import Affine, Size
from qpmask.geometry.frames import FRAME_KEY, Frame, frame_from_json
from qpmask.mask import Mask
from qpmask.mask.levelchoice import fitting_level
from qpmask.outputs import read_sidecar
from qpmask.patches.classfractions import Axis, class_areas
from qpmask.patches.lattice import Lattice
from qpmask.patches.table import storable
from qpmask.project import ImageEntry
from qpmask.slides import Slide
from qpmask.viewer.palette import palette_color

_ASSUME_HINT = (
    "If it covers all of the slide's level 0, as it is, say so: --mask-frame slide. Masks that "
    "qpmask exported know their frame."
)


class SlideMask:
    """A mask upon its slide; a context manager.

    Parameters
    ----------
    path : Path
        The mask.
    slide : Slide
        The slide, open.
    entry : ImageEntry, optional
        The image of a project that the mask is of.
    trusted : bool
        Whether the user says that a mask without a frame covers the slide.

    Raises
    ------
    MaskError
        It is no mask.
    FrameError
        Where it lies is not known, or it lies askew.
    """

    def __init__(
        self, path: Path, slide: Slide, entry: ImageEntry | None = None, *, trusted: bool = False
    ) -> None:
        self.path = path
        self._mask = open_mask(path)
        try:
            if self._mask.n_planes > 1 and isinstance(self._mask, CollectionMask):
                raise OptionsError(f"{path} holds volumes, and patches are cut from planes.")
            self.to_file = _to_file(self._mask, slide, entry, trusted)
        except BaseException:
            self._mask.close()
            raise

    def __enter__(self) -> SlideMask:
        return self

    def __exit__(self, *args: object) -> None:
        self._mask.close()

    @property
    def fingerprint(self) -> str:
        """What tells its content from others, and how it lies."""
        from qpmask.mask.fileinfo import fingerprint

        if isinstance(self._mask, CollectionMask):
            return f"{self._mask.collection.fingerprint} {self.to_file.values}"
        file = self._mask._file
        return f"{fingerprint(file)} {file.changed_ns} {self.to_file.values}"

    def classes(self) -> tuple[tuple[str, ...], tuple[int, ...]]:
        """Names and labels of its classes.

        Raises
        ------
        OptionsError
            Its labels are objects, not classes.
        """
        planes = self._planes()
        if planes is not None:
            return tuple(storable(name) for name, _ in planes), tuple(range(1, len(planes) + 1))
        if self._kind == "instances":
            raise OptionsError(
                f"The labels of {self.path} are objects and no classes.",
                hint="Export the mask without --instances.",
            )
        rows = self._mask.classes
        labels = sorted(label for label in rows if label) or [
            label for label in self._mask.present() if label
        ]
        return tuple(storable(self._mask.name_of(label)) for label in labels), tuple(labels)

    def color(self, label: int) -> tuple[int, int, int]:
        """The colour of a class, by its label of `classes`: its own, else the palette's."""
        planes = self._planes()
        rows, key = self._mask.classes, label
        if planes is not None:
            rows = planes[label - 1][1].classes  # one class a plane
            key = next(iter(rows), 255)
        row = rows.get(key)
        return palette_color(label) if row is None or row.color is None else row.color

    def small(self, downsample: float) -> tuple[NDArray[Any], float]:
        """Labels of `classes` at a smaller level, and pixels of level 0 in one of it.

        Of planes that overlap, those of later classes are seen.
        """
        level = fitting_level(self._mask.level_scales, downsample)
        step, (rows, cols) = max(self._mask.level_scales[level]), self._mask.shape
        planes = self._planes()
        if planes is None:
            return self._mask.region(0, 0, cols, rows, downsample=step), step
        found: NDArray[Any] = np.zeros(0, np.uint16)
        for label, (_, plane) in enumerate(planes, 1):
            there = plane.region(0, 0, cols, rows, downsample=step) > 0
            found = found if found.size else np.zeros(there.shape, np.uint16)
            found[there] = label
        return found, step

    def areas(
        self,
        lattice: Lattice,
        labels: tuple[int, ...] | None,
        threads: int,
        check: Callable[[], None],
    ) -> NDArray[np.float64]:
        """How much of each cell has each label.

        Parameters
        ----------
        lattice : Lattice
            The cells.
        labels : tuple of int or None
            From `classes`; None counts all but the background together.
        threads : int
            Threads that decode.
        check : callable
            Called now and then.

        Returns
        -------
        ndarray of float64, shape (rows, columns, labels)
            In pixels of the slide's level 0.
        """
        planes = self._planes()
        if planes is None or (labels is None and isinstance(self._mask, CollectionMask)):
            return self._plane_areas(lattice, labels, self._mask, threads, check)
        if labels is None:
            raise OptionsError(
                f"The classes of {self.path} lie in planes and may overlap, so that their union is "
                "not known.",
                hint="Name one class with --tissue-class, or export a mask of one plane.",
            )
        found = [
            self._plane_areas(lattice, None, planes[label - 1][1], threads, check)
            for label in labels
        ]
        return np.concatenate(found, axis=2) if found else np.zeros(
            (lattice.n_rows, lattice.n_cols, 0)
        )  # fmt: skip

    def _plane_areas(
        self, lattice: Lattice, labels: Any, mask: Mask, threads: int, check: Callable[[], None]
    ) -> NDArray[np.float64]:
        back = self.to_file.inverse()
        x0, y0 = lattice.x_px0().astype(np.float64), lattice.y_px0().astype(np.float64)
        turned = back.b != 0 or back.d != 0
        along_x, along_y = (y0, x0) if turned else (x0, y0)
        x = _axis(along_x, lattice.patch_px0, back.b if turned else back.a, back.c)
        y = _axis(along_y, lattice.patch_px0, back.d if turned else back.e, back.f)
        of = mask if isinstance(mask, CollectionMask) else mask._file
        areas = class_areas(of, labels, x, y, plane=mask.plane_number, threads=threads, check=check)
        if turned:
            areas = areas.transpose(1, 0, 2)
        return areas * abs(self.to_file.determinant)

    @property
    def _kind(self) -> str | None:
        if isinstance(self._mask, CollectionMask):
            return self._mask.kind
        return self._mask.metadata.extra.get("kind") if self._mask.metadata else None

    def _planes(self) -> list[tuple[str, Mask]] | None:
        """The planes of a mask with a plane for each class, by name; None for any other."""
        if isinstance(self._mask, CollectionMask):
            if self._kind != "multichannel":
                return None
            return [(name, self._mask.plane(name)) for name in self._mask.collection.names()]
        m = self._mask.metadata
        if m is None or self._kind != "multichannel":
            return None
        return [(name, self._mask.plane(c)) for c, name in enumerate(m.channel_names)]


def _axis(start_px0: NDArray[np.float64], size_px0: int, step: float, first: float) -> Axis:
    """Cells along one axis, in pixels of the mask; a mirrored one runs backwards."""
    one, other = start_px0 * step + first, (start_px0 + size_px0) * step + first
    low, high = np.minimum(one, other), np.maximum(one, other)
    return Axis(*(_whole(edges) for edges in (low, high)))


def _whole(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Whole numbers where rounding alone keeps them from being so."""
    nearest = np.rint(edges)
    return np.where(np.abs(edges - nearest) < 1e-7, nearest, edges)


def _to_file(mask: Mask, slide: Slide, entry: ImageEntry | None, trusted: bool) -> Affine:
    """The matrix from pixels of the mask to those of the slide's level 0."""
    size, bounds = slide.levels[0], slide.bounds
    if entry is not None:
        downsample = _downsample_of(mask, entry)
        matrix = entry.frame.scaled(downsample).to_file(size, bounds)
    else:
        own = _own_frame(mask)
        if own is not None and own.matrix is not None:
            matrix = own.to_file(size, bounds)
        elif trusted:
            matrix = _covering(mask.levels[0].size, size, str(mask.path))
        else:
            why = f": {own.unknown}" if own is not None and own.unknown else ""
            raise FrameError(
                f"Where {mask.path} lies upon its slide is not known{why}.", hint=_ASSUME_HINT
            )
    if not matrix.keeps_axes:
        raise FrameError(
            f"The image of {mask.path} is turned by an angle against its slide, so that its pixels "
            "are not the slide's.",
            hint="Cut the patches without labels (--no-labels).",
        )
    return matrix


def _own_frame(mask: Mask) -> Frame | None:
    """The frame that a mask brings along, in its metadata or its sidecar."""
    if isinstance(mask, CollectionMask) and mask.frame is not None:
        return mask.frame
    extra = mask.metadata.extra if mask.metadata is not None else {}
    try:
        return frame_from_json(json.loads(extra[FRAME_KEY]))
    except (KeyError, ValueError):
        sidecar = read_sidecar(mask.path) or {}
        return frame_from_json(sidecar.get(FRAME_KEY))


def _downsample_of(mask: Mask, entry: ImageEntry) -> float:
    """Pixels of the image in one of its mask, if it is a mask of this image.

    Raises
    ------
    FrameError
        It is of another image, or does not say how it was drawn and has another size.
    """
    size = mask.levels[0].size
    extra = mask.metadata.extra if mask.metadata is not None else {}
    said = extra.get("image_width_px"), extra.get("image_height_px")
    image, entry_id = extra.get("image"), extra.get("entry_id")
    # An image may be renamed, and be in another copy of the project under another id.
    if None not in (image, entry_id) and image != entry.name and entry_id != entry.id:
        raise FrameError(
            f"{mask.path} was drawn for the image {image!r} (entry {entry_id}), not for "
            f"{entry.label}."
        )
    if entry.size is not None and None not in said:
        drawn_for = Size(int(str(said[0])), int(str(said[1])))
        if drawn_for != entry.size:
            raise FrameError(
                f"{mask.path} was drawn for an image of {drawn_for} pixels, but {entry.label} has "
                f"{entry.size}."
            )
        try:
            downsample = float(extra["downsample"])
        except (KeyError, ValueError):
            downsample = 1.0
        if entry.size.downsampled(downsample) == size:
            return downsample
    if entry.size == size:
        return 1.0
    raise FrameError(
        f"{mask.path} has {size} pixels and does not say how it was drawn; {entry.label} has "
        f"{entry.size}.",
        hint="Export the masks again.",
    )


def _covering(mask: Size, slide: Size, what: str) -> Affine:
    """A mask that covers the slide, at a whole downsample."""
    ratio = min(slide.width_px / mask.width_px, slide.height_px / mask.height_px)
    downsample = max(1, round(ratio))
    for whole in (downsample, downsample + 1):
        if mask == slide.downsampled(whole) or (
            mask == Size(math.ceil(slide.width_px / whole), math.ceil(slide.height_px / whole))
        ):
            return Affine.scale(whole)
    raise FrameError(
        f"{what} has {mask} pixels, which no whole downsample makes of a slide of {slide}."
    )
