"""The native engine against QuPath: the same projects, whole processes, one run.

Prints for each size the time of ``qpmask export`` with either engine (best of a few), and of a
script that makes the same mask with all its levels by QuPath's own calls (once), their ratios to
the native engine's time, peak memory and file size. The masks of the two engines are compared pixel
by pixel::

    python tests/benchmarks/native.py [SIDE:ANNOTATIONS ...]
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from processes import whole_process
from synthetic import make_project

from qpmask.agreement import compare_masks

ROUNDS = {"qupath": 2, "native": 4}


def export(project: Path, out: Path, engine: str) -> tuple[float, float]:
    """Seconds and peak memory in MB of an export as a whole process."""
    return whole_process(["-m", "qpmask", "export", str(project), "-o", str(out),
                          "--engine", engine, "--force", "--quiet"])  # fmt: skip


def by_qupath_alone(project: Path, out: Path) -> tuple[float, float, float]:
    """Seconds, peak memory in MB, and MB of the file, of QuPath's own calls with all levels."""
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]);"
        "import overhead; from qpmask.engines import jvm; jvm.start();"
        "overhead.bare(Path(sys.argv[2]), Path(sys.argv[3]), pyramid=True)"
    )
    here = str(Path(__file__).resolve().parent)
    seconds, memory = whole_process(["-c", script, here, str(project), str(out)])
    return seconds, memory, out.stat().st_size / 1e6


def main() -> None:
    """Print the table."""
    wanted = sys.argv[1:] or ["20000:300", "60000:600"]
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.machine()}; best "
          f"of {ROUNDS['qupath']} (QuPath) and {ROUNDS['native']} (native)")  # fmt: skip
    print("| image | annotations | QuPath's own calls | QuPath engine | native | memory | file |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for item in wanted:
            side, count = map(int, item.split(":"))
            project = make_project(folder / f"p{side}", side, count)
            found = {}
            for engine, rounds in ROUNDS.items():
                runs = [export(project, folder / engine, engine) for _ in range(rounds)]
                found[engine] = min(r[0] for r in runs), max(r[1] for r in runs)
            masks = [folder / engine / "synthetic.ome.tif" for engine in ROUNDS]
            assert compare_masks(*masks).equal
            sizes = [m.stat().st_size / 1e6 for m in masks]
            (theirs, their_memory), (mine, my_memory) = found["qupath"], found["native"]
            bare, bare_memory, bare_mb = by_qupath_alone(project, folder / "bare.ome.tif")
            print(f"| {side:,} x {side:,} | {count} | {bare:.1f} s ({bare / mine:.0f}) | "
                  f"{theirs:.1f} s ({theirs / mine:.1f}) | {mine:.2f} s | "
                  f"{bare_memory:.0f} / {their_memory:.0f} / {my_memory:.0f} MB | "
                  f"{bare_mb:.1f} / {sizes[0]:.1f} / {sizes[1]:.1f} MB |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
