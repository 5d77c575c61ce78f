"""A picture with its legend as a PNG file, whole or not at all."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qpmask.errors import OptionsError
from qpmask.geometry import Size
from qpmask.outputs import writing
from qpmask.viewer.panel import PanelText, draw_panel, scale_bar
from qpmask.viewer.scene import OUTSIDE, Picture, Scene
from qpmask.viewer.viewport import Viewport


def save_scene(scene: Scene, viewport: Viewport, path: Path) -> Size:
    """Save what a viewport shows, pixel by pixel, with the legend at its right.

    Parameters
    ----------
    scene : Scene
        What there is to see.
    viewport : Viewport
        Which part, on how many pixels.
    path : Path
        The PNG file; an older file is replaced at the very end.

    Returns
    -------
    Size
        Of the PNG in pixels, legend included.

    Raises
    ------
    OptionsError
        The path is not that of a PNG file.
    OutputError
        It cannot be written.
    MaskError
        The mask is damaged there.
    """
    if path.suffix.lower() != ".png":
        raise OptionsError(
            f"A picture cannot be saved as {path.name!r}.", hint="Its name must end in .png."
        )
    page, _ = page_of(scene, viewport)
    write_png(page, path)
    return Size(page.shape[1], page.shape[0])


def page_of(scene: Scene, viewport: Viewport) -> tuple[NDArray[np.uint8], Size]:
    """What :func:`save_scene` saves, and the size of the picture at its left.

    Raises
    ------
    OptionsError, MaskError
        As there.
    """
    picture = scene.picture(viewport)
    if picture.note:
        # On a screen one can zoom in; a file would stay without its slide.
        raise OptionsError(picture.note)
    page = with_legend(picture.pixels, draw_panel(panel_text(scene, picture), picture.legend))
    return page, viewport.out


def panel_text(scene: Scene, picture: Picture, scale: float = 1.0) -> PanelText:
    """What stands above and below the legend of a picture; `scale` as in ``draw_panel``."""
    viewport = picture.viewport
    right = min(scene.size.width_px, viewport.x_px + viewport.width_px)
    bottom = min(scene.size.height_px, viewport.y_px + viewport.height_px)
    left, top = max(0.0, viewport.x_px), max(0.0, viewport.y_px)
    lines = [scene.caption.plane] if scene.caption.plane else []
    if left < right and top < bottom:
        lines.append(f"x {left:,.0f} to {right:,.0f}, y {top:,.0f} to {bottom:,.0f}")
    downsample = viewport.downsample
    lines.append(
        f"1 pixel shows {downsample:.3g} of the mask" if downsample >= 1 else
        f"{1 / downsample:.3g} pixels show 1 of the mask"
    )  # fmt: skip
    if scene.has_slide:
        lines.append(f"slide below, mask at {100 * scene.opacity:.0f} %")
    pixel_um = scene.pixel_size.width_um if scene.pixel_size is not None else None
    return PanelText(
        title=scene.caption.title,
        lines=tuple(lines),
        scale_bar=scale_bar(pixel_um, viewport.downsample, 120 * scale),
        note=picture.note,
    )


def with_legend(picture: NDArray[np.uint8], panel: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture with a panel at its right and a line between them; the lower one is filled up.

    Parameters
    ----------
    picture, panel : ndarray of uint8, shape (rows, columns, 3)
        Side by side, their tops in line.
    """
    height = max(len(picture), len(panel))
    width = picture.shape[1]
    page = np.full((height, width + 1 + panel.shape[1], 3), 255, np.uint8)
    page[:, : width + 1] = OUTSIDE
    page[: len(picture), :width] = picture
    page[: len(panel), width + 1 :] = panel
    return page


def write_png(pixels: NDArray[np.uint8], path: Path) -> None:
    """Write a PNG beside its place, then rename it.

    Raises
    ------
    OutputError
        It cannot be written. Nothing is left then, and an older file stays.
    """
    made = path.with_name(f".{path.name[:80]}.{secrets.token_hex(4)}.part")
    with writing(path, "The picture"):
        try:
            with made.open("xb") as file:
                file.write(encode_png(pixels))
                file.flush()
                os.fsync(file.fileno())
            made.replace(path)
        except BaseException:  # Ctrl-C as well
            with contextlib.suppress(OSError):
                made.unlink()
            raise


def encode_png(pixels: NDArray[np.uint8], about: Mapping[str, str] | None = None) -> bytes:
    """Pixels as the bytes of a PNG file.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (rows, columns, 3)
        Red, green, blue.
    about : mapping of str to str, optional
        What the file says about itself (tEXt), in ASCII.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    texts = PngInfo()
    for name, text in (about or {}).items():
        texts.add_text(name, text)
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, format="PNG", pnginfo=texts)
    return target.getvalue()
