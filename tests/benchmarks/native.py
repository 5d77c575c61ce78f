"""The native engine against the QuPath engine: the same projects, whole processes, one run.

Prints for each size the time of ``qpmask export`` with either engine (best of a few), the ratio,
peak memory and file size; the two masks are compared pixel by pixel::

    python tests/benchmarks/native.py [SIDE:ANNOTATIONS ...]
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from synthetic import make_project

from qpmask.ometiff.compare import compare_masks

ROUNDS = {"qupath": 2, "native": 4}


def export(project: Path, out: Path, engine: str) -> tuple[float, float]:
    """Seconds and peak memory in MB of a whole process."""
    command = [sys.executable, "-m", "qpmask", "export", str(project), "-o", str(out),
               "--engine", engine, "--force", "--quiet"]  # fmt: skip
    began = time.perf_counter()
    pid = os.posix_spawn(command[0], command, dict(os.environ))
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - began
    assert os.waitstatus_to_exitcode(status) == 0
    return seconds, usage.ru_maxrss / 1024


def main() -> None:
    """Print the table."""
    wanted = sys.argv[1:] or ["20000:300", "60000:600"]
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.machine()}; best "
          f"of {ROUNDS['qupath']} (QuPath) and {ROUNDS['native']} (native)")  # fmt: skip
    print("| image | annotations | QuPath | native | ratio | memory | file |")
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
            print(f"| {side:,} x {side:,} | {count} | {theirs:.1f} s | {mine:.2f} s | "
                  f"{theirs / mine:.1f} | {their_memory:.0f} / {my_memory:.0f} MB | "
                  f"{sizes[0]:.1f} / {sizes[1]:.1f} MB |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
