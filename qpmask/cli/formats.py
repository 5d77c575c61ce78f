"""Which formats of slides can be read on this machine."""

from __future__ import annotations

from qpmask.cli import exits


def show_formats(as_json: bool) -> int:
    """Print the libraries that open slides, their formats, and which of them are installed."""
    from rich.table import Table
    from rich.text import Text

    from qpmask.cli.words import out_console, print_json
    from qpmask.slides.formats import READERS

    if as_json:
        print_json({
            "slides": [
                {"library": r.name, "installed": r.is_installed, "formats": r.formats,
                 "suffixes": list(r.suffixes)}
                for r in READERS
            ]
        })  # fmt: skip
        return exits.OK
    table = Table(title="Slides that can be read", title_justify="left")
    for name in ("library", "installed", "formats", "files"):
        table.add_column(name, overflow="fold")
    for r in READERS:
        hint = f'no: pip install "qpmask[{r.extra}]"'
        table.add_row(
            r.name,
            Text("yes", "green") if r.is_installed else Text(hint, "yellow"),
            r.formats,
            Text(" ".join(r.suffixes)),
        )
    out_console().print(table)
    return exits.OK
