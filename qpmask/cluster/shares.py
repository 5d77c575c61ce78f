"""Shares of a plan, alike in what they are thought to cost."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from qpmask.cluster.planfile import PlanItem


def share(items: Sequence[PlanItem], task: int, n_tasks: int) -> tuple[PlanItem, ...]:
    """The share of one task, what takes longest first.

    The costliest image goes to the first task, each further one to the task that has least so far:
    at most 4/3 of the best there is (Graham, 1969). The same plan gives the same shares everywhere.

    Parameters
    ----------
    items : sequence of PlanItem
        All images.
    task : int
        Which share, from 1.
    n_tasks : int
        How many there are.
    """
    loads = [(0.0, k) for k in range(n_tasks)]
    mine = []
    for item in sorted(items, key=lambda item: (-item.cost, item.key)):
        load, k = loads[0]
        heapq.heapreplace(loads, (load + item.cost, k))
        if k == task - 1:
            mine.append(item)
    return tuple(mine)


def largest(items: Sequence[PlanItem], n_tasks: int) -> float:
    """What the costliest share costs."""
    return max(sum(item.cost for item in share(items, k, n_tasks)) for k in range(1, n_tasks + 1))
