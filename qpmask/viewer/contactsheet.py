"""All pictures of a folder on one page, each with its name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qpmask.geometry import Size
from qpmask.viewer.panel import draw_captions
from qpmask.viewer.scene import OUTSIDE

_CELL_PX = 220
_SMALLEST_CELL_PX = 96
_SHEET_PX = 40_000_000  # of thousands of images, each is shown smaller
_GAP_PX = 12


@dataclass(frozen=True)
class Contact:
    """One picture of a sheet.

    Parameters
    ----------
    caption : str
        What stands under it.
    path : Path
        A PNG file with the picture at its upper left.
    size : Size
        Of the picture, without the legend at its right.
    """

    caption: str
    path: Path
    size: Size


def contact_sheet(contacts: Sequence[Contact]) -> NDArray[np.uint8]:
    """Put pictures side by side, row by row, on a page about as wide as it is high.

    Returns
    -------
    ndarray of uint8, shape (rows, columns, 3)
    """
    cell_px = min(_CELL_PX, max(_SMALLEST_CELL_PX, math.isqrt(_SHEET_PX // len(contacts))))
    n_cols = math.ceil(math.sqrt(len(contacts)))
    step = cell_px + _GAP_PX
    rows = []
    for first in range(0, len(contacts), n_cols):
        group = contacts[first : first + n_cols]
        pictures = [_shrunk(contact, cell_px) for contact in group]
        height_px = _GAP_PX + max(map(len, pictures))
        row = np.full((height_px, n_cols * step + _GAP_PX, 3), 255, np.uint8)
        for k, picture in enumerate(pictures):
            left = _GAP_PX + k * step + (cell_px - picture.shape[1]) // 2
            row[height_px - len(picture) :, left : left + picture.shape[1]] = picture
        captions = draw_captions([contact.caption for contact in group], cell_px, _GAP_PX, n_cols)
        rows += [row, captions]
    return np.concatenate(rows)


def _shrunk(contact: Contact, cell_px: int) -> NDArray[np.uint8]:
    from PIL import Image

    with Image.open(contact.path) as page:
        picture = page.convert("RGB").crop((0, 0, contact.size.width_px, contact.size.height_px))
    picture.thumbnail((cell_px - 2, cell_px - 2))
    framed: NDArray[np.uint8] = np.full(
        (picture.height + 2, picture.width + 2, 3), OUTSIDE, np.uint8
    )
    framed[1:-1, 1:-1] = np.asarray(picture)
    return framed
