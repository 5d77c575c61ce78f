"""Masks to polygons beside others, in one run.

    python tests/benchmarks/polygons.py trace [--side 20000] [--ways qpmask,rasterio,QuPath]

A class mask of blobs, holes and speckle: qpmask, ``rasterio.features.shapes`` and QuPath's
``ContourTracing`` (where there is a QuPath), each in a process of its own: CPU seconds, imports
not counted, and memory beyond what the process had before.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(do: Callable[[], Any]) -> None:
    before_mb, before_s = peak_mb(), cpu_s()
    found = do()
    print(json.dumps({"cpu_s": cpu_s() - before_s, "mb": peak_mb() - before_mb, "n": found}))


def write_mask(path: Path, side: int) -> None:
    """Blobs of 4 classes with holes, and some single pixels and lines."""
    from qpmask import MaskWriter

    rng = np.random.default_rng(0)
    n = (side // 400) ** 2
    x, y = rng.integers(0, side, (2, n))
    r = rng.integers(20, 300, n)
    label = rng.integers(0, 5, n)
    with MaskWriter(path, side, side, classes={f"Class {i}": i for i in range(1, 5)}) as writer:
        for top in range(0, side, 512):
            height = min(512, side - top)
            strip = np.zeros((height, side), np.uint8)
            rows = np.arange(top, top + height)
            for i in np.flatnonzero((y + r >= top) & (y - r < top + height)).tolist():
                x0, x1 = max(0, x[i] - r[i]), min(side, x[i] + r[i] + 1)
                cols = np.arange(x0, x1)
                wave = r[i] * (
                    0.9 + 0.1 * np.sin(7 * np.arctan2(rows[:, None] - y[i], cols - x[i]))
                )
                inside = (rows[:, None] - y[i]) ** 2 + (cols - x[i]) ** 2 < wave**2
                strip[:, x0:x1][inside] = label[i]
            some = rng.integers(0, height * side, height * side // 20_000)
            strip.ravel()[some] = rng.integers(0, 5, len(some))
            writer.write(0, top, strip)


def trace_ours(path: Path) -> int:
    import qpmask

    return len(qpmask.trace(path))


def trace_rasterio(path: Path) -> int:
    import tifffile
    from rasterio.features import shapes

    mask = tifffile.imread(path, series=0, level=0)
    return sum(1 for _ in shapes(mask, mask=mask > 0, connectivity=4))


def trace_qupath(path: Path) -> int:
    import tifffile

    jclass = java()
    mask = tifffile.imread(path, series=0, level=0)
    height, width = mask.shape
    image = jclass("qupath.lib.analysis.images.SimpleImages").createFloatImage(
        mask.astype(np.float32).ravel(), width, height
    )
    tracing = jclass("qupath.lib.analysis.images.ContourTracing")
    return sum(
        int(tracing.createTracedGeometry(image, float(c), float(c), None).getNumGeometries())
        for c in range(1, 5)
    )


def java() -> Any:
    from qpmask.engines import jvm

    jvm.start("8g")
    import jpype

    return jpype.JClass


WAYS = {
    "qpmask": trace_ours,
    "rasterio": trace_rasterio,
    "QuPath": trace_qupath,
}


def run(*arguments: object) -> dict[str, Any] | None:
    done = subprocess.run(
        [sys.executable, __file__, *map(str, arguments)], capture_output=True, text=True
    )
    if done.returncode:
        print(done.stderr.strip().splitlines()[-1], file=sys.stderr)
        return None
    return json.loads(done.stdout.strip().splitlines()[-1])


def compare_tracing(side: int, ways: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mask.ome.tif"
        write_mask(path, side)
        write_mask(path.with_name("small.ome.tif"), 400)
        found = {way: run("one", way, path) for way in ways}
        ours = found["qpmask"]
        assert ours is not None
        print(f"| {side:,}² | CPU s | times ours | MB | times ours | polygons |")
        print("|---|---|---|---|---|---|")
        for way, one in found.items():
            if one is not None:
                print(
                    f"| {way} | {one['cpu_s']:.2f} | {one['cpu_s'] / ours['cpu_s']:.1f} "
                    f"| {one['mb']:.0f} | {one['mb'] / max(1.0, ours['mb']):.1f} | {one['n']:,} |"
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("trace", "one"))
    parser.add_argument("rest", nargs="*")
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--ways", default=",".join(WAYS))
    options = parser.parse_args()
    if options.what == "one":
        way, path = options.rest
        WAYS[way](Path(path).with_name("small.ome.tif"))  # imports, and starts Java
        measured(lambda: WAYS[way](Path(path)))
    else:
        compare_tracing(options.side, options.ways.split(","))


if __name__ == "__main__":
    main()
