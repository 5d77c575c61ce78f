"""What a mask says of itself: the layout and metadata of its file, and the sidecar beside it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from qpmask._version import __version__
from qpmask.classes import format_color
from qpmask.engines.base import EngineInfo, RenderJob
from qpmask.geometry import pyramid_sizes
from qpmask.geometry.frames import FRAME_KEY
from qpmask.outputs import (
    INSTANCES_SUFFIX,
)
from qpmask.plan import ImagePlan, Plan, fingerprint
from qpmask.report import ImageRecord

if TYPE_CHECKING:
    from qpmask.ometiff.layout import MaskLayout, WriteResult
    from qpmask.ometiff.omexml import MaskMetadata


def layout_of(job: RenderJob) -> MaskLayout:
    """How the file of a job is laid out."""
    from qpmask.ometiff.layout import MaskLayout

    return MaskLayout(
        size=job.size,
        tile_px=job.tile_px,
        dtype=job.dtype,
        size_c=job.n_channels,
        size_z=job.entry.size_z,
        size_t=job.entry.size_t,
        compression=job.file.compression,
        pyramid=_has_levels(job),
    )


def _has_levels(job: RenderJob) -> bool:
    return job.file.pyramid and job.file.made_for is None


def metadata_of(image: ImagePlan, info: EngineInfo) -> MaskMetadata:
    """What the file says of itself."""
    from qpmask.ometiff.omexml import ClassRow, MaskMetadata

    job = image.job
    assert job is not None and job.entry.size is not None
    rows = image.legend
    extra = {
        "image": job.entry.name,
        "entry_id": job.entry.id,
        "image_width_px": str(job.entry.size.width_px),
        "image_height_px": str(job.entry.size.height_px),
        "downsample": repr(job.downsample),
        "objects": job.render.objects,
        "kind": _kind(job),
        "engine": str(info),
        FRAME_KEY: json.dumps(frame_json(image), ensure_ascii=False, separators=(",", ":")),
    }
    if job.render.multichannel:
        extra["channel_labels"] = ",".join(str(r.label) for r in rows)
    return MaskMetadata(
        name=job.entry.name,
        size=job.size,
        size_c=job.n_channels,
        size_z=job.entry.size_z,
        size_t=job.entry.size_t,
        dtype=job.dtype,
        pixel_size=image.pixel_size,
        classes=()
        if job.render.multichannel
        else tuple(ClassRow(r.label, r.name, r.color) for r in rows),
        channel_names=tuple(r.name for r in rows) if job.render.multichannel else (),
        channel_colors=tuple(r.color for r in rows) if job.render.multichannel else (),
        extra=extra,
    )


def frame_json(image: ImagePlan) -> dict[str, Any]:
    """Where the mask lies in the slide's file, as plain data."""
    assert image.job is not None
    return (image.frame or image.entry.frame).scaled(image.job.downsample).to_json()


def _kind(job: RenderJob) -> str:
    if job.render.instances:
        return "instances"
    return "multichannel" if job.render.multichannel else "classes"


def allowed_labels(image: ImagePlan) -> set[int]:
    """Labels that may occur in a mask."""
    job = image.job
    assert job is not None
    if job.render.multichannel:
        return {0, 255}
    labels = {0} | {r.label for r in image.legend} | set(range(1, len(job.instance_rows) + 1))
    if job.render.boundary_label is not None:
        labels.add(job.render.boundary_label)
    return labels


def sidecar_of(
    image: ImagePlan,
    plan: Plan,
    info: EngineInfo,
    record: ImageRecord,
    written: WriteResult,
    sha256: str,
    verified_by: str | None,
) -> dict[str, Any]:
    """What stands in the file beside the mask, as plain data."""
    job = image.job
    assert job is not None and job.entry.size is not None
    area = image.pixel_size.area_um2 / 1e6 if image.pixel_size else None
    classes = []
    for channel, row in enumerate(image.legend):
        pixels = (
            sum(
                written.counts_by_label(plane).get(255, 0)
                for plane in range(channel, job.n_planes, job.n_channels)
            )
            if job.render.multichannel
            else record.pixels.get(row.label, 0)
        )
        classes.append(
            {
                "label": row.label,
                "name": row.name,
                "color": None if row.color is None else format_color(row.color),
                "objects": row.objects,
                "pixels": pixels,
                "area_mm2": None if area is None else pixels * area,
            }
        )
    return {
        "qpmask": __version__,
        "kind": _kind(job),
        "mask": {
            "file": image.mask_name,
            "bytes": record.bytes,
            "sha256": sha256,
            "width_px": job.size.width_px,
            "height_px": job.size.height_px,
            "dtype": job.dtype,
            "channels": job.n_channels,
            "z_slices": job.entry.size_z,
            "time_points": job.entry.size_t,
            "levels": len(pyramid_sizes(job.size, job.tile_px)) if _has_levels(job) else 1,
            "downsample": job.downsample,
            "pixel_width_um": record.pixel_width_um,
            "pixel_height_um": record.pixel_height_um,
        },
        "image": {
            "name": job.entry.name,
            "entry_id": job.entry.id,
            "width_px": job.entry.size.width_px,
            "height_px": job.entry.size.height_px,
            "uris": list(job.entry.uris),
            "slide": record.slide,
            "provider": job.entry.provider,
            "provider_args": list(job.entry.provider_args),
            "project": str(plan.project.path),
        },
        FRAME_KEY: frame_json(image),
        "classes": classes,
        "cores": _cores(image, job),
        "pixels": {str(k): v for k, v in record.pixels.items()},
        "labelled": record.labelled,
        "objects_drawn": image.drawn,
        "instances": image.mask_name + INSTANCES_SUFFIX if job.render.instances else None,
        "engine": asdict(info),
        "verified_by": verified_by,
        "hidden": None if record.hidden is None else record.hidden.as_dict(),
        "warnings": list(image.findings),
        "made_from": fingerprint(image, plan.class_map, info.pixel_rules),
    }


def _cores(image: ImagePlan, job: RenderJob) -> list[dict[str, Any]] | None:
    """The TMA cores of an image, drawn or not; None where other objects are drawn."""
    if job.render.objects not in ("cores", "all-cores") or image.inventory is None:
        return None
    of_row = {row: label for label, row in enumerate(job.instance_rows, 1)}
    of_class = {rule.class_name: rule.label for rule in job.rules}
    rows = []
    for row, core in image.inventory.cores.items():
        is_taken = job.render.objects == "all-cores" or not core.missing
        label = of_row.get(row) if job.render.instances else of_class.get(core.class_name)
        rows.append(
            {
                "name": core.name or None,
                "class": core.class_name,
                "missing": core.missing,
                "label": label if is_taken else None,
            }
        )
    return rows
