"""The legend as pixels, drawn by matplotlib's Agg: the same in the window and in a saved picture.

matplotlib brings a font (DejaVu) for most alphabets; for the others (Chinese, Japanese, Korean...)
a font of the system is taken where there is one, glyph by glyph. What no font has becomes a box,
and the label before the name still tells which class it is.
"""

from __future__ import annotations

import functools
import math
import unicodedata
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.viewer.legend import LegendRow, fitting

WIDTH_PX = 340  # at a scale of 1
SHARE_TITLE = "share of the pixels shown"

_MARGIN, _LINE, _SWATCH, _FONT_PX = 12.0, 17.0, 13.0, 12.0
_SHARE_WIDTH = 62.0
_INK, _FAINT, _RULE = "#202020", "#606060", "#c8c8c8"
_MAX_NAME_LINES = 3
_MOST_ROWS = 60  # of a panel whose height is free

#: Fonts with many of the letters that DejaVu lacks, as systems call them.
_SYSTEM_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei", "Droid Sans Fallback", "IPAGothic", "NanumGothic", "PingFang SC",
    "PingFang HK", "Hiragino Sans", "Hiragino Sans GB", "Heiti TC", "Apple SD Gothic Neo",
    "Arial Unicode MS", "Microsoft YaHei", "SimHei", "Yu Gothic", "MS Gothic", "Malgun Gothic",
    "Noto Sans", "Noto Sans Devanagari", "Noto Sans Thai", "Nirmala UI", "Leelawadee UI",
    "Segoe UI", "Segoe UI Symbol",
)  # fmt: skip


@dataclass(frozen=True)
class PanelText:
    """What stands in a panel besides the classes.

    Parameters
    ----------
    title : str
        Name of the mask.
    lines : tuple of str
        Further lines under it: the region, the plane, the slide.
    scale_bar : tuple of (float, str), optional
        Length in pixels of the picture, and what it stands for.
    note : str, optional
        A warning, shown last.
    """

    title: str
    lines: tuple[str, ...] = ()
    scale_bar: tuple[float, str] | None = None
    note: str | None = None


def draw_panel(
    text: PanelText,
    rows: tuple[LegendRow, ...],
    *,
    height_px: int | None = None,
    scale: float = 1.0,
) -> NDArray[np.uint8]:
    """Draw a legend.

    Parameters
    ----------
    text : PanelText
        What stands above and below the classes.
    rows : tuple of LegendRow
        The classes.
    height_px : int, optional
        Height of the panel; classes that do not fit are counted instead. By default as high as
        all of them take.
    scale : float
        Pixels of the screen in a pixel of the design: 2 on a screen with fine pixels.

    Returns
    -------
    ndarray of uint8, shape (rows, round(WIDTH_PX * scale), 3)
    """
    with _quiet_about_glyphs():
        return _draw(text, rows, height_px, scale)


def nice_length(least: float, most: float) -> float:
    """The greatest of 1, 2 and 5 times a power of ten that is at most `most`.

    Parameters
    ----------
    least, most : float
        More than 0; `least` is returned if even that is more than `most`.
    """
    if most <= least:
        return least
    power = 10.0 ** math.floor(math.log10(most))
    for factor in (5, 2, 1):
        if factor * power <= most * (1 + 1e-9):
            return max(least, factor * power)
    return least


def scale_bar(
    pixel_um: float | None, downsample: float, room_px: float = 120
) -> tuple[float, str] | None:
    """Length of a scale bar in pixels of the picture, and its text.

    Parameters
    ----------
    pixel_um : float, optional
        Width of a pixel of the mask's level 0; without it the bar counts those pixels.
    downsample : float
        Pixels of level 0 in a pixel of the picture.
    room_px : float
        How long it may be, in pixels of the picture.
    """
    per_pixel = downsample if pixel_um is None else downsample * pixel_um
    if not per_pixel > 0:
        return None
    length = nice_length(1e-3 if pixel_um else 1.0, room_px * per_pixel)
    if pixel_um is None:
        return length / per_pixel, f"{length:,.0f} pixels of the mask"
    text = f"{length / 1000:g} mm" if length >= 1000 else f"{length:g} µm"
    return length / per_pixel, text


def readable(name: str) -> str:
    """A name without characters that cannot be drawn: breaks are spaces, the rest is ``\ufffd``."""
    kept = (
        " " if c.isspace() else "\ufffd" if unicodedata.category(c) in ("Cc", "Cs", "Cn") else c
        for c in name
    )
    return " ".join("".join(kept).split())


def draw_captions(
    words: Sequence[str], width_px: int, gap_px: int, n_cols: int
) -> NDArray[np.uint8]:
    """Captions side by side, each in the middle of its column; what is too long loses its middle.

    Parameters
    ----------
    words : sequence of str
        At most `n_cols`.
    width_px, gap_px : int
        Width of a column, and of the gap before, between and behind them.
    n_cols : int
        Number of columns.

    Returns
    -------
    ndarray of uint8, shape (rows, n_cols * (width_px + gap_px) + gap_px, 3)
    """
    with _quiet_about_glyphs():
        pen = _Pen(1.0)
        pen.start(1.4 * _LINE, n_cols * (width_px + gap_px) + gap_px)
        for k, text in enumerate(words):
            (line,) = pen.wrapped(readable(text), width_px, 1)
            pen.text(gap_px + k * (width_px + gap_px) + width_px / 2, 0.2 * _LINE, line,
                     align="center")  # fmt: skip
        return pen.pixels()


# --- behind the scenes ----------------------------------------------------------------------------


def _draw(
    text: PanelText, rows: tuple[LegendRow, ...], height_px: int | None, scale: float
) -> NDArray[np.uint8]:
    pen = _Pen(scale)
    width, right = WIDTH_PX - 2 * _MARGIN, WIDTH_PX - _MARGIN
    rows_to_name = fitting(rows, _MOST_ROWS if height_px is None else 200)[0]
    labels = max((str(row.label) for row in rows_to_name), key=len, default="")
    name_x = _MARGIN + _SWATCH + max(36.0, pen.width(labels) + 18)
    head = pen.wrapped(readable(text.title), width, 2)
    lines = [line for entry in text.lines for line in pen.wrapped(readable(entry), width, 2)]
    note = pen.wrapped(readable(text.note), width, 6) if text.note else []
    tail = (2.6 * _LINE if text.scale_bar else 0.0) + (len(note) + 0.5) * _LINE * bool(note)
    top = _MARGIN + (len(head) + len(lines) + 1.8) * _LINE
    name_width = right - _SHARE_WIDTH - 10 - name_x
    names = {
        row.label: pen.wrapped(readable(row.name), name_width, _MAX_NAME_LINES)
        for row in rows_to_name
    }
    if height_px is None:
        shown = rows_to_name
    else:
        shown = _that_fit(rows, names, (height_px / scale - top - tail - _MARGIN) / _LINE)
    n_hidden = len(rows) - len(shown)
    n_lines = sum(len(names[row.label]) for row in shown) + (1 if n_hidden else 0)
    height = top + max(1, n_lines) * _LINE + tail + _MARGIN
    pen.start(height if height_px is None else height_px / scale)

    y = _MARGIN
    for line in head:
        pen.text(_MARGIN, y, line)
        y += _LINE
    for line in lines:
        pen.text(_MARGIN, y, line, color=_FAINT)
        y += _LINE
    y += 0.5 * _LINE
    pen.text(right, y, SHARE_TITLE, color=_FAINT, align="right")
    y += 1.1 * _LINE
    pen.line(_MARGIN, right, y - 1)
    y += 0.2 * _LINE
    for row in shown:
        pen.swatch(_MARGIN, y + 2, row)
        pen.text(name_x - 8, y, str(row.label), color=_FAINT, align="right")
        pen.text(right, y, row.percent, align="right")
        for line in names[row.label]:
            pen.text(name_x, y, line)
            y += _LINE
    if n_hidden:
        more = f"and {n_hidden:,} more" if shown else f"{n_hidden:,} classes"
        pen.text(_MARGIN, y, more, color=_FAINT)
        y += _LINE
    if not rows:
        pen.text(_MARGIN, y, "nothing of the mask", color=_FAINT)
        y += _LINE
    if text.scale_bar:
        length, words = text.scale_bar
        y += 0.8 * _LINE
        pen.bar(_MARGIN, y, length / scale)
        pen.text(_MARGIN, y + 4, words)
        y += 1.8 * _LINE
    y += 0.3 * _LINE
    for line in note:
        pen.text(_MARGIN, y, line, color="#a03000")
        y += _LINE
    return pen.pixels()


def _that_fit(
    rows: tuple[LegendRow, ...], names: dict[int, list[str]], n_lines: float
) -> tuple[LegendRow, ...]:
    """The rows with the largest shares whose lines fit, in their order."""
    n = len(rows)
    while n > 0:
        shown = tuple(row for row in fitting(rows, n)[0] if row.label in names)
        used = sum(len(names[row.label]) for row in shown) + (1 if len(shown) < len(rows) else 0)
        if used <= n_lines:
            return shown
        n = min(n - 1, len(shown) - 1)
    return ()


class _Pen:
    """Draws onto a figure in pixels of the design, y downwards."""

    def __init__(self, scale: float) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self._scale = scale
        self._figure: Any = Figure(figsize=(1, 1), dpi=100, facecolor="white")
        canvas: Any = FigureCanvasAgg(self._figure)
        self._canvas = canvas
        self._renderer = canvas.get_renderer()
        self._points = _FONT_PX * scale * 72 / 100
        self._height = 1.0

    def start(self, height: float, width: float = WIDTH_PX) -> None:
        height_px = max(1, round(height * self._scale))
        self._figure.set_size_inches(round(width * self._scale) / 100, height_px / 100)
        self._height = height_px

    def text(
        self, x: float, y: float, words: str, *, color: str = _INK, align: str = "left"
    ) -> None:
        s = self._scale
        # The middle of the line, so that lines with and without tall letters stand alike.
        self._figure.add_artist(
            self._words(words, x * s, self._height - (y + _LINE / 2) * s, color=color, ha=align)
        )

    def wrapped(self, words: str, width: float, n_lines: int) -> list[str]:
        """Words in up to so many lines; what is too long loses its middle."""
        room = width * self._scale
        if self._width(words) <= room:
            return [words]
        lines: list[str] = []
        rest = words
        while rest:
            if len(lines) == n_lines - 1:
                lines.append(self._shortened(rest, room))
                break
            cut = self._longest(rest, room)
            space = rest.rfind(" ", 0, cut + 1)
            if cut < len(rest) and space > cut // 3:
                cut = space
            lines.append(rest[:cut].rstrip())
            rest = rest[cut:].lstrip()
        return lines or [""]

    def _longest(self, words: str, room: float) -> int:
        """How many letters fit, at least one."""
        least, most = 1, min(len(words), 400)
        while least < most:
            middle = (least + most + 1) // 2
            if self._width(words[:middle]) <= room:
                least = middle
            else:
                most = middle - 1
        return least

    def _shortened(self, words: str, room: float) -> str:
        if self._width(words) <= room:
            return words
        least, most = 0, min(len(words), 400)
        while least < most:
            middle = (least + most + 1) // 2
            if self._width(_without_middle(words, middle)) <= room:
                least = middle
            else:
                most = middle - 1
        return _without_middle(words, least)

    def width(self, words: str) -> float:
        """Width of words on one line."""
        return self._width(words) / self._scale

    def _width(self, words: str) -> float:
        """The same in pixels of the screen."""
        if len(words) > 400:
            return math.inf
        found = self._words(words, 0, 0)
        found.set_figure(self._figure)
        return float(found.get_window_extent(self._renderer, dpi=100).width)

    def _words(
        self, words: str, x_px: float, y_px: float, *, color: str = _INK, ha: str = "left"
    ) -> Any:
        from matplotlib.font_manager import FontProperties
        from matplotlib.text import Text
        from matplotlib.transforms import IdentityTransform

        font = FontProperties(family=list(_font_families()), size=self._points)
        # A class may be called "$IL-2$"; it is no formula.
        return Text(x_px, y_px, words, fontproperties=font, color=color, ha=ha,
                    va="center_baseline", parse_math=False, usetex=False,
                    transform=IdentityTransform())  # fmt: skip

    def line(self, x0: float, x1: float, y: float) -> None:
        self._box(x0, y, x1 - x0, 1.0 / self._scale, _RULE, None)

    def bar(self, x: float, y: float, length: float) -> None:
        self._box(x, y, length, 3.0, _INK, None)

    def swatch(self, x: float, y: float, row: LegendRow) -> None:
        color = None if row.color is None else tuple(part / 255 for part in row.color)
        self._box(x, y, _SWATCH, _SWATCH, color or "white", "#909090")

    def _box(
        self, x: float, y: float, width: float, height: float, fill: Any, edge: str | None
    ) -> None:
        from matplotlib.patches import Rectangle
        from matplotlib.transforms import IdentityTransform

        s = self._scale
        self._figure.add_artist(
            Rectangle(
                (round(x * s), round(self._height - (y + height) * s)),
                round(width * s),
                max(1, round(height * s)),
                facecolor=fill,
                edgecolor=edge or "none",
                linewidth=0.6 * s,
                antialiased=edge is not None,
                transform=IdentityTransform(),
            )
        )

    def pixels(self) -> NDArray[np.uint8]:
        self._canvas.draw()
        pixels: NDArray[np.uint8] = np.asarray(self._canvas.buffer_rgba())[:, :, :3].copy()
        return pixels


def _without_middle(words: str, n_letters: int) -> str:
    head = (n_letters + 1) // 2
    return words[:head].rstrip() + "…" + words[len(words) - (n_letters - head) :].lstrip()


@functools.cache
def _font_families() -> tuple[str, ...]:
    """DejaVu, then those of `_SYSTEM_FONTS` that are here."""
    from matplotlib.font_manager import fontManager

    here = {font.name for font in fontManager.ttflist}
    return ("DejaVu Sans", *(name for name in _SYSTEM_FONTS if name in here))


class _quiet_about_glyphs(warnings.catch_warnings):  # noqa: N801 - used like a function
    """matplotlib warns of each letter that no font has; the box in its place says enough."""

    def __enter__(self) -> None:
        super().__enter__()
        warnings.filterwarnings("ignore", message=r"(?s)Glyph .* missing from")
        warnings.filterwarnings("ignore", message=r"(?s)Matplotlib currently does not support")
