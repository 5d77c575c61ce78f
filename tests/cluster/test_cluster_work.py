"""Plan, work, collect: the same bytes and the same report as one run, whoever dies on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cluster.plans import plan_to_file
from conftest import DEMO, ROOT, Cli

import qpmask
from qpmask.cluster import collect, plan_status, read_plan_file, work_on
from qpmask.cluster.records import join_round, latest_records, read_record, write_record
from qpmask.errors import OptionsError, OutputError
from qpmask.events import ImageStarted, ItemFinished
from qpmask.outputs import OutputFolder
from qpmask.outputs.claims import Claims

NATIVE = qpmask.export_options(engine="native")
_VARIES = ("started", "seconds", "output", "engine_reason")


def files_of(folder: Path) -> dict[str, bytes]:
    """Masks and sidecars of a folder."""
    return {p.name: p.read_bytes() for p in sorted(folder.glob("*.ome.tif*"))}


def report_of(folder: Path) -> dict[str, Any]:
    """The report, without what differs from run to run."""
    report = json.loads((folder / "report.json").read_text())
    for name in _VARIES:
        report.pop(name)
    for image in report["images"]:
        image.pop("seconds")
    return report


@pytest.fixture(scope="module")
def at_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one run makes of the demo project."""
    out = tmp_path_factory.mktemp("one") / "masks"
    qpmask.export_masks(DEMO, out, None, NATIVE)
    return out


def work_command(plan: Path, task: str = "1/1") -> list[str]:
    return [sys.executable, "-m", "qpmask", "work", str(plan), "--task", task, "-q"]


def test_two_tasks_do_what_one_run_does(tmp_path: Path, at_once: Path) -> None:
    out, path = tmp_path / "masks", tmp_path / "plan.json"
    made = plan_to_file(path, DEMO, out, None, NATIVE)
    plan = read_plan_file(path)
    assert plan == made
    assert [len(work_on(plan, (k, 2)).outcomes) for k in (1, 2)] == [3, 0], "the second has no more"
    report = collect(plan)
    assert report.ok
    assert files_of(out) == files_of(at_once)
    assert report_of(out) == report_of(at_once)
    assert (out / "classes.yaml").read_text() == (at_once / "classes.yaml").read_text()
    assert (out / "areas.csv").read_text() == (at_once / "areas.csv").read_text()


def test_a_second_time_everything_stands(tmp_path: Path) -> None:
    out, path = tmp_path / "masks", tmp_path / "plan.json"
    plan = plan_to_file(path, DEMO, out, None, NATIVE)
    work_on(plan)
    before = files_of(out)
    again = work_on(plan)
    assert [outcome.status for outcome in again.outcomes.values()] == ["skipped"] * 3
    assert files_of(out) == before
    assert [record.status for record in collect(plan)] == ["done"] * 3, "who made them is told"
    later = qpmask.export_masks(DEMO, out, None, NATIVE)
    assert [record.status for record in later] == ["skipped"] * 3, "a plain run takes them"


def test_labels_are_those_of_the_plan(tmp_path: Path, demo: Path) -> None:
    plan = plan_to_file(tmp_path / "plan.json", demo, tmp_path / "masks", None, NATIVE)
    listed = demo / "classifiers" / "classes.json"
    data = json.loads(listed.read_text())
    data["pathClasses"].reverse()
    listed.write_text(json.dumps(data))
    work_on(plan)
    with qpmask.open_mask(tmp_path / "masks" / "Prostate A.ome.tif") as mask:
        labels = {row.name: row.label for row in mask.classes.values()}
    assert labels == {entry.name: entry.label for entry in plan.run.classes.entries}


def test_a_task_that_was_killed_is_taken_up(tmp_path: Path, at_once: Path) -> None:
    out, path = tmp_path / "masks", tmp_path / "plan.json"
    plan = plan_to_file(path, DEMO, out, None, NATIVE)
    for delay in (0.1, 0.7, 1.1, 1.5):
        process = subprocess.Popen(work_command(path), cwd=ROOT)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for mask in out.glob("*.ome.tif"):
            qpmask.check_mask(mask)
    done = work_on(plan)
    assert not done.elsewhere
    assert collect(plan).ok
    assert files_of(out) == files_of(at_once)
    assert not list(plan.folder.glob("work-*")), "what the dead left is gone"


def test_an_interrupt_leaves_whole_masks(tmp_path: Path) -> None:
    plan = plan_to_file(tmp_path / "plan.json", DEMO, tmp_path / "masks", None, NATIVE)
    stop = threading.Event()

    def listen(event: Any) -> None:
        if isinstance(event, ImageStarted):
            stop.set()

    done = work_on(plan, (1, 1), listen, stop)
    assert done.interrupted
    assert not done.ok
    status = plan_status(plan)
    assert (status.running, status.lost) == (0, 0)
    report = collect(plan)
    assert report.interrupted
    assert sum(record.status == "interrupted" for record in report) >= 2


def test_many_processes_race_for_one_folder(tmp_path: Path, at_once: Path) -> None:
    out, path = tmp_path / "masks", tmp_path / "plan.json"
    plan = plan_to_file(path, DEMO, out, None, NATIVE)
    racers = [subprocess.Popen(work_command(path), cwd=ROOT) for _ in range(4)]
    assert [racer.wait() for racer in racers] == [0] * 4
    records = sorted((r.key, r.status) for r in latest_records(plan.folder).values())
    assert records == [("1", "done"), ("2", "done"), ("3", "done")], "each made once"
    assert files_of(out) == files_of(at_once)


def test_what_another_round_made_meanwhile_stays_made(tmp_path: Path) -> None:
    """Two tasks that begin at once may be in two rounds: the second looked before that was made."""
    write_record(tmp_path, "a", "done", 1, {"summary": "made"})
    write_record(tmp_path, "a", "skipped", 3, {"summary": "it stands"}, before=None)
    (found,) = latest_records(tmp_path).values()
    assert (found.status, found.round) == ("done", 3)
    assert read_record(found) == {"summary": "made"}
    write_record(tmp_path, "b", "skipped", 2, {"summary": "of an older run"}, before=None)
    assert latest_records(tmp_path)["b"].status == "skipped"


def test_an_image_that_fails_does_not_keep_the_others(tmp_path: Path, demo: Path) -> None:
    plan = plan_to_file(tmp_path / "plan.json", demo, tmp_path / "masks", None, NATIVE)
    data = demo / "data" / "2" / "data.qpdata"
    whole = data.read_bytes()
    data.write_bytes(whole[:200])
    done = work_on(plan)
    assert sorted(outcome.status for outcome in done.outcomes.values()) == [
        "done",
        "done",
        "failed",
    ]
    assert plan_status(plan).failed_keys == ("2",)
    report = collect(plan)
    assert not report.ok
    assert "ends too early" in next(r.error or "" for r in report if not r.ok)
    data.write_bytes(whole)
    work_on(plan)
    assert collect(plan).ok, "the next run takes it up"
    assert plan_status(plan).failed == 0


def test_what_failed_is_tried_once_a_round(tmp_path: Path, demo: Path) -> None:
    plan = plan_to_file(tmp_path / "plan.json", demo, tmp_path / "masks", None, NATIVE)
    data = demo / "data" / "2" / "data.qpdata"
    data.write_bytes(data.read_bytes()[:200])

    def tried(task: int, n_tasks: int) -> list[str]:
        return sorted(o.status for o in work_on(plan, (task, n_tasks)).outcomes.values())

    assert tried(1, 3) == ["done", "done", "failed"]
    assert tried(3, 3) == [], "of the same array"
    assert tried(1, 3) == ["failed", "skipped", "skipped"], "the same command again"
    assert tried(2, 3) == []
    assert tried(1, 1) == ["failed", "skipped", "skipped"], "another one"


def test_a_round_goes_on_while_somebody_is_at_work(tmp_path: Path) -> None:
    claims = tmp_path / "claims"

    def joined(*tasks: str) -> list[int]:
        return [join_round(tmp_path, task, claims) for task in tasks]

    assert joined("1-2", "2-2", "1-2", "2-2") == [1, 1, 2, 2]
    assert joined("1-3") == [3], "another array"
    with Claims(claims) as mine:
        assert mine.take("x")
        assert joined("1-3", "1-2") == [3, 3]
    assert joined("1-3") == [4]


def test_status_writes_nothing(tmp_path: Path) -> None:
    plan = plan_to_file(tmp_path / "plan.json", DEMO, tmp_path / "masks", None, NATIVE)
    plan.claims_folder.mkdir(parents=True)
    (plan.claims_folder / "1.1.claim").write_text('{"host": "elsewhere", "pid": 1, "boot": ""}')
    before = {p: p.stat().st_mtime_ns for p in plan.out.rglob("*")}
    assert plan_status(plan).running == 1
    assert {p: p.stat().st_mtime_ns for p in plan.out.rglob("*")} == before


def test_a_mask_that_is_gone_is_told(tmp_path: Path) -> None:
    plan = plan_to_file(tmp_path / "plan.json", DEMO, tmp_path / "masks", None, NATIVE)
    work_on(plan)
    (tmp_path / "masks" / "Prostate B.ome.tif").unlink()
    report = collect(plan)
    assert not report.ok
    assert [record.image for record in report if not record.ok] == ["Prostate B"]
    work_on(plan)
    assert collect(plan).ok


class TestWithOthers:
    def test_collecting_waits_for_tasks(self, tmp_path: Path) -> None:
        plan = plan_to_file(tmp_path / "plan.json", DEMO, tmp_path / "masks", None, NATIVE)
        with Claims(plan.claims_folder) as claims:
            assert claims.take("1")
            with pytest.raises(OutputError, match="at work"):
                collect(plan)
            with pytest.raises(OutputError, match="at work"):
                qpmask.export_masks(DEMO, plan.out, None, NATIVE)
            done = work_on(plan)
            assert done.elsewhere == ("1",)
            assert plan_status(plan).running == 1

    def test_tasks_keep_away_from_a_plain_run(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from qpmask.outputs import OutputFolder

        plan = plan_to_file(tmp_path / "plan.json", DEMO, tmp_path / "masks", None, NATIVE)
        script = "import sys; from pathlib import Path; from qpmask.outputs import OutputFolder\n"
        script += "with OutputFolder(Path(sys.argv[1])): print('held', flush=True); input()"
        holder = subprocess.Popen(
            [sys.executable, "-c", script, str(plan.out)], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        monkeypatch.setattr("qpmask.cluster.workbench._PATIENCE_S", 1.5)
        seen: list[Any] = []
        with pytest.raises(OutputError, match="is writing to"):
            work_on(plan, progress=seen.append)
        assert ["It is waited for" in event.text for event in seen] == [True]
        holder.communicate("\n")
        assert work_on(plan).ok
        with OutputFolder(plan.out):
            pass


class TestPlans:
    @pytest.mark.parametrize(
        "text",
        ["", "{", "[]", "{}", '{"format": 99}', '{"format": 1}',
         '{"format": 2, "command": "rm", "folders": [], "items": []}',
         '{"format": 2, "command": "export", "folders": 3, "items": 7, "run": 1}'],
    )  # fmt: skip
    def test_what_is_none(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "plan.json"
        version = f'"qpmask": "{qpmask.__version__}", "format": 2'
        path.write_text(text.replace('"format": 2', version))
        with pytest.raises(OptionsError, match=r"plan\.json"):
            read_plan_file(path)

    def test_of_another_version(self, tmp_path: Path) -> None:
        """It would claim in another folder, beside those of this version."""
        path = tmp_path / "plan.json"
        plan_to_file(path, DEMO, tmp_path / "masks", None, NATIVE)
        path.write_text(path.read_text().replace(qpmask.__version__, "0.0.7", 1))
        with pytest.raises(OptionsError, match=r"made by qpmask 0\.0\.7"):
            read_plan_file(path)

    def test_there_is_none(self, tmp_path: Path) -> None:
        with pytest.raises(OptionsError, match="cannot be read"):
            read_plan_file(tmp_path / "nothing.json")

    @pytest.mark.parametrize("task", [(0, 2), (3, 2), (1, 0)])
    def test_no_such_share(self, tmp_path: Path, task: tuple[int, int]) -> None:
        plan = plan_to_file(tmp_path / "plan.json", DEMO, tmp_path / "masks", None, NATIVE)
        with pytest.raises(OptionsError, match="no task"):
            work_on(plan, task)

    def test_options_survive(self, tmp_path: Path) -> None:
        options = qpmask.export_options(
            engine="native", downsample=2, compression="zlib", images=("Prostate A",),
            hidden="error",
            tile_px=256, unclassified=40, order="area", slides=(tmp_path,),
        )  # fmt: skip
        made = plan_to_file(tmp_path / "plan.json", DEMO, tmp_path / "masks", None, options)
        read = read_plan_file(tmp_path / "plan.json")
        assert read.run.options == made.run.options
        assert read.digest == made.digest
        assert [item.name for item in read.items] == ["Prostate A"]

    def test_a_plan_writes_no_mask(self, tmp_path: Path) -> None:
        plan_to_file(tmp_path / "plan.json", DEMO, tmp_path / "masks", None, NATIVE)
        assert [p.name for p in (tmp_path / "masks").iterdir()] == ["classes.yaml"]


def test_status_counts_without_opening_records(tmp_path: Path) -> None:
    plan = plan_to_file(tmp_path / "plan.json", DEMO, tmp_path / "masks", None, NATIVE)
    for key, status, at in (("1", "done", 100), ("2", "failed", 160)):
        write_record(plan.folder, key, status, 1, {"status": status})
        path = Path(next(r.path for r in latest_records(plan.folder).values() if r.key == key))
        path.write_text("not JSON")
        os.utime(path, (at, at))
    found = plan_status(plan)
    assert (found.total, found.done, found.failed, found.left) == (3, 1, 1, 1)
    assert found.rate_per_hour == pytest.approx(60)


def test_the_commands(tmp_path: Path, qpmask_cli: Cli, at_once: Path) -> None:
    plan, out = tmp_path / "my plan.json", tmp_path / "masks"
    code, said, _ = qpmask_cli("export", DEMO, "-o", out, "--engine", "native", "--plan", plan)
    assert code == 0
    assert "3 images" in said
    assert f"qpmask work '{plan}' --task" in said
    assert qpmask_cli("work", plan, "--task", "2/1")[0] == 2
    assert qpmask_cli("work", plan, "--task", "x")[0] == 2
    assert qpmask_cli("collect", plan, "-q")[0] == 1, "nothing is done yet"
    code, _, said = qpmask_cli("work", plan, "--task", "1/2")
    assert code == 0
    assert "task 1/2: 3 images done" in said, "and what the other task did not come for"
    assert "3 of 3 images finished (100 %)" in qpmask_cli("status", plan)[1]
    assert json.loads(qpmask_cli("status", plan, "--json")[1])["left"] == 0
    assert qpmask_cli("work", plan, "--task", "2/2", "-q") == (0, "", "")
    assert qpmask_cli("collect", plan, "-q")[0] == 0
    assert report_of(out) == report_of(at_once)


def test_a_batch_system_that_is_not_there(
    tmp_path: Path, qpmask_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_to_file(tmp_path / "plan.json", DEMO, tmp_path / "masks", None, NATIVE)
    monkeypatch.setenv("PATH", str(tmp_path))
    code, _, said = qpmask_cli("submit", tmp_path / "plan.json", "--slurm")
    assert code == 1
    assert "sbatch is not on this machine" in said
    code, said, _ = qpmask_cli(
        "submit", tmp_path / "plan.json", "--slurm", "--array-size", "2", "--time", "01:00:00",
        "--mem", "4G", "--partition", "gpu", "--at-once", "1", "--setup", "module load x",
        "--dry-run",
    )  # fmt: skip
    assert code == 0
    for line in ("#SBATCH --array=1-2%1", "#SBATCH --time=01:00:00", "#SBATCH --mem=4G",
                 "#SBATCH --partition=gpu", "module load x"):  # fmt: skip
        assert line in said.splitlines()
    assert '--task "$SLURM_ARRAY_TASK_ID/2"' in said
    code, _, said = qpmask_cli("submit", tmp_path / "plan.json", "--slurm", "--mem", "4G\nrm -rf x")
    assert code == 2
    _, script, said = qpmask_cli(
        "submit", tmp_path / "plan.json", "--slurm", "--array-size", "9", "--dry-run"
    )
    assert "3 tasks, since there is no more to do at once" in said
    assert "#SBATCH --array=1-3\n" in script


@pytest.mark.skipif(sys.platform == "win32", reason="sbatch is a shell script here")
def test_the_second_job_is_refused(
    tmp_path: Path, qpmask_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_to_file(tmp_path / "plan.json", DEMO, tmp_path / "masks", None, NATIVE)
    sbatch = tmp_path / "sbatch"
    sbatch.write_text(
        '#!/bin/sh\ncase "$*" in *dependency*) echo "no such queue" >&2; exit 1;; esac\necho 77\n'
    )
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    code, _, said = qpmask_cli("submit", tmp_path / "plan.json", "--slurm")
    assert code == 1
    assert "submitted as job 77" in said
    assert "no such queue" in said
    assert "scancel 77" in said


def test_a_new_plan_begins_anew(tmp_path: Path) -> None:
    """What was told of an earlier plan, the same, is told no more; what was made holds."""
    out, path = tmp_path / "masks", tmp_path / "plan.json"
    first = plan_to_file(path, DEMO, out, None, NATIVE)
    assert work_on(first).ok
    plan = plan_to_file(path, DEMO, out, None, NATIVE)
    assert plan.digest == first.digest
    assert plan_status(plan).left == 3
    assert not collect(plan).ok
    assert work_on(plan).ok
    assert [record.status for record in collect(plan)] == ["skipped"] * 3


def test_a_claim_that_is_stale_by_this_clock_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file system's time counts: what another machine is at is left to it, and told so."""
    plan = plan_to_file(tmp_path / "plan.json", DEMO, tmp_path / "masks", None, NATIVE)
    plan.claims_folder.mkdir(parents=True)
    holder = {"host": "elsewhere", "pid": 1, "boot": "other"}
    (plan.claims_folder / "2.1.claim").write_text(json.dumps(holder))
    now = time.time
    monkeypatch.setattr("qpmask.outputs.claims.time.time", lambda: now() + 1000)
    done = work_on(plan)
    assert sorted(done.outcomes) == ["1", "3"]
    assert done.elsewhere == ("2",)


def between_items(do: Callable[[], None]) -> Callable[[Any], None]:
    """A listener that does something once, while a task has no claim."""
    done: list[None] = []

    def listen(event: Any) -> None:
        if isinstance(event, ItemFinished) and not done:
            done.append(do())

    return listen


def test_a_new_plan_while_a_task_is_between_two_items(tmp_path: Path) -> None:
    path, out = tmp_path / "plan.json", tmp_path / "masks"
    plan = plan_to_file(path, DEMO, out, None, NATIVE)
    done = work_on(plan, (1, 1), between_items(lambda: _planned_again(path, out)))
    assert done.ok
    assert len(done.outcomes) == 3
    assert collect(plan).ok


def _planned_again(path: Path, out: Path) -> None:
    plan_to_file(path, DEMO, out, None, NATIVE)


def test_a_task_waits_for_one_who_collects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_to_file(tmp_path / "plan.json", DEMO, tmp_path / "masks", None, NATIVE)
    held: list[OutputFolder] = []

    def collecting() -> None:
        held.append(OutputFolder(plan.out))
        threading.Timer(1.5, lambda: held[0].__exit__()).start()

    assert work_on(plan, (1, 1), between_items(collecting)).ok

    monkeypatch.setattr("qpmask.cluster.workbench._PATIENCE_S", 0)
    with pytest.raises(OutputError, match="A run of qpmask"):
        work_on(plan, (1, 1), between_items(lambda: held.append(OutputFolder(plan.out))))
    held[1].__exit__()
    assert not list(plan.claims_folder.iterdir())


def test_a_task_that_begins_while_somebody_collects(tmp_path: Path) -> None:
    plan = plan_to_file(tmp_path / "plan.json", DEMO, tmp_path / "masks", None, NATIVE)
    collecting = OutputFolder(plan.out)
    threading.Timer(1.5, lambda: collecting.__exit__()).start()
    assert work_on(plan).ok


def test_two_plans_are_not_done_in_one_folder_at_once(tmp_path: Path) -> None:
    out = tmp_path / "masks"
    plan = plan_to_file(tmp_path / "one.json", DEMO, out, None, NATIVE)
    options = replace(NATIVE, images=("Prostate A",))
    other = plan_to_file(tmp_path / "other.json", DEMO, out, None, options)
    with Claims(plan.claims_folder) as claims:
        assert claims.take("1")
        with pytest.raises(OutputError, match="works on another plan"):
            work_on(other)
    assert work_on(other).ok
