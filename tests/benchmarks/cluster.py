"""Many tasks on a plan: what sharing costs, how long planning and asking take, and large clusters.

::

    python tests/benchmarks/cluster.py overhead [IMAGES]   two tasks on one machine against one run
    python tests/benchmarks/cluster.py plan [IMAGES]       planning, seconds and memory
    python tests/benchmarks/cluster.py status [RECORDS]    qpmask status of made-up records
    python tests/benchmarks/cluster.py simulate            10 to 1,000 workers, by simulation

The projects are copies of the small one of the demo; no QuPath is needed.
"""

from __future__ import annotations

import heapq
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from qpmask.cluster.itemrecords import file_key
from qpmask.cluster.shares import share

import qpmask
from qpmask.cluster import plan_status, plan_to_file
from qpmask.cluster.planfile import PlanItem

DEMO = Path(__file__).resolve().parents[2] / "examples" / "demo_project"


def many_images(folder: Path, n: int) -> Path:
    """A project of n images: one image of the demo project, again and again."""
    project = Path(shutil.copytree(DEMO, folder / "project"))
    file = project / "project.qpproj"
    raw = json.loads(file.read_text())
    one = raw["images"][-1]
    data = project / "data" / str(one["entryID"])
    raw["images"] = []
    for k in range(1, n + 1):
        image = json.loads(json.dumps(one))
        image["entryID"], image["imageName"] = 100 + k, f"Image {k:06}"
        raw["images"].append(image)
        there = project / "data" / str(100 + k)
        there.mkdir()
        for path in data.iterdir():  # links, where the disk has them: ten thousand are many files
            try:
                os.link(path, there / path.name)
            except OSError:
                shutil.copy(path, there / path.name)
    raw["lastID"] = 101 + n
    file.write_text(json.dumps(raw))
    return project


def qpmask_call(*arguments: object) -> subprocess.Popen[bytes]:
    """A command as a process of its own."""
    return subprocess.Popen([sys.executable, "-m", "qpmask", *map(str, arguments)])


def overhead(n: int) -> None:
    """Two tasks against half the time of one process."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        project = many_images(folder, n)
        start = time.perf_counter()
        assert qpmask_call("export", project, "-o", folder / "one", "--engine", "native",
                           "-q").wait() == 0  # fmt: skip
        one = time.perf_counter() - start
        plan = folder / "plan.json"
        start = time.perf_counter()
        assert qpmask_call("export", project, "-o", folder / "many", "--engine", "native",
                           "--plan", plan).wait() == 0  # fmt: skip
        planned = time.perf_counter() - start
        start = time.perf_counter()
        tasks = [qpmask_call("work", plan, "--task", f"{k}/2", "-q") for k in (1, 2)]
        assert [task.wait() for task in tasks] == [0, 0]
        worked = time.perf_counter() - start
        start = time.perf_counter()
        assert qpmask_call("collect", plan, "-q").wait() == 0
        collected = time.perf_counter() - start
    print(f"{n:,} images: one run {one:.1f} s; plan {planned:.1f} s, two tasks {worked:.1f} s, "
          f"collect {collected:.1f} s")  # fmt: skip
    print(f"two tasks / half of one run: {worked / (one / 2):.2f}")


def plan(n: int) -> None:
    """Planning: time and peak memory."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        project = many_images(folder, n)
        start = time.perf_counter()
        made = plan_to_file(folder / "plan.json", project, folder / "out", None,
                            qpmask.export_options(engine="native"))  # fmt: skip
        seconds = time.perf_counter() - start
        size = (folder / "plan.json").stat().st_size / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"planning {len(made.items):,} images: {seconds:.1f} s, {peak:.0f} MB, plan {size:.1f} MB"
    )


def status(n: int) -> None:
    """Counting made-up records."""
    from dataclasses import replace

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        made = plan_to_file(folder / "plan.json", DEMO, folder / "out", None,
                            qpmask.export_options(engine="native"))  # fmt: skip
        items = tuple(PlanItem(str(k), f"Image {k}", 1.0) for k in range(n))
        made = replace(made, items=items)
        records = made.folder / "records"
        records.mkdir(parents=True)
        for item in items:
            (records / f"{file_key(item.key)}.done.json").write_text("{}")
        start = time.perf_counter()
        found = plan_status(made)
        seconds = time.perf_counter() - start
    assert found.done == n
    print(f"status of {n:,} records: {seconds:.2f} s")


# What one image takes and asks of the file system, as measured for the native engine: data file and
# four JSON files read; claim, scratch, mask, sidecar and record opened; three renamed.
_SECONDS = (1.2, 1.0)  # mean and spread of the logarithm, of one slide
_OPENS, _RENAMES = 14, 3
_START_S = 2.0  # Python, kernels, the plan


def simulate(n: int = 100_000) -> None:
    """Slides on 10 to 1,000 workers: time, idle share, load on the file system."""
    rng = np.random.default_rng(0)
    seconds = rng.lognormal(np.log(_SECONDS[0]), _SECONDS[1], n)
    guessed = seconds * rng.lognormal(0, 0.3, n)  # what the plan thinks
    items = [PlanItem(str(k), "", float(c)) for k, c in enumerate(guessed)]
    alone = seconds.sum()
    print(f"{n:,} slides, {alone / 3600:.0f} hours on one core")
    print("| workers | shares | hours | idle | opens a second | renames a second |")
    print("|---|---|---|---|---|---|")
    for workers in (10, 30, 100, 300, 1000):
        for name, loads in (
            ("equal in number", _equal(seconds, workers)),
            ("by estimate", _shared(items, seconds, workers)),
            ("one by one, as they come", _as_they_come(seconds, workers)),
        ):
            length = max(loads) + _START_S
            idle = 1 - sum(loads) / (workers * length)
            print(f"| {workers:,} | {name} | {length / 3600:.2f} | {100 * idle:.1f} % | "
                  f"{_OPENS * n / length:,.0f} | {_RENAMES * n / length:,.0f} |")  # fmt: skip


def _equal(seconds: np.ndarray, workers: int) -> list[float]:
    return [float(seconds[k::workers].sum()) for k in range(workers)]


def _shared(items: list[PlanItem], seconds: np.ndarray, workers: int) -> list[float]:
    loads = [(0.0, k) for k in range(workers)]
    real = [0.0] * workers
    for item in sorted(items, key=lambda item: (-item.cost, item.key)):
        load, k = loads[0]
        heapq.heapreplace(loads, (load + item.cost, k))
        real[k] += float(seconds[int(item.key)])
    assert workers > 10 or len(share(items[:100], 1, workers)) > 0
    return real


def _as_they_come(seconds: np.ndarray, workers: int) -> list[float]:
    loads = [0.0] * workers
    heapq.heapify(loads)
    for cost in seconds:
        heapq.heapreplace(loads, loads[0] + float(cost))
    return loads


def main() -> None:
    """Run the part that is asked for."""
    part, *rest = sys.argv[1:] or ["simulate"]
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.machine()}")
    default = {"overhead": 1000, "plan": 10_000, "status": 100_000, "simulate": 100_000}
    {"overhead": overhead, "plan": plan, "status": status, "simulate": simulate}[part](
        int(rest[0]) if rest else default[part]
    )


if __name__ == "__main__":
    main()
