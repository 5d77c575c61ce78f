"""What qpmask adds to QuPath's own time, measured against the bare calls in the same run.

Prints, for each size, the time of LabeledImageServer + OMEPyramidWriter called directly (level 0,
LZW, tiles of 512, all cores) and the time of a qpmask export of the same image, which also reads
every tile back, counts, writes the class table, checks the file and renames it::

    python tests/benchmarks/overhead.py [SIDE ...]
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from synthetic import make_project

from qpmask import export_masks, export_options
from qpmask.engines import jvm

ROUNDS = 1
LARGEST_PYRAMID = 20_000
MASK = "synthetic.ome.tif"


def bare(project: Path, out: Path, *, pyramid: bool) -> float:
    """Time of the export as a script against QuPath's API would do it."""
    out.unlink(missing_ok=True)
    import jpype
    from paquo.projects import QuPathProject

    began = time.perf_counter()
    with_slide = QuPathProject(project, mode="r")
    entry = next(iter(with_slide.images)).java_object
    hierarchy = entry.readHierarchy()
    metadata = entry.getServerBuilder().getMetadata().orElseThrow()
    names = [str(c.getName()) for c in with_slide.java_object.getPathClasses() if c.getName()]

    class _Slide:
        def getMetadata(self):
            return metadata

        def getPath(self):
            return "slide"

        def isRGB(self):
            return False

    data_class = jpype.JClass("qupath.lib.images.ImageData")
    server = jpype.JProxy("qupath.lib.images.servers.ImageServer", inst=_Slide())
    data = data_class(server, hierarchy, data_class.ImageType.OTHER)
    builder = jpype.JClass("qupath.lib.images.servers.LabeledImageServer").Builder(data)
    builder.tileSize(512).downsample(1.0)
    for label, name in enumerate(names, 1):
        builder.addLabel(name, label)
    labels = builder.build()
    writer = jpype.JClass("qupath.lib.images.writers.ome.OMEPyramidWriter")
    series = writer.Builder(labels).tileSize(512).compression(writer.CompressionType.LZW)
    series.bigTiff(True).parallelize(jpype.JInt(os.cpu_count() or 1))
    if pyramid:
        series.scaledDownsampling(2.0)
    series.build().writeSeries(str(out))
    labels.close()
    return time.perf_counter() - began


def ours(project: Path, out: Path, *, pyramid: bool) -> float:
    """Time of a whole qpmask export."""
    began = time.perf_counter()
    report = export_masks(
        project, out, options=export_options(engine="qupath", pyramid=pyramid, force=True)
    )
    assert report.ok, report.records
    return time.perf_counter() - began


def main() -> None:
    """Print the table."""
    sides = [int(a) for a in sys.argv[1:]] or [20_000, 60_000]
    running = jvm.start("4g")
    print(f"{running}, {os.cpu_count()} cores, Python {platform.python_version()}, "
          f"{platform.processor() or platform.machine()}")  # fmt: skip
    print(f"best of {ROUNDS}, interleaved, after one round of warming up")
    print("| image | annotations | QuPath, one level | qpmask | QuPath, all levels | qpmask "
          "| file, one level |")  # fmt: skip
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        for side in sides:
            project = make_project(Path(scratch) / f"p{side}", side, side // 100)
            print(row(project, side, Path(scratch)), flush=True)


def row(project: Path, side: int, folder: Path) -> str:
    """Measure one image: a line of the table."""
    target, one_level = folder / "bare.ome.tif", folder / "one.ome.tif"
    runs: dict[str, Callable[[], float]] = {
        "bare": lambda: bare(project, one_level, pyramid=False),
        "one": lambda: ours(project, folder / "one", pyramid=False),
        "all": lambda: ours(project, folder / "all", pyramid=True),
    }
    best: dict[str, float] = {}
    for round_ in range(ROUNDS + 1):
        for name, run in runs.items():
            seconds = run()
            if round_:  # the first one warms up
                best[name] = min(best.get(name, seconds), seconds)
    ratio = f"{best['one']:.1f} s ({best['one'] / best['bare']:.2f})"
    cells = [f"{side:,} x {side:,}", f"{side // 100}", f"{best['bare']:.1f} s", ratio]
    if side <= LARGEST_PYRAMID:  # QuPath's own levels take minutes for large images
        theirs = bare(project, target, pyramid=True)
        cells += [f"{theirs:.1f} s", f"{best['all']:.1f} s ({best['all'] / theirs:.2f})"]
    else:
        cells += ["not measured", f"{best['all']:.1f} s"]
    sizes = [path.stat().st_size / 1e6 for path in (one_level, folder / "one" / MASK)]
    cells.append(f"{sizes[0]:.1f} / {sizes[1]:.1f} MB")
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
