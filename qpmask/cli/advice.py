"""What a run may be told when it has ended: a faster way to the same masks."""

from __future__ import annotations

from qpmask.options import ExportOptions
from qpmask.report import ImageRecord, Report

_LONG_S = 60.0
_SAME_RULES = "qupath-0.6"  # pixel rules of QuPath 0.6 and later, which the native engine has


FASTER = (
    "--engine native draws the same pixels without Java, many times faster; "
    "--engine both proves it on your project."
)


def faster_way(report: Report) -> str | None:
    """One line for a run that QuPath took over a minute to draw; None for any other.

    Nothing is said of QuPaths before 0.6, which draw by rules of their own, of options that the
    native engine refuses, or where each mask was verified by it, so that it is known already.
    """
    drawn = [record for record in report if record.status == "done" and record.verified_by is None]
    engine = report.engine
    if sum(r.seconds for r in drawn) <= _LONG_S or engine is None or engine.name != "qupath":
        return None
    render = report.options.get("render")
    thickness = render.get("line_thickness") if isinstance(render, dict) else None
    return FASTER if engine.pixel_rules == _SAME_RULES and (thickness or 1.0) <= 1.0 else None


def faster_next(record: ImageRecord, options: ExportOptions) -> str | None:
    """The same after the first image that took so long, while others wait."""
    engine, _, version = (record.engine or "").partition(" ")
    is_long = record.status == "done" and record.seconds > _LONG_S and record.verified_by is None
    is_old = version.startswith(("0.4", "0.5"))
    return (
        FASTER
        if is_long and engine == "qupath" and not is_old and options.render.line_thickness <= 1
        else None
    )
