"""What a process may take of its machine."""

from __future__ import annotations

import ctypes
import os


def n_cores() -> int:
    """Processors that this process may use: those it is bound to, and no more than SLURM gave it.

    A task of an array often shares its machine with others, and not every cluster binds it.
    """
    n = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = os.environ.get("SLURM_CPUS_PER_TASK", "")
    return max(1, min(n, int(given))) if given.isdecimal() else max(1, n)


def give_memory_back() -> None:
    """Give back what was freed, after many megabytes were let go: it takes about a millisecond.

    glibc keeps arrays of up to 32 MB that lie below others in use, and a heap for each thread; from
    now on threads share one, and arrays of 2 MB and more are given back as soon as they are freed.
    """
    if os.name != "posix":
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt") and hasattr(library, "malloc_trim"):
        library.mallopt(_M_ARENA_MAX, 1)
        library.mallopt(_M_MMAP_THRESHOLD, 2 << 20)
        library.malloc_trim(0)


_M_ARENA_MAX, _M_MMAP_THRESHOLD = -8, -3  # in glibc's malloc.h
