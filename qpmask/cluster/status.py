"""How far a plan is, from what its tasks left on disk; on any machine that sees the folder."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from urllib.parse import unquote

from qpmask.cluster.itemrecords import find_records
from qpmask.cluster.planfile import PlanFile
from qpmask.outputs.claims import claimed


@dataclass(frozen=True)
class PlanStatus:
    """How far a plan is.

    Attributes
    ----------
    total : int
        Images of the plan.
    done, skipped, failed : int
        Images with such a record.
    running : int
        Images that a task is at.
    lost : int
        Images whose task died; the next one takes them up.
    rate_per_hour : float or None
        Images an hour, from the first record to the last.
    seconds_left : float or None
        By what the images that are left are thought to cost; None while nothing is known or runs.
    failed_keys : tuple of str
        Which images failed.
    """

    total: int
    done: int
    skipped: int
    failed: int
    running: int
    lost: int
    rate_per_hour: float | None
    seconds_left: float | None
    failed_keys: tuple[str, ...] = ()

    @property
    def left(self) -> int:
        """Images that have no record and that no task is at."""
        return self.total - self.done - self.skipped - self.failed - self.running


def plan_status(plan: PlanFile) -> PlanStatus:
    """Count records and claims of a plan. Reads names of files, not what is in them."""
    cost = {item.key: item.cost for item in plan.items}
    found = {r.key: r for r in find_records(plan.folder) if r.key in cost}
    claims = {unquote(k): lives for k, lives in claimed(plan.claims_folder).items()}
    claims = {key: lives for key, lives in claims.items() if key in cost}
    count = Counter(record.status for record in found.values())
    open_claims = {key: lives for key, lives in claims.items() if key not in found}
    made = [r for r in found.values() if r.status != "skipped"]
    rate = left_s = None
    if len(made) > 1:
        first = min(r.finished for r in made)
        seconds = max(r.finished for r in made) - first
        # The first record only starts the clock: when its image began is not known here.
        counted = [r for r in made if r.finished > first]
        if seconds > 0:
            rate = 3600 * len(counted) / seconds
            spent = sum(cost[r.key] for r in counted)
            open_cost = sum(c for key, c in cost.items() if key not in found)
            left_s = seconds * open_cost / spent if spent and any(open_claims.values()) else None
            if left_s is not None:
                left_s = max(0.0, left_s - (time.time() - max(r.finished for r in made)))
    return PlanStatus(
        len(plan.items),
        count["done"],
        count["skipped"],
        count["failed"],
        sum(open_claims.values()),
        sum(not lives for lives in open_claims.values()),
        rate if len(found) < len(plan.items) else None,
        left_s,
        tuple(sorted(r.key for r in found.values() if r.status == "failed")),
    )
