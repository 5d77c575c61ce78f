"""Files replaced whole or not at all, whenever a run dies; and taken back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from qpmask.errors import ImportRefusedError
from qpmask.intoqupath.backups import Replacing, backup_sets, locked, take_back
from qpmask.project import Project


def project_of(folder: Path) -> Project:
    (folder / "data" / "1").mkdir(parents=True)
    (folder / "data" / "1" / "data.qpdata").write_bytes(b"old")
    return Project(folder / "project.qpproj", None, "0.6.0", (), ())


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return project_of(tmp_path)


def data_of(project: Project) -> Path:
    return project.folder / "data" / "1" / "data.qpdata"


def test_a_file_is_replaced_and_taken_back(project: Project) -> None:
    replacing = Replacing(project, "a test")
    replacing.replace_bytes(data_of(project), b"new", "A")
    replacing.replace_bytes(project.folder / "data" / "2" / "data.qpdata", b"made", "B")
    (kept,) = backup_sets(project)
    assert [(f.path, f.was_there, f.image) for f in kept.files] == [
        ("data/1/data.qpdata", True, "A"),
        ("data/2/data.qpdata", False, "B"),
    ]
    assert data_of(project).read_bytes() == b"new"
    take_back(project, kept)
    assert data_of(project).read_bytes() == b"old"
    assert not (project.folder / "data" / "2" / "data.qpdata").exists()
    again = backup_sets(project)
    assert [bool(one.restored) for one in again] == [True, False]
    take_back(project, again[1])
    assert data_of(project).read_bytes() == b"new"


def test_a_file_replaced_twice_by_one_run_is_kept_as_it_was_before_both(project: Project) -> None:
    replacing = Replacing(project, "a test")
    replacing.replace_bytes(data_of(project), b"first")
    replacing.replace_bytes(data_of(project), b"second")
    (kept,) = backup_sets(project)
    take_back(project, kept)
    assert data_of(project).read_bytes() == b"old"


def test_what_was_changed_since_is_left(project: Project) -> None:
    replacing = Replacing(project, "a test")
    replacing.replace_bytes(data_of(project), b"new", "A")
    data_of(project).write_bytes(b"by hand")
    (kept,) = backup_sets(project)
    with pytest.raises(ImportRefusedError, match="Files of A were changed"):
        take_back(project, kept)
    assert data_of(project).read_bytes() == b"by hand"


def test_a_disk_without_links(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise PermissionError("no links")

    monkeypatch.setattr("os.link", refuse)
    Replacing(project, "a test").replace_bytes(data_of(project), b"new")
    (kept,) = backup_sets(project)
    take_back(project, kept)
    assert data_of(project).read_bytes() == b"old"


def test_a_manifest_that_leads_out_of_the_project_is_none(project: Project) -> None:
    Replacing(project, "a test").replace_bytes(data_of(project), b"new")
    (kept,) = backup_sets(project)
    kept.files[0].path = "../data.qpdata"
    kept.save()
    assert backup_sets(project) == []


def test_two_runs_at_a_time(project: Project) -> None:
    with locked(project), pytest.raises(ImportRefusedError, match="Another run"), locked(project):
        pass


DIES = """
import os, sys
from pathlib import Path
sys.path[:0] = {path!r}
from qpmask.intoqupath.backups import Replacing, backup_sets, take_back
from intoqupath.test_backups import data_of, project_of

root = Path({root!r})
for step in range(1, 200):
    project = project_of(root / str(step))
    data = data_of(project)
    pid = os.fork()
    if not pid:
        n = 0
        def hook(event, args):
            global n
            if event in ("open", "os.rename", "os.link", "os.remove", "os.mkdir"):
                n += 1
                if n == step:
                    os._exit(9)  # as a SIGKILL would: nothing is cleaned up
        sys.addaudithook(hook)
        replacing = Replacing(project, "a test")
        replacing.replace_bytes(data, b"new", "A")
        take_back(project, replacing.backup)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert data.read_bytes() in (b"old", b"new"), step
    sets = backup_sets(project)
    if code and sets and data.read_bytes() != b"old":
        take_back(project, sets[0])  # what died can be taken back
        assert data.read_bytes() == b"old", step
    Replacing(project, "the next run").replace_bytes(data, b"next")
    assert data.read_bytes() == b"next"
    assert not list(data.parent.glob(".*")), step
    if code == 0:
        print(step)
        break
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_a_run_that_dies_at_any_step_leaves_the_old_or_the_new_file(tmp_path: Path) -> None:
    path = [str(Path(__file__).parents[1]), *sys.path]
    done = subprocess.run(
        [sys.executable, "-c", DIES.format(path=path, root=str(tmp_path))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20  # so many steps there were to die at
