"""What a process may take of its machine."""

from __future__ import annotations

import os

FEW_STRIPS = 16
"""A plane of fewer strips is the work of one thread."""


def n_cores() -> int:
    """Processors that this process may use: those it is bound to, and no more than SLURM gave it.

    A task of an array often shares its machine with others, and not every cluster binds it.
    """
    n = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = os.environ.get("SLURM_CPUS_PER_TASK", "")
    return max(1, min(n, int(given))) if given.isdecimal() else max(1, n)


def threads_for(n_strips: int) -> int:
    """Threads that so many strips are worth: one, the caller's, where there are few.

    Python between kernels is done by one thread at a time, so several cost more than they bring.
    """
    return 1 if n_strips < FEW_STRIPS else n_cores()
