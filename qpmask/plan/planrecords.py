"""A plan as plain records: of a run, of one image, of a label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from qpmask.classes import ClassMap
from qpmask.common.frozen import dataclass
from qpmask.common.words import objects_text
from qpmask.engines.base import RenderJob
from qpmask.errors import QpmaskError
from qpmask.geometry import PixelSize
from qpmask.geometry.frames import Frame
from qpmask.options import ExportOptions
from qpmask.project import ImageEntry, Project
from qpmask.project.inventory import Inventory


class LegendRow(NamedTuple):
    """What a label of a mask means: goes into the file's class table and the sidecar."""

    label: int
    name: str
    color: tuple[int, int, int] | None
    objects: int


class Standing(NamedTuple):
    """What an earlier run left of a mask.

    Attributes
    ----------
    is_there : bool
        Whether there is anything.
    changes : tuple of str
        Why the mask has to be made again; empty if it holds.
    sidecar : dict or None
        What the mask was made from, if that can be read.
    """

    is_there: bool = False
    changes: tuple[str, ...] = ()
    sidecar: Mapping[str, Any] | None = None

    @property
    def holds(self) -> bool:
        """Whether the mask is what a new one would be."""
        return self.is_there and not self.changes

    @property
    def action(self) -> str:
        """``make``, ``skip`` or ``make again``."""
        if not self.is_there:
            return "make"
        return "make again" if self.changes else "skip"


@dataclass(frozen=True)
class ImagePlan:
    """What will happen to one image.

    Attributes
    ----------
    job : RenderJob or None
        What to draw; None where ``error`` says why it cannot be drawn.
    legend : tuple of LegendRow
        The labels of the mask, background left out. For a multichannel mask, its planes in order.
    pixel_size : PixelSize or None
        Of the mask, micrometres.
    inventory : Inventory or None
        The objects of the image.
    drawn : int
        How many objects will be drawn.
    data_sha256 : str or None
        Hash of the data file; None where the image has none yet.
    data_state : tuple of int
        State of the data file before it was read (:func:`~qpmask.outputs.file_state`).
    slide : Path or None
        The slide on this machine, if it is there.
    findings : tuple of str
        What the user should know about this image.
    standing : Standing or None
        What an earlier run left; None where nobody has looked.
    """

    entry: ImageEntry
    mask_name: str
    job: RenderJob | None = None
    legend: tuple[LegendRow, ...] = ()
    pixel_size: PixelSize | None = None
    inventory: Inventory | None = None
    drawn: int = 0
    data_sha256: str | None = None
    data_state: tuple[int, ...] = ()
    slide: Path | None = None
    findings: tuple[str, ...] = ()
    error: QpmaskError | None = None
    frame: Frame | None = None
    standing: Standing | None = None

    def __repr__(self) -> str:
        what = objects_text(self.drawn) if self.error is None else "cannot be drawn"
        return f"<ImagePlan {self.entry.name!r} ({self.entry.id}): {what}>"


@dataclass(frozen=True)
class Plan:
    """What a run will do."""

    project: Project
    class_map: ClassMap
    options: ExportOptions
    images: tuple[ImagePlan, ...]
    findings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        n_bad = sum(image.error is not None for image in self.images)
        bad = f", {n_bad} of them cannot be drawn" if n_bad else ""
        return (
            f"<Plan for {self.project.path}: {len(self.images)} images{bad}, "
            f"{len(self.class_map.entries)} classes>"
        )

    @property
    def jobs(self) -> list[RenderJob]:
        """What is drawn, of the images that can be."""
        return [image.job for image in self.images if image.job is not None]

    @property
    def nothing_drawn(self) -> bool:
        """Whether there are objects, of whatever kind, and none is drawn in any image."""
        read = [p.inventory for p in self.images if p.job is not None and p.inventory is not None]
        there = any(n for inventory in read for n in inventory.all_counts().values())
        return there and not any(p.drawn for p in self.images)

    def count(self, names: Iterable[str | None]) -> tuple[int, int]:
        """Objects, and images, of any of these classes."""
        wanted = set(names)
        per_image = [
            sum(
                n
                for name, n in p.inventory.counts(self.options.render.objects).items()
                if name in wanted
            )
            for p in self.images
            if p.inventory
        ]
        return sum(per_image), sum(n > 0 for n in per_image)
