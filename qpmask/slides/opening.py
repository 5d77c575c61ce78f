"""A path becomes an open slide, by the first library that can."""

from __future__ import annotations

from pathlib import Path

from qpmask.errors import MissingExtraError, OptionsError, QpmaskError
from qpmask.slides.slide import Slide
from qpmask.slides.with_openslide import open_with_openslide
from qpmask.slides.with_pillow import open_with_pillow


def _open_with_tifffile(path: Path, series: int = 0) -> Slide:
    from qpmask.slides.with_tifffile import TiffSlide  # takes long to import

    return TiffSlide(path, series)


_OPENERS = (
    ("openslide", open_with_openslide),
    ("tifffile", _open_with_tifffile),
    ("pillow", open_with_pillow),
)


def open_slide(path: Path, series: int | None = None) -> Slide:
    """Open a slide with the first of OpenSlide, tifffile and Pillow that can.

    Parameters
    ----------
    path : Path
        The slide.
    series : int, optional
        Which image of a file with several, as Bio-Formats counts them (``frame.file.series`` of an
        image of a project). By default the main one. Others are opened in OME-TIFFs alone, where
        all readers count alike.

    Raises
    ------
    OptionsError
        None of them can, or there is no such file, or no such series.
    """
    if not path.exists():
        raise OptionsError(f"There is no slide {path}.")
    if series:
        return _open_series(path, series)
    reasons = []
    for name, opener in _OPENERS:
        try:
            return opener(path)
        except Exception as error:  # each library has its own errors, and the next one is asked
            if isinstance(error, QpmaskError) and not isinstance(error, MissingExtraError):
                raise
            reasons.append(f"{name}: {error}")
    raise OptionsError(
        f"The slide {path} cannot be opened ({'; '.join(reasons)}).",
        hint="Convert it, for instance to OME-TIFF, or look at the mask alone.",
    )


def _open_series(path: Path, series: int) -> Slide:
    try:
        return _open_with_tifffile(path, series)
    except Exception as error:
        raise OptionsError(
            f"Series {series} of {path} cannot be opened: {error}.",
            hint="Save it as a file of its own, for instance an OME-TIFF.",
        ) from error
