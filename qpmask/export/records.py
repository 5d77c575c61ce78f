"""What became of an image, as a record: made now, standing already, or come to nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from qpmask.engines.base import RenderJob, Sight
from qpmask.errors import (
    QpmaskError,
)
from qpmask.outputs import (
    OutputWriter,
    path_bytes,
)
from qpmask.plan import ImagePlan
from qpmask.report import ImageRecord, Status
from qpmask.report.hiddenobjects import Hidden, find_hidden, hidden_from_dict

if TYPE_CHECKING:
    from qpmask.ometiff.layout import WriteResult


def standing_record(image: ImagePlan, folder: OutputWriter) -> ImageRecord:
    """The record of a mask that is there and holds (:attr:`ImagePlan.standing` says so)."""
    standing, job = image.standing, image.job
    assert standing is not None and standing.sidecar is not None and job is not None
    sidecar = standing.sidecar
    pixels = {int(k): int(v) for k, v in sidecar["pixels"].items()}
    share = sidecar.get("labelled")
    if not isinstance(share, float | int):  # an older one
        share = None if job.render.multichannel else _share_of(pixels)
    n_bytes = path_bytes(folder.path / image.mask_name)
    record = for_report(done_record(image, job, pixels, share, n_bytes), job)
    made_by, verified_by = sidecar.get("engine"), sidecar.get("verified_by")
    return replace(
        record,
        status="skipped",
        engine=" ".join(str(made_by.get(k)) for k in ("name", "version"))
        if isinstance(made_by, dict)
        else None,
        verified_by=verified_by if isinstance(verified_by, str) else None,
        hidden=hidden_from_dict(sidecar.get("hidden")),
    )


def record_for(
    image: ImagePlan, status: Status, *, error: QpmaskError | str | None = None
) -> ImageRecord:
    """A record of an image that got no mask."""
    return ImageRecord(
        entry_id=image.entry.id,
        image=image.entry.name,
        status=status,
        slide=_slide(image),
        error=None if error is None else str(error),
        error_type=type(error).__name__ if isinstance(error, QpmaskError) else None,
        warnings=image.findings,
    )


def done_record(
    image: ImagePlan,
    job: RenderJob,
    pixels: dict[int, int],
    labelled: float | None,
    n_bytes: int,
) -> ImageRecord:
    """A record of an image whose mask is there; `labelled` is the share of pixels with a label."""
    size = image.pixel_size
    return ImageRecord(
        entry_id=image.entry.id,
        image=image.entry.name,
        status="done",
        mask=image.mask_name,
        width_px=job.size.width_px,
        height_px=job.size.height_px,
        downsample=job.downsample,
        pixel_width_um=None if size is None else size.width_um,
        pixel_height_um=None if size is None else size.height_um,
        dtype=job.dtype,
        planes=job.n_planes,
        pixels=pixels,
        labelled=labelled,
        objects=image.drawn,
        bytes=n_bytes,
        slide=_slide(image),
        warnings=image.findings,
    )


def hidden_of(
    image: ImagePlan, job: RenderJob, counts: dict[int, int], sight: Sight | None
) -> Hidden:
    """What was drawn and left no pixel."""
    assert image.inventory is not None
    names = {row.label: row.name for row in image.legend}
    return find_hidden(job, image.inventory, names, counts, sight)


def for_report(record: ImageRecord, job: RenderJob) -> ImageRecord:
    """A record without the pixels of each instance, of which there may be a million."""
    if not job.render.instances:
        return record
    return replace(record, pixels={0: record.pixels.get(0, 0)})


def labelled_share(job: RenderJob, pixels: dict[int, int], mask: Path) -> float:
    """Share of the pixels of a mask that have a label, in any of its channels."""
    if job.n_channels == 1:
        return _share_of(pixels)
    from qpmask.ometiff.channelunion import count_labelled

    n_pixels = job.size.area_px * job.n_planes // job.n_channels
    return count_labelled(mask, job.n_channels) / n_pixels


def _share_of(pixels: dict[int, int]) -> float:
    return 1 - pixels.get(0, 0) / max(1, sum(pixels.values()))


def _slide(image: ImagePlan) -> str:
    return "missing" if image.slide is None else str(image.slide)


def total_counts(written: WriteResult, n_planes: int) -> dict[int, int]:
    """Pixels by label, of all planes together."""
    total: dict[int, int] = {}
    for plane in range(n_planes):
        for label, count in written.counts_by_label(plane).items():
            total[label] = total.get(label, 0) + count
    return dict(sorted(total.items()))
