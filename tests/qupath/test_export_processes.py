"""Exports through QuPath in processes of their own: signals, crashes, workers, memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import projects
import pytest
from exports import files

from qpmask import export_masks, export_options
from qpmask.events import Event, ImageFinished, PhaseStarted, TilesDone

pytestmark = [pytest.mark.qupath, pytest.mark.usefixtures("qupath")]


def start_cli(*args: object, **kwargs: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "qpmask", *map(str, args)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs,
    )  # fmt: skip


def wait_for(condition: Any, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def big(demo: Path) -> Iterator[Path]:
    """A project whose export takes a while: 45,000 x 33,000 pixels."""

    def change(data: dict[str, Any]) -> None:
        for image in data["images"]:
            metadata = image["serverBuilder"]["metadata"]
            metadata["width"], metadata["height"] = 45_000, 33_000

    projects.edit(demo, change)
    yield demo


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals on Windows")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_a_run_cleanly(big: Path, tmp_path: Path, number: int) -> None:
    out = tmp_path / "m"
    with start_cli("export", big, "-o", out) as process:
        wait_for(lambda: list(out.glob(".qpmask/*.scratch*")), process)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Interrupted" in err and "Traceback" not in err
    assert files(out) == {"areas.csv", "classes.yaml", "report.json", "report.csv"}


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals on Windows")
def test_a_killed_run_is_taken_up_by_the_next(big: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"
    with start_cli("export", big, "-o", out, "--downsample", 4) as process:
        wait_for(lambda: list(out.glob(".qpmask/*.scratch*")), process)
        process.kill()
        process.communicate(timeout=60)
    assert any("scratch" in name for name in files(out)), "it was killed too late to tell"
    assert not list(out.glob("*.ome.tif")), "a mask appeared before it was whole"
    report = export_masks(big, out, options=export_options(downsample=4.0))
    assert report.ok
    assert not [name for name in files(out) if ".qpmask" in name]


@pytest.mark.skipif(sys.platform == "win32", reason="no resource limits on Windows")
def test_a_full_disk_fails_the_image_and_says_so(big: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands in for the full disk."""
    import resource

    out = tmp_path / "m"
    limit = 300_000

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    with start_cli(
        "export", big, "-o", out, "--images", "*B", "--downsample", 4, preexec_fn=limited
    ) as process:
        _, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    assert "error: Prostate B" in err and "Traceback" not in err
    assert "Exception" not in err and "java." not in err
    assert files(out) == {"areas.csv", "classes.yaml", "report.json", "report.csv"}


def test_worker_processes_make_the_same_masks(demo: Path, tmp_path: Path) -> None:
    one = export_masks(demo, tmp_path / "one")
    seen: list[Event] = []
    two = export_masks(
        demo, tmp_path / "two", options=export_options(workers=2, jvm_memory="500m"),
        progress=seen.append,
    )  # fmt: skip
    assert two.ok
    assert one.engine is not None and two.engine is not None
    assert two.engine.details["java"] == one.engine.details["java"]
    assert [dict(r.pixels) for r in one] == [dict(r.pixels) for r in two]
    assert sum(isinstance(e, ImageFinished) for e in seen) == 3
    assert any(isinstance(e, TilesDone) for e in seen)


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals on Windows")
def test_a_worker_that_dies_costs_one_try(demo: Path, tmp_path: Path) -> None:
    killed: list[int] = []

    def listen(event: Event) -> None:
        if isinstance(event, PhaseStarted) and not killed:
            part = next((tmp_path / "m" / ".qpmask").glob("*.scratch*"), None)
            if part is not None:
                pid = int(part.name.split(".scratch")[0].rpartition(".")[2])
                killed.append(pid)
                os.kill(pid, signal.SIGKILL)

    projects.edit(demo, lambda d: [
        i["serverBuilder"]["metadata"].update(width=45_000, height=33_000) for i in d["images"][:1]
    ])  # fmt: skip
    options = export_options(workers=2, jvm_memory="500m", downsample=4.0)
    seen: list[Event] = []

    def both(event: Event) -> None:
        seen.append(event)
        listen(event)

    report = export_masks(demo, tmp_path / "m", options=options, progress=both)
    assert report.ok, [r.error for r in report]


def test_stopping_stops_the_workers(big: Path, tmp_path: Path) -> None:
    stop = threading.Event()

    def listen(event: Event) -> None:
        if isinstance(event, TilesDone) and event.done > 5:
            stop.set()

    report = export_masks(
        big, tmp_path / "m", options=export_options(workers=2, jvm_memory="500m"),
        progress=listen, stop=stop,
    )  # fmt: skip
    assert report.interrupted
    assert files(tmp_path / "m") == {"areas.csv", "classes.yaml", "report.json", "report.csv"}


@pytest.mark.parametrize("memory", ["100000g", "64m"])
def test_memory_that_java_cannot_get_is_said_in_words(
    demo: Path, tmp_path: Path, memory: str
) -> None:
    """A JVM that does not get its memory would end the process; 64 MB are enough for the demo."""
    with start_cli(
        "export", demo, "-o", tmp_path / "m", "--jvm-memory", memory, "--downsample", 8
    ) as process:
        _, err = process.communicate(timeout=120)
    assert process.returncode == (3 if memory == "100000g" else 0), err
    assert ("--jvm-memory" in err) == (memory == "100000g")
    assert "Traceback" not in err


# -- resources ----------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files in /proc")
def test_resources_are_released_image_by_image(
    demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import jpype

    projects.multiply(demo, "Prostate B", [f"copy {i:02d}" for i in range(40)])
    runtime = jpype.JClass("java.lang.Runtime").getRuntime()
    heap: list[float] = []
    open_files: list[int] = []
    threads: list[int] = []

    def listen(event: Event) -> None:
        if isinstance(event, ImageFinished):
            import gc

            gc.collect()
            for _ in range(3):
                runtime.gc()
            heap.append((runtime.totalMemory() - runtime.freeMemory()) / 2**20)
            open_files.append(len(list(Path("/proc/self/fd").iterdir())))
            threads.append(threading.active_count())

    options = export_options(downsample=4.0)
    report = export_masks(demo, tmp_path / "m", options=options, progress=listen)
    assert report.ok
    with capsys.disabled():
        print(f"\nJava heap after collection, MB: {heap[0]:.1f} first, {heap[9]:.1f} 10th, "
              f"{heap[39]:.1f} 40th; open files {open_files[0]}, {open_files[9]}, "
              f"{open_files[39]}")  # fmt: skip
    assert heap[39] - heap[9] < 2.0
    assert open_files[39] <= open_files[9]
    assert threads[39] <= threads[9]
