"""A plan on Dask: the same bytes as one run; workers that die, addresses that are none."""

from __future__ import annotations

import copyreg
import json
import os
import signal
import subprocess
import sys
import threading
import time
import types
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from cluster.plans import plan_to_file
from cluster.test_cluster_work import NATIVE, files_of, report_of
from conftest import DEMO, ROOT, Cli

import qpmask
import qpmask.cluster
from qpmask.cluster import PlanFile
from qpmask.cluster.records import latest_records, read_record
from qpmask.errors import EngineUnavailableError, MissingExtraError, OptionsError, OutputError
from qpmask.events import BatchWarning, ItemFinished
from qpmask.outputs.claims import Claims

if find_spec("distributed") is None:
    pytest.skip("dask.distributed is not installed", allow_module_level=True)
pytestmark = pytest.mark.filterwarnings("default")  # those of Dask are not ours

from qpmask.cluster import dasktasks  # noqa: E402
from qpmask.cluster.dasktasks import run_on_dask  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def pickling_as_it_was() -> Iterator[None]:
    """Dask has exceptions pickled with their causes from then on, in all of the process."""
    before = dict(copyreg.dispatch_table)
    yield
    copyreg.dispatch_table.clear()
    copyreg.dispatch_table.update(before)


@pytest.fixture(autouse=True)
def workers_find_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture(scope="module")
def at_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("one") / "masks"
    qpmask.export_masks(DEMO, out, None, NATIVE)
    return out


def test_the_same_as_one_run(tmp_path: Path, at_once: Path, qpmask_cli: Cli) -> None:
    code, _, said = qpmask_cli(
        "export", DEMO, "-o", tmp_path / "masks", "--engine", "native", "--dask", "local:2"
    )
    assert code == 0, said
    assert "Prostate A: Prostate A.ome.tif in" in said
    assert files_of(tmp_path / "masks") == files_of(at_once)
    assert report_of(tmp_path / "masks") == report_of(at_once)


def test_a_worker_that_is_killed_costs_one_more_try(tmp_path: Path, at_once: Path) -> None:
    plan = plan_to_file(tmp_path / "plan.json", DEMO, tmp_path / "masks", None, NATIVE)
    killed: list[int] = []

    def kill() -> None:
        end = time.monotonic() + 60
        while not killed and time.monotonic() < end:
            for scratch in plan.folder.glob("work-*-*"):  # a worker that is at an image
                pid = int(scratch.name.rpartition("-")[2])
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
                return
            time.sleep(0.005)

    killer = threading.Thread(target=kill)
    killer.start()
    report = run_on_dask(plan, "local:1")
    killer.join()
    assert killed
    assert report.ok, [record.error for record in report]
    assert files_of(tmp_path / "masks") == files_of(at_once)
    assert not list(plan.folder.glob("work-*"))


def test_an_image_that_kills_workers_is_given_up(tmp_path: Path) -> None:
    options = qpmask.export_options(engine="native", images=("Prostate C",))
    plan = plan_to_file(tmp_path / "plan.json", DEMO, tmp_path / "masks", None, options)
    ended = threading.Event()

    def kill() -> None:
        seen: set[str] = set()
        while not ended.is_set():
            for scratch in set(map(str, plan.folder.glob("work-*-*"))) - seen:
                seen.add(scratch)
                os.kill(int(scratch.rpartition("-")[2]), signal.SIGKILL)
            time.sleep(0.005)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        report = run_on_dask(plan, "local:1")
    finally:
        ended.set()
        killer.join()
    assert not report.ok
    assert {record.status for record in report} == {"failed"}
    assert all("died, again and again" in (record.error or "") for record in report)


def test_a_scheduler_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said, and what was done by then is kept."""
    monkeypatch.setattr(dasktasks, "_CONNECT_S", 2.0)
    monkeypatch.setattr(dasktasks, "_ENDING_S", 2.0)
    plan = plan_to_file(tmp_path / "plan.json", DEMO, tmp_path / "masks", None, NATIVE)
    file = tmp_path / "scheduler.json"

    def started(program: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.{program}", "--no-dashboard"]
        nowhere = subprocess.DEVNULL
        return subprocess.Popen([*command, *arguments], stdout=nowhere, stderr=nowhere)

    programs = [started("dask_scheduler", "--port", "0", "--scheduler-file", str(file))]

    def listen(event: Any) -> None:
        if isinstance(event, ItemFinished):
            programs[0].kill()

    try:
        end = time.monotonic() + 60
        while not file.exists() and time.monotonic() < end:
            time.sleep(0.05)
        address = json.loads(file.read_text())["address"]
        programs.append(started("dask_worker", address, "--nthreads", "1", "--no-nanny"))
        with pytest.raises(dasktasks.DaskError, match="scheduler is gone"):
            run_on_dask(plan, address, listen)
    finally:
        for program in programs:
            program.kill()
            program.wait()
    assert len(latest_records(plan.folder)) in (1, 2)


def test_an_interrupt(tmp_path: Path) -> None:
    plan = plan_to_file(tmp_path / "plan.json", DEMO, tmp_path / "masks", None, NATIVE)
    stop = threading.Event()

    def listen(event: Any) -> None:
        stop.set()

    report = run_on_dask(plan, "local:1", listen, stop)
    assert report.interrupted
    assert len(latest_records(plan.folder)) < 3
    assert not list(plan.claims_folder.iterdir())


def test_an_image_that_takes_all_memory_is_given_up(
    tmp_path: Path, at_once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dask ends a worker that takes more than it may; a later run without that makes it too."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'spawn_main' in ' '.join(sys.orig_argv):\n"
        "    import numpy, time\n"
        "    from qpmask.export import job\n"
        "    make = job.MaskMaker.make\n"
        "    def greedy(self, image):\n"
        "        if image.entry.id == '2':\n"
        "            taken = numpy.ones(100_000_000)\n"
        "            time.sleep(60)\n"
        "        return make(self, image)\n"
        "    job.MaskMaker.make = greedy\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    cluster = tmp_path / "cluster.yaml"
    cluster.write_text(
        "class: distributed.LocalCluster\n"
        "options: {n_workers: 1, threads_per_worker: 1, memory_limit: 700MB, "
        "dashboard_address: null}\n"
    )
    plan = plan_to_file(tmp_path / "plan.json", DEMO, tmp_path / "masks", None, NATIVE)
    report = run_on_dask(plan, str(cluster))
    assert [record.status for record in report] == ["done", "failed", "done"]
    assert "may have run out of memory" in (report.records[1].error or "")
    assert qpmask.cluster.work_on(plan).ok
    assert qpmask.cluster.collect(plan).ok
    assert files_of(tmp_path / "masks") == files_of(at_once)


@pytest.mark.qupath
def test_a_worker_keeps_its_jvm(tmp_path: Path, at_once: Path) -> None:
    options = qpmask.export_options(engine="qupath", jvm_memory="500m")
    plan = plan_to_file(tmp_path / "plan.json", DEMO, tmp_path / "masks", None, options)
    report = run_on_dask(plan, "local:1")
    assert report.ok, [record.error for record in report]
    assert report.engine is not None
    assert report.engine.name == "qupath"
    records = [read_record(found) or {} for found in latest_records(plan.folder).values()]
    assert len({record["pid"] for record in records}) == 1
    for mask in at_once.glob("*.ome.tif"):
        with qpmask.open_mask(mask) as one, qpmask.open_mask(plan.out / mask.name) as other:
            assert (one[:] == other[:]).all()


def test_an_engine_that_workers_lack_ends_the_run(tmp_path: Path) -> None:
    plan = plan_to_file(tmp_path / "plan.json", DEMO, tmp_path / "masks", None, NATIVE)
    other = PlanFile(replace(plan.run, pixel_rules="0.1"))
    with pytest.raises(EngineUnavailableError, match="draws other pixels"):
        run_on_dask(other, "local:1")
    assert not latest_records(other.folder)


def local_cluster(folder: Path, more: str) -> str:
    path = folder / "cluster.yaml"
    path.write_text(
        "class: distributed.LocalCluster\n"
        'options: {n_workers: 0, threads_per_worker: 1, dashboard_address: "127.0.0.1:0"}\n' + more
    )
    return str(path)


def test_a_cluster_that_adapts(tmp_path: Path, at_once: Path) -> None:
    plan = plan_to_file(tmp_path / "plan.json", DEMO, tmp_path / "masks", None, NATIVE)
    where = local_cluster(tmp_path, "adapt: {minimum: 1, maximum: 1}\n")
    assert run_on_dask(plan, where).ok
    assert files_of(tmp_path / "masks") == files_of(at_once)


def test_no_worker_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dasktasks, "_ALONE_S", 0.5)
    plan = plan_to_file(tmp_path / "plan.json", DEMO, tmp_path / "masks", None, NATIVE)
    stop, said = threading.Event(), []

    def listen(event: Any) -> None:
        if isinstance(event, BatchWarning):
            said.append(event.text)
            stop.set()

    report = run_on_dask(plan, local_cluster(tmp_path, "scale: 0\n"), listen, stop)
    assert report.interrupted
    assert "no worker" in said[0]


def test_a_kind_of_cluster_that_is_not_installed(tmp_path: Path) -> None:
    plan = plan_to_file(tmp_path / "plan.json", DEMO, tmp_path / "masks", None, NATIVE)
    (tmp_path / "cluster.yaml").write_text("class: dask_kubernetes.operator.KubeCluster\n")
    with pytest.raises(MissingExtraError, match="dask_kubernetes") as caught:
        run_on_dask(plan, str(tmp_path / "cluster.yaml"))
    assert "pip install dask-kubernetes" in str(caught.value.hint)


def test_beside_a_task(tmp_path: Path) -> None:
    plan = plan_to_file(tmp_path / "plan.json", DEMO, tmp_path / "masks", None, NATIVE)
    with Claims(plan.claims_folder) as claims:
        assert claims.take("2")
        with pytest.raises(OutputError, match="at work in"):
            run_on_dask(plan, "local:1")


@pytest.mark.parametrize(
    ("where", "words"),
    [("nowhere", "nowhere"), ("tcp://127.0.0.1:9", "127.0.0.1:9"), ("cluster.yaml", "no cluster")],
)
def test_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("qpmask.cluster.dasktasks._CONNECT_S", 1)
    (tmp_path / "cluster.yaml").write_text("class: os.system\noptions: {command: 'true'}\n")
    plan = plan_to_file(tmp_path / "plan.json", DEMO, tmp_path / "masks", None, NATIVE)
    with pytest.raises(OptionsError, match=words):
        run_on_dask(plan, where)


def test_a_cluster_that_cannot_start_jobs_is_told_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """As dask-jobqueue does where sbatch refuses."""
    from distributed.deploy.spec import ProcessInterface, SpecCluster
    from distributed.scheduler import Scheduler

    class Job(ProcessInterface):  # type: ignore[misc]
        async def start(self) -> None:
            raise RuntimeError("Command exited.\nstderr:\nsbatch: error: no such partition\n")

    def cluster() -> Any:
        scheduler = {"cls": Scheduler, "options": {"dashboard": False, "port": 0}}
        return SpecCluster(scheduler=scheduler, worker={"cls": Job, "options": {}})

    module = types.ModuleType("dask_jobqueue")
    module.Refused = cluster  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dask_jobqueue", module)
    where = tmp_path / "cluster.yaml"
    where.write_text("class: dask_jobqueue.Refused\nscale: 2\n")
    plan = plan_to_file(tmp_path / "plan.json", DEMO, tmp_path / "masks", None, NATIVE)
    with pytest.raises(OptionsError, match="cannot start a worker: sbatch: error: no such part"):
        run_on_dask(plan, str(where))
    assert "Traceback" not in capfd.readouterr().err
