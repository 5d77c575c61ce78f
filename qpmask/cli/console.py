"""Numbers, names and colours as people read them; consoles for results."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from qpmask.common.words import count_text

COMPILING = "Making machine code for this processor first: some seconds, once."


def say_if_compiling(console: Console) -> None:
    """Say so where reading or writing masks will begin with compiling."""
    from qpmask.ometiff.kernels.library import LIBRARY

    if LIBRARY.must_compile:
        console.print(COMPILING, style="dim")


def out_console() -> Console:
    """Console for results: as wide as it takes where stdout is no terminal."""
    console = _console()
    return console if console.is_terminal else _console(width=200)


def error_console() -> Console:
    """Console for progress, warnings and errors: in a terminal, lines break between words."""
    console = _console(stderr=True)
    console.soft_wrap = not console.is_terminal
    return console


def _console(**options: Any) -> Console:
    # No markup: names of files and classes may hold brackets.
    return Console(highlight=False, markup=False, emoji=False, **options)


def say(console: Console, text: str | Text) -> None:
    """A sentence: broken between words in a terminal, else one line."""
    console.print(text, soft_wrap=not console.is_terminal)


def class_text(name: str, color: tuple[int, int, int] | None) -> Text:
    """A class name behind a square of its colour."""
    if color is None:
        return Text(f"  {name}")
    return Text("■ ", "rgb({},{},{})".format(*color)) + Text(name, "default")


def human_bytes(count: int | None) -> str:
    """``17.6 MB``; nothing for None."""
    if count is None:
        return ""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return ""


def human_area(um2: float) -> str:
    """``1.234 mm²``, ``87.5 µm²``: the unit that suits the size of an area in µm²."""
    if um2 >= 1e4:  # 0.01 mm²
        return f"{um2 / 1e6:,.3f} mm²"
    return f"{um2:,.0f} µm²" if um2 >= 100 or um2 == 0 else f"{um2:,.3g} µm²"


def human_seconds(seconds: float) -> str:
    """``4.2 s`` or ``1 h 02 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def print_json(data: object) -> None:
    """Print data as JSON on stdout."""
    json.dump(data, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def shortened(name: str, width: int = 36) -> str:
    """Cut a name in its middle, so that its beginning and end stay."""
    return name if len(name) <= width else f"{name[: width - 13]}...{name[-10:]}"


def count_of(number: int, word: str) -> str:
    """``1 image`` or ``2 images``."""
    return count_text(number, word)


def engine_name(name: str) -> str:
    """Name of an engine as people write it."""
    return "QuPath" if name == "qupath" else name


def place_text(frame: Mapping[str, Any]) -> str:
    """Where a mask or an image lies in its file; `frame` is ``Frame.to_json``'s."""
    if frame["mask_to_file"] is None:
        return f"not known ({frame['unknown']})"
    a, b, c, d, e, f = frame["mask_to_file"]
    how = ", ".join(frame["steps"]) or "as it is"
    series = f", series {frame['series']}" if frame["series"] else ""
    origin = {
        "scanned part": " of its scanned part", "unclear": " of level 0 or of its scanned part"
    }.get(frame["origin"], "")  # fmt: skip
    to_file = f"(x, y) at ({_terms(a, b, c)}, {_terms(d, e, f)}){origin}"
    return f"{frame['file']}{series}, {how}: {to_file}"


def _terms(x: float, y: float, constant: float) -> str:
    """A sum as people write it: ``-2 x + 64``."""
    text = ""
    for value, name in ((x, " x"), (y, " y"), (constant, "")):
        if value:
            sign = " - " if value < 0 else " + "
            size = "" if name and abs(value) == 1 else f"{abs(value):.6g}"
            text += sign + (size + name).strip()
    return text.removeprefix(" + ").replace(" - ", "-", 1) if text.startswith(" - ") else (
        text.removeprefix(" + ") or "0"
    )  # fmt: skip
