"""What a process may take of its machine."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys


def n_cores() -> int:
    """Processors that this process may use: those it is bound to, and no more than SLURM gave it.

    A task of an array often shares its machine with others, and not every cluster binds it.
    """
    n = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = os.environ.get("SLURM_CPUS_PER_TASK", "")
    return max(1, min(n, int(given))) if given.isdecimal() else max(1, n)


def keep_memory_low(room_bytes: int = 2 << 20) -> None:
    """Have this process give back what it frees, from now on: one of ours, or with much to free.

    glibc keeps arrays of up to 32 MB that lie below others in use, and a heap for each thread; from
    now on threads share one, and arrays of more than ``room_bytes`` go back to the system as soon
    as they are freed, unless they found room among smaller ones. The system clears memory before it
    gives it again: who makes arrays of one size over and over gains by a greater ``room_bytes``.
    """
    if (library := _glibc()) is not None:
        library.mallopt(_M_ARENA_MAX, 1)
        library.mallopt(_M_MMAP_THRESHOLD, room_bytes)
        library.mallopt(_M_TRIM_THRESHOLD, room_bytes)


def give_memory_back() -> None:
    """Give back what was freed: it takes about a millisecond where that is many megabytes."""
    if (library := _glibc()) is not None:
        library.malloc_trim(0)


def take_memory(address: int, n_bytes: int) -> None:
    """Have the system provide memory now that will be filled next, perhaps by another thread.

    Otherwise it does so, page by page, when it is written to, and whoever fills it waits. What was
    written stays. Linux from 5.14 on does it, with glibc; elsewhere nothing happens.
    """
    if sys.platform == "linux" and (library := _glibc()) is not None:
        first = -(-address // mmap.PAGESIZE) * mmap.PAGESIZE
        size = ctypes.c_size_t(max(0, address + n_bytes - first))
        library.madvise(ctypes.c_void_p(first), size, _MADV_POPULATE_WRITE)


def _glibc() -> ctypes.CDLL | None:
    library = ctypes.CDLL(None) if os.name == "posix" else None
    is_glibc = hasattr(library, "mallopt") and hasattr(library, "malloc_trim")
    return library if is_glibc else None


_M_ARENA_MAX, _M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -8, -3, -1  # in glibc's malloc.h
_MADV_POPULATE_WRITE = 23  # in Linux's mman-common.h
