"""``--workers N``: what one process makes, whatever dies; nothing is left beside it."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cluster.test_cluster_work import NATIVE, files_of, report_of
from conftest import DEMO

import qpmask
from qpmask.batch import Reporter
from qpmask.batch.planned import Desk, ItemMaker, Outcome, PlanItem, Run, WorkRun
from qpmask.cluster.processes import Processes, by_workers
from qpmask.errors import EngineUnavailableError, Interrupted, OptionsError, QpmaskError
from qpmask.events import ImageFinished, ItemStarted, PhaseStarted, ignore
from qpmask.export.planned import plan_export_run
from qpmask.outputs import OutputFolder
from qpmask.project.inventory import read_inventory

TWO = replace(NATIVE, workers=2)


@pytest.fixture(scope="module")
def at_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("one") / "masks"
    qpmask.export_masks(DEMO, out, None, NATIVE)
    return out


def in_processes(
    run: Run, items: Sequence[PlanItem], n: int, folder: OutputFolder, *, more: str = ""
) -> Iterator[tuple[PlanItem, Outcome]]:
    with Processes(n) as pool:
        yield from pool.run(run, items, folder, ignore, threading.Event(), more=more)


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_the_same_as_one_process(tmp_path: Path, at_once: Path) -> None:
    out = tmp_path / "masks"
    seen: list[Any] = []
    report = qpmask.export_masks(DEMO, out, None, TWO, seen.append)
    assert files_of(out) == files_of(at_once)
    assert everything(out) == everything(at_once)
    one, two = report_of(at_once), report_of(out)
    assert (one["options"].pop("workers"), two["options"].pop("workers")) == (1, 2)
    assert one == two
    finished = [event.record for event in seen if isinstance(event, ImageFinished)]
    assert sorted(r.image for r in finished) == sorted(r.image for r in report)
    assert {event.phase for event in seen if isinstance(event, PhaseStarted)} >= {"drawing"}


def test_what_stands_starts_no_process(
    tmp_path: Path, at_once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    qpmask.export_masks(DEMO, tmp_path, None, NATIVE)
    monkeypatch.setattr("qpmask.cluster.processes._Worker", None)
    assert {r.status for r in qpmask.export_masks(DEMO, tmp_path, None, TWO)} == {"skipped"}


def test_many_images_are_read_by_the_processes_that_draw_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong with one of them is said as one process says it."""
    project = Path(shutil.copytree(DEMO, tmp_path / "project"))
    (project / "data" / "2" / "data.qpdata").write_bytes(b"no data file")
    (project / "data" / "3" / "data.qpdata").unlink()
    one = qpmask.export_masks(project, tmp_path / "one", None, NATIVE)
    monkeypatch.setattr("qpmask.export.processes._MANY", 2)
    monkeypatch.setattr("qpmask.export.processes._AT_ONCE", 1)
    read_here: list[str] = []

    def read(entry: Any) -> Any:
        read_here.append(entry.id)
        return read_inventory(entry)

    monkeypatch.setattr("qpmask.plan.runplan.read_inventory", read)
    two = qpmask.export_masks(project, tmp_path / "two", None, TWO)
    assert read_here == ["1"]
    assert [record.status for record in one] == ["done", "failed", "failed"]
    assert [record.error for record in two] == [record.error for record in one]
    assert files_of(tmp_path / "two") == files_of(tmp_path / "one")


class Sharing:
    """A run that tells how many processes share the machine."""

    def maker(self, desk: Desk) -> ItemMaker:
        self.desk = desk
        return self

    def make(self, item: PlanItem) -> Outcome:
        return Outcome("done", True, str(self.desk.n_beside), {})

    def close(self) -> None:
        pass

    def lost(self, item: PlanItem, why: str) -> Outcome:
        raise AssertionError


def test_a_machine_is_shared_by_those_that_have_something_to_do(tmp_path: Path) -> None:
    items = [PlanItem(key, key, 0) for key in "ab"]
    with OutputFolder(tmp_path) as folder, Processes(5) as pool:
        pairs = pool.run(Sharing(), items, folder, ignore, threading.Event())
        assert [outcome.summary for _, outcome in pairs] == ["2", "2"]


# -- processes that die -------------------------------------------------------------------------


@dataclass(frozen=True)
class Deadly:
    """An export whose process is killed when it comes to an image, so often."""

    run: Any
    key: str
    times: int
    marks: Path

    def maker(self, desk: Desk) -> ItemMaker:
        return _DeadlyMaker(self, self.run.maker(desk))

    def lost(self, item: PlanItem, why: str) -> Outcome:
        outcome: Outcome = self.run.lost(item, why)
        return outcome


class _DeadlyMaker:
    def __init__(self, run: Deadly, maker: ItemMaker) -> None:
        self._run, self._maker = run, maker

    def make(self, item: PlanItem) -> Outcome:
        if item.key == self._run.key and len(list(self._run.marks.iterdir())) < self._run.times:
            (self._run.marks / str(os.getpid())).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self._maker.make(item)

    def close(self) -> None:
        self._maker.close()


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals on Windows")
@pytest.mark.parametrize("times", [1, 2])
def test_an_image_has_two_tries(tmp_path: Path, at_once: Path, times: int) -> None:
    out, marks = tmp_path / "masks", tmp_path / "marks"
    marks.mkdir()
    run = Deadly(plan_export_run(DEMO, out, None, NATIVE), "2", times, marks)
    with OutputFolder(out) as folder:
        pairs = in_processes(run, run.run.items, 2, folder, more=" or MORE")
        ended = {item.key: outcome for item, outcome in pairs}
        assert not folder.work_file("workers").exists()
    assert len(list(marks.iterdir())) == times
    if times == 1:
        assert {outcome.status for outcome in ended.values()} == {"done"}
        assert files_of(out) == files_of(at_once)
    else:
        assert [ended[key].status for key in "123"] == ["done", "failed", "done"]
        assert "Prostate B" in str(ended["2"].record)
        assert "died, twice" in ended["2"].summary and "fewer workers or MORE" in ended["2"].summary
        assert qpmask.export_masks(DEMO, out, None, TWO).ok
        assert files_of(out) == files_of(at_once)


def test_an_engine_that_processes_lack_ends_the_run(tmp_path: Path) -> None:
    run = replace(plan_export_run(DEMO, tmp_path, None, NATIVE), pixel_rules="0.1")
    with OutputFolder(tmp_path) as folder:
        with pytest.raises(EngineUnavailableError, match="draws other pixels"):
            list(in_processes(run, run.items, 2, folder))
        assert not folder.work_file("workers").exists()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes in /proc")
def test_an_interrupt_while_processes_begin(tmp_path: Path) -> None:
    """A terminal sends it to all of them."""
    run = subprocess.Popen(
        [sys.executable, "-m", "qpmask", "export", str(DEMO), "-o", str(tmp_path / "masks"),
         "--engine", "native", "--workers", "2"],
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children")
    while run.poll() is None and len(children.read_text().split()) < 3:  # one tracks resources
        time.sleep(0.002)
    os.killpg(run.pid, signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130, said
    assert "Traceback" not in said


def test_a_script_needs_no_main(tmp_path: Path) -> None:
    """Nor a file, as one that comes by a pipe."""
    script = (
        "import sys, qpmask\n"
        "options = qpmask.export_options(engine='native', workers=2)\n"
        "report = qpmask.export_masks(sys.argv[1], sys.argv[2], None, options)\n"
        "print({record.status for record in report})\n"
    )
    file = tmp_path / "script.py"
    file.write_text(script)
    for name, piped in ((str(file), None), ("-", script)):
        ran = subprocess.run(
            [sys.executable, name, str(DEMO), str(tmp_path / f"of {len(name)}")],
            input=piped, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (ran.stdout, ran.stderr) == ("{'done'}\n", "")


class Faulty:
    """A run that something is wrong with."""

    def maker(self, desk: Desk) -> ItemMaker:
        raise OfThreeError(1, 2, 3)

    def lost(self, item: PlanItem, why: str) -> Outcome:
        raise AssertionError


class OfThreeError(Exception):
    """An error that can be pickled, and not be made anew of that."""

    def __init__(self, one: int, two: int, three: int) -> None:
        super().__init__(f"{one} {two} {three}")


class Stillborn(Faulty):
    """No process survives to get it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (9,)


@pytest.mark.parametrize(
    ("run", "says"),
    [(Faulty(), "OfThreeError: 1 2 3"), (Stillborn(), "before they have begun.*code 9")],
)
def test_what_ends_processes_ends_the_run_in_words(tmp_path: Path, run: Any, says: str) -> None:
    items = [PlanItem(key, key, 0) for key in "ab"]
    with OutputFolder(tmp_path) as folder, pytest.raises(QpmaskError, match=says):
        list(in_processes(run, items, 2, folder))
    assert not multiprocessing.active_children()


def _times_ten_or_dies(number: int) -> int:
    """Dies of 13, but not in the process that runs the tests, where it takes a while."""
    if number == 13 and multiprocessing.parent_process() is not None:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 13:
        time.sleep(0.2)
    if number < 0:
        raise OptionsError(f"{number} is negative.")
    return 10 * number


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals on Windows")
def test_calls_that_a_process_leaves_are_done_here() -> None:
    with Processes(2) as pool:
        assert pool.each(_times_ten_or_dies, range(40)) == list(range(0, 400, 10))
        assert pool.each(_times_ten_or_dies, [13] * 8) == [130] * 8
        with pytest.raises(OptionsError, match="-1 is negative"):
            pool.each(_times_ten_or_dies, [-1, 1])
    assert not multiprocessing.active_children()


# -- any work -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Thing:
    """An item: a key that no file could have as its name."""

    key: str
    name: str


@dataclass(frozen=True)
class Told:
    """A record that holds what no JSON does."""

    status: str
    summary: str
    thing: Thing
    pid: int = 0

    @property
    def ok(self) -> bool:
        return self.status == "done"

    def as_dict(self) -> dict[str, Any]:
        return {"status": self.status, "summary": self.summary}


class Tell:
    """A work that notes where it was done; stops when it is told to."""

    def standing(self, item: Thing) -> Told | None:
        return None

    def do(self, item: Thing, reporter: Reporter) -> Told:
        if item.name == "waits":
            while True:
                time.sleep(0.01)
                reporter.check()
        if item.name == "kills":
            os.kill(os.getpid(), signal.SIGKILL)
        if item.name == "fails":
            raise OptionsError("It cannot be.")
        return Told("done", "told", item, os.getpid())

    def record(self, item: Thing, status: str, error: Any) -> Told:
        return Told(status, str(error), item)


def told(
    names: list[str], n: int, out: Path, listen: Any = ignore, stop: threading.Event | None = None
) -> Iterator[Told]:
    """Records of things, each of which costs as much as the second letter of its name says."""
    things = [Thing(f"/{'x' * 300}/{k}", name) for k, name in enumerate(names)]
    with OutputFolder(out) as folder:
        never = threading.Event()
        do = by_workers(Tell(), n, folder, listen, stop or never, lambda thing: ord(thing.name[1]))
        assert do is not None
        try:
            for thing, record in do(things):
                assert thing == record.thing
                yield record
        finally:
            assert not folder.work_file("workers").exists()


def test_what_takes_longest_comes_first(tmp_path: Path) -> None:
    costs = {"a": 1, "b": 4, "c": 2, "d": 3}
    items = [PlanItem(k, k, cost, source=Thing(k, k)) for k, cost in costs.items()]
    with OutputFolder(tmp_path) as folder:
        pairs = in_processes(WorkRun(Tell()), items, 1, folder)
        records = [outcome.record for _, outcome in pairs]
    assert [record.thing.name for record in records] == ["b", "d", "c", "a"]
    assert len({record.pid for record in records}) == 1, "a process keeps what it has loaded"


def test_one_that_fails_costs_no_other(tmp_path: Path) -> None:
    records = {record.thing.name: record for record in told(["a1", "fails", "c1"], 2, tmp_path)}
    assert {name: record.status for name, record in records.items()} == {
        "a1": "done", "fails": "failed", "c1": "done"
    }  # fmt: skip
    assert "It cannot be." in records["fails"].summary


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals on Windows")
def test_what_waits_behind_one_that_kills_is_done(tmp_path: Path) -> None:
    """Where many are left a process has the next one already."""
    names = ["zz", "kills", *["a1"] * 30]
    records = list(told(names, 2, tmp_path))
    assert len(records) == len(names) == len({record.thing.key for record in records})
    lost = [record for record in records if record.status != "done"]
    assert [record.thing.name for record in lost] == ["kills"]
    assert "died, twice" in lost[0].summary


def test_a_stop_ends_what_is_being_done(tmp_path: Path) -> None:
    stop, ended, waiting = threading.Event(), [], set()

    def listen(event: object) -> None:
        if isinstance(event, ItemStarted) and event.name == "waits":
            waiting.add(event.key)
            if len(waiting) == 2:  # so that the first is done
                stop.set()

    with pytest.raises(Interrupted):
        for record in told(["az", "waits", "waits"], 2, tmp_path, listen, stop):
            ended.append(record.thing.name)
    assert ended == ["az"]


def test_a_listener_that_fails_leaves_no_process(tmp_path: Path) -> None:
    """As Ctrl-C does where nobody catches it: the run is left from inside."""

    def listen(event: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(told(["waits", "waits"], 2, tmp_path, listen))
    assert not multiprocessing.active_children()
