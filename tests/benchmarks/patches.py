"""qpmask's patches beside other ways to cut slides: time, memory, what is covered, exactness.

Prints three tables: (a) tissue and coordinates of a slide of 40,000 x 30,000 pixels; (b) the share
of every class in every patch of a mask of 100,000 x 100,000 with 1,000 annotations, beside reading
its regions with tifffile and counting; (c) reading all patches in order, beside OpenSlide's
``read_region`` one by one. Each contestant is a process of its own; its CPU time and peak memory
are those of the whole process, interpreter and imports included. Peers live in environments of
their own, named on the command line; one that is not there is left out, and said so::


    python tests/benchmarks/patches.py [a b c] --folder DIR --repeat 3 \\
        --peer hs2p=/venvs/hs2p/bin/python --peer histolab=... --peer tiatoolbox=... \\
        --peer lazyslide=... --peer clam=/venvs/clam/bin/python --clam /src/CLAM

The slide and the mask are made once in DIR (``patches_slide.py``; the slide needs pyvips).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import patches_slide

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tables", nargs="*", default=["a", "b", "c"])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--clam", type=Path, help="Folder of CLAM's sources.")
    parser.add_argument("--slide-size", type=int, nargs=2, default=(40_000, 30_000))
    parser.add_argument("--mask-side", type=int, default=100_000)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    peers = dict(peer.split("=", 1) for peer in options.peer)
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.platform()}; "
          f"best of {options.repeat}")  # fmt: skip
    tables = {"a": coordinates, "b": fractions, "c": reading}
    for name in options.tables:
        tables[name](options, peers)


def run(options: argparse.Namespace, python: str, task: str, *args: object) -> dict | None:
    """The best run of a task: CPU seconds and MB of the whole process, and what it printed."""
    best: dict | None = None
    for _ in range(options.repeat):
        command = [python, str(HERE / "patches_tasks.py"), task, *map(str, args)]
        path = os.pathsep.join(
            [str(options.clam or ""), str(HERE), os.environ.get("PYTHONPATH", "")]
        )
        done = subprocess.run(
            command, capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        if done.returncode or not lines:
            print(f"  {task} did not run: {done.stderr.strip().splitlines()[-1:]}")
            return None
        found = json.loads(lines[-1])
        if best is None or found["cpu_s"] < best["cpu_s"]:
            best = found
    return best


def coordinates(options: argparse.Namespace, peers: dict[str, str]) -> None:
    """Table (a)."""
    import numpy as np

    slide = patches_slide.make_slide(options.folder, *options.slide_size)
    truth = np.load(options.folder / "truth.npy")
    print(
        f"\n(a) tissue and coordinates, {slide.name}, {truth.mean():.1%} tissue, 256 px at 0.5 um"
    )
    print(f"{'':12}{'work CPU s':>11}{'all CPU s':>11}{'peak MB':>9}{'patches':>9}{'twice':>7}"
          f"{'covered':>9}{'share':>7}")  # fmt: skip
    for name in ("qpmask", "hs2p", "clam", "histolab", "tiatoolbox", "lazyslide"):
        python = sys.executable if name == "qpmask" else peers.get(name)
        if python is None:
            print(f"{name:12}  not given")
            continue
        coords = options.folder / f"{name}.npy"
        found = run(options, python, f"coords_{name}", slide, coords)
        if found is None:
            continue
        at = np.load(coords)
        q = patches_slide.quality(at, found["size_px0"], truth)
        cost = f"{found['work_s']:>11.2f}{found['cpu_s']:>11.2f}{found['peak_mb']:>9.0f}"
        print(f"{name:12}{cost}{q['patches']:>9,}{q['twice']:>7}{q['covered']:>9.4f}"
              f"{q['share']:>7.3f}")  # fmt: skip


def fractions(options: argparse.Namespace, peers: dict[str, str]) -> None:
    """Table (b)."""
    mask = patches_slide.make_mask(options.folder, options.mask_side)
    print(f"\n(b) classes of 100,000 patches, {mask.name}")
    ours = run(options, sys.executable, "fractions_qpmask", mask, options.folder / "ours.npy")
    theirs = run(options, sys.executable, "fractions_tifffile", mask, options.folder / "ours.npy")
    if ours is None or theirs is None:
        return
    times = theirs["n"] / ours["n"]
    for name, one in (("qpmask, all", ours), (f"tifffile, {theirs['n']:,} of them", theirs)):
        print(f"{name:32}{one['wall_s']:9.2f} s, CPU {one['work_s']:9.2f} s")
    wall, cpu = (theirs[what] / times / ours[what] for what in ("wall_s", "work_s"))
    print(f"all {ours['n']:,} patches: {wall:.0f} times as fast, {cpu:.0f} times less CPU time; "
          f"equal: {theirs['equal']}")  # fmt: skip


def reading(options: argparse.Namespace, peers: dict[str, str]) -> None:
    """Table (c)."""
    slide = patches_slide.make_slide(options.folder, *options.slide_size)
    print(f"\n(c) reading patches in order, {slide.name}")
    for mpp in (0.25, 0.5):
        one = run(options, sys.executable, "reading", slide, mpp)
        if one is not None:
            print(f"{mpp} um: read_region {one['openslide']:,.0f} patches/s; open_patches "
                  f"1 thread {one['one']:,.0f} ({one['one'] / one['openslide']:.1f}), 2 threads "
                  f"{one['two']:,.0f} ({one['two'] / one['openslide']:.1f}); "
                  f"pixels equal: {one['equal']}")  # fmt: skip


if __name__ == "__main__":
    main()
