"""What a run may be told when it has ended: a faster way to the same masks."""

from __future__ import annotations

from qpmask.report import Report

_LONG_S = 60.0
_SAME_RULES = "qupath-0.6"  # pixel rules of QuPath 0.6 and later, which the native engine has


def faster_way(report: Report) -> str | None:
    """One line for a run that QuPath took over a minute to draw; None for any other.

    Nothing is said of QuPaths before 0.6, which draw by rules of their own, of options that the
    native engine refuses, or where each mask was verified by it, so that it is known already.
    """
    drawn = [record for record in report if record.status == "done" and record.verified_by is None]
    is_long = sum(record.seconds for record in drawn) > _LONG_S
    engine = report.engine
    if not is_long or engine is None or engine.name != "qupath":
        return None
    render = report.options.get("render")
    thickness = render.get("line_thickness") if isinstance(render, dict) else None
    if engine.pixel_rules != _SAME_RULES or (thickness or 1.0) > 1.0:
        return None
    return (
        "--engine native draws the same pixels without Java, many times faster; "
        "--engine both proves it on your project."
    )
