"""Native exports by two states of qpmask, side by side, on one processor and on two.

Whole processes of ``qpmask export --engine native``; each state is started once before, for its
machine code. The states take turns; of each the fastest of a few rounds counts, by the clock and by
the processors apart. Linux alone. The first column is this checkout, the second the one named::

    git worktree add ../before 28112a1
    python tests/benchmarks/bothcores.py --against ../before [--rounds 3] [--cells N] [NAME ...]

NAMEs choose from: slides (four real ones, where ``../shared/real`` is there), 20000, 60000, cells.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import cells
from processes import Measured, measured
from synthetic import make_project

ROOT = Path(__file__).resolve().parents[2]
SLIDES = ROOT.parent / "shared" / "real" / "liver-0.7.0"


def projects(folder: Path, names: list[str], n_cells: int) -> dict[str, tuple[Path, list[str]]]:
    """Projects by name, and what more to say when they are exported."""
    found: dict[str, tuple[Path, list[str]]] = {}
    if "slides" in names and SLIDES.is_dir():
        found["four slides, 35 Gpx"] = SLIDES, []
    for side, count in ((20_000, 300), (60_000, 600)):
        if str(side) in names:
            project = make_project(folder / f"p{side}", side, count)
            found[f"{side:,}², {count} annotations"] = project, []
    if "cells" in names:
        cells.SIDE_PX, cells.SPACING_PX = 60_000, int(56_000 / n_cells**0.5)
        project = cells.make_project(folder / "cells", n_cells)
        found[f"60,000², {n_cells:,} cells"] = project, ["--objects", "cells"]
    return found


def fastest(tree: Path, project: Path, more: list[str], cores: int, before: Measured) -> Measured:
    """The better of what was measured before and of one more round."""
    with tempfile.TemporaryDirectory() as out:
        command = ["-m", "qpmask", "export", str(project), "-o", out, "--engine", "native"]
        found = measured([*command, "--quiet", *more], tree=tree, cores=cores)
        return Measured(*map(min, before, found))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=["slides", "20000", "60000", "cells"])
    parser.add_argument("--against", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cells", type=int, default=300_000)
    options = parser.parse_args()
    trees = [ROOT, options.against.resolve()]
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.machine()}; load "
          f"{os.getloadavg()[0]:.1f}; fastest of {options.rounds}")  # fmt: skip
    print("| what | cores | now | before | ratio | CPU now | before | ratio | memory |")
    print("|---|---|---|---|---|---|---|---|---|")
    folder = Path(tempfile.mkdtemp())
    try:
        first = True
        for name, (project, more) in projects(folder, options.names, options.cells).items():
            for cores in (1, 2):
                found = [Measured(*[float("inf")] * 3)] * 2
                for _ in range(options.rounds + first):
                    found = [
                        fastest(tree, project, more, cores, before)
                        for tree, before in zip(trees, found, strict=True)
                    ]
                    if first:  # machine code was made
                        first, found = False, [Measured(*[float("inf")] * 3)] * 2
                now, before = found
                print(f"| {name} | {cores} | {now.seconds:.2f} s | {before.seconds:.2f} s | "
                      f"{now.seconds / before.seconds:.2f} | {now.cpu_s:.2f} s | "
                      f"{before.cpu_s:.2f} s | {now.cpu_s / before.cpu_s:.2f} | "
                      f"{now.memory_mb:.0f} / {before.memory_mb:.0f} MB |", flush=True)  # fmt: skip
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
