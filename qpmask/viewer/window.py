"""The window: a mask with pan, zoom and a legend, on whatever toolkit matplotlib finds.

matplotlib draws windows with Tk, Qt, GTK, wx, macOS or a browser and has kept doing so for twenty
years; which one it is does not matter here. Whenever it draws, the pixels that the window shows
are read at the level that fits, so a screen pixel is never stretched from another's.

Mouse: drag to move, wheel to zoom. Keys: arrows move, + and - zoom, Home shows everything, space
hides and shows the mask, [ and ] change its opacity, q closes. The toolbar works as everywhere.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.errors import OptionsError, QpmaskError
from qpmask.geometry import Size
from qpmask.viewer.panel import WIDTH_PX, PanelText, draw_panel
from qpmask.viewer.png import panel_text
from qpmask.viewer.scene import OUTSIDE, Picture, Scene
from qpmask.viewer.viewport import MAX_ZOOM, Viewport

_DRAWS_FILES_ONLY = {"agg", "cairo", "pdf", "pgf", "ps", "svg", "template"}
_WINDOW_INCHES = (13.0, 8.0)
_FAST_SECONDS = 0.15  # what may be read again while the mouse drags
_SAVE_HINT = "Use --save FILE.png to get a picture instead."


@dataclass(frozen=True)
class FirstView:
    """What a window shows when it opens.

    Parameters
    ----------
    region : tuple of int
        x, y, width and height in pixels of the mask's level 0.
    downsample : float, optional
        Pixels of level 0 in a pixel of the screen, about the middle of the region. By default all
        of the region is shown.
    """

    region: tuple[int, int, int, int]
    downsample: float | None = None


def show(scene: Scene, first: FirstView) -> None:
    """Open a window and stay until it is closed.

    Raises
    ------
    OptionsError
        There is no screen, or no toolkit to draw a window with.
    """
    pyplot = _pyplot()
    # Letters that matplotlib takes for itself, such as l for logarithmic axes, mean nothing here.
    unused = ("grid", "grid_minor", "home", "xscale", "yscale")
    keys: dict[str, Any] = {f"keymap.{name}": [] for name in unused}
    # Its arrows for these two move the mask here.
    keys["keymap.back"] = ["backspace", "MouseButton.BACK"]
    keys["keymap.forward"] = ["shift+backspace", "MouseButton.FORWARD"]
    with pyplot.rc_context({"toolbar": "toolbar2", **keys}):
        figure = pyplot.figure(scene.caption.title, figsize=_WINDOW_INCHES, facecolor="white")
        window = MaskWindow(scene, figure, first)
        window.start_panning()
        try:
            pyplot.show(block=True)
        finally:
            pyplot.close(figure)


class MaskWindow:
    """The content of a window: a matplotlib figure that follows the mouse and the keys.

    Parameters
    ----------
    scene : Scene
        What there is to see.
    figure : matplotlib.figure.Figure
        An empty figure with a canvas; any backend.
    first : FirstView
        What to show first.
    """

    def __init__(self, scene: Scene, figure: Any, first: FirstView) -> None:
        self.scene = scene
        self.figure = figure
        self.picture: Picture | None = None
        self.problem: str | None = None
        self._first = first
        self._opacity = scene.opacity
        self._panel: NDArray[np.uint8] | None = None
        self._panel_key: object = None
        self._seconds = 0.0
        self._drawn_opacity: float | None = None
        self._is_dragging = False
        self.axes: Any = figure.add_axes((0, 0, 1, 1), label="mask")
        self.axes.set_axis_off()
        self.axes.set_aspect("equal", adjustable="datalim")
        self.axes.set_autoscale_on(False)
        self.axes.format_coord = self._describe
        self._add_artist()
        self._lay_out()
        self._show_first(first)
        for event, handler in (
            ("resize_event", self._on_resize),
            ("key_press_event", self._on_key),
            ("scroll_event", self._on_scroll),
            ("button_press_event", self._on_button),
            ("button_release_event", self._on_release),
        ):
            figure.canvas.mpl_connect(event, handler)

    # --- what is shown ------------------------------------------------------------------------

    @property
    def viewport(self) -> Viewport:
        """What the axes show now."""
        x0, x1 = map(float, self.axes.get_xlim())
        y1, y0 = map(float, self.axes.get_ylim())
        box = self.axes.bbox
        out = Size(max(1, round(box.width)), max(1, round(box.height)))
        # The axes are never empty, but the toolbar's zoom may make them very small.
        downsample = max((x1 - x0) / out.width_px, 1e-6)
        middle_y = (y0 + y1) / 2
        return Viewport(x0, middle_y - out.height_px * downsample / 2, downsample, out)

    def look_at(self, x_px: float, y_px: float, downsample: float) -> None:
        """Show the surroundings of a point.

        Parameters
        ----------
        x_px, y_px : float
            What is in the middle, in pixels of the mask's level 0.
        downsample : float
            Pixels of level 0 in a pixel of the screen.
        """
        box = self.axes.bbox
        size = self.scene.size
        most = 4 * max(size.width_px / box.width, size.height_px / box.height, 1 / MAX_ZOOM)
        downsample = min(max(downsample, 1 / MAX_ZOOM), most)
        # The middle stays in the mask, so that one cannot get lost.
        x_px = min(max(x_px, 0), size.width_px)
        y_px = min(max(y_px, 0), size.height_px)
        half_width, half_height = box.width * downsample / 2, box.height * downsample / 2
        self.axes.set_xlim(x_px - half_width, x_px + half_width)
        self.axes.set_ylim(y_px + half_height, y_px - half_height)
        self.figure.canvas.draw_idle()

    def show_region(self, region: tuple[int, int, int, int]) -> None:
        """Show all of a region (x, y, width, height in pixels of level 0)."""
        x, y, width, height = region
        box = self.axes.bbox
        downsample = max(width / box.width, height / box.height)
        self.look_at(x + width / 2, y + height / 2, downsample)

    def zoom(self, factor: float, about: tuple[float, float] | None = None) -> None:
        """Zoom in by a factor (out below 1), about a point of the mask or the middle."""
        now = self.viewport
        middle_x = now.x_px + now.width_px / 2
        middle_y = now.y_px + now.height_px / 2
        x, y = about or (middle_x, middle_y)
        self.look_at(
            x + (middle_x - x) / factor, y + (middle_y - y) / factor, now.downsample / factor
        )
        self._remember_view()

    def move(self, columns: float, rows: float) -> None:
        """Move by parts of the window's width and height."""
        now = self.viewport
        self.look_at(
            now.x_px + (0.5 + columns) * now.width_px,
            now.y_px + (0.5 + rows) * now.height_px,
            now.downsample,
        )
        self._remember_view()

    def start_panning(self) -> None:
        """Let the mouse drag the mask, as if the toolbar's button had been pressed."""
        toolbar = getattr(self.figure.canvas.manager, "toolbar", None)
        if toolbar is not None and hasattr(toolbar, "pan"):
            toolbar.pan()
        self._remember_view()

    # --- drawing ------------------------------------------------------------------------------

    def draw(self, renderer: Any) -> None:
        """Paint the window; matplotlib calls this whenever it draws."""
        place = self.axes.bbox
        picture = self._current_picture()
        if picture is not None:
            _paint(renderer, picture.pixels, self._place_of(picture), place)
        panel = self._current_panel(picture)
        _, height = self.figure.canvas.get_width_height(physical=True)
        _paint_at(renderer, panel, round(place.x1), height - panel.shape[0])

    def _current_picture(self) -> Picture | None:
        viewport = self.viewport
        last = self.picture
        is_current = (
            last is not None
            and last.viewport == viewport
            and self._drawn_opacity == self.scene.opacity
        )
        if is_current or (last is not None and self._is_dragging and self._seconds > _FAST_SECONDS):
            return last
        start = time.perf_counter()
        try:
            self.picture = self.scene.picture(viewport)
            self.problem = None
        except QpmaskError as error:
            # The window stays: other parts of the mask may be whole.
            self.problem = str(error)
            self.picture = None
        self._drawn_opacity = self.scene.opacity
        self._seconds = time.perf_counter() - start
        return self.picture

    def _current_panel(self, picture: Picture | None) -> NDArray[np.uint8]:
        rows = picture.legend if picture is not None else ()
        if picture is None:
            text = PanelText(self.scene.caption.title, note=self.problem)
        else:
            text = panel_text(self.scene, picture, self._scale)
        _, height = self.figure.canvas.get_width_height(physical=True)
        key = text, rows, height, self._scale
        if self._panel is None or key != self._panel_key:
            self._panel = draw_panel(text, rows, height_px=height, scale=self._scale)
            self._panel_key = key
        return self._panel

    def _place_of(self, picture: Picture) -> tuple[int, int, int, int]:
        """Where a picture lies in the window: left, bottom, width, height in pixels."""
        now, was, box = self.viewport, picture.viewport, self.axes.bbox
        left = box.x0 + (was.x_px - now.x_px) / now.downsample
        top = box.y1 - (was.y_px - now.y_px) / now.downsample
        width = was.width_px / now.downsample
        height = was.height_px / now.downsample
        return round(left), round(top - height), max(1, round(width)), max(1, round(height))

    @property
    def _scale(self) -> float:
        return float(self.figure.dpi) / 100

    def _add_artist(self) -> None:
        from matplotlib.artist import Artist

        window = self

        class _Content(Artist):
            def draw(self, renderer: Any) -> None:
                window.draw(renderer)

        self._content = _Content()
        self.figure.add_artist(self._content)

    def _lay_out(self) -> None:
        """The legend has a fixed width, the mask takes the rest."""
        width, _ = self.figure.canvas.get_width_height(physical=True)
        part = max(0.2, 1 - WIDTH_PX * self._scale / max(1, width))
        self.axes.set_position((0, 0, part, 1))

    def _show_first(self, first: FirstView) -> None:
        if first.downsample is None:
            self.show_region(first.region)
        else:
            x, y, width, height = first.region
            self.look_at(x + width / 2, y + height / 2, first.downsample)

    def _describe(self, x_px: float, y_px: float) -> str:
        try:
            return self.scene.describe(x_px, y_px)
        except QpmaskError as error:
            return str(error)

    def _remember_view(self) -> None:
        """For the toolbar's back and forward."""
        toolbar = getattr(self.figure.canvas.manager, "toolbar", None)
        if toolbar is not None and hasattr(toolbar, "push_current"):
            toolbar.push_current()

    # --- events -------------------------------------------------------------------------------

    def _on_resize(self, event: Any) -> None:
        self._lay_out()
        if self.picture is None:  # nothing was seen yet
            self._show_first(self._first)
            return
        # The axes' limits belong to the old size, so what was drawn last counts.
        before = self.picture.viewport
        self.look_at(
            before.x_px + before.width_px / 2,
            before.y_px + before.height_px / 2,
            before.downsample,
        )

    def _on_key(self, event: Any) -> None:
        steps = {"left": (-0.25, 0), "right": (0.25, 0), "up": (0, -0.25), "down": (0, 0.25)}
        key = event.key
        if key in steps:
            self.move(*steps[key])
        elif key in ("+", "=", "ctrl++", "ctrl+="):
            self.zoom(1.5)
        elif key in ("-", "_", "ctrl+-"):
            self.zoom(1 / 1.5)
        elif key in ("home", "h", "0"):
            self.show_region((0, 0, self.scene.size.width_px, self.scene.size.height_px))
            self._remember_view()
        elif key == " ":
            self.scene.opacity = 0.0 if self.scene.opacity else self._opacity or 1.0
            self.figure.canvas.draw_idle()
        elif key in ("[", "]"):
            step = 0.1 if key == "]" else -0.1
            self._opacity = self.scene.opacity = min(
                max(round(self.scene.opacity + step, 2), 0.0), 1.0
            )
            self.figure.canvas.draw_idle()

    def _on_scroll(self, event: Any) -> None:
        # With Ctrl, matplotlib zooms by itself.
        if event.inaxes is self.axes and event.key != "control":
            self.zoom(1.25**event.step, (event.xdata, event.ydata))

    def _on_button(self, event: Any) -> None:
        self._is_dragging = True

    def _on_release(self, event: Any) -> None:
        self._is_dragging = False
        self.figure.canvas.draw_idle()


def _paint(
    renderer: Any, pixels: NDArray[np.uint8], box: tuple[int, int, int, int], clip: Any
) -> None:
    """Draw pixels into a box of the window, cut at the edges of the mask's part of it.

    The box is the picture's own but while the mouse drags, until the next picture is read.
    """
    left, bottom, width, height = box
    page_left, page_bottom = round(clip.x0), round(clip.y0)
    page_height, page_width = max(1, round(clip.height)), max(1, round(clip.width))
    if (left, bottom) != (page_left, page_bottom) or pixels.shape[:2] != (page_height, page_width):
        # Which pixel of the picture lies where on the page, if any.
        rows = (np.arange(page_height) - (page_bottom + page_height - bottom - height)) / height
        cols = (np.arange(page_width) - (left - page_left)) / width
        seen_rows, seen_cols = (rows >= 0) & (rows < 1), (cols >= 0) & (cols < 1)
        page = np.full((page_height, page_width, 3), OUTSIDE, np.uint8)
        page[np.ix_(seen_rows, seen_cols)] = pixels[
            np.ix_(
                (rows[seen_rows] * pixels.shape[0] + 1e-6).astype(int),
                (cols[seen_cols] * pixels.shape[1] + 1e-6).astype(int),
            )
        ]
        pixels = page
    _paint_at(renderer, pixels, page_left, page_bottom)


def _paint_at(renderer: Any, pixels: NDArray[np.uint8], left: int, bottom: int) -> None:
    rgba = np.empty((*pixels.shape[:2], 4), np.uint8)
    rgba[:, :, :3] = pixels[::-1]  # matplotlib's y points up
    rgba[:, :, 3] = 255
    renderer.draw_image(renderer.new_gc(), left, bottom, rgba)


def _pyplot() -> Any:
    """Pyplot with a backend that has windows."""
    from matplotlib import pyplot

    try:
        pyplot.switch_backend(pyplot.get_backend())
        backend = str(pyplot.get_backend()).lower()
    except ImportError as error:
        why = "there is no screen here" if "headless" in str(error) else str(error)
        raise OptionsError(f"No window can be opened: {why}.", hint=_SAVE_HINT) from error
    if backend not in _DRAWS_FILES_ONLY:
        return pyplot
    has_screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not has_screen:
        raise OptionsError("No window can be opened: there is no screen here.", hint=_SAVE_HINT)
    raise OptionsError(
        f"No window can be opened: matplotlib has only {backend!r}, which draws files.",
        hint="If there is a screen, install a window toolkit: python3-tk from the system, or "
        "pip install PySide6. " + _SAVE_HINT,
    )
