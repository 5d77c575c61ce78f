"""Which formats of slides can be read on this machine."""

from __future__ import annotations

from qpmask.cli import exits


def show_formats(as_json: bool) -> int:
    """Print the libraries that open slides, their formats, and which of them are installed."""
    from rich.text import Text

    from qpmask.cli.console import out_console, print_json
    from qpmask.cli.tables import Cell, columns_of, print_table
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
    rows: list[list[Cell]] = []
    for r in READERS:
        hint = f'no: pip install "qpmask[{r.extra}]"'
        rows.append([
            r.name,
            Text("yes", "green") if r.is_installed else Text(hint, "yellow"),
            r.formats,
            " ".join(r.suffixes),
        ])  # fmt: skip
    columns = columns_of("library", "installed", "formats", "files")
    print_table(out_console(), columns, rows, title="Slides that can be read")
    return exits.OK
