"""``areas.csv``: what area each class has in each image, as one table.

In: the sidecars of an output folder. Out: a header and rows, an image a row, with the area in mm²
and the number of pixels of each class.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from qpmask.outputs import INSTANCES_SUFFIX, read_sidecar
from qpmask.report import ImageRecord

BACKGROUND = "(background)"
NO_CLASS = "(unclassified)"


def area_table(
    folder: Path, records: Iterable[ImageRecord]
) -> tuple[list[str], list[list[object]]]:
    """The table of all images that have a mask.

    Parameters
    ----------
    folder : Path
        The output folder.
    records : iterable of ImageRecord
        What became of the images.

    Returns
    -------
    header : list of str
        ``entry_id``, ``image``, ``mask``, then ``CLASS (mm2)`` and ``CLASS (px)`` for each class.
    rows : list of list
        One an image. Areas are empty where the pixel size is not known, both where the mask's
        table has no such class.
    """
    found = []
    for record in records:
        if record.ok and record.mask is not None:
            sidecar = read_sidecar(folder / record.mask)
            if sidecar is not None:
                found.append((record, _pixels(folder, record, sidecar)))
    classes = list(dict.fromkeys(name for _, pixels in found for name in pixels))
    if BACKGROUND in classes:  # it stands last
        classes.remove(BACKGROUND)
        classes.append(BACKGROUND)
    header = ["entry_id", "image", "mask"]
    header += [f"{name} ({unit})" for unit in ("mm2", "px") for name in classes]
    rows: list[list[object]] = []
    for record, pixels in found:
        area_mm2 = _pixel_area_mm2(record)
        row: list[object] = [record.entry_id, record.image, record.mask]
        row += [
            "" if area_mm2 is None or name not in pixels else f"{pixels[name] * area_mm2:.9g}"
            for name in classes
        ]
        row += [pixels.get(name, "") for name in classes]
        rows.append(row)
    return header, rows


def _pixels(folder: Path, record: ImageRecord, sidecar: Mapping[str, Any]) -> dict[str, int]:
    """Pixels by class of one mask; labels of one name together."""
    pixels: dict[str, int] = {}
    if sidecar.get("kind") == "instances":
        rows: Iterable[tuple[str, int]] = _of_instances(folder / f"{record.mask}{INSTANCES_SUFFIX}")
    else:
        rows = [(str(row["name"]), int(row["pixels"])) for row in sidecar.get("classes", ())]
    for name, n in rows:
        pixels[name] = pixels.get(name, 0) + n
    if sidecar.get("kind") != "multichannel":  # there is none where classes overlap
        pixels[BACKGROUND] = record.pixels.get(0, 0)
    return pixels


def _of_instances(path: Path) -> Iterable[tuple[str, int]]:
    """Class and pixels of each object, as far as the table of instances tells."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            table = csv.reader(file)
            header = next(table, [])
            name, pixels = header.index("class"), header.index("pixels")
            rows = (row for row in table if len(row) > max(name, pixels) and row[pixels])
            return [(row[name] or NO_CLASS, int(row[pixels])) for row in rows]
    except (OSError, ValueError, csv.Error):
        return []


def _pixel_area_mm2(record: ImageRecord) -> float | None:
    if record.pixel_width_um is None or record.pixel_height_um is None:
        return None
    return record.pixel_width_um * record.pixel_height_um / 1e6
