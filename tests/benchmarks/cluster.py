"""Many tasks on a plan: what sharing costs, how long planning and asking take, and large clusters.

::

    python tests/benchmarks/cluster.py overhead [IMAGES]   two workers, two tasks, one run
    python tests/benchmarks/cluster.py plan [IMAGES]       planning, seconds and memory
    python tests/benchmarks/cluster.py status [RECORDS]    qpmask status of made-up records
    python tests/benchmarks/cluster.py simulate            10 to 1,000 workers, by simulation
    python tests/benchmarks/cluster.py race [N] [TIMES]    processes that race for one folder

The projects are copies of the small one of the demo; no QuPath is needed.
"""

from __future__ import annotations

import heapq
import json
import multiprocessing
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import qpmask
from qpmask.batch.planned import PlanItem
from qpmask.cluster import PlanFile, collect, plan_status, read_plan_file, work_on, write_plan
from qpmask.cluster.queue import largest_first, share
from qpmask.cluster.records import file_key
from qpmask.export.planned import plan_export_run

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


def qpmask_call(*arguments: object, **how: Any) -> subprocess.Popen[bytes]:
    """A command as a process of its own."""
    return subprocess.Popen([sys.executable, "-m", "qpmask", *map(str, arguments)], **how)


def cpu_s() -> float:
    """Processor seconds of all processes that ended so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _plan(path: Path, project: Path, out: Path) -> PlanFile:
    options = qpmask.export_options(engine="native")
    return write_plan(path, plan_export_run(project, out, None, options))


def overhead(n: int) -> None:
    """Two workers, and two tasks, against half the time of one process."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        project = many_images(folder, n)
        qpmask_call("export", DEMO, "-o", folder / "warm", "--engine", "native", "-q").wait()
        start, used = time.perf_counter(), cpu_s()
        assert qpmask_call("export", project, "-o", folder / "one", "--engine", "native",
                           "-q").wait() == 0  # fmt: skip
        one, one_cpu = time.perf_counter() - start, cpu_s() - used
        print(f"{n:,} images: one run {one:.1f} s ({one_cpu:.1f} s of the processor)")
        start, used = time.perf_counter(), cpu_s()
        assert qpmask_call("export", project, "-o", folder / "two", "--engine", "native",
                           "--workers", 2, "-q").wait() == 0  # fmt: skip
        two, two_cpu = time.perf_counter() - start, cpu_s() - used
        for name, own in (("each with a core of its own, as SLURM gives them", True),
                          ("sharing two cores", False)):  # fmt: skip
            planned, (worked, cpu), collected = _two_tasks(project, folder / f"own{own}", own)
            print(
                f"two tasks, {name}: plan {planned:.1f} s, tasks {worked:.1f} s, collect "
                f"{collected:.1f} s; tasks / half of one run {worked / (one / 2):.2f}, of the "
                f"processor {cpu / one_cpu:.2f}"
            )
            if not own:  # it plans and reports itself, as the one run does
                print(
                    f"--workers 2: {two:.1f} s, / half of one run {two / (one / 2):.2f}, without "
                    f"its planning {(two - planned) / (one / 2):.2f}, of the processor "
                    f"{two_cpu / one_cpu:.2f}"
                )


def _two_tasks(project: Path, out: Path, own: bool) -> tuple[float, tuple[float, float], float]:
    """Seconds of planning, of two tasks (and of the processor), and of collecting."""
    plan = out.with_suffix(".json")
    start = time.perf_counter()
    assert qpmask_call("export", project, "-o", out, "--engine", "native",
                       "--plan", plan, stdout=subprocess.DEVNULL).wait() == 0  # fmt: skip
    planned = time.perf_counter() - start
    start, used = time.perf_counter(), cpu_s()
    cores = sorted(os.sched_getaffinity(0))
    tasks = []
    for k in (1, 2):
        tasks.append(qpmask_call("work", plan, "--task", f"{k}/2", "-q"))
        if own:
            os.sched_setaffinity(tasks[-1].pid, {cores[k - 1]})
    assert [task.wait() for task in tasks] == [0, 0]
    worked = time.perf_counter() - start, cpu_s() - used
    start = time.perf_counter()
    assert qpmask_call("collect", plan, "-q").wait() == 0
    return planned, worked, time.perf_counter() - start


def plan(n: int) -> None:
    """Planning: time and peak memory."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        project = many_images(folder, n)
        start, used = time.perf_counter(), time.process_time()
        made = _plan(folder / "plan.json", project, folder / "out")
        seconds, used = time.perf_counter() - start, time.process_time() - used
        size = (folder / "plan.json").stat().st_size / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"planning {len(made.items):,} images: {seconds:.1f} s ({used:.1f} s of the processor), "
        f"{peak:.0f} MB, plan {size:.1f} MB"
    )


def status(n: int) -> None:
    """Counting made-up records."""
    from dataclasses import replace

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        made = _plan(folder / "plan.json", DEMO, folder / "out")
        items = tuple(PlanItem(str(k), f"Image {k}", 1.0) for k in range(n))
        made = write_plan(folder / "plan.json", replace(made.run, items=items))
        records = made.folder / "records"
        records.mkdir(parents=True)
        for item in items:
            (records / f"{file_key(item.key)}.done.1.json").write_text("{}")
        start = time.perf_counter()
        found = plan_status(read_plan_file(folder / "plan.json"))
        seconds = time.perf_counter() - start
        start = time.perf_counter()
        assert qpmask_call("status", folder / "plan.json", stdout=subprocess.DEVNULL).wait() == 0
        command = time.perf_counter() - start
    assert found.done == n
    print(f"status of {n:,} records: {seconds:.2f} s, the command {command:.2f} s")


# What one image takes and asks of the file system, as measured for the native engine: data file and
# four JSON files read; lock, claim, scratch, mask, sidecar and record opened; three renamed.
_SECONDS = (1.2, 1.0)  # median and spread of the logarithm, of one slide
_OPENS, _RENAMES = 17, 3
_START_S = 2.0  # Python, kernels, the plan
_LISTINGS = 3  # of all records, by each task


def simulate(n: int = 100_000) -> None:
    """Slides on 10 to 1,000 workers: time, idle share, load on the file system."""
    rng = np.random.default_rng(0)
    seconds = rng.lognormal(np.log(_SECONDS[0]), _SECONDS[1], n)
    guessed = seconds * rng.lognormal(0, 0.3, n)  # what the plan thinks
    items = [PlanItem(str(k), "", float(c)) for k, c in enumerate(guessed)]
    print(f"{n:,} slides, {seconds.sum() / 3600:.0f} hours on one core, the longest "
          f"{seconds.max():.0f} s")  # fmt: skip
    print("| workers | shares | hours | idle | opens a second | renames a second | names listed |")
    print("|---|---|---|---|---|---|---|")
    for workers in (10, 30, 100, 300, 1000):
        for name, loads, listings in (
            ("equal in number", _equal(seconds, workers), 0),
            ("fixed, by estimate", _shared(items, seconds, workers), 0),
            ("by estimate, then what is left (qpmask)", _queued(items, seconds, workers),
             _LISTINGS),
        ):  # fmt: skip
            length = max(loads) + _START_S
            idle = 1 - sum(loads) / (workers * length)
            print(f"| {workers:,} | {name} | {length / 3600:.2f} | {100 * idle:.1f} % | "
                  f"{_OPENS * n / length:,.0f} | {_RENAMES * n / length:,.0f} | "
                  f"{workers * listings * n:,} |")  # fmt: skip
    print("What breaks first is what the file server does of opens and renames: it answers a "
          "listing with many names at once. Features, with a minute a slide, ask for a fiftieth "
          "of this.")  # fmt: skip


def _equal(seconds: np.ndarray, workers: int) -> list[float]:
    return [float(seconds[k::workers].sum()) for k in range(workers)]


def _own(items: list[PlanItem], workers: int) -> list[list[int]]:
    """Shares as :func:`qpmask.cluster.queue.share` cuts them, all at once."""
    loads = [(0.0, k) for k in range(workers)]
    own: list[list[int]] = [[] for _ in range(workers)]
    for item in largest_first(items):
        load, k = loads[0]
        heapq.heapreplace(loads, (load + item.cost, k))
        own[k].append(int(item.key))
    assert own[0][:5] == [int(item.key) for item in share(items, 1, workers)[:5]]
    return own


def _shared(items: list[PlanItem], seconds: np.ndarray, workers: int) -> list[float]:
    return [float(seconds[mine].sum()) for mine in _own(items, workers)]


def _queued(items: list[PlanItem], seconds: np.ndarray, workers: int) -> list[float]:
    """Each its own share; whoever is through helps with the largest that nobody has begun."""
    own = [iter(mine) for mine in _own(items, workers)]
    rest = iter([int(item.key) for item in largest_first(items)])
    begun = np.zeros(len(items), bool)
    free = [(0.0, k) for k in range(workers)]
    busy = [0.0] * workers
    heapq.heapify(free)
    while free:
        now, k = heapq.heappop(free)
        mine = next((i for i in own[k] if not begun[i]), None)
        mine = next((i for i in rest if not begun[i]), None) if mine is None else mine
        if mine is not None:
            begun[mine] = True
            busy[k] = now + float(seconds[mine])
            heapq.heappush(free, (busy[k], k))
    return busy


def race(n: int = 20, times: int = 50, images: int = 6) -> None:
    """Processes that begin at the same moment in one folder; every mask whole, made once."""
    context = multiprocessing.get_context("spawn")
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        project = many_images(folder, images)
        qpmask.export_masks(project, folder / "one", None, qpmask.export_options(engine="native"))
        wanted = _masks(folder / "one")
        paths = [folder / f"plan{k}.json" for k in range(times)]
        for k, path in enumerate(paths):
            _plan(path, project, folder / f"out{k}")
        gate, told = context.Barrier(n), context.Queue()
        racers = [context.Process(target=_race, args=(gate, told, paths)) for _ in range(n)]
        for racer in racers:
            racer.start()
        made = [told.get() for _ in range(n * times)]
        for racer in racers:
            racer.join()
        for k, path in enumerate(paths):
            done = [key for at, keys in made if at == k for key in keys]
            assert sorted(done) == sorted(i.key for i in read_plan_file(path).items), done
            assert _masks(folder / f"out{k}") == wanted, f"masks of race {k}"
            report = collect(read_plan_file(path))
            assert report.ok
            assert len(report) == images
    print(f"{n} processes raced {times} times for {images} images: each mask whole, made once "
          f"({time.perf_counter() - start:.0f} s)")  # fmt: skip


def _race(gate: Any, told: Any, paths: list[Path]) -> None:
    for k, path in enumerate(paths):
        plan = read_plan_file(path)
        gate.wait()
        outcomes = work_on(plan).outcomes
        told.put((k, [key for key, outcome in outcomes.items() if outcome.status == "done"]))


def _masks(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.ome.tif*")}


def main() -> None:
    """Run the part that is asked for."""
    part, *rest = sys.argv[1:] or ["simulate"]
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.machine()}")
    parts = {"overhead": overhead, "plan": plan, "status": status, "simulate": simulate,
             "race": race}  # fmt: skip
    default = {"overhead": 1000, "plan": 10_000, "status": 100_000, "simulate": 100_000}
    parts[part](*(map(int, rest) if rest else [default[part]] if part in default else []))


if __name__ == "__main__":
    main()
