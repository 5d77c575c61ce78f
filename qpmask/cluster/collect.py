"""The one report of all tasks, as one run would have written it."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from datetime import datetime, timezone
from typing import Any

from qpmask.batch.planned import Times
from qpmask.cluster.planfile import PlanFile
from qpmask.cluster.records import latest_records, read_record
from qpmask.outputs import OutputFolder


def collect(plan: PlanFile) -> Any:
    """Write what a plain run of the command leaves beside its results; the report.

    Items that no task has finished are in it as interrupted.

    Raises
    ------
    OutputError
        A task is still at work, or the folder cannot be written to.
    """
    with ExitStack() as stack:
        folder, *_ = [stack.enter_context(OutputFolder(path)) for path in plan.run.folders]
        newest = latest_records(plan.folder)
        found = [read_record(newest.get(item.key)) for item in plan.items]
        there = [record for record in found if record is not None]
        started = min((float(record["started"]) for record in there), default=0.0)
        finished = max((float(record["finished"]) for record in there), default=0.0)
        at = datetime.fromtimestamp(started, timezone.utc).isoformat(timespec="seconds")
        data = [None if record is None else record["data"] for record in found]
        report = plan.run.report(folder, data, Times(at, finished - started))
        for left in plan.folder.glob("work-*"):  # of tasks that were killed
            shutil.rmtree(left, ignore_errors=True)
    return report
