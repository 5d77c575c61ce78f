"""A window of a file moves on without losing or doubling a byte, read ahead or not."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpmask.common import filewindow
from qpmask.common.filewindow import FileWindow

DATA = bytes(range(256)) * 4


@given(
    size=st.integers(0, len(DATA)),
    step=st.integers(1, 300),
    kept=st.lists(st.integers(0, 700), max_size=40),
    ahead=st.booleans(),
)
def test_any_moves(size: int, step: int, kept: list[int], ahead: bool) -> None:
    file: Any = BytesIO(DATA[:size])
    with (
        patch.object(filewindow, "AHEAD_BYTES", 0 if ahead else size + 1),
        patch.object(filewindow, "n_cores", return_value=2),
    ):
        window = FileWindow(file, size, step)
    start = 0
    try:
        for n_kept in kept:
            before = len(window.view)
            if start + before == size:
                with pytest.raises(EOFError):
                    window.move(0)
                break
            n_gone = max(0, before - n_kept)
            window.move(n_gone)
            start += n_gone
            assert len(window.view) > before - n_gone
            assert window.view.tobytes() == DATA[start : start + len(window.view)]
    finally:
        window.close()


@pytest.mark.parametrize("ahead", [False, True])
def test_a_file_that_was_cut(ahead: bool) -> None:
    file: Any = BytesIO(DATA[:100])
    with (
        patch.object(filewindow, "AHEAD_BYTES", 0 if ahead else 1000),
        patch.object(filewindow, "n_cores", return_value=2),
    ):
        window = FileWindow(file, 200, 60)
    window.move(0)
    with pytest.raises(EOFError):
        window.move(60)
    window.close()


def read_all(beside: Callable[[], None], *, ahead: bool) -> bytes:
    file: Any = BytesIO(DATA)
    with (
        patch.object(filewindow, "AHEAD_BYTES", 0 if ahead else len(DATA) + 1),
        patch.object(filewindow, "n_cores", return_value=2),
    ):
        window = FileWindow(file, len(DATA), 60, beside=beside)
    read = bytearray()
    try:
        while True:
            read += window.view.tobytes()
            window.move(len(window.view))
    except EOFError:
        return bytes(read)
    finally:
        window.close()


@pytest.mark.parametrize("ahead", [False, True])
def test_what_is_done_beside_reading_is_done_one_at_a_time(ahead: bool) -> None:
    at_work: list[int] = []
    together: list[int] = []
    by: list[int] = []

    def beside() -> None:
        at_work.append(1)
        by.append(threading.get_ident())
        time.sleep(0.001)
        together.append(len(at_work))
        at_work.pop()

    assert read_all(beside, ahead=ahead) == DATA
    done = len(by)
    assert (done > 0) == ahead
    assert set(together) <= {1}
    assert threading.get_ident() not in by
    time.sleep(0.01)
    assert len(by) == done  # nothing goes on once it is closed


def test_what_fails_beside_reading_costs_no_byte(caplog: pytest.LogCaptureFixture) -> None:
    def beside() -> None:
        raise EOFError("not that")

    with caplog.at_level(logging.DEBUG):
        assert read_all(beside, ahead=True) == DATA
    assert "not that" in caplog.text


def test_closing_waits_for_what_is_done_beside() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def beside() -> None:
        begun.set()
        go_on.wait(30)

    file: Any = BytesIO(DATA)
    with (
        patch.object(filewindow, "AHEAD_BYTES", 0),
        patch.object(filewindow, "n_cores", return_value=2),
    ):
        window = FileWindow(file, len(DATA), 60, beside=beside)
    window.move(0)
    window.move(60)  # what is beside it keeps nobody from reading on
    assert begun.wait(30)
    window.move(60)
    closing = threading.Thread(target=window.close)
    closing.start()
    closing.join(0.1)
    assert closing.is_alive()
    go_on.set()
    closing.join(30)
    assert not closing.is_alive()


def test_threads_that_cannot_be_had_beside_reading() -> None:
    start = threading.Thread.start
    started: list[str] = []

    def one_alone(thread: threading.Thread) -> None:
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread.name)
        start(thread)

    with patch.object(threading.Thread, "start", one_alone):
        assert read_all(lambda: None, ahead=True) == DATA
