"""One image as the page sees it: its layers of labels, and its slide, in one frame.

The frame is the image at full resolution (``px0``), as QuPath shows it. Each plane of each mask is
a layer, which says how many pixels of the image one of its own spans. The slide lies under them by
what the first mask (or the project) says of it, and is refused where that is not known.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.collection.flatmask import CollectionMask
from qpmask.collection.opening import open_mask
from qpmask.errors import OptionsError, QpmaskError
from qpmask.geometry import Affine, PixelSize, Size
from qpmask.mask import Mask
from qpmask.outputs import instance_classes
from qpmask.patches import open_patches
from qpmask.slides import Slide, open_slide
from qpmask.viewer.alignment import align
from qpmask.viewer.opening import (
    classes_shown,
    image_size,
    lay_upon,
    plane_name,
    plane_position,
    series_of,
)
from qpmask.viewer.palette import label_color
from qpmask.viewer.sampling import Sampler
from qpmask.web.catalog import Shown
from qpmask.web.openfiles import OpenFiles
from qpmask.web.turns import Turns

_CACHE_BYTES = 16 * 2**20
_OPEN_MASKS = 6
_OPEN_SLIDES = 4
_MAX_PLANES = 100


class OpenMask:
    """A mask that is open for looking: each plane with what samples its labels."""

    def __init__(self, path: Path) -> None:
        self.first = open_mask(path, cache_bytes=_CACHE_BYTES)
        self.planes: list[Mask]
        is_collection = isinstance(self.first, CollectionMask)
        if (
            isinstance(self.first, CollectionMask) and self.first.n_planes == 1
        ):  # all of it flattened, then each by itself
            self.names = self.first.collection.names()[:_MAX_PLANES]
            self.planes = [self.first, *(self.first.plane(name) for name in self.names)]
        else:
            self.names = ()
            n, most = self.first.n_planes, _MAX_PLANES
            shown = range(0, n, -(-n // most)) if is_collection else range(min(n, most))
            self.planes = [self.first.plane(*plane_position(self.first, p)) for p in shown]
        self._samplers: dict[int, Sampler] = {}

    def sampler(self, plane: int) -> Sampler:
        """What takes the labels of a plane."""
        return self._samplers.setdefault(plane, Sampler(self.planes[plane]))

    def close(self) -> None:
        """Close the file."""
        self.first.close()


@dataclass(frozen=True)
class Layer:
    """One plane of one mask.

    Attributes
    ----------
    mask, plane : int
        Which mask of the image, and which plane of it.
    title : str
        What to call it.
    kind : str
        ``classes``, ``channel`` (a plane a class) or ``instances`` (labels are objects).
    size : Size
        Of its level 0.
    scale : tuple of float
        Pixels of the image in one of its own, along x and y.
    dtype : str
        ``uint8``, ``uint16`` or ``uint32``.
    version : str
        Of its file; another one means other labels.
    classes : tuple of dict
        ``label``, ``name``, ``color`` (``#rrggbb``). Of instances: the classes of the objects,
        numbered from 1 in place of labels.
    """

    mask: int
    plane: int
    title: str
    kind: str
    size: Size
    scale: tuple[float, float]
    dtype: str
    version: str
    classes: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Laid:
    """An image whose masks and slide lie upon each other.

    Attributes
    ----------
    size : Size
        The image at full resolution.
    pixel_size : PixelSize or None
        Of the image.
    layers : tuple of Layer
        Planes of its masks, in their order.
    to_slide : Affine or None
        From pixels of the image to those of the slide's level 0; None where there is no slide, or
        where it cannot be laid under the masks.
    series : int or None
        Which image of the slide's file.
    slide_version : str
        Of its file.
    notes : tuple of str
        What people should know.
    """

    size: Size
    pixel_size: PixelSize | None
    layers: tuple[Layer, ...]
    to_slide: Affine | None = None
    series: int | None = None
    slide_version: str = ""
    notes: tuple[str, ...] = ()


class OpenFilesOfImages:
    """The open masks and slides of the server."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self.masks: OpenFiles[OpenMask] = OpenFiles(OpenMask, _OPEN_MASKS, turns)
        self._slides: dict[int | None, OpenFiles[Slide]] = {}

    def slides(self, series: int | None) -> OpenFiles[Slide]:
        """The open slides; of the files' main images, or of a series."""
        return self._slides.setdefault(
            series, OpenFiles(lambda path: open_slide(path, series), _OPEN_SLIDES, self._turns)
        )

    def close(self) -> None:
        """Close all."""
        self.masks.close()
        for slides in list(self._slides.values()):
            slides.close()


def with_slide_of_patches(image: Shown) -> Shown:
    """The image with the slide that its patch file names, where nothing else names one."""
    if image.slide is None and image.patches:
        with contextlib.suppress(QpmaskError):  # it may be elsewhere; a mask can be seen without
            return replace(image, slide=open_patches(image.patches[0]).slide_path)
    return image


def lay(image: Shown, files: OpenFilesOfImages) -> Laid:
    """Lay the masks of an image and its slide upon each other.

    A mask or a slide that cannot be read or does not fit is left out, and said in the notes.

    Raises
    ------
    OptionsError
        There is nothing to look at.
    """
    notes: list[str] = []
    laid: Laid | None = None
    to_slide: _ToSlide | None = None
    colors = _class_colors(image)
    for number, shown in enumerate(image.masks):
        try:
            with files.masks.use(shown.path) as (mask, version):
                if laid is None:
                    laid = _first(mask.first, image)
                    to_slide = _ToSlide(mask.first)
                scale = _scale(mask.first, laid.size)
                titled = shown.title if len(image.masks) > 1 else ""
                layers = tuple(_layers(number, mask, (scale, version, titled), colors))
                laid = replace(laid, layers=(*laid.layers, *layers))
                notes += [f"{shown.path.name}: {mask.first.note}"] if mask.first.note else []
                if mask.first.n_planes > _MAX_PLANES:
                    notes.append(
                        f"{shown.path.name} has {mask.first.n_planes} planes; "
                        f"{len(mask.planes)} of them are shown."
                    )
        except QpmaskError as error:
            notes.append(f"{shown.path.name} is not shown: {error}")
    if image.slide is not None:
        try:
            return replace(_under(laid, to_slide, image, files), notes=tuple(notes))
        except QpmaskError as error:
            notes.append(f"The slide {image.slide.name} is not shown: {error}")
    if laid is None:
        raise OptionsError(" ".join(notes) or f"There is nothing of {image.name} to look at.")
    return replace(laid, notes=tuple(notes))


class _ToSlide:
    """How the first mask lies upon a slide, asked when the slide is open."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask

    def series(self) -> int | None:
        return series_of(self._mask)

    def matrix(self, slide: Slide) -> tuple[Affine, str | None]:
        alignment = lay_upon(self._mask, slide)
        return alignment.matrix, alignment.note


def _first(mask: Mask, image: Shown) -> Laid:
    of_entry = image.entry.size if image.entry is not None else None
    size = image_size(mask) or of_entry or mask.levels[0].size
    pixel = mask.pixel_size
    if pixel is not None:
        scale_x, scale_y = _scale(mask, size)
        pixel = PixelSize(pixel.width_um / scale_x, pixel.height_um / scale_y)
    return Laid(size, pixel, ())


def _scale(mask: Mask, image: Size) -> tuple[float, float]:
    """Pixels of the image in one of the mask; exact where a whole downsample explains it."""
    own = mask.levels[0].size
    if own == image:
        return 1.0, 1.0
    matrix = align(own, image, image=image).matrix
    return matrix.a, matrix.e


def _layers(
    number: int,
    mask: OpenMask,
    said: tuple[tuple[float, float], str, str],
    colors: Mapping[str, str],
) -> Iterator[Layer]:
    scale, version, titled = said
    objects = _instance_rows(mask.first, colors) if mask.first.n_planes == 1 else None
    for k, plane in enumerate(mask.planes):
        name = mask.names[k - 1] if mask.names and k else plane_name(plane)
        is_channel = name is not None and len(plane.classes) == 1
        title = next(iter(plane.classes.values())).name if is_channel else name
        yield Layer(
            number,
            k,
            " · ".join(part for part in (title, titled) if part) or "Mask",
            "instances" if objects is not None else "channel" if is_channel else "classes",
            plane.levels[0].size,
            scale,
            str(plane.dtype),
            version,
            objects if objects is not None else tuple(_class_rows(plane)),
        )


def _class_rows(mask: Mask) -> Iterator[dict[str, Any]]:
    rows = classes_shown(mask)
    for label, row in sorted(rows.items()):
        if label:
            name = row.name or f"label {label}"
            yield {"label": label, "name": name, "color": _hex(label_color(label, rows))}


def _class_colors(image: Shown) -> dict[str, str]:
    """Colours of classes by name, from the project and from masks that have a class table."""
    of_project = image.project.classes if image.project is not None else ()
    colors = {row.name: _hex(row.color) for row in of_project if row.color is not None}
    for mask in image.masks:
        colors.update({row.name: row.color for row in mask.classes if row.color})
    return colors


def _instance_rows(mask: Mask, colors: Mapping[str, str]) -> tuple[dict[str, Any], ...] | None:
    """Classes of the objects of an instance mask; None for other masks."""
    names = instance_names(mask.path)
    if names is None:
        return None
    return tuple(
        {"label": i, "name": name or "(unclassified)",
         "color": colors.get(name) or _hex(label_color(i, {}))}
        for i, name in enumerate(names, 1)
    )  # fmt: skip


def instance_names(path: Path) -> list[str] | None:
    """Names of the classes in an instance mask, sorted; None for other masks."""
    classes = instance_classes(path)
    return sorted(set(classes.values())) if classes else None


def instance_table(path: Path) -> NDArray[np.uint16]:
    """Which class each label of an instance mask has: its number in `instance_names`, from 1.

    Returns
    -------
    ndarray of uint16, shape (greatest label + 1,)
        0 for labels without an object.
    """
    classes = instance_classes(path)
    numbers = {name: i for i, name in enumerate(sorted(set(classes.values())), 1)}
    table = np.zeros(max(classes, default=0) + 1, np.uint16)
    for label, name in classes.items():
        table[label] = numbers[name]
    return table


def _hex(color: tuple[int, int, int] | None) -> str:
    return "#{:02x}{:02x}{:02x}".format(*(color or (128, 128, 128)))


def _under(
    laid: Laid | None, to_slide: _ToSlide | None, image: Shown, files: OpenFilesOfImages
) -> Laid:
    """The slide laid under the masks, or alone."""
    assert image.slide is not None
    entry = image.entry
    if to_slide is not None:
        series = to_slide.series()
    else:
        series = entry.frame.file.series if entry is not None and entry.frame.file else None
    with files.slides(series).use(image.slide) as (slide, version):
        whole = slide.levels[0]
        if laid is not None and to_slide is not None:
            matrix, note = to_slide.matrix(slide)
            matrix = matrix @ Affine.scale(*(1 / s for s in laid.layers[0].scale))
        elif entry is not None and entry.size is not None:
            matrix, note = entry.frame.to_file(whole, slide.bounds), None
            laid = Laid(entry.size, entry.pixel_size, ())
        else:
            matrix, note = Affine(), None
            laid = Laid(whole, slide.pixel_size, ())
        pixel = laid.pixel_size or (slide.pixel_size if matrix == Affine() else None)
        notes = (*laid.notes, note) if note else laid.notes
        return replace(laid, pixel_size=pixel, to_slide=matrix, series=series,
                       slide_version=version, notes=notes)  # fmt: skip
