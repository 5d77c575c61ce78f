"""Objects brought to the frame of the image that they go to, and checked to lie in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qpmask.errors import FrameError, OptionsError
from qpmask.geometry import Affine, Bounds, Size
from qpmask.imageobjects import ObjectTable
from qpmask.intoqupath.options import ImportOptions
from qpmask.mask import Mask
from qpmask.polygons.trace import moved
from qpmask.project import ImageEntry, Project
from qpmask.viewer.alignment import align

#: Opens the slide of an image for its size and its scanned part.
SlideSizes = Callable[[], tuple[Size, Bounds | None]]


@dataclass(frozen=True)
class Placement:
    """How coordinates lead to the image.

    Attributes
    ----------
    matrix : Affine
        To pixels of the image at full resolution.
    note : str or None
        What people should know about it.
    is_known : bool
        Whether mask and image say where they lie in the slide's file: then what lies beyond the
        image is what that was cropped by.
    """

    matrix: Affine
    note: str | None = None
    is_known: bool = False


def place_coordinates(entry: ImageEntry, options: ImportOptions, slide: SlideSizes) -> Placement:
    """Lay coordinates of a file, or from Python, upon an image.

    Raises
    ------
    FrameError
        They count in the slide's file, and where the image lies in it is not known.
    """
    scale = Affine.scale(options.downsample or 1.0)
    if options.frame == "image":
        return Placement(scale)
    return Placement(_from_slide(entry, slide) @ scale)


def place_mask(
    mask: Mask, entry: ImageEntry, options: ImportOptions, slide: SlideSizes
) -> Placement:
    """Lay a mask's pixels upon an image.

    A mask of ours says which part of the slide's file it shows, and so does the project of its
    image: that decides, whatever either is cropped to or rotated by. A mask that does not say so
    covers the image, if it has its shape.

    Raises
    ------
    FrameError, OptionsError
        It lies elsewhere, or where is not known.
    """
    if entry.size is None:
        raise OptionsError(f"How large {entry.label} is is not known: {entry.problem}.")
    size = mask.levels[0].size
    if options.frame == "slide":
        matrix = _from_slide(entry, slide)
        if options.downsample is not None:
            return Placement(matrix @ Affine.scale(options.downsample))
        slide_size, bounds = slide()
        found = align(size, slide_size, bounds)
        return Placement(matrix @ found.matrix, found.note)
    if options.downsample is not None:
        return Placement(Affine.scale(options.downsample))
    theirs, ours = mask.frame, entry.frame
    extra = mask.metadata.extra if mask.metadata is not None else {}
    if theirs is not None and theirs.matrix is not None and ours.matrix is not None:
        if theirs.file is not None and ours.file is not None:
            one, other = theirs.file, ours.file
            if one.name != other.name or one.size != other.size or one.series != other.series:
                raise FrameError(
                    f"{mask.path.name} was made of {one.name}, {entry.label} is {other.name}.",
                    hint="Name the image that it belongs to (--image), or its --downsample if it "
                    "is the right one.",
                )
        matrix = ours.matrix.inverse() @ theirs.matrix
        return Placement(_tidy(matrix), is_known=True)
    width, height = extra.get("image_width_px"), extra.get("image_height_px")
    if width is not None and height is not None:
        if (width, height) != (str(entry.size.width_px), str(entry.size.height_px)):
            raise FrameError(
                f"{mask.path.name} was made of an image of {width} x {height} pixels; "
                f"{entry.label} has {entry.size}."
            )
        try:
            return Placement(Affine.scale(float(extra["downsample"])))
        except (KeyError, ValueError):
            pass
    found = align(size, entry.size, image=entry.size)
    scale = found.matrix
    if scale == Affine():
        return Placement(scale)
    note = f"It does not say where it lies: taken to cover the image, {scale.a:.6g}"
    across = "" if scale.a == scale.e else f" by {scale.e:.6g}"
    return Placement(scale, f"{note}{across} of its pixels in one of the mask.")


def _from_slide(entry: ImageEntry, slide: SlideSizes) -> Affine:
    """From level 0 of the slide's file to the image."""
    frame = entry.frame
    if frame.matrix is not None and frame.file is not None and frame.file.cut == "no":
        return _tidy(frame.matrix.inverse())
    size, bounds = slide()
    return _tidy(frame.to_file(size, bounds).inverse())


def slide_of(project: Project, entry: ImageEntry) -> SlideSizes:
    """Open an image's slide when it is asked for."""

    def sizes() -> tuple[Size, Bounds | None]:
        from qpmask.slides.opening import open_slide

        path = project.find_slide(entry)
        if path is None:
            raise FrameError(
                f"Where {entry.label} lies in its slide's file stands in the slide alone, and that "
                "is not there."
            )
        slide = open_slide(path)
        try:
            return slide.levels[0], slide.bounds
        finally:
            slide.close()

    return sizes


def _tidy(matrix: Affine) -> Affine:
    """Whole numbers where a matrix is off them by rounding alone."""
    values = [
        float(round(value)) if abs(value - round(value)) < 1e-9 * max(1.0, abs(value)) else value
        for value in matrix.values
    ]
    return Affine(*values)


def placed(table: ObjectTable, matrix: Affine) -> ObjectTable:
    """Objects in another frame."""
    if matrix == Affine():
        return table
    shapes = table.geometries
    ellipse = shapes.is_ellipse
    if not matrix.keeps_axes:  # an ellipse of QuPath's is upright
        ellipse = np.zeros_like(ellipse)
    return replace(
        table, geometries=replace(shapes, xy_px0=moved(shapes, matrix), is_ellipse=ellipse)
    )


def _all_within(xy_px0: NDArray[np.float64], size: Size) -> bool:
    """Whether all vertices lie in an image: the common case, which is told fast."""
    if not len(xy_px0):
        return True
    x, y = xy_px0[:, 0], xy_px0[:, 1]
    return bool(x.min() >= 0 and y.min() >= 0 and x.max() <= size.width_px
                and y.max() <= size.height_px)  # fmt: skip


def outside(table: ObjectTable, entry: ImageEntry) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which objects lie beyond the image, and which on slices or time points that it lacks."""
    shapes, n = table.geometries, len(table)
    beyond, elsewhere = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    has = table.geometry >= 0
    numbers = table.geometry[has]
    elsewhere[has] = (shapes.z[numbers] >= entry.size_z) | (shapes.t[numbers] >= entry.size_t)
    xy = shapes.xy_px0
    if entry.size is not None and len(numbers) and not _all_within(xy, entry.size):
        first = shapes.first_vertex[numbers]
        end = shapes.first_vertex[numbers + 1]
        bounds = np.stack([first, end], axis=1).reshape(-1)
        xy = np.concatenate([shapes.xy_px0, shapes.xy_px0[-1:]])
        low = np.minimum.reduceat(xy, bounds)[::2]
        high = np.maximum.reduceat(xy, bounds)[::2]
        size = entry.size
        beyond[has] = (
            (high < 0).any(axis=1) | (low[:, 0] > size.width_px) | (low[:, 1] > size.height_px)
        )
    return beyond, elsewhere
