"""Tables that are whole in any terminal: no word and no number is broken to fit.

In: columns and cells. Out: the first of these that fits: a table with lines, one without, the
heading of a row above its cells, or a list of names and values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

Cell: TypeAlias = "Text | str"
Columns: TypeAlias = "Sequence[tuple[str, Literal['left', 'right']]]"

_INDENT = 2


def columns_of(*names: str) -> list[tuple[str, Literal["left", "right"]]]:
    """Columns by their names; ``>`` before that of one of numbers."""
    return [(name.removeprefix(">"), "right" if name[0] == ">" else "left") for name in names]


def print_table(
    console: Console,
    columns: Columns,
    rows: Sequence[Sequence[Cell]],
    *,
    title: str | None = None,
    heading: int = 1,
) -> None:
    """Print a table; nothing of it is cut.

    Parameters
    ----------
    console : Console
    columns : sequence of (str, str)
        Name, and ``left`` for words or ``right`` for numbers, which stay on one line.
    rows : sequence of sequence of Text or str
    title : str, optional
    heading : int
        How many of the first columns tell which row it is.
    """
    cells = [[Text(c) if isinstance(c, str) else c for c in row] for row in rows]
    if title is not None:
        console.print(Text(title, "italic"), soft_wrap=True)
    width = console.width
    if not console.is_terminal:  # as wide as it takes
        width = max(width, sum(_least(columns, cells)) + 3 * len(columns) + 1)
    for lines, apart in ((box.HEAVY_HEAD, 3 * len(columns) + 1), (None, 2 * len(columns) - 2)):
        widths = _widths(columns, cells, width - apart)
        if widths is not None:
            padding = (0, 1) if lines else (0, 2, 0, 0)
            table = Table(box=lines, padding=padding, pad_edge=lines is not None)
            for (name, justify), one in zip(columns, widths, strict=True):
                table.add_column(name, justify=justify, width=one, overflow="fold")
            for row in cells:
                table.add_row(*row)
            console.print(table, width=width)
            return
    whole = [max(map(_longest_line, column)) for column in _by_column(columns, cells)][heading:]
    if columns[heading:] and sum(whole) + 2 * len(whole) <= width - _INDENT:
        _print_below(console, columns, cells, heading, whole)
    else:
        _print_values(console, columns, cells, heading)


def _print_below(
    console: Console, columns: Columns, rows: list[list[Text]], heading: int, widths: list[int]
) -> None:
    """Each row in two lines: which it is, and its cells below the names of the columns."""

    def line(cells: Sequence[Text], style: str = "") -> Text:
        text = Text(" " * _INDENT, style)
        for cell, (_, justify), width in zip(cells, columns[heading:], widths, strict=True):
            cell = cell.copy()
            cell.align(justify, width)
            text += cell + Text("  ")
        text.rstrip()
        return text

    console.print(line([Text(name) for name, _ in columns[heading:]], "bold"), soft_wrap=True)
    for row in rows:
        console.print(Text(" ").join(row[:heading]), soft_wrap=True)
        console.print(line(row[heading:]), soft_wrap=True)


def _print_values(console: Console, columns: Columns, rows: list[list[Text]], heading: int) -> None:
    """Each row as a list of names and values."""
    names = [name for name, _ in columns[heading:]]
    indent = max(map(len, names), default=0) + _INDENT + 2
    for row in rows:
        console.print(Text("  ").join(row[:heading]), style="bold")
        for name, cell in zip(names, row[heading:], strict=True):
            start = f"{'':{_INDENT}}{name:{indent - _INDENT}}"
            if not cell.plain:
                continue
            if _longest_word(cell) > console.width - indent:  # the terminal breaks it, not we
                console.print(Text(start) + cell, soft_wrap=True)
                continue
            grid = Table.grid()
            grid.add_column(width=indent)
            grid.add_column(overflow="fold")
            grid.add_row(start, cell)
            console.print(Padding(grid, 0))


def _widths(columns: Columns, rows: list[list[Text]], room: int) -> list[int] | None:
    """Width of each column within `room`; None if a word would be broken."""
    widths = _least(columns, rows)
    wanted = [max(map(_longest_line, column)) for column in _by_column(columns, rows)]
    rest = room - sum(widths)
    if rest < 0:
        return None
    while rest and any(a < b for a, b in zip(widths, wanted, strict=True)):
        lacking = [i for i in range(len(widths)) if widths[i] < wanted[i]]
        each = max(1, rest // len(lacking))
        for i in lacking:
            more = min(each, wanted[i] - widths[i], rest)
            widths[i] += more
            rest -= more
    return widths


def _least(columns: Columns, rows: list[list[Text]]) -> list[int]:
    """The least width of each column."""
    least = []
    for (_, justify), column in zip(columns, _by_column(columns, rows), strict=True):
        of = _longest_line if justify == "right" else _longest_word
        least.append(max(map(of, column)))
    return least


def _by_column(columns: Columns, rows: list[list[Text]]) -> list[list[Text]]:
    """Cells by column, its name first."""
    return [[Text(name), *(row[i] for row in rows)] for i, (name, _) in enumerate(columns)]


def _longest_word(cell: Text) -> int:
    return max((Text(word).cell_len for word in cell.plain.split()), default=0)


def _longest_line(cell: Text) -> int:
    return max((Text(line).cell_len for line in cell.plain.split("\n")), default=0)
