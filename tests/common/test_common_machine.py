"""Memory that is taken ahead holds what is written to it, whoever writes meanwhile."""

from __future__ import annotations

import platform
import sys
import threading

import numpy as np
import pytest

from qpmask.common.machine import give_memory_back, keep_memory_low, take_memory


@pytest.mark.parametrize("first", [0, 1, 4095, 12345])
def test_taking_memory_leaves_what_is_there(first: int) -> None:
    array = np.arange(1 << 20, dtype=np.int64)
    take_memory(array.ctypes.data + first, array.nbytes - first)
    assert (array == np.arange(1 << 20)).all()


@pytest.mark.parametrize("n_bytes", [0, 1, 100])
def test_less_than_a_page_is_nothing_to_take(n_bytes: int) -> None:
    array = np.full(64 << 10, 7, np.uint8)
    take_memory(array.ctypes.data + 1, n_bytes)
    assert (array == 7).all()


def test_taking_while_another_thread_writes() -> None:
    array = np.empty(8 << 20, np.int64)
    wanted = np.arange(len(array))

    def take() -> None:
        for first in range(0, array.nbytes, 1 << 20):
            take_memory(array.ctypes.data + first, 1 << 20)

    thread = threading.Thread(target=take)
    thread.start()
    array[:] = wanted
    thread.join()
    assert (array == wanted).all()


def provides_memory_ahead() -> bool:
    """Whether this is Linux 5.14 or later, with glibc."""
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return False
    major, minor = platform.release().split(".")[:2]
    return (int(major), int(minor)) >= (5, 14)


@pytest.mark.skipif(not provides_memory_ahead(), reason="needs Linux 5.14 with glibc")
def test_taken_memory_is_there_before_it_is_written_to() -> None:
    import resource

    array = np.empty(32 << 20, np.uint8)
    take_memory(array.ctypes.data, array.nbytes)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    array[::4096] = 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 8


def test_arrays_live_through_a_change_of_what_is_kept() -> None:
    arrays = [np.full(3 << 20, i, np.uint8) for i in range(4)]
    for room_bytes in (2 << 20, 8 << 20, 2 << 20):
        keep_memory_low(room_bytes)
        arrays.append(np.full(5 << 20, len(arrays), np.uint8))
        give_memory_back()
    assert all((array == i).all() for i, array in enumerate(arrays))
