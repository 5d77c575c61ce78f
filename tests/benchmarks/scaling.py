"""How the native engine's time grows with the image: with the boundaries, not with the area.

Exports masks of 10,000 to 150,000 pixels a side, each as a whole process, and prints a table; with
``--plot FILE.png`` also draws it. In one series 300 annotations keep their size, so that the length
of their boundaries stays the same; in the other they grow with the image, and their boundaries with
its side. The projects are written by QuPath::

    python tests/benchmarks/scaling.py [--plot FILE.png] [SIDE ...]
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from native import export
from synthetic import make_project

SIDES = [10_000, 20_000, 40_000, 60_000, 100_000, 150_000]
ANNOTATIONS = 300
RADIUS_PX = 200.0
ROUNDS = 3


def main() -> None:
    """Print the table, and draw it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sides", nargs="*", type=int, default=SIDES, metavar="SIDE")
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.machine()}; "
          f"{ANNOTATIONS} annotations, best of {ROUNDS}")  # fmt: skip
    print("| image | pixels | same boundaries | memory | boundaries as the side | memory |")
    print("|---|---|---|---|---|---|")
    found: dict[str, list[float]] = {"same": [], "growing": []}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        warm = make_project(folder / "warm", 3000, 5)
        export(warm, folder / "out", "native")
        for side in arguments.sides:
            cells = [f"{side:,} x {side:,}", f"{side**2 / 1e9:.1f} G"]
            for name, radius in (("same", RADIUS_PX), ("growing", None)):
                project = make_project(
                    folder / f"{name}{side}", side, ANNOTATIONS, radius_px=radius
                )
                runs = [export(project, folder / "out", "native") for _ in range(ROUNDS)]
                seconds = min(run[0] for run in runs)
                found[name].append(seconds)
                cells += [f"{seconds:.2f} s", f"{max(run[1] for run in runs):.0f} MB"]
            print(f"| {' | '.join(cells)} |", flush=True)
    if arguments.plot:
        plot(arguments.sides, found, arguments.plot)


def plot(sides: list[int], found: dict[str, list[float]], path: Path) -> None:
    """Draw seconds against the side."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    start = min(min(times) for times in found.values())
    first = sides[0]
    for power, name in ((1, "as the side"), (2, "as the area")):
        line = [start * (side / first) ** power for side in sides]
        axes.loglog(sides, line, color="0.75", linestyle="--" if power == 1 else ":", label=name)
    axes.loglog(sides, found["growing"], "o-", label="boundaries grow with the side")
    axes.loglog(sides, found["same"], "s-", label="boundaries stay the same")
    axes.set_xlabel("side of the image, pixels")
    axes.set_ylabel("whole process, seconds")
    axes.set_xticks(sides, [f"{side // 1000}k" for side in sides])
    axes.minorticks_off()
    axes.set_ylim(start / 2, 100 * start)
    axes.set_yticks([0.5, 1, 2, 5, 10, 20, 50], ["0.5", "1", "2", "5", "10", "20", "50"])
    axes.legend()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
