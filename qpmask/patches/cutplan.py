"""What will be cut of a slide, before tissue is looked for: pixel size, patch size, places."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from qpmask.geometry import PixelSize
from qpmask.patches.lattice import (
    Lattice,
    PatchSize,
    SlideScale,
    make_lattice,
    patch_size,
    slide_scale,
)
from qpmask.patches.options import PatchOptions
from qpmask.patches.patchpixels import level_scales
from qpmask.patches.sources import SlideSource
from qpmask.slides import Slide, open_slide


@dataclass(frozen=True, eq=False)
class CutPlan:
    """What will be cut of a slide: known before tissue is looked for.

    Attributes
    ----------
    slide : Slide
        Open.
    scale : SlideScale
        Its pixels.
    size : PatchSize
        Of its patches.
    lattice : Lattice
        Where they may lie.
    warnings : tuple of str
        What people should know.
    """

    slide: Slide
    scale: SlideScale
    size: PatchSize
    lattice: Lattice
    warnings: tuple[str, ...]


@contextlib.contextmanager
def planned(source: SlideSource, options: PatchOptions) -> Iterator[CutPlan]:
    """A slide, open, and where its patches may lie.

    Raises
    ------
    OptionsError
        It cannot be opened, or its pixels have no size or are coarser than the patches' should be.
    """
    assert source.path is not None
    slide = open_slide(source.path)
    try:
        grid, what = options.grid, source.path.name
        scale, warnings = _scale(source, slide, options)
        size = patch_size(grid, scale, level_scales(slide), what)
        lattice = make_lattice(slide.levels[0], size.patch_px0, size.step_px0, grid.edge)
        if lattice.n_cells == 0:
            warnings.append(
                f"The slide has {slide.levels[0]} pixels, less than a patch of "
                f"{size.patch_px0}; --edge pad would give one."
            )
        if abs(size.mpp / size.target_mpp - 1) > 0.01:
            warnings.append(
                f"A pixel of a patch has {size.mpp:.4g} µm instead of {size.target_mpp:.4g}."
            )
        yield CutPlan(slide, scale, size, lattice, tuple(warnings))
    finally:
        slide.close()


def _scale(
    source: SlideSource, slide: Slide, options: PatchOptions
) -> tuple[SlideScale, list[str]]:
    """The size of a slide's pixels: the user's word, else the slide's, else the project's."""
    assert source.path is not None
    what = source.path.name
    warnings: list[str] = []
    given = source.mpp if source.mpp is not None else options.slide_mpp
    if given is not None:
        pixel = PixelSize(given, given)
        return slide_scale(pixel, slide.magnification, what, "given"), warnings
    own = slide.pixel_size
    entry = source.entry
    if own is None and entry is not None and entry.pixel_size is not None:
        step = entry.frame.matrix.step_x if entry.frame.matrix is not None else 1.0
        pixel = entry.pixel_size.scaled(1 / step)
        return slide_scale(pixel, slide.magnification, what, "project"), warnings
    scale = slide_scale(own, slide.magnification, what)
    if entry is not None and entry.pixel_size is not None and entry.frame.is_whole:
        said = entry.pixel_size.mean_um
        if abs(said / scale.mpp - 1) > 0.01:
            warnings.append(
                f"The slide says {scale.mpp:.4g} µm per pixel, the project {said:.4g}; the "
                "slide is believed (--slide-mpp says otherwise)."
            )
    return scale, warnings
