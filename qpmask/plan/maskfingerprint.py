"""All that decides a mask, as plain data: whether a mask from an earlier run still holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from qpmask.classes import ClassMap
from qpmask.plan.planrecords import ImagePlan


def fingerprint(plan: ImagePlan, class_map: ClassMap, pixel_rules: str) -> dict[str, Any]:
    """All that decides a mask, as plain data: a mask made from the same still holds.

    Kept in the sidecar as ``made_from`` and compared by the next run. Both the Python engines and
    the Groovy scripts write it.
    """
    job = plan.job
    assert job is not None and job.entry.size is not None
    return {
        "format": 1,
        "pixel_rules": pixel_rules,
        "data_sha256": plan.data_sha256,
        "image": [job.entry.size.width_px, job.entry.size.height_px, job.entry.size_z,
                  job.entry.size_t],
        "pixel_size_um": None
        if plan.pixel_size is None
        else [plan.pixel_size.width_um, plan.pixel_size.height_um],
        "downsample": job.downsample,
        "frame": job.entry.frame.to_json()["mask_to_file"],
        "tile_px": job.render.tile_px,
        "objects": job.render.objects,
        "line_thickness": job.render.line_thickness,
        "boundary_label": job.render.boundary_label,
        "instances": _digest(job.instance_rows) if job.render.instances else None,
        "multichannel": job.render.multichannel,
        "compression": job.file.compression,
        "pyramid": job.file.pyramid,
        "classes": class_map.fingerprint(),
        "rules": [[r.class_name, r.label] for r in job.rules],
        # Absent from masks for all programs, as in those of the Groovy scripts.
        **({} if job.file.made_for is None else {"made_for": job.file.made_for}),
        **({} if job.file.format == "ome-tiff" else {"file_format": job.file.format}),
    }  # fmt: skip


def _digest(values: object) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()[:16]


def same_fingerprint(old: object, new: Mapping[str, Any]) -> bool:
    """Whether a sidecar's ``made_from`` says the same."""
    return isinstance(old, dict) and json.dumps(old, sort_keys=True) == json.dumps(
        new, sort_keys=True
    )
