"""A mask before it has its name: read back, drawn a second time, its objects counted."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qpmask.common.frozen import dataclass
from qpmask.engines.base import Engine, RenderJob, Sight, Watch
from qpmask.errors import EngineUnavailableError, MaskCheckError, UnsupportedByEngineError
from qpmask.events import JvmMemory, Listener, PhaseStarted, TilesDone
from qpmask.export.sidecar import allowed_labels
from qpmask.plan import ImagePlan

if TYPE_CHECKING:
    from qpmask.ometiff.layout import WriteResult

log = logging.getLogger(__name__)

_SAY_EVERY_S = 0.05  # often enough for a display, seldom enough to cost nothing


@dataclass(frozen=True)
class Acceptance:
    """Looks at masks that have no name yet; tells how far that is, and drawing and writing too.

    Attributes
    ----------
    emit : callable
        Listener of events.
    stop : Event
        Set when the run should end.
    """

    emit: Listener
    stop: threading.Event

    def read_back(
        self, image: ImagePlan, job: RenderJob, written: WriteResult, part: Path, n_tiles: int
    ) -> None:
        """Read ``part`` back; an error if anything is not as it should be."""
        from qpmask.ometiff.check import check_mask

        self.emit(PhaseStarted(job.entry.id, "checking", n_tiles))
        checked = check_mask(
            part,
            counts=[written.counts_by_label(p) for p in range(job.n_planes)],
            classes=allowed_labels(image),
            on_tile=self.on_tile(job),
        )
        if not checked.ok:
            raise MaskCheckError(
                f"The mask of {image.entry.label} failed its check: {checked.problems[0]}.",
                hint="Is the disk full or faulty? The file was not kept.",
            )

    def compare(
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
        from qpmask.ometiff.maskcompare import compare_with_tiles

        self.emit(PhaseStarted(job.entry.id, "verifying", n_tiles))
        scratch = part.with_suffix(".verify.ome.tif")
        with verifier.render(job, scratch, self.watch(job)) as rendering:
            found = compare_with_tiles(part, rendering.tiles(), on_tile=self.on_tile(job))
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

    def count_objects(
        self,
        job: RenderJob,
        counter: Engine,
        part: Path,
        n_tiles: int,
        by_plane: list[dict[int, int]],
    ) -> Sight | None:
        """Draw a second time to see which objects left a pixel; None where that cannot be done."""
        self.emit(PhaseStarted(job.entry.id, "counting", n_tiles))
        on_tile = self.on_tile(job)
        try:
            scratch = part.with_suffix(".count.ome.tif")
            with counter.render(job, scratch, self.watch(job)) as rendering:
                for done, _ in enumerate(rendering.tiles(), 1):
                    on_tile(done)
                return rendering.sight(by_plane)
        except (UnsupportedByEngineError, EngineUnavailableError) as error:
            log.debug("objects of %s are counted by their labels: %s", job.entry.label, error)
            return None

    def watch(self, job: RenderJob) -> Watch:
        """What an engine tells while it draws, and asks whether it should stop."""
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

    def on_tile(self, job: RenderJob) -> Callable[[int], None]:
        """Listener of tiles that passes on the count now and then, and stops where asked to."""
        watch = self.watch(job)
        said = time.monotonic()

        def on_tile(done: int) -> None:
            nonlocal said
            now = time.monotonic()
            if now - said >= _SAY_EVERY_S:
                said = now
                watch.check()
                watch.on_tiles(done)

        return on_tile
