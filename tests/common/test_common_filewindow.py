"""A window of a file moves on without losing or doubling a byte, read ahead or not."""

from __future__ import annotations

import time
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


@pytest.mark.parametrize("ahead", [False, True])
def test_what_is_done_beside_reading(ahead: bool) -> None:
    shares: list[float] = []
    at_work = []

    def beside(share: float) -> None:
        at_work.append(1)
        assert len(at_work) == 1  # one at a time
        shares.append(share)
        time.sleep(0.001)
        at_work.pop()

    file: Any = BytesIO(DATA)
    with (
        patch.object(filewindow, "AHEAD_BYTES", 0 if ahead else len(DATA) + 1),
        patch.object(filewindow, "n_cores", return_value=2),
    ):
        window = FileWindow(file, len(DATA), 60, beside=beside)
    read = bytearray()
    with pytest.raises(EOFError):
        while True:
            read += window.view.tobytes()
            window.move(len(window.view))
    window.close()
    done = len(shares)
    assert bytes(read) == DATA
    assert shares == sorted(shares)
    assert (done > 0) == ahead
    assert all(0 < share <= 1 for share in shares)
    time.sleep(0.01)
    assert len(shares) == done
