"""QuPath draws bands of tile rows into scratch files, one ahead of the one that is read back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qpmask.engines import jvm
from qpmask.engines.base import Rendering, RenderJob, Watch
from qpmask.engines.qupath.bands import Band, bands_of, scratch_compression
from qpmask.engines.qupath.countingserver import CountingServer
from qpmask.engines.qupath.javathread import JavaThread
from qpmask.engines.qupath.labelserver import label_server
from qpmask.engines.qupath.losttiles import check_none_lost, lost
from qpmask.errors import EngineError, MaskError
from qpmask.ometiff.reader import MaskFile
from qpmask.ometiff.stripreader import StripReader
from qpmask.ometiff.threads import in_threads

if TYPE_CHECKING:
    from qpmask.ometiff.layout import Tiles

_POLL_S = 0.05
_POLLS_PER_HEAP = 10  # asking for the Java heap costs more than asking for the tiles
_STOP_S = 30  # how long a stopped writer may take over the tiles it has begun


class QuPathRendering(Rendering):
    """The tiles of one job, drawn by QuPath while they are asked for.

    Parameters
    ----------
    job : RenderJob
        What to draw.
    hierarchy : Java PathObjectHierarchy
        The image's objects.
    scratch : Path
        A file name; another one beside it is used too.
    threads : int
        Threads of QuPath.
    watch : Watch
        Progress and interruption.
    """

    tells_progress = True

    def __init__(
        self, job: RenderJob, hierarchy: Any, scratch: Path, threads: int, watch: Watch
    ) -> None:
        self._job = job
        self._threads = threads
        self._watch = watch
        self._bands = bands_of(job, scratch)
        self._drawing: JavaThread | None = None
        self._file: MaskFile | None = None  # that is being read
        with jvm.java_errors(self._what), contextlib.ExitStack() as stack:
            server = stack.enter_context(label_server(job, hierarchy))
            self._watched = CountingServer(server)
            self._stack = stack.pop_all()

    @property
    def _what(self) -> str:
        return f"QuPath failed to draw {self._job.entry.label}"

    def tiles(self) -> Iterator[Tiles]:
        """Tiles in the writer's order. One that QuPath lost is an error."""
        with jvm.java_errors(self._what):
            self._begin(self._bands[0])
            for band, following in zip(self._bands, [*self._bands[1:], None], strict=True):
                self._finish()
                if following is not None:
                    self._begin(following)
                yield from self._read(band)
                band.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Stop QuPath if it is still drawing; remove the files and let go of the label image."""
        if self._file is not None:
            self._file.close()
        if self._drawing is not None:
            # QuPath must have let go of the file before it is removed.
            for _ in range(_STOP_S):
                self._interrupt(self._drawing)
                if self._drawing.wait(1):
                    break
            self._drawing = None
        for band in self._bands[:2]:
            with contextlib.suppress(OSError):
                band.path.unlink(missing_ok=True)
        with jvm.java_errors(self._what):
            self._stack.close()

    # -- drawing -----------------------------------------------------------------------------------

    def _begin(self, band: Band) -> None:
        """Have QuPath draw a band on a thread of its own."""
        import jpype

        job = self._job
        writer = jpype.JClass("qupath.lib.images.writers.ome.OMEPyramidWriter")
        builder = writer.Builder(self._watched.proxy).tileSize(job.tile_px).bigTiff(True)
        compression = "none" if len(self._bands) > 1 else scratch_compression(job, band.path.parent)
        builder.compression(
            {
                "none": writer.CompressionType.UNCOMPRESSED,
                "zlib": writer.CompressionType.ZLIB,
                "lzw": writer.CompressionType.LZW,
            }[compression]
        )
        # Without JInt the call is ambiguous between a number and a boolean.
        builder.parallelize(jpype.JInt(self._threads))
        if job.render.multichannel:
            # Interleaved, a tile is drawn once for all its channels.
            builder.channels(*range(1, job.n_channels + 1)).channelsInterleaved()
        if len(self._bands) > 1:
            builder.region(0, band.y_px, band.size.width_px, band.size.height_px)
        series = builder.build()
        jvm.catcher.clear()
        self._drawing = JavaThread(lambda: series.writeSeries(str(band.path)))
        self._drawing.start()

    def _finish(self) -> None:
        """Wait until QuPath has drawn the band, and make sure that it lost no tile."""
        drawing, watch = self._drawing, self._watch
        assert drawing is not None
        polls = 0
        while not drawing.wait(_POLL_S):
            watch.on_tiles(self._watched.n_begun)
            if polls % _POLLS_PER_HEAP == 0:
                watch.on_memory(*jvm.heap())
            polls += 1
            if watch.stop.is_set():
                self._interrupt(drawing)
        self._drawing = None
        watch.check()
        watch.on_tiles(self._watched.n_begun)
        check_none_lost(self._watched, drawing.error, self._job.entry.label)

    def _interrupt(self, drawing: JavaThread) -> None:
        jvm.catcher.abandon(self._watched.path)
        drawing.interrupt()

    # -- reading back ------------------------------------------------------------------------------

    def _read(self, band: Band) -> Iterator[Tiles]:
        label = self._job.entry.label
        try:
            file = MaskFile(band.path)
        except MaskError as error:
            raise EngineError(
                f"QuPath's file of {label} cannot be read: {error.message}",
                hint="Is the disk full?",
            ) from error
        self._file = file
        with file:
            if file.size != band.size or file.n_planes != self._job.n_planes:
                raise EngineError(
                    f"QuPath drew {file.n_planes} planes of {file.size} pixels of {label} instead "
                    f"of {self._job.n_planes} of {band.size}.",
                    hint="Please report this with the QuPath version.",
                )
            yield from self._strips(file, band.y_px // self._job.tile_px)

    def _strips(self, file: MaskFile, first_row: int) -> Iterator[Tiles]:
        reader = StripReader(file)
        grid = reader.grids[0]
        places = [
            (0, plane, row, number)
            for plane in range(self._job.n_planes)
            for row in range(grid.n_rows)
            for number in range(grid.n_strips)
        ]
        found = in_threads(lambda place: reader.read(*place), places, 2)
        for (_, _, row, number), read in zip(places, found, strict=True):
            self._watch.check()
            for k, error in read.errors.items():
                row += first_row
                col = number * grid.tiles_per_strip + k
                raise lost(self._job.entry.label, f"the tile in row {row}, column {col}: {error}.")
            yield read.tiles
