"""``qpmask.save_picture``: a mask, or a part of one, as a PNG file with its legend."""

from __future__ import annotations

import os
from pathlib import Path

from qpmask.common.arguments import check_kind, named, number, path_of, whole_number
from qpmask.errors import OptionsError, WrongTypeError
from qpmask.geometry import Size
from qpmask.viewer.opening import open_scene
from qpmask.viewer.png import save_scene
from qpmask.viewer.viewport import picture_viewport


@named
def save_picture(
    mask: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    slide: str | os.PathLike[str] | None = None,
    region: tuple[int, int, int, int] | None = None,
    downsample: float | None = None,
    opacity: float | None = None,
    plane: int | str | None = None,
) -> Size:
    """Save a picture of a mask, with its legend and the slide below. Needs no screen.

    Parameters
    ----------
    mask : path-like
        A mask of ours or of QuPath, or any TIFF of labels.
    path : path-like
        The PNG file; an older one is replaced once the new one is whole.
    slide : path-like, optional
        The slide to lay under the mask, where the mask's frame or the sizes allow it.
    region : tuple of int, optional
        (x_px, y_px, width_px, height_px) in pixels of the mask at full resolution; by default all
        of it.
    downsample : float, optional
        Pixels of the mask in a pixel of the picture; below 1 magnifies. By default the region takes
        1,400 pixels at most.
    opacity : float, optional
        Of the mask, 0 to 1; by default 0.5 over a slide, else 1.
    plane : int or str, optional
        Number or channel name of a plane; the first one by default.

    Returns
    -------
    Size
        Of the PNG, legend included.

    Raises
    ------
    MissingExtraError
        The extra ``view`` is not installed.
    OptionsError
        The slide cannot be opened or lies elsewhere, or an argument makes no sense.
    MaskError
        The file is no mask, or damaged.
    OutputError
        The picture cannot be written.

    Examples
    --------
    ``qpmask.save_picture("masks/A.ome.tif", "A.png", slide="A.svs", opacity=0.4)``
    """
    source, target = path_of(mask, "mask"), path_of(path, "path")
    below = None if slide is None else path_of(slide, "slide")
    check_kind(plane, int | str | None, "plane", "a number or a name")
    step = None if downsample is None else number(downsample, "downsample")
    cover = None if opacity is None else number(opacity, "opacity")
    check_target(target, source, below)
    name = None if plane is None else str(plane)
    with open_scene(source, plane=name, slide_path=below, opacity=cover) as scene:
        return save_scene(scene, picture_viewport(scene.size, _region(region), step), target)


def check_target(target: Path | None, *sources: Path | None) -> None:
    """Raise OptionsError if the picture would take the place of what it shows."""
    for source in sources:
        if (
            target is not None
            and source is not None
            and target.exists()
            and source.exists()
            and target.samefile(source)
        ):
            raise OptionsError(
                f"{target} is what should be looked at.", hint="Save the picture elsewhere."
            )


def _region(region: object) -> tuple[int, int, int, int] | None:
    if region is None:
        return None
    if not isinstance(region, tuple | list) or len(region) != 4:
        raise WrongTypeError(
            f"region is {region!r}; it must be four whole numbers: x, y, width, height."
        )
    x_px, y_px, width_px, height_px = (whole_number(value, "region") for value in region)
    return x_px, y_px, width_px, height_px
