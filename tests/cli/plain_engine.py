"""An engine that fills every tile with one label; what QuPath draws: see ``tests/qupath``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from qpmask.engines.base import Engine, EngineInfo, Rendering, RenderJob, Watch
from qpmask.geometry import TileGrid

SQUARES = "squares.ome.tif"
ALL = "classes:\n  Alpha: 1\n  Beta: 2\n  Gamma: 3\n  'Alpha: Positive': 4\n"


class _Plain(Rendering):
    lazy = True

    def __init__(self, job: RenderJob) -> None:
        self._job = job

    def tiles(self) -> Iterator[Any]:
        job = self._job
        grid = TileGrid(job.size, job.render.tile_px)
        label = 255 if job.render.multichannel else job.rules[0].label if job.rules else 0
        for _ in range(job.n_planes):
            for row, col in grid:
                yield np.full(grid.shape(row, col), label, job.dtype)


class PlainEngine(Engine):
    """Draws one label; ``trouble`` is raised at the image of that name."""

    def __init__(self) -> None:
        self.trouble: dict[str, BaseException] = {}
        self.probing: BaseException | None = None
        self.starting: BaseException | None = None
        self.drawn: list[str] = []

    def probe(self) -> EngineInfo:
        if self.probing is not None:
            raise self.probing
        return EngineInfo("plain", "1", "plain-1")

    def start(self) -> EngineInfo:
        if self.starting is not None:
            raise self.starting
        return self.probe()

    def render(self, job: RenderJob, scratch: Path, watch: Watch) -> Rendering:
        if job.entry.name in self.trouble:
            raise self.trouble[job.entry.name]
        self.drawn.append(job.entry.name)
        return _Plain(job)


def names(folder: Path) -> set[str]:
    return {p.name for p in folder.rglob("*")}
