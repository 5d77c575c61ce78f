"""The native reader of data files against QuPath's own, in one run.

Prints, for 200,000 cells that are laid out alike and for 47,000 objects of which hardly two are,
the times of QuPath's ``PathIO.readImageData`` and of ``read_qpdata``: the first time in a process,
with classes or modules still to be loaded, and the best; and the ratio of the best ones. Both read
the whole file. Each has a process of its own, since a JVM goes on compiling and collecting behind
the back of whoever is measured beside it. The files are written by the QuPath in use. Then the
cells ten times over, native alone, each time in a new process, with the memory that it takes beside
that of the columns::

    python tests/benchmarks/reader.py [CELLS VARIED]
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from qpdata.qpdata_reference import Reference
from qpdata.qpdata_varied import VariedMaker, make_samples

from qpmask.engines import jvm
from qpmask.qpdata import read_qpdata

ROUNDS = 6
SAMPLE = Path(__file__).parents[1] / "qpdata" / "data" / "varied-0.6.0.qpdata"


def cells(make: Any, n: int) -> list[Any]:
    """Cells with outlines of 12 to 39 vertices, four classes, four measurements."""
    rng = np.random.default_rng(1)
    names = ("Tumor", "Tumor: Positive", "Stroma")
    classes = [None, *map(make.path_class.fromString, names)]
    out = []
    for i in range(n):
        angles = np.linspace(0, 2 * np.pi, int(rng.integers(12, 40)), endpoint=False)
        x, y = rng.random(2) * 1e4
        radius = 5 + rng.random(len(angles))
        outline = make.polygon(x + radius * np.cos(angles), y + radius * np.sin(angles))
        nucleus = make.polygon(x + np.cos(angles), y + np.sin(angles))
        cell = make.objects.createCellObject(outline, nucleus, classes[i % 4], None)
        measurements = cell.getMeasurementList()
        for name in ("Nucleus: Area", "Cell: Area", "Nucleus: OD", "Cell: OD"):
            measurements.put(name, float(i))
        measurements.close()
        out.append(cell)
    return out


def seconds(call: Callable[[], Any]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def main() -> None:
    """Print the table."""
    n_cells, n_varied = (int(a) for a in sys.argv[1:3] or (200_000, 46_872))
    running = jvm.start("4g")
    samples = make_samples()
    make = samples.Maker()
    print(f"{running}, {os.cpu_count()} cores, Python {platform.python_version()}, "
          f"{platform.machine()}; best of {ROUNDS}")  # fmt: skip
    print("| file | MB | objects | QuPath, first | native, first | QuPath | native | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, objects in (
            ("varied", lambda: VariedMaker(make).objects(n_varied)),
            ("cells", lambda: cells(make, n_cells)),
        ):
            path = Path(folder) / f"{name}.qpdata"
            image_data = samples.new_image_data(make)
            for item in objects():
                image_data.getHierarchy().getRootObject().addChildObject(item)
            samples.write(make, image_data, path)
            del image_data, item
            print(row(name, path), flush=True)
        many = Path(folder) / "many.qpdata"
        with many.open("wb") as file:
            file.writelines(repeated(path.read_bytes(), n_cells, 10))
        path.unlink()
        os.sync()  # the disk still takes it for seconds
        print(memory_row(many))


def row(name: str, path: Path) -> str:
    """Measure one file: a line of the table."""
    theirs, ours = measured("qupath", path), measured("native", path)
    ratio = min(ours) / min(theirs)
    return (
        f"| {name} | {path.stat().st_size / 1e6:.0f} | {len(read_qpdata(path)):,} | "
        f"{theirs[0]:.2f} s | {ours[0]:.2f} s | {min(theirs):.2f} s | {min(ours):.2f} s | "
        f"{ratio:.2f} |"
    )


def repeated(data: bytes, n_cells: int, times: int) -> list[bytes]:
    """The cells of a file many times over: all but the first 100 refer to what these hold."""
    root = data.index(b"PathRootObject")
    count = data.index(b"w\x04" + n_cells.to_bytes(4, "big"), root) + 2
    last = data.rfind(b"ppsq\0~\0") - 6
    head = data[last : last + 8]  # an object of the class of cells, without name and colour
    first = root
    for _ in range(100):
        first = data.index(head, first + 1)
    n = n_cells + (times - 1) * data.count(head, first, last)
    start = data[:count] + n.to_bytes(4, "big") + data[count + 4 : first]
    return [start, *([data[first:last]] * times), data[last:]]


def memory_row(path: Path) -> str:
    """Measure one file natively, the first time in each of five processes: seconds and memory."""
    runs = [measured("memory", path) for _ in range(5)]
    took = ", ".join(f"{run[0]:.2f}" for run in sorted(runs))
    _, peak_mb, columns_mb, n = max(runs, key=lambda run: run[1])
    return (
        f"{n:,.0f} cells, {path.stat().st_size / 1e6:.0f} MB: {took} s; columns of "
        f"{columns_mb:.0f} MB, memory {peak_mb:.0f} MB ({peak_mb / columns_mb:.2f})"
    )


def measured(reader: str, path: Path) -> list[float]:
    """Seconds of each read, in a process of its own."""
    command = [sys.executable, __file__, "--measure", reader, str(path)]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: list[float] = json.loads(printed.splitlines()[-1])
    return found


def peak_mb() -> float:
    """The most memory that this process had, without that of the one that started it (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def measure(reader: str, path: Path) -> None:
    """Read a file again and again, and print the seconds; or once, and the memory too."""
    if reader == "memory":
        seconds(lambda: read_qpdata(SAMPLE))
        before = peak_mb()
        began = time.perf_counter()
        objects = read_qpdata(path)
        took = time.perf_counter() - began
        columns = [*vars(objects).values(), *vars(objects.rois).values()]
        sizes = [8 * len(c) if isinstance(c, tuple) else getattr(c, "nbytes", 0) for c in columns]
        print(json.dumps([took, peak_mb() - before, sum(sizes) / 2**20, len(objects)]))
        return
    if reader == "qupath":
        jvm.start("4g")
        read = Reference().hierarchy
    else:
        read = read_qpdata
    print(json.dumps([seconds(lambda: read(path)) for _ in range(1 + ROUNDS)]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2], Path(sys.argv[3]))
    else:
        main()
