"""In which order a task takes the items of a plan.

All tasks of an array take from one queue, what takes longest first. Each begins with a share of its
own, alike in what it is thought to cost, so that a thousand of them do not ask for the same item;
whoever has done its own goes on with a share of what is left, and so on.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

from qpmask.batch.planned import PlanItem


def largest_first(items: Iterable[PlanItem]) -> list[PlanItem]:
    """The queue: what takes longest first, the same everywhere."""
    return sorted(items, key=lambda item: (-item.cost, item.key))


def share(items: Sequence[PlanItem], task: int, n_tasks: int) -> tuple[PlanItem, ...]:
    """What a task begins with, what takes longest first.

    The costliest item goes to the first task, each further one to the task that has least so far.

    Parameters
    ----------
    items : sequence of PlanItem
        The whole plan.
    task : int
        Which task, from 1.
    n_tasks : int
        How many there are.
    """
    loads = [(0.0, k) for k in range(n_tasks)]
    mine = []
    for item in largest_first(items):
        load, k = loads[0]
        heapq.heapreplace(loads, (load + item.cost, k))
        if k == task - 1:
            mine.append(item)
    return tuple(mine)


def left_over(items: Iterable[PlanItem], task: int, n_at_work: int) -> list[PlanItem]:
    """A share of what is left, for a task that is through with its own, what takes longest first.

    Parameters
    ----------
    items : iterable of PlanItem
        What is left, and nobody is at.
    task : int
        Which task, from 1.
    n_at_work : int
        How many are at work now; what is left is cut anew for as many.
    """
    queue = largest_first(items)
    step = max(1, min(n_at_work, len(queue)))
    return queue[(task - 1) % step :: step]
