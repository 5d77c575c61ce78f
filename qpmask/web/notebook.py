"""Masks in a notebook: a frame with the page in it, or a static picture."""

from __future__ import annotations

import atexit
import base64
import html
import threading
from pathlib import Path

import numpy as np

from qpmask.mask import Mask
from qpmask.web.server import Server, link_to, serve

_PICTURE_PX = 800
_servers: dict[Path, Server] = {}
_lock = threading.Lock()


def frame_html(url: str, height_px: int = 600) -> str:
    """A frame with a page in it, as HTML."""
    return (
        f'<iframe src="{html.escape(url, quote=True)}" width="100%" height="{int(height_px)}" '
        'style="border: 1px solid #8888" allowfullscreen></iframe>'
    )


class MaskView:
    """A mask as notebooks show it; made by ``mask.show()``.

    Notebooks take the frame, what cannot show HTML takes the picture, and a terminal the address.

    Attributes
    ----------
    url : str
        Address of the page.
    """

    def __init__(self, mask: Mask, height_px: int) -> None:
        self._mask = mask
        self._height_px = height_px
        self.url = _address(mask)

    def _repr_html_(self) -> str:
        return frame_html(self.url, self._height_px)

    def _repr_png_(self) -> str:
        return base64.b64encode(png_of(self._mask)).decode()

    def __repr__(self) -> str:
        return f"<{self._mask.path.name} at {self.url}>"


def show(mask: Mask, height_px: int = 600) -> MaskView:
    """A mask in the browser; the server ends with this process."""
    return MaskView(mask, height_px)


def png_of(mask: Mask) -> bytes:
    """A static picture of a mask, as PNG."""
    from qpmask.viewer.opening import classes_shown
    from qpmask.viewer.palette import Painter
    from qpmask.viewer.png import encode_png
    from qpmask.viewer.scene import PAPER, lay_over

    painted = Painter(classes_shown(mask)).paint(mask.thumbnail(_PICTURE_PX))
    pixels = np.full((*painted.shape[:2], 3), PAPER, np.uint8)
    lay_over(pixels, painted, 1.0)
    return encode_png(pixels)


def _address(mask: Mask) -> str:
    path = mask.path.absolute()
    with _lock:
        if path not in _servers:
            if not _servers:
                atexit.register(_close_all)
            _servers[path] = serve(path)
        return link_to(_servers[path], path)


def _close_all() -> None:
    for server in _servers.values():
        server.close()
    _servers.clear()
