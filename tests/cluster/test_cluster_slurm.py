"""An array over a project on a real SLURM of one node: killed, out of time, submitted again."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster.one_node_slurm import OneNodeSlurm, why_not
from cluster.plans import plan_to_file
from conftest import DEMO, ROOT, Cli

import qpmask
from qpmask.cluster import plan_status

NATIVE = qpmask.export_options(engine="native")

pytestmark = [
    pytest.mark.slow,  # it waits for minutes; .ci/run does it beside the rest
    pytest.mark.skipif(why_not() is not None, reason=f"no SLURM: {why_not()}"),
]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneNodeSlurm]:
    one = OneNodeSlurm(tmp_path_factory.mktemp("slurm"))
    try:
        trouble = one.start()
        if trouble is not None:
            pytest.skip(f"no SLURM: {trouble}")
        yield one
    finally:
        one.stop()


def test_an_array_that_is_killed_and_submitted_again(
    slurm: OneNodeSlurm, tmp_path: Path, qpmask_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in slurm.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    qpmask.export_masks(DEMO, tmp_path / "one", None, NATIVE)
    path = tmp_path / "50% of it" / "plan.json"  # a blank, and what sbatch has a meaning for
    path.parent.mkdir()
    plan = plan_to_file(path, DEMO, tmp_path / "masks", None, NATIVE)

    # The first array: one task is killed as it works, the other waits too long for its limit.
    slow = tmp_path / "slow.py"
    slow.write_text(
        "import os, signal, sys, time\n"
        "from qpmask.export import job\n"
        "make = job.MaskMaker.make\n"
        "def slowly(self, image):\n"
        "    if os.environ['SLURM_ARRAY_TASK_ID'] == '1': os.kill(os.getpid(), signal.SIGKILL)\n"
        "    time.sleep(3600)\n"
        "job.MaskMaker.make = slowly\n"
        "from qpmask.__main__ import main\n"
        "main(sys.argv[3:])\n"  # as python -m qpmask ...
    )
    python = tmp_path / "python"
    python.write_text(f'#!/bin/bash\nexec {sys.executable} {slow} "$@"\n')
    python.chmod(0o755)
    code, said, trouble = qpmask_cli(
        "submit", path, "--slurm", "--array-size", "2", "--cpus", "1", "--time", "0:05",
        "--python", python,
    )  # fmt: skip
    assert code == 0, trouble
    words = said.split()
    array, collecting = words[2].rstrip(","), words[5]
    assert slurm.wait_for(array, 240), slurm.run("squeue")
    assert slurm.wait_for(collecting, 120)
    status = plan_status(plan)
    assert (status.done, status.running) == (0, 0)
    assert status.lost >= 1
    logs = sorted(log.name for log in path.parent.glob("*.log"))
    assert logs == [f"plan-{array}_1.log", f"plan-{array}_2.log", f"plan-collect-{collecting}.log"]

    code, said, trouble = qpmask_cli(
        "submit", path, "--slurm", "--array-size", "2", "--cpus", "1", "--time", "10:00"
    )
    assert code == 0, trouble
    words = said.split()
    assert slurm.wait_for(words[2].rstrip(","), 240)
    assert slurm.wait_for(words[5], 120)
    masks = {p.name: p.read_bytes() for p in (tmp_path / "masks").glob("*.ome.tif*")}
    assert masks == {p.name: p.read_bytes() for p in (tmp_path / "one").glob("*.ome.tif*")}
    report = json.loads((tmp_path / "masks" / "report.json").read_text())
    assert report["ok"]
    assert [image["status"] for image in report["images"]] == ["done"] * 3
