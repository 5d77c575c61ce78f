"""Plans of exports, in one call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qpmask.cluster import PlanFile, write_plan
from qpmask.export.planned import plan_export_run


def plan_to_file(
    path: Path, project: Path, out: Path, classes: Any = None, options: Any = None
) -> PlanFile:
    """Plan an export and write it to a file."""
    return write_plan(path, plan_export_run(project, out, classes, options))
