"""What ``qpmask info`` says of a collection: its masks, their pixels and where they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qpmask.cli import exits


def show_collection(path: Path, as_json: bool) -> int:
    """Show what a collection says about itself. No pixel is read."""
    from rich.table import Table
    from rich.text import Text

    from qpmask.cli.console import count_of, human_bytes, out_console, print_json
    from qpmask.collection import MaskCollection
    from qpmask.outputs import path_bytes

    with MaskCollection(path) as masks:
        volumes = masks.volumes() if masks.ndim == 3 else {}
        areas = masks.areas()
        rows: list[dict[str, Any]] = [
            {
                "name": row.name,
                "label": row.label,
                "color": row.color,
                "group": row.group,
                "dtype": row.dtype,
                "pixels": row.n_pixels,
                "area_mm2": areas[row.name].area_mm2,
                "volume_mm3": volumes.get(row.name),
                "box": [list(pair) for pair in row.box],
                "array": row.layer,
            }
            for row in masks.rows()
        ]
        data: dict[str, Any] = {
            "collection": str(path),
            "bytes": path_bytes(path),
            "shape": list(masks.shape),
            "spacing": masks.spacing,
            "unit": masks.unit if masks.spacing else None,
            "name": masks.name,
            "masks": rows,
            "extra": dict(masks.extra),
        }
    if as_json:
        print_json(data)
        return exits.OK
    console = out_console()
    size = " x ".join(f"{n:,}" for n in reversed(data["shape"]))
    is_volume = len(data["shape"]) == 3
    pixel = "voxel" if is_volume else "pixel"
    spacing = ""
    if data["spacing"]:
        lengths = " x ".join(f"{n:.4g}" for n in reversed(data["spacing"]))
        spacing = f", {lengths} {'mm' if data['unit'] == 'millimeter' else 'µm'} a {pixel}"
    arrays = len({row["array"] for row in rows})
    console.print(f"{path}: {count_of(len(rows), 'mask')} of {size} {pixel}s{spacing}",
                  soft_wrap=True, markup=False)  # fmt: skip
    console.print(f"OME-Zarr 0.5, {count_of(arrays, 'array')}, {human_bytes(data['bytes'])}")
    grouped = any(row["group"] for row in rows)
    table = Table()
    columns = ["label", "mask", *(["group"] if grouped else []), f"{pixel}s",
               "cm³" if is_volume else "mm²"]  # fmt: skip
    for column in columns:
        is_text = column in ("mask", "group")
        table.add_column(column, justify="left" if is_text else "right", overflow="fold")
    for row in rows:
        color = row["color"]
        swatch = Text("■ ", "#{:02x}{:02x}{:02x}".format(*color)) if color else Text("")
        amount = row["volume_mm3"] if is_volume else row["area_mm2"]
        amount = None if amount is None else amount / 1e3 if is_volume else amount
        cells: list[str | Text] = [str(row["label"]), swatch + Text(row["name"])]
        cells += [Text(row["group"] or "")] if grouped else []
        table.add_row(*cells, f"{row['pixels']:,}", "" if amount is None else f"{amount:,.4g}")
    console.print(table)
    return exits.OK
