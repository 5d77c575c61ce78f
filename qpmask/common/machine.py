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
    """Give back what was freed: glibc keeps arrays of up to 32 MB that lie below others in use.

    Worth its millisecond after many megabytes were let go, before many are taken.
    """
    trim = None
    if os.name == "posix":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
