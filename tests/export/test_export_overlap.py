"""A mask is checked while the next image is drawn: none has its name before, none is lost."""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from exports import files, statuses

from qpmask import export_masks, export_options, open_project
from qpmask.events import Event, ImageFinished, ImageStarted, PhaseStarted
from qpmask.export import job
from qpmask.ometiff import check, writer
from qpmask.outputs import OutputWriter
from qpmask.outputs import files as files_module
from qpmask.report import Report

A, B, C = (f"Prostate {letter}" for letter in "ABC")
check_mask = check.check_mask


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "n_cores", lambda: 2)


def export(project: Path, out: Path, **more: Any) -> Report:
    return export_masks(project, out, options=export_options(engine="native"), **more)


def test_the_next_image_is_drawn_while_one_is_checked(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "m"
    started = {name: threading.Event() for name in (A, B, C)}
    finished: list[str] = []
    named: list[bool] = []

    def listen(event: Event) -> None:
        if isinstance(event, ImageStarted):
            started[event.name].set()
        if isinstance(event, ImageFinished):
            finished.append(event.record.image)

    def slow_check(path: Path, **options: Any) -> Any:
        if path.name.startswith(A):
            assert started[B].wait(30), "nothing is drawn meanwhile"
            named.append((out / f"{A}.ome.tif").exists())
        return check_mask(path, **options)

    monkeypatch.setattr(check, "check_mask", slow_check)
    report = export(demo, out, progress=listen)
    assert report.ok and finished == [A, B, C] and named == [False]
    one = tmp_path / "one"
    monkeypatch.setattr(job, "n_cores", lambda: 1)
    monkeypatch.setattr(check, "check_mask", check_mask)
    assert export(demo, one).ok
    assert files(out) == files(one)
    for name in (A, B, C):
        assert (out / f"{name}.ome.tif").read_bytes() == (one / f"{name}.ome.tif").read_bytes()


def test_a_mask_that_fails_its_check_costs_no_other(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damage(path: Path, **options: Any) -> Any:
        if path.name.startswith(A):
            path.write_bytes(path.read_bytes()[:-100])
        return check_mask(path, **options)

    monkeypatch.setattr(check, "check_mask", damage)
    out = tmp_path / "m"
    assert statuses(export(demo, out)) == {A: "failed", B: "done", C: "done"}
    assert not [name for name in files(out) if ".part" in name or name.startswith(A)]


@pytest.mark.parametrize("phase", ["drawing", "checking"])
def test_ctrl_c_in_either_of_two_images_leaves_whole_masks(
    demo: Path, tmp_path: Path, phase: str
) -> None:
    out = tmp_path / "m"

    def listen(event: Event) -> None:
        if isinstance(event, PhaseStarted) and (event.entry_id, event.phase) == ("2", phase):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(demo, out, progress=listen)
    left = files(out)
    assert not [name for name in left if ".part" in name or "scratch" in name]
    assert f"{B}.ome.tif" not in left
    assert (f"{A}.ome.tif" in left) == (f"{A}.ome.tif.json" in left)


def test_a_stop_keeps_what_was_checked(demo: Path, tmp_path: Path) -> None:
    stop, out = threading.Event(), tmp_path / "m"

    def listen(event: Event) -> None:
        if isinstance(event, ImageFinished):
            stop.set()

    report = export(demo, out, progress=listen, stop=stop)
    assert report.interrupted
    assert statuses(report) == {A: "done", B: "interrupted", C: "interrupted"}
    assert {name for name in files(out) if name.endswith(".tif")} == {f"{A}.ome.tif"}


@pytest.mark.parametrize("settled_ns", [0, 10**18])
def test_a_data_file_that_is_saved_while_it_is_drawn_fails_its_image_alone(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settled_ns: int
) -> None:
    """Whether its times tell or not."""
    monkeypatch.setattr(files_module, "_SETTLED_NS", settled_ns)
    first = open_project(demo).images[0]

    write_mask = writer.write_mask

    def save(path: Path, *arguments: Any, **options: Any) -> Any:
        written = write_mask(path, *arguments, **options)
        if path.name.startswith(A):
            first.data_path.write_bytes(first.data_path.read_bytes() + b"more")
        return written

    monkeypatch.setattr(writer, "write_mask", save)
    out = tmp_path / "m"
    report = export(demo, out)
    assert statuses(report) == {A: "failed", B: "done", C: "done"}
    assert "changed while it was exported" in str(report.records[0].error)
    assert not [name for name in files(out) if name.startswith(A)]


def test_a_mask_that_the_disk_does_not_take_is_not_named(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is synced while it is checked: however well it can be read, it is not there."""
    handles: list[int] = []

    def full(handle: int) -> Callable[[], None]:
        handles.append(handle)
        return _no_room if len(handles) == 1 else files_module.synced_meanwhile(handle)

    monkeypatch.setattr(job, "synced_meanwhile", full)
    out = tmp_path / "m"
    report = export(demo, out)
    assert statuses(report) == {A: "failed", B: "done", C: "done"}
    assert "No space left" in str(report.records[0].error)
    assert not [name for name in files(out) if name.startswith(A)]


def _no_room() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("threads", [True, False])
def test_every_mask_is_on_the_disk_before_it_has_its_name(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: bool
) -> None:
    """Where there are no more threads as well."""
    synced: list[int] = []
    fsync, publish = os.fsync, OutputWriter.publish

    def slow(handle: int) -> None:
        size = os.fstat(handle).st_size
        time.sleep(0.1)
        fsync(handle)
        synced.append(size)

    def noted(self: Any, made: Path, name: str, **options: Any) -> Path:
        if name.endswith(".ome.tif"):
            assert made.stat().st_size in synced
        return publish(self, made, name, **options)

    monkeypatch.setattr(files_module.os, "fsync", slow)
    monkeypatch.setattr(OutputWriter, "publish", noted)
    if not threads:
        monkeypatch.setattr(files_module.threading, "Thread", _no_thread)
        monkeypatch.setattr(job, "n_cores", lambda: 1)
    assert export(demo, tmp_path / "m").ok


class _NoThread:
    def __init__(self, *arguments: Any, **options: Any) -> None:
        pass

    def start(self) -> None:
        raise RuntimeError("can't start new thread")


def _no_thread(*arguments: Any, **options: Any) -> _NoThread:
    return _NoThread()


def test_a_table_of_instances_is_of_the_file_that_was_drawn(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table reads the data file once more; an older table stays."""
    first, second = open_project(demo).images[:2]
    options = export_options(engine="native", instances=True, images=[A])
    out = tmp_path / "m"
    assert export_masks(demo, out, options=options).ok
    before = {name: (out / name).read_bytes() for name in files(out) if name.startswith(A)}
    table_of = job.instance_table

    def late(*arguments: Any) -> Any:
        shutil.copyfile(second.data_path, first.data_path)
        return table_of(*arguments)

    monkeypatch.setattr(job, "instance_table", late)
    again = replace(options, force=True)
    report = export_masks(demo, out, options=again)
    assert "changed while it was exported" in str(report.records[0].error)
    after = {name: (out / name).read_bytes() for name in files(out) if name.startswith(A)}
    assert after == before


@pytest.mark.parametrize("how", ["nothing", "touched"])
def test_a_data_file_is_hashed_again_only_where_it_may_have_changed(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    hashed: list[Path] = []

    def noted(path: Path) -> str:
        hashed.append(path)
        return files_module.file_sha256(path)

    monkeypatch.setattr(files_module, "_SETTLED_NS", 0)
    data = open_project(demo).images[0].data_path

    def slow_check(path: Path, **options: Any) -> Any:
        if how == "touched" and path.name.startswith(A):
            os.utime(data, (1.1e9, 1.1e9))
        return check_mask(path, **options)

    monkeypatch.setattr(check, "check_mask", slow_check)
    monkeypatch.setattr(job, "file_sha256", noted)
    assert export(demo, tmp_path / "m").ok
    assert hashed == ([data] if how == "touched" else [])
