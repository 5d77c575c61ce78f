"""``qpmask compare``: two masks, or the masks of two folders, pixel by pixel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qpmask.cli import exits
from qpmask.cli.paths import mask_file, masks_of_folder

if TYPE_CHECKING:
    from rich.console import Console

    from qpmask.ometiff.compare import Comparison

_MAX_PAIRS = 20  # shown


@click.command("compare", short_help="Compare masks pixel by pixel.")
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="As JSON on stdout.")
@click.option("-v", "--verbose", count=True, help="Show what happens.")
def command(first: Path, second: Path, as_json: bool, verbose: int) -> int:
    """Compare two masks at full resolution: how many pixels differ, where, between which classes.

    The masks may have other tile sizes, compressions and makers. Of two folders, masks of the same
    name are compared. Exit code 1 if a pixel differs, or a folder lacks a mask.
    """
    exits.set_up_logging(verbose)
    if first.is_dir() and second.is_dir():
        return _folders(first, second, as_json)
    from qpmask.cli.words import error_console, out_console, print_json
    from qpmask.ometiff.compare import compare_masks

    found = compare_masks(mask_file(first), mask_file(second))
    if as_json:
        print_json({"first": str(first), "second": str(second), **_record(found, first, second)})
    else:
        planes = {plane: _plane_name(first, plane) for plane in found.by_plane or {}}
        _show(out_console(), found, _pairs(found, first, second), planes)
        for text in _class_notes(first, second):
            error_console().print(f"note: {text}", soft_wrap=True, markup=False)
    return exits.OK if found.equal else exits.FAILED


def _folders(first: Path, second: Path, as_json: bool) -> int:
    from rich.text import Text

    from qpmask.cli.words import error_console, out_console, print_json
    from qpmask.errors import OptionsError

    for folder in (first, second):
        if any(folder.glob("*.qpproj")):
            raise OptionsError(
                f"{folder} is the folder of a QuPath project and not one of masks.",
                hint=f"'qpmask export {folder} -o MASKS' makes masks of its images.",
            )
    names = [set(masks_of_folder(folder)) for folder in (first, second)]
    if not (names[0] or names[1]):
        raise OptionsError(f"There are no masks in {first} and {second}.")
    console, errors = out_console(), error_console()
    records: list[dict[str, Any]] = []
    for name in sorted(names[0] | names[1]):
        a, b = first / name, second / name
        if name not in names[0] or name not in names[1]:
            record: dict[str, Any] = {
                "equal": False,
                "reason": f"it is in {second if name in names[1] else first} alone",
            }
            words = record["reason"]
        else:
            record, words = _outcome(a, b)
        records.append({"mask": name, **record})
        if not as_json:
            status = (
                Text("equal    ", "green") if record["equal"] else Text("DIFFERENT", "bold red")
            )
            console.print(status + Text(f" {name}  ") + Text(words, "dim"), soft_wrap=True)
            for text in record.get("notes", ()):
                errors.print(f"note: {name}: {text}", soft_wrap=True, markup=False)
    equal = all(record["equal"] for record in records)
    if as_json:
        print_json({"first": str(first), "second": str(second), "equal": equal, "masks": records})
    return exits.OK if equal else exits.FAILED


def _outcome(first: Path, second: Path) -> tuple[dict[str, Any], str]:
    """The record of two masks of a folder, and what to say of them."""
    from qpmask.errors import MaskError
    from qpmask.ometiff.compare import compare_masks

    try:
        found = compare_masks(first, second)
        record = _record(found, first, second)
    except MaskError as error:  # one that cannot be read does not hide the others
        return {"equal": False, "reason": error.message}, error.message
    if found.equal:
        return record, f"{found.n_pixels:,} pixels"
    differ = f"{found.n_different:,} of {found.n_pixels:,} pixels differ"
    return record, found.reason or differ


def _record(found: Comparison, first: Path, second: Path) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "equal": found.equal,
        **asdict(found),
        "by_labels": _pairs(found, first, second),
        "by_plane": {str(plane): n for plane, n in (found.by_plane or {}).items()},
        "notes": _class_notes(first, second),
    }


def _class_names(path: Path) -> dict[int, str]:
    """What the labels of a mask are called, by its own class table."""
    from qpmask.ometiff.reader import MaskFile

    with MaskFile(path) as mask:
        return {row.label: row.name for row in (mask.metadata.classes if mask.metadata else ())}


def _channels(path: Path) -> tuple[str, ...]:
    """What the channels of a mask of several planes are called."""
    from qpmask.ometiff.reader import MaskFile

    with MaskFile(path) as mask:
        is_one = mask.n_planes == 1
        return () if is_one or mask.metadata is None else mask.metadata.channel_names


def _plane_name(path: Path, plane: int) -> str:
    """A plane by its channel's name, its slice and time point, as far as it has them."""
    from qpmask.ometiff.reader import MaskFile

    with MaskFile(path) as mask:
        m = mask.metadata
    if m is None or m.n_planes <= plane:
        return str(plane)
    rest, c = divmod(plane, m.size_c)
    t, z = divmod(rest, m.size_z)
    parts = [m.channel_names[c] if m.channel_names else f"channel {c}"] if m.size_c > 1 else []
    parts += [f"z {z}"] if m.size_z > 1 else []
    parts += [f"t {t}"] if m.size_t > 1 else []
    return ", ".join(parts) or str(plane)


def _class_notes(first: Path, second: Path) -> list[str]:
    """Where the class tables contradict each other, which pixels cannot tell."""
    channels = _channels(first), _channels(second)
    if channels[0] and channels[1] and channels[0] != channels[1]:
        return [
            f"the channels are called {', '.join(channels[0])} in the first and "
            f"{', '.join(channels[1])} in the second; they were compared by number"
        ]
    a, b = _class_names(first), _class_names(second)
    other = [n for n in sorted(a.keys() & b.keys()) if a[n] != b[n]]
    if not other:
        return []
    n = other[0]
    more = f", and {len(other) - 1:,} more labels" if len(other) > 1 else ""
    return [
        f"the class tables contradict each other: label {n} is {a[n]!r} in the first and {b[n]!r} "
        f"in the second{more}"
    ]


def _pairs(found: Comparison, first: Path, second: Path) -> list[dict[str, Any]]:
    """Labels that stand for one another, with the names that the files give them."""
    names = [{0: "background"} | _class_names(path) for path in (first, second)]
    return [
        {
            "first_label": a,
            "first_class": names[0].get(a),
            "second_label": b,
            "second_class": names[1].get(b),
            "pixels": n,
        }
        for (a, b), n in (found.by_labels or {}).items()
    ]


def _show(
    console: Console, found: Comparison, pairs: list[dict[str, Any]], planes: dict[int, str]
) -> None:
    from rich.table import Table

    if found.reason is not None:
        console.print(f"The masks cannot be compared: {found.reason}.", soft_wrap=True)
        return
    if found.equal:
        console.print(f"Equal: {found.n_pixels:,} pixels.")
        return
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
    if len(planes) > 1 or any(name != "0" for name in planes.values()):
        table = Table(title="In which planes", title_justify="left")
        table.add_column("plane", overflow="fold")
        table.add_column("pixels", justify="right")
        for plane, n in list((found.by_plane or {}).items())[:_MAX_PAIRS]:
            table.add_row(planes[plane], f"{n:,}")
        console.print(table)
    table = Table(title="Where", title_justify="left")
    for name in ("plane", "tile row", "tile column", "first pixel (x, y)", "pixels"):
        table.add_column(name, justify="right")
    for place in found.places[:10]:
        table.add_row(
            planes[place.plane], str(place.row), str(place.col),
            f"({place.x_px:,}, {place.y_px:,})", f"{place.n_pixels:,}",
        )  # fmt: skip
    console.print(table)
    if found.n_tiles_different > 10:
        console.print(f"and {found.n_tiles_different - 10:,} more tiles")
