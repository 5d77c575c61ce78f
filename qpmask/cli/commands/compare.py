"""``qpmask compare``: two masks, or the masks of two folders, pixel by pixel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qpmask.cli import exits
from qpmask.cli.paths import mask_file, masks_of_folder
from qpmask.errors import MaskError

if TYPE_CHECKING:
    from rich.console import Console

    from qpmask.agreement import Agreement, MaskComparison

_MAX_ROWS = 20  # shown of a table
_MAX_TILES = 10


@click.command("compare", short_help="Compare masks: pixels, Dice, IoU, kappa.")
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option(
    "--by", type=click.Choice(["label", "name"]), default="label", show_default=True,
    help="Whether labels are matched by number, or by the names that each file gives them.",
)  # fmt: skip
@click.option(
    "--scores", type=click.Path(path_type=Path, dir_okay=False), metavar="CSV",
    help="Write Dice, IoU, kappa and pixels of each class to a file.",
)  # fmt: skip
@click.option(
    "--matrix", type=click.Path(path_type=Path, dir_okay=False), metavar="CSV",
    help="Write the confusion matrix to a file: rows the first mask, columns the second.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="As JSON on stdout.")
@click.option("-v", "--verbose", count=True, help="Show what happens.")
def command(
    first: Path,
    second: Path,
    by: str,
    scores: Path | None,
    matrix: Path | None,
    as_json: bool,
    verbose: int,
) -> int:
    """Compare two masks: how many pixels differ, where, and how far they agree class by class.

    The masks may have other tile sizes, compressions, makers and resolutions; the finer one is
    brought to the coarser by picking pixels, as in a pyramid. Of two folders, masks of the same
    name are compared, and all of them together. Exit code 1 if a pixel differs, or a folder lacks a
    mask.
    """
    exits.set_up_logging(verbose)
    from qpmask.collection.opening import is_collection

    if all(path.is_dir() and not is_collection(path) for path in (first, second)):
        found, equal = _folders(first, second, by, as_json)
    else:
        found, equal = _masks(mask_file(first), mask_file(second), by, as_json)
    _write(found, scores, matrix)
    return exits.OK if equal else exits.FAILED


def _masks(first: Path, second: Path, by: str, as_json: bool) -> tuple[dict[str, Agreement], bool]:
    """Compare two masks and show it; the agreement by the mask's name, and whether all is equal."""
    from qpmask.cli.console import error_console, print_json

    try:
        found = _compare(first, second, by)
    except MaskError as error:
        if as_json:
            print_json({"first": str(first), "second": str(second), **_no_record(error)})
        raise
    if as_json:
        print_json({"first": str(first), "second": str(second), **_record(found)})
    else:
        _show(found)
        for text in found.notes:
            error_console().print(f"note: {text}", soft_wrap=True, markup=False)
    return {first.name: found.agreement}, found.equal


def _folders(
    first: Path, second: Path, by: str, as_json: bool
) -> tuple[dict[str, Agreement], bool]:
    """Compare the masks of two folders; agreements by name, and whether all are equal."""
    from rich.text import Text

    from qpmask.agreement import Agreement
    from qpmask.cli.console import error_console, out_console, print_json, say

    names = _names(first, second)
    console, errors = out_console(), error_console()
    records: list[dict[str, Any]] = []
    agreements: dict[str, Agreement] = {}
    for name in sorted(names[0] | names[1]):
        found = None
        if name not in names[0] or name not in names[1]:
            words = f"it is in {second if name in names[1] else first} alone"
            record: dict[str, Any] = {"equal": False, "reason": words}
        else:
            try:
                found = _compare(first / name, second / name, by)
                agreements[name] = found.agreement
                record, words = _record(found), _in_words(found)
            except MaskError as error:  # one that cannot be read does not hide the others
                record, words = _no_record(error), error.message
        records.append({"mask": name, **record})
        if not as_json:
            status = (
                Text("equal    ", "green") if record["equal"] else Text("DIFFERENT", "bold red")
            )
            say(console, status + Text(f" {name}  ") + Text(words, "dim"))
            for text in () if found is None else found.notes:
                errors.print(f"note: {name}: {text}", soft_wrap=True, markup=False)
    equal = all(record["equal"] for record in records)
    pooled = Agreement.pooled(agreements.values())
    if as_json:
        folders = {"first": str(first), "second": str(second)}
        print_json({**folders, "equal": equal, "masks": records, "all": _scores(pooled)})
    elif agreements and not equal:
        _print_scores(console, pooled, "All masks together")
    return agreements, equal


def _names(first: Path, second: Path) -> tuple[set[str], set[str]]:
    """Names of the masks of two folders."""
    from qpmask.errors import OptionsError

    for folder in (first, second):
        if any(folder.glob("*.qpproj")):
            raise OptionsError(
                f"{folder} is the folder of a QuPath project and not one of masks.",
                hint=f"'qpmask export {folder} -o MASKS' makes masks of its images.",
            )
    names = set(masks_of_folder(first)), set(masks_of_folder(second))
    if not (names[0] or names[1]):
        raise OptionsError(f"There are no masks in {first} and {second}.")
    return names


def _compare(first: Path, second: Path, by: str) -> MaskComparison:
    from qpmask.agreement import compare_masks

    return compare_masks(first, second, by="name" if by == "name" else "label")


def _write(found: dict[str, Agreement], scores: Path | None, matrix: Path | None) -> None:
    """Write the CSV files that were asked for."""
    from qpmask.agreement import Agreement
    from qpmask.agreement.tables import SCORE_COLUMNS, matrix_header, matrix_rows, score_rows
    from qpmask.outputs import csv_text, write_file

    pooled = Agreement.pooled(found.values())
    if scores is not None:
        parts = dict(found) if len(found) == 1 else {**found, "(all masks)": pooled}
        rows = (row for name, part in parts.items() for row in score_rows(name, part))
        write_file(scores, csv_text(SCORE_COLUMNS, rows))
    if matrix is not None:
        write_file(matrix, csv_text(matrix_header(pooled), matrix_rows(pooled)))


# -- as data --------------------------------------------------------------------------------------


def _no_record(error: MaskError) -> dict[str, Any]:
    return {"equal": False, "reason": error.message}


def _record(found: MaskComparison) -> dict[str, Any]:
    from dataclasses import asdict

    pixels = found.pixels
    return {
        "equal": found.equal,
        "reason": None,
        "n_pixels": found.n_pixels,
        "n_different": found.n_different,
        "coarser": ("first", "second")[found.pairing.coarser],
        "scale": [found.pairing.scale_x, found.pairing.scale_y],
        **_scores(found.agreement),
        "by_labels": _pairs(found),
        "by_plane": {str(plane): n for plane, n in pixels.by_plane.items()},
        "n_tiles_different": pixels.n_tiles_different,
        "places": [asdict(place) for place in pixels.places],
        "notes": list(found.notes),
    }


def _scores(found: Agreement) -> dict[str, Any]:
    return {
        "accuracy": found.accuracy,
        "kappa": found.kappa,
        "mean_dice": found.mean_dice,
        "mean_iou": found.mean_iou,
        "classes": [
            {
                "class": score.name,
                "label": score.label,
                "pixels_first": score.n_first,
                "pixels_second": score.n_second,
                "pixels_both": score.n_both,
                "dice": score.dice,
                "iou": score.iou,
                "kappa": score.kappa,
            }
            for score in found.scores
        ],
    }


def _pairs(found: MaskComparison) -> list[dict[str, Any]]:
    """Labels that stand for one another, with the names that the files give them."""
    names = [{0: "background"} | _class_names(path) for path in (found.first, found.second)]
    return [
        {
            "first_label": a,
            "first_class": names[0].get(a),
            "second_label": b,
            "second_class": names[1].get(b),
            "pixels": n,
        }
        for (a, b), n in found.pixels.by_labels.items()
    ]


def _class_names(path: Path) -> dict[int, str]:
    """What the labels of a mask are called, by its own class table."""
    from qpmask import open_mask

    with open_mask(path) as mask:
        return {row.label: row.name for row in (mask.metadata.classes if mask.metadata else ())}


def _plane_name(path: Path, plane: int) -> str:
    """A plane by its channel's name, its slice and time point, as far as it has them."""
    from qpmask import open_mask

    with open_mask(path) as mask:
        m = mask.metadata
    if m is None or m.n_planes <= plane:
        return str(plane)
    rest, c = divmod(plane, m.size_c)
    t, z = divmod(rest, m.size_z)
    parts = [m.channel_names[c] if m.channel_names else f"channel {c}"] if m.size_c > 1 else []
    parts += [f"z {z}"] if m.size_z > 1 else []
    parts += [f"t {t}"] if m.size_t > 1 else []
    return ", ".join(parts) or str(plane)


# -- for people -----------------------------------------------------------------------------------


def _in_words(found: MaskComparison) -> str:
    if found.equal:
        return f"{found.n_pixels:,} pixels{_resolution(found)}"
    scores = found.agreement
    return (
        f"{found.n_different:,} of {found.n_pixels:,} pixels differ{_resolution(found)}; "
        f"mean Dice {_short(scores.mean_dice)}, kappa {_short(scores.kappa)}"
    )


def _resolution(found: MaskComparison) -> str:
    scale_x, scale_y = found.pairing.scale_x, found.pairing.scale_y
    if scale_x == scale_y == 1:
        return ""
    coarser = ("first", "second")[found.pairing.coarser]
    by = f"{scale_x:.6g}" if scale_x == scale_y else f"{scale_x:.6g} x {scale_y:.6g}"
    return f" (at the size of the {coarser}, {by} times smaller)"


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}".replace("-0.0000", "0.0000")


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.3g} %" if whole else "-"


def _show(found: MaskComparison) -> None:
    from qpmask.cli.console import count_of, out_console
    from qpmask.cli.tables import columns_of, print_table

    console = out_console()
    if found.equal:
        console.print(f"Equal: {found.n_pixels:,} pixels{_resolution(found)}.")
        return
    pixels = found.pixels
    share = 100 * found.n_different / found.n_pixels
    where = f", in {count_of(pixels.n_tiles_different, 'tile')}" if pixels.n_tiles_different else ""
    console.print(
        f"{found.n_different:,} of {found.n_pixels:,} pixels differ ({share:.4g} %)"
        f"{_resolution(found)}{where}."
    )
    _print_scores(console, found.agreement, "How far the masks agree")
    _print_table(
        "Between which classes", ("in the first", "in the second", "pixels"), _pairs(found),
        lambda pair: (
            f"{pair['first_label']} {pair['first_class'] or ''}",
            f"{pair['second_label']} {pair['second_class'] or ''}",
            f"{pair['pixels']:,}",
        ),
        "pairs of classes (--json lists all)",
    )  # fmt: skip
    planes = {
        plane: found.plane_names[plane] if found.plane_names else _plane_name(found.first, plane)
        for plane in pixels.by_plane
    }
    if len(planes) > 1 or any(name != "0" for name in planes.values()):
        _print_table(
            "In which masks" if found.plane_names else "In which planes",
            ("mask" if found.plane_names else "plane", "pixels"), list(pixels.by_plane.items()),
            lambda item: (planes[item[0]], f"{item[1]:,}"), "planes (--json lists all)",
        )  # fmt: skip
    columns = columns_of("plane", ">tile row", ">column", ">first pixel (x, y)", ">pixels")
    rows = [
        [
            planes[place.plane], str(place.row), str(place.col),
            f"({place.x_px:,}, {place.y_px:,})", f"{place.n_pixels:,}",
        ]
        for place in pixels.places[:_MAX_TILES]
    ]  # fmt: skip
    if rows:
        print_table(console, columns, rows, title="Where")
    if pixels.n_tiles_different > _MAX_TILES:
        console.print(f"and {pixels.n_tiles_different - _MAX_TILES:,} more tiles")


def _print_table(
    title: str,
    columns: tuple[str, ...],
    items: list[Any],
    row: Callable[[Any], tuple[str, ...]],
    what: str,
) -> None:
    """A table of which the last column is a number."""
    from qpmask.cli.console import out_console
    from qpmask.cli.tables import columns_of, print_table

    console = out_console()
    named = columns_of(*columns[:-1], f">{columns[-1]}")
    print_table(console, named, [row(item) for item in items[:_MAX_ROWS]], title=title)
    if len(items) > _MAX_ROWS:
        console.print(f"and {len(items) - _MAX_ROWS:,} more {what}")


def _print_scores(console: Console, found: Agreement, title: str) -> None:
    """Scores of the classes with the most pixels, and of all."""
    from qpmask.cli.console import say
    from qpmask.cli.tables import Cell, columns_of, print_table

    scores = sorted(found.scores, key=lambda s: -(s.n_first + s.n_second))[:_MAX_ROWS]
    shown = [score for score in found.scores if score in scores]
    rows: list[list[Cell]] = []
    for score in shown:
        label = "" if score.label is None or score.is_background else f"{score.label} "
        name = score.name.strip("()") if score.is_background else score.name
        rows.append([
            f"{label}{name}", _short(score.dice), _short(score.iou), _short(score.kappa),
            *(_percent(n, score.n_pixels) for n in (score.n_first, score.n_second)),
        ])  # fmt: skip
    columns = columns_of("class", ">Dice", ">IoU", ">kappa", ">first", ">second")
    print_table(console, columns, rows, title=title)
    more = len(found.scores) - len(shown)
    if more:
        say(console, f"and {more:,} more (--scores FILE.csv lists all)")
    say(console, _overall(found))


def _overall(found: Agreement) -> str:
    text = f"Mean Dice {_short(found.mean_dice)}, mean IoU {_short(found.mean_iou)} (of classes)"
    if found.kappa is not None:
        text += f"; kappa {_short(found.kappa)}, accuracy {_short(found.accuracy)} (of all pixels)"
    return text
