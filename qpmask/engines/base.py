"""Stage 4: what an engine is: a job goes in, label tiles come out.

An :class:`Engine` turns a :class:`RenderJob` into a :class:`Rendering`: the tiles of level 0, in
the order in which :func:`qpmask.ometiff.writer.write_mask` takes them. It neither chooses what to
draw nor where the file goes; :mod:`qpmask.export.run` does. Every engine inherits the tests of
``tests/engine_contract.py``.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qpmask.common.frozen import dataclass
from qpmask.errors import Interrupted, UnsupportedByEngineError
from qpmask.geometry import Size, useful_tile_px
from qpmask.imageobjects import ImageObjects, ObjectKind
from qpmask.ometiff.kernels.library import LIBRARY as STRIPS
from qpmask.options import pixel_type

if TYPE_CHECKING:
    from qpmask.ometiff.layout import Tiles
    from qpmask.options import FileOptions, Order, RenderOptions
    from qpmask.project import ImageEntry


#: Reads a data file as :func:`qpmask.qpdata.read_qpdata` does: a path, and ``outlines``.
ReadData = Callable[..., ImageObjects]

#: The greatest label of QuPath's label images; above, they turn to floating point or RGB.
QUPATH_MAX_LABEL = 65535

#: Which objects each choice of ``--objects`` takes, as QuPath's ``PathObjectFilter`` does.
OBJECT_KINDS: Mapping[str, tuple[ObjectKind, ...]] = {
    "annotations": (ObjectKind.ANNOTATION,),
    "detections": (ObjectKind.DETECTION, ObjectKind.CELL, ObjectKind.TILE),
    "cells": (ObjectKind.CELL,),
    "nuclei": (ObjectKind.CELL,),
    "cores": (ObjectKind.TMA_CORE,),
    "all-cores": (ObjectKind.TMA_CORE,),
}


_TAKES = {name: np.isin(np.arange(256), kinds) for name, kinds in OBJECT_KINDS.items()}


def takes_part(
    objects: str, kind: NDArray[np.uint8], missing: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which objects a choice of ``--objects`` takes.

    Parameters
    ----------
    objects : str
        The choice.
    kind : ndarray of uint8, shape (n,)
        :class:`~qpmask.imageobjects.ObjectKind` of each object.
    missing : ndarray of bool, shape (n,)
        Whether it is a TMA core that is marked as missing.
    """
    taken: NDArray[np.bool_] = _TAKES[objects][kind]
    return taken & ~missing if objects == "cores" else taken


class LabelRule(NamedTuple):
    """Objects of this class get this label; ``class_name`` None means objects without a class.

    ``channel`` is the plane in a multichannel mask, 0 otherwise.
    """

    class_name: str | None
    label: int
    channel: int = 0


class RenderJob(NamedTuple):
    """What to draw for one image, with nothing left to decide.

    Attributes
    ----------
    project_path : Path
        The ``.qpproj`` file.
    entry : ImageEntry
        The image; its size is known.
    size : Size
        The mask at level 0, in its own pixels: full resolution over ``downsample``, rounded down.
    downsample : float
        Full-resolution pixels per mask pixel.
    rules : tuple of LabelRule
        In draw order, the last on top. Objects of other classes are not drawn.
    order : str
        ``classes``: the order of the rules; ``area``: larger objects first, whatever their class
        (:mod:`qpmask.engines.draworder`).
    n_channels : int
        Planes per z-slice and time point: 1, or the number of classes of a multichannel mask.
    max_label : int
        The greatest label that may occur; decides the pixel type.
    render : RenderOptions
        Objects, tile size, line thickness, boundary, instances.
    file : FileOptions
        An engine whose tiles come compressed can spare the writer that work.
    instance_rows : tuple of int
        For an instance mask: positions of the objects to draw among the image's objects (in the
        order of :func:`qpmask.qpdata.read_qpdata`); the object at position k of this tuple gets
        the label k + 1.
    instance_ids : tuple of str or None
        The ids of those objects, so that an engine that reads them itself can make sure that it
        means the same ones; None for objects from before QuPath 0.4.
    """

    project_path: Path
    entry: ImageEntry
    size: Size
    downsample: float
    rules: tuple[LabelRule, ...]
    n_channels: int
    max_label: int
    render: RenderOptions
    file: FileOptions
    instance_rows: tuple[int, ...] = ()
    instance_ids: tuple[str | None, ...] = ()
    order: Order = "classes"

    @property
    def n_planes(self) -> int:
        """Planes of the mask: channels, z-slices and time points."""
        return self.n_channels * self.entry.size_z * self.entry.size_t

    @property
    def tile_px(self) -> int:
        """Edge of the tiles: as the options say, but for images that are much smaller."""
        return useful_tile_px(self.size, self.render.tile_px)

    @property
    def dtype(self) -> str:
        """The smallest pixel type that holds all labels: ``uint8``, ``uint16`` or ``uint32``."""
        return pixel_type(self.max_label)

    @property
    def fits_qupath(self) -> bool:
        """Whether QuPath's label images hold all labels."""
        return self.max_label <= QUPATH_MAX_LABEL


def refuse_beyond_qupath(job: RenderJob) -> None:
    """Raise :class:`UnsupportedByEngineError` if the labels of a job are too many for QuPath."""
    if not job.fits_qupath:
        raise UnsupportedByEngineError(
            f"The mask of {job.entry.label} has labels up to {job.max_label:,}. QuPath's label "
            f"images hold whole numbers up to {QUPATH_MAX_LABEL:,}; above, they turn to floating "
            "point.",
            hint="Use --engine native (engine='native'), which writes uint32; --engine auto takes "
            "it for such images.",
        )


@dataclass(frozen=True)
class EngineInfo:
    """Which engine, and with what: goes into reports and sidecars.

    ``pixel_rules`` names the family of QuPath versions whose pixels the engine makes: QuPath 0.6
    began to round geometries to a grid of 0.01 pixels, so masks of 0.5 and 0.6 may differ.
    """

    name: str
    version: str
    pixel_rules: str
    details: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class CoveredShare(NamedTuple):
    """A class of which others, or boundary lines, cover more than half; all planes together.

    Attributes
    ----------
    row : int
        One of its objects, by position in the data file.
    label : int
        Its label; that of this object in an instance mask.
    drawn_px : int
        Pixels that the class would have alone.
    left_px : int
        Pixels that it has.
    covered_by : tuple of int
        Labels upon it, the commonest first.
    """

    row: int
    label: int
    drawn_px: int
    left_px: int
    covered_by: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Sight:
    """What became of the objects of a job: which leave a pixel, and what covers the others.

    Attributes
    ----------
    rows : int64 array (n,)
        The objects that were drawn, by position in the data file.
    has_pixel : bool array (n,)
        Whether an object would have a pixel, were it alone. One without lies outside the image or
        is thinner than a pixel.
    outside : bool array (n,)
        Whether one without lies wholly outside the image; of others it says nothing.
    left : bool array (n,)
        Whether one of these pixels has the object's label in the mask.
    covered_by : mapping
        Labels upon an object that has pixels and left none, the commonest first; by its position
        in the data file.
    shares : tuple of CoveredShare
        Classes that are covered for more than half. In a multichannel mask there are none: a class
        has its planes to itself.
    """

    rows: NDArray[np.int64]
    has_pixel: NDArray[np.bool_]
    outside: NDArray[np.bool_]
    left: NDArray[np.bool_]
    covered_by: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    shares: tuple[CoveredShare, ...] = ()

    @classmethod
    def of_nothing(cls) -> Sight:
        """Of an image without objects."""
        none = np.empty(0, np.bool_)
        return cls(np.empty(0, np.int64), none, none, none)


class Watch:
    """How an engine tells of its progress and learns that it should stop.

    ``on_tiles(done)`` and ``on_memory(used, max)`` are called on the thread that called the engine.
    """

    def __init__(
        self,
        on_tiles: Callable[[int], None] = lambda done: None,
        on_memory: Callable[[int, int], None] = lambda used, limit: None,
        stop: threading.Event | None = None,
    ) -> None:
        self.on_tiles = on_tiles
        self.on_memory = on_memory
        self.stop = stop if stop is not None else threading.Event()

    def check(self) -> None:
        """Raise Interrupted if the run should stop."""
        if self.stop.is_set():
            raise Interrupted("The run was interrupted.")


class Rendering(ABC):
    """The drawn tiles of one job; a context manager that releases whatever they hold.

    Tiles are drawn while they are asked for. ``tells_progress`` says that the rendering calls
    ``watch.on_tiles`` itself, since it draws ahead; otherwise tiles asked for are tiles drawn.
    """

    tells_progress = False

    @abstractmethod
    def tiles(self) -> Iterator[Tiles]:
        """Tiles plane by plane (channel fastest, then z, then t), row by row in each.

        They may come in strips; :func:`qpmask.ometiff.layout.single_tiles` takes them apart.
        """

    def sight(self, counts: Sequence[Mapping[int, int]]) -> Sight | None:
        """Which objects left a pixel; asked for once all tiles were taken.

        Parameters
        ----------
        counts : sequence of mapping
            Pixels by label, of each plane, as they were written.

        Returns
        -------
        Sight or None
            None if the engine does not know.
        """
        return None

    def close(self) -> None:  # noqa: B027 - nothing to release is a fine default
        """Release files and memory; called once."""

    def __enter__(self) -> Rendering:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()


class Engine(ABC):
    """Draws label tiles. One process uses one engine for one image at a time.

    Attributes
    ----------
    may_overlap : bool
        Whether a mask may be checked, on another thread, while the next one is drawn.
    """

    may_overlap = False

    @abstractmethod
    def probe(self) -> EngineInfo:
        """Which engine this would be. Cheap; starts nothing.

        Raises
        ------
        EngineUnavailableError
            What the engine needs is not there.
        """

    @property
    def compiles(self) -> bool:
        """Whether something is compiled when it starts, for the first time on this machine."""
        return STRIPS.must_compile

    def compile(self) -> None:
        """Compile what is not compiled yet.

        Raises
        ------
        KernelsUnavailableError
            It cannot be compiled.
        """
        STRIPS.load()

    @abstractmethod
    def start(self) -> EngineInfo:
        """Get ready; calling it again is cheap.

        Raises
        ------
        EngineUnavailableError
            What the engine needs is not there or does not start.
        """

    @abstractmethod
    def render(self, job: RenderJob, scratch: Path, watch: Watch) -> Rendering:
        """Prepare a job; it is drawn while the tiles of the rendering are asked for.

        Parameters
        ----------
        job : RenderJob
            What to draw.
        scratch : Path
            A file name that the engine may use while the rendering is open, on the same file
            system as the output.
        watch : Watch
            Progress and interruption.

        Raises
        ------
        EngineError
            The engine failed; here or while drawing. No tile of it may be used.
        DataFileError
            The image's data file cannot be read.
        Interrupted
            ``watch.stop`` was set.
        """

    def close(self) -> None:  # noqa: B027 - nothing to release is a fine default
        """Release what the engine holds beyond one image."""
