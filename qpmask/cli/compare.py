"""``qpmask compare``: two masks, pixel by pixel."""

from __future__ import annotations

from pathlib import Path

import click

from qpmask.cli import exits

_MAX_PAIRS = 20  # shown


@click.command("compare", short_help="Compare two masks pixel by pixel.")
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="As JSON on stdout.")
@click.option("-v", "--verbose", count=True, help="Show what happens.")
def command(first: Path, second: Path, as_json: bool, verbose: int) -> int:
    """Compare two masks at full resolution: how many pixels differ, where, between which classes.

    The masks may have other tile sizes, compressions and makers. Exit code 1 if a pixel differs.
    """
    exits.set_up_logging(verbose)
    from dataclasses import asdict

    from rich.table import Table

    from qpmask.cli.words import out_console, print_json
    from qpmask.ometiff.compare import compare_masks
    from qpmask.ometiff.reader import MaskFile

    found = compare_masks(first, second)
    names: list[dict[int, str]] = []
    for path in (first, second):
        with MaskFile(path) as mask:
            rows = mask.metadata.classes if mask.metadata else ()
        names.append({0: "background"} | {row.label: row.name for row in rows})
    pairs = [
        {
            "first_label": a,
            "first_class": names[0].get(a),
            "second_label": b,
            "second_class": names[1].get(b),
            "pixels": n,
        }
        for (a, b), n in (found.by_labels or {}).items()
    ]
    if as_json:
        data = asdict(found)
        data["by_labels"] = pairs
        print_json({"first": str(first), "second": str(second), "equal": found.equal, **data})
        return exits.OK if found.equal else exits.FAILED
    console = out_console()
    if found.reason is not None:
        console.print(f"The masks cannot be compared: {found.reason}.", soft_wrap=True)
        return exits.FAILED
    if found.equal:
        console.print(f"Equal: {found.n_pixels:,} pixels.")
        return exits.OK
    share = 100 * found.n_different / found.n_pixels
    console.print(
        f"{found.n_different:,} of {found.n_pixels:,} pixels differ ({share:.4g} %), "
        f"in {found.n_tiles_different:,} tiles."
    )
    table = Table(title="Between which classes", title_justify="left")
    for name in ("in the first", "in the second", "pixels"):
        table.add_column(name, justify="right" if name == "pixels" else "left", overflow="fold")
    for pair in pairs[:_MAX_PAIRS]:
        table.add_row(
            f"{pair['first_label']} {pair['first_class'] or ''}",
            f"{pair['second_label']} {pair['second_class'] or ''}",
            f"{pair['pixels']:,}",
        )
    console.print(table)
    if len(pairs) > _MAX_PAIRS:
        console.print(f"and {len(pairs) - _MAX_PAIRS:,} more pairs of classes (--json lists all)")
    table = Table(title="Where", title_justify="left")
    for name in ("plane", "tile row", "tile column", "first pixel (x, y)", "pixels"):
        table.add_column(name, justify="right")
    for place in found.places[:10]:
        table.add_row(
            str(place.plane), str(place.row), str(place.col), f"({place.x_px:,}, {place.y_px:,})",
            f"{place.n_pixels:,}",
        )  # fmt: skip
    console.print(table)
    if found.n_tiles_different > 10:
        console.print(f"and {found.n_tiles_different - 10:,} more tiles")
    return exits.FAILED
