"""One image, from its plan to a mask that is checked and has its name, or to a record of why not.

Runs in the main process or in a worker; it needs the engine, the plan and the output folder.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from qpmask.common.frozen import dataclass
from qpmask.common.machine import n_cores
from qpmask.engines.base import Engine, EngineInfo, RenderJob, Sight
from qpmask.errors import DataFileError, Interrupted, MaskCheckError, QpmaskError
from qpmask.events import Event, ImageStarted, Listener, PhaseStarted
from qpmask.export.acceptance import Acceptance
from qpmask.export.records import (
    done_record,
    for_report,
    hidden_of,
    labelled_share,
    record_for,
    total_counts,
)
from qpmask.export.sidecar import frame_json, layout_of, metadata_of, sidecar_of
from qpmask.geometry import TileGrid
from qpmask.geometry.frames import FRAME_KEY
from qpmask.outputs import (
    INSTANCES_SUFFIX,
    SIDECAR_SUFFIX,
    OutputWriter,
    csv_text,
    file_sha256,
    file_state,
    output_error,
    path_bytes,
    path_sha256,
    sha256_meanwhile,
    synced_meanwhile,
)
from qpmask.plan import ImagePlan, Plan
from qpmask.plan.imageplan import frame_words
from qpmask.project.inventory import INSTANCE_COLUMNS, instance_table
from qpmask.report import ImageRecord
from qpmask.report.hiddenobjects import check_hidden

if TYPE_CHECKING:
    from qpmask.ometiff.layout import WriteResult

log = logging.getLogger(__name__)

_Result = TypeVar("_Result")


class _Drawn(NamedTuple):
    """A mask that was drawn and written, and is not checked."""

    image: ImagePlan
    job: RenderJob
    info: EngineInfo
    part: Path
    n_tiles: int
    written: WriteResult
    sight: Sight | None
    synced: Callable[[], None]  # waits until the disk has it
    began: float


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

    @property
    def _acceptance(self) -> Acceptance:
        """What looks at masks before they have their names."""
        return Acceptance(self.emit, self.stop)

    def make(self, image: ImagePlan) -> ImageRecord:
        """Make the mask of one image: draw, write, check, publish.

        Whatever goes wrong ends up in the record; an older mask of the same name stays until the
        new one has passed its check.
        """
        return self._finished(self._drawn(image))

    def make_each(self, images: Iterable[ImagePlan]) -> Iterator[ImageRecord]:
        """Records of images in their order: one is checked while the next one is drawn.

        So it is where there is a processor for it, and an engine that leaves it to us. As in
        :meth:`make` no mask has its name before its check. Left early, by an error or an
        interruption, it waits for the check under way, which hears of ``stop``, and leaves nothing.
        """
        if not self.engine.may_overlap or self.verifier or self.counter or n_cores() == 1:
            yield from map(self.make, images)
            return
        lock = threading.Lock()

        def emit(event: Event) -> None:
            with lock:
                self.emit(event)

        maker = replace(self, emit=emit)
        drawn: ImageRecord | _Drawn | None = None
        with ThreadPoolExecutor(1, "qpmask-check") as pool:
            checked: Future[ImageRecord] | None = None
            try:
                for image in images:
                    drawn = maker._drawn(image)
                    if checked is not None:
                        yield checked.result()
                    checked, drawn = pool.submit(maker._finished, drawn), None
                if checked is not None:
                    yield checked.result()
            finally:
                if isinstance(drawn, _Drawn):
                    maker._clean_up(drawn.image)

    def _drawn(self, image: ImagePlan) -> _Drawn | ImageRecord:
        """Draw and write, up to a file that has not got its name; or the record of a failure."""
        began = time.monotonic()
        return self._recorded(image, began, lambda: self._draw(image, began))

    def _finished(self, drawn: _Drawn | ImageRecord) -> ImageRecord:
        """Check what was drawn and give it its name."""
        if isinstance(drawn, ImageRecord):
            return drawn
        image, began = drawn.image, drawn.began
        try:
            record = self._recorded(image, began, lambda: self._finish(drawn))
        finally:
            self._clean_up(image)
        return replace(record, seconds=round(time.monotonic() - began, 3))

    def _recorded(
        self, image: ImagePlan, began: float, step: Callable[[], _Result]
    ) -> _Result | ImageRecord:
        """What a step gives, or the record of what went wrong with it; then no file is left."""
        is_done = False
        try:
            result = step()
            is_done = True
            return result
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
            if not is_done:
                self._clean_up(image)
        return replace(record, seconds=round(time.monotonic() - began, 3))

    def _clean_up(self, image: ImagePlan) -> None:
        for name in (_part(image), _scratch(image)):
            with contextlib.suppress(OSError, ValueError):  # a name that no file can have
                self.folder.work_file(name).unlink(missing_ok=True)

    def _draw(self, image: ImagePlan, began: float) -> _Drawn:
        job = image.job
        assert job is not None
        image = _ask_slide(image)
        engine = self.engine if self.counter is None or job.fits_qupath else self.counter
        info = engine.start()
        n_tiles = TileGrid(job.size, job.tile_px).n_tiles * job.n_planes
        path = self.folder.path / image.mask_name
        self.emit(ImageStarted(job.entry.id, job.entry.name, path, n_tiles))
        part = self.folder.work_file(_part(image))
        written, sight, synced = self._write(image, job, engine, part, n_tiles)
        return _Drawn(image, job, info, part, n_tiles, written, sight, synced, began)

    def _finish(self, drawn: _Drawn) -> ImageRecord:
        image, job, info, part, n_tiles, written, sight, synced = drawn[:8]
        stays = job.file.format == "ome-tiff" and job.file.made_for is None
        hashed = sha256_meanwhile(part) if stays else None
        self._acceptance.read_back(image, job, written, part, n_tiles)
        synced()
        by_plane = [written.counts_by_label(p) for p in range(job.n_planes)]
        if self.verifier is not None:
            sight = self._acceptance.compare(job, self.verifier, part, n_tiles, by_plane) or sight
        if sight is None and self.counter is not None:
            sight = self._acceptance.count_objects(job, self.counter, part, n_tiles, by_plane)
        if job.file.made_for is not None:
            self._in_strips(job, part, self.folder.work_file(_scratch(image)))
        counts = total_counts(written, job.n_planes)
        verified = None if self.verifier is None else self.verifier.probe().name
        share = labelled_share(job, counts, part)
        if job.file.format != "ome-tiff":
            part = self._as_collection(image, job, part)
        record = done_record(image, job, counts, share, path_bytes(part))
        hidden = hidden_of(image, job, counts, sight)
        if self.plan.options.hidden == "error":
            check_hidden(hidden, image.entry.label)
        record = replace(record, engine=str(info), verified_by=verified, hidden=hidden)
        sha256 = hashed() if hashed else path_sha256(part)
        sidecar = sidecar_of(image, self.plan, info, record, written, sha256, verified)
        _check_data(image)
        table = None
        if job.render.instances:
            table = _instance_table(image, job, counts)
            _check_data(image)  # it was read once more
        self._acceptance.watch(job).check()
        if table is not None:
            self.folder.write_text(image.mask_name + INSTANCES_SUFFIX, table, sync=False)
        self.folder.publish(part, image.mask_name, sync=False)
        self.folder.write_json(image.mask_name + SIDECAR_SUFFIX, sidecar)
        return for_report(record, job)

    def _write(
        self, image: ImagePlan, job: RenderJob, engine: Engine, part: Path, n_tiles: int
    ) -> tuple[WriteResult, Sight | None, Callable[[], None]]:
        """Draw the tiles and write them to ``part``.

        Also what the engine saw of the objects, and what waits until the file is on the disk.
        """
        from qpmask.ometiff.writer import write_mask

        # An engine that tells its own progress draws a tile once for all its channels.
        self.emit(PhaseStarted(job.entry.id, "drawing", n_tiles // job.n_channels))
        scratch = self.folder.work_file(_scratch(image))
        synced: list[Callable[[], None]] = []

        def sync(handle: int) -> None:
            synced.append(synced_meanwhile(handle))

        with engine.render(job, scratch, self._acceptance.watch(job)) as rendering:
            if not rendering.tells_progress:
                self.emit(PhaseStarted(job.entry.id, "drawing", n_tiles))
            written = write_mask(
                part,
                layout_of(job),
                metadata_of(image, engine.start()),
                rendering.tiles(),
                on_tile=None if rendering.tells_progress else self._acceptance.on_tile(job),
                sync=sync,
            )
            by_plane = [written.counts_by_label(p) for p in range(job.n_planes)]
            return written, rendering.sight(by_plane), synced[0]

    def _in_strips(self, job: RenderJob, part: Path, scratch: Path) -> None:
        """Replace the tiles of ``part`` by strips."""
        from qpmask.ometiff.tiffstrips import write_in_strips

        write_in_strips(part, scratch, on_row=self._acceptance.watch(job).check)
        scratch.replace(part)

    def _as_collection(self, image: ImagePlan, job: RenderJob, part: Path) -> Path:
        """The mask as a collection, checked; the TIFF that it was drawn into goes."""
        from qpmask.collection.check import check_collection
        from qpmask.collection.fromtiff import collect_tiff
        from qpmask.ometiff.omexml import ClassRow

        suffix = ".ozx" if job.file.format == "ozx" else ".zarr"
        made = self.folder.work_file(f"{image.mask_name}.{os.getpid()}.part{suffix}")
        rows = [ClassRow(row.label, row.name, row.color) for row in image.legend if row.label]
        extra = dict(metadata_of(image, self.engine.start()).extra)
        collect_tiff(
            part,
            made,
            [] if job.render.instances else rows,
            name=job.entry.name,
            extra={**extra, FRAME_KEY: frame_json(image)},
            on_chunk=self._acceptance.watch(job).check,
        )
        checked = check_collection(made)
        if not checked.ok:
            raise MaskCheckError(
                f"The collection of {image.entry.label} failed its check: {checked.problems[0]}.",
                hint="Is the disk full or faulty? The file was not kept.",
            )
        part.unlink()
        return made


def _ask_slide(image: ImagePlan) -> ImagePlan:
    """The plan with the image's place in the file, as far as the slide itself knows it."""
    known = frame = image.entry.frame
    if image.slide is not None:
        from qpmask.slides.scannedbounds import located  # late: with it all that opens slides

        frame = located(known, image.slide)
    said = tuple(text for text in frame_words(frame) if text not in image.findings)
    if frame.steps == known.steps:
        return replace(image, frame=frame)
    before = tuple(frame_words(known))
    kept = tuple(text for text in image.findings if text not in before)
    return replace(image, frame=frame, findings=(*kept, *said))


def _check_data(image: ImagePlan) -> None:
    """Raise DataFileError if the data file is another than that of the plan."""
    data = image.entry.data_path
    if not image.data_sha256 or (image.data_state and file_state(data) == image.data_state):
        return
    try:
        is_same = file_sha256(data) == image.data_sha256
    except OSError:
        is_same = False
    if not is_same:
        raise DataFileError(
            f"{data} of {image.entry.label} changed while it was exported.",
            hint="Save the image in QuPath, then run the export again.",
        )


def _instance_table(image: ImagePlan, job: RenderJob, counts: dict[int, int]) -> str:
    """The table of an instance mask as CSV."""
    area_um2 = image.pixel_size.area_um2 if image.pixel_size else None
    kind = job.render.objects
    rows = instance_table(image.entry, job.instance_rows, kind, counts, area_um2)
    return csv_text(INSTANCE_COLUMNS, rows)


def _part(image: ImagePlan) -> str:
    return f"{image.mask_name}.{os.getpid()}.part.tif"


def _scratch(image: ImagePlan) -> str:
    return f"{image.mask_name}.{os.getpid()}.scratch.ome.tif"
