"""Native exports by two states of qpmask, on one processor and on two, side by side in one run.

Whole processes of ``qpmask export --engine native``; each state is started once before, for its
machine code. The states take turns, and of each the fastest of a few rounds counts. Linux alone.
"Now" is this checkout, "before" the one that is named, by the libraries of this Python (the state
of 28112a1 needs Numba; without a state to compare with say ``-``)::

    git worktree add ../before 28112a1
    python tests/benchmarks/bothcores.py ../before [NAME ...] [--rounds 3]

NAMEs choose from: slides (the four real ones, where ``../shared/real`` is there), 20000, 60000,
cells (300,000 on 60,000²), million (1,000,000 on 60,000², now alone).
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import cells
from processes import Measured, measured
from synthetic import make_project

ROOT = Path(__file__).resolve().parents[2]
SLIDES = ROOT.parent / "shared" / "real" / "liver-0.7.0"
NAMES = ("slides", "20000", "60000", "cells", "million")


def project_of(name: str, folder: Path) -> tuple[str, Path, list[str]]:
    """What a project is called in the table, the project, and what more to say to export."""
    if name == "slides":
        return "four slides, 35 Gpx", SLIDES, []
    if name in ("cells", "million"):
        n_cells = 300_000 if name == "cells" else 1_000_000
        cells.SIDE_PX, cells.SPACING_PX = 60_000, int(56_000 / n_cells**0.5)
        project = cells.make_project(folder / name, n_cells)
        return f"60,000², {n_cells:,} cells", project, ["--objects", "cells"]
    side, count = int(name), {"20000": 300, "60000": 600}[name]
    return f"{side:,}², {count} annotations", drawn_apart(folder / name, side, count), []


def drawn_apart(folder: Path, side_px: int, annotations: int) -> Path:
    """A synthetic project, by another process: its JVM works on beside what is measured."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(make_project, folder, side_px, annotations).result()


def export(tree: Path, project: Path, more: list[str], cores: int) -> Measured:
    """Export once with the qpmask of a checkout."""
    with tempfile.TemporaryDirectory() as out:
        command = ["-m", "qpmask", "export", str(project), "-o", out, "--engine", "native"]
        return measured([*command, "--quiet", *more], tree=tree, cores=cores)


def fastest(
    trees: list[Path], project: Path, more: list[str], cores: int, rounds: int
) -> list[Measured]:
    """The best of a few rounds, in which the trees take turns; of memory the most."""
    runs = [[export(tree, project, more, cores) for tree in trees] for _ in range(rounds)]
    return [
        Measured(min(r.seconds for r in of), min(r.cpu_s for r in of), max(r.memory_mb for r in of))
        for of in zip(*runs, strict=True)
    ]


def first_and_second(project: Path, folder: Path) -> list[Measured]:
    """The first export on a new machine, which makes machine code, and the second."""
    kept = os.environ.get("QPMASK_CACHE_DIR")
    os.environ["QPMASK_CACHE_DIR"] = str(folder)
    try:
        return [export(ROOT, project, [], 0) for _ in range(2)]
    finally:
        del os.environ["QPMASK_CACHE_DIR"]
        if kept is not None:
            os.environ["QPMASK_CACHE_DIR"] = kept


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("before", help="a checkout, or -")
    parser.add_argument("names", nargs="*", default=[], metavar="NAME")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    trees = [ROOT] + ([] if options.before == "-" else [Path(options.before).resolve()])
    names = options.names or [name for name in NAMES if name != "slides" or SLIDES.is_dir()]
    if unknown := set(names) - set(NAMES):
        parser.error(f"no such NAME: {', '.join(sorted(unknown))}")
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.machine()}; load "
          f"{os.getloadavg()[0]:.1f}; fastest of {options.rounds}")  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        small = drawn_apart(folder / "small", 4_000, 20)
        first, second = first_and_second(small, folder / "cache")
        print(f"first export of a small image: {first.seconds:.2f} s ({first.cpu_s:.2f} s of CPU), "
              f"second: {second.seconds:.2f} s ({second.cpu_s:.2f} s)")  # fmt: skip
        print("| what | one core | two | gain | CPU | before: one | two | CPU | now / before, two "
              "| memory |\n" + "|---" * 10 + "|")  # fmt: skip
        for tree in trees:
            export(tree, small, [], 0)
        for name in names:
            what, project, more = project_of(name, folder)
            compared = trees[:1] if name == "million" else trees
            one, two = (fastest(compared, project, more, n, options.rounds) for n in (1, 2))
            cells_of = [
                f"{one[0].seconds:.2f} s", f"{two[0].seconds:.2f} s",
                f"{one[0].seconds / two[0].seconds:.2f}", f"{one[0].cpu_s:.2f} s",
            ]  # fmt: skip
            memory = f"{two[0].memory_mb:.0f}"
            if len(compared) == 2:
                cells_of += [
                    f"{one[1].seconds:.2f} s", f"{two[1].seconds:.2f} s", f"{one[1].cpu_s:.2f} s",
                    f"{two[0].seconds / two[1].seconds:.2f}",
                ]  # fmt: skip
                memory += f" / {two[1].memory_mb:.0f}"
            else:
                cells_of += [""] * 4
            print("| " + " | ".join([what, *cells_of, f"{memory} MB"]) + " |", flush=True)


if __name__ == "__main__":
    main()
