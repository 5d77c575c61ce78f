"""What ``qpmask info`` says of a mask: its levels, its classes, and their pixels."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qpmask.cli import exits

if TYPE_CHECKING:
    from qpmask.ometiff.reader import MaskFile

_MAX_OTHER = 20  # labels without a class that are listed


def show_mask(path: Path, as_json: bool) -> int:
    """Show what a mask says about itself, and how many pixels its classes have."""
    from qpmask.cli.console import error_console, print_json
    from qpmask.errors import MaskError
    from qpmask.geometry.frames import FRAME_KEY
    from qpmask.mask.mask import Mask
    from qpmask.ometiff.reader import MaskFile
    from qpmask.outputs import instance_classes, read_sidecar

    sidecar = read_sidecar(path) or {}
    with MaskFile(path) as file:
        metadata, tile = file.metadata, file.levels[0].tile
        pixel_size, frame = Mask(file).pixel_size, Mask(file).frame
        try:
            planes = _pixels_of_planes(file, sidecar)
        except MaskError as error:  # all the rest can be told
            planes = None
            if not as_json:
                error_console().print(f"warning: {error}", soft_wrap=True, markup=False)
        channels = list(metadata.channel_names) if metadata else []
        data: dict[str, Any] = {
            "mask": str(path),
            "bytes": path.stat().st_size,
            "width_px": file.size.width_px,
            "height_px": file.size.height_px,
            "dtype": str(file.dtype),
            "planes": file.n_planes,
            "compression": file.compression,
            "levels": [[lv.size.width_px, lv.size.height_px] for lv in file.levels],
            "tile_px": tile.width_px,
            "tile_height_px": tile.height_px,
            "is_tiled": file.structure.images[0][0].is_tiled,
            "pixel_width_um": pixel_size and pixel_size.width_um,
            "pixel_height_um": pixel_size and pixel_size.height_um,
            "classes": [
                {"label": c.label, "name": c.name, "color": c.color}
                for c in (metadata.classes if metadata else ())
            ],
            "channels": channels,
            "made_by": {
                key: value for key, value in (metadata.extra if metadata else {}).items()
                if key != FRAME_KEY
            },
            "frame": frame and frame.to_json(),
            "absent_tiles": file.structure.n_absent,
            "pixels": None if planes is None else {str(k): n for k, n in _sum(planes).items()},
            "channel_pixels": None if planes is None else [
                sum(sum(found.values()) - found.get(0, 0) for found in planes[i :: len(channels)])
                for i in range(len(channels))
            ],
        }  # fmt: skip
        if file.structure.note is not None and not as_json:
            error_console().print(f"note: {file.structure.note}", soft_wrap=True, markup=False)
    named = instance_classes(path)
    if named:
        data["instances"] = _instances(named, data["pixels"])
    if as_json:
        print_json(data)
    else:
        _show_mask(data, named)
    return exits.OK


def _instances(named: Mapping[int, str], pixels: Mapping[str, int] | None) -> list[dict[str, Any]]:
    """Objects of an instance mask by class: how many, how many without a pixel, and pixels."""
    labels: dict[str, list[int]] = {}
    for label, name in named.items():
        labels.setdefault(name, []).append(label)
    rows = []
    for name, mine in labels.items():
        counts = None if pixels is None else [pixels.get(str(label), 0) for label in mine]
        rows.append(
            {
                "class": name or None,
                "objects": len(mine),
                "without_pixel": None if counts is None else counts.count(0),
                "pixels": None if counts is None else sum(counts),
            }
        )
    return rows


def _pixels_of_planes(file: MaskFile, sidecar: Mapping[str, Any]) -> list[dict[int, int]]:
    """Pixels by label of each plane: from the sidecar if it is of this file, else counted."""
    from qpmask.mask.mask import Mask

    made, pixels = sidecar.get("mask"), sidecar.get("pixels")
    is_its_own = isinstance(made, dict) and made.get("bytes") == file.structure.file_bytes
    if file.n_planes == 1 and is_its_own and isinstance(pixels, dict):
        with contextlib.suppress(TypeError, ValueError):
            return [{int(k): int(n) for k, n in pixels.items()}]
    return [Mask(file, plane).counts() for plane in range(file.n_planes)]


def _sum(planes: list[dict[int, int]]) -> dict[int, int]:
    total: Counter[int] = Counter()
    for counts in planes:
        total.update(counts)
    return dict(sorted(total.items()))


def _show_mask(data: dict[str, Any], named: Mapping[int, str]) -> None:
    from qpmask.cli.console import (
        class_text,
        count_of,
        human_area,
        human_bytes,
        out_console,
        place_text,
    )
    from qpmask.cli.tables import Cell, columns_of, print_table

    console = out_console()
    width_px, height_px = data["tile_px"], data["tile_height_px"]
    if data["is_tiled"]:
        cut = f"tiles of {width_px}" + (f" x {height_px}" if width_px != height_px else "")
    else:
        cut = f"strips of {height_px} rows"
    console.print(
        f"{data['mask']}: {data['width_px']:,} x {data['height_px']:,} pixels, {data['dtype']}, "
        f"{count_of(data['planes'], 'plane')}, {human_bytes(data['bytes'])}, "
        f"{data['compression']}, {cut}",
        soft_wrap=True,
    )
    levels = ", ".join(f"{w:,} x {h:,}" for w, h in data["levels"])
    console.print(f"levels: {levels}", soft_wrap=True)
    size = data["pixel_width_um"]
    console.print(
        f"pixel size: {size:.6g} x {data['pixel_height_um']:.6g} µm" if size else
        "pixel size: unknown"
    )  # fmt: skip
    for key, value in data["made_by"].items():
        console.print(f"{key}: {value}", soft_wrap=True)
    if data["frame"] is not None:
        console.print(f"in its file: {place_text(data['frame'])}", soft_wrap=True, markup=False)
    rows: list[tuple[str, Any, int | None]]
    if data["channels"] and not data["classes"]:
        first = "channel"
        found = data["channel_pixels"] or [None] * len(data["channels"])
        rows = [(str(i), name, found[i]) for i, name in enumerate(data["channels"])]
    else:
        first = "label"
        rows = _label_rows(data, class_text, named)
    for row in data.get("instances", ()):
        hidden = row["without_pixel"]
        console.print(
            f"{row['class'] or 'Unclassified'}: {count_of(row['objects'], 'object')}"
            + ("" if row["pixels"] is None else f", {count_of(row['pixels'], 'pixel')}")
            + (f", {hidden:,} without a pixel" if hidden else ""),
            soft_wrap=True,
        )
    cells: list[list[Cell]] = []
    for label, text, n in rows:
        area = "" if n is None or not size else human_area(n * size * data["pixel_height_um"])
        cells.append([label, text, "" if n is None else f"{n:,}", area])
    if rows:
        columns = columns_of(f">{first}", "class", ">pixels", ">area")
        print_table(console, columns, cells, heading=2)


def _label_rows(
    data: dict[str, Any], text_of: Any, named: Mapping[int, str]
) -> list[tuple[str, Any, int | None]]:
    """The class table with its pixels, and labels that are in it not, few as they should be."""
    pixels = data["pixels"]
    rows = [
        (
            str(row["label"]),
            text_of(row["name"], None if row["color"] is None else tuple(row["color"])),
            None if pixels is None else pixels.get(str(row["label"]), 0),
        )
        for row in data["classes"]
    ]
    known = {"0", *(str(row["label"]) for row in data["classes"])}
    other = [label for label in pixels or {} if label not in known]
    rows += [
        (label, named.get(int(label)) or "(no class)", pixels[label])
        for label in other[:_MAX_OTHER]
    ]
    if len(other) > _MAX_OTHER:
        n = sum(pixels[label] for label in other[_MAX_OTHER:])
        text = "" if named else "(no class)"
        rows.append((f"{len(other) - _MAX_OTHER:,} more", text, n))
    return rows
