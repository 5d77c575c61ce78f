"""Where patches lie: one lattice from (0, 0) for the whole slide, in pixels of its level 0.

The size of a patch and the step from one to the next are each rounded once, from the exact value;
what was rounded is what is read, what is recorded and what everything else counts with. Cell
(row, col) has its corner at ``(col * step_px0, row * step_px0)``. Cells are in the order of rows,
and within a row from left to right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qpmask.errors import OptionsError
from qpmask.geometry import PixelSize, Size
from qpmask.patches.options import Edge, GridOptions

#: Pixels of slides have at least and at most so many micrometres: a 100x objective with a fine
#: camera has 0.04, an overview of a whole slide 20.
PLAUSIBLE_UM = (0.04, 20.0)
#: A slide that is coarser than the target by less than this is at the target's resolution: scanners
#: of 20x have 0.494 to 0.504 µm.
_SAME = 0.02
# 256 * 0.5 / 0.25 must not fall below the whole number that it is.
_ROUNDING = 1e-9
_MAX_CELLS = 1 << 31

#: Nominal magnifications by micrometres of a pixel, as AtlasPatch and TRIDENT sort them.
_NOMINAL = ((0.16, 80.0), (0.2, 60.0), (0.3, 40.0), (0.6, 20.0), (1.2, 10.0), (2.4, 5.0))


@dataclass(frozen=True)
class SlideScale:
    """How large the pixels of a slide's level 0 are.

    Attributes
    ----------
    mpp : float
        Micrometres per pixel.
    magnification : float
        Nominal, as the slide says or as its micrometres are sorted.
    source : str
        Where the micrometres are from: ``slide``, ``project``, ``given``.
    """

    mpp: float
    magnification: float
    source: str = "slide"


def slide_scale(
    pixel: PixelSize | None, magnification: float | None, what: str, source: str = "slide"
) -> SlideScale:
    """The scale of a slide, if what it says can be true.

    Parameters
    ----------
    pixel : PixelSize or None
        Of level 0.
    magnification : float or None
        The slide's own.
    what : str
        What messages call the slide.
    source : str
        Where the pixel size is from.

    Raises
    ------
    OptionsError
        The slide has no pixel size, one that no slide has, or pixels that are far from square.
    """
    hint = "Give it with --slide-mpp, or by slide in a table with --mpp-csv."
    if pixel is None:
        raise OptionsError(f"{what} does not say how large its pixels are.", hint=hint)
    low, high = PLAUSIBLE_UM
    if not all(low <= um <= high for um in (pixel.width_um, pixel.height_um)):
        raise OptionsError(
            f"{what} says that its pixels are {pixel.width_um:g} x {pixel.height_um:g} µm large, "
            f"and slides have {low:g} to {high:g} µm.",
            hint=hint,
        )
    if max(pixel.width_um, pixel.height_um) > 1.05 * min(pixel.width_um, pixel.height_um):
        raise OptionsError(
            f"{what} has pixels of {pixel.width_um:g} x {pixel.height_um:g} µm, which are not "
            "square; its patches would not be either.",
            hint="If that is wrong, give the true size with --slide-mpp.",
        )
    mpp = pixel.mean_um
    known = magnification is not None and 0.5 <= magnification <= 400
    return SlideScale(
        mpp, float(magnification or 0) if known else nominal_magnification(mpp), source
    )


def nominal_magnification(mpp: float) -> float:
    """What scanners call a pixel of so many micrometres."""
    for limit, magnification in _NOMINAL:
        if mpp < limit:
            return magnification
    return 10 / mpp


@dataclass(frozen=True)
class Lattice:
    """All cells of a slide.

    Attributes
    ----------
    slide : Size
        Level 0.
    patch_px0, step_px0 : int
        Width and height of a cell, and from one cell to the next, in pixels of level 0.
    n_rows, n_cols : int
        Number of cells.
    """

    slide: Size
    patch_px0: int
    step_px0: int
    n_rows: int
    n_cols: int

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return self.n_rows * self.n_cols

    def x_px0(self) -> NDArray[np.int64]:
        """Left edges of the columns, shape (n_cols,)."""
        return np.arange(self.n_cols, dtype=np.int64) * self.step_px0

    def y_px0(self) -> NDArray[np.int64]:
        """Upper edges of the rows, shape (n_rows,)."""
        return np.arange(self.n_rows, dtype=np.int64) * self.step_px0

    def coords(self, kept: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Corners of the cells that are kept, in the order of rows.

        Parameters
        ----------
        kept : ndarray of bool, shape (n_rows, n_cols)
            Which.

        Returns
        -------
        ndarray of int64, shape (n, 2)
            x and y, pixels of level 0.
        """
        rows, cols = np.nonzero(kept)
        return np.stack([cols, rows], axis=1).astype(np.int64) * self.step_px0

    def padded(self) -> NDArray[np.float32]:
        """Share of each cell that lies beyond the slide, shape (n_rows, n_cols)."""
        size = self.patch_px0
        inside_x = np.clip(self.slide.width_px - self.x_px0(), 0, size)
        inside_y = np.clip(self.slide.height_px - self.y_px0(), 0, size)
        inside = inside_y[:, None].astype(np.float64) * inside_x[None, :]
        return (1 - inside / float(size * size)).astype(np.float32)


def make_lattice(slide: Size, patch_px0: int, step_px0: int, edge: Edge) -> Lattice:
    """The cells of a slide.

    With ``drop`` those that lie within it; with ``pad`` those that have a pixel in it and, for
    overlapping cells, are not needed only to repeat what the one before shows.
    """
    rows, cols = (
        _n_within(length, patch_px0, step_px0)
        if edge == "drop"
        else _n_covering(length, patch_px0, step_px0)
        for length in (slide.height_px, slide.width_px)
    )
    if rows * cols > _MAX_CELLS:
        raise OptionsError(
            f"A slide of {slide} pixels has {rows * cols:,} places for patches at a step of "
            f"{step_px0} pixels, which are too many.",
            hint="Take a larger step.",
        )
    return Lattice(slide, patch_px0, step_px0, rows, cols)


def _n_within(length: int, size: int, step: int) -> int:
    return (length - size) // step + 1 if length >= size else 0


def _n_covering(length: int, size: int, step: int) -> int:
    """Fewest cells that leave no pixel out that cells at this step could show."""
    if length <= size:
        return 1
    needed = -(-(length - size) // step) + 1
    # With gaps between cells the last one may begin beyond the slide.
    return needed if (needed - 1) * step < length else needed - 1


@dataclass(frozen=True)
class PatchSize:
    """How a patch of a slide is read.

    Attributes
    ----------
    patch_px, step_px : int
        At the target resolution.
    patch_px0, step_px0 : int
        At level 0, each rounded once.
    target_mpp, mpp : float
        Micrometres per pixel asked for, and those that the rounded size has.
    target_magnification : float
        10 / `target_mpp`, or as given.
    level : int
        Level of the slide that is read: the smallest that still has a pixel for each of the patch.
    read_px : int
        Width and height of what is read of it.
    level_scale : float
        Pixels of level 0 in one of it.
    """

    patch_px: int
    step_px: int
    patch_px0: int
    step_px0: int
    target_mpp: float
    mpp: float
    target_magnification: float
    level: int
    read_px: int
    level_scale: float

    @property
    def is_exact(self) -> bool:
        """Whether patches are the pixels of the level as they are, without resampling."""
        return (
            self.read_px == self.patch_px
            and self.patch_px0 == self.read_px * self.level_scale
            and self.step_px0 % self.level_scale == 0
        )


def patch_size(
    options: GridOptions, scale: SlideScale, level_scales: Sequence[float], what: str
) -> PatchSize:
    """The size of a slide's patches.

    Parameters
    ----------
    options : GridOptions
        What is asked for.
    scale : SlideScale
        Of the slide.
    level_scales : sequence of float
        Pixels of level 0 in a pixel of each level, level 0 first.
    what : str
        What messages call the slide.

    Raises
    ------
    OptionsError
        The target is finer than the slide.
    """
    if options.by == "magnification":
        assert options.target_mag is not None
        factor = scale.magnification / options.target_mag
        wanted, has = f"{options.target_mag:g}x", f"{scale.magnification:g}x"
        magnification = options.target_mag
        target_mpp = scale.mpp * factor
    else:
        target_mpp = options.target_mpp or 10 / (options.target_mag or 1)
        factor = target_mpp / scale.mpp
        wanted, has = f"{target_mpp:g} µm", f"{scale.mpp:.4g} µm"
        magnification = options.target_mag or 10 / target_mpp
    if factor < 1 - _SAME:
        raise OptionsError(
            f"Patches of {wanted} a pixel are finer than {what}, which has {has}.",
            hint="Take a coarser resolution, or leave this slide out.",
        )
    patch_px0 = max(1, half_up(options.patch_size * factor))
    step_px0 = max(1, half_up(options.step_px * factor))
    down = patch_px0 / options.patch_size
    fitting = [k for k, s in enumerate(level_scales) if s <= down * (1 + 1e-3)] or [0]
    level = max(fitting, key=lambda k: level_scales[k])
    read_px = max(1, half_up(patch_px0 / level_scales[level]))
    return PatchSize(
        patch_px=options.patch_size,
        step_px=options.step_px,
        patch_px0=patch_px0,
        step_px0=step_px0,
        target_mpp=target_mpp,
        mpp=scale.mpp * down,
        target_magnification=magnification,
        level=level,
        read_px=read_px,
        level_scale=float(level_scales[level]),
    )


def half_up(value: float) -> int:
    """The nearest whole number; a half goes up."""
    return math.floor(value + 0.5 + _ROUNDING)
