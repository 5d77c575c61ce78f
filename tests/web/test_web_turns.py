"""Turns of answers, and what is left when the server has ended."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from conftest import TINY

from qpmask.web.catalog import list_images
from qpmask.web.drawing import Drawer
from qpmask.web.openfiles import OpenFiles
from qpmask.web.turns import Turns


def test_who_waits_for_a_lock_leaves_its_turn_to_others() -> None:
    turns, lock, done = Turns(1), threading.Lock(), threading.Event()

    def answer() -> None:
        with turns, turns.waiting_for(lock):
            done.set()

    with lock:
        waiting = threading.Thread(target=answer, daemon=True)
        waiting.start()
        for _ in range(3):  # whether it has come to its lock already or not
            taken = threading.Thread(target=turns.__enter__, daemon=True)
            taken.start()
            taken.join(20)
            assert not taken.is_alive() and not done.is_set()
            turns._free.release()
    assert done.wait(20)
    waiting.join(20)
    with turns:  # its turn came back
        pass


def test_a_thread_without_a_turn_only_waits() -> None:
    turns, lock = Turns(1), threading.Lock()
    lock.acquire()
    threading.Timer(0.05, lock.release).start()
    with turns.waiting_for(lock):
        assert lock.locked()
    with turns:
        pass


class File:
    def __init__(self, path: Path) -> None:
        self.is_open = True

    def close(self) -> None:
        self.is_open = False


def test_nothing_stays_open_once_files_are_closed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    files = OpenFiles(File, 4, Turns(1))
    with files.use(tmp_path / "a") as (before, _):
        files.close()
        assert before.is_open  # it is in use
    with files.use(tmp_path / "a") as (late, _):
        assert late.is_open
    assert not before.is_open and not late.is_open


def test_a_drawer_that_was_closed_draws_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    drawer = Drawer(Turns(1))
    (image,) = (i for i in list_images([TINY], []) if i.name.startswith("squares"))
    drawer.close()
    same, note = drawer.with_mask(image)
    assert same is image and note == "Its annotations are not shown: the server was closed."
    assert list(tmp_path.iterdir()) == []
