"""Makes the small QuPath project of the tests, ``tests/data/tiny``; needs a QuPath.

Written by QuPath 0.6.0. Its images are hand-sized, so that tests can hold their pixels as arrays
written by hand. The slides themselves are not kept::

    python tests/data/make_projects.py
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from qupath_writer import ProjectWriter  # noqa: E402

WORK = Path(tempfile.gettempdir()) / "qpmask" / "tiny"


def slide(path: Path, shape: tuple[int, ...], axes: str, um: float = 0.5) -> Path:
    """Write a slide of zeros; ``axes`` as in OME-TIFF."""
    metadata = {"axes": axes, "PhysicalSizeX": um, "PhysicalSizeXUnit": "µm",
                "PhysicalSizeY": um, "PhysicalSizeYUnit": "µm"}  # fmt: skip
    tifffile.imwrite(path, np.zeros(shape, np.uint8), ome=True, metadata=metadata)
    return path


def main() -> None:
    """Write the project."""
    shutil.rmtree(WORK, ignore_errors=True)
    slides = WORK.parent / "tiny-slides"
    shutil.rmtree(slides, ignore_errors=True)
    slides.mkdir(parents=True)
    writer = ProjectWriter(
        WORK, {"Alpha": (200, 0, 0), "Beta": (0, 150, 0), "Gamma": None, "Region*": (9, 9, 9)}
    )

    with writer.image(slide(slides / "squares.ome.tif", (48, 64), "YX")) as w:
        w.add(w.polygon([(4, 4), (24, 4), (24, 20), (4, 20)]), "Alpha")
        w.add(w.polygon([(16, 12), (40, 12), (40, 30), (16, 30)]), "Beta")
        w.add(w.geometry(
            "POLYGON ((44 6, 60 6, 60 22, 44 22, 44 6), (48 10, 56 10, 56 18, 48 18, 48 10))"
        ), "Gamma")  # fmt: skip
        w.add(w.polygon([(2, 34), (12, 34), (12, 44), (2, 44)]), None)
        w.add(w.polygon([(50, 34), (62, 34), (62, 46), (50, 46)]), "Region*")
        w.add(w.points([(44.5, 40.5), (46.9, 41.2)]), "Alpha")
        w.add(w.line(20, 40, 30, 40), "Beta")

    with writer.image(slide(slides / "stack.ome.tif", (2, 3, 16, 20), "TZYX")) as w:
        for t in range(2):
            for z in range(3):
                side = 2 + z + 4 * t
                w.add(w.polygon([(1, 1), (1 + side, 1), (1 + side, 1 + side), (1, 1 + side)],
                                z=z, t=t), "Alpha")  # fmt: skip

    with writer.image(slide(slides / "cells.ome.tif", (40, 40), "YX")) as w:
        w.cell(w.rectangle(2, 2, 12, 12), w.rectangle(5, 5, 4, 4), "Alpha")
        w.cell(w.rectangle(18, 2, 12, 12), None, "Beta")
        w.detection(w.rectangle(2, 20, 8, 8), "Gamma")
        w.tile(w.rectangle(20, 20, 8, 8), None)
        w.add(w.rectangle(0, 0, 36, 36), "Alpha: Positive")

    with writer.image(slide(slides / "many.ome.tif", (60, 60), "YX")) as w:
        for i in range(300):
            x, y = i % 20 * 3, i // 20 * 4
            w.add(w.rectangle(x, y, 2, 3), f"Class {i:03d}")

    with writer.image(slide(slides / "empty.ome.tif", (32, 32), "YX")):
        pass

    writer.unsaved(slide(slides / "unsaved.ome.tif", (32, 32), "YX"))
    writer.close()

    target = HERE / "tiny"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(WORK, target)
    for thumbnail in target.rglob("thumbnail.jpg"):
        thumbnail.unlink()
    shutil.rmtree(slides)
    print(target)


if __name__ == "__main__":
    main()
