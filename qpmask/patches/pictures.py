"""Pictures for people: the patches upon a small picture of the slide.

Overlays: ``grid`` (the patches as squares), ``labels`` (filled with the colour of their majority
class, with a legend), ``contours`` (where tissue was found), ``mask`` (the classes of the mask).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qpmask.outputs import OutputWriter
from qpmask.patches.maskcount import SlideMask
from qpmask.patches.table import PatchTable
from qpmask.slides import Slide
from qpmask.tissue import TissueArea, slide_picture
from qpmask.viewer.palette import palette_color

_WIDEST_PX = 1600
_LEGEND_PX = 260
_GRID, _CONTOUR = (30, 60, 200), (220, 40, 40)


def overlay(
    slide: Slide, mpp: float, table: PatchTable, kinds: Sequence[str], *,
    tissue: TissueArea | None = None, mask: SlideMask | None = None,
) -> Any:  # fmt: skip
    """The patches upon the slide.

    Parameters
    ----------
    slide : Slide
        The slide.
    mpp : float
        Micrometres of a pixel of level 0.
    table : PatchTable
        The patches.
    kinds : sequence of str
        What to lay over the slide.
    tissue : TissueArea, optional
        Where tissue was found; for ``contours``.
    mask : SlideMask, optional
        The mask; for ``mask``.

    Returns
    -------
    PIL.Image.Image
        With a legend at the right.
    """
    from PIL import Image, ImageDraw

    size = slide.levels[0]
    wanted = max(size.width_px, size.height_px) / _WIDEST_PX
    scales = [max(s) for s in slide.scales]
    small = slide_picture(slide, scales, mpp, max(1.0, wanted) * mpp)
    scale = small.scale
    page = Image.fromarray(small.pixels).convert("RGBA")
    layer = Image.new("RGBA", page.size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    seen = _paint_mask(layer, mask, scale) if "mask" in kinds and mask is not None else set()
    color_of = palette_color if mask is None else mask.color
    side = float(table.attributes["patch_size_level0"]) / scale
    labels = table.labels
    for i, (x, y) in enumerate((table.coords / scale).tolist()):
        box = (x, y, x + side - 1, y + side - 1)
        if "labels" in kinds and labels is not None and labels.majority[i]:
            draw.rectangle(box, fill=(*color_of(int(labels.majority[i])), 110))
        if "grid" in kinds:
            draw.rectangle(box, outline=(*_GRID, 255))
    if "contours" in kinds and tissue is not None:
        _draw_contours(layer, tissue, scale)
    page = Image.alpha_composite(page, layer).convert("RGB")
    rows = [(_GRID, f"patch  {len(table):,}")] if "grid" in kinds else []
    if "contours" in kinds and tissue is not None:
        rows.append((_CONTOUR, "edge of tissue"))
    if labels is not None and {"labels", "mask"} & set(kinds):
        for name, value in zip(labels.names, labels.values.tolist(), strict=True):
            n = int(np.count_nonzero(labels.majority == value))
            if n or value in seen:
                text = name if len(name) < 28 else name[:26] + "..."
                rows.append((color_of(int(value)), f"{text}  {n:,}"))
    return _with_legend(page, rows)


def _draw_contours(layer: Any, tissue: TissueArea, scale: float) -> None:
    """The edge of the tissue, two pixels wide."""
    from PIL import Image

    found = tissue.found
    inner = np.zeros_like(found)
    inner[1:-1, 1:-1] = (
        found[1:-1, 1:-1] & found[:-2, 1:-1] & found[2:, 1:-1] & found[1:-1, :-2] & found[1:-1, 2:]
    )
    edge = Image.fromarray(((found & ~inner) * 255).astype(np.uint8))
    shown = tuple(round(n * tissue.scale / scale) for n in (found.shape[1], found.shape[0]))
    edge = edge.resize(shown, Image.Resampling.BOX).point(lambda v: 255 if v > 40 else 0)
    layer.paste((*_CONTOUR, 255), (0, 0), edge)


def _paint_mask(layer: Any, mask: SlideMask, scale: float) -> set[int]:
    """The labels of a mask where they lie upon the slide, each pixel picked from its middle.

    Returns which labels there are.
    """
    from PIL import Image

    labels, step = mask.small(max(1.0, scale / max(mask.to_file.step_x, 1e-9)))
    back = mask.to_file.inverse()
    x = (np.arange(layer.width) + 0.5) * scale
    y = (np.arange(layer.height) + 0.5) * scale
    col = ((back.a * x)[None, :] + (back.b * y)[:, None] + back.c) / step
    row = ((back.d * x)[None, :] + (back.e * y)[:, None] + back.f) / step
    inside = (col >= 0) & (row >= 0) & (col < labels.shape[1]) & (row < labels.shape[0])
    seen = np.zeros(inside.shape, labels.dtype)
    seen[inside] = labels[row[inside].astype(np.int64), col[inside].astype(np.int64)]
    colors = np.zeros((*seen.shape, 4), np.uint8)
    found = {int(label) for label in np.unique(seen[seen > 0])}
    for label in found:
        colors[seen == label] = (*mask.color(label), 110)
    layer.alpha_composite(Image.fromarray(colors))
    return found


def _with_legend(page: Any, rows: list[tuple[tuple[int, int, int], str]]) -> Any:
    """The page with what its colours mean beside it; classes with the number of their patches."""
    from PIL import Image, ImageDraw

    if not rows:
        return page
    out = Image.new("RGB", (page.width + _LEGEND_PX, page.height), (255, 255, 255))
    out.paste(page, (0, 0))
    draw = ImageDraw.Draw(out)
    left, y = page.width + 10, 8
    for color, text in rows:
        if y + 18 > page.height:
            break
        draw.rectangle((left, y, left + 12, y + 12), fill=color)
        draw.text((left + 20, y), text.encode("latin-1", "replace").decode("latin-1"),
                  fill=(0, 0, 0))  # fmt: skip
        y += 18
    return out


def save_overlay(image: Any, writer: OutputWriter, target: str) -> None:
    """Give a picture its name, whole or not at all."""
    part = writer.work_file(Path(target).name + ".part.png")
    image.save(part, format="PNG")
    (writer.path / target).parent.mkdir(parents=True, exist_ok=True)
    writer.publish(part, target)
