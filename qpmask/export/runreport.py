"""What a run leaves beside its masks, and what it says of other masks that are there."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from qpmask.classes import ClassMap, class_names
from qpmask.common.words import masks_text
from qpmask.options import ExportOptions
from qpmask.outputs import (
    AREAS_CSV,
    CLASSES_FILE,
    MASK_SUFFIXES,
    REPORT_CSV,
    REPORT_JSON,
    SIDECAR_SUFFIX,
    OutputWriter,
    mask_stem,
    read_json,
)
from qpmask.report import CSV_COLUMNS, Report
from qpmask.report.areas import area_table


def beside_findings(
    out: Path, class_map: ClassMap, mine: Collection[str], *, nothing_drawn: bool
) -> list[str]:
    """What a run finds when it is done, for its report.

    Parameters
    ----------
    out : Path
        The folder.
    class_map : ClassMap
        As used.
    mine : collection of str
        File names of the run's masks.
    nothing_drawn : bool
        Whether there are objects, and none is drawn in any image.
    """
    said = "Nothing is drawn in any image, though there are objects; the masks are all background."
    return [
        *([said] if nothing_drawn else []),
        *_stale_masks(out, class_map, mine),
        *_other_formats(out, mine),
    ]


def _stale_masks(out: Path, class_map: ClassMap, mine: Collection[str]) -> list[str]:
    """A warning about masks in the folder that were made with other labels, not in this run."""
    labels = {name: row.label for row in class_map.rows for name in class_names(row)}
    other = []
    for path in sorted(out.glob(f"*{SIDECAR_SUFFIX}")):
        mask = path.name.removesuffix(SIDECAR_SUFFIX)
        if mask in mine:
            continue
        made_from = (read_json(path) or {}).get("made_from")
        if isinstance(made_from, dict):
            then = _labels_then(made_from)
            # Without rules: a mask of instances, whose labels are objects.
            if then != {} and then != labels:
                other.append(mask)
    if not other:
        return []
    listed = ", ".join(other[:3]) + (f" and {len(other) - 3} more" if len(other) > 3 else "")
    return [
        f"The folder also holds {masks_text(len(other))} made with another class map: {listed}. "
        "Their labels may mean something else; export them again or use another folder."
    ]


def _other_formats(out: Path, mine: Collection[str]) -> list[str]:
    """A warning about masks of the same images in another format, which the run left alone."""
    other = [
        name
        for mask in sorted(mine)
        for name in (mask_stem(mask) + suffix for suffix in MASK_SUFFIXES)
        if name not in mine and (out / name).exists()
    ]
    if not other:
        return []
    listed = ", ".join(other[:3]) + (f" and {len(other) - 3} more" if len(other) > 3 else "")
    return [
        f"The folder also holds {masks_text(len(other))} of these images in another format: "
        f"{listed}. This run left them as they are; remove them, or use another folder."
    ]


def _labels_then(made_from: Mapping[str, Any]) -> dict[str | None, int] | None:
    """Labels by the names of classes, in whatever order they were drawn; None if not known."""
    try:
        return dict(made_from["rules"])
    except (TypeError, ValueError, LookupError):
        return None


def write_report(folder: OutputWriter, report: Report, class_map: ClassMap) -> None:
    """Write what a run leaves beside its masks: report, areas, the class map as used."""
    folder.write_text(CLASSES_FILE, class_map.to_yaml(), sync=False)
    folder.write_csv(REPORT_CSV, CSV_COLUMNS, (r.as_row() for r in report), sync=False)
    folder.write_csv(AREAS_CSV, *area_table(folder.path, report), sync=False)
    folder.write_json(REPORT_JSON, report.as_dict())


def options_data(options: ExportOptions) -> dict[str, Any]:
    """Options as plain data."""
    data = asdict(options)
    data["slides"] = [str(p) for p in options.slides]
    data["images"] = list(options.images)
    return data
