"""How far a plan is, from what its tasks left on disk; on any machine that sees the folder."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

from qpmask.cluster.planfile import PlanFile
from qpmask.cluster.records import file_key, latest_records, round_began
from qpmask.outputs.claims import claimed


@dataclass(frozen=True)
class PlanStatus:
    """How far a plan is.

    Attributes
    ----------
    total : int
        Items of the plan: images, slides, patch files, masks.
    done, skipped, failed : int
        Items with such a record.
    running : int
        Items that a task is at.
    lost : int
        Items whose task died; the next one takes them up.
    rate_per_hour : float or None
        Items an hour, since the tasks of this round began.
    seconds_left : float or None
        By what the items that are left are thought to cost; None while nothing is known or runs.
    failed_keys : tuple of str
        Which items failed.
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
        """Items that have no record and that no task is at."""
        return self.total - self.done - self.skipped - self.failed - self.running


def plan_status(plan: PlanFile) -> PlanStatus:
    """Count records and claims of a plan, by the names of their files. Writes nothing."""
    cost = {item.key: item.cost for item in plan.items}
    found = {key: r for key, r in latest_records(plan.folder, times=True).items() if key in cost}
    count = Counter(record.status for record in found.values())
    of_claim: dict[str, list[str]] = {}
    for item in plan.items:
        if item.key not in found:
            of_claim.setdefault(file_key(item.claimed_as), []).append(item.key)
    claims = [lives for key, lives in claimed(plan.claims_folder).items() if key in of_claim]
    began = round_began(plan.folder)
    made = [r for r in found.values() if r.status != "skipped" and r.finished >= began]
    rate = left_s = None
    if made:
        last = max(r.finished for r in made)
        if began == 0:  # then the first record only starts the clock
            began = min(r.finished for r in made)
            made = [r for r in made if r.finished > began]
        if last > began:
            rate = 3600 * len(made) / (last - began)
            spent = sum(cost[r.key] for r in made)
            open_cost = sum(c for key, c in cost.items() if key not in found)
            if spent and any(claims):
                left_s = max(0.0, (last - began) * open_cost / spent - (time.time() - last))
    return PlanStatus(
        len(plan.items),
        count["done"],
        count["skipped"],
        count["failed"],
        sum(claims),
        sum(not lives for lives in claims),
        rate if len(found) < len(plan.items) else None,
        left_s,
        tuple(sorted(r.key for r in found.values() if r.status == "failed")),
    )
