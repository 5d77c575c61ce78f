"""What an export says, and what it leaves in the folder."""

from __future__ import annotations

from pathlib import Path

from qpmask.report import Report

TINY_CLASSES = {"Alpha": 1, "Beta": 2, "Gamma": 3, "Alpha: Positive": 4}


def files(folder: Path) -> set[str]:
    """Names of all files below a folder, hidden ones included."""
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def statuses(report: Report) -> dict[str, str]:
    return {r.image: r.status for r in report}
