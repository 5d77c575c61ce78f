"""A project whose class list spells names in ways of its own, written by a real QuPath."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import tifffile
from qupath_writer import ProjectWriter

#: Labels that its classes get without a map.
LABELS = {"Stroma": 1, "UBERON: 1": 2, "Tumor": 3, "Another": 4}
AREA_PX = 80 * 200


def odd_names(folder: Path) -> Path:
    """A project of QuPath 0.3: its class list spells names in ways of its own."""
    slide = folder / "names.ome.tif"
    tifffile.imwrite(slide, np.zeros((300, 700), np.uint8), ome=True)
    writer = ProjectWriter(folder / "names", {"Tumor": (200, 0, 0)})
    for image in ("one", "two"):
        with writer.image(slide, image) as w:
            for i, name in enumerate(["Tumor", "UBERON: 1", "Stroma", "Unclassified", None]):
                w.add(w.rectangle(10 + 100 * i, 20, 80, 200), name)
            if image == "two":
                w.add(w.rectangle(600, 20, 80, 200), "Another")
    writer.close()
    names = ["Unclassified", "Stroma", "UBERON:1", "Tumor ", "Tumor"]
    rows = [{"name": name, "color": 1000 * (i + 1)} for i, name in enumerate(names)]
    (folder / "names" / "classifiers" / "classes.json").write_text(
        json.dumps({"pathClasses": rows})
    )
    return folder / "names"
