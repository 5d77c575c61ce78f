"""The one report of all tasks, as one run would have written it."""

from __future__ import annotations

import shutil
from datetime import datetime, timezone
from typing import Any

from qpmask.cluster.itemrecords import read_record
from qpmask.cluster.planfile import PlanFile, PlanItem
from qpmask.engines.base import EngineInfo
from qpmask.export.run import options_data, write_report
from qpmask.outputs import OutputFolder
from qpmask.report import ImageRecord, Report


def collect(plan: PlanFile) -> Report:
    """Write report.json, report.csv, areas.csv and classes.yaml from the records of all tasks.

    Images that no task has finished are in it as interrupted.

    Raises
    ------
    OutputError
        A task is still at work, or the folder cannot be written to.
    """
    with OutputFolder(plan.out) as folder:
        raw = [read_record(plan.folder, item.key) for item in plan.items]
        records = [_record(plan, item, data) for item, data in zip(plan.items, raw, strict=True)]
        there = [data for data in raw if data is not None]
        drawn = next((data for data in there if data["engine"] is not None), None)
        started = min((float(data["started"]) for data in there), default=0.0)
        finished = max((float(data["finished"]) for data in there), default=0.0)
        report = Report(
            project=plan.project,
            output=plan.out,
            engine=EngineInfo(**drawn["engine"]) if drawn else None,
            engine_reason=str(drawn["engine_reason"]) if drawn else "",
            started=datetime.fromtimestamp(started, timezone.utc).isoformat(timespec="seconds"),
            seconds=finished - started,
            options=options_data(plan.options),
            classes=plan.classes.as_dict(),
            records=tuple(records),
            warnings=plan.warnings,
            interrupted=any(record.status == "interrupted" for record in records),
            nothing_drawn=plan.nothing_drawn,
        )
        write_report(folder, report, plan.classes)
        for left in plan.folder.glob("work-*"):  # of tasks that were killed
            shutil.rmtree(left, ignore_errors=True)
    return report


def _record(plan: PlanFile, item: PlanItem, data: dict[str, Any] | None) -> ImageRecord:
    if data is None:
        return ImageRecord(
            item.key, item.name, "interrupted", error="No task has finished this image."
        )
    record = ImageRecord.from_dict(data["record"])
    if record.mask is not None and not (plan.out / record.mask).exists():
        return ImageRecord(
            item.key, item.name, "failed", error=f"Its mask {record.mask} is gone; it was made."
        )
    return record
