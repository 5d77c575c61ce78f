"""Opens what is to be looked at: a mask, and the slide under it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from qpmask.classes.names import UNCLASSIFIED, same_class
from qpmask.collection.flatmask import CollectionMask
from qpmask.collection.opening import open_mask
from qpmask.errors import FrameError, OptionsError
from qpmask.geometry import Size
from qpmask.mask import Mask
from qpmask.ometiff.omexml import ClassRow, Color
from qpmask.outputs import instance_classes
from qpmask.project import composed_form
from qpmask.slides import Slide, open_slide
from qpmask.viewer.alignment import Alignment, align, place
from qpmask.viewer.palette import palette_color
from qpmask.viewer.requirements import require_view
from qpmask.viewer.sampling import Sampler
from qpmask.viewer.scene import Caption, Scene

_MOST_LOOKED_AT_PX = 16 << 20  # of small levels, to find a plane with labels
_CACHE_BYTES = 16 * 2**20  # 64 tiles of 512 x 512 pixels of 8 bits: more than a screen shows


@contextlib.contextmanager
def open_scene(
    path: Path,
    *,
    plane: str | None = None,
    slide_path: Path | None = None,
    opacity: float | None = None,
) -> Iterator[Scene]:
    """Open a mask and its slide for looking; both are closed at the end of the block.

    Parameters
    ----------
    path : Path
        A mask: ours, QuPath's, or any TIFF of labels.
    plane : str, optional
        Number or channel name of a plane; the first one by default.
    slide_path : Path, optional
        The slide under it.
    opacity : float, optional
        Of the mask, 0 to 1; by default 0.5 over a slide, else 1.

    Raises
    ------
    MissingExtraError
        The extra ``view`` is not installed.
    OptionsError
        There is no such plane, or the slide cannot be opened or is another
        mask's.
    FrameError
        Where the mask lies in its file is not known, or the slide is another
        file.
    MaskError
        The file is no mask, or damaged.
    """
    require_view()
    if opacity is None:
        opacity = 1.0 if slide_path is None else 0.5
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(open_mask(path, cache_bytes=_CACHE_BYTES))
        mask = _first_labelled(first) if plane is None else _plane_of(first, plane)
        slide = alignment = None
        if slide_path is not None:
            slide = open_slide(slide_path, series_of(first))
            stack.callback(slide.close)
            alignment = _named(lay_upon(mask, slide), mask, slide_path)
        yield Scene(
            Sampler(mask),
            classes_shown(mask),
            Caption(path.name, plane_name(mask)),
            pixel_size=mask.pixel_size,
            slide=slide,
            alignment=alignment,
            opacity=opacity,
            note=" ".join(filter(None, (mask.note, _other_planes(mask, plane)))) or None,
        )


def series_of(mask: Mask) -> int | None:
    """Which image of its file the mask was made of.

    Raises
    ------
    FrameError
        That was chosen by its name.
    """
    file = mask.frame.file if mask.frame is not None else None
    if file is not None and file.series_name is not None:
        raise FrameError(
            f"The image is the series {file.series_name!r} of {file.name}, chosen by its name; "
            "which one that is only QuPath knows.",
            hint="Open and save the image in QuPath once, or look at the mask alone.",
        )
    return file.series if file is not None else None


def lay_upon(mask: Mask, slide: Slide) -> Alignment:
    """Where the mask lies upon the slide: as it says itself, else as the sizes have it."""
    if mask.frame is not None:
        return place(mask.frame, slide.levels[0], slide.bounds)
    return align(
        mask.levels[0].size,
        slide.levels[0],
        slide.bounds,
        image=image_size(mask),
        mask_pixel=mask.pixel_size,
        slide_pixel=slide.pixel_size,
    )


def _named(alignment: Alignment, mask: Mask, slide_path: Path) -> Alignment:
    """Say so where the slide has another name than the one that the mask was made of."""
    file = mask.frame.file if mask.frame is not None else None
    if file is None or not file.name or composed_form(file.name) == composed_form(slide_path.name):
        return alignment
    note = f"The mask was made of {file.name}; this slide is {slide_path.name}."
    return replace(alignment, note=f"{alignment.note} {note}" if alignment.note else note)


def _first_labelled(mask: Mask) -> Mask:
    """The first plane with a label in its smallest level; plane 0 of large ones, or if none has."""
    if isinstance(mask, CollectionMask):
        return mask.middle()
    smallest = mask.levels[-1].size
    if mask.n_planes == 1 or smallest.area_px * mask.n_planes > _MOST_LOOKED_AT_PX:
        return mask
    for number in range(mask.n_planes):
        one = mask.plane(*plane_position(mask, number))
        if one.thumbnail(max(smallest.width_px, smallest.height_px)).any():
            return one
    return mask


def _other_planes(mask: Mask, plane: str | None) -> str | None:
    """Which plane is shown, and how others are; None where that was asked for, or there is one."""
    if plane is not None or mask.n_planes == 1:
        return None
    return f"Shown is {plane_name(mask)}; --plane N|NAME shows another one."


def _plane_of(mask: Mask, plane: str) -> Mask:
    names = mask.metadata.channel_names if mask.metadata is not None else ()
    if any(same_class(plane, name) for name in names) or not plane.isdecimal():
        one = mask.plane(plane)
        return one.middle() if isinstance(one, CollectionMask) else one
    if int(plane) >= mask.n_planes:
        raise OptionsError(
            f"{mask.path} has no plane {plane}.",
            hint=f"Its planes are 0 to {mask.n_planes - 1}."
            if mask.n_planes > 1
            else "It has one plane, 0.",
        )
    c, z, t = plane_position(mask, int(plane))
    return mask.plane(c, z, t)


def plane_position(mask: Mask, plane: int) -> tuple[int, int, int]:
    """Channel, slice and time point of a plane; all are channels where the file does not say."""
    m = mask.metadata
    if m is None or m.n_planes != mask.n_planes:
        return plane, 0, 0
    z_and_t, c = divmod(plane, m.size_c)
    t, z = divmod(z_and_t, m.size_z)
    return c, z, t


def plane_name(mask: Mask) -> str | None:
    """What to call the plane of a mask that has several."""
    if mask.n_planes == 1:
        return None
    words = f"plane {mask.plane_number} of {mask.n_planes} (0 to {mask.n_planes - 1})"
    names = mask.metadata.channel_names if mask.metadata is not None else ()
    c, _, _ = plane_position(mask, mask.plane_number)
    return f"{words}: {names[c]}" if c < len(names) else words


def classes_shown(mask: Mask) -> Mapping[int, ClassRow]:
    """The class table, with colours from where the file has them.

    Of an instance mask: the class and the number of each object.
    """
    named = {} if mask.classes else instance_classes(mask.path)
    if named:
        return {
            label: ClassRow(label, f"{name or UNCLASSIFIED} #{label}", None)
            for label, name in named.items()
        }
    if not mask.classes:
        return {label: ClassRow(label, "", color) for label, color in _palette(mask).items()}
    m = mask.metadata
    if m is None or m.classes or "channel_labels" not in m.extra:
        return mask.classes
    # In a file with a plane a class, each gets its channel's colour, or that of its own label.
    labels = m.extra["channel_labels"].split(",")
    c, _, _ = plane_position(mask, mask.plane_number)
    if c >= len(labels) or not labels[c].isdecimal() or int(labels[c]) < 1:
        return mask.classes
    color = (m.channel_colors[c] if m.channel_colors else None) or palette_color(int(labels[c]))
    return {
        label: row if row.color else replace(row, color=color)
        for label, row in mask.classes.items()
    }


def _palette(mask: Mask) -> dict[int, Color]:
    """Colours of the TIFF's own palette, by label; QuPath writes the classes' colours there.

    QuPath's has as many entries as there are labels rather than 256, which TIFF asks for.
    """
    import tifffile

    try:
        with tifffile.TiffFile(mask.path) as tif:
            tag = tif.pages[0].tags.get(320)
            values = np.asarray(() if tag is None else tag.value, np.uint16)
    except Exception:  # the mask could be opened; its colours do not matter so much
        return {}
    if values.size == 0 or values.size % 3:
        return {}
    colors = (values.reshape(3, -1).T >> 8).tolist()
    return {label: (red, green, blue) for label, (red, green, blue) in enumerate(colors) if label}


def image_size(mask: Mask) -> Size | None:
    """Size of the image that the mask was drawn for, where the mask says so."""
    extra = mask.metadata.extra if mask.metadata is not None else {}
    lengths = extra.get("image_width_px", ""), extra.get("image_height_px", "")
    if not all(length.isdecimal() for length in lengths):
        return None
    return Size(int(lengths[0]), int(lengths[1]))
