"""QuPath's own ``LabeledImageServer`` and ``OMEPyramidWriter``, driven through paquo and JPype.

QuPath draws level 0 and writes it to a scratch file; its tiles are then read back one by one, so
that a tile that QuPath lost on the way cannot pass for background. What QuPath draws is decided by
:class:`qpmask.engines.base.RenderJob` alone; the slide itself is never opened, since a label image
needs only its size.

The traps on this path and their causes are listed in CONTRIBUTING.md, "QuPath's export path".
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qpmask.engines import jvm
from qpmask.engines.base import Engine, EngineInfo, Rendering, RenderJob, Watch
from qpmask.errors import (
    EngineError,
    EngineOutOfMemoryError,
    LostTilesError,
    MaskError,
    UnsupportedByEngineError,
)
from qpmask.ometiff.backend import is_compiled as has_fast_lzw
from qpmask.ometiff.reader import MaskFile
from qpmask.ometiff.writer import PackedTile
from qpmask.projectjson import DATA_FILE

if TYPE_CHECKING:
    from qpmask.ometiff.writer import Tile

log = logging.getLogger(__name__)

_POLL_S = 0.1
_POLLS_PER_HEAP = 5  # asking for the Java heap costs more than asking for the tiles
_MAX_RAW_BYTES = 1 << 30  # of a scratch file that is not compressed
_STOP_S = 30.0  # how long a stopped writer may take over the tiles it has begun
_MAX_LABEL = 65535  # above, QuPath's label images turn to floating point or RGB


class QuPathEngine(Engine):
    """Masks by QuPath itself.

    Parameters
    ----------
    memory : str, optional
        Java heap, such as ``4g``.
    heap_percent : float, optional
        Share of the machine's memory for the Java heap instead.
    threads : int, optional
        Threads that draw and write tiles in QuPath; all cores by default.
    """

    def __init__(
        self,
        memory: str | None = None,
        heap_percent: float | None = None,
        threads: int | None = None,
    ) -> None:
        self._memory = memory
        self._heap_percent = heap_percent
        self._threads = threads or os.cpu_count() or 1
        self._project: Any = None
        self._project_path: Path | None = None

    def probe(self) -> EngineInfo:
        """Which QuPath would be used, by its files alone."""
        install = jvm.find_qupath()
        return EngineInfo(
            "qupath", install.version, pixel_rules(install.version), {"folder": str(install.folder)}
        )

    def start(self) -> EngineInfo:
        """Start QuPath's JVM; see :func:`qpmask.engines.jvm.start` for the errors."""
        running = jvm.start(self._memory, self._heap_percent)
        details = {"java": running.java_version}
        if running.install is not None:
            details["folder"] = str(running.install.folder)
        return EngineInfo("qupath", running.version, pixel_rules(running.version), details)

    def render(self, job: RenderJob, scratch: Path, watch: Watch) -> Rendering:
        """Draw a job with QuPath into ``scratch`` and give its tiles."""
        self.start()
        if job.max_label > _MAX_LABEL:
            raise UnsupportedByEngineError(
                f"The mask of {job.entry.label} needs {job.max_label:,} labels, and QuPath's label "
                f"images hold at most {_MAX_LABEL:,}.",
                hint="Export classes instead of instances, or leave objects out.",
            )
        what = f"QuPath failed to draw {job.entry.label}"
        with jvm.java_errors(what):
            hierarchy = self._read_hierarchy(job)
            watch.check()
            with _label_server(job, hierarchy) as server:
                del hierarchy
                _write(job, server, scratch, self._threads, watch)
        return _ScratchRendering(job, scratch)

    def close(self) -> None:
        """Let go of the project. The JVM stays, since a process can start it only once."""
        self._project = None
        self._project_path = None

    def _read_hierarchy(self, job: RenderJob) -> Any:
        """The objects of an image, without its slide, straight from its data file."""
        from paquo.projects import QuPathProject

        if self._project is None or self._project_path != job.project_path:
            self._project = QuPathProject(job.project_path, mode="r")
            self._project_path = job.project_path
        for image in self._project.images:
            if str(image.entry_id) == job.entry.id:
                # Not image.hierarchy: paquo keeps what that reads until the project goes.
                if job.entry.data_name == DATA_FILE:
                    return image.java_object.readHierarchy()
                return _read_data_file(job.entry.data_path)
        raise EngineError(
            f"QuPath does not find {job.entry.label} in {job.project_path}.",
            hint="The project changed while it was exported; run the export again.",
        )


def _read_data_file(path: Path) -> Any:
    """The objects in a data file that is not the project's own: a backup."""
    import jpype

    stream = jpype.JClass("java.io.FileInputStream")(str(path))
    try:
        return jpype.JClass("qupath.lib.io.PathIO").readHierarchy(stream)
    finally:
        stream.close()


def pixel_rules(version: str) -> str:
    """Name of the family of QuPath versions that draw the same pixels.

    QuPath 0.6 rounds the coordinates of geometries to a grid of 0.01 pixels as it reads them;
    earlier versions do not.
    """
    parts = version.split(".")
    try:
        number = (int(parts[0]), int("".join(c for c in parts[1] if c.isdigit())))
    except (IndexError, ValueError):
        return f"qupath-{version}"
    return "qupath-0.6" if number >= (0, 6) else "qupath-0.4"


# -- the label server ---------------------------------------------------------------------------


class _MetadataServer:
    """An ``ImageServer`` that knows its metadata and nothing else: a slide that is not there."""

    def __init__(self, java_metadata: Any) -> None:
        self._metadata = java_metadata

    def getMetadata(self) -> Any:  # noqa: N802 - Java's name
        return self._metadata

    def getOriginalMetadata(self) -> Any:  # noqa: N802 - Java's name
        return self._metadata

    def getPath(self) -> str:  # noqa: N802 - Java's name
        return "qpmask"

    def isRGB(self) -> bool:  # noqa: N802 - Java's name
        return False

    def close(self) -> None:
        pass


@contextlib.contextmanager
def _label_server(job: RenderJob, hierarchy: Any) -> Iterator[Any]:
    """QuPath's label image of a job; closed, with all it holds, at the end."""
    import jpype

    java_metadata = _java_metadata(job)
    base = jpype.JProxy(
        "qupath.lib.images.servers.ImageServer", inst=_MetadataServer(java_metadata)
    )
    image_data_class = jpype.JClass("qupath.lib.images.ImageData")
    image_data = image_data_class(base, hierarchy, image_data_class.ImageType.OTHER)
    builder = jpype.JClass("qupath.lib.images.servers.LabeledImageServer").Builder(image_data)
    builder.downsample(job.downsample).tileSize(job.render.tile_px)
    builder.lineThickness(jpype.JFloat(job.render.line_thickness))
    {
        "annotations": builder.useAnnotations,
        "detections": builder.useDetections,
        "cells": builder.useCells,
        "nuclei": builder.useCellNuclei,
    }[job.render.objects]()
    if job.render.instances:
        builder.useFilter(_members(_chosen(job, hierarchy)))
        builder.useInstanceLabels(True).shuffleInstanceLabels(False)
    if job.render.multichannel:
        builder.multichannelOutput(True).maxOutputChannelLimit(0)
    for rule in job.rules:
        # Channel 0 of QuPath's multichannel images is the background; ours begin behind it.
        label = rule.channel + 1 if job.render.multichannel else rule.label
        if rule.class_name is None:
            builder.addUnclassifiedLabel(label)
        else:
            builder.addLabel(rule.class_name, label)
    if job.render.boundary_label is not None:
        builder.setBoundaryLabel("Boundary", job.render.boundary_label)
    server = builder.build()
    try:
        _check_size(job, server)
        yield server
    finally:
        server.close()
        if hasattr(image_data, "close"):  # QuPath 0.5 and later
            image_data.close()


def _java_metadata(job: RenderJob) -> Any:
    import jpype

    entry = job.entry
    assert entry.size is not None
    builder = jpype.JClass("qupath.lib.images.servers.ImageServerMetadata").Builder()
    builder.width(entry.size.width_px).height(entry.size.height_px)
    builder.sizeZ(entry.size_z).sizeT(entry.size_t).name(entry.name)
    builder.pixelType(jpype.JClass("qupath.lib.images.servers.PixelType").UINT8)
    builder.channels(
        jpype.JClass("qupath.lib.images.servers.ImageChannel").getDefaultChannelList(1)
    )
    builder.preferredTileSize(job.render.tile_px, job.render.tile_px)
    return builder.build()


def _check_size(job: RenderJob, server: Any) -> None:
    level = server.getMetadata().getLevel(0)
    found = (int(level.getWidth()), int(level.getHeight()))
    if found != (job.size.width_px, job.size.height_px):
        raise EngineError(
            f"QuPath would draw {job.entry.label} at {found[0]} x {found[1]} pixels instead of "
            f"{job.size}.",
            hint="Please report this with the QuPath version.",
        )


def _chosen(job: RenderJob, hierarchy: Any) -> Any:
    """The Java set of the objects that an instance mask draws."""
    import jpype

    everything = hierarchy.getRootObject().getDescendantObjects(None)
    everything = jpype.JClass("java.util.ArrayList")(everything)
    chosen = jpype.JClass("java.util.HashSet")()
    for row, expected_id in zip(job.instance_rows, job.instance_ids, strict=True):
        found = everything.get(row) if row < everything.size() else None
        if found is None or (expected_id is not None and str(found.getID()) != expected_id):
            raise EngineError(
                f"QuPath reads the objects of {job.entry.label} in another order than qpmask.",
                hint="Did the project change meanwhile? Otherwise please report it.",
            )
        chosen.add(found)
    return chosen


def _members(java_set: Any) -> Any:
    """A Java predicate that holds for the members of a set, without a call back to Python."""
    import jpype

    handles = jpype.JClass("java.lang.invoke.MethodHandles")
    signature = jpype.JClass("java.lang.invoke.MethodType").methodType(
        jpype.JClass("java.lang.Boolean").TYPE, jpype.JClass("java.lang.Object").class_
    )
    contains = handles.publicLookup().findVirtual(
        jpype.JClass("java.util.Set").class_, "contains", signature
    )
    return jpype.JClass("java.lang.invoke.MethodHandleProxies").asInterfaceInstance(
        jpype.JClass("java.util.function.Predicate").class_, contains.bindTo(java_set)
    )


# -- the writer ---------------------------------------------------------------------------------


class _CountingServer:
    """An ``ImageServer`` around another one that counts the tiles read from it.

    QuPath's writer asks it for each tile once, so its count is QuPath's own progress. What goes
    wrong with a tile is kept, since the writer itself logs the exception, or loses the error, and
    goes on.
    """

    def __init__(self, server: Any) -> None:
        self._server = server
        self._lock = threading.Lock()
        self.tiles_read = 0
        self.failure: Any = None

    def readRegion(self, *args: Any) -> Any:  # noqa: N802 - Java's name
        import jpype

        try:
            return self._server.readRegion(*args)
        except jpype.JException as error:
            self.failure = error
            raise
        finally:
            with self._lock:
                self.tiles_read += 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._server, name)


def _write(job: RenderJob, server: Any, scratch: Path, threads: int, watch: Watch) -> None:
    """Have QuPath write level 0 of a label image to ``scratch``, watching it."""
    import jpype

    counting = _CountingServer(server)
    proxy = jpype.JProxy("qupath.lib.images.servers.ImageServer", inst=counting)
    writer = jpype.JClass("qupath.lib.images.writers.ome.OMEPyramidWriter")
    builder = writer.Builder(proxy).tileSize(job.render.tile_px).bigTiff(True)
    compression = _scratch_compression(job, scratch.parent)
    builder.compression(
        {
            "none": writer.CompressionType.UNCOMPRESSED,
            "zlib": writer.CompressionType.ZLIB,
            "lzw": writer.CompressionType.LZW,
        }[compression]
    )
    # Without JInt the call is ambiguous between a number and a boolean.
    builder.parallelize(jpype.JInt(threads))
    if job.render.multichannel:
        # Interleaved, a tile is drawn once for all its channels.
        builder.channels(*range(1, job.n_channels + 1)).channelsInterleaved()
    series = builder.build()

    jvm.catcher.clear()
    task = _JavaThread(lambda: series.writeSeries(str(scratch)))
    task.start()
    try:
        polls = 0
        while not task.wait(_POLL_S):
            watch.on_tiles(counting.tiles_read)
            if polls % _POLLS_PER_HEAP == 0:
                watch.on_memory(*jvm.heap())
            polls += 1
            if watch.stop.is_set():
                task.interrupt()
    except BaseException:
        # Ctrl-C: QuPath must have let go of the file before anybody removes it.
        task.interrupt()
        task.wait(_STOP_S)
        raise
    watch.check()
    failures = jvm.catcher.errors()
    if counting.failure is not None:
        cause = jvm.translate(counting.failure, f"QuPath could not draw {job.entry.label}")
        if isinstance(cause, EngineOutOfMemoryError):
            raise cause
        failures = failures or [cause.message]
    if task.error is not None and not isinstance(task.error, jpype.JException):
        raise task.error
    if failures:
        hint = None
        if any("No space left" in text for text in failures):
            hint = "Free some space, or write to another disk."
        raise LostTilesError(
            f"QuPath lost {len(failures):,} tile(s) of {job.entry.label}. "
            f"The first, {failures[0]}.",
            hint=hint,
        )
    if task.error is not None:
        raise task.error  # a Java exception; java_errors() above translates it
    watch.on_tiles(counting.tiles_read)


def _scratch_compression(job: RenderJob, folder: Path) -> str:
    """How QuPath compresses its scratch file: ``none``, ``zlib`` or ``lzw``.

    QuPath's compression takes a third of its time. Uncompressed is the fastest, where our own LZW
    is fast and the file is not too large; else its tiles go into the mask as they are.
    """
    packed = "zlib" if job.file.compression == "zlib" else "lzw"
    if job.file.compression == "lzw" and not has_fast_lzw():
        return packed
    raw_bytes = job.size.area_px * job.n_planes * (2 if job.dtype == "uint16" else 1)
    if raw_bytes <= _MAX_RAW_BYTES and shutil.disk_usage(folder).free > 4 * raw_bytes:
        return "none"
    return packed


class _JavaThread(threading.Thread):
    """Runs a Java call beside the main thread, which stays free for Ctrl-C."""

    def __init__(self, call: Any) -> None:
        super().__init__(name="qpmask-java", daemon=True)
        self._call = call
        self._java_thread: Any = None
        self._done = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        import jpype

        java_threads = jpype.JClass("java.lang.Thread")
        try:
            self._java_thread = java_threads.currentThread()
            self._call()
        except BaseException as error:
            self.error = error
        finally:
            self._call = self._java_thread = None
            # A thread that stays attached keeps its buffers in the JVM, 1 MB an image.
            java_threads.detach()
            self._done.set()

    def wait(self, seconds: float) -> bool:
        """Whether the call has ended, after waiting for it this long at most."""
        return self._done.wait(seconds)

    def interrupt(self) -> None:
        """Ask Java to stop; the writer looks at it between two tiles."""
        thread = self._java_thread
        if thread is not None:
            thread.interrupt()


# -- reading back -------------------------------------------------------------------------------


class _ScratchRendering(Rendering):
    """The tiles of a file that QuPath wrote; the file goes when this is closed."""

    def __init__(self, job: RenderJob, scratch: Path) -> None:
        self._job = job
        self._scratch = scratch
        try:
            self._file = MaskFile(scratch)
        except MaskError as error:
            self._remove()
            raise EngineError(
                f"QuPath's file of {job.entry.label} cannot be read: {error.message}",
                hint="Is the disk full?",
            ) from error
        # The bytes of a compressed uint8 tile are the same in QuPath's big-endian file and ours.
        self._verbatim = (
            job.dtype == "uint8"
            and not job.render.multichannel
            and self._file.compression == job.file.compression != "none"
        )

    def tiles(self) -> Iterator[Tile]:
        """Tiles in the writer's order. A tile that is not in the file is an error."""
        try:
            for plane in range(self._job.n_planes):
                for row, col, pixels in self._file.iter_tiles(0, plane):
                    if self._verbatim and not isinstance(pixels, int):
                        yield PackedTile(self._file.packed(0, plane, row, col), pixels)
                    else:
                        yield pixels
        except MaskError as error:
            raise LostTilesError(
                f"QuPath lost a tile of {self._job.entry.label}: {error.message}",
                hint="The Java heap may be too small (--jvm-memory), or the disk full.",
            ) from error

    def close(self) -> None:
        """Close and remove the scratch file."""
        self._file.close()
        self._remove()

    def _remove(self) -> None:
        with contextlib.suppress(OSError):
            self._scratch.unlink(missing_ok=True)
