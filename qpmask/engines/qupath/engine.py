"""The engine: a job in, its rendering out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qpmask.common.machine import n_cores
from qpmask.engines import jvm
from qpmask.engines.base import (
    Engine,
    EngineInfo,
    Rendering,
    RenderJob,
    Watch,
    refuse_beyond_qupath,
)
from qpmask.engines.qupath.rendering import QuPathRendering
from qpmask.errors import EngineError, UnsupportedByEngineError
from qpmask.project.imagejson import DATA_FILE


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
        self._threads = threads or n_cores()
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
        self.compile()
        running = jvm.start(self._memory, self._heap_percent)
        details = {"java": running.java_version}
        if running.install is not None:
            details["folder"] = str(running.install.folder)
        return EngineInfo("qupath", running.version, pixel_rules(running.version), details)

    def render(self, job: RenderJob, scratch: Path, watch: Watch) -> Rendering:
        """Prepare a job; QuPath draws it as its tiles are asked for."""
        refuse_beyond_qupath(job)
        info = self.start()
        in_planes = job.entry.size_z * job.entry.size_t > 1
        if in_planes and job.render.instances and info.version.startswith(("0.3.", "0.4.")):
            raise UnsupportedByEngineError(
                f"QuPath {info.version} draws the instances of all slices of {job.entry.label} on "
                "each of them.",
                hint="Use QuPath 0.5 or later, or --engine native.",
            )
        with jvm.java_errors(f"QuPath failed to read {job.entry.label}"):
            hierarchy = self._read_hierarchy(job)
        watch.check()
        return QuPathRendering(job, hierarchy, scratch, self._threads, watch)

    def close(self) -> None:
        """Let go of the project. The JVM stays, since a process can start it only once."""
        self._project = None
        self._project_path = None

    def _read_hierarchy(self, job: RenderJob) -> Any:
        """The objects of an image, without its slide, straight from its data file."""
        from paquo.projects import QuPathProject

        jvm.set_level()
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
