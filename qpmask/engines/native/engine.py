"""The native engine: QuPath's pixels from the project's files alone, without Java."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from qpmask._version import __version__
from qpmask.common.machine import give_memory_back, keep_memory_low
from qpmask.engines.base import (
    Engine,
    EngineInfo,
    ReadData,
    Rendering,
    RenderJob,
    Sight,
    Watch,
)
from qpmask.engines.native.library import LIBRARY
from qpmask.errors import UnsupportedByEngineError
from qpmask.imageobjects import NO_OUTLINES, GeometryType
from qpmask.qpdata import read_qpdata

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from qpmask.engines.draworder import Drawn
    from qpmask.engines.native.plane import Plane
    from qpmask.engines.native.seenobjects import Watcher
    from qpmask.imageobjects import Rois
    from qpmask.ometiff.layout import Tiles

_MANY_OBJECTS = 50_000
_LARGE_STRIPS = 500_000, 8 << 20
"""From so many objects on the arrays of a strip take megabytes: those of up to so many bytes are
kept for the next strips as they are freed, until many objects of another image are read or drawn.
"""

#: Pixel rules by QuPath version, and the step in px0 to which geometries are rounded.
_GRIDS: dict[str, float | None] = {"qupath-0.6": 0.01, "qupath-0.4": None}


RULES = tuple(_GRIDS)
"""The pixel rules that the engine knows."""


class NativeEngine(Engine):
    """Masks without Java, equal to those of QuPath 0.6 and later in every pixel.

    Parameters
    ----------
    threads : int, optional
        Threads that draw; all cores by default.
    pixel_rules : str
        The family of QuPath versions whose pixels to make: ``qupath-0.6`` (0.6 and later) or
        ``qupath-0.4`` (0.4 and 0.5).
    read : callable, optional
        What reads data files, such as one that has the objects already.
    """

    may_overlap = True

    def __init__(
        self,
        threads: int | None = None,
        pixel_rules: str = "qupath-0.6",
        read: ReadData | None = None,
    ) -> None:
        if pixel_rules not in _GRIDS:
            raise UnsupportedByEngineError(
                f"The native engine does not know the pixel rules {pixel_rules!r}.",
                hint=f"It knows {', '.join(_GRIDS)}.",
            )
        self._threads = threads
        self._rules = pixel_rules
        self._read = read or read_qpdata

    def probe(self) -> EngineInfo:
        """Which engine this is."""
        return EngineInfo("native", __version__, self._rules)

    @property
    def compiles(self) -> bool:
        """Whether the kernels are not compiled yet."""
        return LIBRARY.must_compile or super().compiles

    def compile(self) -> None:
        """Load the kernels; the first time on a machine they are compiled, which takes a while.

        Raises
        ------
        KernelsUnavailableError
            They cannot be loaded.
        """
        LIBRARY.load()
        super().compile()

    def start(self) -> EngineInfo:
        """Load the kernels; see :meth:`compile`."""
        self.compile()
        return self.probe()

    def render(self, job: RenderJob, scratch: Path, watch: Watch) -> Rendering:
        """Prepare a job; its tiles are drawn as they are asked for."""
        self.start()
        from qpmask.engines.draworder import drawn_alone, drawn_outlines, select

        watch.check()
        scene: _Scene | None = None
        if job.entry.data_path.exists():
            outlines = drawn_outlines(job.render.objects)
            objects = self._read(job.entry.data_path, outlines=outlines)
            rois, drawn = drawn_alone(objects.rois, select(objects, job))
            classes = objects.class_index[drawn.row] if job.render.instances else None
            scene = _Scene(rois, drawn, classes)
            del objects
            if len(drawn.row) >= _MANY_OBJECTS:
                keep_memory_low()
            give_memory_back()
        watch.check()
        return _NativeRendering(job, scene, self._threads, _GRIDS[self._rules], watch)


class _Scene(NamedTuple):
    """What is drawn; ``classes`` are those of the objects, of instances alone."""

    rois: Rois
    drawn: Drawn
    classes: NDArray[np.int32] | None


class _NativeRendering(Rendering):
    """Tiles drawn on demand."""

    def __init__(
        self,
        job: RenderJob,
        scene: _Scene | None,
        threads: int | None,
        grid: float | None,
        watch: Watch,
    ) -> None:
        self._job = job
        self._scene = scene
        self._threads = threads
        self._grid = grid
        self._watch = watch
        self._watcher: Watcher | None = None
        self._first: Plane | None = None
        if scene is not None:
            if grid is None:
                self._refuse_multipolygons()
            self._first = self._plane(0)  # what cannot be drawn is said before the first tile
            give_memory_back()
            n_objects, room_bytes = _LARGE_STRIPS
            if len(scene.drawn.row) >= n_objects:
                keep_memory_low(room_bytes)

    def tiles(self) -> Iterator[Tiles]:
        """Strips of tiles plane by plane, row by row."""
        from qpmask.engines.native.seenobjects import Watcher
        from qpmask.geometry import TileGrid

        job, scene = self._job, self._scene
        if scene is None:
            for _ in range(job.n_planes):
                yield from [0] * TileGrid(job.size, job.tile_px).n_tiles
            return
        watcher = Watcher(scene.rois, scene.drawn, scene.classes, self._other_plane, self._plane)
        for number in range(job.n_planes):
            self._watch.check()
            plane, self._first = self._first or self._plane(number), None
            yield from plane.strips()
            watcher.plane_done(plane, number)
        self._watcher = watcher

    def sight(self, counts: Sequence[Mapping[int, int]]) -> Sight | None:
        """What the tiles showed; see :meth:`.Rendering.sight`."""
        if self._scene is None:
            return Sight.of_nothing()
        if self._watcher is None:
            return None
        give_memory_back()  # of the planes
        job = self._job
        assert job.entry.size is not None
        left_px: Counter[int] | None = None
        if not job.render.multichannel:
            left_px = Counter()
            for plane in counts:
                left_px.update(plane)
        return self._watcher.sight(left_px, job.entry.size, job.downsample)

    def _plane(self, number: int) -> Plane:
        assert self._scene is not None
        return self._drawn_plane(
            self._scene.drawn, number, self._job.dtype, self._job.render.boundary_label
        )

    def _other_plane(self, drawn: Drawn, number: int) -> Plane:
        """A plane of some objects alone, without boundaries."""
        return self._drawn_plane(drawn, number, None, None)

    def _drawn_plane(
        self, drawn: Drawn, number: int, dtype: str | None, boundary_label: int | None
    ) -> Plane:
        from qpmask.engines.native import selection
        from qpmask.engines.native.plane import Plane, PlaneOptions

        job, scene = self._job, self._scene
        assert scene is not None and job.entry.size is not None
        channel = number % job.n_channels
        z = number // job.n_channels % job.entry.size_z
        t = number // job.n_channels // job.entry.size_z
        options = PlaneOptions(
            image=job.entry.size,
            downsample=job.downsample,
            tile_px=job.tile_px,
            line_thickness=job.render.line_thickness,
            boundary_label=boundary_label,
            dtype=dtype,
            n_threads=self._threads,
        )
        shapes = selection.shapes_of_plane(
            scene.rois, drawn, (z, t, channel), self._grid, self._describe
        )
        return Plane(shapes, options, describe=self._describe)

    def _describe(self, row: int) -> str:
        """An object in words; of the objects nothing is kept that drawing has no use for."""
        from qpmask.engines.native.selection import describe

        return describe(read_qpdata(self._job.entry.data_path, outlines=NO_OUTLINES), row)

    def _refuse_multipolygons(self) -> None:
        """QuPath 0.4 and 0.5 draw multipolygons by way of Java's ``Area``, which is not described.

        Measured: filled thin they are equal all the same but for single pixels in rare cases, which
        a comparison finds; their boundaries and wide fills are not.
        """
        from qpmask.engines.native.plane import is_thin

        job, scene = self._job, self._scene
        assert scene is not None
        thin = is_thin(job.render.line_thickness, job.downsample)
        if thin and job.render.boundary_label is None:
            return
        types = scene.rois.geometry_type[scene.drawn.roi]
        rows = scene.drawn.row[types == GeometryType.MULTI_POLYGON]
        if len(rows):
            raise UnsupportedByEngineError(
                f"{self._describe(int(rows[0]))} of {job.entry.label} has several parts, whose "
                "boundaries and downsampled areas QuPath before 0.6 draws by other rules.",
                hint="Use --engine qupath.",
            )

    def close(self) -> None:
        """Let go of the objects."""
        self._scene = self._watcher = self._first = None
