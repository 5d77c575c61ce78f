"""One image, from its plan to a mask that is checked and has its name, or to a record of why not.

Runs in the main process or in a worker; it needs the engine, the plan and the output folder.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qpmask._version import __version__
from qpmask.classes import format_color
from qpmask.engines.base import Engine, EngineInfo, RenderJob, Sight, Watch
from qpmask.errors import (
    DataFileError,
    EngineUnavailableError,
    Interrupted,
    MaskCheckError,
    QpmaskError,
    UnsupportedByEngineError,
)
from qpmask.events import ImageStarted, JvmMemory, Listener, PhaseStarted, TilesDone
from qpmask.geometry import TileGrid, pyramid_sizes
from qpmask.geometry.frames import FRAME_KEY
from qpmask.outputs import (
    INSTANCES_SUFFIX,
    SIDECAR_SUFFIX,
    OutputWriter,
    file_sha256,
    output_error,
    path_bytes,
    path_sha256,
)
from qpmask.plan import ImagePlan, Plan, fingerprint
from qpmask.plan.imageplan import frame_words
from qpmask.project.inventory import INSTANCE_COLUMNS, instance_table
from qpmask.report import ImageRecord, Status
from qpmask.report.hidden import Hidden, check_hidden, find_hidden, hidden_from_dict
from qpmask.slides.located import located

if TYPE_CHECKING:
    from qpmask.ometiff.layout import MaskLayout, WriteResult
    from qpmask.ometiff.omexml import MaskMetadata

log = logging.getLogger(__name__)

_SAY_EVERY_S = 0.05  # often enough for a display, seldom enough to cost nothing


@dataclass(frozen=True)
class MaskMaker:
    """Makes masks one after the other, in the main process or in a worker.

    Attributes
    ----------
    plan : Plan
        The run's plan; its images are not looked at.
    engine : Engine
        What draws.
    folder : OutputWriter
        Where to.
    emit : callable
        Listener of events.
    stop : Event
        Set when the run should end.
    verifier : Engine or None
        What draws a second time, to be compared with the file.
    counter : Engine or None
        What draws a second time where the first does not tell which objects left a pixel; it also
        draws masks whose labels QuPath cannot hold.
    """

    plan: Plan
    engine: Engine
    folder: OutputWriter
    emit: Listener
    stop: threading.Event
    verifier: Engine | None = None
    counter: Engine | None = None

    def make(self, image: ImagePlan) -> ImageRecord:
        """Make the mask of one image: draw, write, check, publish.

        Whatever goes wrong ends up in the record; an older mask of the same name stays until the
        new one has passed its check.
        """
        began = time.monotonic()
        try:
            record = self._make(image)
        except Interrupted as error:
            record = record_for(image, "interrupted", error=error)
        except QpmaskError as error:
            record = record_for(image, "failed", error=error)
        except MemoryError:
            record = record_for(image, "failed", error="Python ran out of memory.")
        except OSError as error:
            target = self.folder.path / image.mask_name
            record = record_for(image, "failed", error=output_error(error, target, "The mask"))
        except Exception as error:  # a mistake of ours must not cost the other images
            log.debug("while making the mask of %s", image.entry.label, exc_info=error)
            record = record_for(
                image,
                "failed",
                error=f"qpmask did not expect this ({type(error).__name__}: {error}). Please "
                "report it, with what -v shows.",
            )
        finally:
            for name in (_part(image), _scratch(image)):
                with contextlib.suppress(OSError, ValueError):  # a name that no file can have
                    self.folder.work_file(name).unlink(missing_ok=True)
        return replace(record, seconds=round(time.monotonic() - began, 3))

    def _make(self, image: ImagePlan) -> ImageRecord:
        job = image.job
        assert job is not None
        image = _ask_slide(image)
        engine = self.engine if self.counter is None or job.fits_qupath else self.counter
        info = engine.start()
        n_tiles = TileGrid(job.size, job.tile_px).n_tiles * job.n_planes
        path = self.folder.path / image.mask_name
        self.emit(ImageStarted(job.entry.id, job.entry.name, path, n_tiles))
        part = self.folder.work_file(_part(image))
        written, sight = self._write(image, job, engine, part, n_tiles)
        self._check(image, job, written, part, n_tiles)
        by_plane = [written.counts_by_label(p) for p in range(job.n_planes)]
        if self.verifier is not None:
            sight = self._verify(job, self.verifier, part, n_tiles, by_plane) or sight
        if sight is None and self.counter is not None:
            sight = self._look(job, self.counter, part, n_tiles, by_plane)
        if job.file.made_for is not None:
            self._in_strips(job, part, self.folder.work_file(_scratch(image)))
        data = image.entry.data_path
        if image.data_sha256 is not None and file_sha256(data) != image.data_sha256:
            raise DataFileError(
                f"{data} of {image.entry.label} changed while it was exported.",
                hint="Save the image in QuPath, then run the export again.",
            )
        counts = _total_counts(written, job.n_planes)
        verified = None if self.verifier is None else self.verifier.probe().name
        share = _labelled(job, counts, part)
        if job.file.format != "ome-tiff":
            part = self._as_collection(image, job, part)
        record = _done_record(image, job, counts, share, path_bytes(part))
        hidden = _hidden(image, job, counts, sight)
        if self.plan.options.hidden == "error":
            check_hidden(hidden, image.entry.label)
        record = replace(record, engine=str(info), verified_by=verified, hidden=hidden)
        sidecar = _sidecar(image, self.plan, info, record, written, path_sha256(part), verified)
        if job.render.instances:
            area_um2 = image.pixel_size.area_um2 if image.pixel_size else None
            kind = job.render.objects
            table = instance_table(image.entry, job.instance_rows, kind, counts, area_um2)
            self.folder.write_csv(image.mask_name + INSTANCES_SUFFIX, INSTANCE_COLUMNS, table)
        self._watch(job).check()
        self.folder.publish(part, image.mask_name)
        self.folder.write_json(image.mask_name + SIDECAR_SUFFIX, sidecar)
        return _for_report(record, job)

    def _write(
        self, image: ImagePlan, job: RenderJob, engine: Engine, part: Path, n_tiles: int
    ) -> tuple[WriteResult, Sight | None]:
        """Draw the tiles and write them to ``part``; also what the engine saw of the objects."""
        from qpmask.ometiff.writer import write_mask

        # An engine that tells its own progress draws a tile once for all its channels.
        self.emit(PhaseStarted(job.entry.id, "drawing", n_tiles // job.n_channels))
        scratch = self.folder.work_file(_scratch(image))
        with engine.render(job, scratch, self._watch(job)) as rendering:
            if not rendering.tells_progress:
                self.emit(PhaseStarted(job.entry.id, "drawing", n_tiles))
            written = write_mask(
                part,
                _layout(job),
                _metadata(image, engine.start()),
                rendering.tiles(),
                on_tile=None if rendering.tells_progress else self._on_tile(job),
            )
            by_plane = [written.counts_by_label(p) for p in range(job.n_planes)]
            return written, rendering.sight(by_plane)

    def _check(
        self, image: ImagePlan, job: RenderJob, written: WriteResult, part: Path, n_tiles: int
    ) -> None:
        """Read ``part`` back; an error if anything is not as it should be."""
        from qpmask.ometiff.check import check_mask

        self.emit(PhaseStarted(job.entry.id, "checking", n_tiles))
        checked = check_mask(
            part,
            counts=[written.counts_by_label(p) for p in range(job.n_planes)],
            classes=_allowed_labels(image),
            on_tile=self._on_tile(job),
        )
        if not checked.ok:
            raise MaskCheckError(
                f"The mask of {image.entry.label} failed its check: {checked.problems[0]}.",
                hint="Is the disk full or faulty? The file was not kept.",
            )

    def _in_strips(self, job: RenderJob, part: Path, scratch: Path) -> None:
        """Replace the tiles of ``part`` by strips."""
        from qpmask.ometiff.tiffstrips import write_in_strips

        write_in_strips(part, scratch, on_row=self._watch(job).check)
        scratch.replace(part)

    def _as_collection(self, image: ImagePlan, job: RenderJob, part: Path) -> Path:
        """The mask as a collection, checked; the TIFF that it was drawn into goes."""
        from qpmask.collection.check import check_collection
        from qpmask.collection.fromtiff import collect_tiff
        from qpmask.ometiff.omexml import ClassRow

        suffix = ".ozx" if job.file.format == "ozx" else ".zarr"
        made = self.folder.work_file(f"{image.mask_name}.{os.getpid()}.part{suffix}")
        rows = [ClassRow(row.label, row.name, row.color) for row in image.legend if row.label]
        extra = dict(_metadata(image, self.engine.start()).extra)
        collect_tiff(
            part,
            made,
            [] if job.render.instances else rows,
            name=job.entry.name,
            extra={**extra, FRAME_KEY: _frame(image)},
            on_chunk=self._watch(job).check,
        )
        checked = check_collection(made)
        if not checked.ok:
            raise MaskCheckError(
                f"The collection of {image.entry.label} failed its check: {checked.problems[0]}.",
                hint="Is the disk full or faulty? The file was not kept.",
            )
        part.unlink()
        return made

    def _look(
        self,
        job: RenderJob,
        counter: Engine,
        part: Path,
        n_tiles: int,
        by_plane: list[dict[int, int]],
    ) -> Sight | None:
        """Draw a second time to see which objects left a pixel; None where that cannot be done."""
        self.emit(PhaseStarted(job.entry.id, "counting", n_tiles))
        on_tile = self._on_tile(job)
        try:
            scratch = part.with_suffix(".count.ome.tif")
            with counter.render(job, scratch, self._watch(job)) as rendering:
                for done, _ in enumerate(rendering.tiles(), 1):
                    on_tile(done)
                return rendering.sight(by_plane)
        except (UnsupportedByEngineError, EngineUnavailableError) as error:
            log.debug("objects of %s are counted by their labels: %s", job.entry.label, error)
            return None

    def _verify(
        self,
        job: RenderJob,
        verifier: Engine,
        part: Path,
        n_tiles: int,
        by_plane: list[dict[int, int]],
    ) -> Sight | None:
        """Draw a second time by another engine; an error if a single pixel differs.

        What that engine saw of the objects is returned.
        """
        from qpmask.ometiff.overlay import compare_with_tiles

        self.emit(PhaseStarted(job.entry.id, "verifying", n_tiles))
        scratch = part.with_suffix(".verify.ome.tif")
        with verifier.render(job, scratch, self._watch(job)) as rendering:
            found = compare_with_tiles(part, rendering.tiles(), on_tile=self._on_tile(job))
            sight = rendering.sight(by_plane)
        if not found.equal:
            place = found.places[0]
            raise MaskCheckError(
                f"The engines do not agree on {job.entry.label}: {found.n_different:,} of "
                f"{found.n_pixels:,} pixels differ, the first at ({place.x_px}, {place.y_px}).",
                hint="QuPath before 0.6 draws areas of several parts by rules of its own; use "
                "--engine qupath there. The mask was not kept."
                if verifier.probe().pixel_rules == "qupath-0.4"
                else "Please report this with the QuPath version; the mask was not kept.",
            )
        return sight

    def _watch(self, job: RenderJob) -> Watch:
        said = 0

        def on_tiles(done: int) -> None:
            nonlocal said
            if done != said:  # an engine that is asked for its progress may have made none
                said = done
                self.emit(TilesDone(job.entry.id, done))

        return Watch(
            on_tiles,
            lambda used, limit: self.emit(JvmMemory(used, limit)),
            self.stop,
        )

    def _on_tile(self, job: RenderJob) -> Callable[[int], None]:
        """Listener of tiles that passes on the count now and then, and stops where asked to."""
        watch = self._watch(job)
        said = time.monotonic()

        def on_tile(done: int) -> None:
            nonlocal said
            now = time.monotonic()
            if now - said >= _SAY_EVERY_S:
                said = now
                watch.check()
                watch.on_tiles(done)

        return on_tile


# -- what stands already ------------------------------------------------------------------------


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
    record = _for_report(_done_record(image, job, pixels, share, n_bytes), job)
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


# -- records ------------------------------------------------------------------------------------


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


def _done_record(
    image: ImagePlan,
    job: RenderJob,
    pixels: dict[int, int],
    labelled: float | None,
    n_bytes: int,
) -> ImageRecord:
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


def _hidden(
    image: ImagePlan, job: RenderJob, counts: dict[int, int], sight: Sight | None
) -> Hidden:
    assert image.inventory is not None
    names = {row.label: row.name for row in image.legend}
    return find_hidden(job, image.inventory, names, counts, sight)


def _for_report(record: ImageRecord, job: RenderJob) -> ImageRecord:
    """A record without the pixels of each instance, of which there may be a million."""
    if not job.render.instances:
        return record
    return replace(record, pixels={0: record.pixels.get(0, 0)})


def _labelled(job: RenderJob, pixels: dict[int, int], mask: Path) -> float:
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


def _total_counts(written: WriteResult, n_planes: int) -> dict[int, int]:
    total: dict[int, int] = {}
    for plane in range(n_planes):
        for label, count in written.counts_by_label(plane).items():
            total[label] = total.get(label, 0) + count
    return dict(sorted(total.items()))


# -- the file -----------------------------------------------------------------------------------


def _layout(job: RenderJob) -> MaskLayout:
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


def _metadata(image: ImagePlan, info: EngineInfo) -> MaskMetadata:
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
        FRAME_KEY: json.dumps(_frame(image), ensure_ascii=False, separators=(",", ":")),
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


def _ask_slide(image: ImagePlan) -> ImagePlan:
    """The plan with the image's place in the file, as far as the slide itself knows it."""
    known = image.entry.frame
    frame = located(known, image.slide)
    said = tuple(text for text in frame_words(frame) if text not in image.findings)
    if frame.steps == known.steps:
        return replace(image, frame=frame)
    before = tuple(frame_words(known))
    kept = tuple(text for text in image.findings if text not in before)
    return replace(image, frame=frame, findings=(*kept, *said))


def _frame(image: ImagePlan) -> dict[str, Any]:
    """Where the mask lies in the slide's file, as plain data."""
    assert image.job is not None
    return (image.frame or image.entry.frame).scaled(image.job.downsample).to_json()


def _kind(job: RenderJob) -> str:
    if job.render.instances:
        return "instances"
    return "multichannel" if job.render.multichannel else "classes"


def _allowed_labels(image: ImagePlan) -> set[int]:
    """Labels that may occur in a mask."""
    job = image.job
    assert job is not None
    if job.render.multichannel:
        return {0, 255}
    labels = {0} | {r.label for r in image.legend} | set(range(1, len(job.instance_rows) + 1))
    if job.render.boundary_label is not None:
        labels.add(job.render.boundary_label)
    return labels


def _sidecar(
    image: ImagePlan,
    plan: Plan,
    info: EngineInfo,
    record: ImageRecord,
    written: WriteResult,
    sha256: str,
    verified_by: str | None,
) -> dict[str, Any]:
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
        FRAME_KEY: _frame(image),
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


def _part(image: ImagePlan) -> str:
    return f"{image.mask_name}.{os.getpid()}.part.tif"


def _scratch(image: ImagePlan) -> str:
    return f"{image.mask_name}.{os.getpid()}.scratch.ome.tif"
