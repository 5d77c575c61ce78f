"""A slide with more cells than 65,535: its instance mask, by the native engine.

Makes a project of one image with so many cells, each with a nucleus and a class, and exports an
instance mask of them (uint32 above 65,535) as a whole process; then reads it back with ``check``.
Prints time, peak memory and the sizes of the files. Needs no QuPath::

    python tests/benchmarks/cells.py [CELLS ...]
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from uuid import UUID

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from handmade_projects import CALIBRATION, image, metadata, write
from processes import whole_process
from qpdata.qpdata_builder import Obj, QuPathWriter, Roi

CELLS = [60_000, 600_000]
SIDE_PX = 100_000
SPACING_PX = 44  # from cell to cell, in tissue that fills a square of the slide
VERTICES = 20


def make_project(folder: Path, n_cells: int) -> Path:
    """Write a project of one image with cells in rows, each of another shape."""
    size = metadata(SIDE_PX, SIDE_PX, pixelCalibration=CALIBRATION)
    entry = image("cells")
    entry["serverBuilder"]["metadata"] = size
    project = write(folder, entry, name="project.qpproj")
    target = folder / "data" / "1" / "data.qpdata"
    target.parent.mkdir(parents=True)
    rng = np.random.default_rng(0)
    angle = np.linspace(0, 2 * np.pi, VERTICES, endpoint=False)
    n_cols = int(np.ceil(np.sqrt(n_cells)))
    out = QuPathWriter()
    out.head("Data file version 3", json.dumps({}))
    out.open_hierarchy()
    root = Obj("PathRootObject", children=range(n_cells))  # type: ignore[arg-type]
    out.open_object(root)
    for i in range(n_cells):
        x, y = np.array([i % n_cols, i // n_cols]) * SPACING_PX + rng.uniform(2000, 2010, 2)
        radius = rng.uniform(10, 26) * (1 + 0.15 * np.sin(2 * angle + i))
        rois = []
        for scale in (1.0, 0.5):
            xs, ys = x + scale * radius * np.cos(angle), y + scale * radius * np.sin(angle)
            rois.append(Roi("PolygonROI", (xs.tolist(), ys.tolist())))
        cell = Obj(
            "PathCellObject", metadata={"Object ID": str(UUID(int=i + 1))}, roi=rois[0],
            nucleus=rois[1], path_class=(("Tumor", "Immune")[i % 2],),
        )  # fmt: skip
        out.open_object(cell)
        out.close_object(cell)
        for roi in rois:
            del out.known["roi", id(roi)]
    out.close_object(root)
    out.null()
    out.tail()
    target.write_bytes(bytes(out.data))
    return project


def main() -> None:
    """Print the table."""
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.machine()}")
    print("| cells | data file | export | memory | mask | table | check | memory |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for n_cells in map(int, sys.argv[1:] or CELLS):
            project = make_project(folder / str(n_cells), n_cells)
            out = folder / f"out{n_cells}"
            seconds, memory = whole_process(
                ["-m", "qpmask", "export", str(project), "-o", str(out), "--engine", "native",
                 "--objects", "cells", "--instances", "--quiet"]
            )  # fmt: skip
            checked, check_memory = whole_process(["-m", "qpmask", "check", str(out), "--quiet"])
            mb = [
                path.stat().st_size / 1e6
                for path in (
                    project.parent / "data/1/data.qpdata",
                    out / "cells.ome.tif",
                    out / "cells.ome.tif.instances.csv",
                )
            ]
            print(f"| {n_cells:,} | {mb[0]:.0f} MB | {seconds:.1f} s | {memory:.0f} MB | "
                  f"{mb[1]:.1f} MB | {mb[2]:.1f} MB | {checked:.1f} s | {check_memory:.0f} MB |",
                  flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
