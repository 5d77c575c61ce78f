"""An import that is killed, or ended by Ctrl-C: each data file is the old or the new one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import DEMO
from intoqupath.import_samples import feature, geometry

#: Imports again and again, each time in a process that ends at a later step than the one before.
PROGRAM = """
import os, shutil, signal, sys
from pathlib import Path
sys.path[:0] = {path!r}
from qpmask import restore_project
from qpmask.cli import app
from qpmask.cli.exits import run
from qpmask.intoqupath import run as run_module
from qpmask.intoqupath.backups import backup_sets
from qpmask.project import open_project
from qpmask.qpdata import read_qpdata

root, what = Path({root!r}), {what!r}
run_module.running_qupath = lambda: ()
NAMES = ("Prostate A", "Prostate B")
EVENTS = ("open", "os.rename", "os.link", "os.remove", "os.mkdir")

def counts(project):
    return [len(read_qpdata(e.data_path)) for e in open_project(project) if e.name in NAMES]

def import_into(project):
    return run(app, ["import", str(root / "predictions"), "--project", str(project), "-q"])

def files(project):
    return [(project / "data" / str(i) / "data.qpdata").read_bytes() for i in (1, 2)]

demo = root / "demo"
old, before = counts(demo), files(demo)
new = [n + 3 for n in old]
seen = set()
step, steps = 1, 0
while True:
    project = Path(shutil.copytree(demo, root / what / str(step)))
    hit = project / "hit"
    pid = os.fork()
    if not pid:
        sys.stdout = sys.stderr = open(os.devnull, "w")
        n = 0
        def hook(event, args):
            global n
            if event in EVENTS and not hit.exists():
                n += 1
                if n == step:
                    hit.touch()
                    if what == "die":
                        os._exit(9)  # as a SIGKILL would: nothing is cleaned up
                    os.kill(os.getpid(), signal.SIGINT)
        sys.addaudithook(hook)
        os._exit(import_into(project))
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    ended = code == (9 if what == "die" else 130)
    now = counts(project)
    assert all(n in both for n, both in zip(now, zip(old, new))), (step, now)
    assert ended or (code == 0 and now == new), (step, code, now)
    if not hit.exists():
        break  # there were not so many steps
    # Ctrl-C may come when all is done.
    steps += ended
    seen.add(tuple(a == b for a, b in zip(now, new)))
    for i, (a, b) in enumerate(zip(now, old)):
        assert a != b or files(project)[i] == before[i], step
    sets = backup_sets(open_project(project))
    if now != old:  # what was replaced is kept, and comes back
        restore_project(project, sets[0].name)
        assert files(project) == before, step
    elif what == "interrupt":
        assert files(project) == before, step
    # What was left behind is in nobody's way.
    assert import_into(project) == 0, step
    assert counts(project) == new, step
    left = [str(p) for p in (project / "data").rglob(".*")]
    assert not left, (step, left)
    shutil.rmtree(project)
    step += {stride}
assert seen == {{(False, False), (True, False), (True, True)}}, seen
print(steps)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
@pytest.mark.parametrize("what", ["die", "interrupt"])
def test_at_any_step(tmp_path: Path, what: str) -> None:
    import shutil

    shutil.copytree(DEMO, tmp_path / "demo", ignore=shutil.ignore_patterns("slides"))
    folder = tmp_path / "predictions"
    folder.mkdir()
    ring = [[50, 50], [90, 50], [70, 80], [50, 50]]
    objects = [feature(geometry("Polygon", [ring]), objectType="detection")] * 3
    for name in ("Prostate A", "Prostate B"):
        (folder / f"{name}.geojson").write_text(json.dumps(objects))
    path = [str(Path(__file__).parents[1]), *sys.path]
    program = PROGRAM.format(path=path, root=str(tmp_path), what=what, stride=7)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 6  # so many steps there were to end at
