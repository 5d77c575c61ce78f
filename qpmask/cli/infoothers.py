"""What ``qpmask info`` says of files beside masks: patch files and GeoJSON."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from qpmask.cli import exits
from qpmask.cli.console import count_of, human_bytes, out_console, print_json
from qpmask.cli.tables import columns_of, print_table

HDF5 = b"\x89HDF\r\n\x1a\n"  # how an HDF5 file begins
GEOJSON = (".geojson", ".geojson.gz")


def show_patch_file(path: Path, as_json: bool) -> int:
    """Show the patches of a slide and the features of them. No pixel is read.

    Raises
    ------
    OptionsError
        It is no patch file, or damaged.
    """
    from qpmask.patches import open_patches
    from qpmask.patches.h5features import features_told
    from qpmask.patches.h5file import feature_names

    with open_patches(path) as patches:
        majority = Counter(patches.majority.tolist())
        pairs = zip(patches.classes, patches.class_labels, strict=True)
        data: dict[str, Any] = {
            "patches": str(path),
            "bytes": path.stat().st_size,
            "slide": patches.attributes.get("wsi_path"),
            "n_patches": len(patches),
            "patch_size": patches.patch_size,
            "patch_size_level0": patches.patch_size_level0,
            "patch_mpp": None if np.isnan(patches.mpp) else patches.mpp,
            "classes": [{"class": name, "label": label, "patches": majority[label]}
                        for name, label in pairs],
            "features": {name: features_told(path, name)[0] for name in feature_names(path)},
        }  # fmt: skip
    if as_json:
        print_json(data)
        return exits.OK
    console = out_console()
    scale = f" at {data['patch_mpp']:.4g} µm a pixel" if data["patch_mpp"] else ""
    side, side0 = data["patch_size"], data["patch_size_level0"]
    for line in (
        f"{path}: {count_of(data['n_patches'], 'patch')} of {side} x {side} pixels{scale}, "
        f"{human_bytes(data['bytes'])}",
        f"Slide: {data['slide'] or 'not said'} ({side0} x {side0} pixels of its level 0 a patch)",
    ):
        console.print(line, soft_wrap=True)
    if data["classes"]:
        shown = [c for c in data["classes"] if c["patches"]]
        rows = [[str(c["label"]), c["class"], f"{c['patches']:,}"] for c in shown]
        print_table(console, columns_of(">label", "class", ">patches that it covers most"), rows)
        rest = len(data["classes"]) - len(shown)
        if rest:
            console.print(f"{count_of(rest, 'more class')} cover most of no patch")
    for name, length in data["features"].items():
        console.print(f"Features {name}: {length:,} numbers a patch", soft_wrap=True)
    return exits.OK


def show_geojson(path: Path, as_json: bool) -> int:
    """Show the objects of a GeoJSON file, and what is wrong with single features.

    Raises
    ------
    ObjectFileError
        It is no GeoJSON.
    """
    from qpmask.geojson.problems import told
    from qpmask.geojson.reader import read_objects
    from qpmask.imageobjects import ObjectKind

    found = read_objects(path)
    table = found.table
    counted = Counter(zip(table.kind.tolist(), table.class_index.tolist(), strict=True))
    measured = table.measurements.names
    data: dict[str, Any] = {
        "geojson": str(path),
        "bytes": path.stat().st_size,
        "features": found.n_features,
        "left_out": found.n_lost,
        "objects": [
            {"kind": ObjectKind(kind).name.lower(),
             "class": table.classes[index].name if index >= 0 else None, "objects": n}
            for (kind, index), n in sorted(counted.items())
        ],
        "measurements": list(measured),
        "problems": told(found.problems),
    }  # fmt: skip
    if as_json:
        print_json(data)
        return exits.OK
    console = out_console()
    console.print(f"{path}: {count_of(len(table), 'object')}, {human_bytes(path.stat().st_size)}",
                  soft_wrap=True)  # fmt: skip
    rows = [[o["kind"].replace("_", " "), o["class"] or "no class", f"{o['objects']:,}"]
            for o in data["objects"]]  # fmt: skip
    print_table(console, columns_of("kind", "class", ">objects"), rows)
    if measured:
        more = " ..." if len(measured) > 8 else ""
        console.print(
            f"{count_of(len(measured), 'measurement')}: {', '.join(measured[:8])}{more}",
            soft_wrap=True,
        )
    for line in data["problems"]:
        console.print(f"warning: {line}", soft_wrap=True)
    return exits.OK
